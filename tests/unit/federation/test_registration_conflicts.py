"""Which proxied registrations exclude each other (4.3.6.3, 5.9.2.4)."""

from typing import Any

import pytest
from registration_samples import VEHICLE, about, registration

from broker.federation.conflicts import conflict

OTHER = "urn:ngsi-ld:Vehicle:B1"


def exclusive(*names: str, entity_id: str = VEHICLE, type_: str = "Vehicle") -> dict[str, Any]:
    information = about({"type": type_, "id": entity_id}, propertyNames=list(names))
    return {"mode": "exclusive", "information": information}


def redirect(*entities: dict[str, Any], **names: list[str]) -> dict[str, Any]:
    return {"mode": "redirect", "information": about(*entities, **names)}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (exclusive("speed"), exclusive("speed"), True),
        (exclusive("speed", "brand"), exclusive("brand"), True),
        (exclusive("speed"), exclusive("brand"), False),
        (exclusive("speed"), exclusive("speed", entity_id=OTHER), False),
        (exclusive("speed"), exclusive("speed", type_="Bus"), True),
        (exclusive("speed"), redirect({"type": "Vehicle", "id": VEHICLE}), True),
        (exclusive("speed"), redirect({"type": "Vehicle", "id": OTHER}), False),
        (exclusive("speed"), redirect({"type": "Vehicle"}), True),
        (exclusive("speed"), redirect({"type": "Vehicle"}, propertyNames=["brand"]), False),
        (exclusive("speed"), redirect({"type": "Bus"}), False),
        (exclusive("speed"), redirect({"type": "Vehicle", "idPattern": "A456$"}), True),
        (exclusive("speed"), redirect({"type": "Vehicle", "idPattern": "B$"}), False),
        (exclusive("speed"), redirect(relationshipNames=["speed"]), True),
        (exclusive("speed"), redirect(propertyNames=["brand"]), False),
        (redirect({"type": "Vehicle"}), redirect({"type": "Vehicle"}), False),
        (exclusive("speed"), exclusive("speed") | {"mode": "inclusive"}, False),
        (
            exclusive("speed"),
            redirect({"type": "Vehicle"}) | {"mode": "auxiliary", "operations": ["retrieveOps"]},
            False,
        ),
    ],
)
def test_4_3_6_3_an_exclusive_registration_overlaps_no_other_proxied_one(
    one: dict[str, Any], other: dict[str, Any], expected: bool
) -> None:
    assert conflict(registration(**one), registration(**other)) is expected
    assert conflict(registration(**other), registration(**one)) is expected
