"""Smart Data Models as a bundle of schemas: a small one made here, and the real ones where they are present."""

import json
import os
from pathlib import Path

import pytest

from datamodels.bundle import as_checks, load_bundle
from datamodels.errors import InvalidBundle
from datamodels.representations import read_entity
from datamodels.validating import validate, validate_file
from datamodels.validation import Checks

DATA = Path(os.environ.get("TSUNAGU_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
REAL = DATA / "smart-data-models"

MALFORMED = {
    "PublicService",
    "Catalogue",
    "FloodMonitoring",
    "SluiceGate",
    "Person",
    "Hazard",
    "Event",
    "WeatherAlert",
    "WeatherForecast",
    "WifiPointOfInterest",
    "WaterObserved",
}
"""Whose published normalized examples are no NGSI-LD: unknown kinds, Relationships with values, ids that are no URIs ..."""

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "allOf": [
        {"$ref": "https://smart-data-models.github.io/data-models/common-schema.json#/definitions/Named"},
        {
            "properties": {
                "type": {"enum": ["Bench"]},
                "seats": {
                    "$ref": "https://raw.githubusercontent.com/smart-data-models/dataModel.Park/master/park-schema.json#/definitions/count"
                },
                "since": {"type": "string", "format": "date-time"},
            }
        },
    ],
    "required": ["id", "type", "name"],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Park" / "Bench").mkdir(parents=True)
    write(tmp_path / "common-schema.json", {"definitions": {"Named": {"properties": {"name": {"type": "string"}}}}})
    write(tmp_path / "Park" / "park-schema.json", {"definitions": {"count": {"type": "integer", "minimum": 0}}})
    terms = {"Bench": "https://smartdatamodels.org/dataModel.Park/Bench", "name": "https://smartdatamodels.org/name"}
    write(
        tmp_path / "Park" / "context.jsonld",
        {"@context": {**terms, "seats": "park:seats", "park": "https://park.example/"}},
    )
    write(tmp_path / "Park" / "Bench" / "schema.json", SCHEMA)
    return tmp_path


def write(path, document):
    path.write_text(json.dumps(document), "utf-8")


def bench(**attributes):
    return {"id": "urn:ngsi-ld:Bench:1", "type": "Bench", **attributes}


def told(verdict):
    return [(each.attribute, each.rule) for each in verdict.violations]


def test_references_are_resolved_within_the_folder_under_both_published_addresses(folder):
    checks = Checks(as_checks(load_bundle(folder)))
    assert told(validate(bench(name="north", seats=3), checks)) == []
    assert told(validate(bench(name="north", seats=-3), checks)) == [("seats", "minimum")]
    wrong = bench(seats={"type": "Property", "value": "3"})
    assert set(told(validate(wrong, checks))) == {("seats", "type"), ("name", "required")}


def test_a_typed_value_is_its_value_and_date_times_are_taken_as_they_are_published(folder):
    checks = Checks(as_checks(load_bundle(folder)))
    since = {"type": "Property", "value": {"@type": "DateTime", "@value": "2021-04-19T10:00:00.000"}}
    name = {"type": "Property", "value": "north"}
    assert told(validate(bench(name=name, since=since), checks)) == []


def test_names_of_a_type_are_those_of_its_subject_as_a_broker_keeps_them(folder):
    (check,) = load_bundle(folder).values()
    assert check.iri == "https://smartdatamodels.org/dataModel.Park/Bench"
    assert check.expand("seats") == "https://park.example/seats"
    assert check.expand("colour") == "https://uri.etsi.org/ngsi-ld/default-context/colour"
    assert check.expand("location") == "https://uri.etsi.org/ngsi-ld/location"
    kept = {"https://park.example/seats": [{"type": "Property", "value": -1}]}
    assert "seats: -1 is less than the minimum of 0" in map(str, check.violations({"attrs": kept}))
    assert check.instance_violations("https://park.example/seats", kept["https://park.example/seats"][0])
    assert check.instance_violations("https://smartdatamodels.org/name", {"type": "Property", "value": "north"}) == []


def test_a_reference_that_leads_out_of_the_folder_is_refused_and_nothing_is_fetched(folder):
    schema = {"allOf": [{"$ref": "https://smart-data-models.github.io/dataModel.Other/other-schema.json"}]}
    write(folder / "Park" / "Bench" / "schema.json", schema)
    with pytest.raises(InvalidBundle, match=r"Park/Bench.*other-schema\.json"):
        load_bundle(folder)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(InvalidBundle, match="is no folder"):
        load_bundle(tmp_path / "nowhere")
    with pytest.raises(InvalidBundle, match=r"no SUBJECT/TYPE/schema\.json"):
        load_bundle(tmp_path)
    (tmp_path / "A" / "B").mkdir(parents=True)
    (tmp_path / "A" / "B" / "schema.json").write_text("{", "utf-8")
    with pytest.raises(InvalidBundle, match=r"schema\.json"):
        load_bundle(tmp_path)
    write(tmp_path / "A" / "B" / "schema.json", {"type": 3})
    with pytest.raises(InvalidBundle, match="A/B"):
        load_bundle(tmp_path)


def test_of_a_type_that_both_have_ours_counts_unless_the_bundle_is_put_first(folder):
    schema = {"required": ["colour"], "properties": {"type": {"const": "WeatherObserved"}}}
    (folder / "Weather" / "WeatherObserved").mkdir(parents=True)
    write(folder / "Weather" / "WeatherObserved" / "schema.json", schema)
    bundle = as_checks(load_bundle(folder))
    iri = "https://smartdatamodels.org/dataModel.Weather/WeatherObserved"
    assert iri in bundle
    assert Checks(bundle).of(iri) is Checks().of(iri)
    assert Checks(bundle, bundle_first=True).of(iri) is bundle[iri]
    assert Checks(bundle).find("Bench") in Checks(bundle).types


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="Smart Data Models are not here")
def test_the_malformed_public_examples_are_found_and_the_others_are_ngsi_ld():
    bundle = load_bundle(REAL)
    assert len(bundle) == 45
    checks = Checks(as_checks(bundle), bundle_first=True)
    malformed = set()
    for check in bundle.values():
        path = REAL / check.subject / check.name / "example-normalized.jsonld"
        reading = read_entity(json.loads(path.read_text("utf-8")))
        assert reading.representation == "normalized"
        if reading.faults:
            malformed.add(check.name)
            (verdict,) = validate_file(path, checks)
            assert not verdict.ok
    assert malformed == MALFORMED


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="Smart Data Models are not here")
def test_the_key_values_examples_fit_their_schemas():
    bundle = load_bundle(REAL)
    checks = Checks(as_checks(bundle), bundle_first=True)
    wrong = {}
    for check in bundle.values():
        for verdict in validate_file(
            REAL / check.subject / check.name / "example.jsonld", checks, representation="keyValues"
        ):
            if not verdict.ok:
                wrong[check.name] = [each.rule for each in verdict.violations]
    assert wrong.pop("PointOfInterest") == ["json"]
    assert set(wrong) == {"WeatherAlert", "WeatherForecast", "WifiPointOfInterest", "Event", "WaterObserved"}
    assert {rule for rules in wrong.values() for rule in rules} == {"format"}  # ids that are no URIs
