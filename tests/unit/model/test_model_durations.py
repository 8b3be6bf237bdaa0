"""Durations of ISO 8601."""

import pytest

from broker.model.durations import duration_seconds, is_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT5M", 300),
        ("PT1H", 3600),
        ("P1DT12H", 129_600),
        ("P0.5D", 43_200),
        ("PT1,5S", 1.5),
        ("P1W", 604_800),
        ("P1Y2M3W4DT5H6M7S", 365 * 86_400 + 60 * 86_400 + 21 * 86_400 + 4 * 86_400 + 18_367),
        ("PT0S", 0),
    ],
)
def test_a_duration_is_so_many_seconds(text, seconds):
    assert is_duration(text)
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1DT", "1H", "PT1", "P-1D", "PT1H ", "1hour", "P١D", "P1H", "PT9999999999S"]
)
def test_what_is_no_duration_is_refused(text):
    assert not is_duration(text)
    with pytest.raises(ValueError, match="not a duration"):
        duration_seconds(text)
