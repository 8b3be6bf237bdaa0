"""5.5.9.3: pagination with EntityMaps, of entities and of their temporal evolutions."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.exchanges import Answer
from conformance.samples import Unique, entity, prop
from conformance.series import ALWAYS, at, series

HEADER = "NGSILD-EntityMap"


def stored(broker: BrokerClient, unique: Unique, number: int) -> list[str]:
    """The ids of so many new entities whose level is 1, in order."""
    ids = [unique.id() for _ in range(number)]
    for entity_id in ids:
        broker.post("/entities", entity(entity_id, unique.type(), level=prop(1, observedAt=at(0)))).expect(201)
    return ids


def forget(broker: BrokerClient, ids: list[str]) -> None:
    """Delete the evolutions of entities, which outlive these."""
    for entity_id in ids:
        broker.delete(f"/temporal/entities/{entity_id}")


def shown(answer: Answer, status: int = 200) -> list[str]:
    """The ids on a page."""
    return [each["id"] for each in answer.expect(status).json]


def next_page(broker: BrokerClient, answer: Answer, relation: str = "next") -> Answer:
    """The page that a link of a page leads to, with its map."""
    target = answer.link(relation)
    if target is None:
        raise answer.failure(f"there should be a link to the {relation} page")
    return broker.get(target, headers={HEADER: answer.header(HEADER)})


@clause("5.5.9.3", 4)
def test_the_set_of_entities_is_fixed_by_the_first_page(broker: BrokerClient, unique: Unique) -> None:
    ids = stored(broker, unique, 3)
    query = {"type": unique.type(), "entityMap": "true", "limit": 2}
    first = broker.get("/entities", query)
    late = stored(broker, unique, 2)
    second = next_page(broker, first)
    assert sorted([*shown(first, 201), *shown(second)]) == ids
    assert second.link("next") is None
    assert sorted(broker.get(first.header(HEADER)).expect(200).json["entityMap"]) == ids
    broker.delete(first.header(HEADER)).expect(204)
    forget(broker, [*ids, *late])


@clause("5.5.9.3", 1, 2, 3)
@pytest.mark.parametrize("deleted", [True, False])
def test_what_does_not_fit_any_more_is_removed_and_pages_are_full(
    broker: BrokerClient, unique: Unique, deleted: bool
) -> None:
    ids = stored(broker, unique, 6)
    query = {"type": unique.type(), "q": "level==1", "entityMap": "true", "limit": 2}
    first = broker.get("/entities", query)
    seen = shown(first, 201)
    left = [entity_id for entity_id in ids if entity_id not in seen]
    if deleted:
        broker.delete(f"/entities/{left[0]}").expect(204)
    else:
        broker.patch(f"/entities/{left[0]}/attrs/level", prop(2)).expect(204)
    second = next_page(broker, first)
    third = next_page(broker, second)
    assert (len(shown(second)), len(shown(third))) == (2, 1)
    assert sorted([*seen, *shown(second), *shown(third)]) == [each for each in ids if each != left[0]]
    assert third.link("next") is None
    assert left[0] not in broker.get(first.header(HEADER)).expect(200).json["entityMap"]
    broker.delete(first.header(HEADER)).expect(204)
    forget(broker, ids)


@clause("5.5.9.3", 1)
def test_entities_are_shown_as_they_are_now(broker: BrokerClient, unique: Unique) -> None:
    ids = stored(broker, unique, 2)
    query = {"type": unique.type(), "entityMap": "true", "limit": 1}
    first = broker.get("/entities", query)
    (other,) = [entity_id for entity_id in ids if entity_id not in shown(first, 201)]
    broker.patch(f"/entities/{other}/attrs/level", prop(7)).expect(204)
    (one,) = next_page(broker, first).expect(200).json
    assert (one["id"], one["level"]["value"]) == (other, 7)
    broker.delete(first.header(HEADER)).expect(204)
    forget(broker, ids)


@clause("5.5.9.3", 5)
def test_links_lead_back_past_what_has_been_removed(broker: BrokerClient, unique: Unique) -> None:
    ids = stored(broker, unique, 5)
    query = {"type": unique.type(), "entityMap": "true", "limit": 2}
    first = broker.get("/entities", query)
    assert first.link("prev") is None
    second = next_page(broker, first)
    third = next_page(broker, second)
    gone = shown(second)[0]
    broker.delete(f"/entities/{gone}").expect(204)
    back = next_page(broker, third, "prev")
    assert gone not in shown(back)
    assert set(shown(back)) & set(shown(second))
    pages = [back]
    while pages[-1].link("prev") is not None:
        pages.append(next_page(broker, pages[-1], "prev"))
    seen = [entity_id for page in [third, *pages] for entity_id in shown(page)]
    assert sorted(seen) == [entity_id for entity_id in ids if entity_id != gone]
    broker.delete(first.header(HEADER)).expect(204)
    forget(broker, ids)


@clause("5.5.9.3", 2, 3)
def test_a_map_of_which_nothing_is_left_has_one_empty_page(broker: BrokerClient, unique: Unique) -> None:
    ids = stored(broker, unique, 3)
    query = {"type": unique.type(), "entityMap": "true", "limit": 2}
    first = broker.get("/entities", query).expect(201)
    for entity_id in ids:
        broker.delete(f"/entities/{entity_id}").expect(204)
    again = broker.get("/entities", query, headers={HEADER: first.header(HEADER)})
    assert (shown(again), again.link("next"), again.link("prev")) == ([], None, None)
    assert broker.get(first.header(HEADER)).expect(200).json["entityMap"] == {}
    broker.delete(first.header(HEADER)).expect(204)
    forget(broker, ids)


@clause("5.5.9.3", 1, 3)
@pytest.mark.parametrize("create", ["/entityMaps", "/entities"])
def test_a_map_of_split_entities_is_filtered_page_by_page(broker: BrokerClient, unique: Unique, create: str) -> None:
    ids = stored(broker, unique, 6)
    for entity_id in ids[::2]:
        broker.patch(f"/entities/{entity_id}/attrs/level", prop(2)).expect(204)
    query = {"type": unique.type(), "q": "level==2", "splitEntities": "true", "entityMap": "true", "limit": 2}
    location = broker.get(create, query).expect(201).header(HEADER)
    first = broker.get("/entities", query, headers={HEADER: location}).expect(200)
    second = next_page(broker, first)
    assert (len(shown(first)), len(shown(second))) == (2, 1)
    assert sorted([*shown(first), *shown(second)]) == ids[::2]
    broker.delete(location).expect(204)
    forget(broker, ids)


@clause("5.5.9.3", 1, 2, 3, 4, 5)
def test_evolutions_are_paged_through_a_map_as_well(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id() for _ in range(6)]
    for entity_id in ids[:5]:
        broker.post("/temporal/entities", entity(entity_id, unique.type(), level=series(1))).expect(201)
    query: dict[str, Any] = {"type": unique.type(), **ALWAYS, "entityMap": "true", "limit": 2}
    first = broker.get("/temporal/entities", query)
    left = [entity_id for entity_id in ids[:5] if entity_id not in shown(first, 201)]
    broker.delete(f"/temporal/entities/{left[0]}").expect(204)
    broker.post("/temporal/entities", entity(ids[5], unique.type(), level=series(1))).expect(201)
    second = next_page(broker, first)
    assert sorted(shown(second)) == left[1:]
    assert second.link("next") is None
    assert shown(next_page(broker, second, "prev")) == shown(first, 201)
    remaining = sorted(broker.get(first.header(HEADER)).expect(200).json["entityMap"])
    assert remaining == [entity_id for entity_id in ids[:5] if entity_id != left[0]]
    broker.delete(first.header(HEADER)).expect(204)


@clause("5.5.9.3", 1)
def test_a_count_is_of_what_still_fits(broker: BrokerClient, unique: Unique) -> None:
    ids = stored(broker, unique, 4)
    query = {"type": unique.type(), "entityMap": "true", "limit": 1, "count": "true"}
    first = broker.get("/entities", query).expect(201)
    assert first.header("NGSILD-Results-Count") == "4"
    broker.delete(f"/entities/{ids[3]}").expect(204)
    stored(broker, unique, 1)
    again = broker.get("/entities", query, headers={HEADER: first.header(HEADER)}).expect(200)
    assert again.header("NGSILD-Results-Count") == "3"
    broker.delete(first.header(HEADER)).expect(204)
    forget(broker, ids)
