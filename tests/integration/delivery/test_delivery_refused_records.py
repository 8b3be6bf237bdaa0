"""A record of deliveries that the store refuses keeps no other one from being saved, and what it should say is not lost."""

from typing import Any

import pytest
from api import Api, running_api
from delivery_desk import Receiver, eventually

from broker.delivery import books, ledger
from broker.delivery.course import Course
from broker.delivery.share import SHARES, WATERMARK, share_name, share_of
from broker.model.entity import JsonObject
from broker.store.protocol import Store

BAD = "urn:ngsi-ld:Subscription:bad"
OTHERS = [f"urn:ngsi-ld:Subscription:{number}" for number in range(5)]


async def test_a_record_that_cannot_be_stored_is_named_and_all_others_are_saved(
    store: Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stored_course, is_bad = ledger.stored_course, True

    def stored(course: Course, lag: JsonObject | None, head: int) -> JsonObject:
        document = stored_course(course, lag, head)
        return document | {"more": {1, 2}} if is_bad and course.subscription.id == BAD else document

    monkeypatch.setattr(ledger, "stored_course", stored)
    monkeypatch.setattr(books, "REFUSED_SECONDS", 0.5)
    receiver.status["/bad"] = 500
    async with running_api(store) as api:
        for subscription in (BAD, *OTHERS):
            await _subscribe(api, subscription, f"{receiver.url}/{'bad' if subscription == BAD else ''}")
        watermark = WATERMARK if not store.is_shared else share_name(share_of(("", BAD), SHARES), SHARES)
        before = await store.cursor(watermark) or 0
        entity = {"id": "urn:ngsi-ld:Device:1", "type": "Device", "level": {"type": "Property", "value": 1}}
        assert (await api.post("entities", entity)).status == 201
        await receiver.wait(len(OTHERS), path="/")

        async def others_are_saved() -> bool:
            found = [await store.get_document("delivery", "", each) for each in OTHERS]
            return all(document is not None and document.get("timesSent", 0) > 0 for document in found)

        await eventually(others_are_saved)
        assert "lag" not in (await store.get_document("delivery", "", BAD) or {})
        assert (await store.cursor(watermark) or 0) == before, "what is not on record is to be found again"
        assert any(vars(record).get("id") == BAD for record in caplog.records if record.levelname == "ERROR")
        is_bad = False

        async def all_is_saved() -> Any:
            document = await store.get_document("delivery", "", BAD)
            return document is not None and "lag" in document and (await store.cursor(watermark) or 0) > before

        await eventually(all_is_saved)


async def _subscribe(api: Api, subscription: str, url: str) -> None:
    document = {
        "id": subscription,
        "type": "Subscription",
        "entities": [{"type": "Device"}],
        "notification": {"endpoint": {"uri": url}},
    }
    assert (await api.post("subscriptions", document)).status == 201
