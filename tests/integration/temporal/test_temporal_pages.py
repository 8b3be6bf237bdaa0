"""History read page by page gives the same as history read at once (broker.temporal.pages)."""

import random

import pytest
from store_samples import BASE, LEVEL, ROOM, T0, instance

from broker.errors import TooManyResults
from broker.query.temporal import TimeProperty
from broker.store.protocol import HistoryEntry, HistoryQuery, Span, Store
from broker.temporal import pages
from broker.temporal.pages import instance_pages

THING = "urn:ngsi-ld:Thing:1"
OTHER = BASE + "other"


def moment(number: int) -> str:
    return f"2026-01-01T00:00:{number:02}.000000Z"


@pytest.fixture
async def entries(store: Store) -> list[HistoryEntry]:
    chance = random.Random(7)
    made = []
    for number in range(120):
        members = {"observedAt": moment(chance.randrange(20))} if chance.random() < 0.8 else {}
        dataset = chance.choice([None, "urn:d:1"])
        made.append(
            HistoryEntry(
                tenant="",
                entity_id=THING,
                types=(ROOM,),
                attribute=chance.choice([LEVEL, OTHER]),
                dataset_id=dataset,
                instance_id=f"urn:uuid:{number}",
                sequence=number,
                recorded_at=T0,
                deleted=False,
                instance=instance(number, **members) | {"modifiedAt": moment(30 + chance.randrange(20))},
            )
        )
    await store.append_history(made, None)
    return made


@pytest.mark.parametrize("last_n", [None, 1, 7, 1000])
@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("time", [None, "observedAt", "modifiedAt"])
async def test_pages_are_the_whole_in_its_order(
    store: Store, entries: list[HistoryEntry], time: TimeProperty | None, newest_first: bool, last_n: int | None
) -> None:
    if last_n is not None and not newest_first:
        pytest.skip("last_n is for the newest")
    for spans in (
        (Span(THING),),
        (Span(THING, moment(3), moment(40)),),
        (Span(THING, None, moment(5)), Span(THING, moment(8), moment(12)), Span(THING, moment(35))),
    ):
        query = HistoryQuery(spans, time=time, newest_first=newest_first, last_n=last_n)
        whole = await store.instances("", query, 1000)
        for size in (1, 7, 1000):
            read = [each async for page in instance_pages(store, "", query, page=size) for each in page]
            assert read == whole


async def test_pages_of_nothing_are_none(store: Store, entries: list[HistoryEntry]) -> None:
    for query in (
        HistoryQuery((Span("urn:ngsi-ld:Thing:none"),)),
        HistoryQuery((Span(THING, "2030-01-01T00:00:00.000000Z"),)),
        HistoryQuery(()),
    ):
        assert [page async for page in instance_pages(store, "", query)] == []


async def test_more_entries_of_one_instant_than_are_held_at_once_are_an_error(
    store: Store, entries: list[HistoryEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_AT_ONE_INSTANT", 5)
    same = [each._replace(instance=each.instance | {"observedAt": moment(1)}) for each in entries]
    await store.append_history([each._replace(entity_id="urn:ngsi-ld:Thing:2") for each in same], None)
    with pytest.raises(TooManyResults):
        [page async for page in instance_pages(store, "", HistoryQuery((Span("urn:ngsi-ld:Thing:2"),)), page=2)]
