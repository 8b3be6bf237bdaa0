"""What a subscription missed is told once, joined where it belongs together, and bounded."""

from broker.delivery.gap import MOST_GAPS, Gap, with_gap
from broker.delivery.tally import Tally

EARLY, LATE = "2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z"


def all_of(*gaps: Gap) -> list[Gap]:
    found: list[Gap] = []
    for gap in gaps:
        found = with_gap(found, gap)
    return found


def test_what_was_told_before_it_happened_is_not_told_again_when_it_is_noticed() -> None:
    told = Gap(0, 10, owed=3, unread=2, start=EARLY, end=LATE)
    assert all_of(told, Gap(3, 4, owed=1), Gap(8, 10, unread=2)) == [told]


def test_a_gap_that_follows_another_continues_it() -> None:
    first = Gap(0, 10, owed=3, start=EARLY, end=EARLY)
    assert all_of(first, Gap(10, 15, owed=1, unread=4, start=LATE, end=LATE)) == [
        Gap(0, 15, owed=4, unread=4, start=EARLY, end=LATE)
    ]
    assert len(all_of(first, Gap(20, 25, owed=1, start=LATE, end=LATE))) == 2


def test_what_was_noticed_only_afterwards_is_one_gap_in_whatever_order_it_comes() -> None:
    assert all_of(Gap(5, 9, unread=4), Gap(1, 2, owed=1), Gap(3, 4, owed=1)) == [Gap(1, 9, owed=2, unread=4)]


def test_the_number_of_gaps_is_bounded_and_none_is_forgotten() -> None:
    gaps = all_of(*(Gap(10 * one, 10 * one + 1, owed=1, start=EARLY, end=LATE) for one in range(MOST_GAPS + 5)))
    assert len(gaps) == MOST_GAPS
    assert (gaps[0].after, sum(gap.owed for gap in gaps)) == (0, MOST_GAPS + 5)


def test_gaps_survive_in_the_stored_counts() -> None:
    tally = Tally(dropped=2)
    tally.miss(Gap(0, 10, owed=3, unread=2, start=EARLY, end=LATE))
    tally.miss(Gap(20, 21, owed=1))
    assert Tally.restored(tally.stored()) == tally
    assert not {"missed", "dropped"} & set(tally.members())
