"""What queries ask for is counted, and clients cannot make it large (broker.store.demand, broker.store.scans)."""

import logging

import pytest

from broker.query.ast import EntityQuery, Path
from broker.store.demand import ENOUGH, LONGEST, Demand, Effort, IndexKey
from broker.store.scans import LONGEST_NAME, MOST_NAMED, Scans


def test_an_index_is_wanted_when_it_has_cost_enough_but_none_of_a_path_that_is_too_long() -> None:
    demand = Demand()
    path, too_long = Path(("urn:a:level",)), Path(("urn:a:level", "x" * LONGEST))
    too_deep = Path(("urn:a:level",), ("x",) * LONGEST)
    effort = Effort(ENOUGH, 0, [("urn:t", too_long), ("urn:t", too_deep), ("t" * LONGEST, path), ("urn:t", path)])
    assert demand.note("", effort) == IndexKey("", "urn:t", path)
    assert not demand._wasted


def test_the_line_about_a_scan_is_short_whatever_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    missing = [("urn:t", Path((f"urn:a:{number}" + "x" * 10_000,))) for number in range(100)]
    Scans().note("", EntityQuery(), Effort(ENOUGH, 0, missing))
    (record,) = caplog.records
    named = record.__dict__["missing"]
    assert len(named) == MOST_NAMED
    assert all(len(name) <= LONGEST_NAME for name in named)
