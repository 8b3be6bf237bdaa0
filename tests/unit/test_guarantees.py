"""docs/guarantees.md names the tests that hold what it promises: they are there."""

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
NAMED = re.compile(r"`(?P<file>[\w/]+\.py|…)(?:::(?P<test>\w+))?`")


def test_every_promise_is_held_by_tests_that_exist() -> None:
    text = (TESTS.parent / "docs" / "guarantees.md").read_text("utf-8")
    promises = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert promises
    file, named = "", 0
    for line in promises:
        for found in NAMED.finditer(line):
            file = file if found["file"] == "…" else found["file"]
            named += 1
            content = (TESTS / file).read_text("utf-8")
            assert found["test"] is None or re.search(rf"def {found['test']}\(", content), found[0]
        assert NAMED.search(line) or "| the same |" in line, line
    assert named > 20
