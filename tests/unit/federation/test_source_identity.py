"""Context source identity (5.2.40)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.federation.identity import SourceIdentity, duration

IDENTITY = SourceIdentity("city-1")


@given(st.lists(st.text(min_size=1), unique=True, max_size=4))
def test_5_2_40_each_tenant_has_an_alias_of_its_own_that_fits_into_a_via_header(tenants: list[str]) -> None:
    aliases = [IDENTITY.alias_of(tenant) for tenant in ["", *tenants]]
    assert len(set(aliases)) == len(aliases)
    assert aliases == [IDENTITY.alias_of(tenant) for tenant in ["", *tenants]]
    assert all(re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", alias) for alias in aliases)
    assert aliases[0] == "city-1"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.9, "P0DT0H0M0S"), (59, "P0DT0H0M59S"), (90061, "P1DT1H1M1S"), (31536000, "P365DT0H0M0S")],
)
def test_5_2_40_uptime_is_an_iso_8601_duration(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected
