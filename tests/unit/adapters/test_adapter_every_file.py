"""Every real file at hand: which adapter reads it, that all of its records are accounted for, and that what it gives is valid.

What the numbers mean, and what is in the entities, is in the tests of each adapter; here nothing may be left out.
"""

import json
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from adapters.contract import Origin
from adapters.options import read_options
from adapters.registry import adapter_named
from adapters.testing import shape_violations
from datamodels import models, schema
from examples.one_city.expected import rows_in

DATA = Path(os.environ.get("TSUNAGU_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")

pytestmark = pytest.mark.real_data


@dataclass(frozen=True)
class Claim:
    """Files that one feed of an adapter reads, in this order: records and quarantined ones by pattern, where they are known.

    `counted` says that a record is a row or a member, which can be counted without the adapter; `ours` that the entities are
    of our models.
    """

    adapter: str
    files: dict[str, tuple[int, int] | None]
    options: dict[str, Any] = field(default_factory=dict)
    counted: bool = False
    ours: bool = True


CLAIMS = {
    "tables": Claim("table", {"municipal-*/*": None, "shelter-status-nanao/*": None}, counted=True),
    "fukui": Claim(
        "river-level",
        {
            "river-fukui/sensors.csv": (103, 0),
            "river-fukui/suii_ichi.csv": (99, 1),
            "river-fukui/2021-08-14.csv": (7228, 0),
            "river-fukui/2023-07-13.csv": (1823, 0),
            "river-fukui/2026-08-22.csv": (2787, 0),
        },
        counted=True,
    ),
    "amedas": Claim(
        "jma-amedas",
        {
            "jma-amedas/amedastable.2021.json": (1295, 0),
            "jma-amedas/map_20210224150000.json": (1295, 0),
            "jma-amedas/amedastable.2025.json": (1286, 0),
        },
        counted=True,
    ),
    "telegrams": Claim("jma-xml", {"jma-xml/*.xml": (1, 0)}),
    "kawabou": Claim(
        "kawabou",
        {
            "handwritten/kawabou/tmCrntTime.json": (1, 0),
            "handwritten/kawabou/tmlist_stg_*.json": (9, 0),
            "handwritten/kawabou/tmlist_rn_*.json": (3, 0),
            "handwritten/kawabou/tmlist_dam_*.json": (1, 0),
        },
    ),
    "lorawan": Claim("lorawan", {"lorawan/*.payload.json": (1, 0)}, {"model": "milesight-em500-udl"}),
    "ngsiv2": Claim("ngsiv2", {"smart-data-models/*/*/example-normalized.json": (1, 0)}, ours=False),
}

READ_BY_NONE = (
    *("*.md", "*/SOURCE.md", "plateau-citygml/LICENSE.txt"),
    # what telegrams and uplinks are compared with
    *("jma-xml/*.parsed-by-jmaxml.json", "lorawan/*.metadata.json", "lorawan/*.result.json"),
    # the agency's forecasts and area codes
    *("jma-amedas/area.json", "jma-amedas/forecast_*.json", "jma-amedas/overview_forecast_*.json"),
    # schemas, code lists and other forms of the same examples: for datamodels
    *("smart-data-models/**/schema.json", "smart-data-models/**/*-schema.json", "smart-data-models/**/context.jsonld"),
    *("smart-data-models/*/*/example.json", "smart-data-models/*/*/example*.jsonld"),
    *("smart-data-models/common-schema.json", "gif-eei/*", "localgov-codes/*"),
    # formats without an adapter
    *("gtfs-jp/*", "gtfs-rt/*", "gbfs/**/*", "plateau-citygml/*.gml", "iot-agents/*"),
    *(f"handwritten/{name}/*" for name in ("ckan", "e-stat", "l-alert", "onem2m", "senml", "sensorthings")),
    *("handwritten/soramame/*", "handwritten/sparkplug-b/*"),
)


@cache
def validator(entity_type):
    return jsonschema_rs.validator_for(json.dumps(dict(schema(entity_type))), validate_formats=True)


def files_of(pattern):
    return [path for path in sorted(DATA.glob(pattern)) if path.is_file() and path.name != "SOURCE.md"]


def test_every_file_is_read_by_one_adapter_or_known_to_be_read_by_none():
    if not DATA.is_dir():
        pytest.skip("the real files are not present")
    there = {path for path in DATA.rglob("*") if path.is_file()}
    claimed = [path for claim in CLAIMS.values() for pattern in claim.files for path in files_of(pattern)]
    none = {path for pattern in READ_BY_NONE for path in DATA.glob(pattern) if path.is_file()}
    assert len(claimed) == len(set(claimed))
    assert not none & set(claimed)
    assert sorted(map(str, there - none - set(claimed))) == []


@pytest.mark.parametrize("name", CLAIMS)
def test_every_record_is_accounted_for_and_what_it_gives_is_valid(name):
    claim = CLAIMS[name]
    files = [(path, golden) for pattern, golden in claim.files.items() for path in files_of(pattern)]
    if not files:
        pytest.skip("the real files are not present")
    adapter = adapter_named(claim.adapter)
    options = read_options(adapter.options, claim.options)
    state, entities = None, {}
    for path, golden in files:
        address = str(path).replace("map_2021", "map/2021")
        origin = Origin(path.name, "2026-06-30T05:20:00.000Z", address, parameters={"name": path.name})
        decoded = adapter.decode(path.read_bytes(), origin, options, state)
        state = decoded.state
        assert decoded.accepted + decoded.repaired + decoded.quarantined == decoded.records, path
        assert min(decoded.accepted, decoded.repaired, decoded.quarantined) >= 0, path
        if golden is not None:
            assert (decoded.records, decoded.quarantined) == golden, path
        if claim.counted and (counted := rows_in(path)) is not None:
            assert decoded.records == counted, path
        assert not claim.ours or list(shape_violations(decoded)) == [], path
        for entity in decoded.entities:
            entities.setdefault(entity["id"], {}).update(entity)
    assert entities
    nameless = set()
    for entity in entities.values() if claim.ours else ():
        assert entity["type"] in models()
        wrong = [str(error) for error in validator(entity["type"]).iter_errors(entity)]
        if entity["type"] == "RiverGauge" and "name" not in entity:
            nameless.add(entity["stationId"]["value"])
            assert len(wrong) == 1
        else:
            assert wrong == [], entity["id"]
    assert nameless == ({"126", *map(str, range(251, 269))} if name == "fukui" else set()), (
        "gauges newer than their master"
    )
