"""If-Match and If-None-Match as they are read (RFC 9110, 13.1), and what a tag stands for (8.8.3)."""

import pytest
from store_samples import entity

from broker.errors import BadRequestData, OperationNotSupported, PreconditionFailed
from broker.http.conditions import (
    not_modified,
    parse_condition,
    precondition,
    refuse_conditions,
    tag_shown,
    with_tag,
)
from broker.http.message import Response
from broker.model.preconditions import Condition, EntityTag, Precondition, state_tag

STATE = "3.20260101000000000000"
THING = entity(1, version=3)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ('"a"', [EntityTag("a")]),
        ('W/"a"', [EntityTag("a", weak=True)]),
        ('"a", "b"', [EntityTag("a"), EntityTag("b")]),
        ('"a","b"', [EntityTag("a"), EntityTag("b")]),
        (' , "a" ,, \t"b,c" , ', [EntityTag("a"), EntityTag("b,c")]),
        ('""', [EntityTag("")]),
        ('"é"', [EntityTag("é")]),
    ],
)
def test_a_list_of_tags_is_read(text: str, tags: list[EntityTag]) -> None:
    assert parse_condition(text, "If-Match") == Condition(tuple(tags))


def test_an_asterisk_stands_for_anything_that_exists() -> None:
    assert parse_condition(" * ", "If-Match") == Condition(anything=True)


@pytest.mark.parametrize(
    "text", ["", ",", "a", '"a', 'a"', '"a""b"', '"a" "b"', '"a b"', "*, *", '*, "a"', 'w/"a"', "'a'"]
)
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRequestData, match="If-None-Match"):
        parse_condition(text, "If-None-Match")


def test_a_hostile_list_takes_no_time() -> None:
    with pytest.raises(BadRequestData):
        parse_condition('"a"' + ", " * 100_000 + "x", "If-Match")
    with pytest.raises(BadRequestData):
        parse_condition('"' + "a" * 100_000, "If-Match")


def test_no_header_no_condition() -> None:
    assert precondition({}) == Precondition()
    Precondition().check("urn:x", None)


def test_a_condition_where_there_are_no_tags_is_refused_and_not_ignored() -> None:
    refuse_conditions({"accept": "*/*"})
    for header in ("if-match", "if-none-match"):
        with pytest.raises(OperationNotSupported):
            refuse_conditions({header: '"a"'})


@pytest.mark.parametrize("text", [STATE, STATE + ".form", "other"])
@pytest.mark.parametrize("weak", [False, True])
def test_if_match_compares_strongly_and_only_the_state(text: str, weak: bool) -> None:
    condition = Precondition(if_match=Condition((EntityTag(text, weak),)))
    if text.startswith(STATE) and not weak:
        condition.check(THING["id"], THING)
        return
    with pytest.raises(PreconditionFailed) as failure:
        condition.check(THING["id"], THING)
    assert f'"{STATE}"' in failure.value.detail
    assert failure.value.problem() | {"detail": ""} == {
        "type": "about:blank",
        "title": "Precondition Failed",
        "status": 412,
        "detail": "",
        "instance": THING["id"],
        "etag": f'"{STATE}"',
    }


def test_a_tag_of_another_version_that_begins_alike_does_not_match() -> None:
    for text in ("3", STATE + "0", "33.20260101000000000000", STATE[:-1]):
        with pytest.raises(PreconditionFailed):
            Precondition(if_match=Condition((EntityTag(text),))).check(THING["id"], THING)


def test_if_none_match_compares_weakly() -> None:
    condition = Precondition(if_none_match=Condition((EntityTag(STATE, weak=True),)))
    with pytest.raises(PreconditionFailed, match="If-None-Match"):
        condition.check(THING["id"], THING)
    condition.check(THING["id"], None)
    Precondition(if_none_match=Condition((EntityTag("other"),))).check(THING["id"], THING)


def test_an_asterisk_is_about_existence() -> None:
    anything = Condition(anything=True)
    Precondition(if_match=anything).check(THING["id"], THING)
    Precondition(if_none_match=anything).check(THING["id"], None)
    with pytest.raises(PreconditionFailed):
        Precondition(if_match=anything).check(THING["id"], None)
    with pytest.raises(PreconditionFailed):
        Precondition(if_none_match=anything).check(THING["id"], THING)


def test_each_body_has_a_tag_of_its_own_and_all_are_of_one_state() -> None:
    responses = [
        Response(200, {"Content-Type": "application/json", "Link": "<a>"}, b"{}"),
        Response(200, {"Content-Type": "application/json", "Link": "<b>"}, b"{}"),
        Response(200, {"Content-Type": "application/ld+json"}, b"{}"),
        Response(200, {"Content-Type": "application/ld+json"}, b'{"a":1}'),
    ]
    tags = [tag_shown(THING, response) for response in responses]
    assert len(set(tags)) == len(tags)
    for tag in tags:
        assert EntityTag(tag.strip('"')).means(state_tag(THING))
        assert not_modified(parse_condition(tag, "If-None-Match"), tag)
        assert not_modified(parse_condition("W/" + tag, "If-None-Match"), tag)
        assert not not_modified(parse_condition(f'"{STATE}"', "If-None-Match"), tag)
    assert with_tag(Response(204), THING).headers == {"ETag": f'"{STATE}"'}
    assert with_tag(Response(204), None).headers == {}
