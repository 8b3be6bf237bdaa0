"""The eight rules that commands to devices keep, each at a whole broker with a runner and a device (docs/commands.md)."""

import asyncio
import sqlite3
from dataclasses import replace
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from command_desk import ALLOW, DEVICE, GATE, OFFICE, SECTION, STRANGER, Device, a_city, a_policy, a_runner, a_target
from runner_desk import a_broker, until

from adapters.actuation import deciding
from adapters.actuation.contract import Outcome, TryLater, Undeliverable
from adapters.actuation.origin import Origin
from adapters.actuation.record import State
from adapters.door import now
from adapters.feeds import Feeds, RunnerSettings
from adapters.ngsild_client import NgsiLdClient
from adapters.runner import running


async def test_rule_1_a_command_needs_an_explicit_permission_for_the_group_and_the_command(tmp_path):
    allow = [
        {"principals": ["office"], "groups": ["gates"], "commands": ["open"]},
        {"principals": ["stranger"], "groups": ["lamps"], "commands": ["*"]},
    ]
    async with a_city(tmp_path, allow=allow) as city:
        for token, name in ((STRANGER, "open"), (OFFICE, "close"), (SECTION, "open")):
            answer = await city.command(1, name, token=token)
            assert answer.status == 403, answer.body
            assert "no permission" in answer.json["detail"]
        assert (await city.command(1, token=None)).status == 401
        assert (await city.command(1, token="nobody-has-this-token")).status == 401
        assert city.device.told == []
        assert await city.status() is None
        assert (await city.command(1)).status == 204


async def test_rule_2_every_command_and_every_refusal_is_on_record_with_all_its_steps(tmp_path):
    async with a_city(tmp_path) as city:
        await city.command(10, key="c1")
        await city.reaches("DELIVERED")
        await city.desk.answered("", DEVICE, "open", "done")
        await city.reaches("OK")
        await city.command(20, key="c2")
        trail = await city.trail()
        assert (trail[0].who, trail[0].entry.command.value, trail[0].entry.previous) == ("office", 20, 10)
        await city.command(30, token=STRANGER)
        refused = await city.trail()
        assert [each.state for each in refused] == [State.REFUSED]
        assert (refused[0].who, refused[0].entry.command.value, refused[0].info["status"]) == ("stranger", 30, 403)
        for change in ("UPDATE command_event SET who = 'x'", "DELETE FROM command_event"):
            with sqlite3.connect(city.runner.journal.path) as other, pytest.raises(sqlite3.IntegrityError):
                other.execute(change)


async def test_rule_3_the_same_command_id_is_carried_once_and_another_value_is_refused(tmp_path):
    async with a_city(tmp_path) as city:
        answers = await asyncio.gather(*(city.command(40, key="c1") for _ in range(8)))
        assert [answer.status for answer in answers] == [204] * 8
        await city.reaches("DELIVERED")
        assert (await city.command(41, key="c1")).status == 409
        assert (await city.command(40, Idempotency_Key='"k7"')).status == 204
        assert (await city.command(40, Idempotency_Key='"k7"')).status == 204
        await until(lambda: _is(len(city.device.told) == 2))
        await asyncio.sleep(0.1)
        assert city.device.values == [40, 40]


async def test_rule_4_what_expires_before_it_is_delivered_never_is(tmp_path):
    device = Device()
    device.trouble = TryLater("the device is away")
    async with a_city(tmp_path, {"expires": 0.4}, device=device) as city:
        assert (await city.command(40)).status == 204
        shown = await city.reaches("EXPIRED")
        assert "not delivered" in shown["open_info"]["value"]
        device.trouble = None
        tried = len(device.told)
        await asyncio.sleep(0.6)
        assert len(device.told) == tried
        assert await city.desk.waiting("", DEVICE) == ()


async def test_rule_4_a_command_that_waits_for_a_poll_expires_there(tmp_path):
    async with a_city(tmp_path, {"expires": 0.4}, device=Device(Outcome.WAITING)) as city:
        await city.command(1)
        await city.reaches("EXPIRED")
        assert await city.desk.waiting("", DEVICE) == ()


async def test_rule_4_a_restart_does_not_deliver_late(tmp_path):
    async with a_broker() as api:
        away = Device()
        away.trouble = TryLater("the device is away")
        policy, targets = a_policy({"expires": 0.5}), [a_target()]
        await api.post("entities", {"id": GATE, "type": "SluiceGate"})
        async with a_runner(api, tmp_path, policy, away, targets) as city:
            assert (await city.command(40)).status == 204
        await asyncio.sleep(0.6)
        back = Device()
        async with a_runner(api, tmp_path, policy, back, targets) as city:
            await city.reaches("EXPIRED")
            assert back.told == []


async def test_rule_4_the_clients_own_limit_holds_within_bounds(tmp_path):
    async with a_city(tmp_path, {"expires": 30.0, "longest": 60.0}) as city:
        assert (await city.command(1, expires_at="2020-01-01T00:00:00Z")).status == 400
        assert (await city.command(1, expires_at="2199-01-01T00:00:00Z")).status == 400
        assert city.device.told == []


async def test_rule_5_an_interlock_that_does_not_hold_refuses_and_is_on_record(tmp_path):
    interlock = {"interlock": {"entity": "self", "q": "manualMode==false"}}
    gate = {"manualMode": {"type": "Property", "value": True}}
    async with a_city(tmp_path, interlock, gate=gate) as city:
        answer = await city.command(40)
        assert answer.status == 409
        assert "manualMode" in answer.json["detail"]
        assert [each.state for each in await city.trail()] == [State.REFUSED]
        await city.api.patch(f"entities/{GATE}/attrs/manualMode", {"type": "Property", "value": False})
        assert (await city.command(40)).status == 204
        await city.reaches("DELIVERED")


async def test_rule_5_an_interlock_that_cannot_be_read_refuses(tmp_path):
    missing = {"interlock": {"entity": "urn:ngsi-ld:WaterLevel:none", "q": "level<3"}}
    async with a_city(tmp_path, missing) as city:
        assert (await city.command(1)).status == 409
    nonsense = {"interlock": {"entity": "self", "q": "level<<"}}
    async with a_city(tmp_path / "2", nonsense) as city:
        answer = await city.command(1)
        assert (answer.status, "cannot be read" in answer.json["detail"]) == (409, True)


async def test_rule_5_a_state_that_is_too_old_refuses_and_says_how_old_it_is(tmp_path):
    seen = {"type": "Property", "value": 1.2, "observedAt": "2026-01-01T00:00:00Z"}
    level = {"entity": "self", "q": "waterLevel<3"}
    async with a_city(tmp_path, {"interlock": level}, gate={"waterLevel": seen}) as city:
        answer = await city.command(40)
        assert answer.status == 409
        assert "waterLevel is " in answer.json["detail"]
        assert "may be 900 s (max_age)" in answer.json["detail"]
        assert [each.state for each in await city.trail()] == [State.REFUSED]
        fresh = {"type": "Property", "value": 1.2, "observedAt": now()}
        await city.api.patch(f"entities/{GATE}/attrs/waterLevel", fresh)
        assert (await city.command(40)).status == 204
    async with a_city(
        tmp_path / "2", {"interlock": level | {"max_age": float("inf")}}, gate={"waterLevel": seen}
    ) as city:
        assert (await city.command(40)).status == 204


async def test_rule_5_a_state_that_has_become_too_old_meanwhile_keeps_the_command_until_it_is_fresh(tmp_path):
    interlock = {"interlock": {"entity": "self", "q": "manualMode==false", "max_age": 1.5}}
    automatic = {"type": "Property", "value": False}
    async with a_city(tmp_path, interlock, gate={"manualMode": automatic}, device=Device(Outcome.WAITING)) as city:
        await city.api.patch(f"entities/{GATE}/attrs/manualMode", {**automatic, "observedAt": now()})
        assert (await city.command(40)).status == 204
        await until(lambda: _is(city.device.told))
        await asyncio.sleep(1.6)
        assert await city.desk.waiting("", DEVICE) == ()
        await city.api.patch(f"entities/{GATE}/attrs/manualMode", {**automatic, "observedAt": now()})
        assert [each.value for each in await city.desk.waiting("", DEVICE)] == [40]


async def test_rule_5_an_interlock_is_looked_at_again_before_a_command_leaves(tmp_path):
    interlock = {"interlock": {"entity": "self", "q": "manualMode==false"}}
    gate = {"manualMode": {"type": "Property", "value": False}}
    device = Device(Outcome.WAITING)
    async with a_city(tmp_path, interlock, gate=gate, device=device) as city:
        assert (await city.command(40)).status == 204
        await until(lambda: _is(device.told))
        await city.api.patch(f"entities/{GATE}/attrs/manualMode", {"type": "Property", "value": True})
        await asyncio.sleep(1.1)
        assert await city.desk.waiting("", DEVICE) == ()
        shown = await city.reaches("ERROR")
        assert "does not hold" in shown["open_info"]["value"]


async def test_rule_6_a_critical_command_waits_for_a_second_person(tmp_path):
    critical = {"critical": True, "approvers": ["office", "section"]}
    async with a_city(tmp_path, critical) as city:
        assert (await city.command(40, key="c1")).status == 204
        shown = await city.reaches("PENDING")
        assert shown["open_info"]["value"] == "waits for approval"
        identity = (await city.trail())[0].entry.command.id
        assert (await _approve(city, identity, OFFICE)).status == 403
        assert (await _approve(city, identity, STRANGER)).status == 403
        assert (await _approve(city, identity, "")).status == 401
        assert city.device.told == []
        approved = await _approve(city, identity, SECTION)
        assert (approved.status, approved.json["state"]) == (200, "queued")
        await city.reaches("DELIVERED")
        assert (await _approve(city, identity, SECTION)).status == 409
        assert city.device.values == [40]
        whos = [each.who for each in await city.trail()]
        assert {"office", "section", "stranger"} <= set(whos)


async def test_rule_6_an_approval_that_does_not_come_or_is_denied_ends_the_command(tmp_path):
    critical = {"critical": True, "approvers": ["section"], "approval_within": 0.4}
    async with a_city(tmp_path, critical) as city:
        await city.command(40)
        shown = await city.reaches("EXPIRED")
        assert "nobody approved" in shown["open_info"]["value"]
        identity = (await city.trail())[0].entry.command.id
        assert (await _approve(city, identity, SECTION)).status == 409
        await city.command(50)
        identity = (await city.trail())[0].entry.command.id
        assert (await _approve(city, identity, SECTION, "reject")).status == 200
        assert "rejected by section" in (await city.reaches("ERROR"))["open_info"]["value"]
        assert city.device.told == []


async def test_rule_7_a_runner_that_is_away_is_no_success(tmp_path):
    async with a_broker() as api:
        await api.post("entities", {"id": GATE, "type": "SluiceGate"})
        async with a_runner(api, tmp_path, a_policy(), Device(), [a_target()]) as city:
            pass
        answer = await city.command(40)
        assert answer.status == 502
        assert "cannot be reached" in answer.json["detail"]
        assert "open" not in await city.entity()


async def test_rule_7_what_cannot_be_delivered_is_an_error_and_the_state_is_left_alone(tmp_path):
    device = Device()
    device.trouble = Undeliverable("the device says no")
    async with a_city(tmp_path, device=device) as city:
        await city.command(40)
        shown = await city.reaches("ERROR")
        assert shown["open_info"]["value"] == "the device says no"
        assert shown["gateOpening"]["value"] == 0
        device.trouble = ConnectionResetError("in the middle of it")
        await city.command(50, "close")
        shown = await city.reaches("PENDING", "close")

        async def unknown():
            return "outcome unknown" in str((await city.entity())["close_info"]["value"])

        await until(unknown)
        assert await city.desk.answered("", DEVICE, "close", "it did, after all")
        await city.reaches("OK", "close")
        assert device.values == [40, 50]


async def test_rule_7_a_device_that_never_answers_is_told_so(tmp_path):
    async with a_city(tmp_path, {"answer_within": 0.3}) as city:
        await city.command(40)
        shown = await city.reaches("EXPIRED")
        assert "no answer" in shown["open_info"]["value"]
        assert not await city.desk.answered("", DEVICE, "open", "too late")


async def test_rule_8_a_command_from_another_city_is_refused_unless_it_is_shared(tmp_path):
    async with a_city(tmp_path) as city:
        answer = await city.command(40, Via="1.1 other-city")
        assert answer.status == 403
        assert "other-city" in answer.json["detail"]
        assert city.device.told == []
    async with a_city(tmp_path / "2", {"shared": True}) as city:
        assert (await city.command(40, Via="1.1 other-city")).status == 204
    async with a_city(tmp_path / "3", own_hops=["proxy"]) as city:
        assert (await city.command(40, Via="1.1 proxy")).status == 204


async def test_commands_of_a_device_keep_their_order_and_supersede_only_where_that_is_said(tmp_path):
    device = Device(Outcome.DONE)
    device.patience = 0.05
    async with a_city(tmp_path, device=device) as city:
        for value in range(6):
            assert (await city.command(value, key=f"c{value}")).status == 204
        await until(lambda: _is(len(device.told) == 6))
        assert device.values == list(range(6))
    device = Device(Outcome.WAITING)
    async with a_city(tmp_path / "2", {"supersedes": True}, device=device) as city:
        await city.command(1, key="a")
        await city.command(2, key="b")
        await until(
            lambda: _async_is(lambda: city.desk.waiting("", DEVICE), lambda found: [e.value for e in found] == [2])
        )


async def test_several_commands_in_one_request_are_taken_together_or_not_at_all(tmp_path):
    allow = [replace_allow(commands=["open"])]
    sent = {"Authorization": f"Bearer {OFFICE}"}
    both = {"open": {"type": "Property", "value": 1}, "close": {"type": "Property", "value": 2}}
    async with a_city(tmp_path, allow=allow) as city:
        assert (await city.api.patch(f"entities/{GATE}/attrs", both, **sent)).status == 403
        await asyncio.sleep(0.1)
        assert city.device.told == []
    async with a_city(tmp_path / "2") as city:
        assert (await city.api.patch(f"entities/{GATE}/attrs", both, **sent)).status == 204
        await until(lambda: _is(len(city.device.told) == 2))


async def test_registrations_are_mended_and_withdrawn_with_the_device(tmp_path):
    async with a_city(tmp_path) as city:

        async def registered():
            answer = await city.api.get(f"csourceRegistrations?id={GATE}&type=SluiceGate")
            return answer.json

        (one,) = await registered()
        assert (one["mode"], one["information"][0]["propertyNames"]) == ("exclusive", ["open", "close"])
        await city.api.delete(f"csourceRegistrations/{one['id']}")
        city.runner.commands.registering._known.clear()
        await city.runner.commands.registering.look()
        await until(registered)
        await city.desk.announce([replace(a_target(), commands=("open",))])
        await until(
            lambda: _async_is(
                registered, lambda found: found[0]["information"][0]["propertyNames"] in (["open"], "open")
            )
        )
        await city.command(1)
        await city.reaches("DELIVERED")
        await city.desk.withdraw("", [DEVICE])
        await city.reaches("ERROR")
        await until(lambda: _async_is(registered, lambda found: found == []))


async def test_a_device_of_another_tenant_is_another_device(tmp_path):
    there = a_target(tenant="harbour")
    async with a_city(tmp_path, targets=[a_target(), there]) as city:
        assert (await city.command(1)).status == 204
        assert (await city.command(2, NGSILD_Tenant="harbour")).status == 204
        await until(lambda: _is(len(city.device.told) == 2))
        assert {(each.target.tenant, each.value) for each in city.device.told} == {("", 1), ("harbour", 2)}


@pytest.mark.parametrize(
    "body",
    [
        {"type": "Relationship", "object": "urn:a:b"},
        {"type": "Property", "value": 1, "commandId": {"type": "Property", "value": ""}},
        {"type": "Property", "value": 1, "commandId": {"type": "Property", "value": "x" * 300}},
        {"type": "Property", "value": 1, "datasetId": "urn:a:b"},
        {"unitCode": "P1"},
    ],
)
async def test_a_body_that_is_no_command_is_refused(tmp_path, body):
    async with a_city(tmp_path) as city:
        answer = await city.api.patch(f"entities/{GATE}/attrs/open", body, Authorization=f"Bearer {OFFICE}")
        assert answer.status == 400, answer.body
        assert city.device.told == []


def replace_allow(**members):
    return ALLOW[0] | members


async def _is(condition):
    return condition


async def _async_is(ask, condition):
    found = await ask()
    return condition(found)


async def _approve(city, identity, token, verdict="approve"):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return await city.api.request("POST", f"{city.runner.commands.url}/commands/{identity}/{verdict}", headers=headers)


async def test_rule_8_a_broker_that_cannot_say_its_name_is_another_one(tmp_path):
    known = Origin("http://127.0.0.1:9", ("proxy",))
    assert await known.foreign("", "1.1 proxy, 1.1 whoever") == ("whoever",)
    assert await known.foreign("", None) == ()
    async with a_city(tmp_path) as city:
        asked = Origin(city.api.url, ())
        ours = city.api.broker.identity.alias_of("")
        assert await asked.foreign("", f"1.1 {ours}") == ()
        assert await asked.foreign("", f"1.1 far, 1.1 {ours}") == ("far",)


async def test_a_merge_is_a_command_in_either_form(tmp_path):
    async with a_city(tmp_path) as city:
        sent = {"Authorization": f"Bearer {OFFICE}"}
        assert (await city.api.patch(f"entities/{GATE}", {"open": {"value": 1}}, **sent)).status == 204
        simplified = {"open": {"value": 2}}
        assert (await city.api.patch(f"entities/{GATE}?format=simplified", simplified, **sent)).status == 204
        await until(lambda: _is(len(city.device.told) == 2))
        assert city.device.values == [1, {"value": 2}]


async def test_a_device_that_has_a_command_no_longer_is_not_told_what_waited(tmp_path):
    device = Device()
    device.trouble = TryLater("away")
    async with a_city(tmp_path, device=device) as city:
        await city.command(40)
        await until(lambda: _is(device.told))
        await city.desk.announce([replace(a_target(), commands=("close",))])
        device.trouble = None
        assert "no such command" in (await city.reaches("ERROR"))["open_info"]["value"]


async def test_an_attribute_that_is_held_already_stands_in_the_way_and_is_told(tmp_path):
    held = {"open": {"type": "Property", "value": "of somebody"}}
    async with a_broker() as api:
        await api.post("entities", {"id": GATE, "type": "SluiceGate", **held})
        feeds = Feeds(RunnerSettings(push_port=0), (), tmp_path, a_policy())
        async with running(feeds, api.url) as runner:
            registering = runner.commands.registering
            await runner.commands.desk.announce([a_target(), a_target(2)])
            await until(lambda: _is(registering.trouble))
            assert list(registering.trouble) == [("", DEVICE)]
            assert "is held here" in registering.trouble["", DEVICE]
            await api.delete(f"entities/{GATE}/attrs/open")
            async with asyncio.timeout(20):
                await registering.settled.wait()


async def test_a_device_has_a_bounded_number_of_commands_under_way(tmp_path, monkeypatch):
    monkeypatch.setattr(deciding, "MOST_OPEN", 2)
    async with a_city(tmp_path, device=Device(Outcome.WAITING)) as city:
        assert [(await city.command(value)).status for value in range(3)] == [204, 204, 429]
        assert [each.state for each in await city.trail()] == [State.REFUSED]


async def test_rule_3_a_value_of_another_kind_is_another_value(tmp_path):
    async with a_city(tmp_path) as city:
        assert (await city.command({"position": 1}, key="c1")).status == 204
        assert (await city.command({"position": True}, key="c1")).status == 409
        assert (await city.command({"position": 1}, key="c1")).status == 204


async def test_rule_4_a_clock_that_goes_back_makes_no_command_good_for_longer(tmp_path):
    device = Device()
    device.trouble = TryLater("the device is away")
    async with a_city(tmp_path, device=device) as city:
        assert (await city.command(40)).status == 204
        await until(lambda: _is(device.told))
        city.desk.book.now = lambda: "2026-01-01T00:00:00.000Z"
        device.trouble = None
        tried = len(device.told)
        city.desk.carrying.kick(("", DEVICE))
        shown = await city.reaches("EXPIRED")
        assert "clock" in shown["open_info"]["value"]
        assert len(device.told) == tried


@pytest.mark.parametrize("outcome", [Outcome.WAITING, TryLater("the device is away")])
async def test_rule_1_a_device_that_has_come_into_another_group_is_not_told_what_waited(tmp_path, outcome):
    device = Device(Outcome.WAITING)
    device.trouble = outcome if isinstance(outcome, TryLater) else None
    async with a_city(tmp_path, device=device) as city:
        assert (await city.command(40)).status == 204
        await until(lambda: _is(device.told))
        device.trouble = None
        await city.desk.announce([a_target(group="locks")])
        assert await city.desk.waiting("", DEVICE) == ()
        assert "no such command" in (await city.reaches("ERROR"))["open_info"]["value"]
        assert len(device.told) == 1


async def test_rule_5_how_fresh_a_decision_is_counts_from_before_the_interlock_was_read(tmp_path):
    async with a_city(tmp_path, {"interlock": {"entity": "self", "q": "gateOpening==0"}}) as city:
        await city.command(40)
        entry = (await city.trail())[0].entry
        assert entry.decided_at == entry.command.issued_at


@pytest.mark.parametrize("via", ["other-city", "1.1 other-city (a, b)", "HTTP/1.1 other-city"])
async def test_rule_8_a_via_that_is_not_as_it_should_be_is_of_another_city(tmp_path, via):
    async with a_city(tmp_path) as city:
        answer = await city.command(40, Via=via)
        assert answer.status == 403
        assert "other-city" in answer.json["detail"]
        assert city.device.told == []


async def test_nobody_without_a_token_makes_the_runner_ask_the_broker(tmp_path):
    async with a_city(tmp_path) as city, aiohttp.ClientSession() as http:
        asked = city.runner.commands.url + f"/ngsi-ld/v1/entities/{GATE}/attrs/open"
        origin = city.runner.commands.origin
        for number in range(3):
            headers = {"Via": "1.1 x", "NGSILD-Tenant": f"t{number}", "Authorization": "Bearer nobody-has-this-token"}
            async with http.patch(asked, json={"type": "Property", "value": 1}, headers=headers) as answer:
                assert answer.status == 401
        assert origin.known == 0


@pytest.mark.parametrize(
    "entity",
    ["urn:ngsi-ld:SluiceGate:%E6%B0%B4%E9%96%80", "urn:ngsi-ld:SluiceGate:a%2Fb%25", "http://city.example/gates/1"],
)
async def test_a_command_finds_its_device_whatever_the_entitys_id_looks_like(tmp_path, entity):
    async with a_city(tmp_path, targets=[a_target(entity_id=entity)]) as city:
        answer = await city.command(40, entity=quote(entity, safe=""))
        assert answer.status == 204, answer.body
        await city.reaches("DELIVERED", entity=quote(entity, safe=""))
        assert city.device.values == [40]


async def test_rule_5_a_broker_that_answers_nonsense_holds_no_interlock():
    async def nonsense(request):
        return web.json_response([1, "x", None, {"id": "another"}])

    application = web.Application()
    application.router.add_get("/{path:.*}", nonsense)
    server = web.AppRunner(application)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    try:
        async with NgsiLdClient(f"http://127.0.0.1:{server.addresses[0][1]}", attempts=1) as client:
            assert await client.satisfying(GATE, "manualMode==false") is None
    finally:
        await server.cleanup()


async def test_what_fails_beside_a_command_does_not_hold_it_up_for_good(tmp_path):
    async with a_city(tmp_path) as city:
        carrying = city.desk.carrying

        async def broken(entry):
            del carrying.may_leave  # the next time, it is as it was
            raise KeyError("nobody thought of this")

        carrying.may_leave = broken
        assert (await city.command(40)).status == 204
        await city.reaches("DELIVERED")
        assert city.device.values == [40]


async def test_rule_7_an_answer_is_to_what_arrived_before_what_may_not_have(tmp_path):
    device = Device()
    device.trouble = ConnectionError("the connection broke")
    async with a_city(tmp_path, device=device) as city:
        await city.command(40, key="lost")
        await until(lambda: _is(device.told))
        device.trouble = None
        await city.command(50, key="arrived")
        await city.reaches("DELIVERED")
        assert await city.desk.answered("", DEVICE, "open", "done")
        assert (await city.reaches("OK"))["open_status"]["commandId"]["value"] == "arrived"
        assert await city.desk.answered("", DEVICE, "open", "done, too"), "it arrived, after all"


async def test_rule_6_what_has_become_critical_does_not_leave_without_approval(tmp_path):
    async with a_broker() as api:
        away, targets = Device(), [a_target()]
        away.trouble = TryLater("the device is away")
        await api.post("entities", {"id": GATE, "type": "SluiceGate"})
        async with a_runner(api, tmp_path, a_policy(), away, targets) as city:
            assert (await city.command(40)).status == 204
        back, policy = Device(), a_policy({"critical": True, "approvers": ["section"]})
        async with a_runner(api, tmp_path, policy, back, targets) as city:
            assert "critical" in (await city.reaches("ERROR"))["open_info"]["value"]
            assert back.told == []
