"""The temporal API over HTTP, by clause: 4.5.6 to 4.5.9, 4.5.19, 4.11, 5.6.11 to 5.6.16, 5.7.3, 5.7.4, 6.3.10, 6.18 to 6.24."""

import time

import pytest
from api import Api, running_api

from broker.temporal import aggregation

CAR = "urn:ngsi-ld:Vehicle:1"
BUS = "urn:ngsi-ld:Vehicle:2"
ALWAYS = "timerel=after&timeAt=2000-01-01T00:00:00Z"


def at(minute, second=0):
    return f"2026-03-01T{12 + minute // 60:02}:{minute % 60:02}:{second:02}Z"


def speeds(*values, **members):
    return [
        {"type": "Property", "value": value, "observedAt": at(minute), **members} for minute, value in enumerate(values)
    ]


def vehicle(entity_id=CAR, **attributes):
    return {"id": entity_id, "type": "Vehicle", **(attributes or {"speed": speeds(10, 20, 30)})}


def shown(attribute):
    return [(instance["value"], instance.get("observedAt")) for instance in attribute]


@pytest.fixture
async def car(api: Api) -> Api:
    answer = await api.post("temporal/entities", vehicle())
    assert answer.status == 201
    assert answer.headers["Location"] == f"/ngsi-ld/v1/temporal/entities/{CAR}"
    return api


async def test_5_6_11_an_evolution_is_created_and_then_added_to(car):
    more = vehicle(speed=[{"type": "Property", "value": 25, "observedAt": at(1)}, *speeds(5, datasetId="urn:d:1")])
    more["type"] = ["Truck", "Vehicle"]
    assert (await car.post("temporal/entities", more)).status == 204
    document = (await car.get(f"temporal/entities/{CAR}")).json
    assert sorted(document["type"]) == ["Truck", "Vehicle"]
    assert sorted(value for value, _ in shown(document["speed"])) == [5, 10, 25, 30]
    assert len({instance["instanceId"] for instance in document["speed"]}) == 4
    assert "createdAt" not in document["speed"][0]
    assert (await car.get("entities?type=Vehicle")).json == [], "the current state is another thing"


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"type": "Vehicle", "speed": speeds(1)}, "BadRequestData"),
        ({"id": CAR, "speed": speeds(1)}, "BadRequestData"),
        (vehicle(speed=[{"type": "Property", "observedAt": at(0)}]), "BadRequestData"),
        (vehicle(speed=speeds(1, observedAt="2026-03-01T02:00:00+03:00")), "BadRequestData"),
        (vehicle(speed={"type": "Property", "values": [[1]]}), "BadRequestData"),
        (vehicle(speed={"type": "JsonProperty", "jsons": [[1, at(0)]]}), "BadRequestData"),
        (vehicle(scope=[{"type": "Relationship", "object": "urn:a:b"}]), "BadRequestData"),
        (vehicle(expiresAt="urn:ngsi-ld:null"), "BadRequestData"),
        ([], "InvalidRequest"),
    ],
)
async def test_5_6_11_what_is_invalid_leaves_nothing_behind(api, document, kind):
    answer = await api.post("temporal/entities", document)
    assert (answer.status, answer.json["type"].rsplit("/", 1)[1]) == (400, kind)
    assert (await api.get(f"temporal/entities/{CAR}")).status == 404


async def test_4_5_9_an_evolution_can_be_given_in_simplified_form(api):
    document = vehicle(
        speed={"type": "Property", "values": [[1, at(0)], [2, at(1)]]},
        owner={"type": "Relationship", "objects": [["urn:p:1", at(0)]]},
        name={"type": "LanguageProperty", "languageMaps": [[{"languageMap": {"en": "bus", "ja": "バス"}}, at(0)]]},
        colour={"type": "VocabProperty", "vocabs": [[{"vocab": "red"}, at(0)]]},
        data={"type": "JsonProperty", "jsons": [[{"json": {"a": None}}, at(0)]]},
        depths={"type": "ListProperty", "valueLists": [[[1, 2], at(0)]]},
        route={"type": "ListRelationship", "objectLists": [[["urn:r:1", "urn:r:2"], at(0)]]},
        location={"type": "GeoProperty", "values": [[{"type": "Point", "coordinates": [1, 2]}, at(0)]]},
        scope={"type": "Property", "values": [["/A", at(0)], [["/B", "/C"], at(1)]]},
    )
    assert (await api.post("temporal/entities", document)).status == 201
    assert (await api.get(f"temporal/entities/{CAR}?format=temporalValues")).json == document
    assert (await api.get(f"temporal/entities/{CAR}?options=temporalValues&pick=speed")).json == {
        "speed": document["speed"]
    }
    in_english = (await api.get(f"temporal/entities/{CAR}?format=temporalValues&lang=en&pick=name")).json
    assert in_english == {"name": {"type": "Property", "values": [["bus", at(0)]]}}
    (name,) = (await api.get(f"temporal/entities/{CAR}?lang=ja&pick=name")).json["name"]
    assert (name["type"], name["value"], name["lang"]) == ("Property", "バス", "ja")


async def test_5_6_12_attributes_are_added_to_a_known_evolution_only(car):
    fragment = {"fuel": [{"type": "Property", "value": 5, "observedAt": at(9)}]}
    assert (await car.post(f"temporal/entities/{CAR}/attrs", fragment)).status == 204
    assert shown((await car.get(f"temporal/entities/{CAR}")).json["fuel"]) == [(5, at(9))]
    assert (await car.post(f"temporal/entities/{BUS}/attrs", fragment)).status == 404
    assert (await car.post("temporal/entities/not-a-uri/attrs", fragment)).status == 400
    assert (await car.post(f"temporal/entities/{CAR}/attrs", {})).status == 400


async def test_5_6_13_attributes_are_deleted_by_dataset_or_altogether(car):
    path = f"temporal/entities/{CAR}/attrs"
    await car.post(path, {"speed": speeds(1, 2, datasetId="urn:d:1"), "fuel": speeds(3)})
    assert (await car.delete(f"{path}/speed")).status == 204
    document = (await car.get(f"temporal/entities/{CAR}")).json
    assert [value for value, _ in shown(document["speed"])] == [1, 2]
    assert (await car.delete(f"{path}/speed")).status == 404
    assert (await car.delete(f"{path}/speed?datasetId=urn:d:1")).status == 204
    assert (await car.delete(f"{path}/fuel?deleteAll=true")).status == 204
    assert (await car.get(f"temporal/entities/{CAR}")).json == {"id": CAR, "type": "Vehicle"}
    assert (await car.delete(f"{path}/fuel?deleteAll=true")).status == 404
    assert (await car.delete(f"temporal/entities/{BUS}/attrs/fuel")).status == 404


async def test_5_6_14_and_5_6_15_one_instance_is_corrected_or_deleted(car):
    before = (await car.get(f"temporal/entities/{CAR}?options=sysAttrs")).json["speed"]
    path = f"temporal/entities/{CAR}/attrs/speed/{before[1]['instanceId']}"
    fragment = {"speed": [{"type": "Property", "value": 21, "observedAt": at(1)}]}
    assert (await car.patch(path, fragment)).status == 204
    after = (await car.get(f"temporal/entities/{CAR}?options=sysAttrs")).json["speed"]
    assert [each["value"] for each in after] == [10, 21, 30]
    assert (after[1]["createdAt"], after[1]["instanceId"]) == (before[1]["createdAt"], before[1]["instanceId"])
    assert after[1]["modifiedAt"] > before[1]["modifiedAt"]
    assert (await car.patch(path, {"speed": speeds(1, 2)})).status == 400
    assert (await car.patch(path, {"fuel": speeds(1)})).status == 400
    assert (await car.delete(path)).status == 204
    assert [value for value, _ in shown((await car.get(f"temporal/entities/{CAR}")).json["speed"])] == [10, 30]
    for method in ("PATCH", "DELETE"):
        body = fragment if method == "PATCH" else None
        assert (await car.request(method, path, body)).status == 404
        assert (await car.request(method, f"temporal/entities/{CAR}/attrs/speed/nothing", body)).status == 400


async def test_5_6_16_an_evolution_is_deleted(car):
    assert (await car.delete(f"temporal/entities/{CAR}")).status == 204
    assert (await car.get(f"temporal/entities/{CAR}")).status == 404
    assert (await car.delete(f"temporal/entities/{CAR}")).status == 404
    assert (await car.delete("temporal/entities/nonsense")).status == 400


async def test_4_5_7_what_happens_to_an_entity_is_in_its_evolution_at_once(api):
    entity = {
        "id": CAR,
        "type": "Vehicle",
        "speed": {"type": "Property", "value": 1, "observedAt": at(0)},
        "scope": "/A",
    }
    assert (await api.post("entities", entity)).status == 201
    assert (await api.patch(f"entities/{CAR}/attrs/speed", {"value": 2, "observedAt": at(1)})).status == 204
    assert (await api.patch(f"entities/{CAR}", {"scope": "/B"})).status == 204
    assert (await api.delete(f"entities/{CAR}/attrs/speed")).status == 204
    document = (await api.get(f"temporal/entities/{CAR}?timeproperty=modifiedAt&options=sysAttrs")).json
    assert [each["value"] for each in document["speed"]] == [1, 2, "urn:ngsi-ld:null"]
    assert document["speed"][2]["deletedAt"] == document["speed"][2]["modifiedAt"]
    assert [each["value"] for each in document["scope"]] == ["/A", "/B"]
    assert document["scope"][1]["observedAt"] == document["scope"][1]["modifiedAt"]
    assert (await api.delete(f"entities/{CAR}")).status == 204
    document = (await api.get(f"temporal/entities/{CAR}?options=sysAttrs&pick=id,scope")).json
    assert document["deletedAt"] >= document["scope"][1]["modifiedAt"]
    assert document["scope"][-1]["value"] == "urn:ngsi-ld:null"


async def test_4_5_7_deleting_what_is_known_by_its_evolution_only_is_put_on_record(api):
    name = [{"type": "LanguageProperty", "languageMap": {"en": "x"}, "observedAt": at(0)}]
    await api.post("temporal/entities", vehicle(speed=speeds(1), name=name, scope="/A"))
    for attribute in ("speed", "name", "scope"):
        assert (await api.delete(f"entities/{CAR}/attrs/{attribute}")).status == 204
        assert (await api.delete(f"entities/{CAR}/attrs/{attribute}")).status == 404
    assert (await api.delete(f"entities/{CAR}/attrs/fuel")).status == 404
    document = (await api.get(f"temporal/entities/{CAR}?timeproperty=deletedAt")).json
    assert [len(document[attribute]) for attribute in ("speed", "name", "scope")] == [1, 1, 1]
    assert document["name"][0]["languageMap"] == {"@none": "urn:ngsi-ld:null"}
    assert document["scope"][0]["value"] == "urn:ngsi-ld:null"
    values = (await api.get(f"temporal/entities/{CAR}?timeproperty=deletedAt&format=temporalValues")).json
    assert values["speed"]["values"] == [["urn:ngsi-ld:null", document["speed"][0]["deletedAt"]]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"timerel=after&timeAt={at(1)}", [20, 30]),
        (f"timerel=before&timeAt={at(1)}", [10]),
        (f"timerel=between&timeAt={at(0)}&endTimeAt={at(2)}", [10, 20]),
        ("timerel=after&timeAt=2026-03-01T12:01:00.000Z", [20, 30]),
        ("lastN=2", [30, 20]),
        (f"timerel=before&timeAt={at(2)}&lastN=1", [20]),
        ("timeproperty=createdAt", [10, 20, 30]),
        ("", [10, 20, 30]),
    ],
)
async def test_4_11_temporal_queries_select_instances(car, query, expected):
    assert [each["value"] for each in (await car.get(f"temporal/entities/{CAR}?{query}")).json["speed"]] == expected


async def test_5_7_3_nothing_in_the_time_asked_for_is_not_found(car):
    assert (await car.get(f"temporal/entities/{CAR}?timerel=after&timeAt=2027-01-01T00:00:00Z")).status == 404
    assert (await car.get(f"temporal/entities/{CAR}?timeproperty=deletedAt")).status == 404
    assert (await car.get(f"temporal/entities/{CAR}?attrs=fuel")).status == 404
    assert (await car.get(f"temporal/entities/{CAR}?pick=fuel")).status == 404
    assert (await car.get(f"temporal/entities/{CAR}?omit=id,type,speed&options=sysAttrs")).status == 404


@pytest.mark.parametrize(
    "query",
    [
        "timerel=after",
        f"timeAt={at(0)}",
        "timerel=during&timeAt=2026-03-01T00:00:00Z",
        "timerel=after&timeAt=2026-03-01",
        "timerel=between&timeAt=2026-03-01T00:00:00Z",
        "timerel=after&timeAt=2026-03-01T00:00:00Z&endTimeAt=2026-03-01T00:00:00Z",
        "timeproperty=expiresAt",
        "lastN=0",
        "lastN=1.5",
        "format=concise",
        "format=aggregatedValues",
        "format=aggregatedValues&aggrMethods=median",
        "format=aggregatedValues&aggrMethods=avg&aggrPeriodDuration=1h",
        "options=temporalValues,aggregatedValues",
        "pick=owner{name}",
        "pick=speed&omit=speed",
        "datasetId=nonsense",
        "unknown=1",
    ],
)
async def test_5_7_3_invalid_requests_are_refused(car, query):
    assert (await car.get(f"temporal/entities/{CAR}?{query}")).status == 400
    assert (
        await car.get(f"temporal/entities?type=Vehicle&{ALWAYS if 'time' not in query else ''}&{query}")
    ).status == 400


@pytest.fixture
async def fleet(car: Api) -> Api:
    bus = vehicle(
        BUS,
        speed=[{"type": "Property", "value": 80, "observedAt": "2026-01-01T00:00:00Z"}, *speeds(50, 60)],
        brand=[{"type": "Property", "value": "Hino", "observedAt": at(0)}],
        location=[
            {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.7, 35.7]}, "observedAt": at(0)},
            {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [135.5, 34.7]}, "observedAt": at(5)},
        ],
    )
    assert (await car.post("temporal/entities", bus)).status == 201
    other = {"id": "urn:ngsi-ld:Shelter:1", "type": "Shelter", "level": speeds(1)}
    assert (await car.post("temporal/entities", other)).status == 201
    return car


WINDOW = f"timerel=between&timeAt={at(0)}&endTimeAt={at(3)}"
TOKYO = "geometry=Point&coordinates=[139.7,35.7]&georel=near;maxDistance==1000"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"type=Vehicle&{WINDOW}", [CAR, BUS]),
        (f"type=Vehicle&{WINDOW}&id={BUS}", [BUS]),
        (f"type=Vehicle&{WINDOW}&idPattern=.*:1$", [CAR]),
        (f"type=Vehicle&{WINDOW}&q=speed>55", [BUS]),
        (f"type=Vehicle&{WINDOW}&q=speed>70", []),
        (f"type=Vehicle&{WINDOW}&q=speed<15|brand==%22Hino%22", [CAR, BUS]),
        (f"type=Vehicle&{WINDOW}&q=speed>15;brand", [BUS]),
        (f"type=Vehicle&{WINDOW}&{TOKYO}", [BUS]),
        (f"type=Vehicle&timerel=after&timeAt={at(3)}&{TOKYO}", []),
        (f"attrs=brand&{WINDOW}", [BUS]),
        (f"type=Vehicle&attrs=brand&{WINDOW}", [BUS]),
        (f"type=Vehicle&pick=id,brand&{WINDOW}", [CAR, BUS]),
        (f"type=Vehicle&{WINDOW}&orderBy=id;desc", [BUS, CAR]),
        (f"local=true&{WINDOW}", ["urn:ngsi-ld:Shelter:1", CAR, BUS]),
        (f"type=*&{WINDOW}", ["urn:ngsi-ld:Shelter:1", CAR, BUS]),
        (f"type=Nothing&{WINDOW}", []),
        (f"type=Vehicle&{WINDOW}&q=createdAt>2000-01-01T00:00:00Z", [CAR, BUS]),
        ("type=Vehicle&timerel=after&timeAt=2100-01-01T00:00:00Z&q=createdAt>2000-01-01T00:00:00Z", []),
        (f"type=Vehicle&{WINDOW}&q=speed<15|createdAt<2000-01-01T00:00:00Z", [CAR]),
        (f"attrs=brand&{WINDOW}&q=speed>15", [BUS]),
        (f"attrs=brand&{WINDOW}&q=speed<15", []),
    ],
)
async def test_5_7_4_entities_are_selected_by_what_they_were_in_the_interval(fleet, query, expected):
    answer = await fleet.get(f"temporal/entities?{query}")
    assert answer.status == 200, answer.body
    assert [entity["id"] for entity in answer.json] == expected
    assert b"2026-01-01" not in answer.body


@pytest.mark.parametrize(
    "query",
    [
        "type=Vehicle",
        WINDOW,
        f"{WINDOW}&attrs=createdAt",
        f"{WINDOW}&type=Vehicle&orderBy=speed",
        f"{WINDOW}&type=Vehicle&orderBy=id,createdAt",
        f"{WINDOW}&type=Vehicle&q=owner{{Person:name}}",
        f"{WINDOW}&type=Vehicle&csf=))bad((",
        f"{WINDOW}&type=Vehicle&limit=0",
        f"{WINDOW}&type=Vehicle&id=nonsense",
        f"{WINDOW}&type=*&local=false",
    ],
)
async def test_5_7_4_invalid_queries_are_refused(fleet, query):
    answer = await fleet.get(f"temporal/entities?{query}")
    assert answer.status == 400
    assert answer.json["type"].endswith("BadRequestData")


async def test_5_5_9_entities_come_in_pages_and_are_counted(fleet):
    path = f"temporal/entities?local=true&{WINDOW}&count=true&limit=2"
    first = await fleet.get(path)
    assert [len(first.json), first.headers["NGSILD-Results-Count"]] == [2, "3"]
    assert 'rel="next"' in ", ".join(first.headers.getall("Link"))
    second = await fleet.get(path + "&offset=2")
    assert [each["id"] for each in second.json] == [BUS]
    assert (await fleet.get(path + "&offset=3")).json == []
    assert [each["id"] for each in (await fleet.get(path + "&offset=9")).json] == [BUS]
    assert (await fleet.get(f"temporal/entities?local=true&{WINDOW}&count=true&limit=0")).json == []


async def test_5_7_4_an_entity_without_any_of_the_datasets_is_not_selected(fleet):
    await fleet.post(f"temporal/entities/{CAR}/attrs", {"speed": speeds(7, datasetId="urn:d:1"), "scope": "/A"})
    await fleet.post(f"temporal/entities/{BUS}/attrs", {"brand": speeds(7, datasetId="urn:d:1"), "scope": "/A"})
    path = f"temporal/entities?type=Vehicle&pick=speed&{WINDOW}&count=true&limit=1&datasetId=urn:d:1"
    answer = await fleet.get(path)
    assert shown(answer.json[0]["speed"]) == [(7, at(0))]
    assert answer.headers["NGSILD-Results-Count"] == "1"
    assert 'rel="next"' not in ", ".join(answer.headers.getall("Link"))
    assert (await fleet.get(path + "&scopeQ=/A&offset=1")).json == []
    mapped = await fleet.get(path.replace("entities?", "entityMaps?"))
    assert list(mapped.json["entityMap"]) == [CAR]
    other = path.replace("urn:d:1", "urn:d:2")
    assert (await fleet.get(other, NGSILD_EntityMap=mapped.headers["NGSILD-EntityMap"])).status == 400
    split = await fleet.get(path.replace("entities?", "entityMaps?") + "&splitEntities=true")
    assert list(split.json["entityMap"]) == [CAR, BUS], "what other sources have of them may be of the dataset"


async def test_6_24_a_query_by_post_means_the_same(fleet):
    query = {
        "type": "Query",
        "entities": [{"type": "Vehicle"}],
        "q": "speed>55",
        "temporalQ": {"timerel": "between", "timeAt": at(0), "endTimeAt": at(3), "lastN": 1},
        "pick": ["id", "speed"],
    }
    answer = await fleet.post("temporal/entityOperations/query?format=temporalValues", query)
    assert answer.json == [{"id": BUS, "speed": {"type": "Property", "values": [[60, at(1)]]}}]
    for wrong in ({"lastN": 2.5}, {"lastN": True}, {"timerel": 3}, {"timeAt": []}, {"colour": 1}):
        bad = query | {"temporalQ": query["temporalQ"] | wrong}
        assert (await fleet.post("temporal/entityOperations/query", bad)).status == 400
    del query["temporalQ"]
    assert (await fleet.post("temporal/entityOperations/query", query)).status == 400
    assert (await fleet.post("entityOperations/query", query | {"temporalQ": {}})).status == 400


async def test_5_2_44_aggregation_params_ask_for_aggregated_values(fleet):
    query = {
        "type": "Query",
        "entities": [{"type": "Vehicle", "id": CAR}],
        "temporalQ": {"timerel": "after", "timeAt": at(0)},
        "aggrParams": {"aggrMethods": ["max"], "aggrPeriodDuration": "PT2M"},
    }
    (document,) = (await fleet.post("temporal/entityOperations/query", query)).json
    assert document["speed"] == {"type": "Property", "max": [[20, at(0), at(2)], [30, at(2), at(4)]]}
    query["aggrParams"]["aggrMethods"] = [["max"]]
    assert (await fleet.post("temporal/entityOperations/query", query)).status == 400


async def test_4_5_19_aggregated_values_by_period(fleet):
    path = f"temporal/entities/{CAR}?format=aggregatedValues&aggrMethods=avg,totalCount,stddev"
    assert (await fleet.get(path)).json["speed"] == {
        "type": "Property",
        "avg": [[20, at(0), at(2)]],
        "totalCount": [[3, at(0), at(2)]],
        "stddev": [[pytest.approx(8.16496580927726), at(0), at(2)]],
    }
    between = f"timerel=between&timeAt={at(0)}&endTimeAt={at(3)}"
    document = (await fleet.get(f"{path}&aggrPeriodDuration=PT0S&{between}&pick=speed")).json
    assert document["speed"]["avg"] == [[20, at(0), at(3)]]


async def test_4_12_what_the_entities_of_an_aggregated_answer_have_together_is_bounded(fleet, monkeypatch):
    path = f"temporal/entities?type=Vehicle&{WINDOW}&format=aggregatedValues&aggrMethods=sum&aggrPeriodDuration=PT1M&pick=speed"
    monkeypatch.setattr(aggregation, "MOST_PERIODS", 5)
    assert [len(each["speed"]["sum"]) for each in (await fleet.get(path)).json] == [3, 2]
    monkeypatch.setattr(aggregation, "MOST_PERIODS", 4)
    answer = await fleet.get(path)
    assert (answer.status, answer.json["type"].rsplit("/", 1)[1]) == (403, "TooManyResults")
    monkeypatch.undo()
    monkeypatch.setattr(aggregation, "MOST_DISTINCT", 4)
    answer = await fleet.get(path.replace("=sum", "=distinctCount"))
    assert (answer.status, answer.json["type"].rsplit("/", 1)[1]) == (403, "TooManyResults")


async def test_5_7_4_an_attribute_that_cannot_be_aggregated_is_an_invalid_request(fleet):
    path = f"temporal/entities?type=Vehicle&{WINDOW}&format=aggregatedValues&aggrMethods=sum"
    answer = await fleet.get(f"{path}&attrs=brand")
    assert (answer.status, answer.json["type"].rsplit("/", 1)[1]) == (400, "InvalidRequest")
    assert [sorted(each) for each in (await fleet.get(path)).json] == [["id", "speed", "type"]] * 2


async def test_c_5_16_a_scope_query_is_about_when_scopes_were_valid(api):
    def scope(value, minute):
        return {"type": "Property", "value": value, "observedAt": at(minute)}

    scopes = {
        CAR: [scope("/A/B", -60)],
        BUS: [scope("/A", 0), scope(["/B", "/C"], 2)],
        "urn:ngsi-ld:Vehicle:3": [scope("/A/B", 100)],
    }
    for entity_id, value in scopes.items():
        assert (
            await api.post("temporal/entities", vehicle(entity_id, scope=value, speed=speeds(0, 1, 2, 3)))
        ).status == 201

    async def asked(query):
        answer = await api.get(
            f"temporal/entities?type=Vehicle&{WINDOW[:-20]}{at(4)}&scopeQ={query}&format=temporalValues"
        )
        assert answer.status == 200, answer.body
        return {
            each["id"]: ([pair[0] for pair in each["speed"]["values"]], each["scope"]["values"]) for each in answer.json
        }

    assert await asked("/A/%23") == {
        CAR: ([0, 1, 2, 3], [["/A/B", at(-60)]]),
        BUS: ([0, 1], [["/A", at(0)]]),
    }
    assert await asked("(/B;/C)") == {BUS: ([2, 3], [[["/B", "/C"], at(2)]])}
    assert (await asked("/%23"))[BUS][0] == [0, 1, 2, 3]
    assert await asked("/Z") == {}


@pytest.fixture
async def paged(store):
    async with running_api(store, temporal_page_size=5) as api:
        await api.post("temporal/entities", vehicle(speed=speeds(*range(8)), fuel=speeds(*range(4))))
        yield api


async def test_6_3_10_a_long_answer_is_cut_along_time(paged):
    answer = await paged.get(f"temporal/entities/{CAR}?timerel=after&timeAt={at(0)}")
    assert (answer.status, answer.headers["Content-Range"]) == (206, f"DateTime {at(0)}-{at(1)}/*")
    assert [shown(answer.json[name]) for name in ("speed", "fuel")] == [[(0, at(0)), (1, at(1))]] * 2
    seen, start = [], at(0)
    for _ in range(20):
        answer = await paged.get(f"temporal/entities/{CAR}?timerel=after&timeAt={start}")
        seen += [value for value in shown(answer.json["speed"]) if value not in seen]
        if answer.status == 200:
            break
        start = answer.headers["Content-Range"].split("-", 3)[-1].removesuffix("/*")
        start = f"2026-{start}" if not start.startswith("2026") else start
    assert [value for value, _ in seen] == list(range(8))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("lastN=8", f"DateTime {at(7)}-{at(4)}/8"),
        (f"lastN=8&timerel=before&timeAt={at(30)}", f"DateTime {at(30)}-{at(4)}/8"),
        (f"lastN=8&timerel=between&timeAt={at(0)}&endTimeAt={at(30)}", f"DateTime {at(30)}-{at(4)}/8"),
        (f"lastN=8&timerel=after&timeAt={at(-5)}", f"DateTime {at(7)}-{at(4)}/8"),
        (f"timerel=before&timeAt={at(30)}", f"DateTime {at(0)}-{at(1)}/*"),
        (f"timerel=between&timeAt={at(-5)}&endTimeAt={at(30)}", f"DateTime {at(-5)}-{at(1)}/*"),
    ],
)
async def test_6_3_10_content_range_goes_the_way_of_the_answer(paged, query, expected):
    for path in (f"temporal/entities/{CAR}?{query}", f"temporal/entities/{CAR}?{query}&format=temporalValues"):
        answer = await paged.get(path)
        assert (answer.status, answer.headers["Content-Range"]) == (206, expected)


async def test_6_3_10_an_attribute_whose_instances_are_on_another_page_is_empty(paged):
    answer = await paged.get(f"temporal/entities/{CAR}?lastN=8&timerel=before&timeAt={at(30)}")
    assert answer.json["fuel"] == []
    values = await paged.get(
        f"temporal/entities?type=Vehicle&lastN=8&timerel=before&timeAt={at(30)}&format=temporalValues"
    )
    assert values.json[0]["fuel"] == {"type": "Property", "values": []}


async def test_6_3_10_an_instant_is_never_divided(paged):
    datasets = [speeds(1, datasetId=f"urn:d:{number}")[0] for number in range(9)]
    await paged.post("temporal/entities", vehicle(BUS, speed=[*datasets, *speeds(7, 8, 9)]))
    answer = await paged.get(f"temporal/entities/{BUS}?timerel=after&timeAt={at(0)}")
    assert (answer.status, len(answer.json["speed"])) == (206, 10)


async def test_5_5_10_evolutions_belong_to_a_tenant(api):
    assert (await api.get(f"temporal/entities/{CAR}", NGSILD_Tenant="t9")).status == 404
    assert (await api.post("temporal/entities", vehicle(), NGSILD_Tenant="t9")).status == 201
    assert (await api.get(f"temporal/entities/{CAR}", NGSILD_Tenant="t9")).status == 200
    assert (await api.get(f"temporal/entities/{CAR}")).status == 404


async def test_ten_thousand_instances_are_no_burden(store):
    async with running_api(store, temporal_page_size=10_000) as api:
        pairs = [
            [number, f"2026-03-{1 + number // 1440:02}T{number % 1440 // 60:02}:{number % 60:02}:00Z"]
            for number in range(10_000)
        ]
        await api.post("temporal/entities", vehicle(speed={"type": "Property", "values": pairs}))
        started = time.perf_counter()
        answer = await api.get(f"temporal/entities/{CAR}?format=temporalValues")
        assert len(answer.json["speed"]["values"]) == 10_000
        elapsed = time.perf_counter() - started
        started = time.perf_counter()
        assert len((await api.get(f"temporal/entities/{CAR}?lastN=100")).json["speed"]) == 100
        last = time.perf_counter() - started
    assert elapsed < 3, "100 ms on an idle machine"
    assert last < 0.5
