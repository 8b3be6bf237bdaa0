"""Sentences with `shall`, one by one, against a whole broker: parameters, identifiers, pages, purges, queries by POST."""

import pytest

GAUGE = "urn:ngsi-ld:RiverGauge:1"


async def create(api, count=1, **attributes):
    batch = [
        {"id": f"urn:ngsi-ld:RiverGauge:{number}", "type": "RiverGauge", "level": number, **attributes}
        for number in range(1, count + 1)
    ]
    assert (await api.post("entityOperations/create", batch)).status == 201


def refused(answer, error, *words):
    assert answer.status == 400
    assert answer.json["type"].endswith(error)
    for word in words:
        assert word in answer.json["detail"]


@pytest.mark.parametrize("value", ["--3", "+3", "3-", "٣", "9" * 30, "1e3"])
async def test_6_3_10_a_limit_that_is_no_integer_is_bad_request_data(api, value):
    refused(await api.get(f"entities?type=RiverGauge&limit={value}"), "BadRequestData", "limit")


async def test_6_3_10_behind_the_end_the_previous_page_is_the_one_before_the_last_element(api):
    await create(api, 5)
    answer = await api.get("entities?type=RiverGauge&limit=2&offset=99")
    assert [entity["id"] for entity in answer.json] == ["urn:ngsi-ld:RiverGauge:5"]
    assert "limit=2&offset=2&type=RiverGauge" in answer.headers["Link"]
    assert 'rel="next"' not in answer.headers["Link"]


async def test_5_2_33_every_type_implies_the_local_scope_which_may_not_be_denied(api):
    await create(api)
    assert len((await api.get("entities?type=*")).json) == 1
    refused(await api.get("entities?type=*&local=false"), "BadRequestData", "local")
    query = {"type": "Query", "entities": [{"type": "*"}]}
    refused(await api.post("entityOperations/query?local=false", query), "BadRequestData", "local")
    refused(await api.delete("entities?type=*&local=false"), "BadRequestData", "local")
    assert len((await api.post("entityOperations/query", query)).json) == 1


async def test_5_7_2_4_system_attributes_alone_do_not_narrow_a_query(api):
    await create(api)
    refused(await api.get("entities?attrs=createdAt"), "BadRequestData", "too wide")
    assert len((await api.get("entities?attrs=createdAt,level")).json) == 1
    assert (await api.get("entities?attrs=createdAt,other")).json == []


@pytest.mark.parametrize(
    "query",
    ["csf=(((", "type=1a", "type=T|<script>", "attrs=a%20b", "idPattern=(", "scopeQ=/1a", "datasetId=x", "lang=!"],
)
async def test_5_7_2_4_what_is_not_syntactically_valid_is_bad_request_data(api, query):
    prefix = "" if query.startswith("type") else "type=RiverGauge&"
    refused(await api.get(f"entities?{prefix}{query}"), "BadRequestData")


async def test_6_3_20_options_have_no_count(api):
    refused(await api.get("entities?type=RiverGauge&options=count"), "InvalidRequest", "options=count")


async def test_4_19_a_plus_in_a_scope_query_need_not_be_encoded(api):
    await create(api, scope="/Fukui/Asuwa/Tenjin")
    for scope_query in ("/Fukui/+/Tenjin", "/Fukui/%2B/Tenjin", "/Fukui/Asuwa/+", "(/Fukui/+/+;/Fukui/%23)"):
        assert len((await api.get(f"entities?type=RiverGauge&scopeQ={scope_query}")).json) == 1
    assert (await api.get("entities?type=RiverGauge&scopeQ=/Fukui/+")).json == []
    assert len((await api.get("entities?type=RiverGauge&idPattern=^urn:.+:1$")).json) == 1


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("geoQ", {"georel": 1, "geometry": 2, "coordinates": 3}),
        ("geoQ", {"georel": "within", "geometry": ["Point"], "coordinates": [1, 1]}),
        ("geoQ", {"georel": "equals", "geometry": "Point", "coordinates": [1, 1], "geoproperty": 5}),
        ("ordering", {}),
        ("ordering", {"orderBy": "level"}),
        ("ordering", {"orderBy": [1]}),
        ("ordering", {"orderBy": ["level"], "collation": 1}),
        ("ordering", {"orderBy": ["level;dist-asc"], "coordinates": [1, 1], "geometry": {}}),
        ("ordering", {"orderBy": ["level"], "more": 1}),
        ("ordering", ["level"]),
    ],
)
async def test_5_2_23_the_parts_of_a_query_by_post_are_checked_for_their_types(api, member, value):
    query = {"type": "Query", "entities": [{"type": "RiverGauge"}], member: value}
    refused(await api.post("entityOperations/query", query), "BadRequestData")


async def test_4_4_id_and_its_keyword_are_one_member(api):
    await create(api)
    both = {"id": GAUGE, "@id": "urn:other:1", "type": "RiverGauge"}
    refused(await api.post("entities", both), "BadRequestData", "@id")
    refused(await api.put(f"entities/{GAUGE}", both), "BadRequestData", "@id")
    refused(await api.put(f"entities/{GAUGE}", {"@id": "urn:other:1", "@type": "RiverGauge"}), "BadRequestData", "id")
    assert (await api.put(f"entities/{GAUGE}", {"@id": GAUGE, "@type": "RiverGauge", "level": 7})).status == 204
    assert (await api.get(f"entities/{GAUGE}?options=keyValues")).json["level"] == 7


async def test_6_5_3_4_the_common_timestamp_and_language_of_a_merge_are_checked_and_normalised(api):
    await create(api, seen={"value": 1, "observedAt": "2020-01-01T00:00:00Z"}, label={"languageMap": {"en": "gauge"}})
    merged = await api.patch(
        f"entities/{GAUGE}?observedAt=2021-08-14T09:00:00,5Z&lang=ja", {"seen": 2, "label": "水位計"}
    )
    assert merged.status == 204
    entity = (await api.get(f"entities/{GAUGE}")).json
    assert entity["seen"]["observedAt"] == "2021-08-14T09:00:00.5Z"
    assert entity["label"]["languageMap"] == {"en": "gauge", "ja": "水位計"}
    for lang in ("!!", "ja,en", "ja;q=1"):
        refused(await api.patch(f"entities/{GAUGE}?lang={lang}", {"label": "x"}), "BadRequestData", "lang")
    assert (await api.get(f"entities/{GAUGE}")).json == entity


@pytest.mark.parametrize("name", ["id", "type", "createdAt", "value", "a b", "1a"])
async def test_5_6_4_4_the_name_of_the_target_attribute_has_to_be_one(api, name):
    await create(api)
    target = f"entities/{GAUGE}/attrs/{name}"
    refused(await api.patch(target, {"value": 1}), "BadRequestData", name)
    refused(await api.put(target, {"value": 1}), "BadRequestData", name)
    refused(await api.delete(target), "BadRequestData", name)


@pytest.mark.parametrize("parameter", ["drop=id", "drop=level{other}", "keep=a%20b", "keep=scope", "drop=createdAt"])
async def test_5_6_21_4_what_a_purge_drops_or_keeps_are_attributes(api, parameter):
    await create(api)
    refused(await api.delete(f"entities?type=RiverGauge&{parameter}"), "BadRequestData")
    assert (await api.get(f"entities/{GAUGE}?options=keyValues")).json["level"] == 1


async def test_5_6_10_an_element_that_is_no_id_is_reported_under_a_uri(api):
    await create(api)
    answer = await api.post("entityOperations/delete", [GAUGE, {"id": GAUGE}, 7])
    assert answer.status == 207
    assert answer.json["success"] == [GAUGE]
    assert {error["entityId"] for error in answer.json["errors"]} == {"urn:ngsi-ld:unknown"}


@pytest.mark.parametrize("accept", ["text/html", "application/geo+json"])
async def test_6_3_4_lists_and_details_of_contexts_are_json_only(api, accept):
    hosted = (await api.post("jsonldContexts", {"@context": {"a": "http://x.example/a"}})).headers["Location"]
    for path in (
        "jsonldContexts",
        hosted.removeprefix("/ngsi-ld/v1/"),
        hosted.removeprefix("/ngsi-ld/v1/") + "?details=true",
    ):
        answer = await api.get(path, Accept=accept)
        assert answer.status == 406
        assert answer.json["available"] == ["application/json", "application/ld+json"]


async def test_5_6_21_4_attrs_selects_what_is_purged_and_system_attributes_alone_are_too_wide(api):
    for number, name in enumerate(("speed", "brand"), 1):
        document = {"id": f"urn:x:{number}", "type": "Car", name: {"type": "Property", "value": 1}}
        assert (await api.post("entities", document)).status == 201
    for attrs in ("createdAt", "owner{name}"):
        answer = await api.delete(f"entities?attrs={attrs}")
        assert (answer.status, answer.json["type"].rpartition("/")[2]) == (400, "BadRequestData")
    assert (await api.delete("entities?attrs=speed")).status == 204
    assert [each["id"] for each in (await api.get("entities?type=Car")).json] == ["urn:x:2"]
