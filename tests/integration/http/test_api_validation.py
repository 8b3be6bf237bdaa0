"""Writes held against data models over HTTP (docs/validation.md): every way to write, each mode, by tenant and type."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from api import running_api

from broker import metrics
from broker.model.instants import canonical
from broker.settings import SettingsError
from datamodels import CONTEXT_URL, model_of

GAUGE = "urn:ngsi-ld:RiverGauge:180009:13"
LINK = f'<{CONTEXT_URL}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
NOW = "2026-06-30T05:20:00Z"
LEVEL = f"entities/{GAUGE}/attrs/waterLevel"


def level(value=1.5, unit="MTR", **members):
    return {"type": "Property", "value": value, "unitCode": unit, "observedAt": NOW, **members}


def gauge(entity_id=GAUGE, **attributes):
    given = {"name": {"type": "Property", "value": "江端"}, "waterLevel": level(), **attributes}
    return {
        "id": entity_id,
        "type": "RiverGauge",
        **{name: value for name, value in given.items() if value is not None},
    }


class Writer:
    """An API spoken to in our @context."""

    def __init__(self, api, tenant=None):
        self.api = api
        self.headers = {"Link": LINK} | ({} if tenant is None else {"NGSILD-Tenant": tenant})

    async def __call__(self, method, path, payload=None, **headers):
        return await self.api.request(method, path, payload, headers={**self.headers, **headers})


@pytest.fixture
async def enforcing(store):
    async with running_api(store, validation=("enforce",)) as api:
        yield Writer(api)


@pytest.fixture
async def warning(store):
    async with running_api(store, validation=("warn",)) as api:
        yield Writer(api)


WRONG = level(unit="CMT")
NAMED = {"name": {"type": "Property", "value": "江端"}}
WRITES = {
    "create": ("POST", "entities", gauge("urn:ngsi-ld:RiverGauge:2", waterLevel=WRONG)),
    "replace": ("PUT", f"entities/{GAUGE}", gauge(waterLevel=WRONG)),
    "merge": ("PATCH", f"entities/{GAUGE}", {"waterLevel": {"unitCode": "CMT"}}),
    "merge in simplified form": ("PATCH", f"entities/{GAUGE}?options=keyValues", {"waterLevel": "high"}),
    "append": ("POST", f"entities/{GAUGE}/attrs", {"waterLevel": WRONG}),
    "update": ("PATCH", f"entities/{GAUGE}/attrs", {"waterLevel": WRONG}),
    "partial update": ("PATCH", LEVEL, {"unitCode": "CMT"}),
    "replace attribute": ("PUT", LEVEL, WRONG),
    "another instance": ("POST", f"entities/{GAUGE}/attrs", {"waterLevel": {**WRONG, "datasetId": "urn:d:b"}}),
}
"""Each of them leaves a level in centimetres or as text."""


async def shown(writer):
    return (await writer("GET", f"entities/{GAUGE}")).json


async def test_attributes_of_the_core_context_are_held_against_the_model_too(enforcing):
    observed = {
        "id": "urn:ngsi-ld:WeatherObserved:1",
        "type": "WeatherObserved",
        "stationCode": {"type": "Property", "value": "50331"},
        "dateObserved": {"type": "Property", "value": NOW},
    }
    line = {"type": "GeoProperty", "value": {"type": "LineString", "coordinates": [[138.3, 34.8], [138.4, 34.9]]}}
    point = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [138.3, 34.8]}}
    for location, rule in ((None, "required"), (line, "const")):
        answer = await enforcing("POST", "entities", observed | ({} if location is None else {"location": location}))
        assert answer.status == 400
        assert (answer.json["violations"][0]["attribute"], answer.json["violations"][0]["rule"]) == ("location", rule)
    assert (await enforcing("POST", "entities", observed | {"location": point})).status == 201


async def test_enforce_refuses_what_would_leave_an_entity_that_does_not_fit(enforcing):
    assert (await enforcing("POST", "entities", gauge())).status == 201
    before = await shown(enforcing)
    for name, write in WRITES.items():
        answer = await enforcing(*write)
        assert answer.status == 400, name
        assert answer.json["type"] == "https://uri.etsi.org/ngsi-ld/errors/BadRequestData"
        assert answer.json["detail"].startswith("waterLevel: ")
        assert "model RiverGauge, rule " in answer.json["detail"]
        assert answer.json["violations"][0]["attribute"] == "waterLevel"
        assert answer.json["violations"][0]["rule"] in ("const", "type")
        assert await shown(enforcing) == before
    assert (await enforcing("GET", "entities/urn:ngsi-ld:RiverGauge:2")).status == 404


async def test_warn_lets_it_through_and_says_so_of_the_state_after_the_write(warning):
    for name, write in WRITES.items():
        await warning("DELETE", f"entities/{GAUGE}")
        assert "Tsunagu-Validation" not in (await warning("POST", "entities", gauge())).headers
        answer = await warning(*write)
        assert answer.status < 300, name
        assert answer.headers["Tsunagu-Validation"].startswith('"waterLevel";rule=')
        later = await warning("PATCH", f"entities/{GAUGE}", {"stationId": {"type": "Property", "value": "13"}})
        assert ("Tsunagu-Validation" in later.headers) == (name != "create")


async def test_what_is_required_cannot_be_taken_away(enforcing):
    await enforcing("POST", "entities", gauge())
    for method, path, payload in (
        ("DELETE", f"entities/{GAUGE}/attrs/name", None),
        ("PATCH", f"entities/{GAUGE}", {"name": "urn:ngsi-ld:null"}),
        ("DELETE", "entities?type=RiverGauge&drop=name", None),
    ):
        answer = await enforcing(method, path, payload)
        error = answer.json if answer.status == 400 else answer.json["errors"][0]["error"]
        assert error["detail"] == "name: is missing, and the model requires it (model RiverGauge, rule required)"
    assert (await enforcing("DELETE", LEVEL)).status == 204, "what is not required may go"
    assert (await enforcing("DELETE", f"entities/{GAUGE}")).status == 204


async def test_batches_have_an_outcome_for_each_entity(enforcing):
    batch = [gauge(), gauge("urn:ngsi-ld:RiverGauge:2", waterLevel=WRONG), gauge("urn:ngsi-ld:RiverGauge:3", name=None)]
    for operation in ("create", "upsert"):
        answer = await enforcing("POST", f"entityOperations/{operation}", batch)
        assert answer.status == 207
        found = {each["entityId"]: each["error"]["detail"] for each in answer.json["errors"]}
        assert found["urn:ngsi-ld:RiverGauge:2"].startswith('waterLevel: unitCode: "MTR" is wanted, not "CMT"')
        assert found["urn:ngsi-ld:RiverGauge:3"].startswith("name: is missing")
    for operation in ("update", "merge"):
        answer = await enforcing("POST", f"entityOperations/{operation}", [gauge(waterLevel=WRONG)])
        assert answer.status in (207, 400)
        assert (await shown(enforcing))["waterLevel"]["unitCode"] == "MTR"


async def test_warned_batches_name_the_entities(warning):
    batch = [gauge(), gauge("urn:ngsi-ld:RiverGauge:2", waterLevel=WRONG), gauge("urn:ngsi-ld:RiverGauge:ü", name=None)]
    answer = await warning("POST", "entityOperations/upsert", batch)
    assert answer.status == 201
    assert answer.headers["Tsunagu-Validation"] == (
        '"waterLevel";rule=const;entity="urn:ngsi-ld:RiverGauge:2", "name";rule=required;entity="urn:ngsi-ld:RiverGauge:%C3%BC"'
    )
    many = [gauge(f"urn:ngsi-ld:RiverGauge:m{number}", name=None) for number in range(50)]
    header = (await warning("POST", "entityOperations/create", many)).headers["Tsunagu-Validation"]
    assert header.endswith(", more;count=30")


@pytest.mark.parametrize("mode", ["enforce", "warn"])
async def test_the_temporal_api_is_judged_instance_by_instance(store, mode):
    evolution = {"id": GAUGE, "type": "RiverGauge", "waterLevel": [level(1.0)]}
    async with running_api(store, validation=(mode,)) as api:
        writer = Writer(api)
        assert (await writer("POST", "temporal/entities", evolution)).status == 201, "nothing is required here"
        instance = (await writer("GET", f"temporal/entities/{GAUGE}")).json["waterLevel"][0]["instanceId"]
        for method, path, payload in (
            ("PATCH", f"temporal/entities/{GAUGE}/attrs/waterLevel/{instance}", {"waterLevel": [WRONG]}),
            ("POST", f"temporal/entities/{GAUGE}/attrs", {"waterLevel": [level("high")]}),
            ("POST", "temporal/entities", {**evolution, "waterLevel": [level(3.0), WRONG]}),
        ):
            answer = await writer(method, path, payload)
            assert answer.status == (400 if mode == "enforce" else 204), answer.body
            assert ("Tsunagu-Validation" in answer.headers) == (mode == "warn")
        gone = {"waterLevel": [{"type": "Property", "value": "urn:ngsi-ld:null", "observedAt": NOW}]}
        answer = await writer("POST", f"temporal/entities/{GAUGE}/attrs", gone)
        assert (answer.status, "Tsunagu-Validation" in answer.headers) == (204, False)


async def test_idempotency_and_conditions_go_with_it(enforcing):
    headers = {"Idempotency-Key": '"k1"'}
    first = await enforcing("POST", "entities", gauge(waterLevel=WRONG), **headers)
    again = await enforcing("POST", "entities", gauge(waterLevel=WRONG), **headers)
    assert (first.status, first.json) == (again.status, again.json)
    assert first.status == 400
    assert (await enforcing("POST", "entities", gauge())).status == 201
    stale = await enforcing("PATCH", f"entities/{GAUGE}/attrs", {"waterLevel": WRONG}, **{"If-Match": '"1.1"'})
    assert stale.status == 412, "a condition comes before the model"


async def test_modes_are_by_tenant_and_type(store):
    rules = ("warn", "RiverGauge=enforce", "*@exercise=off", "RiverGauge@trial=warn")
    async with running_api(store, validation=rules) as api:
        wrong = gauge(waterLevel=WRONG)
        aed = {"id": "urn:ngsi-ld:AED:1", "type": "AED", "name": {"type": "Property", "value": "庁舎"}}
        for tenant, of_gauge, of_aed in (
            (None, "enforce", "warn"),
            ("exercise", "off", "off"),
            ("trial", "warn", "warn"),
        ):
            writer = Writer(api, tenant)
            for entity, mode in ((wrong, of_gauge), (aed, of_aed)):
                answer = await writer("POST", "entities", entity)
                assert answer.status == (400 if mode == "enforce" else 201)
                assert ("Tsunagu-Validation" in answer.headers) == (mode == "warn")
            told = (await writer("GET", f"{api.url}/tsunagu/v1/validation")).json["types"]
            modes = {each["type"]: each["mode"] for each in told}
            assert (modes["RiverGauge"], modes["AED"]) == (of_gauge, of_aed)
            assert {each["iri"] for each in told if each["type"] == "RiverGauge"} == {model_of("RiverGauge").iri}


async def test_off_is_the_default_and_unknown_types_are_nobodys_business(store):
    async with running_api(store) as api:
        writer = Writer(api)
        answer = await writer("POST", "entities", gauge(waterLevel=WRONG))
        assert (answer.status, "Tsunagu-Validation" in answer.headers) == (201, False)
        assert (await writer("GET", f"{api.url}/tsunagu/v1/validation")).json == {"types": []}
    async with running_api(store, validation=("enforce",)) as api:
        unicorn = {"id": "urn:x:1", "type": "Unicorn", "name": {"type": "Property", "value": ""}}
        assert (await Writer(api)("POST", "entities", unicorn)).status == 201
        mixed = {**gauge("urn:x:2", waterLevel=WRONG), "type": ["Unicorn", "RiverGauge"]}
        assert (await Writer(api)("POST", "entities", mixed)).status == 400


async def test_what_was_there_before_can_be_mended_and_read(store):
    async with running_api(store) as api:
        await Writer(api)("POST", "entities", gauge(waterLevel=WRONG, name=None))
    async with running_api(store, validation=("enforce",)) as api:
        writer = Writer(api)
        assert (await writer("GET", f"entities/{GAUGE}")).status == 200
        half = await writer("PATCH", f"entities/{GAUGE}", {"waterLevel": level()})
        assert half.json["violations"] == [
            {"attribute": "name", "rule": "required", "detail": "is missing, and the model requires it"}
        ]
        assert (await writer("PATCH", f"entities/{GAUGE}", gauge())).status == 204


async def test_4_22_what_expires_is_not_held_back(enforcing):
    soon = canonical(datetime.now(UTC) + timedelta(seconds=0.5))
    short = {"type": "Property", "value": "江端", "expiresAt": soon}
    assert (await enforcing("POST", "entities", gauge(name=short))).status == 201
    for _ in range(200):
        if "name" not in await shown(enforcing):
            break
        await asyncio.sleep(0.05)
    assert (await enforcing("PATCH", f"entities/{GAUGE}", {"waterLevel": level(2)})).status == 400
    assert (await enforcing("PATCH", f"entities/{GAUGE}", NAMED)).status == 204


async def test_snapshots_copy_what_is_there_and_judge_what_is_written_in_them(store):
    async with running_api(store) as api:
        await Writer(api)("POST", "entities", gauge(waterLevel=WRONG))
    async with running_api(store, validation=("enforce",)) as api:
        writer = Writer(api)
        snapshot = {"type": "Snapshot", "snapshotQueries": [{"type": "Query", "entities": [{"type": "RiverGauge"}]}]}
        made = await writer("POST", "snapshots", snapshot)
        assert made.status == 201
        place = made.headers["Location"]
        for _ in range(200):
            if (await writer("GET", f"{api.url}{place}")).json["snapshotStatus"] == "success":
                break
            await asyncio.sleep(0.02)
        inside = {"NGSILD-Snapshot": place.rpartition("/")[2]}
        assert (await writer("GET", f"entities/{GAUGE}", **inside)).json["waterLevel"]["unitCode"] == "CMT"
        answer = await writer("PATCH", f"entities/{GAUGE}", {"name": {"type": "Property", "value": "x"}}, **inside)
        assert answer.status == 400


async def test_it_is_counted(enforcing):
    def refused():
        return metrics.model_violations.labels("RiverGauge", "enforce")._value.get()

    before = refused()
    await enforcing("POST", "entities", gauge(waterLevel=WRONG))
    assert refused() == before + 1
    assert b'tsunagu_model_violations_total{mode="enforce",model="RiverGauge"}' in metrics.exposition()[0]


async def test_smart_data_models_stand_beside_ours(store, tmp_path):
    (tmp_path / "Park" / "Bench").mkdir(parents=True)
    schema = {"properties": {"seats": {"type": "integer"}}, "required": ["seats"]}
    (tmp_path / "Park" / "Bench" / "schema.json").write_text(json.dumps(schema), "utf-8")
    context = {"Bench": "https://smartdatamodels.org/dataModel.Park/Bench", "seats": "https://park.example/seats"}
    (tmp_path / "Park" / "context.jsonld").write_text(json.dumps({"@context": context}), "utf-8")
    async with running_api(store, validation=("Bench=enforce",), models=str(tmp_path)) as api:
        for seats, status in ((3, 201), ("three", 400)):
            bench = {
                "@context": context,
                "id": f"urn:x:{seats}",
                "type": "Bench",
                "seats": {"type": "Property", "value": seats},
            }
            answer = await api.request("POST", "entities", bench, headers={"Content-Type": "application/ld+json"})
            assert answer.status == status
        assert answer.json["detail"] == 'seats: "three" is not of type "integer" (model Bench, rule type)'


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"validation": ("Unicorn=warn",)}, "Unicorn"), ({"models": "/nowhere"}, "/nowhere")],
)
async def test_a_rule_about_an_unknown_type_and_a_wrong_folder_are_told_at_start(store, settings, words):
    with pytest.raises(SettingsError, match=words):
        async with running_api(store, **settings):
            pass
