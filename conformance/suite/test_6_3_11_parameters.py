"""6.3.11 Including system Attributes, 6.3.18 and 5.5.13 the local scope, 6.3.19 extra headers, 6.3.20 Invalid parameters."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, instant, prop, seconds_from_now, subscription

AFTER_2020 = "timerel=after&timeAt=2020-01-01T00:00:00Z"
SHOWN = [
    "/entities/{id}",
    "/entities?type={type}",
    "/temporal/entities/{id}",
    f"/temporal/entities?type={{type}}&{AFTER_2020}",
    "/subscriptions/{id}",
    "/csourceRegistrations/{id}",
    "/csourceRegistrations?type={elsewhere}",
    "/csourceSubscriptions/{id}",
]
LOCAL_READS = [
    "/entities/{id}",
    "/entities?type={type}",
    "/types",
    "/types/{type}",
    "/attributes",
    "/attributes/speed",
    "/temporal/entities/{id}",
    f"/temporal/entities?type={{type}}&{AFTER_2020}",
]
LOCAL_WRITES: list[tuple[str, str, Any, int]] = [
    ("POST", "/entities/{id}/attrs", {"age": prop(2)}, 204),
    ("PATCH", "/entities/{id}/attrs", {"speed": prop(2)}, 204),
    ("PATCH", "/entities/{id}/attrs/speed", prop(2), 204),
    ("PUT", "/entities/{id}/attrs/speed", prop(2), 204),
    ("DELETE", "/entities/{id}/attrs/speed", None, 204),
    ("PATCH", "/entities/{id}", {"speed": prop(2)}, 204),
    ("PUT", "/entities/{id}", {"type": "Vehicle", "speed": prop(2)}, 204),
    ("DELETE", "/entities/{id}", None, 204),
    ("POST", "/entityOperations/delete", b'["{id}"]', 204),
    ("POST", "/temporal/entities/{id}/attrs", {"speed": [prop(3, observedAt="2026-01-01T00:00:00Z")]}, 204),
    ("DELETE", "/temporal/entities/{id}/attrs/speed", None, 204),
    ("DELETE", "/temporal/entities/{id}", None, 204),
]
PARAMETERLESS = [
    ("POST", "/entities"),
    ("POST", "/entities/{id}/attrs"),
    ("PATCH", "/entities/{id}/attrs"),
    ("PATCH", "/entities/{id}/attrs/speed"),
    ("PUT", "/entities/{id}/attrs/speed"),
    ("DELETE", "/entities/{id}/attrs/speed"),
    ("PATCH", "/entities/{id}"),
    ("PUT", "/entities/{id}"),
    ("DELETE", "/entities/{id}"),
    ("GET", "/entities/{id}"),
    ("GET", "/entities"),
    ("DELETE", "/entities"),
    ("POST", "/entityOperations/create"),
    ("POST", "/entityOperations/query"),
    ("GET", "/types"),
    ("GET", "/attributes/speed"),
    ("POST", "/subscriptions"),
    ("GET", "/subscriptions"),
    ("GET", "/csourceRegistrations"),
    ("GET", "/temporal/entities/{id}"),
]


@pytest.fixture
def elements(broker: BrokerClient, unique: Unique) -> dict[str, str]:
    """The names of what there is: under one id an entity and its evolution, a subscription to it, a registration of entities
    elsewhere, and a subscription to registrations."""
    expires, elsewhere = seconds_from_now(3600), unique.type("Elsewhere")
    one = entity(unique.id(), unique.type(), expiresAt=expires, speed=prop(1))
    broker.post("/entities", one).expect(201)
    evolution = entity(one["id"], unique.type(), speed=[prop(1, observedAt="2026-01-01T00:00:00Z")])
    broker.post("/temporal/entities", evolution).expect(201, 204)
    about = [{"type": unique.type()}]
    given = subscription("http://127.0.0.1:9/", id=one["id"], entities=about, expiresAt=expires, isActive=False)
    broker.post("/subscriptions", given).expect(201)
    broker.post("/csourceSubscriptions", given).expect(201)
    registration = {"id": one["id"], "type": "ContextSourceRegistration", "endpoint": "http://127.0.0.1:9"}
    information = [{"entities": [{"type": elsewhere}]}]
    broker.post("/csourceRegistrations", {**registration, "information": information, "expiresAt": expires}).expect(201)
    return {"id": one["id"], "type": unique.type(), "elsewhere": elsewhere}


def first(body: Any) -> Document:
    """The element, or the first of a list."""
    shown: Document = body[0] if isinstance(body, list) else body
    return shown


@clause("6.3.11", 1, 3)
@pytest.mark.parametrize("path", SHOWN)
def test_sys_attrs_shows_when_an_element_was_created_and_modified(
    broker: BrokerClient, elements: dict[str, str], path: str
) -> None:
    plain = first(broker.get(path.format(**elements)).expect(200).json)
    assert {"createdAt", "modifiedAt", "deletedAt"}.isdisjoint(plain)
    shown = first(broker.get(path.format(**elements), {"options": "sysAttrs"}).expect(200).json)
    assert instant(shown["createdAt"]) <= instant(shown["modifiedAt"])


@clause("6.3.11", 1)
@pytest.mark.parametrize("path", ["/subscriptions", "/csourceSubscriptions"])
def test_sys_attrs_shows_when_listed_subscriptions_were_created(
    broker: BrokerClient, elements: dict[str, str], path: str
) -> None:
    found = broker.get(path, {"options": "sysAttrs", "limit": 100}).expect(200).json
    assert all(instant(each["createdAt"]) <= instant(each["modifiedAt"]) for each in found)
    assert all("createdAt" not in each for each in broker.get(path, {"limit": 100}).expect(200).json)


@clause("6.3.11", 1, 3)
@pytest.mark.parametrize("path", ["/entityOperations/query", "/temporal/entityOperations/query"])
def test_sys_attrs_is_an_option_of_queries_by_post(broker: BrokerClient, elements: dict[str, str], path: str) -> None:
    query: Document = {"type": "Query", "entities": [{"type": elements["type"]}]}
    if path.startswith("/temporal"):
        query["temporalQ"] = {"timerel": "after", "timeAt": "2020-01-01T00:00:00Z"}
    assert "createdAt" not in broker.post(path, query).expect(200).json[0]
    shown = broker.post(f"{path}?options=sysAttrs", query).expect(200).json[0]
    assert instant(shown["createdAt"]) <= instant(shown["modifiedAt"])


@clause("6.3.11", 3)
@pytest.mark.parametrize("form", [None, "concise"])
def test_sys_attrs_shows_when_attributes_were_created(
    broker: BrokerClient, elements: dict[str, str], form: str | None
) -> None:
    broker.patch(f"/entities/{elements['id']}/attrs", {"speed": prop(2)}).expect(204)
    shown = broker.get(f"/entities/{elements['id']}", {"options": "sysAttrs", "format": form}).expect(200).json
    assert instant(shown["speed"]["createdAt"]) <= instant(shown["speed"]["modifiedAt"])
    assert instant(shown["createdAt"]) <= instant(shown["modifiedAt"])


@clause("6.3.11", 3)
def test_sys_attrs_shows_expires_at(broker: BrokerClient, elements: dict[str, str]) -> None:
    shown = broker.get(f"/entities/{elements['id']}", {"options": "sysAttrs"}).expect(200).json
    assert instant(shown["expiresAt"]) > instant(shown["createdAt"])


@clause("6.3.11", 2)
@pytest.mark.parametrize("options", ["sysAttrs,keyValues", "keyValues,sysAttrs", "simplified,sysAttrs"])
def test_sys_attrs_is_no_error_where_attributes_have_nothing_to_show(
    broker: BrokerClient, elements: dict[str, str], options: str
) -> None:
    shown = broker.get(f"/entities/{elements['id']}", {"options": options}).expect(200).json
    assert shown["speed"] == 1


@clause("6.3.18", 1)
@clause("5.5.13", 2)
@pytest.mark.parametrize("local", ["true", "false"])
@pytest.mark.parametrize("path", LOCAL_READS)
def test_reading_takes_local(broker: BrokerClient, elements: dict[str, str], path: str, local: str) -> None:
    target = path.format(**elements)
    expected = broker.get(target).expect(200).json
    shown = broker.get(target, {"local": local}).expect(200).json
    assert first(shown).keys() == first(expected).keys()


@clause("6.3.18", 1)
@clause("5.5.13", 2)
@pytest.mark.parametrize(("method", "path", "document", "status"), LOCAL_WRITES)
def test_writing_takes_local(
    broker: BrokerClient, elements: dict[str, str], method: str, path: str, document: Any, status: int
) -> None:
    body = document.replace(b"{id}", elements["id"].encode()) if isinstance(document, bytes) else document
    broker.request(method, path.format(**elements), body, query={"local": True}).expect(status)


@clause("6.3.18", 1)
@pytest.mark.parametrize("local", ["yes", "1", ""])
@pytest.mark.parametrize("path", LOCAL_READS)
def test_a_local_that_is_neither_true_nor_false_is_refused(
    broker: BrokerClient, elements: dict[str, str], path: str, local: str
) -> None:
    answer = broker.get(path.format(**elements), {"local": local})
    answer.expect_problem("BadRequestData", "InvalidRequest")


@clause("6.3.18", 1)
@clause("5.5.13", 2)
def test_a_query_of_the_local_scope_needs_no_selector(broker: BrokerClient, elements: dict[str, str]) -> None:
    broker.get("/entities").expect_problem("BadRequestData")
    found = broker.get("/entities", {"local": True, "id": elements["id"]}).expect(200).json
    assert [each["id"] for each in found] == [elements["id"]]


@clause("6.3.18", 3)
@pytest.mark.parametrize("via", ["1.1 other", "1.1 a, HTTP/1.1 b:80 (a comment), 2 c", "2 urn:other"])
@pytest.mark.parametrize("path", [*LOCAL_READS, "/subscriptions/{id}", "/csourceSubscriptions/{id}"])
def test_a_request_that_came_by_way_of_others_is_answered(
    broker: BrokerClient, elements: dict[str, str], path: str, via: str
) -> None:
    target = path.format(**elements)
    expected = broker.get(target).expect(200).json
    shown = broker.get(target, headers={"Via": via}).expect(200).json
    assert first(shown).keys() == first(expected).keys()


@clause("6.3.18", 3)
def test_a_write_that_came_by_way_of_others_is_done(broker: BrokerClient, unique: Unique) -> None:
    one, via = entity(unique.id(), unique.type(), speed=prop(1)), {"Via": "1.1 other"}
    broker.post("/entities", one, headers=via).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"speed": prop(2)}, headers=via).expect(204)
    broker.get(f"/entities/{one['id']}").expect(200).expect_json({**one, "speed": prop(2)})
    broker.post("/entityOperations/delete", [one["id"]], headers=via).expect(204)
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("6.3.20", 1)
@pytest.mark.parametrize(("method", "path"), PARAMETERLESS)
def test_a_parameter_that_an_operation_does_not_have_is_an_invalid_request(
    broker: BrokerClient, elements: dict[str, str], method: str, path: str
) -> None:
    before = broker.get(f"/entities/{elements['id']}").expect(200).json
    document = prop(2) if path.endswith("/speed") else {"speed": prop(2)}
    body = document if method in ("POST", "PUT", "PATCH") else None
    query = {"type": elements["type"]} if path == "/entities" and method != "POST" else {}
    answer = broker.request(method, path.format(**elements), body, query={**query, "unheardOf": "1"})
    answer.expect_problem("InvalidRequest")
    broker.get(f"/entities/{elements['id']}").expect(200).expect_json(before)


@clause("6.3.20", 1)
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/types", {"limit": 1}),
        ("/types", {"type": "Vehicle"}),
        ("/entities/{id}", {"q": "speed==1"}),
        ("/entities/{id}", {"limit": 1}),
        ("/subscriptions", {"type": "Vehicle"}),
        ("/subscriptions/{id}", {"limit": 1}),
        ("/entities?type={type}", {"timerel": "before", "timeAt": "2026-01-01T00:00:00Z"}),
        ("/entities?type={type}", {"lastN": 1}),
    ],
)
def test_a_parameter_of_another_operation_is_an_invalid_request(
    broker: BrokerClient, elements: dict[str, str], path: str, query: dict[str, Any]
) -> None:
    broker.get(path.format(**elements), query).expect_problem("InvalidRequest")


@clause("6.3.20", 2)
@pytest.mark.parametrize("options", ["unheardOf", "sysAttrs,unheardOf", "noOverwrite", "SYSATTRS", "temporalValues"])
@pytest.mark.parametrize(
    "path", ["/entities/{id}", "/entities?type={type}", "/subscriptions", "/csourceRegistrations/{id}"]
)
def test_an_option_that_an_operation_does_not_have_is_an_invalid_request(
    broker: BrokerClient, elements: dict[str, str], path: str, options: str
) -> None:
    broker.get(path.format(**elements), {"options": options}).expect_problem("InvalidRequest")


@clause("6.3.20", 2)
@pytest.mark.parametrize("options", ["sysAttrs", "keyValues", "update", "unheardOf"])
def test_a_write_with_an_option_that_it_does_not_have_is_an_invalid_request(
    broker: BrokerClient, elements: dict[str, str], options: str
) -> None:
    path = f"/entities/{elements['id']}/attrs?options={options}"
    broker.post(path, {"speed": prop(2)}).expect_problem("InvalidRequest")
    assert broker.get(f"/entities/{elements['id']}").expect(200).json["speed"] == prop(1)


@clause("6.3.19", 2)
@pytest.mark.parametrize(
    ("key", "value"),
    [("no header", "x"), ("X:Y", "x"), ("", "x"), ("X-Two-Lines", "a\r\nX-Injected: b"), ("X-Two-Lines", "a\nb")],
)
def test_what_cannot_be_a_header_is_no_extra_information(
    broker: BrokerClient, unique: Unique, key: str, value: str
) -> None:
    registration = {"id": unique.id(), "type": "ContextSourceRegistration", "endpoint": "http://127.0.0.1:9"}
    information = [{"entities": [{"type": unique.type()}]}]
    given = {**registration, "information": information, "contextSourceInfo": [{"key": key, "value": value}]}
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")
    broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound")


@clause("6.3.19", 2)
@pytest.mark.parametrize(
    ("key", "value"),
    [("Authorization", "Bearer a.b=="), ("X-Reason", "test, of; headers"), ("X-City", "urn:ngsi-ld:request")],
)
def test_what_can_be_a_header_is_extra_information(broker: BrokerClient, unique: Unique, key: str, value: str) -> None:
    registration = {"type": "ContextSourceRegistration", "endpoint": "http://127.0.0.1:9"}
    information = [{"entities": [{"type": unique.type()}]}]
    given = {**registration, "information": information, "contextSourceInfo": [{"key": key, "value": value}]}
    location = broker.post("/csourceRegistrations", given).expect(201).header("Location")
    shown = broker.get(location).expect(200).json
    assert shown["contextSourceInfo"] == given["contextSourceInfo"]
