"""Commands from a client's PATCH to a device and back: broker, door, carrier, `_status` and `_info`."""

import asyncio
import json

from command_desk import DEVICE, OFFICE, SECTION, STRANGER, a_city
from typer.testing import CliRunner

from adapters.commands import app

FILE = """
[runner]
state = "{state}"
[commands]
port = {port}
"""


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


def test_people_see_and_approve_commands_from_the_command_line(tmp_path):
    asyncio.run(_approved_by_hand(tmp_path))


async def _approved_by_hand(folder):
    async with a_city(folder, {"critical": True, "approvers": ["section"]}) as city:
        assert (await city.command(40, key="c1")).status == 204
        file = folder / "adapters.toml"
        port = city.runner.commands.url.rpartition(":")[2]
        file.write_text(FILE.format(port=port, state=city.runner.feeds.runner.state))

        async def tell(*arguments, token=SECTION):
            environ = {"TSUNAGU_ADAPTERS": str(file), "TSUNAGU_COMMAND_TOKEN": token}
            return await asyncio.to_thread(CliRunner().invoke, app, ["commands", *arguments], env=environ)

        listed = json.loads((await tell("list", "--json")).output)
        assert [(each["commandId"], each["status"], each["state"]) for each in listed] == [
            ("c1", "PENDING", "awaiting-approval")
        ]
        identity = listed[0]["id"]
        refused = await tell("approve", identity, token=OFFICE)
        assert (refused.exit_code, "403" in refused.output) == (1, True)
        assert (await tell("approve", identity)).exit_code == 0
        await city.reaches("DELIVERED")
        shown = json.loads((await tell("show", identity)).output)
        assert [each["state"] for each in shown["trail"]][-2:] == ["carrying", "delivered"]
        assert (await tell("show", "no-such-command")).exit_code == 1
        assert "open 40" in (await tell("list")).output


async def test_the_door_shows_a_command_to_those_who_may_give_or_approve_it(tmp_path):
    async with a_city(tmp_path) as city:
        await city.command(40)
        identity = (await city.trail())[0].entry.command.id
        for token, status in ((OFFICE, 200), (STRANGER, 404), ("", 401)):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = await city.api.request("GET", f"{city.runner.commands.url}/commands/{identity}", headers=headers)
            assert answer.status == status
