"""Snapshots without a broker: lifetimes, statuses, what is told and asked of them (5.2.41, 5.2.42, 5.3.4)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import BadRequestData
from broker.model.snapshot import (
    MEMBERS,
    MemberNames,
    as_entity,
    expiry,
    is_expired,
    notification_body,
    parse_members,
    result_details,
    show,
    status_of,
    updated,
)
from broker.query.evaluate import satisfies
from broker.query.q import parse_q

NOW = "2026-01-01T00:00:00.000000Z"
DOCUMENT: dict[str, Any] = {
    "id": "urn:s:1",
    "type": "Snapshot",
    "snapshotQueries": [{"type": "Query"}],
    "snapshotPriority": 3,
    "snapshotStatus": "partial",
    "snapshotQueriesDetails": [result_details("empty"), result_details("failure", BadRequestData("no"))],
    "createdAt": NOW,
    "modifiedAt": NOW,
    "expiresAt": "2026-01-02T00:00:00.000000Z",
    "space": "a",
    "revision": 1,
    "told": 0,
}


@pytest.mark.parametrize(
    ("lifetime", "expires"),
    [
        (None, "2026-01-01T00:10:00.000000Z"),
        ("PT1S", "2026-01-01T00:00:01.000000Z"),
        ("PT0.5S", "2026-01-01T00:00:00.500000Z"),
        ("PT1,5S", "2026-01-01T00:00:01.500000Z"),
        ("PT1H2M3S", "2026-01-01T01:02:03.000000Z"),
        ("P1D", "2026-01-02T00:00:00.000000Z"),
        ("P1W", "2026-01-08T00:00:00.000000Z"),
        ("P1M1D", "2026-02-01T00:00:00.000000Z"),
        ("P9999Y", "2026-04-11T00:00:00.000000Z"),
        ("PT9999999999S", "2026-04-11T00:00:00.000000Z"),
    ],
)
def test_5_2_41_a_lifetime_counts_from_now_and_is_capped(lifetime: str | None, expires: str) -> None:
    assert expiry(NOW, lifetime, default=600.0, longest=100 * 86_400.0) == expires
    assert is_expired({"expiresAt": expires}, expires)
    assert not is_expired({"expiresAt": expires}, NOW)


@pytest.mark.parametrize("lifetime", ["", "P", "PT", "P1", "1D", "P1S", "PT1D", "P1DT", "P-1D", "p1d", "P1D ", "P1W1D"])
def test_5_2_41_what_is_no_duration_is_refused(lifetime: str) -> None:
    with pytest.raises(BadRequestData, match="snapshotLifetime"):
        parse_members({"snapshotLifetime": lifetime})


@given(st.lists(st.sampled_from(["success", "empty", "failure"]), min_size=1, max_size=5))
def test_5_16_1_4_the_status_of_a_snapshot(results: list[Any]) -> None:
    status = status_of([result_details(result) for result in results])
    if set(results) == {"success"}:
        assert status == "success"
    elif "success" in results:
        assert status == "partial"
    elif "empty" in results:
        assert status == "empty"
    else:
        assert status == "failure"


@given(st.dictionaries(st.sampled_from([*MEMBERS, "other", "space"]), st.none() | st.text(max_size=3) | st.floats()))
def test_5_2_41_only_members_of_a_snapshot_come_through_or_a_bad_request(given_: dict[str, Any]) -> None:
    try:
        members = parse_members(given_)
    except BadRequestData:
        return
    assert members.keys() <= set(MEMBERS) - {"snapshotStatus", "createdAt", "modifiedAt", "expiresAt", "lastUsedAt"}


def test_5_16_4_an_update_replaces_and_removes_what_it_may() -> None:
    given_ = {"snapshotPriority": 9, "endpoint": "http://a/", "snapshotStatus": "success", "space": "b"}
    changed = updated(DOCUMENT, given_)
    assert changed == {**DOCUMENT, "snapshotPriority": 9, "endpoint": "http://a/"}
    assert "endpoint" not in updated(changed, {"endpoint": "urn:ngsi-ld:null", "space": "urn:ngsi-ld:null"})
    assert updated(changed, {"endpoint": None})["endpoint"] == "http://a/"
    assert DOCUMENT["snapshotPriority"] == 3


def test_5_2_41_only_members_are_shown() -> None:
    shown = show(DOCUMENT, {"snapshotQueries": [{"type": "Query", "q": "a"}]}, "2026-01-01T12:00:00.000000Z")
    assert list(shown) == [member for member in MEMBERS if member in shown]
    assert shown["lastUsedAt"] == "2026-01-01T12:00:00.000000Z"
    assert shown["snapshotQueries"] == [{"type": "Query", "q": "a"}]
    assert not {"space", "revision", "told", "terms"} & shown.keys()


def test_5_3_4_a_notification_tells_of_status_and_expiry() -> None:
    body = notification_body(DOCUMENT, "urn:n:1", NOW)
    assert body == {
        "id": "urn:n:1",
        "type": "SnapshotNotification",
        "snapshotId": "urn:s:1",
        "notifiedAt": NOW,
        "expiresAt": DOCUMENT["expiresAt"],
        "snapshotPriority": 3,
        "snapshotStatus": "partial",
        "snapshotQueriesDetails": DOCUMENT["snapshotQueriesDetails"],
    }
    problem = body["snapshotQueriesDetails"][1]["problemDetails"]
    assert problem["type"].endswith("BadRequestData")
    assert notification_body({**DOCUMENT, "snapshotStatus": "preparing"}, "urn:n:1", NOW)["snapshotStatus"] == "failure"


@pytest.mark.parametrize(
    ("q", "fulfilled"),
    [
        ("snapshotPriority==3", True),
        ("snapshotPriority==1..2", False),
        ("https://uri.etsi.org/ngsi-ld/snapshotPriority<4", True),
        ('snapshotStatus=="partial","empty"', True),
        ('id~="^urn:s"', True),
        ("id==urn:s:1", True),
        ("type==Snapshot", True),
        ("createdAt<2026-06-01T00:00:00Z;expiresAt>=2026-01-02T00:00:00Z", True),
        ("lastUsedAt==2026-01-01T00:00:00.000000Z", True),
        ("endpoint", False),
        ("snapshotQueries", True),
        ("snapshotTemporalQueriesDetails|snapshotQueriesDetails", True),
    ],
)
def test_4_9_a_query_finds_the_members_of_a_snapshot(q: str, fulfilled: bool) -> None:
    assert satisfies(parse_q(q, MemberNames()), as_entity(DOCUMENT, NOW)) is fulfilled


@pytest.mark.parametrize("q", ["speed>5", "https://example.org/snapshotPriority>5", "snapshotPriority.unit==5"])
def test_5_16_7_a_query_on_other_names_is_refused(q: str) -> None:
    with pytest.raises(BadRequestData, match="not a member of Snapshot"):
        parse_q(q, MemberNames())
