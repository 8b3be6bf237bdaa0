"""Runs pytest on the suite, or only collects it: what the commands are made of."""

from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Final

import pytest

from conformance.clauses import Reference, references

SUITE: Final = Path(__file__).parent / "suite"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, against which broker; `reports` are format and file."""

    url: str
    clauses: Sequence[str] = ()
    without: Sequence[str] = ()
    callback_host: str = "127.0.0.1"
    mqtt: str | None = None
    sequences: int = 100
    same_sequences: bool = False
    reports: Sequence[tuple[str, Path]] = ()
    options: Sequence[str] = field(default=())
    """More words for pytest."""


_REPORT_OPTION: Final = {"json": "--json-report", "html": "--html-report", "junit": "--junit-xml"}


def run_suite(plan: Plan) -> int:
    """pytest's exit code: 0 where all passed, 1 where a test failed, 5 where no test was asked for."""
    words = ["--broker-url", plan.url, "--callback-host", plan.callback_host, "--sequences", str(plan.sequences)]
    for number in plan.clauses:
        words += ["--only-clause", number]
    for number in plan.without:
        words += ["--without-clause", number]
    if plan.mqtt is not None:
        words += ["--mqtt", plan.mqtt]
    if plan.same_sequences:
        words.append("--same-sequences")
    for kind, path in plan.reports:
        words += [_REPORT_OPTION[kind], str(path.resolve())]
    return int(pytest.main([*_frame(), *words, *plan.options]))


def collected() -> dict[str, tuple[Reference, ...]]:
    """All tests of the suite by name, with what they refer to. Raises RuntimeError where they cannot be collected."""
    collector = _Collector()
    output = StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        code = pytest.main([*_frame(), "--collect-only"], plugins=[collector])
    if code != 0:
        raise RuntimeError(f"the suite cannot be collected:\n{output.getvalue()}")
    return collector.tests


class _Collector:
    """Notes which tests there are."""

    def __init__(self) -> None:
        self.tests: dict[str, tuple[Reference, ...]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            self.tests[item.nodeid] = references(item)


def _frame() -> list[str]:
    return [
        str(SUITE),
        *("-c", str(SUITE / "pytest.ini"), f"--rootdir={SUITE}"),
        *("-p", "conformance.plugin", "-p", "no:asyncio"),  # another plugin that may be installed, and would only warn
    ]
