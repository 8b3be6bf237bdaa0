"""4.5.1 NGSI-LD Entity Representation, 5.2.4 Entity, 4.16 Supporting Multiple Entity Types, and nulls (4.5.0, 5.2.1)."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, geo, json_prop, lang, list_prop, list_rel, prop, rel, vocab
from conformance.suite.kinds import Kind, each_kind

_NULL = "urn:ngsi-ld:null"


@pytest.mark.parametrize(
    "tail",
    ["", ":a-b_c.d~e", "/path/1", "?q=1", "#part", "%20x", ":東山", ":(1);a=b,c"],
    ids=lambda tail: tail or "plain",
)
@clause("4.5.1", 3)
@clause("5.2.1", 5)
def test_the_id_is_a_uri_or_an_iri(broker: BrokerClient, unique: Unique, tail: str) -> None:
    one = entity(f"https://example.org/{unique.name('e')}{tail}", unique.type(), speed=prop(5))
    broker.post("/entities", one).expect(201)
    broker.get("/entities", {"type": one["type"]}).expect(200).expect_json([one])


@pytest.mark.parametrize(
    "bad",
    ["", "Building1", "no uri", "1a:b", ":b", "urn:", "urn:a b", "urn:<a>", 'urn:"', 5, None, True, ["urn:a:1"], {}],
)
@clause("4.5.1", 3)
@clause("5.2.4", 1)
def test_an_id_that_is_no_uri_is_refused(broker: BrokerClient, unique: Unique, bad: Any) -> None:
    broker.post("/entities", entity(bad, unique.type(), speed=prop(5))).expect_problem("BadRequestData")
    broker.get("/entities", {"type": unique.type()}).expect(200).expect_json([])


@pytest.mark.parametrize("member", ["id", "type"])
@clause("4.5.1", 3, 4)
@clause("5.2.4", 1)
def test_an_entity_without_id_or_type_is_refused(broker: BrokerClient, unique: Unique, member: str) -> None:
    one = entity(unique.id(), unique.type(), **{unique.name("speed"): prop(5)})
    del one[member]
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get("/entities", {"attrs": unique.name("speed")}).expect(200).expect_json([])


@pytest.mark.parametrize("bad", ["", [], 5, None, True, {}, [5], [None], [""], [["Car"]], "two words", "1st"], ids=repr)
@clause("4.5.1", 4)
@clause("5.2.4", 1)
def test_a_type_that_is_no_name_is_refused(broker: BrokerClient, unique: Unique, bad: Any) -> None:
    one = entity(unique.id(), bad, speed=prop(5))
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("format_", ["normalized", "concise", "simplified"])
@clause("4.5.1", 4)
@clause("4.5.4", 4)
def test_several_types_are_an_array(broker: BrokerClient, unique: Unique, format_: str) -> None:
    one = entity(unique.id(), [unique.type("Car"), unique.type("Taxi"), unique.type("Van")])
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"format": format_}).expect(200).json
    assert sorted(shown["type"]) == sorted(one["type"])


@clause("4.5.1", 4)
def test_a_type_that_is_named_twice_is_one_type(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), [unique.type("Car"), unique.type("Car")])
    broker.post("/entities", one).expect(201)
    assert broker.get(f"/entities/{one['id']}").json["type"] in (unique.type("Car"), [unique.type("Car")])


@pytest.mark.parametrize(
    "scope", ["/Kyoto", "/Kyoto/Nakagyo/Nijo_1", ["/Kyoto", "/Sensors/Water"], "/京都/中京"], ids=str
)
@clause("4.5.1", 5)
@clause("5.2.4", 1)
def test_one_scope_or_several(broker: BrokerClient, unique: Unique, scope: Any) -> None:
    one = entity(unique.id(), unique.type(), scope=scope)
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["scope"]
    assert (sorted(shown) if isinstance(shown, list) else shown) == scope


@pytest.mark.parametrize("bad", ["", "/", "/1a", "/a//b", "/a b", "/a/", 5, [], ["/a", 5], {"a": 1}, None], ids=repr)
@clause("4.5.1", 5)
@clause("5.2.4", 1)
def test_what_is_no_scope_is_refused(broker: BrokerClient, unique: Unique, bad: Any) -> None:
    one = entity(unique.id(), unique.type(), scope=bad)
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("bad", ["tomorrow", "2099-01-01", "", 5, None, ["2099-01-01T00:00:00Z"]], ids=repr)
@clause("5.2.4", 1)
@clause("4.8", 2)
def test_an_expiry_that_is_no_date_time_is_refused(broker: BrokerClient, unique: Unique, bad: Any) -> None:
    one = entity(unique.id(), unique.type(), expiresAt=bad)
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("kind", each_kind(1))
@clause("4.5.1", 6, 7)
@clause("4.5.5.1", 2)
def test_instances_with_datasets_of_their_own_make_an_array(broker: BrokerClient, unique: Unique, kind: Kind) -> None:
    instances = [kind.one, {**kind.other, "datasetId": "urn:a:1"}, {**kind.one, "datasetId": "urn:a:2"}]
    one = entity(unique.id(), unique.type(), told=instances)
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["told"]
    assert sorted(shown, key=lambda instance: instance.get("datasetId", "")) == instances


@pytest.mark.parametrize("dataset", [{}, {"datasetId": "urn:a:1"}], ids=["default", "named"])
@pytest.mark.parametrize("kind", each_kind(1))
@clause("4.5.1", 6, 7)
@clause("4.5.5.1", 6)
def test_two_instances_with_the_same_dataset_are_refused(
    broker: BrokerClient, unique: Unique, kind: Kind, dataset: dict[str, str]
) -> None:
    one = entity(unique.id(), unique.type(), told=[{**kind.one, **dataset}, {**kind.other, **dataset}])
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(
    "name", ["datasetId", "instanceId", "observedAt", "unitCode", "valueType", "objectType", "value", "object", "json"]
)
@clause("4.5.1", 8)
def test_a_core_term_that_is_not_reified_is_no_name_of_an_attribute(
    broker: BrokerClient, unique: Unique, name: str
) -> None:
    one = entity(unique.id(), unique.type(), **{name: prop(5)})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")
    bare = entity(unique.id(), unique.type(), speed=prop(5))
    broker.post("/entities", bare).expect(201)
    broker.post(f"/entities/{bare['id']}/attrs", {name: prop(5)}).expect_problem("BadRequestData")
    broker.get(f"/entities/{bare['id']}").expect_json(bare)


@pytest.mark.parametrize(
    "attribute",
    [
        prop(5, **{"@context": {"value": "https://example.org/v"}}),
        rel("urn:a:1", **{"@context": "https://example.org/c.jsonld"}),
        prop(5, source=prop("GPS", **{"@context": {}})),
        [prop(5), prop(6, datasetId="urn:a:1", **{"@context": {}})],
        prop({"@context": {"a": "https://example.org/a"}, "a": 5}),
    ],
    ids=["property", "relationship", "sub-attribute", "instance", "value"],
)
@clause("4.5.1", 9)
def test_a_context_inside_an_attribute_is_refused(broker: BrokerClient, unique: Unique, attribute: Any) -> None:
    one = entity(unique.id(), unique.type(), speed=attribute)
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("method", ["POST", "PATCH"], ids=["append", "update"])
@clause("4.5.1", 9)
def test_a_context_inside_an_attribute_of_a_fragment_is_refused(
    broker: BrokerClient, unique: Unique, method: str
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5))
    broker.post("/entities", one).expect(201)
    nested = {"speed": prop(6, **{"@context": {}})}
    broker.request(method, f"/entities/{one['id']}/attrs", nested).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


# --- several types (4.16)


@clause("4.16", 1)
def test_an_entity_is_one_whatever_types_it_is_asked_for_by(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), [unique.type("Car"), unique.type("Taxi")], speed=prop(5))
    broker.post("/entities", one).expect(201)
    broker.post("/entities", entity(one["id"], unique.type("Van"))).expect_problem("AlreadyExists")
    for name in one["type"]:
        found = broker.get("/entities", {"type": name}).expect(200).json
        assert [(each["id"], sorted(each["type"])) for each in found] == [(one["id"], sorted(one["type"]))]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/attrs"), ("PATCH", "/attrs"), ("PATCH", "")],
    ids=["append", "update", "merge"],
)
@clause("4.16", 2)
def test_updates_add_types_and_take_none_away(broker: BrokerClient, unique: Unique, method: str, path: str) -> None:
    one = entity(unique.id(), unique.type("Car"), speed=prop(5))
    broker.post("/entities", one).expect(201)
    more = {"type": unique.type("Taxi"), "speed": prop(6)}
    broker.request(method, f"/entities/{one['id']}{path}", more).expect(204)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json
    assert sorted(shown["type"]) == [unique.type("Car"), unique.type("Taxi")]
    assert shown["speed"] == prop(6)


@clause("4.16", 2)
def test_a_batch_upsert_in_update_mode_adds_types(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type("Car"), speed=prop(5))
    broker.post("/entities", one).expect(201)
    more = entity(one["id"], unique.type("Taxi"))
    broker.post("/entityOperations/upsert", [more], query={"options": "update"}).expect(204)
    assert sorted(broker.get(f"/entities/{one['id']}").json["type"]) == [unique.type("Car"), unique.type("Taxi")]


@clause("4.16", 3)
def test_only_replacing_an_entity_takes_a_type_away(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), [unique.type("Car"), unique.type("Taxi")], speed=prop(5))
    broker.post("/entities", one).expect(201)
    instead = entity(one["id"], unique.type("Van"), speed=prop(6))
    broker.post("/entityOperations/upsert", [instead]).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(instead)


# --- null (4.5.0, 5.2.1)


@pytest.mark.parametrize(
    "member",
    [
        {"speed": None},
        {"speed": prop(None)},
        {"speed": prop([1, None])},
        {"speed": prop({"a": None})},
        {"speed": prop(5, unitCode=None)},
        {"speed": prop(5, source=None)},
        {"driver": rel("urn:a:1", objectType=None)},
        {"driver": {"type": "Relationship", "object": None}},
        {"driver": {"type": "Relationship", "object": ["urn:a:1", None]}},
        {"location": {"type": "GeoProperty", "value": None}},
        {"says": {"type": "LanguageProperty", "languageMap": None}},
        {"says": {"type": "LanguageProperty", "languageMap": {"en": None}}},
        {"gender": vocab(None)},
        {"list": {"type": "ListProperty", "valueList": None}},
        {"list": list_prop([1, None])},
        {"stops": {"type": "ListRelationship", "objectList": [None]}},
        {"type": None},
        {"scope": None},
    ],
    ids=str,
)
@clause("4.5.0", 1)
@clause("5.2.1", 4)
def test_null_is_no_value(broker: BrokerClient, unique: Unique, member: dict[str, Any]) -> None:
    one = {**entity(unique.id(), unique.type()), **member}
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(
    "member",
    [
        {"speed": _NULL},
        {"speed": prop(_NULL)},
        {"speed": prop({"a": _NULL})},
        {"speed": prop([_NULL])},
        {"speed": prop(5, source=prop(_NULL))},
        {"speed": prop(5, unitCode=_NULL)},
        {"speed": prop(5, observedAt=_NULL)},
        {"speed": prop(5, datasetId=_NULL)},
        {"driver": rel(_NULL)},
        {"driver": rel(["urn:a:1", _NULL])},
        {"says": lang({"@none": _NULL})},
        {"says": lang({"en": _NULL})},
        {"gender": vocab(_NULL)},
        {"list": list_prop([_NULL])},
        {"stops": list_rel([_NULL])},
        {"stops": {"type": "ListRelationship", "objectList": [_NULL]}},
        {"raw": json_prop({"a": _NULL})},
        {"type": _NULL},
        {"scope": _NULL},
        {"expiresAt": _NULL},
    ],
    ids=str,
)
@clause("5.2.1", 4)
def test_the_null_of_ngsi_ld_has_no_place_in_a_new_entity(
    broker: BrokerClient, unique: Unique, member: dict[str, Any]
) -> None:
    one = {**entity(unique.id(), unique.type()), **member}
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/attrs"), ("PUT", ""), ("PUT", "/attrs/speed")],
    ids=["append", "replace", "replace attribute"],
)
@pytest.mark.parametrize("value", [_NULL, {"a": _NULL}, None], ids=str)
@clause("5.2.1", 4)
def test_null_has_no_place_in_appended_or_replacing_data(
    broker: BrokerClient, unique: Unique, method: str, path: str, value: Any
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5))
    broker.post("/entities", one).expect(201)
    given = prop(value) if path == "/attrs/speed" else {**one, "speed": prop(value), "height": prop(1)}
    broker.request(method, f"/entities/{one['id']}{path}", given).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@pytest.mark.parametrize(
    ("attribute", "deletion"),
    [
        pytest.param(prop(5), prop(_NULL), id="Property"),
        pytest.param(rel("urn:a:1"), rel(_NULL), marks=pytest.mark.clause("4.5.3.2", 2), id="Relationship"),
        pytest.param(geo("Point", [1, 2]), {"type": "GeoProperty", "value": _NULL}, id="GeoProperty"),
        pytest.param(
            lang({"en": "yes"}),
            lang({"@none": _NULL}),
            marks=(pytest.mark.clause("4.5.18.2", 3), pytest.mark.clause("4.6.5", 4)),
            id="LanguageProperty",
        ),
        pytest.param(vocab("male"), vocab(_NULL), id="VocabProperty"),
        pytest.param(list_prop([1]), list_prop([_NULL]), marks=pytest.mark.clause("4.5.21.2", 3), id="ListProperty"),
        pytest.param(
            list_rel(["urn:a:1"]), list_rel([_NULL]), marks=pytest.mark.clause("4.5.22.2", 3), id="ListRelationship"
        ),
        pytest.param(json_prop({"a": 1}), json_prop(_NULL), id="JsonProperty"),
        pytest.param(prop(5), _NULL, id="bare"),
    ],
)
@pytest.mark.parametrize("part", ["/attrs", ""], ids=["partial update", "merge"])
@clause("4.5.0", 2)
@clause("5.2.1", 3)
def test_the_null_of_ngsi_ld_removes_an_attribute_in_an_update(
    broker: BrokerClient, unique: Unique, part: str, attribute: Any, deletion: Any
) -> None:
    one = entity(unique.id(), unique.type(), told=attribute, kept=prop(1))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}{part}", {"told": deletion}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"], kept=prop(1)))


@pytest.mark.parametrize("member", ["unitCode", "observedAt", "source", "valueType"])
@clause("5.2.1", 3)
def test_the_null_of_ngsi_ld_removes_a_member_of_an_attribute(
    broker: BrokerClient, unique: Unique, member: str
) -> None:
    extra: dict[str, Any] = {
        "unitCode": "KMH",
        "observedAt": "2026-01-01T00:00:00Z",
        "source": prop("GPS"),
        "valueType": "Speed",
    }
    one = entity(unique.id(), unique.type(), speed=prop(5, **extra))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs/speed", {member: _NULL}).expect(204)
    del extra[member]
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(5, **extra)})


@pytest.mark.parametrize(
    "value", [{"@type": "@json", "@value": None}, {"@type": "@json", "@value": {"a": None}}], ids=str
)
@clause("4.5.0", 3)
def test_a_json_literal_may_hold_null(broker: BrokerClient, unique: Unique, value: Any) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(value))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["speed"]["value"]
    assert shown in (value, {"type": "@json", "@value": value["@value"]})
