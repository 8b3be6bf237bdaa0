"""Batches over HTTP, by clause: 5.5.11, 5.6.7 to 5.6.10, 5.6.20, 6.14 to 6.17, 6.31."""

import pytest


def lamp(number, **attributes):
    return {"id": f"urn:ngsi-ld:Lamp:{number}", "type": "Lamp", **attributes}


def on(value):
    return {"type": "Property", "value": value}


async def test_5_6_7_all_created_is_201_with_their_ids(api):
    answer = await api.post("entityOperations/create", [lamp(1), lamp(2)])
    assert answer.status == 201
    assert sorted(answer.json) == ["urn:ngsi-ld:Lamp:1", "urn:ngsi-ld:Lamp:2"]


async def test_5_5_11_1_the_second_instance_of_an_id_is_an_error(api):
    answer = await api.post("entityOperations/create", [lamp(1, on=on(True)), lamp(1, on=on(False))])
    assert answer.status == 207
    assert answer.json["success"] == ["urn:ngsi-ld:Lamp:1"]
    assert answer.json["errors"][0]["entityId"] == "urn:ngsi-ld:Lamp:1"
    assert answer.json["errors"][0]["error"]["type"].endswith("AlreadyExists")
    assert (await api.get("entities/urn:ngsi-ld:Lamp:1?format=simplified")).json["on"] is True


async def test_5_6_7_a_broken_entity_does_not_spoil_the_others(api):
    broken = lamp(2, on={"type": "Property"})
    answer = await api.post("entityOperations/create", [lamp(1), broken, {"type": "Lamp"}])
    assert answer.status == 207
    assert answer.json["success"] == ["urn:ngsi-ld:Lamp:1"]
    assert [error["error"]["status"] for error in answer.json["errors"]] == [400, 400]
    assert answer.headers["Content-Type"] == "application/json"


async def test_5_6_8_upsert_creates_replaces_and_says_what_is_new(api):
    await api.post("entities", lamp(1, on=on(True), power=on(40)))
    answer = await api.post("entityOperations/upsert", [lamp(1, on=on(False)), lamp(2)])
    assert (answer.status, answer.json) == (201, ["urn:ngsi-ld:Lamp:2"])
    assert (await api.get("entities/urn:ngsi-ld:Lamp:1?format=simplified")).json == {**lamp(1), "on": False}
    assert (await api.post("entityOperations/upsert", [lamp(1, on=on(True))])).status == 204


async def test_5_6_8_upsert_in_update_mode_keeps_other_attributes(api):
    await api.post("entities", lamp(1, on=on(True), power=on(40)))
    answer = await api.post("entityOperations/upsert?options=update", [lamp(1, on=on(False)), lamp(1, hue=on(3))])
    assert answer.status == 204
    read = (await api.get("entities/urn:ngsi-ld:Lamp:1?format=simplified")).json
    assert read == {**lamp(1), "on": False, "power": 40, "hue": 3}


async def test_5_6_9_update_needs_existing_entities(api):
    await api.post("entities", lamp(1, on=on(True)))
    answer = await api.post("entityOperations/update", [lamp(1, on=on(False)), lamp(2, on=on(True))])
    assert answer.status == 207
    assert answer.json["success"] == ["urn:ngsi-ld:Lamp:1"]
    assert answer.json["errors"][0]["error"]["type"].endswith("ResourceNotFound")
    kept = await api.post("entityOperations/update?options=noOverwrite", [lamp(1, on=on(True), power=on(1))])
    assert kept.status == 207
    assert kept.json["errors"][0]["error"]["detail"].endswith("default-context/on")
    assert (await api.get("entities/urn:ngsi-ld:Lamp:1?format=simplified")).json == {**lamp(1), "on": False, "power": 1}


async def test_5_6_20_batch_merge(api):
    await api.post("entities", lamp(1, on={**on(True), "unitCode": "C62"}))
    answer = await api.post("entityOperations/merge", [lamp(1, on={"value": False})])
    assert answer.status == 204
    assert (await api.get("entities/urn:ngsi-ld:Lamp:1")).json["on"] == {**on(False), "unitCode": "C62"}


async def test_5_5_11_4_deleting_an_id_twice_is_an_error_for_the_second(api):
    await api.post("entityOperations/create", [lamp(1), lamp(2)])
    ids = ["urn:ngsi-ld:Lamp:1", "urn:ngsi-ld:Lamp:1", "urn:ngsi-ld:Lamp:2"]
    answer = await api.post("entityOperations/delete", ids)
    assert answer.status == 207
    assert answer.json["success"] == ["urn:ngsi-ld:Lamp:1", "urn:ngsi-ld:Lamp:2"]
    assert len(answer.json["errors"]) == 1
    assert (await api.get("entities?type=Lamp")).json == []


@pytest.mark.parametrize("operation", ["create", "upsert", "update", "merge", "delete"])
@pytest.mark.parametrize("body", [[], [None], {}, "x"])
async def test_5_6_7_empty_arrays_nulls_and_non_arrays_are_refused(api, operation, body):
    assert (await api.post(f"entityOperations/{operation}", body)).status == 400
