"""5.8.4 Query Subscriptions, 6.10.3.2 GET /subscriptions."""

import pytest

from conformance.broker_client import JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, subscription

NOWHERE = "http://127.0.0.1:9/notify"


@clause("5.8.4.4", 1)
@clause("6.10.3.2", 1)
def test_all_subscriptions_are_listed(broker: BrokerClient, unique: Unique) -> None:
    given = [
        subscription(NOWHERE, id=unique.id("Subscription"), entities=[{"type": unique.type()}], description=text)
        for text in ("one", "two", "three")
    ]
    for each in given:
        broker.post("/subscriptions", each).expect(201)
    listed = {each["id"]: each for each in broker.get("/subscriptions", {"limit": 1000}).expect(200).json}
    for each in given:
        assert {member: listed[each["id"]][member] for member in each} == each


@clause("5.8.4.4", 1)
@clause("6.10.3.2", 2)
def test_the_limit_bounds_the_list(broker: BrokerClient, unique: Unique) -> None:
    for _ in range(3):
        broker.post("/subscriptions", subscription(NOWHERE, entities=[{"type": unique.type()}])).expect(201)
    assert len(broker.get("/subscriptions", {"limit": 2}).expect(200).json) == 2


@clause("5.8.4.4", 2)
def test_pages_lead_through_all_subscriptions(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id("Subscription") for _ in range(5)]
    for subscription_id in ids:
        given = subscription(NOWHERE, id=subscription_id, entities=[{"type": unique.type()}])
        broker.post("/subscriptions", given).expect(201)
    page = broker.get("/subscriptions", {"limit": 2}).expect(200)
    assert page.link("prev") is None
    seen = [each["id"] for each in page.json]
    while (following := page.link("next")) is not None:
        page = broker.get(following).expect(200)
        assert len(page.json) <= 2
        assert page.link("prev") is not None
        seen += [each["id"] for each in page.json]
    assert set(ids) <= set(seen)
    assert len(seen) == len(set(seen))


@clause("5.8.4.4", 2)
def test_the_previous_page_is_the_one_before(broker: BrokerClient, unique: Unique) -> None:
    for _ in range(4):
        broker.post("/subscriptions", subscription(NOWHERE, entities=[{"type": unique.type()}])).expect(201)
    first = broker.get("/subscriptions", {"limit": 2}).expect(200)
    second = broker.get(first.link("next") or "").expect(200)
    assert broker.get(second.link("prev") or "").expect(200).json == first.json


@clause("6.10.3.2", 1)
def test_the_list_is_json_or_json_ld_with_a_context_in_each(broker: BrokerClient, unique: Unique) -> None:
    broker.post("/subscriptions", subscription(NOWHERE, entities=[{"type": unique.type()}])).expect(201)
    plain = broker.get("/subscriptions", {"limit": 2}, accept=JSON).expect(200)
    assert plain.media_type == JSON
    assert plain.json
    assert all("@context" not in each for each in plain.json)
    linked = broker.get("/subscriptions", {"limit": 2}, accept=JSON_LD).expect(200)
    assert linked.media_type == JSON_LD
    assert linked.json
    assert all("@context" in each for each in linked.json)


@clause("6.10.3.2", 2)
@pytest.mark.parametrize("limit", ["-1", "many", "0", "1.5"])
def test_a_limit_that_is_no_number_within_bounds_is_refused(broker: BrokerClient, limit: str) -> None:
    broker.get("/subscriptions", {"limit": limit}).expect_problem("BadRequestData", "InvalidRequest")
