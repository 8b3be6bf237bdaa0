"""The benchmarks' report: no figure of what was wrong, and a word about each limit."""

from pathlib import Path

import pytest

from bench.cost import Cost
from bench.limits import LIMITS, judged, table
from bench.report import QUANTITIES, Report, Row, Section, put_into
from bench.stock import Stock


def row_of(cpu: float, *, wrong: int = 0, lost: int = 0, key: str = "get", store: str = "sqlite") -> Row:
    cost = Cost(answers=100, right=100 - wrong, cpu=cpu * 100 / 1e6, seconds=1.0, walls=[2.0] * 100, lost=lost)
    return cost.row(key, "GET entity by id", store, 10_000, ratio=2.0)


def report_of(*rows: Row) -> Report:
    return Report("A run", [Section("Operations", list(rows))])


def test_a_limit_that_is_kept_is_met() -> None:
    text = report_of(row_of(159)).markdown()
    assert "| GET entity by id | 10,000 | SQLite | CPU us, broker and store together | 160 | 159 | met |" in text
    assert "Limits met: 2 of 2." in text


def test_a_limit_that_is_exceeded_is_reported_as_missed() -> None:
    report = report_of(row_of(161))
    assert "| 160 | 161 | **missed** |" in report.markdown()
    assert "Limits met: 1 of 2." in report.markdown()
    assert report.faults() == []


def test_the_two_stores_have_limits_of_their_own() -> None:
    assert [met for _, _, met in judged("get", "mongo", 10_000, {"cpu": 161, "ratio": 2.6})] == [True, False]


@pytest.mark.parametrize("wrong", [{"wrong": 1}, {"lost": 1}])
def test_nothing_is_told_of_an_operation_with_one_wrong_answer(wrong: dict[str, int]) -> None:
    report = report_of(row_of(100, **wrong))
    (row,) = report.rows()
    assert row.values
    assert row.figures == {}
    assert report.content()["sections"][0]["rows"][0]["figures"] == {}
    assert "WRONG, so without figures: GET entity by id" in report.markdown()
    assert "| no figure | **missed** |" in report.markdown()
    assert len(report.faults()) == 1


def test_no_answer_at_all_is_wrong_too() -> None:
    assert Cost().row("get", "GET", "sqlite", 1).wrong == ["no answers"]


def test_a_limit_from_a_million_entities_on_is_not_held_against_fewer() -> None:
    assert judged("large q", "sqlite", 100_000, {"p95": 70}) == []
    ((_, _, met),) = judged("large q", "sqlite", 1_000_000, {"p95": 70})
    assert not met


def test_a_least_is_a_bound_from_below() -> None:
    assert [met for _, _, met in judged("hot", "sqlite", 10_000, {"share": 0.49})] == [False]
    assert [met for _, _, met in judged("hot", "sqlite", 10_000, {"share": 0.5})] == [True]


def test_each_limit_is_of_a_quantity_that_is_written() -> None:
    assert {limit.quantity for limit in LIMITS} <= set(QUANTITIES)


def test_each_write_of_the_stock_changes_what_is_there() -> None:
    stock = Stock(1_000)
    writes = [operation for operation in stock.operations.values() if operation.changes]
    bodies = [operation.request(number) for operation in writes for number in (0, 1)]
    assert len(set(bodies)) == len(bodies) > 8
    initial = {stock.entity(number)["flow"]["value"] for number in range(1_000)}
    assert not initial & {number + part for number in range(1_000) for part in (0.01, 0.02, 0.03, 0.04)}


def test_the_document_has_the_limits_of_the_code() -> None:
    assert table() in Path(__file__).parents[2].joinpath("docs", "performance.md").read_text("utf-8")


def test_a_report_takes_the_place_of_the_one_before_in_a_document(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("one\n<!-- bench short -->\nold\n<!-- end short -->\ntwo\n", "utf-8")
    put_into(document, "short", "new\n")
    assert document.read_text("utf-8") == "one\n<!-- bench short -->\n\nnew\n\n<!-- end short -->\ntwo\n"
    with pytest.raises(ValueError, match="bench full"):
        put_into(document, "full", "new")
