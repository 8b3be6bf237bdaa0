"""The newest stretch of the change log in memory: it gives what the log would, or nothing."""

from hypothesis import given
from hypothesis import strategies as st

from broker.model.change import Change
from broker.store.latest import LatestChanges


def change(sequence: int) -> Change:
    return Change("", f"urn:ngsi-ld:A:{sequence}", "entityCreated", "2026-01-01T00:00:00Z", (), None, None, sequence)


def kept(latest: LatestChanges, after: int = 0, limit: int = 1_000) -> list[int]:
    return [each.sequence for each in latest.after(after, limit)]


def test_a_stretch_is_read_on_from_any_place_in_it() -> None:
    latest = LatestChanges()
    latest.add([change(5), change(6)], [1, 1])
    latest.add([change(7)], [1])
    assert kept(latest, 4) == [5, 6, 7]
    assert kept(latest, 5, 1) == [6]
    assert kept(latest, 7) == []


def test_what_comes_before_it_is_left_to_the_store() -> None:
    latest = LatestChanges()
    latest.add([change(5)], [1])
    assert kept(latest, 3) == []


def test_another_process_commit_in_between_begins_a_new_stretch() -> None:
    latest = LatestChanges()
    latest.add([change(5), change(6)], [1, 1])
    latest.add([change(8)], [1])
    assert kept(latest, 4) == kept(latest, 6) == []
    assert kept(latest, 7) == [8]


def test_what_is_trimmed_from_the_log_is_forgotten() -> None:
    latest = LatestChanges()
    latest.add([change(number) for number in range(5, 9)], [1] * 4)
    latest.trim(6)
    assert kept(latest, 4) == []
    assert kept(latest, 6) == [7, 8]
    latest.trim(100)
    assert kept(latest, 6) == []


def test_bytes_are_bounded_even_where_one_change_exceeds_them() -> None:
    latest = LatestChanges(most_bytes=100)
    latest.add([change(1)], [1_000])
    assert kept(latest) == []
    for number in range(2, 50):
        latest.add([change(number)], [40])
    assert kept(latest, 43) == []
    assert kept(latest, 47) == [48, 49]


commits = st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.integers(0, 30)), max_size=40)


@given(commits, st.data())
def test_it_gives_what_the_log_has_or_nothing(commits: list[tuple[int, bool, int]], data: st.DataObject) -> None:
    """Of commits by this process and by others, with trimming in between, whatever is read follows the log without a gap."""
    latest, head, ours = LatestChanges(most=7, most_bytes=90), 0, False
    for count, ours, trimmed in commits:
        changes = [change(head + place) for place in range(1, count + 1)]
        head += count
        if ours:
            latest.add(changes, [10] * count)
        if trimmed > 25:
            latest.trim(head - 3)
        after, limit = data.draw(st.integers(0, head + 1)), data.draw(st.integers(1, 10))
        found = kept(latest, after, limit)
        assert found == list(range(after + 1, after + 1 + len(found)))
        assert len(found) <= limit
        assert len(latest.after(0, 10**6)) <= 2 * 7
    if ours:
        assert kept(latest, head - 1) == [head] or latest.after(0, 1) == [] or commits[-1][2] > 25
