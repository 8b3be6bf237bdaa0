"""DateTime strings (4.6.3) and their canonical form, which has to order like the instants."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.model.instants import canonical, canonical_text, canonical_time, is_instant, parse_instant

MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(MOMENTS, MOMENTS)
def test_canonical_strings_order_like_the_instants_they_name(one: datetime, other: datetime) -> None:
    assert (canonical(one) < canonical(other)) == (one < other)
    assert parse_instant(canonical(one)) == one


def test_4_6_3_years_have_four_digits() -> None:
    assert canonical(datetime(987, 6, 5, tzinfo=UTC)) == "0987-06-05T00:00:00.000000Z"


@given(MOMENTS, st.integers(0, 6), st.sampled_from(".,"))
def test_4_6_3_text_becomes_canonical_without_being_read(moment: datetime, digits: int, point: str) -> None:
    text = canonical(moment)
    given_text = text[:19] + (point + text[20 : 20 + digits] if digits else "") + "Z"
    assert canonical_text(given_text) == canonical(parse_instant(given_text))


@pytest.mark.parametrize(
    "text", ["2020-01-01T24:00:00Z", "2020-01-01T00:00:00.٣Z", "٢٠٢٠-01-01T00:00:00Z", "2020-01-01T00:00:60Z"]
)
def test_4_6_3_these_are_no_instants(text: str) -> None:
    assert not is_instant(text)


@given(st.integers(0, 2**62))
def test_what_a_clock_gives_becomes_canonical_as_an_instant_does(nanoseconds: int) -> None:
    moment = datetime.fromtimestamp(nanoseconds // 10**9, UTC).replace(microsecond=nanoseconds % 10**9 // 1000)
    assert canonical_time(nanoseconds) == canonical(moment)
