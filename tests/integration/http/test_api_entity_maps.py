"""EntityMaps over HTTP: 5.5.9.3, 5.5.14, 5.14, 6.32, 6.34, 6.35, and in 6.4.3, 6.5.3.1, 6.18.3.2, 6.19.3.1, 6.23, 6.24."""

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from api import Api, running_api

from broker.model.instants import parse_instant
from broker.operations import entity_maps
from broker.store.sqlite.store import SqliteStore

ROOT = "/ngsi-ld/v1/entityMaps/"
GEO_JSON = "application/geo+json"
ALWAYS = "timerel=after&timeAt=2000-01-01T00:00:00Z"


def car(number, speed=50, **members):
    return {
        "id": f"urn:ngsi-ld:Vehicle:{number:02}",
        "type": "Vehicle",
        "speed": {"type": "Property", "value": speed},
        **members,
    }


@pytest.fixture
async def cars(api: Api) -> Api:
    """Ten vehicles at speeds 0, 10, ..., 90."""
    assert (await api.post("entityOperations/create", [car(n, 10 * n) for n in range(10)])).status == 201
    return api


def numbers(answer, status=200):
    assert answer.status == status, answer.body
    return [int(entity["id"].rsplit(":", 1)[1]) for entity in answer.json]


def location(answer):
    return answer.headers["NGSILD-EntityMap"]


def links(answer):
    found = re.findall(r'<([^>]*)>; rel="(prev|next)"', answer.headers.get("Link", ""))
    return {relation: target.removeprefix("/ngsi-ld/v1/") for target, relation in found}


async def mapped(api, reference):
    """The numbers of the entities in a map."""
    answer = await api.get(reference.removeprefix("/ngsi-ld/v1/"))
    assert answer.status == 200, answer.body
    assert all(sources == ["@none"] for sources in answer.json["entityMap"].values())
    return sorted(int(each.rsplit(":", 1)[1]) for each in answer.json["entityMap"])


def seconds_left(document):
    return (parse_instant(document["expiresAt"]) - datetime.now(UTC)).total_seconds()


# --- 5.14.4, 6.34: creation


async def test_5_14_4_a_query_makes_a_map_of_what_it_selects(cars):
    answer = await cars.get("entityMaps?type=Vehicle&q=speed%3E60")
    assert answer.status == 201
    document = answer.json
    assert location(answer) == ROOT + document["id"]
    assert document["type"] == "EntityMap"
    assert document["entityMap"] == {f"urn:ngsi-ld:Vehicle:0{n}": ["@none"] for n in (7, 8, 9)}
    assert document["linkedMaps"] == {}
    assert 3500 < seconds_left(document) <= 3600
    assert 'rel="http://www.w3.org/ns/json-ld#context"' in answer.headers["Link"]
    again = await cars.get(f"entityMaps/{document['id']}")
    assert (again.status, again.json) == (200, document)
    as_json_ld = await cars.get(f"entityMaps/{document['id']}", Accept="application/ld+json")
    assert as_json_ld.json.pop("@context")


async def test_6_34_3_2_a_query_in_a_body_makes_a_map_too(cars):
    query = {
        "type": "Query",
        "entities": [{"type": "Vehicle"}],
        "q": "speed<20",
        "entityMapLifetime": "PT10M",
        "entityMap": False,
    }
    answer = await cars.post("entityMaps", query)
    assert answer.status == 201
    assert len(answer.json["entityMap"]) == 2
    assert 500 < seconds_left(answer.json) <= 600
    assert await mapped(cars, location(answer)) == [0, 1]


async def test_5_14_4_what_is_irrelevant_for_a_map_is_ignored(cars):
    answer = await cars.get(
        "entityMaps?type=Vehicle&limit=0&offset=-5&count=x&entityMap=false&pick=speed&lang=ja&format=concise",
        NGSILD_EntityMap="urn:ngsi-ld:EntityMap:none",
    )
    assert answer.status == 201
    assert len(answer.json["entityMap"]) == 10
    geo = await cars.get("entityMaps?type=Vehicle&geometryProperty=location", Accept=GEO_JSON)
    assert (geo.status, geo.headers["Content-Type"]) == (201, "application/json")


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("", "too wide"),
        ("id=urn:ngsi-ld:Vehicle:01", "too wide"),
        ("type=Vehicle&id=nonsense", "id"),
        ("type=Vehicle&q=speed%3E%3E", "q"),
        ("type=Vehicle&georel=near&geometry=Point&coordinates=[0,0]", "georel"),
        ("type=Vehicle&csf=%3D%3D1", "csf"),
        ("type=Vehicle&entityMapLifetime=1hour", "entityMapLifetime"),
        ("type=Vehicle&entityMap=yes", "entityMap"),
        ("type=Vehicle&pick=owner{name}", "pick"),
        ("type=Vehicle&q=owner{Person:name}==1", "q:"),
        ("type=Vehicle&geometryProperty=location", "geometryProperty"),
        ("type=*&local=false", "local"),
    ],
)
async def test_5_14_4_a_query_that_is_wrong_makes_no_map(cars, query, fault):
    answer = await cars.get(f"entityMaps?{query}")
    assert (answer.status, answer.json["type"].rsplit("/", 1)[1]) == (400, "BadRequestData")
    assert fault in answer.json["detail"]
    assert await cars.broker.store.list_documents("entityMap") == []


async def test_5_14_4_with_split_entities_every_candidate_by_id_and_type_is_taken_and_checked_when_paging(cars):
    answer = await cars.get("entityMaps?type=Vehicle&q=speed%3E60&splitEntities=true")
    assert await mapped(cars, location(answer)) == list(range(10))
    page = await cars.get("entities?type=Vehicle&q=speed%3E60&limit=2", NGSILD_EntityMap=location(answer))
    assert numbers(page) == [7, 8]
    assert await mapped(cars, location(answer)) == [7, 8, 9]
    for narrowed in ("&local=true", "&orderBy=speed"):
        answer = await cars.get(f"entityMaps?type=Vehicle&q=speed%3E60&splitEntities=true{narrowed}")
        assert await mapped(cars, location(answer)) == [7, 8, 9]


async def test_6_4_3_2_the_broker_bounds_the_lifetime(cars):
    long = (await cars.get("entityMaps?type=Vehicle&entityMapLifetime=P3650D")).json
    assert 86_300 < seconds_left(long) <= 86_400
    short = (await cars.get("entityMaps?type=Vehicle&entityMapLifetime=PT0S")).json
    assert short["entityMap"]


# --- 5.14.1 to 5.14.3, 6.32


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_5_14_an_id_that_is_no_uri_or_is_unknown_is_refused(api, method):
    payload = {"expiresAt": "2099-01-01T00:00:00Z"} if method == "PATCH" else None
    for map_id, status, kind in (
        ("not%20a%20uri", 400, "BadRequestData"),
        ("urn:ngsi-ld:EntityMap:none", 404, "ResourceNotFound"),
    ):
        answer = await api.request(method, f"entityMaps/{map_id}", payload)
        assert (answer.status, answer.json["type"].rsplit("/", 1)[1]) == (status, kind)


async def test_5_14_2_update_changes_the_expiry_and_ignores_output_only_members(cars):
    path = location(await cars.get("entityMaps?type=Vehicle")).removeprefix("/ngsi-ld/v1/")
    before = (await cars.get(path)).json
    fragment = {
        "expiresAt": "2099-01-01T00:00:00Z",
        "entityMap": {"urn:ngsi-ld:Vehicle:forged": ["@none"]},
        "linkedMaps": {"urn:r:1": "urn:m:1"},
    }
    assert (await cars.patch(path, fragment)).status == 204
    after = (await cars.get(path)).json
    assert after | {"expiresAt": before["expiresAt"]} == before
    assert before["expiresAt"] < after["expiresAt"] < "2099"
    context = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"
    json_ld = {"Content-Type": "application/ld+json"}
    soon = {"type": "EntityMap", "expiresAt": "2000-01-01T00:00:00Z", "@context": context}
    assert (await cars.request("PATCH", path, soon, headers=json_ld)).status == 204
    assert (await cars.get(path)).status == 404
    assert (await cars.patch(path, fragment)).status == 404


@pytest.mark.parametrize(
    "fragment", [{"expiresAt": "tomorrow"}, {"expiresAt": None}, {"id": "urn:x:1"}, {"type": "Map"}, []]
)
async def test_5_14_2_a_wrong_fragment_changes_nothing(cars, fragment):
    path = location(await cars.get("entityMaps?type=Vehicle")).removeprefix("/ngsi-ld/v1/")
    before = (await cars.get(path)).json
    assert (await cars.patch(path, fragment)).status == 400
    assert (await cars.get(path)).json == before


async def test_5_14_3_a_deleted_map_is_gone(cars):
    path = location(await cars.get("entityMaps?type=Vehicle")).removeprefix("/ngsi-ld/v1/")
    answer = await cars.delete(path)
    assert (answer.status, answer.body) == (204, b"")
    assert (await cars.get(path)).status == 404
    assert (await cars.delete(path)).status == 404


async def test_4_14_a_map_belongs_to_its_tenant(cars):
    assert (await cars.post("entities", car(1), NGSILD_Tenant="north")).status == 201
    reference = location(await cars.get("entityMaps?type=Vehicle"))
    path = reference.removeprefix("/ngsi-ld/v1/")
    assert (await cars.get(path, NGSILD_Tenant="north")).status == 404
    assert (await cars.delete(path, NGSILD_Tenant="north")).status == 404
    assert (await cars.patch(path, {"expiresAt": "2000-01-01T00:00:00Z"}, NGSILD_Tenant="north")).status == 404
    assert (await cars.get(path, NGSILD_Tenant="nowhere")).status == 404
    elsewhere = await cars.get("entities?type=Vehicle", NGSILD_Tenant="north", NGSILD_EntityMap=reference)
    assert numbers(elsewhere, 201) == [1]
    assert location(elsewhere) != reference
    assert await mapped(cars, reference) == list(range(10))


# --- 5.7.2, 6.4.3.2, 6.23: queries with maps


async def test_6_4_3_2_a_map_that_is_asked_for_is_created_and_then_used(cars):
    answer = await cars.get("entities?type=Vehicle&entityMap=true&entityMapLifetime=PT5M&limit=3&count=true")
    assert numbers(answer, 201) == [0, 1, 2]
    assert answer.headers["NGSILD-Results-Count"] == "10"
    reference = location(answer)
    assert 200 < seconds_left((await cars.get(reference.removeprefix("/ngsi-ld/v1/"))).json) <= 300
    for again in (reference, cars.url + reference, reference.removeprefix(ROOT), quote(reference, safe="/")):
        page = await cars.get("entities?type=Vehicle&limit=3&entityMap=true", NGSILD_EntityMap=again)
        assert numbers(page) == [0, 1, 2]
        assert location(page) == reference
    assert len(await cars.broker.store.list_documents("entityMap")) == 1


async def test_5_7_2_without_a_wish_for_a_map_there_is_none(cars):
    for query in ("type=Vehicle", "type=Vehicle&entityMap=false", "type=Vehicle&entityMapLifetime=PT5M"):
        answer = await cars.get(f"entities?{query}")
        assert len(numbers(answer)) == 10
        assert "NGSILD-EntityMap" not in answer.headers
    assert (await cars.get("entities?type=Vehicle&entityMapLifetime=soon")).status == 400
    assert await cars.broker.store.list_documents("entityMap") == []


async def test_5_7_2_4_a_map_that_is_unknown_or_expired_is_created_anew(cars):
    first = location(await cars.get("entities?type=Vehicle&entityMap=true"))
    await cars.patch(first.removeprefix("/ngsi-ld/v1/"), {"expiresAt": "2000-01-01T00:00:00Z"})
    for reference in (first, "urn:ngsi-ld:EntityMap:none", "https://elsewhere.example/ngsi-ld/v1/entityMaps/urn:a:b"):
        answer = await cars.get("entities?type=Vehicle&limit=4&entityMapLifetime=PT5M", NGSILD_EntityMap=reference)
        assert numbers(answer, 201) == [0, 1, 2, 3]
        assert location(answer) not in (first, reference)
        assert await mapped(cars, location(answer)) == list(range(10))


@pytest.mark.parametrize(
    "reference", ["not a uri", " ", "/ngsi-ld/v1/entityMaps/", "/ngsi-ld/v1/entityMaps/a%20b", "http://[x"]
)
async def test_6_4_3_2_a_header_that_names_no_resource_is_refused(cars, reference):
    answer = await cars.get("entities?type=Vehicle", NGSILD_EntityMap=reference)
    assert (answer.status, answer.json["type"].rsplit("/", 1)[1]) == (400, "BadRequestData")
    assert "NGSILD-EntityMap" in answer.json["detail"]


async def test_5_5_14_a_map_fixes_the_entities_whatever_comes_later(cars):
    reference = location(await cars.get("entityMaps?type=Vehicle&q=speed%3E=50"))
    await cars.post("entities", car(77, 99))
    await cars.patch("entities/urn:ngsi-ld:Vehicle:01", {"speed": {"value": 99}})
    page = await cars.get("entities?type=Vehicle&q=speed%3E=50", NGSILD_EntityMap=reference)
    assert numbers(page) == [5, 6, 7, 8, 9]


async def test_5_5_14_the_parameters_have_to_be_those_of_the_map_but_for_ids_and_what_is_shown(cars):
    query = "type=Vehicle&q=speed%3E=50"
    reference = location(await cars.get(f"entityMaps?{query}"))
    for other in (
        "type=Vehicle",
        "type=Vehicle&q=speed%3E=60",
        "type=Bus&q=speed%3E=50",
        f"{query}&scopeQ=/a",
        f"{query}&orderBy=speed",
    ):
        answer = await cars.get(f"entities?{other}", NGSILD_EntityMap=reference)
        assert (answer.status, answer.json["type"].rsplit("/", 1)[1]) == (400, "BadRequestData"), other
        assert "5.5.14" in answer.json["detail"]
    page = await cars.get(f"entities?{query}&format=simplified&omit=type&options=sysAttrs", NGSILD_EntityMap=reference)
    assert page.json[0]["speed"] == 50
    narrowed = await cars.get(
        f"entities?{query}&id=urn:ngsi-ld:Vehicle:09,urn:ngsi-ld:Vehicle:06,urn:ngsi-ld:Vehicle:01&count=true",
        NGSILD_EntityMap=reference,
    )
    assert numbers(narrowed) == [6, 9]
    assert narrowed.headers["NGSILD-Results-Count"] == "2"
    assert numbers(await cars.get(f"entities?{query}&idPattern=7$", NGSILD_EntityMap=reference)) == [7]
    assert await mapped(cars, reference) == [5, 6, 7, 8, 9], "what was not asked for stays in the map"


async def test_5_5_9_3_what_does_not_fit_any_more_is_removed_and_pages_stay_full(cars):
    query = "type=Vehicle&q=speed%3C=80"
    answer = await cars.get(f"entities?{query}&entityMap=true&limit=3")
    reference = location(answer)
    await cars.delete("entities/urn:ngsi-ld:Vehicle:01")
    await cars.patch("entities/urn:ngsi-ld:Vehicle:04", {"speed": {"value": 99}})
    page = await cars.get(f"entities?{query}&limit=3", NGSILD_EntityMap=reference)
    assert numbers(page) == [0, 2, 3]
    assert await mapped(cars, reference) == [0, 2, 3, 5, 6, 7, 8]
    counted = await cars.get(f"entities?{query}&limit=2&offset=2&count=true", NGSILD_EntityMap=reference)
    assert numbers(counted) == [3, 5]
    assert counted.headers["NGSILD-Results-Count"] == "7"
    assert await mapped(cars, reference) == [0, 2, 3, 5, 6, 7, 8]
    none = await cars.get(f"entities?{query}&limit=0&count=true", NGSILD_EntityMap=reference)
    assert (none.json, none.headers["NGSILD-Results-Count"], links(none)) == ([], "7", {})
    last = await cars.get(f"entities?{query}&limit=3&offset=40", NGSILD_EntityMap=reference)
    assert numbers(last) == [8]
    assert set(links(last)) == {"prev"}


@pytest.mark.parametrize("with_header", [True, False])
async def test_5_5_9_3_links_lead_through_the_map_whatever_is_removed_in_between(cars, with_header):
    answer = await cars.get("entities?type=Vehicle&entityMap=true&limit=3")
    headers = {"NGSILD_EntityMap": location(answer)} if with_header else {}
    assert numbers(answer, 201) == [0, 1, 2]
    assert set(links(answer)) == {"next"}
    assert "limit=3&offset=3" in links(answer)["next"]
    assert "Vehicle:0" not in links(answer)["next"]
    for gone in (0, 1, 4):
        await cars.delete(f"entities/urn:ngsi-ld:Vehicle:0{gone}")
    await cars.post("entities", car(1))
    answer = await cars.get(links(answer)["next"], **headers)
    assert numbers(answer) == [3, 5, 6]
    onward = await cars.get(links(answer)["next"], **headers)
    assert numbers(onward) == [7, 8, 9]
    assert set(links(onward)) == {"prev"}
    back = await cars.get(links(onward)["prev"], **headers)
    assert numbers(back) == [3, 5, 6]
    first = await cars.get(links(back)["prev"], **headers)
    assert numbers(first) == [1, 2], "Vehicle 1 is back, and was not found missing meanwhile"
    assert set(links(first)) == {"next"}
    assert numbers(await cars.get(links(first)["next"], **headers)) == [3, 5, 6]
    assert len(await cars.broker.store.list_documents("entityMap")) == 1


async def test_5_5_9_3_a_link_into_a_map_that_has_gone_leads_to_the_same_offset_of_a_new_one(cars):
    answer = await cars.get("entities?type=Vehicle&entityMap=true&limit=3")
    await cars.delete(location(answer).removeprefix("/ngsi-ld/v1/"))
    onward = await cars.get(links(answer)["next"])
    assert numbers(onward, 201) == [3, 4, 5]
    assert location(onward) != location(answer)
    assert numbers(await cars.get(links(onward)["prev"])) == [0, 1, 2]


async def test_a_place_that_is_from_no_link_is_refused(cars):
    for place in ("x", "urn:a:b:from:1", "urn:a:b:from:1.2.3", "a%00b:from:1.2", "a%20b:before:1.2"):
        answer = await cars.get(f"entities?type=Vehicle&entityMapPlace={place}")
        assert answer.status == 400
        assert "entityMapPlace" in answer.json["detail"]
    map_id = location(await cars.get("entityMaps?type=Vehicle")).removeprefix(ROOT)
    far = await cars.get(f"entities?type=Vehicle&entityMapPlace={map_id}:from:999999999.999999999")
    assert (numbers(far), set(links(far))) == ([], {"prev"})
    assert numbers(await cars.get(links(far)["prev"] + "&count=true")) == list(range(10))


async def test_two_clients_may_page_through_one_map_at_the_same_time(cars):
    query = "type=Vehicle&q=speed%3C=90"
    reference = location(await cars.get(f"entityMaps?{query}"))
    for gone in range(0, 10, 2):
        await cars.patch(f"entities/urn:ngsi-ld:Vehicle:0{gone}", {"speed": {"value": 200}})

    async def walk(limit):
        seen, target = [], f"entities?{query}&limit={limit}"
        while target:
            page = await cars.get(target, NGSILD_EntityMap=reference)
            seen += numbers(page)
            target = links(page).get("next")
        return seen

    assert await asyncio.gather(*(walk(limit) for limit in (1, 2, 3, 1, 2, 3))) == [[1, 3, 5, 7, 9]] * 6
    assert await mapped(cars, reference) == [1, 3, 5, 7, 9]


async def test_6_23_a_query_in_a_body_may_ask_for_a_map_and_use_it(cars):
    query = {"type": "Query", "entities": [{"type": "Vehicle"}], "q": "speed>20", "entityMap": True}
    answer = await cars.post("entityOperations/query?limit=2", query)
    assert numbers(answer, 201) == [3, 4]
    await cars.delete("entities/urn:ngsi-ld:Vehicle:04")
    page = await cars.post(links(answer)["next"], query)
    assert numbers(page) == [5, 6]
    again = await cars.post("entityOperations/query?limit=2", query, NGSILD_EntityMap=location(answer))
    assert numbers(again) == [3, 5]
    assert location(again) == location(answer)
    for member, value in (("entityMap", "true"), ("entityMapLifetime", 5), ("entityMapLifetime", "P")):
        refused = await cars.post("entityOperations/query", query | {member: value})
        assert refused.status == 400
        assert member in refused.json["detail"]


async def test_6_4_3_2_a_geojson_answer_has_the_map_too(cars):
    answer = await cars.get("entities?type=Vehicle&entityMap=true&limit=2", Accept=GEO_JSON)
    assert answer.status == 201
    assert [feature["id"][-2:] for feature in answer.json["features"]] == ["00", "01"]
    assert location(answer).startswith(ROOT)
    assert f'type="{GEO_JSON}"' in answer.headers["Link"]


async def test_4_23_the_pages_of_an_ordered_map_follow_the_order_at_its_creation(cars, monkeypatch):
    query = "type=Vehicle&orderBy=speed;desc"
    answer = await cars.get(f"entities?{query}&entityMap=true&limit=4")
    assert numbers(answer, 201) == [9, 8, 7, 6]
    await cars.patch("entities/urn:ngsi-ld:Vehicle:04", {"speed": {"value": 1}})
    onward = await cars.get(links(answer)["next"])
    assert numbers(onward) == [5, 3, 2, 4], "the entities of the page, in the order of what they are now"
    assert numbers(await cars.get(links(onward)["prev"])) == [9, 8, 7, 6]
    monkeypatch.setattr(entity_maps, "MOST_ORDERED", 9)
    refused = await cars.get(f"entityMaps?{query}")
    assert (refused.status, refused.json["type"].rsplit("/", 1)[1]) == (403, "TooManyResults")


async def test_5_7_2_selectors_with_ids_of_their_own_and_linked_conditions_work_with_maps(cars):
    owner = {"id": "urn:ngsi-ld:Person:1", "type": "Person", "age": {"type": "Property", "value": 40}}
    await cars.post("entities", owner)
    bus = {**car(20), "type": "Bus", "owner": {"type": "Relationship", "object": owner["id"]}}
    await cars.post("entities", bus)
    query = {
        "type": "Query",
        "entities": [{"type": "Vehicle", "id": "urn:ngsi-ld:Vehicle:03"}, {"type": "Bus"}],
        "entityMap": True,
    }
    answer = await cars.post("entityOperations/query?count=true", query)
    assert numbers(answer, 201) == [3, 20]
    assert answer.headers["NGSILD-Results-Count"] == "2"
    swapped = {**query, "entities": [{"type": "Vehicle"}, {"type": "Bus", "id": "urn:ngsi-ld:Vehicle:03"}]}
    other = await cars.post("entityOperations/query?count=true", swapped, NGSILD_EntityMap=location(answer))
    assert numbers(other) == [3]
    assert other.headers["NGSILD-Results-Count"] == "1"
    assert await mapped(cars, location(answer)) == [3, 20]
    linked = "type=Bus&q=owner{Person:age}%3E30&join=inline"
    answer = await cars.get(f"entities?{linked}&entityMap=true")
    assert numbers(answer, 201) == [20]
    await cars.patch("entities/urn:ngsi-ld:Person:1", {"age": {"value": 20}})
    assert numbers(await cars.get(f"entities?{linked}", NGSILD_EntityMap=location(answer))) == []
    assert await mapped(cars, location(answer)) == []


async def test_4_22_an_entity_that_expires_falls_out_of_the_map(cars):
    reference = location(await cars.get("entityMaps?type=Vehicle"))
    soon = {"expiresAt": "2030-01-01T00:00:00Z"}
    await cars.patch("entities/urn:ngsi-ld:Vehicle:00", soon)
    assert numbers(await cars.get("entities?type=Vehicle&limit=2", NGSILD_EntityMap=reference)) == [0, 1]
    cars.broker.now = lambda: "2031-01-01T00:00:00.000000Z"
    assert numbers(await cars.get("entities?type=Vehicle&limit=2", NGSILD_EntityMap=reference)) == [1, 2]


# --- 6.4.3.3: purge


async def test_6_4_3_3_a_purge_is_limited_to_the_entities_of_a_map(cars):
    reference = location(await cars.get("entityMaps?type=Vehicle&q=speed%3E=50"))
    await cars.post("entities", car(77, 99))
    answer = await cars.request(
        "DELETE", "entities?type=Vehicle&q=speed%3E=70", headers={"NGSILD-EntityMap": reference}
    )
    assert (answer.status, location(answer)) == (204, reference)
    assert numbers(await cars.get("entities?type=Vehicle")) == [0, 1, 2, 3, 4, 5, 6, 77]
    answer = await cars.request("DELETE", "entities?type=Vehicle&drop=speed", headers={"NGSILD-EntityMap": reference})
    assert answer.status == 204
    without = await cars.get("entities?type=Vehicle&format=simplified")
    assert [entity["id"][-2:] for entity in without.json if "speed" not in entity] == ["05", "06"]


async def test_6_4_3_3_a_purge_with_a_map_that_has_gone_deletes_nothing(cars):
    answer = await cars.request(
        "DELETE", "entities?type=Vehicle", headers={"NGSILD-EntityMap": "urn:ngsi-ld:EntityMap:none"}
    )
    assert (answer.status, answer.json["type"].rsplit("/", 1)[1]) == (404, "ResourceNotFound")
    assert len(numbers(await cars.get("entities?type=Vehicle"))) == 10


# --- 5.7.1, 5.7.3: retrievals


@pytest.mark.parametrize("path", ["entities/urn:ngsi-ld:Vehicle:03", "temporal/entities/urn:ngsi-ld:Vehicle:03"])
async def test_5_7_1_4_5_7_3_4_a_retrieval_makes_a_map_of_one_entity_or_names_the_one_it_used(cars, path):
    answer = await cars.get(f"{path}?entityMap=true")
    assert answer.status == 200
    assert answer.json["id"].endswith("03")
    reference = location(answer)
    assert await mapped(cars, reference) == [3]
    assert location(await cars.get(path, NGSILD_EntityMap=reference)) == reference
    query = location(await cars.get("entityMaps?type=Vehicle"))
    assert location(await cars.get(path, NGSILD_EntityMap=query)) == query
    renewed = await cars.get(path, NGSILD_EntityMap="urn:ngsi-ld:EntityMap:none")
    assert renewed.status == 200
    assert await mapped(cars, location(renewed)) == [3]
    assert "NGSILD-EntityMap" not in (await cars.get(path)).headers
    unknown = await cars.get(path.replace("03", "33") + "?entityMap=true")
    assert (unknown.status, "NGSILD-EntityMap" in unknown.headers) == (404, False)
    assert (await cars.get(f"{path}?entityMap=true&entityMapLifetime=x")).status == 400


# --- 5.7.4, 5.14.5, 6.18.3.2, 6.24, 6.35: temporal evolutions


def driven(number, *values, **members):
    speed = [
        {"type": "Property", "value": value, "observedAt": f"2026-03-0{day}T00:00:00Z"}
        for day, value in enumerate(values, start=1)
    ]
    return {"id": f"urn:ngsi-ld:Vehicle:{number:02}", "type": "Vehicle", "speed": speed, **members}


@pytest.fixture
async def drives(api: Api) -> Api:
    """Five vehicles; the first three were observed on two days, the others on the first one only."""
    for number in range(5):
        values = (number, 10 + number) if number < 3 else (number,)
        assert (await api.post("temporal/entities", driven(number, *values))).status == 201
    return api


async def test_5_14_5_a_temporal_query_makes_a_map(drives):
    answer = await drives.get("temporal/entityMaps?type=Vehicle&timerel=after&timeAt=2026-03-02T00:00:00Z")
    assert answer.status == 201
    assert location(answer) == ROOT + answer.json["id"]
    assert await mapped(drives, location(answer)) == [0, 1, 2]
    filtered = await drives.get(f"temporal/entityMaps?type=Vehicle&q=speed%3E11&{ALWAYS}")
    assert await mapped(drives, location(filtered)) == [2]
    split = await drives.get(f"temporal/entityMaps?type=Vehicle&q=speed%3E11&splitEntities=true&{ALWAYS}")
    assert await mapped(drives, location(split)) == [0, 1, 2, 3, 4]
    for wrong in ("type=Vehicle", ALWAYS, f"type=Vehicle&{ALWAYS}&entityMapLifetime=x"):
        assert (await drives.get(f"temporal/entityMaps?{wrong}")).status == 400


async def test_6_35_3_2_a_temporal_query_in_a_body_makes_a_map(drives):
    query = {
        "type": "Query",
        "entities": [{"type": "Vehicle"}],
        "temporalQ": {"timerel": "before", "timeAt": "2026-03-01T12:00:00Z"},
    }
    answer = await drives.post("temporal/entityMaps", query)
    assert answer.status == 201
    assert await mapped(drives, location(answer)) == [0, 1, 2, 3, 4]
    assert (await drives.post("temporal/entityMaps", {**query, "join": "flat"})).status == 400


async def test_5_7_4_pages_of_evolutions_follow_a_map(drives):
    answer = await drives.get(f"temporal/entities?type=Vehicle&{ALWAYS}&entityMap=true&limit=2&count=true")
    assert numbers(answer, 201) == [0, 1]
    assert answer.headers["NGSILD-Results-Count"] == "5"
    await drives.delete("temporal/entities/urn:ngsi-ld:Vehicle:00")
    await drives.delete("temporal/entities/urn:ngsi-ld:Vehicle:02")
    await drives.post("temporal/entities", driven(50, 1))
    onward = await drives.get(links(answer)["next"], NGSILD_EntityMap=location(answer))
    assert numbers(onward) == [3, 4]
    assert set(links(onward)) == {"prev"}
    assert numbers(await drives.get(links(onward)["prev"])) == [1]
    assert await mapped(drives, location(answer)) == [1, 3, 4]


async def test_5_5_14_the_temporal_query_may_differ_and_then_removes_nothing(drives):
    answer = await drives.get(f"temporal/entities?type=Vehicle&{ALWAYS}&entityMap=true")
    reference = location(answer)
    later = "timerel=after&timeAt=2026-03-02T00:00:00Z"
    page = await drives.get(f"temporal/entities?type=Vehicle&{later}", NGSILD_EntityMap=reference)
    assert numbers(page) == [0, 1, 2]
    assert await mapped(drives, reference) == [0, 1, 2, 3, 4]
    refused = await drives.get(f"temporal/entities?type=Vehicle&q=speed%3E1&{ALWAYS}", NGSILD_EntityMap=reference)
    assert refused.status == 400
    assert (await drives.get("entities?type=Vehicle", NGSILD_EntityMap=reference)).status == 400
    narrowed = f"temporal/entities?type=Vehicle&id=urn:ngsi-ld:Vehicle:03&{ALWAYS}"
    assert numbers(await drives.get(narrowed, NGSILD_EntityMap=reference)) == [3]
    assert await mapped(drives, reference) == [0, 1, 2, 3, 4]


async def test_6_24_a_temporal_query_in_a_body_may_ask_for_a_map_and_descending_order(drives):
    query = {
        "type": "Query",
        "entities": [{"type": "Vehicle"}],
        "temporalQ": {"timerel": "after", "timeAt": "2000-01-01T00:00:00Z"},
        "ordering": {"orderBy": ["id;desc"]},
        "entityMap": True,
    }
    answer = await drives.post("temporal/entityOperations/query?limit=2", query)
    assert numbers(answer, 201) == [4, 3]
    await drives.delete("temporal/entities/urn:ngsi-ld:Vehicle:02")
    assert numbers(await drives.post(links(answer)["next"], query)) == [1, 0]


async def test_6_24_an_answer_that_is_cut_short_stays_partial_content(api):
    for number in range(2):
        await api.post("temporal/entities", driven(number, *range(9)))
    async with running_api(api.broker.store, temporal_page_size=5) as small:
        answer = await small.get(f"temporal/entities?type=Vehicle&{ALWAYS}&entityMap=true")
        assert answer.status == 206
        assert "Content-Range" in answer.headers
        assert location(answer).startswith(ROOT)


# --- time passes, processes end


async def test_a_map_outlives_a_restart(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    await store.open()
    async with running_api(store) as before:
        await before.post("entityOperations/create", [car(n, 10 * n) for n in range(10)])
        first = await before.get("entities?type=Vehicle&entityMap=true&limit=4")
    await store.close()
    await store.open()
    async with running_api(store) as after:
        page = await after.get(links(first)["next"], NGSILD_EntityMap=location(first))
        assert numbers(page) == [4, 5, 6, 7]
        assert location(page) == location(first)
    await store.close()


async def test_a_map_of_many_parts_pages_and_counts(tmp_path: Path) -> None:
    store = SqliteStore(":memory:")
    await store.open()
    async with running_api(store) as api:
        ids = [f"urn:ngsi-ld:Lamp:{number:05}" for number in range(3500)]
        for begin in range(0, len(ids), 500):
            lamps = [{"id": each, "type": "Lamp"} for each in ids[begin : begin + 500]]
            assert (await api.post("entityOperations/create", lamps)).status == 201
        answer = await api.get("entityMaps?type=Lamp")
        assert list(answer.json["entityMap"]) == ids
        reference = location(answer)
        await api.request("DELETE", "entities?type=Lamp&idPattern=[05]$&local=true")
        left = [each for each in ids if each[-1] not in "05"]
        seen, target = [], "entities?type=Lamp&limit=999&count=true"
        while target:
            page = await api.get(target, NGSILD_EntityMap=reference)
            assert page.headers["NGSILD-Results-Count"] == str(len(left))
            seen += [entity["id"] for entity in page.json]
            target = links(page).get("next")
        assert seen == left
        page = await api.get("entities?type=Lamp&limit=2&offset=2798", NGSILD_EntityMap=reference)
        assert [entity["id"] for entity in page.json] == left[-2:]
    await store.close()
