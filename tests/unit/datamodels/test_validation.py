"""Entities held against their models, in every representation."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodels import model_of, models
from datamodels.model import VALUE_MEMBER
from datamodels.representations import read_entity, representation_of
from datamodels.validating import validate, validate_file
from datamodels.validation import MOST_VIOLATIONS, Checks, check_of

CHECKS = Checks()


def key_values(entity):
    """An entity in simplified representation (4.5.4)."""
    return {
        name: value if isinstance(value, str) else value[VALUE_MEMBER[value["type"]]] for name, value in entity.items()
    }


def concise(entity):
    """An entity in concise representation (4.5.1)."""
    found = {}
    for name, value in entity.items():
        rest = {key: each for key, each in value.items() if key != "type"} if isinstance(value, dict) else value
        found[name] = rest["value"] if isinstance(rest, dict) and rest.keys() == {"value"} else rest
    return found


def faults(entity, **options):
    return [(each.attribute, each.rule) for each in validate(entity, CHECKS, **options).violations]


def gauge(**changes):
    return {**model_of("RiverGauge").example(), **changes}


@pytest.mark.parametrize("entity_type", sorted(models()))
@pytest.mark.parametrize("form", [dict, concise, key_values])
def test_the_example_of_a_model_is_valid_in_every_representation(entity_type, form):
    entity = form(model_of(entity_type).example())
    verdict = validate(entity, CHECKS)
    assert verdict.violations == ()
    assert verdict.models == (entity_type,)


def test_a_violation_names_attribute_and_rule_and_says_what_is_wrong():
    level = {"type": "Property", "value": "high", "unitCode": "CMT", "observedAt": "2026-06-30T05:20:00Z"}
    found = validate(gauge(waterLevel=level), CHECKS).violations
    assert {(each.attribute, each.rule) for each in found} == {("waterLevel", "type"), ("waterLevel", "const")}
    assert 'waterLevel: unitCode: "MTR" is wanted, not "CMT"' in map(str, found)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"waterLevel": {"type": "Property", "value": 1.5, "unitCode": "MTR"}}, ("waterLevel", "required")),
        ({"name": {"type": "Property", "value": ""}}, ("name", "minLength")),
        ({"name": {"type": "LanguageProperty", "languageMap": {"ja": "江端"}}}, ("name", "const")),
        (
            {"levelStatus": {"type": "Property", "value": 5, "observedAt": "2026-06-30T05:20:00Z"}},
            ("levelStatus", "maximum"),
        ),
        ({"managedBy": {"type": "Property", "value": "福井県"}}, ("managedBy", "const")),
        (
            {"location": {"type": "GeoProperty", "value": {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}}},
            ("location", "const"),
        ),
    ],
)
def test_what_breaks_a_rule_is_told(changes, expected):
    assert expected in faults(gauge(**changes))


def test_what_is_missing_is_told_and_what_the_model_lacks_is_not():
    entity = gauge(colour={"type": "Property", "value": "blue"})
    del entity["name"]
    assert faults(entity) == [("name", "required")]


def test_codes_are_checked_by_their_check_digits_and_lists():
    aed = model_of("AED").example()
    code = {"type": "Property", "value": "222128"}
    assert faults({**aed, "localGovernmentCode": code}) == [("localGovernmentCode", "format")]
    number = {"type": "Property", "value": "8000012050002"}
    assert faults({**aed, "corporateNumber": number}) == [("corporateNumber", "format")]
    facility = model_of("PublicFacility").example()
    assert faults({**facility, "poiCode": {"type": "Property", "value": ["9999"]}}) == [("poiCode", "format")]


def test_a_municipality_that_is_none_today_is_a_note_and_no_violation():
    entity = {**model_of("AED").example(), "localGovernmentCode": {"type": "Property", "value": "999997"}}
    verdict = validate(entity, CHECKS)
    assert verdict.ok
    assert verdict.notes == ("localGovernmentCode: 999997 is no local government today",)


def test_4_5_5_every_instance_of_an_attribute_is_checked():
    other = {"type": "Property", "value": 3, "unitCode": "CMT", "datasetId": "urn:ngsi-ld:Dataset:b"}
    (found,) = validate(gauge(dangerLevel=[gauge()["dangerLevel"], other]), CHECKS).violations
    assert (found.attribute, found.rule) == ("dangerLevel", "const")
    assert "urn:ngsi-ld:Dataset:b" in found.detail


def test_a_date_may_be_a_typed_value():
    event = model_of("Event").example()
    typed = {"type": "Property", "value": {"@type": "DateTime", "@value": "2026-08-05T00:00:00Z"}}
    assert faults({**event, "startDate": typed}) == []
    wrong = {"type": "Property", "value": {"@type": "DateTime", "@value": "8月5日"}}
    assert faults({**event, "startDate": wrong}) == [("startDate", "anyOf")]


def test_an_entity_of_several_types_is_held_against_each_model():
    entity = {**model_of("WeatherAlert").example(), "type": ["WeatherAlert", "Alert", "Unknown"]}
    assert validate(entity, CHECKS).models == ("WeatherAlert", "Alert")


def test_names_may_be_iris():
    model = model_of("RiverGauge")
    example = model.example()
    entity = {"id": example.pop("id"), "type": model.iri}
    example.pop("type")
    entity |= {model.attributes[name].wire_name: value for name, value in example.items()}
    assert validate(entity, CHECKS).models == ("RiverGauge",)
    entity[model.attributes["waterLevel"].iri] = {"type": "Property", "value": 1}
    assert set(faults(entity)) == {("waterLevel", "required")}


def test_an_entity_without_model_is_noted():
    verdict = validate({"id": "urn:x:1", "type": "Unicorn", "horns": {"type": "Property", "value": 1}}, CHECKS)
    assert verdict.ok
    assert verdict.models == ()
    assert verdict.notes == ("there is no model of Unicorn",)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"type": "X"}, ("id", "required")),
        ({"id": "no-uri", "type": "X"}, ("id", "format")),
        ({"id": "urn:x:1"}, ("type", "required")),
        ({"id": "urn:x:1", "type": "X", "a": {"type": "number", "value": 1}}, ("a", "type")),
        ({"id": "urn:x:1", "type": "X", "a": {"type": "Property", "object": "urn:x:2"}}, ("a", "required")),
        ({"id": "urn:x:1", "type": "X", "a": {"type": "Relationship", "object": "x"}}, ("a", "format")),
        ({"id": "urn:x:1", "type": "X", "a": {"type": "Property", "value": None}}, ("a", "type")),
        ({"id": "urn:x:1", "type": "X", "a": {"type": "Property", "value": 1, "observedAt": "1"}}, ("a", "format")),
        ({"id": "urn:x:1", "type": "X", "a": {"type": "Property", "value": 1, "b": 2}}, ("a.b", "type")),
        ({"id": "urn:x:1", "type": "X", "a": {"type": "GeoProperty", "value": "35,139"}}, ("a", "type")),
        ([], (None, "type")),
        (None, (None, "type")),
    ],
)
def test_what_is_no_ngsi_ld_is_told_before_any_model_is_asked(document, expected):
    verdict = validate(document, CHECKS)
    assert expected in [(each.attribute, each.rule) for each in verdict.violations]


def test_representations_are_told_apart():
    example = model_of("RiverGauge").example()
    assert representation_of(example) == "normalized"
    assert representation_of(concise(example)) == "concise"
    assert representation_of(key_values(example)) == "keyValues"
    places = {"id": "urn:x:1", "type": "X", "levels": [{"id": 1, "value": "Low"}], "address": {"type": "PostalAddress"}}
    assert representation_of(places) == "keyValues"
    assert read_entity(places).attributes["levels"] == [{"value": [{"id": 1, "value": "Low"}]}]


def test_units_and_times_are_wanted_in_concise_but_cannot_be_in_key_values():
    assert faults({**concise(gauge()), "dangerLevel": 5}) == [("dangerLevel", "required")]
    assert faults({**key_values(gauge()), "dangerLevel": "5"}) == [("dangerLevel", "type")]


def test_a_hostile_entity_has_a_bounded_list_of_violations_and_short_words():
    value = ["x" * 1_000] * 20
    found = validate(gauge(waterLevel=[{"type": "Property", "value": value}] * 500), CHECKS).violations
    assert 0 < len(found) <= MOST_VIOLATIONS
    assert all(len(each.detail) < 500 for each in found)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_is_in_a_document_validation_has_an_answer(document):
    assert validate(document, CHECKS).place == ""
    assert validate({**gauge(), "name": document, "waterLevel": [document]}, CHECKS).place == ""


def test_a_check_is_compiled_once():
    assert check_of("AED") is check_of("AED")
    assert CHECKS.of(model_of("AED").iri) is check_of("AED")


def test_a_single_instance_is_checked_without_what_else_the_entity_needs():
    check = check_of("RiverGauge")
    level = model_of("RiverGauge").attributes["waterLevel"].wire_name
    good = {"type": "Property", "value": 1.5, "unitCode": "MTR", "observedAt": "2026-06-30T05:20:00Z"}
    assert check.instance_violations(level, good) == []
    assert [each.rule for each in check.instance_violations(level, {**good, "unitCode": "CMT"})] == ["const"]
    assert check.instance_violations("https://example.org/unknown", {"type": "Property", "value": 1}) == []


def test_files_of_lines_lists_and_single_entities_are_read(tmp_path):
    good = json.dumps(model_of("AED").example(), ensure_ascii=False)
    lines = tmp_path / "a.jsonl"
    lines.write_text(f"{good}\n\n{{broken\n{good}\n", "utf-8")
    assert [(each.place, each.ok) for each in validate_file(lines, CHECKS)] == [
        ("line 1", True),
        ("line 3", False),
        ("line 4", True),
    ]
    listed = tmp_path / "a.json"
    listed.write_text(f"\ufeff[{good}, 3]", "utf-8")
    assert [(each.place, each.ok) for each in validate_file(listed, CHECKS)] == [
        ("entity 1", True),
        ("entity 2", False),
    ]
    single = tmp_path / "a.jsonld"
    single.write_text(good, "utf-8")
    assert [str(each) for verdict in validate_file(single, CHECKS) for each in verdict.violations] == [
        "@context: is missing in a file of JSON-LD"
    ]
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000, "utf-8")
    assert [each.ok for each in validate_file(deep, CHECKS)] == [False]


def nested(levels, value=1):
    for _ in range(levels):
        value = {"type": "Property", "value": 1, "below": value}
    return value


@pytest.mark.parametrize("value", ["\ud800", [[[]]], nested(300), nested(3_000)])
def test_what_no_broker_would_take_is_a_violation_and_no_crash(value):
    deep = [value]
    for _ in range(400):
        deep = [deep]
    verdict = validate(gauge(name={"type": "Property", "value": deep}, stationId=value), CHECKS)
    assert not verdict.ok
