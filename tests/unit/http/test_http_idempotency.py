"""Idempotency-Key as it is read, what tells requests apart, and what is put on record of an answer."""

from dataclasses import replace

import pytest
from store_samples import T0, creation, entity

from broker.errors import AlreadyExists, BadRequestData
from broker.http.idempotency import fingerprint, parse_key
from broker.http.message import LARGEST_KEPT, Request, Response, kept
from broker.operations.receipts import Receipt
from broker.store.protocol import Document


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (' "with space, and comma" ', "with space, and comma"),
        (r'"a\"b\\c"', r'a"b\c'),
        ("run/7:batch=3", "run/7:batch=3"),
        ('"' + "k" * 255 + '"', "k" * 255),
    ],
)
def test_a_key_is_read_with_or_without_quotes(text: str, key: str) -> None:
    assert parse_key(text) == key


@pytest.mark.parametrize(
    "text", ["", '""', "a b", "a, b", '"a', 'a"', '"a";b=1', r'"a\b"', '"é"', "é", "k" * 256, '"\t"', '"a"\n']
)
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRequestData, match="Idempotency-Key"):
        parse_key(text)


REQUEST = Request("POST", "/ngsi-ld/v1/entities", [("a", "1"), ("b", "2")], {"content-type": "application/json"}, b"{}")


def test_a_fingerprint_is_the_same_for_the_same_request_only() -> None:
    assert fingerprint(REQUEST) == fingerprint(replace(REQUEST, headers={**REQUEST.headers, "user-agent": "x"}))
    others = [
        replace(REQUEST, method="PATCH"),
        replace(REQUEST, path="/ngsi-ld/v1/entities/"),
        replace(REQUEST, query=[("b", "2"), ("a", "1")]),
        replace(REQUEST, query=[("a", "1\nb=2")]),
        replace(REQUEST, body=b"{} "),
        replace(REQUEST, headers={"content-type": "application/ld+json"}),
        replace(REQUEST, headers={**REQUEST.headers, "link": "<x>"}),
        replace(REQUEST, headers={**REQUEST.headers, "if-match": "*"}),
    ]
    assert len({fingerprint(each) for each in (REQUEST, *others)}) == len(others) + 1


def test_an_answer_too_large_is_kept_without_its_body() -> None:
    assert kept(Response(201, {"Location": "/x"}, b"[]")) == {
        "status": 201,
        "headers": {"Location": "/x"},
        "body": "[]",
    }
    assert kept(Response(207, {}, b" " * (LARGEST_KEPT + 1)))["body"] is None


def test_a_receipt_goes_into_a_commit_only_with_an_effect() -> None:
    receipt = Receipt("city", "k", "print", lambda: T0)
    record = receipt.of(len)
    change = creation(entity(1))
    assert record([change]) is None  # nobody has said how the result becomes an answer
    receipt.answer = lambda result: {"status": result, "headers": {}, "body": ""}
    answer = {"status": 2, "headers": {}, "body": ""}
    body = {"request": "print", "at": T0, "answer": answer}
    assert record([change, AlreadyExists("x")]) == Document("receipt", "city", "k", body)
    assert receipt.planned == answer
    assert record([None, AlreadyExists("x")]) is None
    assert receipt.planned is None
    assert record([change, RuntimeError("a fault of ours")]) is None
