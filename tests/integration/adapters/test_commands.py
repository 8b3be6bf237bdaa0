"""Commands from a client's PATCH to a device and back: broker, door, carrier, `_status` and `_info`."""

from command_desk import DEVICE, a_city


async def test_a_command_goes_to_its_device_and_the_answer_comes_back(tmp_path):
    async with a_city(tmp_path) as city:
        answer = await city.command(40, key="c1")
        assert answer.status == 204, answer.body
        shown = await city.reaches("DELIVERED")
        assert city.device.values == [40]
        assert await city.desk.answered("", DEVICE, "open", "open OK")
        shown = await city.reaches("OK")
        assert shown["open_info"]["value"] == "open OK"
        assert shown["open_status"]["commandId"]["value"] == "c1"
        assert shown["open_status"]["observedAt"]
        assert "open" not in shown
        assert shown["gateOpening"]["value"] == 0
