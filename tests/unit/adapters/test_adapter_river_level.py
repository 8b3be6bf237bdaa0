"""Prefectural river level tables, on the made-up gauges of examples/river_level and on the real ones where present."""

import json
import os
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Origin
from adapters.errors import UnknownLayout
from adapters.river.prefecture import PREFECTURE, RiverOptions, decode_gauges, decode_levels, decode_table, observation
from adapters.river.standing import THRESHOLDS, LevelReading, Standing, stand
from adapters.testing import AdapterContract, Sample
from datamodels import schema
from examples.river_level.expected import COLUMNS, crossings

ROOT = Path(__file__).parents[3]
MADE_UP = ROOT / "examples" / "river_level" / "data"
FUKUI = Path(os.environ.get("TSUNAGU_SHARED_DATA") or ROOT.parent / "shared" / "data") / "river-fukui"
ORIGIN = Origin("https://river.pref.example/levels", "2026-06-30T05:20:00.000Z")
GAUGES = decode_gauges((MADE_UP / "sensors.csv").read_bytes(), authority="999997")


def real(name):
    if not (FUKUI / name).exists():
        pytest.skip(f"the real file river-fukui/{name} is not present")
    return (FUKUI / name).read_bytes()


def computed_crossings(gauges, levels):
    """The upward flips of the computed attributes, as the adapter sends them."""
    before, found = {}, []
    for reading in levels.readings:
        if reading.gauge not in gauges:
            continue
        last = before.get(reading.gauge)
        now = stand(gauges[reading.gauge].thresholds, reading, last)
        entity = observation(gauges[reading.gauge].id, reading, now, last)
        found.extend(
            (reading.gauge, name, reading.level)
            for name in THRESHOLDS
            if last is not None and entity.get(f"{name}LevelReached", {}).get("value") is True
        )
        before[reading.gauge] = now
    return sorted(found)


def first(gauge, level):
    """What a gauge's first reading gives."""
    reading = LevelReading("2026-06-30T00:00:00Z", gauge.number, level)
    return observation(gauge.id, reading, stand(gauge.thresholds, reading))


class TestRiverTables(AdapterContract):
    adapter = PREFECTURE
    samples = (
        Sample((MADE_UP / "sensors.csv").read_bytes(), options={"authority": "999997"}),
        Sample((MADE_UP / "2026-06-30.csv").read_bytes(), records=576, options={"authority": "999997"}),
        Sample(
            "日時,河川水位,id\n2026-06-30T24:00,4.5,1\n2026-06-30T01:00,*,1\n2026-06-30T01:00,高い,1\n".encode(),
            records=3,
            options={"authority": "999997"},
            state={"thresholds": {"1": {"caution": 4.0}}, "standings": {}},
        ),
    )


def test_gauges_have_the_thresholds_that_the_master_gives_and_no_others():
    assert dict(GAUGES["1"].thresholds) == {"standby": 2.0, "caution": 3.0, "evacuation": 3.5, "danger": 4.0}
    assert dict(GAUGES["2"].thresholds) == {"standby": 3.2, "caution": 4.1, "danger": 5.2}
    assert dict(GAUGES["3"].thresholds) == {}
    assert GAUGES["1"].id == "urn:ngsi-ld:RiverGauge:999997:1"
    assert GAUGES["1"].entity["location"]["value"]["type"] == "Point"


def test_missing_readings_are_missing_and_late_lines_find_their_place():
    levels = decode_levels((MADE_UP / "2026-06-30.csv").read_bytes())
    assert (len(levels.readings), len(levels.missing), levels.unread) == (572, 4, ())
    assert [r.observed_at for r in levels.readings] == sorted(r.observed_at for r in levels.readings)
    assert levels.readings[0].observed_at == "2026-06-29T15:10:00Z"
    assert levels.readings[-1].observed_at == "2026-06-30T15:00:00Z"
    assert min(r.level for r in levels.readings) < 0


def test_lines_that_are_no_reading_are_told():
    levels = decode_levels("日時,河川水位,id\n2026-06-30T25:00,1.0,1\n2026-06-30T01:00,高い,1\n".encode())
    assert [unread.row for unread in levels.unread] == [2, 3]
    with pytest.raises(UnknownLayout, match="lacks 河川水位"):
        decode_levels("日時,水位,id\n".encode())


def test_entities_satisfy_the_schema_and_say_what_is_computed():
    validator = jsonschema_rs.validator_for(json.dumps(dict(schema("RiverGauge"))))
    for gauge in GAUGES.values():
        entity = gauge.entity | first(gauge, 3.6)
        assert list(validator.iter_errors(entity)) == []
    entity = first(GAUGES["1"], 3.6)
    assert entity["levelStatus"]["value"] == 3
    assert entity["evacuationLevelReached"]["computedFrom"]["value"] == ["waterLevel", "evacuationLevel"]
    assert "computedFrom" not in entity["waterLevel"]
    assert "levelStatus" not in first(GAUGES["3"], 3.6)


@given(st.lists(st.floats(-1, 6), min_size=2, max_size=30))
def test_computed_attributes_are_sent_exactly_when_their_value_changes(levels):
    gauge, before, state = GAUGES["1"], None, {}
    for place, level in enumerate(levels):
        reading = LevelReading(f"2026-06-30T00:00:{place:02d}Z", "1", level)
        now = stand(gauge.thresholds, reading, before)
        entity = observation(gauge.id, reading, now, before)
        for name, attribute in entity.items():
            if name.endswith("Reached") or name == "levelStatus":
                assert state.get(name) != attribute["value"] or type(state.get(name)) is not type(attribute["value"])
                state[name] = attribute["value"]
        assert state["levelStatus"] == sum(level >= threshold for threshold in gauge.thresholds.values())
        for name, threshold in gauge.thresholds.items():
            assert state[f"{name}LevelReached"] is (level >= threshold)
        before = now


@given(st.lists(st.floats(-1, 6), min_size=1, max_size=30), st.integers(1, 5))
def test_what_is_reached_stays_so_until_enough_readings_in_a_row_are_below(levels, hold):
    before = None
    for place, level in enumerate(levels):
        now = stand({"caution": 3.0}, LevelReading(f"2026-06-30T00:00:{place:02d}Z", "1", level), before, hold)
        last = [each >= 3.0 for each in levels[: place + 1]]
        since_up = next((n for n, up in enumerate(reversed(last)) if up), None)
        assert now.reached["caution"] is (since_up is not None and since_up < hold)
        assert Standing.restored(json.loads(json.dumps(now.stored()))) == now
        before = now


def test_a_level_that_trembles_about_a_threshold_gives_one_crossing():
    state = decode_table((MADE_UP / "sensors.csv").read_bytes(), ORIGIN, RiverOptions("999997"), None).state
    lines = [
        f"2026-06-30T00:{minute:02d},{level},1" for minute, level in enumerate([2.9, 3.1, 2.9, 3.1, 2.9, 2.8, 2.7, 2.6])
    ]
    table = "\n".join(["日時,河川水位,id", *lines]).encode()
    decoded = decode_table(table, ORIGIN, RiverOptions("999997", hold=3), state)
    flips = [each["cautionLevelReached"]["value"] for each in decoded.entities if "cautionLevelReached" in each]
    assert flips == [False, True, False]
    assert [each["levelStatus"]["value"] for each in decoded.entities if "levelStatus" in each] == [1, 2, 1]


def test_an_older_reading_is_told_and_computes_nothing():
    state = decode_table((MADE_UP / "sensors.csv").read_bytes(), ORIGIN, RiverOptions("999997"), None).state
    later = decode_table("日時,河川水位,id\n2026-06-30T10:00,3.6,1\n".encode(), ORIGIN, RiverOptions("999997"), state)
    older = decode_table(
        "日時,河川水位,id\n2026-06-30T09:00,1.0,1\n".encode(), ORIGIN, RiverOptions("999997"), later.state
    )
    (entity,) = older.entities
    assert entity.keys() == {"id", "type", "waterLevel"}
    assert older.state == later.state


def test_positions_come_in_degrees_minutes_and_seconds_and_the_number_from_the_address_of_the_page():
    table = (
        "観測所名,河 川 名,緯度(度),緯度(分),緯度(秒),経度(度),経度(分),経度(秒),URL\n"
        "上流,架空川,36,3,47,136,12,41,https://river.example/graph?rg=1&sn=7&sy=x\n"
        "下流,架空川,36,3,47,136,12,41,\n"
    )
    decoded = decode_table(table.encode(), ORIGIN, RiverOptions("999997"), None)
    (gauge,) = decoded.entities
    assert gauge["id"] == "urn:ngsi-ld:RiverGauge:999997:7"
    assert gauge["location"]["value"]["coordinates"] == [136.211389, 36.063056]
    assert [each.rule for each in decoded.quarantine] == ["no-number"]


def test_a_gauge_that_the_master_has_not_is_handed_on_with_its_number_and_reported():
    day = "日時,河川水位,id\n2026-06-30T00:10,1.20,1\n2026-06-30T00:10,0.40,251\n".encode()
    state = decode_table((MADE_UP / "sensors.csv").read_bytes(), ORIGIN, RiverOptions(), None).state
    decoded = decode_table(day, ORIGIN, RiverOptions(), state)
    new = next(entity for entity in decoded.entities if entity["id"].endswith(":251"))
    assert (new["waterLevel"]["value"], new["stationId"]["value"]) == (0.4, "251")
    assert [(each.row, each.before, each.rule) for each in decoded.repairs] == [(3, "251", "not-in-the-master")]
    assert decode_table(day, ORIGIN, RiverOptions(), None).repairs == (), "a feed without a master knows no gauge"


@pytest.mark.real_data
def test_every_row_of_the_real_files_is_accepted_repaired_or_quarantined():
    state = None
    for name, records, entities, quarantined in [
        ("sensors.csv", 103, 103, 0),
        ("suii_ichi.csv", 99, 98, 1),
        ("2021-08-14.csv", 7228, 7180, 0),
    ]:
        decoded = decode_table(real(name), ORIGIN, RiverOptions(), state)
        assert (decoded.records, len(decoded.entities), decoded.quarantined) == (records, entities, quarantined)
        state = decoded.state


def test_the_crossings_are_those_of_the_csv():
    levels = decode_levels((MADE_UP / "2026-06-30.csv").read_bytes())
    expected = sorted(crossings(MADE_UP / "2026-06-30.csv", MADE_UP / "sensors.csv", list(COLUMNS)))
    assert computed_crossings(GAUGES, levels) == expected
    assert len(expected) == 9


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("day", "readings", "missing", "found"),
    [("2021-08-14", 7180, 48, 17), ("2023-07-13", 1788, 35, 18), ("2026-08-22", 2742, 45, 2)],
)
def test_the_real_days_of_fukui(day, readings, missing, found):
    gauges = decode_gauges(real("sensors.csv"))
    levels = decode_levels(real(f"{day}.csv"))
    assert len(gauges) == 103
    assert (len(levels.readings), len(levels.missing), levels.unread) == (readings, missing, ())
    expected = sorted(crossings(FUKUI / f"{day}.csv", FUKUI / "sensors.csv", list(COLUMNS)))
    assert computed_crossings(gauges, levels) == expected
    assert len(expected) == found


@pytest.mark.real_data
def test_the_flood_of_august_2021():
    levels = decode_levels(real("2021-08-14.csv"))
    gauges = decode_gauges(real("sensors.csv"))
    highest = {
        number: max((r for r in levels.readings if r.gauge == number), key=lambda reading: reading.level)
        for number in ("13", "9", "90")
    }
    assert (highest["13"].level, highest["13"].observed_at) == (4.51, "2021-08-14T02:00:00Z")
    assert (highest["9"].level, highest["90"].level) == (1.89, 2.76)
    assert gauges["13"].thresholds["evacuation"] == 4.36 < 4.51 < gauges["13"].thresholds["danger"] == 5.14
    assert stand(gauges["13"].thresholds, highest["13"]).status == 3
