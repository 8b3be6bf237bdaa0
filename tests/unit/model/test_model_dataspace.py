"""Keys of the spaces that a tenant and its snapshots are kept in (broker.model.dataspace)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import BadRequestData
from broker.http.exchange import check_tenant_name
from broker.model.dataspace import Origin, origin_of, snapshot_space
from broker.model.naming import check_uri

TENANTS = st.text(st.characters(exclude_categories=("C", "Z")), max_size=20)
IDS = st.from_regex(r"urn:[a-z0-9:.\-]{1,20}", fullmatch=True)


@given(TENANTS, IDS, IDS)
def test_a_key_tells_whose_space_it_is(tenant: str, snapshot_id: str, generation: str) -> None:
    assert origin_of(snapshot_space(tenant, snapshot_id, generation)) == Origin(tenant, snapshot_id)
    assert origin_of(tenant) == Origin(tenant, None)


@given(st.tuples(TENANTS, IDS, IDS), st.tuples(TENANTS, IDS, IDS))
def test_keys_of_different_spaces_differ(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (snapshot_space(*one) == snapshot_space(*other)) == (one == other)


@given(TENANTS, IDS, IDS)
def test_no_client_can_name_a_space(tenant: str, snapshot_id: str, generation: str) -> None:
    space = snapshot_space(tenant, snapshot_id, generation)
    with pytest.raises(BadRequestData):
        check_tenant_name(space)
    with pytest.raises(BadRequestData):
        check_uri(space.removeprefix(tenant), "id")
