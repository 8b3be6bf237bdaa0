"""Devices over HTTP: provisioned at the north port, measures at the south port, entities in a real broker."""

from device_desk import GROUP, a_device_desk
from runner_desk import until

T1 = {
    "device_id": "t1",
    "entity_name": "urn:ngsi-ld:Sensor:t1",
    "entity_type": "Sensor",
    "attributes": [
        {"object_id": "t", "name": "temperature", "type": "Number", "metadata": {"unitCode": {"value": "CEL"}}},
    ],
    "static_attributes": [{"name": "controlledAsset", "type": "Relationship", "value": "urn:ngsi-ld:Building:barn001"}],
}


async def test_a_measure_of_a_provisioned_device_becomes_its_entity(tmp_path):
    async with a_device_desk(tmp_path) as desk:
        assert await desk.north("POST", "/iot/services", {"services": [GROUP]}) == (201, {})
        assert await desk.north("POST", "/iot/devices", {"devices": [T1]}) == (201, {})
        assert await desk.south("/iot/d", "t|3", t="2026-06-30T05:20:00Z") == (200, "")
        entity = await until(lambda: desk.entity("urn:ngsi-ld:Sensor:t1"))
        assert entity["temperature"] == {
            "type": "Property",
            "value": 3,
            "unitCode": "CEL",
            "observedAt": "2026-06-30T05:20:00Z",
        }
        assert entity["controlledAsset"]["object"] == "urn:ngsi-ld:Building:barn001"
