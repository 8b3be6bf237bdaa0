"""Retention of the change log on every store (design §4)."""

from datetime import UTC, datetime, timedelta

import pytest
from store_samples import creation, entity

from broker import metrics
from broker.model.instants import canonical
from broker.store.protocol import Mutation, Store
from broker.store.retention import Bounds, Retention

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def fill(store: Store, number: int) -> list[int]:
    """Changes made one an hour, the last one an hour ago; their sequences."""
    mutations = [
        Mutation(creation(entity(each), at=canonical(NOW - (number - each) * HOUR)), 0) for each in range(number)
    ]
    return [change.sequence for change in await store.commit(mutations)]


async def trim(store: Store, bounds: Bounds) -> list[int]:
    """The sequences left after trimming once."""
    tail = await Retention(store, bounds, clock=lambda: NOW).trim()
    assert tail == await store.tail()
    return [change.sequence for change in await store.changes(0, 1000)]


async def test_young_changes_stay_although_all_have_read_them(store: Store) -> None:
    sequences = await fill(store, 20)
    await store.save_cursors({"temporal": sequences[-1]})
    assert await trim(store, Bounds(keep_seconds=5.5 * 3600)) == sequences[-5:]
    assert await trim(store, Bounds(keep_seconds=5.5 * 3600)) == sequences[-5:]


async def test_not_more_than_so_many_stay(store: Store) -> None:
    sequences = await fill(store, 20)
    assert await trim(store, Bounds(keep_changes=8)) == sequences[-8:]
    assert await trim(store, Bounds(keep_changes=0)) == []


async def test_the_slowest_cursor_holds_back_everything_after_it(store: Store) -> None:
    sequences = await fill(store, 20)
    await store.save_cursors({"temporal": sequences[-1], "delivery/1": sequences[3]})
    assert await trim(store, Bounds(keep_changes=0)) == sequences[4:]


@pytest.mark.parametrize("bounds", [Bounds(0, 0, bound_changes=6), Bounds(0, 0, bound_seconds=6.5 * 3600)])
async def test_a_bound_that_is_hit_trims_and_names_who_misses_what(
    store: Store, bounds: Bounds, caplog: pytest.LogCaptureFixture
) -> None:
    sequences = await fill(store, 20)
    await store.save_cursors({"temporal": sequences[-1], "delivery/slow": sequences[3]})
    assert await trim(store, bounds) == sequences[-6:]
    (told,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert vars(told)["cursor"] == "delivery/slow"
    assert (vars(told)["after"], vars(told)["through"]) == (sequences[3], sequences[-7])


async def test_an_empty_log_is_left_alone(store: Store) -> None:
    assert await trim(store, Bounds(0, 0)) == []
    assert await store.tail() == 0


async def test_the_metrics_show_how_far_the_slowest_of_each_kind_of_consumer_is_behind(store: Store) -> None:
    sequences = await fill(store, 20)
    await store.save_cursors(
        {"temporal": sequences[-1], "delivery/quick": sequences[-2], "delivery/slow": sequences[3]}
    )
    await Retention(store, clock=lambda: NOW).show()

    def shown(name: str, consumer: str) -> float | None:
        return metrics.REGISTRY.get_sample_value(name, {"consumer": consumer})

    assert metrics.REGISTRY.get_sample_value("tsunagu_change_log_head") == sequences[-1]
    assert shown("tsunagu_consumer_cursor", "history") == sequences[-1]
    assert shown("tsunagu_consumer_cursor", "delivery") == sequences[3]
    assert shown("tsunagu_consumer_lag_changes", "history") == 0
    assert shown("tsunagu_consumer_lag_changes", "delivery") == 16
    assert shown("tsunagu_consumer_lag_seconds", "history") == 0
    assert shown("tsunagu_consumer_lag_seconds", "delivery") == 16 * 3600
