"""Queries, paging, purge and discovery over HTTP, by clause: 5.5.9, 5.6.21, 5.7.2, 5.7.5 to 5.7.10, 6.3.10, 6.3.13, 6.23."""

import re

import pytest

POINTS = {1: [139.70, 35.69], 2: [139.71, 35.70], 3: [135.50, 34.70]}


def shelter(number, capacity, **attributes):
    return {
        "id": f"urn:ngsi-ld:Shelter:{number}",
        "type": ["Shelter", "Building"] if number == 3 else "Shelter",
        "capacity": {"type": "Property", "value": capacity},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": POINTS[number]}},
        **attributes,
    }


@pytest.fixture
async def shelters(api):
    entities = [
        shelter(1, 100, scope="/Tokyo/Shinjuku", operator={"type": "Relationship", "object": "urn:ngsi-ld:City:1"}),
        shelter(
            2,
            200,
            scope=["/Tokyo/Toshima"],
            name={"type": "LanguageProperty", "languageMap": {"ja": "東", "en": "East"}},
        ),
        shelter(3, 300, scope="/Osaka"),
        {"id": "urn:ngsi-ld:City:1", "type": "City", "population": {"type": "Property", "value": 349385}},
    ]
    answer = await api.post("entityOperations/create", entities)
    assert answer.status == 201
    return api


def ids(answer):
    assert answer.status == 200, answer.body
    return [int(entity["id"].rsplit(":", 1)[1]) for entity in answer.json]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("type=Shelter", [1, 2, 3]),
        ("type=(Shelter;Building)", [3]),
        ("type=Shelter&q=capacity%3E150", [2, 3]),
        ("type=Shelter&q=capacity==100..200", [1, 2]),
        ("type=Shelter&q=capacity==100|capacity==300", [1, 3]),
        ("q=name[en]==%22East%22", [2]),
        ("type=Shelter&id=urn:ngsi-ld:Shelter:2,urn:ngsi-ld:Shelter:3", [2, 3]),
        ("type=Shelter&idPattern=.*:[12]$", [1, 2]),
        ("type=Shelter&scopeQ=/Tokyo/%23", [1, 2]),
        ("type=Shelter&scopeQ=/Osaka", [3]),
        ("georel=near;maxDistance==5000&geometry=Point&coordinates=[139.70,35.69]", [1, 2]),
        ("georel=within&geometry=Polygon&coordinates=[[[139,35],[140,35],[140,36],[139,36],[139,35]]]", [1, 2]),
        ("attrs=name", [2]),
        ("attrs=name,population&type=Shelter", [2]),
        ("local=true&idPattern=Shelter", [1, 2, 3]),
        ("type=*&idPattern=Shelter", [1, 2, 3]),
        ("type=Shelter&orderBy=capacity;desc", [3, 2, 1]),
        ("type=Shelter&pick=id,name,operator", [1, 2, 3]),
        ("type=Shelter&local=true&orderBy=location;dist-desc&orderFrom=[139.70,35.69]", [3, 2, 1]),
        ("type=Shelter&q=operator{City:population}%3E1000&join=inline", [1]),
    ],
)
async def test_5_7_2_every_condition_selects(shelters, query, expected):
    assert ids(await shelters.get(f"entities?{query}")) == expected


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("", "too wide"),
        ("id=urn:ngsi-ld:Shelter:1", "too wide"),
        ("pick=capacity", "too wide"),
        ("q=createdAt%3E2020-01-01T00:00:00Z", "too wide"),
        ("type=Shelter&id=nonsense", "id"),
        ("type=Shelter&idPattern=[", "idPattern"),
        ("type=Shelter&q=capacity%3E%3E3", "q"),
        ("type=Shelter&georel=near&geometry=Point&coordinates=[0,0]", "georel"),
        ("type=Shelter&georel=within", "geometry"),
        ("type=Shelter&georel=within&geometry=Polygon&coordinates=[0,0]", "coordinates"),
        ("type=Shelter&scopeQ=//", "scopeQ"),
        ("type=Shelter&q=operator{population}%3E1", "q"),
        ("type=Shelter&pick=operator{population}", "pick"),
        ("type=Shelter&limit=0", "limit"),
        ("type=(Shelter", "type"),
        ("type=Shelter&geometryProperty=location", "geometryProperty"),
    ],
)
async def test_5_7_2_what_is_wrong_with_a_query_is_named(shelters, query, fault):
    answer = await shelters.get(f"entities?{query}")
    assert answer.status == 400, answer.body
    assert answer.json["type"].endswith("BadRequestData")
    assert fault in answer.json["detail"]


async def test_5_5_9_pages_follow_each_other_by_links_and_back(shelters):
    first = await shelters.get("entities?type=Shelter&limit=2&count=true")
    assert ids(first) == [1, 2]
    assert first.headers["NGSILD-Results-Count"] == "3"
    links = dict(re.findall(r'<([^>]+)>; rel="(\w+)"', first.headers["Link"]) and _links(first))
    assert set(links) == {"next"}
    second = await shelters.get(shelters.url + links["next"])
    assert ids(second) == [3]
    links = _links(second)
    assert set(links) == {"prev"}
    assert ids(await shelters.get(shelters.url + links["prev"])) == [1, 2]


def _links(answer):
    return {
        relation: target
        for target, relation in re.findall(r'<(/[^>]+)>; rel="(\w+)"', ", ".join(answer.headers.getall("Link")))
    }


async def test_6_3_13_the_count_alone(shelters):
    answer = await shelters.get("entities?type=Shelter&limit=0&count=true")
    assert (answer.json, answer.headers["NGSILD-Results-Count"]) == ([], "3")


async def test_6_3_10_an_offset_past_the_end_means_the_last_element(shelters):
    assert ids(await shelters.get("entities?type=Shelter&offset=10")) == [3]
    assert ids(await shelters.get("entities?type=Nothing&offset=10")) == []


async def test_5_7_2_picked_attributes_select_the_entities_that_have_one(shelters):
    assert (await shelters.get("entities?type=Shelter&pick=name,scope&format=simplified")).json[0] == {
        "scope": "/Tokyo/Shinjuku"
    }
    (only,) = (await shelters.get("entities?type=Shelter&pick=name&format=simplified")).json
    assert only == {"name": {"languageMap": {"ja": "東", "en": "East"}}}


async def test_6_23_a_query_by_post_means_the_same(shelters):
    query = {
        "type": "Query",
        "entities": [{"type": "Shelter", "id": "urn:ngsi-ld:Shelter:1"}, {"type": "Building"}],
        "q": "capacity<=300",
        "geoQ": {
            "georel": "intersects",
            "geometry": "Polygon",
            "coordinates": [[[130, 30], [140, 30], [140, 40], [130, 40], [130, 30]]],
        },
        "pick": ["id", "capacity"],
    }
    answer = await shelters.post("entityOperations/query?format=simplified", query)
    assert answer.json == [
        {"id": "urn:ngsi-ld:Shelter:1", "capacity": 100},
        {"id": "urn:ngsi-ld:Shelter:3", "capacity": 300},
    ]


@pytest.mark.parametrize(
    "query",
    [
        {"entities": [{"type": "Shelter"}]},
        {"type": "Query", "entities": []},
        {"type": "Query", "entities": [{"typ": "Shelter"}]},
        {"type": "Query", "q": 3},
        {"type": "Query", "colour": "red", "entities": [{"type": "Shelter"}]},
        {"type": "Query", "entities": ["Shelter"]},
    ],
)
async def test_5_2_23_an_invalid_query_is_bad_request_data(shelters, query):
    answer = await shelters.post("entityOperations/query", query)
    assert answer.status == 400
    assert answer.json["type"].endswith("BadRequestData")


async def test_6_3_15_a_query_as_feature_collection(shelters):
    answer = await shelters.get("entities?type=Shelter&format=simplified", Accept="application/geo+json")
    assert answer.json["type"] == "FeatureCollection"
    assert [feature["geometry"]["coordinates"] for feature in answer.json["features"]] == list(POINTS.values())
    assert "@context" in answer.json
    assert all("@context" not in feature for feature in answer.json["features"])


async def test_4_15_one_language_is_chosen(shelters):
    (entity,) = (await shelters.get("entities?q=name&lang=en")).json
    assert entity["name"] == {"type": "Property", "value": "East", "lang": "en"}


async def test_5_6_21_purge_deletes_entities_or_only_attributes(shelters):
    assert (await shelters.delete("entities?type=Shelter&q=capacity==100&drop=location")).status == 204
    assert "location" not in (await shelters.get("entities/urn:ngsi-ld:Shelter:1")).json
    assert (await shelters.delete("entities?type=Shelter&keep=capacity")).status == 204
    kept = (await shelters.get("entities?type=Shelter&format=simplified")).json
    assert all(set(entity) <= {"id", "type", "scope", "capacity"} for entity in kept)
    assert (await shelters.delete("entities?type=Building")).status == 204
    assert ids(await shelters.get("entities?type=Shelter")) == [1, 2]
    assert (await shelters.delete("entities")).status == 400


async def test_5_7_5_to_5_7_7_types_in_use(shelters):
    listed = (await shelters.get("types")).json
    assert (listed["type"], sorted(listed["typeList"])) == ("EntityTypeList", ["Building", "City", "Shelter"])
    details = {entry["typeName"]: entry for entry in (await shelters.get("types?details=true")).json}
    assert sorted(details["Building"]["attributeNames"]) == ["capacity", "location"]
    information = (await shelters.get("types/Shelter")).json
    assert information["entityCount"] == 3
    assert {entry["attributeName"]: entry["attributeTypes"] for entry in information["attributeDetails"]} == {
        "capacity": ["Property"],
        "location": ["GeoProperty"],
        "name": ["LanguageProperty"],
        "operator": ["Relationship"],
    }
    assert (await shelters.get("types/Nothing")).status == 404
    assert (await shelters.get("types/no%20name")).status == 400


async def test_5_7_8_to_5_7_10_attributes_in_use(shelters):
    listed = (await shelters.get("attributes")).json
    assert sorted(listed["attributeList"]) == ["capacity", "location", "name", "operator", "population"]
    details = {entry["attributeName"]: entry for entry in (await shelters.get("attributes?details=true")).json}
    assert sorted(details["capacity"]["typeNames"]) == ["Building", "Shelter"]
    information = (await shelters.get("attributes/capacity")).json
    assert (information["attributeCount"], information["attributeTypes"]) == (3, ["Property"])
    assert (await shelters.get("attributes/nothing")).status == 404
    assert (await shelters.get("attributes/1a")).status == 400
