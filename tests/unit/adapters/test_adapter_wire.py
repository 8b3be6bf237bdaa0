"""What differs between a decoded entity and the broker's, and what an import may touch."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from adapters.wire import change, to_wire
from datamodels import model_of

SITE = model_of("EvacuationSite")
ENTITY = {
    "id": "urn:ngsi-ld:EvacuationSite:999997:1",
    "type": "EvacuationSite",
    "name": {"type": "Property", "value": "中央公園"},
    "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [138.0, 34.5]}},
    "elevation": {"type": "Property", "value": 3, "unitCode": "MTR"},
    "hazardTypes": {"type": "Property", "value": ["flood"]},
    "alsoDesignatedShelter": {"type": "Property", "value": True},
    "description": {"type": "Property", "value": "備考"},
}
WIRE = to_wire(ENTITY, SITE)
OWNED = [attribute.wire_name for attribute in SITE.attributes.values()]
HAZARDS = "https://datamodels.jp/ns/disaster/hazardTypes"
ELEVATION = "https://datamodels.jp/ns/disaster/elevation"


def test_names_on_the_wire_need_no_context():
    assert WIRE["type"] == "https://datamodels.jp/ns/disaster/EvacuationSite"
    assert {"id", "type", "location", "description", HAZARDS} <= set(WIRE)
    assert all(name in ("id", "type", "location", "description") or name.startswith("https://") for name in WIRE)


def test_an_entity_that_the_broker_lacks_is_created_whole():
    assert change(WIRE, None, OWNED).created
    assert change(WIRE, None, OWNED).fragment == WIRE


def test_what_a_broker_adds_is_no_difference():
    current = copy.deepcopy(WIRE)
    current["@context"] = ["https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld"]
    current["createdAt"] = "2026-01-01T00:00:00Z"
    for name, attribute in current.items():
        if isinstance(attribute, dict):
            attribute |= {"createdAt": "2026-01-01T00:00:00Z", "modifiedAt": "2026-01-01T00:00:00Z"}
            assert name
    current["ngsi-ld:name"] = current.pop("https://uri.etsi.org/ngsi-ld/name")
    current[HAZARDS]["value"] = "flood"
    current[ELEVATION]["value"] = 3.0
    current["https://example.org/openingStatus"] = {"type": "Property", "value": "open"}
    assert change(WIRE, current, OWNED) is None


def test_only_what_differs_is_sent_and_only_what_is_owned_is_removed():
    current = copy.deepcopy(WIRE)
    current[ELEVATION]["value"] = 4
    current["https://schema.org/telephone"] = {"type": "Property", "value": "+81999000001"}
    current["https://example.org/openingStatus"] = {"type": "Property", "value": "open"}
    found = change(WIRE, current, OWNED)
    assert found.fragment == {"id": WIRE["id"], "type": WIRE["type"], ELEVATION: WIRE[ELEVATION]}
    assert found.removed == ("https://schema.org/telephone",)
    assert not found.created


def test_one_and_true_are_two_values():
    current = copy.deepcopy(WIRE)
    current["https://datamodels.jp/ns/disaster/alsoDesignatedShelter"]["value"] = 1
    assert change(WIRE, current, OWNED).attributes == ("https://datamodels.jp/ns/disaster/alsoDesignatedShelter",)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
ENTITIES = st.dictionaries(
    st.sampled_from(OWNED), st.fixed_dictionaries({"type": st.just("Property"), "value": VALUES}), max_size=4
).map(lambda attributes: {"id": "urn:x:1", "type": SITE.iri, **attributes})


@given(ENTITIES, ENTITIES)
def test_applying_a_change_leaves_nothing_to_change(wanted, current):
    found = change(wanted, current, OWNED)
    after = dict(current)
    if found is not None:
        after.update(found.fragment)
        for name in found.removed:
            del after[name]
    assert change(wanted, after, OWNED) is None
    assert change(wanted, wanted, OWNED) is None
