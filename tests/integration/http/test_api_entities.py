"""Single entities over HTTP, by clause: 5.6.1 to 5.6.6, 5.6.17 to 5.6.19, 5.7.1, 6.3.x, 6.4 to 6.7."""

import pytest

CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"
VOCAB = "https://uri.etsi.org/ngsi-ld/default-context/"
GAUGE = "urn:ngsi-ld:RiverGauge:1"


def gauge(**attributes):
    return {
        "id": GAUGE,
        "type": "RiverGauge",
        "level": {"type": "Property", "value": 1.4, "unitCode": "MTR", "observedAt": "2021-08-14T00:00:00Z"},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [136.2, 36.06]}},
        **attributes,
    }


async def test_5_6_1_a_created_entity_reads_back_as_it_was_written(api):
    answer = await api.post("entities", gauge())
    assert (answer.status, answer.body) == (201, b"")
    assert answer.headers["Location"] == f"/ngsi-ld/v1/entities/{GAUGE}"
    read = await api.get(f"entities/{GAUGE}")
    assert read.status == 200
    assert read.json == gauge()
    assert read.headers["Content-Type"] == "application/json"
    assert read.headers["Link"] == f'<{CORE}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'


async def test_5_6_1_creating_it_twice_is_a_conflict_that_names_it(api):
    await api.post("entities", gauge())
    answer = await api.post("entities", gauge())
    assert answer.status == 409
    assert answer.json["type"] == "https://uri.etsi.org/ngsi-ld/errors/AlreadyExists"
    assert GAUGE in answer.json["detail"]
    assert answer.json["title"]


async def test_6_3_6_json_ld_carries_the_context_in_the_body(api):
    context = {"RiverGauge": "https://example.org/RiverGauge", "level": "https://example.org/level"}
    document = {**gauge(), "@context": context}
    answer = await api.post("entities", document, Content_Type="application/ld+json")
    assert answer.status == 201
    plain = (await api.get(f"entities/{GAUGE}")).json
    assert plain["type"] == "https://example.org/RiverGauge"
    assert plain["https://example.org/level"]["value"] == 1.4
    linked = await api.get(f"entities/{GAUGE}", Accept="application/ld+json")
    assert linked.headers["Content-Type"] == "application/ld+json"
    assert linked.json["@context"] == CORE
    assert "Link" not in linked.headers


@pytest.mark.parametrize(
    ("headers", "document", "fault"),
    [
        ({"Content-Type": "application/json"}, {**gauge(), "@context": CORE}, "@context"),
        ({"Content-Type": "application/ld+json"}, gauge(), "@context"),
        (
            {"Content-Type": "application/ld+json", "Link": f'<{CORE}>; rel="http://www.w3.org/ns/json-ld#context"'},
            {**gauge(), "@context": CORE},
            "Link",
        ),
    ],
)
async def test_6_3_5_a_context_in_the_wrong_place_is_refused(api, headers, document, fault):
    answer = await api.request("POST", "entities", document, headers=headers)
    assert answer.status == 400
    assert answer.json["type"].endswith("BadRequestData")
    assert fault in answer.json["detail"]


async def test_5_6_6_a_deleted_entity_is_gone(api):
    await api.post("entities", gauge())
    assert (await api.delete(f"entities/{GAUGE}")).status == 204
    for answer in (await api.get(f"entities/{GAUGE}"), await api.delete(f"entities/{GAUGE}")):
        assert answer.status == 404
        assert answer.json["type"].endswith("ResourceNotFound")
        assert GAUGE in answer.json["detail"]


async def test_5_6_17_merge_goes_to_any_depth_and_null_removes(api):
    await api.post("entities", gauge(address={"type": "Property", "value": {"city": "福井", "street": "大手"}}))
    patch = {
        "level": {"value": 2.0},
        "address": {"type": "Property", "value": {"street": "urn:ngsi-ld:null", "code": "910"}},
        "location": "urn:ngsi-ld:null",
    }
    assert (await api.patch(f"entities/{GAUGE}", patch)).status == 204
    read = (await api.get(f"entities/{GAUGE}")).json
    assert read["level"] == {
        "type": "Property",
        "value": 2.0,
        "unitCode": "MTR",
        "observedAt": "2021-08-14T00:00:00Z",
    }
    assert read["address"]["value"] == {"city": "福井", "code": "910"}
    assert "location" not in read


async def test_5_6_17_simplified_merge_keeps_the_attribute_types(api):
    await api.post(
        "entities", gauge(name={"type": "LanguageProperty", "languageMap": {"ja": "九頭竜川", "en": "Kuzuryu"}})
    )
    answer = await api.patch(f"entities/{GAUGE}?format=simplified&lang=en", {"level": 3, "name": "Kuzuryu River"})
    assert answer.status == 204
    read = (await api.get(f"entities/{GAUGE}")).json
    assert read["level"]["value"] == 3
    assert read["name"]["languageMap"] == {"ja": "九頭竜川", "en": "Kuzuryu River"}


async def test_5_6_18_replace_keeps_only_id_and_creation_time(api):
    await api.post("entities", gauge())
    before = (await api.get(f"entities/{GAUGE}?options=sysAttrs")).json
    replacement = {"type": "RiverGauge", "rain": {"type": "Property", "value": 12}}
    assert (await api.put(f"entities/{GAUGE}", replacement)).status == 204
    after = (await api.get(f"entities/{GAUGE}?options=sysAttrs")).json
    assert after["createdAt"] == before["createdAt"]
    assert after["modifiedAt"] > before["modifiedAt"]
    assert "level" not in after
    assert after["rain"]["value"] == 12


async def test_5_6_2_update_replaces_whole_attributes_and_adds_new_ones(api):
    await api.post("entities", gauge())
    fragment = {"level": {"type": "Property", "value": 9}, "rain": {"type": "Property", "value": 1}}
    assert (await api.patch(f"entities/{GAUGE}/attrs", fragment)).status == 204
    read = (await api.get(f"entities/{GAUGE}")).json
    assert read["level"] == {"type": "Property", "value": 9}
    assert read["rain"] == {"type": "Property", "value": 1}


async def test_5_6_3_append_without_overwrite_says_what_it_left(api):
    await api.post("entities", gauge())
    fragment = {"level": {"type": "Property", "value": 9}, "rain": {"type": "Property", "value": 1}}
    answer = await api.post(f"entities/{GAUGE}/attrs?options=noOverwrite", fragment)
    assert answer.status == 207
    assert answer.json["updated"] == [f"{VOCAB}rain"]
    assert [entry["attributeName"] for entry in answer.json["notUpdated"]] == [f"{VOCAB}level"]
    assert (await api.get(f"entities/{GAUGE}")).json["level"]["value"] == 1.4


async def test_5_6_4_partial_update_touches_the_given_members_only(api):
    await api.post("entities", gauge())
    assert (await api.patch(f"entities/{GAUGE}/attrs/level", {"value": 7})).status == 204
    assert (await api.get(f"entities/{GAUGE}")).json["level"]["unitCode"] == "MTR"
    missing = await api.patch(f"entities/{GAUGE}/attrs/nothing", {"value": 7})
    assert missing.status == 404


async def test_5_6_19_replace_attribute_leaves_nothing_of_the_old_one(api):
    await api.post("entities", gauge())
    answer = await api.put(f"entities/{GAUGE}/attrs/level", {"type": "Property", "value": 7})
    assert answer.status == 204
    assert (await api.get(f"entities/{GAUGE}")).json["level"] == {"type": "Property", "value": 7}


async def test_5_6_5_delete_one_dataset_the_default_or_all(api):
    speeds = [
        {"type": "Property", "value": 1},
        {"type": "Property", "value": 2, "datasetId": "urn:ngsi-ld:dataset:a"},
        {"type": "Property", "value": 3, "datasetId": "urn:ngsi-ld:dataset:b"},
    ]
    await api.post("entities", gauge(speed=speeds))
    assert (await api.delete(f"entities/{GAUGE}/attrs/speed?datasetId=urn:ngsi-ld:dataset:a")).status == 204
    assert len((await api.get(f"entities/{GAUGE}")).json["speed"]) == 2
    assert (await api.delete(f"entities/{GAUGE}/attrs/speed")).status == 204
    assert (await api.get(f"entities/{GAUGE}")).json["speed"]["value"] == 3
    assert (await api.delete(f"entities/{GAUGE}/attrs/speed?deleteAll=true")).status == 204
    assert "speed" not in (await api.get(f"entities/{GAUGE}")).json
    assert (await api.delete(f"entities/{GAUGE}/attrs/speed")).status == 404


async def test_5_7_1_projection_and_representations(api):
    await api.post("entities", gauge())
    assert (await api.get(f"entities/{GAUGE}?pick=level&format=simplified")).json == {"level": 1.4}
    assert (await api.get(f"entities/{GAUGE}?attrs=level&options=keyValues")).json == {
        "id": GAUGE,
        "type": "RiverGauge",
        "level": 1.4,
    }
    omitted = (await api.get(f"entities/{GAUGE}?omit=location&format=concise")).json
    assert omitted == {
        "id": GAUGE,
        "type": "RiverGauge",
        "level": {"value": 1.4, "unitCode": "MTR", "observedAt": "2021-08-14T00:00:00Z"},
    }
    assert (await api.get(f"entities/{GAUGE}?attrs=nothing")).status == 404


async def test_6_3_15_geojson_with_the_context_inside_or_in_the_link(api):
    await api.post("entities", gauge())
    inside = await api.get(f"entities/{GAUGE}?format=simplified", Accept="application/geo+json")
    assert inside.headers["Content-Type"] == "application/geo+json"
    assert inside.json["type"] == "Feature"
    assert inside.json["geometry"] == {"type": "Point", "coordinates": [136.2, 36.06]}
    assert inside.json["properties"]["level"] == 1.4
    assert inside.json["@context"] == CORE
    plain = await api.get(f"entities/{GAUGE}", Accept="application/geo+json", Prefer="body=json")
    assert "@context" not in plain.json
    assert CORE in plain.headers["Link"]
    refused = await api.get(f"entities/{GAUGE}?geometryProperty=location")
    assert refused.status == 400


async def test_4_5_23_linked_entities_inline_and_flat(api):
    await api.post(
        "entities", {"id": "urn:ngsi-ld:Bridge:1", "type": "Bridge", "height": {"type": "Property", "value": 8}}
    )
    await api.post("entities", gauge(near={"type": "Relationship", "object": "urn:ngsi-ld:Bridge:1"}))
    inline = (await api.get(f"entities/{GAUGE}?join=inline")).json
    assert inline["near"]["entity"]["height"]["value"] == 8
    flat = (await api.get(f"entities/{GAUGE}?join=flat&format=simplified")).json
    assert [entity["id"] for entity in flat] == [GAUGE, "urn:ngsi-ld:Bridge:1"]
    contained = (await api.get(f"entities/{GAUGE}?join=flat&containedBy=urn:ngsi-ld:Bridge:1")).json
    assert [entity["id"] for entity in contained] == [GAUGE]


async def test_5_5_10_tenants_are_isolated_and_named_in_the_answer(api):
    missing = await api.get(f"entities/{GAUGE}", NGSILD_Tenant="kanazawa")
    assert (missing.status, missing.json["type"].rsplit("/", 1)[1]) == (404, "NonexistentTenant")
    assert (await api.post("entities", gauge(), NGSILD_Tenant="kanazawa")).status == 201
    there = await api.get(f"entities/{GAUGE}", NGSILD_Tenant="kanazawa")
    assert (there.status, there.headers["NGSILD-Tenant"]) == (200, "kanazawa")
    here = await api.get(f"entities/{GAUGE}")
    assert here.status == 404
    assert "NGSILD-Tenant" not in here.headers


async def test_4_22_an_expired_entity_is_not_there_and_its_id_is_free(api):
    expired = gauge(expiresAt="2020-01-01T00:00:00Z")
    await api.post("entities", expired)
    assert (await api.get(f"entities/{GAUGE}")).status == 404
    assert (await api.get("entities?type=RiverGauge")).json == []
    assert (await api.post("entities", gauge())).status == 201
    assert (await api.get(f"entities/{GAUGE}")).status == 200


async def test_6_3_4_preconditions_of_the_protocol(api):
    assert (await api.request("POST", "entities", data=b"{}", headers={"Content-Type": "text/plain"})).status == 415
    not_acceptable = await api.get("entities?type=RiverGauge", Accept="text/turtle")
    assert not_acceptable.status == 406
    wrong_verb = await api.request("PUT", "entities", gauge())
    assert (wrong_verb.status, wrong_verb.headers["Allow"]) == (405, "DELETE, GET, POST")

    async def chunks():
        yield b"{}"

    chunked = await api.request("POST", "entities", data=chunks(), headers={"Content-Type": "application/json"})
    assert (chunked.status, chunked.body) == (411, b"")


async def test_6_3_6_no_content_has_no_content_length(api):
    await api.post("entities", gauge())
    answer = await api.delete(f"entities/{GAUGE}")
    assert answer.status == 204
    assert "Content-Length" not in answer.headers
    assert "Content-Type" not in answer.headers
