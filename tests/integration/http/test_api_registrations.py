"""Context source registrations, subscriptions to them and the broker's identity over HTTP (6.8, 6.9, 6.12, 6.13, 6.33)."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api import Answer, Api

REGISTRATIONS = "csourceRegistrations"
SUBSCRIPTIONS = "csourceSubscriptions"
CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"
VEHICLE = "urn:ngsi-ld:Vehicle:A456"


def registration(number: int = 1, **members: Any) -> dict[str, Any]:
    whole = {
        "id": f"urn:ngsi-ld:ContextSourceRegistration:{number}",
        "type": "ContextSourceRegistration",
        "endpoint": "http://source.example:1026",
        "information": [{"entities": [{"type": "Vehicle"}], "propertyNames": ["speed"]}],
        **members,
    }
    return {member: value for member, value in whole.items() if value is not ...}


def subscription(number: int = 1, **members: Any) -> dict[str, Any]:
    return {
        "id": f"urn:ngsi-ld:Subscription:{number}",
        "type": "Subscription",
        "entities": [{"type": "Vehicle"}],
        "notification": {"endpoint": {"uri": "http://127.0.0.1:9/notify"}},
        **members,
    }


def exclusive(number: int, *names: str, entity_id: str = VEHICLE) -> dict[str, Any]:
    entities = [{"type": "Vehicle", "id": entity_id}]
    information = [{"entities": entities, "propertyNames": list(names)}]
    return registration(number, mode="exclusive", information=information)


def problem(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["type"].rsplit("/", 1)[1]


def found(answer: Answer) -> list[int]:
    assert answer.status == 200, answer.body
    return [int(each["id"].rsplit(":", 1)[1]) for each in answer.json]


async def test_6_8_3_1_and_6_9_3_a_registration_lives_and_dies(api: Api) -> None:
    made = await api.post(REGISTRATIONS, registration())
    path = f"/ngsi-ld/v1/{REGISTRATIONS}/urn:ngsi-ld:ContextSourceRegistration:1"
    assert (made.status, made.headers["Location"], made.body) == (201, path, b"")
    one = f"{REGISTRATIONS}/urn:ngsi-ld:ContextSourceRegistration:1"
    assert (await api.get(one)).json == registration()
    changed = await api.patch(one, {"endpoint": "http://new.example", "description": "x"})
    assert (changed.status, changed.body) == (204, b"")
    assert (await api.get(one)).json == registration(endpoint="http://new.example", description="x")
    assert (await api.patch(one, {"description": "urn:ngsi-ld:null", "scope": None})).status == 204
    with_times = (await api.get(f"{one}?options=sysAttrs")).json
    assert with_times["createdAt"] < with_times["modifiedAt"]
    assert "description" not in with_times
    assert (await api.delete(one)).status == 204
    assert problem(await api.get(one)) == (404, "ResourceNotFound")
    assert problem(await api.delete(one)) == (404, "ResourceNotFound")
    assert problem(await api.patch(one, {"scope": "/a"})) == (404, "ResourceNotFound")


async def test_5_9_2_4_an_id_is_made_where_none_is_given_and_taken_only_once(api: Api) -> None:
    made = await api.post(REGISTRATIONS, registration(id=...))
    assert made.status == 201
    assert "/urn:ngsi-ld:ContextSourceRegistration:" in made.headers["Location"]
    assert (await api.get(f"http{api.url[4:]}{made.headers['Location']}")).status == 200
    assert (await api.post(REGISTRATIONS, registration())).status == 201
    assert problem(await api.post(REGISTRATIONS, registration())) == (409, "AlreadyExists")


async def test_5_5_7_names_are_shown_in_the_readers_context(api: Api) -> None:
    context = {"Vehicle": "https://example.org/Vehicle", "speed": "https://example.org/speed"}
    body = registration() | {"@context": [context, CORE]}
    assert (await api.post(REGISTRATIONS, body, Content_Type="application/ld+json")).status == 201
    shown = (await api.get(f"{REGISTRATIONS}?type=https%3A%2F%2Fexample.org%2FVehicle")).json
    assert shown[0]["information"] == [
        {"entities": [{"type": "https://example.org/Vehicle"}], "propertyNames": ["https://example.org/speed"]}
    ]
    assert found(await api.get(f"{REGISTRATIONS}?type=Vehicle")) == []
    as_json_ld = await api.get(f"{REGISTRATIONS}/{registration()['id']}", Accept="application/ld+json")
    assert as_json_ld.json["@context"] == CORE


@pytest.mark.parametrize(
    "fragment",
    [
        {"id": "urn:x:other"},
        {"type": "building"},
        {"endpoint": "urn:ngsi-ld:null"},
        {"information": None},
        {"information": []},
        {"mode": "exclusive"},
        {"mode": "auxiliary"},
        {"expiresAt": "2020-01-01T00:00:00Z"},
        {"management": {"timeout": "urn:ngsi-ld:null"}},
    ],
)
async def test_5_9_3_4_an_update_that_leaves_no_valid_registration_changes_nothing(
    api: Api, fragment: dict[str, Any]
) -> None:
    await api.post(REGISTRATIONS, registration())
    one = f"{REGISTRATIONS}/{registration()['id']}"
    assert problem(await api.patch(one, fragment)) == (400, "BadRequestData")
    assert (await api.get(one)).json == registration()


async def test_4_9_context_source_properties_are_shown_found_changed_and_removed(api: Api) -> None:
    context = {"owner": "https://example.org/owner", "Vehicle": "https://example.org/Vehicle"}
    hosted = (await api.post("jsonldContexts", {"@context": context})).headers["Location"]
    link = f'<{api.url}{hosted}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
    body = registration(owner={"city": "Ichikawa"}, floors=3)
    assert (await api.post(REGISTRATIONS, body, Link=link)).status == 201
    one = f"{REGISTRATIONS}/{registration()['id']}"
    assert (await api.get(one, Link=link)).json == body
    assert (await api.get(one)).json["https://example.org/owner"] == {"city": "Ichikawa"}
    by_owner = f"{REGISTRATIONS}?type=Vehicle&csf=owner[city]==%22Ichikawa%22"
    assert found(await api.get(by_owner, Link=link)) == [1]
    assert found(await api.get(by_owner)) == []
    change = {"https://example.org/owner": "urn:ngsi-ld:null", "floors": [4], "public": True}
    assert (await api.patch(one, change)).status == 204
    assert (await api.get(one, Link=link)).json == registration(
        floors=[4], public=True, information=body["information"]
    )
    assert found(await api.get(by_owner, Link=link)) == []
    assert problem(await api.patch(one, {"floors": {"a": "urn:ngsi-ld:null"}})) == (400, "BadRequestData")


async def test_5_9_an_id_that_is_no_uri_is_refused(api: Api) -> None:
    for answer in (
        await api.get(f"{REGISTRATIONS}/nouri"),
        await api.patch(f"{REGISTRATIONS}/nouri", {"scope": "/a"}),
        await api.delete(f"{REGISTRATIONS}/nouri"),
        await api.get(f"{SUBSCRIPTIONS}/nouri"),
        await api.delete(f"{SUBSCRIPTIONS}/nouri"),
    ):
        assert problem(answer) == (400, "BadRequestData")


async def test_5_10_2_registrations_are_found_by_what_they_provide(api: Api) -> None:
    interval = {"startAt": "2020-01-01T00:00:00Z"}
    for body in (
        registration(1, scope="/Madrid", location={"type": "Point", "coordinates": [8.68, 49.41]}),
        registration(2, information=[{"entities": [{"type": "Bus", "id": "urn:ngsi-ld:Bus:7"}]}], mode="redirect"),
        registration(3, information=[{"relationshipNames": ["drivenBy"]}], datasetId=["urn:x:1"]),
        registration(4, observationInterval=interval),
    ):
        assert (await api.post(REGISTRATIONS, body)).status == 201
    for query, expected in {
        "type=Vehicle": [1, 3],
        "type=Bus": [2, 3],
        "type=Bus,Vehicle": [1, 2, 3],
        "type=(Bus;Vehicle)": [3],
        "type=*": [1, 2, 3],
        "type=Bus&id=urn:ngsi-ld:Bus:7,urn:x:2": [2, 3],
        "type=Bus&id=urn:x:2": [3],
        "type=Bus&idPattern=7$": [2, 3],
        "type=Bus&idPattern=8$": [3],
        "attrs=speed": [1, 2],
        "attrs=speed,drivenBy": [1, 2, 3],
        "type=Vehicle&pick=id,speed": [1],
        "q=drivenBy": [2, 3],
        "type=Vehicle&q=speed>5": [1],
        "type=Vehicle&scopeQ=/Madrid": [1],
        "type=Vehicle&scopeQ=/Paris": [],
        "type=Vehicle&csf=scope": [1],
        "type=Bus&csf=mode==%22redirect%22": [2],
        "type=Vehicle&datasetId=urn:x:1,@none": [1, 3],
        "type=Vehicle&datasetId=urn:x:2": [1],
        "georel=near;maxDistance==2000&geometry=Point&coordinates=[8.68,49.41]": [1],
        "georel=near;maxDistance==2000&geometry=Point&coordinates=[8.68,40]": [],
        "type=Vehicle&timerel=after&timeAt=2021-01-01T00:00:00Z": [4],
        "type=Vehicle&timerel=before&timeAt=2019-01-01T00:00:00Z": [],
        "type=Vehicle&timerel=after&timeAt=2021-01-01T00:00:00Z&timeproperty=createdAt": [],
        "type=Vehicle&timeproperty=createdAt&lang=en&geometryProperty=location": [1, 3],
    }.items():
        assert found(await api.get(f"{REGISTRATIONS}?{query}")) == expected, query


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("", "BadRequestData"),
        ("id=urn:x:1", "BadRequestData"),
        ("csf=mode", "BadRequestData"),
        ("type=Vehicle&id=nouri", "BadRequestData"),
        ("type=Vehicle&idPattern=(", "BadRequestData"),
        ("type=Vehicle&q=speed>", "BadRequestData"),
        ("type=Vehicle&csf=mode==", "BadRequestData"),
        ("type=Vehicle&georel=near", "BadRequestData"),
        ("type=Vehicle&timerel=before", "BadRequestData"),
        ("type=Vehicle&timeAt=2020-01-01T00:00:00Z", "BadRequestData"),
        ("type=Vehicle&timerel=around&timeAt=2020-01-01T00:00:00Z", "BadRequestData"),
        ("type=Vehicle&limit=-1", "BadRequestData"),
        ("type=Vehicle&local=true", "InvalidRequest"),
        ("type=Vehicle&options=keyValues", "InvalidRequest"),
    ],
)
async def test_5_10_2_4_a_query_that_is_too_wide_or_invalid_is_refused(api: Api, query: str, error: str) -> None:
    assert problem(await api.get(f"{REGISTRATIONS}?{query}")) == (400, error)


async def test_6_3_10_registrations_and_subscriptions_come_in_pages(api: Api) -> None:
    for number in (1, 2, 3):
        await api.post(REGISTRATIONS, registration(number))
        await api.post(SUBSCRIPTIONS, subscription(number, isActive=False))
    for path, query in ((REGISTRATIONS, "type=Vehicle&"), (SUBSCRIPTIONS, "")):
        page = await api.get(f"{path}?{query}limit=1&offset=1&count=true")
        assert found(page) == [2]
        assert page.headers["NGSILD-Results-Count"] == "3"
        assert 'rel="prev"' in page.headers["Link"]
        assert 'rel="next"' in page.headers["Link"]
        assert found(await api.get(f"{path}?{query}offset=9")) == []
        assert found(await api.get(f"{path}?{query}limit=0&count=true")) == []


async def test_5_9_2_4_an_exclusive_registration_conflicts_with_what_covers_the_same(api: Api) -> None:
    assert (await api.post(REGISTRATIONS, exclusive(1, "speed"))).status == 201
    assert problem(await api.post(REGISTRATIONS, exclusive(2, "speed"))) == (409, "Conflict")
    assert problem(await api.post(REGISTRATIONS, registration(2, mode="redirect"))) == (409, "Conflict")
    assert (await api.post(REGISTRATIONS, exclusive(2, "brand"))).status == 201
    assert (await api.post(REGISTRATIONS, registration(3))).status == 201
    one = f"{REGISTRATIONS}/{registration(3)['id']}"
    assert problem(await api.patch(one, {"mode": "redirect"})) == (409, "Conflict")
    second = f"{REGISTRATIONS}/{registration(2)['id']}"
    assert (await api.patch(second, {"description": "no conflict with itself"})).status == 204
    assert problem(await api.patch(second, {"information": exclusive(2, "speed")["information"]})) == (409, "Conflict")


async def test_5_9_2_4_proxied_registrations_conflict_with_entities_that_are_held_here(api: Api) -> None:
    entity = {"id": VEHICLE, "type": "Vehicle", "speed": {"type": "Property", "value": 1}}
    assert (await api.post("entities", entity)).status == 201
    assert problem(await api.post(REGISTRATIONS, exclusive(1, "speed"))) == (409, "Conflict")
    assert (await api.post(REGISTRATIONS, exclusive(1, "brand"))).status == 201
    assert problem(await api.post(REGISTRATIONS, registration(2, mode="redirect"))) == (409, "Conflict")
    for information in (
        [{"entities": [{"type": "Bus"}]}],
        [{"entities": [{"type": "Vehicle", "idPattern": "B$"}]}],
        [{"entities": [{"type": "Vehicle"}], "propertyNames": ["colour"]}],
    ):
        body = registration(id=..., mode="redirect", information=information)
        assert (await api.post(REGISTRATIONS, body)).status == 201, information
    body = registration(3, mode="redirect", information=[{"propertyNames": ["speed"]}])
    assert problem(await api.post(REGISTRATIONS, body)) == (409, "Conflict")
    assert (await api.post(REGISTRATIONS, body, NGSILD_Tenant="elsewhere")).status == 201
    assert (await api.post(REGISTRATIONS, body | {"mode": "inclusive"})).status == 201


async def test_5_5_10_a_registration_creates_its_tenant(api: Api) -> None:
    assert problem(await api.get(f"{REGISTRATIONS}?type=Vehicle", NGSILD_Tenant="new")) == (404, "NonexistentTenant")
    assert (await api.post(REGISTRATIONS, registration(), NGSILD_Tenant="new")).headers["NGSILD-Tenant"] == "new"
    assert found(await api.get(f"{REGISTRATIONS}?type=Vehicle", NGSILD_Tenant="new")) == [1]
    assert found(await api.get(f"{REGISTRATIONS}?type=Vehicle")) == []
    assert (await api.post(SUBSCRIPTIONS, subscription(isActive=False), NGSILD_Tenant="newer")).status == 201
    assert found(await api.get(SUBSCRIPTIONS, NGSILD_Tenant="newer")) == [1]


async def test_5_9_2_4_a_registration_that_expires_is_gone_at_once_and_its_id_is_free(api: Api) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=0.3)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    await api.post(REGISTRATIONS, registration(expiresAt=soon))
    assert found(await api.get(f"{REGISTRATIONS}?type=Vehicle")) == [1]
    await asyncio.sleep(0.35)
    assert found(await api.get(f"{REGISTRATIONS}?type=Vehicle")) == []
    assert (await api.get(f"{REGISTRATIONS}/{registration()['id']}")).status == 404
    assert (await api.post(REGISTRATIONS, registration())).status == 201
    await asyncio.sleep(0.1)
    assert [key for _, key, _ in await api.broker.store.list_documents("registration")] == [registration()["id"]]


async def test_5_9_2_4_an_expired_registration_is_deleted(api: Api) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=0.2)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    await api.post(REGISTRATIONS, registration(expiresAt=soon))
    async with asyncio.timeout(5):
        while await api.broker.store.list_documents("registration"):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)


async def test_6_12_and_6_13_a_subscription_to_registrations_lives_and_dies(api: Api) -> None:
    temporal = {"timerel": "after", "timeAt": "2020-01-01T00:00:00Z"}
    body = subscription(isActive=False, watchedAttributes=["speed"], temporalQ=temporal)
    made = await api.post(SUBSCRIPTIONS, body)
    assert (made.status, made.headers["Location"]) == (201, f"/ngsi-ld/v1/{SUBSCRIPTIONS}/urn:ngsi-ld:Subscription:1")
    assert problem(await api.post(SUBSCRIPTIONS, body)) == (409, "AlreadyExists")
    one = f"{SUBSCRIPTIONS}/urn:ngsi-ld:Subscription:1"
    assert (await api.get(one)).json == body | {"status": "paused", "jsonldContext": CORE}
    assert (await api.patch(one, {"description": "x", "temporalQ": "urn:ngsi-ld:null"})).status == 204
    shown = (await api.get(f"{one}?options=sysAttrs")).json
    assert "temporalQ" not in shown
    assert shown["description"] == "x"
    assert shown["createdAt"] < shown["modifiedAt"]
    for fragment in (
        {"id": "urn:x:2"},
        {"notification": "urn:ngsi-ld:null"},
        {"temporalQ": {}},
        {"watchedAttributes": []},
    ):
        assert problem(await api.patch(one, fragment)) == (400, "BadRequestData"), fragment
    assert (await api.get("subscriptions")).json == []
    assert (await api.delete(one)).status == 204
    assert problem(await api.get(one)) == (404, "ResourceNotFound")
    assert problem(await api.patch(one, {})) == (404, "ResourceNotFound")


async def test_6_33_the_broker_tells_who_it_is_for_each_tenant(api: Api) -> None:
    answer = await api.get("info/sourceIdentity")
    identity = answer.json
    assert answer.status == 200
    assert identity["type"] == "ContextSourceIdentity"
    assert identity["id"].startswith("urn:")
    assert re.fullmatch(r"P\d+DT\d+H\d+M\d+S", identity["contextSourceUptime"])
    assert identity["contextSourceTimeAt"].endswith("Z")
    other = (await api.get("info/sourceIdentity", NGSILD_Tenant="never-used")).json
    assert other["contextSourceAlias"] != identity["contextSourceAlias"]
    assert (await api.get("info/other")).status == 404
    assert (await api.post("info/sourceIdentity", {})).status == 405
