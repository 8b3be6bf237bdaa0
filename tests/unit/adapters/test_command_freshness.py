"""How old the state is that an interlock was read from (docs/commands.md)."""

import math

import pytest

from adapters.actuation.freshness import attributes_in, too_old

NOW = "2026-06-30T05:20:00.000Z"
ENTITY = {
    "id": "urn:ngsi-ld:SluiceGate:1",
    "type": "SluiceGate",
    "manualMode": {"type": "Property", "value": False, "modifiedAt": "2026-06-30T05:10:00Z"},
    "level": {
        "type": "Property",
        "value": 1,
        "observedAt": "2026-06-30T05:19:30Z",
        "modifiedAt": "2026-06-30T05:19:40Z",
    },
    "levelStatus": {"type": "Property", "value": "normal", "observedAt": "2026-06-29T05:20:00Z"},
    "ahead": {
        "type": "Property",
        "value": 1,
        "observedAt": "2036-01-01T00:00:00Z",
        "modifiedAt": "2026-06-30T04:20:00Z",
    },
    "impossible": {"type": "Property", "value": 1, "observedAt": "2036-01-01T00:00:00Z"},
    "timeless": {"type": "Property", "value": 1},
    "several": [
        {"type": "Property", "value": 1, "observedAt": "2026-06-30T05:19:59Z"},
        {"type": "Property", "value": 2, "observedAt": "2026-06-30T03:19:59Z", "datasetId": "urn:d"},
    ],
    "https://w3id.org/tsunagu/ns/pumpLevel": {"type": "Property", "value": 1, "observedAt": "2026-06-30T05:19:59Z"},
}


@pytest.mark.parametrize(
    ("q", "names"),
    [
        ("manualMode==false", {"manualMode"}),
        ("level<3;manualMode==false", {"level", "manualMode"}),
        ('(level<3|levelStatus=="a;b|manualMode")', {"level", "levelStatus"}),
        ("!timeless;level.observedAt>2026-06-30T00:00:00Z", {"timeless", "level"}),
        ("level[high]<=3", {"level"}),
        ("levelStatus~=normal", {"levelStatus"}),
        ("refGate{SluiceGate:manualMode==false};level==1..3", {"level"}),
        ("https%3A%2F%2Fw3id.org%2Ftsunagu%2Fns%2FpumpLevel<3", {"https://w3id.org/tsunagu/ns/pumpLevel"}),
        ("https://w3id.org/tsunagu/ns/pumpLevel<3", {"https://w3id.org/tsunagu/ns/pumpLevel"}),
        ("lev<3", set()),
    ],
)
def test_the_attributes_of_a_query_are_found(q, names):
    assert attributes_in(q, ENTITY) == names


@pytest.mark.parametrize(
    ("q", "max_age", "said"),
    [
        ("level<3", 60, None),
        ("level<3", 29, "level is 30 s old"),
        ("manualMode==false", 900, None),
        ("manualMode==false", 599, "manualMode is 600 s old"),
        ('level<3;levelStatus=="normal"', 900, "levelStatus is 86,400 s old"),
        ("ahead==1", 900, "ahead is 3,600 s old"),
        ("impossible==1", 900, "does not say when"),
        ("timeless==1", 900, "does not say when"),
        ("several==1", 900, "several is 7,201 s old"),
        ("!absent", 900, "no attribute that the entity has"),
        ("level<3;refGate{SluiceGate:manualMode==false}", 900, "an entity that this one links to"),
        ("(level<3|refGate{manualMode==false})", 900, "an entity that this one links to"),
        ("level{manualMode==false}", 900, "an entity that this one links to"),
        ('level!="a{b}";level~=^[0-9]{1}$', 900, None),
        ("refGate{manualMode==false}", math.inf, None),
        ('levelStatus=="normal"', math.inf, None),
        ("!absent", math.inf, None),
    ],
)
def test_a_state_is_as_old_as_the_oldest_attribute_that_the_query_is_about(q, max_age, said):
    found = too_old(ENTITY, q, max_age, NOW)
    assert (found is None) if said is None else said in found
