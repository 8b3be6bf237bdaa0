"""Create, update, retrieve, query and delete subscriptions (5.8.1 to 5.8.5) on a real store."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from delivery_desk import Desk, Receiver

from broker.errors import AlreadyExists, BadRequestData, LdContextNotAvailable, NonexistentTenant, ResourceNotFound
from broker.jsonld.terms import CORE
from broker.model.instants import canonical
from broker.operations.subscriptions import query_subscriptions, retrieve_subscription

HERE = "http://127.0.0.1:2/notify"


async def test_5_8_1_an_id_is_generated_or_taken_and_may_not_exist(desk: Desk) -> None:
    generated = await desk.subscribe(HERE)
    assert generated.startswith("urn:ngsi-ld:Subscription:")
    given = await desk.subscribe(HERE, id="urn:ngsi-ld:Subscription:mine")
    assert given == "urn:ngsi-ld:Subscription:mine"
    with pytest.raises(AlreadyExists):
        await desk.subscribe(HERE, id="urn:ngsi-ld:Subscription:mine", q="a==1")
    assert "q" not in await desk.look(given)


async def test_5_8_1_a_tenant_comes_into_being_with_its_first_subscription_but_not_with_a_refused_one(
    desk: Desk,
) -> None:
    with pytest.raises(BadRequestData):
        await desk.subscribe("ftp://x/", tenant="new")
    with pytest.raises(NonexistentTenant):
        await desk.broker.tenants.require("new")
    await desk.subscribe(HERE, tenant="new")
    await desk.broker.tenants.require("new")


async def test_5_8_1_a_context_that_cannot_be_had_is_told(desk: Desk) -> None:
    with pytest.raises(LdContextNotAvailable):
        await desk.subscribe(HERE, jsonldContext="http://127.0.0.1:2/context.jsonld")


async def test_5_8_1_the_context_of_the_request_is_that_of_the_notifications(desk: Desk, receiver: Receiver) -> None:
    inline = {"Device": "https://shop.example/Device", "level": "https://shop.example/level"}
    subscription = await desk.subscribe(receiver.url, context=inline)
    url = (await desk.look(subscription))["jsonldContext"]
    assert "/jsonldContexts/" in url
    await desk.create(
        "urn:ngsi-ld:Device:1",
        type_="https://shop.example/Device",
        **{"https://shop.example/level": {"type": "Property", "value": 1}},
    )
    (got,) = await receiver.wait(1)
    assert got.data == [{"id": "urn:ngsi-ld:Device:1", "type": "Device", "level": {"type": "Property", "value": 1}}]
    assert got.headers["Link"].startswith(f"<{url}>")


async def test_5_8_2_nothing_waits_for_a_change_whose_context_is_long_in_coming(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither other changes of the subscription, nor those of all subscriptions that go through other processes."""
    subscription = await desk.subscribe(HERE)
    resolve, asked, come = desk.broker.contexts.resolve, asyncio.Event(), asyncio.Event()

    async def slowly(url: Any) -> Any:
        if url is not None:
            asked.set()
            await come.wait()
        return await resolve(url)

    url = (await desk.look(subscription))["jsonldContext"]
    monkeypatch.setattr(desk.broker.contexts, "resolve", slowly)
    waiting = asyncio.create_task(desk.change(subscription, {"type": "Subscription", "jsonldContext": url}))
    async with asyncio.timeout(5):
        await asked.wait()
        await desk.change(subscription, {"type": "Subscription", "description": "meanwhile"})
    come.set()
    await waiting
    assert (await desk.look(subscription))["description"] == "meanwhile"


async def test_5_8_2_members_are_replaced_added_and_removed(desk: Desk) -> None:
    subscription = await desk.subscribe(HERE, description="d", throttling=5)
    await desk.change(
        subscription,
        {
            "type": "Subscription",
            "description": "urn:ngsi-ld:null",
            "throttling": 6,
            "q": "a==1",
            "notification": {"format": "keyValues", "endpoint": {"uri": "http://127.0.0.1:3/"}},
        },
    )
    shown = await desk.look(subscription)
    assert "description" not in shown
    assert (shown["throttling"], shown["q"]) == (6, "a==1")
    assert shown["notification"] == {"format": "keyValues", "endpoint": {"uri": "http://127.0.0.1:3/"}}


@pytest.mark.parametrize(
    "fragment",
    [
        {"notification": {"format": "keyValues"}},
        {"notification": {"format": "keyValues", "endpoint": None}},
        {"notification": "urn:ngsi-ld:null"},
        {"type": "urn:ngsi-ld:null"},
        {"type": "Entity"},
        {"id": "urn:ngsi-ld:Subscription:other"},
        {"entities": "urn:ngsi-ld:null"},
        {"entities": []},
        {"timeInterval": 5},
        {"expiresAt": "2020-08-01T22:07:00Z"},
        {"isActive": "no"},
        {"isActive": None},
        {"q": "("},
        {"jsonldContext": "unknown"},
    ],
)
async def test_5_8_2_a_fragment_that_would_make_the_subscription_invalid_changes_nothing(
    desk: Desk, fragment: dict[str, Any]
) -> None:
    subscription = await desk.subscribe(HERE, throttling=1)
    before = await desk.look(subscription)
    with pytest.raises(BadRequestData):
        await desk.change(subscription, fragment)
    assert await desk.look(subscription) == before


async def test_5_8_2_names_in_what_was_not_changed_keep_their_meaning(desk: Desk, receiver: Receiver) -> None:
    context = {"Device": "https://shop.example/Device", "level": "https://shop.example/level"}
    subscription = await desk.subscribe(receiver.url, context=context, q="level==1")
    await desk.change(subscription, {"description": "written in another @context"})
    await desk.create(
        "urn:ngsi-ld:Device:1",
        type_="https://shop.example/Device",
        **{"https://shop.example/level": {"type": "Property", "value": 1}},
    )
    await receiver.wait(1)


async def test_5_8_2_status_after_pause_and_expiry(desk: Desk) -> None:
    subscription = await desk.subscribe(HERE, isActive=False)
    assert (await desk.look(subscription))["status"] == "paused"
    await desk.change(subscription, {"isActive": True, "expiresAt": "2100-01-01T00:00:00Z"})
    assert (await desk.look(subscription))["status"] == "active"
    await desk.change(subscription, {"expiresAt": canonical(datetime.now(UTC) + timedelta(seconds=0.2))})
    await asyncio.sleep(0.25)
    assert (await desk.look(subscription))["status"] == "expired"
    await desk.change(subscription, {"isActive": False})
    assert (await desk.look(subscription))["status"] == "expired"
    await desk.change(subscription, {"isActive": True})
    assert (await desk.look(subscription))["status"] == "expired"
    await desk.change(subscription, {"expiresAt": "2100-01-01T00:00:00Z"})
    assert (await desk.look(subscription))["status"] == "active"


async def test_5_8_3_5_8_5_unknown_and_invalid_ids(desk: Desk) -> None:
    for call in (desk.look, desk.unsubscribe, lambda one: desk.change(one, {"isActive": True})):
        with pytest.raises(ResourceNotFound):
            await call("urn:ngsi-ld:Subscription:unknown")
        with pytest.raises(BadRequestData):
            await call("InvalidUri")


async def test_5_8_4_pages_come_in_order_of_creation_with_the_total(desk: Desk) -> None:
    ids = [await desk.subscribe(HERE) for _ in range(5)]
    await desk.subscribe(HERE, tenant="other")
    page, total = await query_subscriptions(desk.broker, "", CORE, limit=2, offset=2, sys_attrs=False)
    assert [one["id"] for one in page] == ids[2:4]
    assert total == 5
    page, total = await query_subscriptions(desk.broker, "", CORE, limit=0, offset=0, sys_attrs=False)
    assert (page, total) == ([], 5)


async def test_6_3_11_system_times_of_a_subscription(desk: Desk) -> None:
    subscription = await desk.subscribe(HERE)
    await asyncio.sleep(0.01)
    await desk.change(subscription, {"description": "d"})
    shown = await retrieve_subscription(desk.broker, "", subscription, CORE, sys_attrs=True)
    assert shown["createdAt"] < shown["modifiedAt"]
    assert "createdAt" not in await desk.look(subscription)


async def test_5_8_2_concurrent_updates_both_count(desk: Desk) -> None:
    subscription = await desk.subscribe(HERE)
    await asyncio.gather(
        *(desk.change(subscription, {name: "x"}) for name in ("description", "subscriptionName", "csf"))
    )
    shown = await desk.look(subscription)
    assert (shown["description"], shown["subscriptionName"], shown["csf"]) == ("x", "x", "x")
