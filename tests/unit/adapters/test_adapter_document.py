"""docs/writing-an-adapter.md says what is so: the code that it shows is run, and is fifty lines."""

import re
from dataclasses import replace
from pathlib import Path

from adapters.contract import Origin
from adapters.feeds import parse_feeds
from adapters.options import read_options
from adapters.registry import installed

PAGE = (Path(__file__).parents[3] / "docs" / "writing-an-adapter.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SAMPLE = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)[1].encode()
SPACE: dict = {"__name__": "the_page"}
for block in BLOCKS:
    exec(compile(block, "docs/writing-an-adapter.md", "exec"), SPACE)

TestTheAdapterOfThePage = SPACE["TestTide"]


def test_the_adapter_has_about_fifty_lines():
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 50
    assert SPACE["TEXT"] == SAMPLE


def test_it_does_what_the_page_says():
    tide = SPACE["TIDE"]
    decoded = tide.decode(
        SAMPLE, Origin("x", "2026-06-30T06:00:00Z"), read_options(tide.options, {"office": "999997"}), None
    )
    assert (decoded.records, decoded.accepted, decoded.repaired, decoded.quarantined) == (4, 2, 1, 1)
    assert [entity["id"] for entity in decoded.entities] == [
        "urn:ngsi-ld:TideGauge:999997:QS",
        "urn:ngsi-ld:TideGauge:999997:TK",
    ]
    level = {"type": "Property", "value": 1.12, "unitCode": "MTR", "observedAt": "2026-06-30T05:10:00Z"}
    assert decoded.entities[0]["waterLevel"] == level
    assert decoded.quarantine[0].rule == "not-a-number"


def test_the_feed_of_the_page_is_understood(tmp_path, monkeypatch):
    import tomllib

    table = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1]
    known = {**installed(), "tide": replace(SPACE["TIDE"])}
    monkeypatch.setattr("adapters.registry.installed", lambda: known)
    (feed,) = parse_feeds(tomllib.loads(table), tmp_path).feeds
    assert (feed.name, feed.adapter.name, feed.options.office) == ("tides", "tide", "999997")
