"""The contract: the kit finds what breaks it and passes what keeps it, options have types, adapters come by entry point."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest

from adapters.contract import Adapter, Decoded, Origin, Quarantined, Repair
from adapters.errors import InvalidOptions, Undecodable, UnknownAdapter
from adapters.municipal import TABLE
from adapters.options import MISSING, NoOptions, Options, described, option, read_options
from adapters.provenance import public_source, with_provenance
from adapters.registry import adapter_named, installed
from adapters.testing import AdapterContract, Sample, violations
from adapters.transforms.reading import Severity

SITES = Path(__file__).parents[3] / "examples" / "evacuation_sites"
ROWS = {"recommended.utf8-bom.csv": 6, "standard.cp932.csv": 3, "standard-with-ids.utf16.csv": 3, "linkdata.xlsx": 3}


class TestTables(AdapterContract):
    adapter = TABLE
    samples = tuple(Sample((SITES / name).read_bytes(), records=rows) for name, rows in ROWS.items())


def reading(data, origin, options, state):
    """A good decoder: one JSON object {"id", "level"} a line."""
    entities, quarantine = [], []
    lines = data.splitlines()
    for row, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            level = {"type": "Property", "value": float(record["level"]), "unitCode": "MTR"}
            entities.append({"id": f"urn:ngsi-ld:Gauge:{int(record['id'])}", "type": "Gauge", "level": level})
        except (ValueError, TypeError, KeyError, OverflowError):
            quarantine.append(
                Quarantined(row, "", "no-reading", "The line is no reading.", {"line": line.decode("latin-1")})
            )
    return Decoded(len(lines), tuple(entities), quarantine=tuple(quarantine))


GOOD = Adapter("good", "a line a reading", reading)
SAMPLE = Sample(b'{"id": 1, "level": 2.5}\n{"id": 2}\n{"id": 3, "level": 1}\n', records=3)


def spoiled(**members):
    """The adapter GOOD, whose entities have these members instead."""

    def decode(data, origin, options, state):
        decoded = reading(data, origin, options, state)
        return replace(decoded, entities=tuple({**entity, **members} for entity in decoded.entities))

    return Adapter("spoiled", "", decode)


def level(**members):
    return spoiled(level={"type": "Property", "value": 1.0, **members})


def changed(**fields):
    return Adapter("changed", "", lambda *arguments: replace(reading(*arguments), **fields))


def test_a_good_adapter_has_no_violations():
    assert violations(GOOD, SAMPLE) == []


@pytest.mark.parametrize(
    ("adapter", "words"),
    [
        (level(value=None), "what is missing is absent"),
        (level(value=""), "what is missing is absent"),
        (level(value=[1, None]), "what is missing is absent"),
        (level(value=float("nan")), "what is missing is absent"),
        (level(observedAt="2026-06-30T14:20:00+09:00"), "no UTC instant"),
        (level(observedAt="2026-02-30T14:20:00Z"), "no UTC instant"),
        (level(unitCode="HPA"), "not in the list of units"),
        (level(quality={"type": "Property", "value": ""}), "level.quality says nothing"),
        (spoiled(level=2.5), "no attribute of a known kind"),
        (spoiled(id="urn:ngsi-ld:Gauge:橋"), "no URN"),
        (spoiled(id="gauge 1"), "no URN"),
        (spoiled(type="RiverGauge"), "not in the model RiverGauge"),
        (changed(records=2), "2 were counted"),
        (changed(records=0), "of 0 records"),
        (changed(state={1, 2}), "must be JSON values"),
        (changed(state=1), "not declared `stateful`"),
        (changed(repairs=(Repair(2, "level", "", "", "guess", Severity.INFO),)), "has repairs"),
    ],
)
def test_the_kit_finds_what_breaks_the_contract(adapter, words):
    assert any(words in each for each in violations(adapter, SAMPLE)), violations(adapter, SAMPLE)


def test_the_kit_finds_ids_and_answers_that_change():
    calls = iter(range(100))

    def by_clock(data, origin, options, state):
        name = origin.received_at.replace(":", "")
        return Decoded(1, ({"id": f"urn:ngsi-ld:G:{name}", "type": "G", "n": {"type": "Property", "value": 1}},))

    def by_call(data, origin, options, state):
        return Decoded(1, ({"id": "urn:ngsi-ld:G:1", "type": "G", "n": {"type": "Property", "value": next(calls)}},))

    assert "at another time names other things" in violations(Adapter("a", "", by_clock), Sample(b"x"))[0]
    assert violations(Adapter("a", "", by_call), Sample(b"x")) == ["the same input gave something else the second time"]


def test_the_kit_finds_values_for_what_the_source_does_not_know():
    sample = replace(SAMPLE, absent=[("urn:ngsi-ld:Gauge:3", "level"), ("urn:ngsi-ld:Gauge:2", "level")])
    assert violations(GOOD, sample) == ["urn:ngsi-ld:Gauge:3 has level, which the source does not know"]


def test_the_kit_finds_decoders_that_fail_on_any_bytes():
    class Careless(AdapterContract):
        adapter = Adapter("careless", "", lambda data, *_: reading(data.decode().encode(), *_))
        samples = (SAMPLE,)

    with pytest.raises(UnicodeDecodeError):
        Careless().test_any_bytes_are_decoded_or_refused()


def test_the_built_in_adapters_come_by_entry_point():
    assert installed()["table"] is TABLE
    with pytest.raises(UnknownAdapter, match=r"'tabel'; do you mean table\?"):
        adapter_named("tabel")


@dataclass(frozen=True, slots=True)
class TideOptions(Options):
    station: str = option("code of the station")
    datum: Literal["tp", "dl"] = option("what levels are relative to", "tp")
    factor: float = option("metres a unit", 1.0)
    names: Mapping[str, str] = option("names by code", None)
    only: tuple[str, ...] = option("stations to take", ())
    tenant: str | None = option("tenant", None)


def test_options_get_their_types_and_defaults():
    options = read_options(TideOptions, {"station": "QS", "factor": 2, "only": ["a"], "names": {"a": "b"}})
    assert (options.station, options.datum, options.factor, options.only) == ("QS", "tp", 2.0, ("a",))
    assert dict(options.names) == {"a": "b"}
    assert read_options(NoOptions, {}) == NoOptions()
    assert [each[:2] for each in described(TideOptions)][:2] == [("station", "a text"), ("datum", "one of tp, dl")]
    assert next(iter(described(TideOptions)))[3] is MISSING


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, r"'station' \(code of the station\) must be given"),
        ({"station": 1}, "'station' must be a text, and is 1"),
        ({"station": "QS", "datum": "xx"}, "must be one of tp, dl"),
        ({"station": "QS", "factor": True}, "must be a number"),
        ({"station": "QS", "only": "a"}, "must be a list of texts"),
        ({"station": "QS", "names": {"a": 1}}, "must be a table"),
        ({"station": "QS", "datun": "tp"}, r"no option 'datun'; do you mean datum\?"),
    ],
)
def test_options_that_are_wrong_are_named(given, words):
    with pytest.raises(InvalidOptions, match=words):
        read_options(TideOptions, given)


def test_provenance_is_added_where_an_entity_does_not_say_itself():
    origin = Origin("https://data.city.example/a.csv", "2026-06-30T05:20:00Z", provider="某市", licence="CC-BY-4.0")
    entity = {"id": "urn:x:1", "type": "T", "dataProvider": {"type": "Property", "value": "某県"}}
    told = with_provenance(entity, origin)
    assert told["dataProvider"]["value"] == "某県"
    assert told["source"] == {"type": "Property", "value": "https://data.city.example/a.csv"}
    assert told["license"]["value"] == "CC-BY-4.0"
    assert "source" not in entity
    assert public_source("https://me:secret@data.city.example/a.csv?key=1#x") == "https://data.city.example/a.csv"
    assert public_source("/srv/in/aed.csv") == "aed.csv"


def test_an_excerpt_of_a_table_is_a_table_of_one_row():
    data = (SITES / "recommended.utf8-bom.csv").read_bytes()
    origin = Origin("x", "2026-06-30T05:20:00Z")
    quarantined = TABLE.decode(data, origin, read_options(TABLE.options, {}), None).quarantine[0]
    mended = {**quarantined.record, "緯度": "34.8751", "経度": "138.3271"}
    alone = TABLE.decode(TABLE.excerpt(data, mended), origin, read_options(TABLE.options, {}), None)
    assert (alone.records, len(alone.entities)) == (1, 1)


def test_what_is_undecodable_is_refused_in_one_sentence():
    with pytest.raises(Undecodable, match=r"\.$"):
        TABLE.decode(b"", Origin("x", "2026-06-30T05:20:00Z"), read_options(TABLE.options, {}), None)
