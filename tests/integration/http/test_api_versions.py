"""Answers in earlier versions of NGSI-LD (4.3.6.8, 5.7.1.4, 5.7.2.4, 6.3.6, 6.3.21) over HTTP."""

import pytest

GAUGE = "urn:ngsi-ld:RiverGauge:1"
CONTEXT = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"
NAME = {"type": "LanguageProperty", "languageMap": {"en": "Bridge", "ja": "橋"}}
PLAIN_NAME = {"type": "Property", "value": {"en": "Bridge", "ja": "橋"}}
POINT = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [1, 2]}}
ALWAYS = "timerel=after&timeAt=2000-01-01T00:00:00Z"


async def create(api, **attributes):
    entity = {"id": GAUGE, "type": "RiverGauge", "name": NAME, "location": POINT, "scope": "/a", **attributes}
    assert (await api.post("entities", entity)).status == 201


def told(answer):
    return answer.status, answer.headers.get("Preference-Applied")


async def test_5_7_1_4_an_amended_entity_is_non_authoritative_information(api):
    await create(api)
    older = await api.get(f"entities/{GAUGE}", Prefer="ngsi-ld=1.3")
    assert told(older) == (203, "ngsi-ld=1.3")
    assert older.json == {"id": GAUGE, "type": "RiverGauge", "name": PLAIN_NAME, "location": POINT}
    assert CONTEXT in older.headers["Link"]
    linked_data = await api.get(f"entities/{GAUGE}", Prefer="ngsi-ld=1.3", Accept="application/ld+json")
    assert told(linked_data) == (203, "ngsi-ld=1.3")
    assert linked_data.json == {**older.json, "@context": CONTEXT}


async def test_6_5_3_1_what_needs_no_amendment_is_200_and_says_what_it_conforms_to(api):
    await create(api)
    same = await api.get(f"entities/{GAUGE}", Prefer="ngsi-ld=1.4")
    assert told(same) == (200, "ngsi-ld=1.4")
    assert same.json["name"] == NAME
    picked = await api.get(f"entities/{GAUGE}?pick=location", Prefer="ngsi-ld=1.0")
    assert told(picked) == (200, "ngsi-ld=1.0")
    assert told(await api.get(f"entities/{GAUGE}")) == (200, None)


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("ngsi-ld=1.9", "ngsi-ld=1.9"),
        ("ngsi-ld=1.10", "ngsi-ld=1.9"),
        ("ngsi-ld=2.0", "ngsi-ld=1.9"),
        ("ngsi-ld=newest", None),
        ("ngsi-ld=", None),
        ("body=json", None),
    ],
)
async def test_6_3_6_versions_of_the_future_get_the_newest_and_what_is_no_version_is_no_wish(api, prefer, applied):
    await create(api)
    answer = await api.get(f"entities/{GAUGE}", Prefer=prefer)
    assert told(answer) == (200, applied)
    assert answer.json["name"] == NAME


async def test_4_3_6_8_a_version_before_the_first_gets_the_first(api):
    await create(api)
    assert told(await api.get(f"entities/{GAUGE}", Prefer="ngsi-ld=0.1")) == (203, "ngsi-ld=1.0")


@pytest.mark.parametrize(
    ("representation", "name"),
    [("normalized", PLAIN_NAME), ("concise", PLAIN_NAME["value"]), ("simplified", PLAIN_NAME["value"])],
)
async def test_5_7_2_4_queries_amend_every_entity_in_every_representation(api, representation, name):
    await create(api)
    queried = await api.get(f"entities?type=RiverGauge&format={representation}&count=true", Prefer="ngsi-ld=1.3")
    assert told(queried) == (203, "ngsi-ld=1.3")
    assert queried.headers["NGSILD-Results-Count"] == "1"
    assert [entity["name"] for entity in queried.json] == [name]
    query = {"type": "Query", "entities": [{"type": "RiverGauge"}]}
    posted = await api.post(f"entityOperations/query?format={representation}", query, Prefer="ngsi-ld=1.3")
    assert told(posted) == (203, "ngsi-ld=1.3")
    assert posted.json == queried.json
    nothing = await api.get("entities?type=Bridge", Prefer="ngsi-ld=1.3")
    assert (told(nothing), nothing.json) == ((200, "ngsi-ld=1.3"), [])


async def test_6_3_6_geojson_takes_both_wishes(api):
    await create(api)
    accept = "application/geo+json"
    feature = await api.get(f"entities/{GAUGE}", Prefer="body=json, ngsi-ld=1.3", Accept=accept)
    assert told(feature) == (203, "ngsi-ld=1.3")
    assert "@context" not in feature.json
    assert CONTEXT in feature.headers["Link"]
    assert feature.json["geometry"] == POINT["value"]
    assert feature.json["properties"] == {"type": "RiverGauge", "name": PLAIN_NAME, "location": POINT}
    found = await api.get("entities?type=RiverGauge", Prefer="ngsi-ld=1.3", Accept=accept)
    assert told(found) == (203, "ngsi-ld=1.3")
    assert found.json["@context"] == CONTEXT
    assert found.json["features"][0]["properties"]["name"] == PLAIN_NAME


async def test_6_19_3_1_evolutions_are_amended(api):
    times = [f"2026-03-01T12:0{minute}:00Z" for minute in range(2)]
    names = [NAME | {"observedAt": time} for time in times]
    sizes = [{"type": "ListProperty", "valueList": [1], "observedAt": time} for time in times]
    evolution = {"id": GAUGE, "type": "RiverGauge", "name": names, "sizes": sizes}
    assert (await api.post("temporal/entities", evolution)).status == 201
    older = await api.get(f"temporal/entities/{GAUGE}", Prefer="ngsi-ld=1.3")
    assert told(older) == (203, "ngsi-ld=1.3")
    assert [(each["type"], each["value"]) for each in older.json["sizes"]] == [("Property", [1])] * 2
    assert [each["value"] for each in older.json["name"]] == [PLAIN_NAME["value"]] * 2
    values = await api.get(f"temporal/entities?type=RiverGauge&{ALWAYS}&format=temporalValues", Prefer="ngsi-ld=1.3")
    assert told(values) == (203, "ngsi-ld=1.3")
    assert values.json[0]["sizes"] == {"type": "Property", "values": [[[1], time] for time in times]}
    assert values.json[0]["name"] == {"type": "Property", "values": [[PLAIN_NAME["value"], time] for time in times]}
    counted = f"temporal/entities?type=RiverGauge&{ALWAYS}&format=aggregatedValues&aggrMethods=totalCount"
    aggregated = await api.get(counted, Prefer="ngsi-ld=1.3")
    assert told(aggregated) == (203, "ngsi-ld=1.3")
    assert aggregated.json[0]["sizes"]["type"] == "Property"
    assert aggregated.json[0]["sizes"]["totalCount"][0][0] == 2
    assert told(await api.get(f"temporal/entities/{GAUGE}", Prefer="ngsi-ld=1.8")) == (200, "ngsi-ld=1.8")


async def test_4_3_6_8_before_1_3_an_evolution_keeps_all_that_one_dataset_has_been(api):
    instances = [
        {"type": "Property", "value": value, "observedAt": f"2026-03-01T12:0{value}:00Z"} for value in range(2)
    ] + [{"type": "Property", "value": 9, "observedAt": "2026-03-01T12:05:00Z", "datasetId": "urn:d:1"}]
    evolution = {"id": GAUGE, "type": "RiverGauge", "level": instances, "scope": {"type": "Property", "value": "/a"}}
    assert (await api.post("temporal/entities", evolution)).status == 201
    older = await api.get(f"temporal/entities/{GAUGE}", Prefer="ngsi-ld=1.2")
    assert told(older) == (203, "ngsi-ld=1.2")
    assert [each["value"] for each in older.json["level"]] == [0, 1]
    assert "scope" not in older.json
    simplified = await api.get(f"temporal/entities/{GAUGE}?format=temporalValues", Prefer="ngsi-ld=1.2")
    assert [value for value, _ in simplified.json["level"]["values"]] == [0, 1]
    other = await api.get(f"temporal/entities/{GAUGE}?format=temporalValues&datasetId=urn:d:1", Prefer="ngsi-ld=1.2")
    assert other.json["level"] == {"type": "Property", "values": [[9, "2026-03-01T12:05:00Z"]]}


async def test_6_3_6_other_payloads_say_that_they_are_of_the_newest_version(api):
    assert told(await api.get("types", Prefer="ngsi-ld=1.5")) == (200, "ngsi-ld=1.5")
    assert told(await api.get("subscriptions", Prefer="ngsi-ld=1.5")) == (200, "ngsi-ld=1.5")


@pytest.mark.parametrize("version", ["1.3", "1.9", "2.0"])
async def test_6_3_21_a_profile_in_the_link_header_does_no_harm(api, version):
    profile = f'<https://uri.etsi.org/ngsi-ld/profile/{version}>; rel="profile"'
    entity = {"id": GAUGE, "type": "RiverGauge", "name": NAME}
    assert (await api.post("entities", entity, Link=profile)).status == 201
    both = f'{profile}, <{CONTEXT}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
    assert (await api.patch(f"entities/{GAUGE}", {"name": NAME}, Link=both)).status == 204
    whole = {**entity, "@context": CONTEXT}
    assert (await api.put(f"entities/{GAUGE}", whole, Link=profile, Content_Type="application/ld+json")).status == 204
    assert (await api.post("entityOperations/upsert", [entity], Link=profile)).status == 204
    assert (await api.get(f"entities/{GAUGE}")).json["name"] == NAME
