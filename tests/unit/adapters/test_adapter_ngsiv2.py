"""NGSIv2: ids, kinds, positions, instants, units and names on their way to NGSI-LD."""

import os
from pathlib import Path

import orjson
import pytest

from adapters.contract import Origin
from adapters.errors import UnreadableFile
from adapters.ngsiv2 import NGSIV2, Ngsiv2Options, decode_entities
from adapters.testing import AdapterContract, Sample

DATA = (
    Path(os.environ.get("TSUNAGU_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "smart-data-models"
)
ROOM = {
    "id": "Room 1",
    "type": "Room",
    "temperature": {
        "type": "Number",
        "value": 23.5,
        "metadata": {
            "unitCode": {"type": "Text", "value": "CEL"},
            "TimeInstant": {"type": "DateTime", "value": "2026-06-30T14:20:00+09:00"},
            "accuracy": {"type": "Number", "value": 0.5},
        },
    },
    "refFloor": {"type": "Text", "value": "2F"},
    "owner": {"type": "Relationship", "value": "urn:ngsi-ld:Person:1"},
    "location": {"type": "geo:point", "value": "35.69, 139.75"},
    "since": {"type": "DateTime", "value": "2026-06-30T05:20:00.5Z"},
    "note": {"type": "Text", "value": "a %3Cb%3E"},
    "nothing": {"type": "Text", "value": None},
    "parts": {"type": "StructuredValue", "value": {"a": 1, "b": None}},
}


def decode(document, parameters=(), **options):
    origin = Origin("http://orion.example", "2026-06-30T05:20:00.000Z", parameters=dict(parameters))
    return decode_entities(orjson.dumps(document), origin, Ngsiv2Options(**options), None)


def only(document, **options):
    (entity,) = decode(document, **options).entities
    return entity


class TestNgsiv2(AdapterContract):
    adapter = NGSIV2
    samples = (
        Sample(orjson.dumps([ROOM]), records=1, absent=[("urn:ngsi-ld:Room:Room%201", "nothing")]),
        Sample(orjson.dumps({"subscriptionId": "5", "data": [ROOM, {"type": "Room"}, 3]}), records=3),
        Sample(orjson.dumps({"id": "Room2", "temperature": 21})),
    )


def test_an_id_that_is_no_urn_becomes_one_and_one_that_is_stays():
    assert only(ROOM)["id"] == "urn:ngsi-ld:Room:Room%201"
    assert only({"id": "urn:ngsi-ld:Room:7", "type": "Room"})["id"] == "urn:ngsi-ld:Room:7"


def test_values_become_attributes_of_the_kind_that_they_are():
    room = only(ROOM)
    assert room["temperature"] == {
        "type": "Property",
        "value": 23.5,
        "unitCode": "CEL",
        "observedAt": "2026-06-30T05:20:00Z",
        "accuracy": {"type": "Property", "value": 0.5},
    }
    assert room["refFloor"] == {"type": "Relationship", "object": "urn:ngsi-ld:Floor:2F"}
    assert room["owner"] == {"type": "Relationship", "object": "urn:ngsi-ld:Person:1"}
    assert room["since"]["value"] == {"@type": "DateTime", "@value": "2026-06-30T05:20:00.500Z"}
    assert room["parts"]["value"] == {"a": 1}
    assert room["note"]["value"] == "a <b>"


@pytest.mark.parametrize(
    ("kind", "value", "geometry"),
    [
        ("geo:point", "35.69, 139.75", {"type": "Point", "coordinates": [139.75, 35.69]}),
        ("geo:line", ["35,139", "36,140"], {"type": "LineString", "coordinates": [[139, 35], [140, 36]]}),
        (
            "geo:box",
            ["35,139", "36,140"],
            {"type": "Polygon", "coordinates": [[[139, 35], [140, 35], [140, 36], [139, 36], [139, 35]]]},
        ),
        (
            "geo:polygon",
            ["35,139", "36,140", "35,140", "35,139"],
            {"type": "Polygon", "coordinates": [[[139, 35], [140, 36], [140, 35], [139, 35]]]},
        ),
        (
            "geo:json",
            {"type": "Point", "coordinates": [139.75, 35.69]},
            {"type": "Point", "coordinates": [139.75, 35.69]},
        ),
    ],
)
def test_positions_turn_round(kind, value, geometry):
    assert only({"id": "1", "type": "A", "location": {"type": kind, "value": value}})["location"] == {
        "type": "GeoProperty",
        "value": geometry,
    }


@pytest.mark.parametrize("value", ["139.75;35", "95,139", "35", ["35,139", "x"], 3])
def test_a_position_that_is_none_stays_a_property_and_is_reported(value):
    decoded = decode({"id": "1", "type": "A", "location": {"type": "geo:point", "value": value}})
    assert decoded.entities[0]["location"]["type"] == "Property"
    assert "not-a-geometry" in [repair.rule for repair in decoded.repairs]


def test_the_instant_of_an_entity_is_that_of_its_attributes():
    entity = only(
        {
            "id": "1",
            "type": "A",
            "t": {"value": 3},
            "TimeInstant": {"type": "DateTime", "value": "2026-06-30T05:20:00Z"},
        }
    )
    assert entity["t"]["observedAt"] == "2026-06-30T05:20:00Z"
    assert "TimeInstant" not in entity


def test_bare_values_are_taken_as_they_are():
    assert only({"id": "1", "type": "A", "t": 3, "s": "x"})["t"] == {"type": "Property", "value": 3}


def test_the_service_path_becomes_the_scope():
    assert decode(ROOM, {"fiware-servicepath": "/madrid/park"}.items()).entities[0]["scope"] == "/madrid/park"
    assert "scope" not in decode(ROOM, {"fiware-servicepath": "/"}.items()).entities[0]


def test_a_unit_that_is_not_in_the_list_is_kept_beside():
    entity = only({"id": "1", "type": "A", "t": {"value": 3, "metadata": {"unitCode": {"value": "hPa"}}}})
    assert "unitCode" not in entity["t"]
    assert entity["t"]["unitText"]["value"] == "hPa"


def test_names_that_ngsi_ld_does_not_allow_are_made_plain_and_reported():
    decoded = decode({"id": "1", "type": "A", "air-temp": 3, "名称": "x"})
    assert decoded.entities[0].keys() == {"id", "type", "air_temp", "名称"}
    assert [repair.rule for repair in decoded.repairs if repair.column == "air-temp"] == ["name-made-plain"]


def test_what_is_no_entity_is_quarantined_and_what_is_no_list_refused():
    decoded = decode([{"type": "A"}, 3, {"id": "1", "type": "A B"}])
    assert [each.rule for each in decoded.quarantine] == ["no-id", "no-id", "no-type"]
    with pytest.raises(UnreadableFile):
        decode({"x": 1})


@pytest.mark.real_data
def test_the_public_examples_of_smart_data_models_are_all_taken_over():
    files = sorted(DATA.glob("*/*/example-normalized.json")) if DATA.is_dir() else []
    if not files:
        pytest.skip("the real files smart-data-models are not present")
    for file in files:
        origin = Origin("http://orion.example", "2026-06-30T05:20:00.000Z")
        decoded = decode_entities(file.read_bytes(), origin, Ngsiv2Options(), None)
        assert decoded.quarantine == (), file.name
        assert len(decoded.entities) == decoded.records == 1
