"""川の防災情報: what codes make of values, stations known by file names, and a computed status."""

import orjson
import pytest

from adapters.contract import Origin
from adapters.errors import UnreadableFile
from adapters.river.kawabou import KAWABOU, KawabouOptions, decode_station, links_of_time
from adapters.testing import AdapterContract, Sample

LEVEL = "stg/20260630/1420/9999900400001.json"
RAIN = "rn/20260630/1420/9999900100001.json"
DAM = "dam/20260630/1420/9999900700001.json"

STG = {
    "obsValue": {"obsTime": "2026/06/30 14:20", "stg": 3.42, "stgCcd": 0, "stgDif": 0.18},
    "min10Values": [
        {"obsTime": "2026/06/30 14:20", "stg": 3.42, "stgCcd": 0},
        {"obsTime": "2026/06/30 14:10", "stg": 3.24, "stgCcd": 5},
        {"obsTime": "2026/06/30 14:00", "stg": 0, "stgCcd": 190},
        {"obsTime": "2026/06/30 13:50", "stg": None, "stgCcd": 140},
    ],
    "hrValues": [{"obsTime": "2026/06/29 24:00", "stg": -0.02, "stgCcd": 0}],
}


def origin(address):
    return Origin(
        "https://river.example/kawabou", "2026-06-30T05:30:00.000Z", address=f"https://river.example/{address}"
    )


def decode(document, address=LEVEL, state=None, **options):
    return decode_station(orjson.dumps(document), origin(address), KawabouOptions(**options), state)


class TestKawabou(AdapterContract):
    adapter = KAWABOU
    samples = (
        Sample(
            orjson.dumps(STG),
            records=6,
            origin=origin(LEVEL),
            options={"thresholds": {"9999900400001": {"caution": 3}}},
        ),
        Sample(
            orjson.dumps(
                {"obsValue": {"obsTime": "2026/06/30 14:20", "rn10m": 4.0, "rn10mCcd": 0, "rnHr": 0, "rnHrCcd": 190}}
            ),
            records=1,
            origin=origin(RAIN),
            absent=[("urn:ngsi-ld:RainGaugeObserved:9999900100001", "precipitation1h")],
        ),
        Sample(
            orjson.dumps(
                {
                    "obsValue": {
                        "obsTime": "2026/06/30 14:20",
                        "storLvl": 241.33,
                        "storLvlCcd": 0,
                        "storCap": 0,
                        "storCapCcd": 160,
                    }
                }
            ),
            records=1,
            origin=origin(DAM),
            absent=[("urn:ngsi-ld:DamObserved:9999900700001", "storageVolume")],
        ),
        Sample(b'{"crntObsTime": "2026/06/30 14:20"}', records=1),
    )


def test_values_come_in_the_order_of_time_with_their_instants_in_utc():
    levels = [(each["waterLevel"]["observedAt"], each["waterLevel"]["value"]) for each in decode(STG).entities]
    assert levels == [
        ("2026-06-29T15:00:00Z", -0.02),
        ("2026-06-30T05:10:00Z", 3.24),
        ("2026-06-30T05:20:00Z", 3.42),
    ]


def test_a_code_from_130_on_means_missing_though_the_value_is_0():
    decoded = decode(STG)
    assert [(repair.before, repair.rule) for repair in decoded.repairs] == [
        ("0 (stgCcd=190)", "code-says-missing"),
        ("(stgCcd=140)", "code-says-missing"),
    ]


def test_a_lesser_code_stays_with_its_value():
    assert decode(STG).entities[1]["waterLevel"]["qualityCode"] == {"type": "Property", "value": 5}


def test_a_status_is_computed_only_where_thresholds_are_given():
    assert not any("levelStatus" in each for each in decode(STG).entities)
    decoded = decode(STG, thresholds={"9999900400001": {"standby": 1.0, "caution": 3.3}})
    statuses = [each.get("levelStatus", {}).get("value") for each in decoded.entities]
    assert statuses == [0, 1, 2]
    assert decoded.entities[2]["levelStatus"]["computedFrom"]["value"][0] == "waterLevel"
    again = decode(STG, state=decoded.state, thresholds={"9999900400001": {"standby": 1.0, "caution": 3.3}})
    assert not any("levelStatus" in each for each in again.entities)


def test_the_station_is_known_by_the_name_of_its_file():
    assert (
        decode(STG, "tmlist_stg_20260630_1420_9999900400001.json").entities[0]["stationId"]["value"] == "9999900400001"
    )
    with pytest.raises(UnreadableFile, match="13 digits"):
        decode(STG, "stg/latest.json")


def test_a_record_without_time_is_quarantined():
    decoded = decode({"obsValue": {"stg": 1.0, "stgCcd": 0}, "min10Values": [3]})
    assert (decoded.records, [each.rule for each in decoded.quarantine]) == (2, ["no-time", "no-time"])


def test_the_current_time_leads_to_the_files_of_the_stations_that_are_wanted():
    now = b'{"crntObsTime": "2026/06/30 24:00"}'
    options = KawabouOptions(stations=("9999900400001", "9999900100001", "12"))
    assert links_of_time(now, origin("system/tmCrntTime.json"), options) == [
        "../files/tmlist/stg/20260701/0000/9999900400001.json",
        "../files/tmlist/rn/20260701/0000/9999900100001.json",
    ]
    with pytest.raises(UnreadableFile, match="tmCrntTime"):
        links_of_time(b"{}", origin("system/tmCrntTime.json"), options)
