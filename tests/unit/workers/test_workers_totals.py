"""The metrics of all workers: none falls when a worker is replaced, and each says whose it is."""

from broker import metrics
from broker.metrics import Family
from broker.workers.totals import MOST_SAMPLES, Totals, labelled


def counter(value: float, **labels: str) -> Family:
    return Family("writes", "counter", "Writes.", [("writes_total", labels, value)])


def gauge(value: float) -> Family:
    return Family("waiting", "gauge", "Waiting.", [("waiting", {}, value)])


def values(totals: Totals) -> dict[tuple[str, str], float]:
    return {(name, labels["worker"]): value for each in totals.whole() for name, labels, value in each.samples}


def test_samples_are_labelled_with_their_worker_and_metrics_are_listed_once() -> None:
    totals = Totals()
    totals.counted(1, 1, [counter(3), gauge(1)])
    totals.counted(2, 2, [counter(4), gauge(2)])
    assert [each.name for each in totals.whole()] == ["writes", "waiting"]
    assert values(totals) == {
        ("writes_total", "1"): 3,
        ("writes_total", "2"): 4,
        ("waiting", "1"): 1,
        ("waiting", "2"): 2,
    }


def test_a_counter_goes_on_where_the_slots_last_process_ended_and_a_gauge_does_not() -> None:
    totals = Totals()
    totals.counted(1, 1, [counter(3), gauge(9)])
    totals.ended(1, 1)
    assert values(totals) == {("writes_total", "1"): 3}, (
        "a slot without a process has counts, but nothing that can fall"
    )
    totals.counted(1, 2, [counter(2), gauge(1)])
    assert values(totals) == {("writes_total", "1"): 5, ("waiting", "1"): 1}


def test_while_a_process_ends_beside_its_successor_both_count_and_the_newer_ones_gauges_are_shown() -> None:
    totals = Totals()
    totals.counted(1, 2, [counter(1), gauge(5)])
    totals.counted(1, 1, [counter(10), gauge(7)])
    assert values(totals) == {("writes_total", "1"): 11, ("waiting", "1"): 5}
    totals.counted(1, 1, [counter(12), gauge(0)])
    totals.ended(1, 1)
    assert values(totals) == {("writes_total", "1"): 13, ("waiting", "1"): 5}


def test_a_process_that_was_never_heard_of_ends_in_silence() -> None:
    totals = Totals()
    totals.ended(1, 1)
    assert totals.whole() == []


def test_what_is_kept_of_ended_processes_is_bounded() -> None:
    totals = Totals()
    for process in range(3):
        samples = [("writes_total", {"host": f"{process}-{number}"}, 1.0) for number in range(MOST_SAMPLES // 2)]
        totals.counted(1, process, [Family("writes", "counter", "Writes.", samples)])
        totals.ended(1, process)
    assert len(totals.whole()[0].samples) == MOST_SAMPLES


def test_the_metrics_of_a_process_survive_the_way_to_another_one_and_are_written_as_before() -> None:
    alone = metrics.exposition()[0].decode()
    given = metrics.exposition(of=metrics.families())[0].decode()
    of_a_worker = metrics.exposition(of=labelled(metrics.families(), 2))[0].decode()
    names = [line.split()[2] for line in alone.splitlines() if line.startswith("# TYPE")]
    assert [line.split()[2] for line in given.splitlines() if line.startswith("# TYPE")] == names
    assert [line.split()[2] for line in of_a_worker.splitlines() if line.startswith("# TYPE")] == names
    assert all('worker="2"' in line for line in of_a_worker.splitlines() if not line.startswith("#"))
