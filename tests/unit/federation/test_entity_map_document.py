"""What an EntityMap is, how long it lives, and what it was made for (4.5.25, 5.2.39, 5.5.14, 5.14.2)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import BadRequestData
from broker.federation.entity_map import (
    LONGEST_LIFETIME,
    PART_CHARACTERS,
    PART_IDS,
    EntityMap,
    Mark,
    Place,
    expiry,
    filters_digest,
    full_parts,
    lifetime,
    part_body,
    read_mark,
    updated_expiry,
    window_digest,
    without,
)
from broker.query.ast import EntityQuery, EntitySelector, Ordering, OrderTerm, Path, TypeSelection
from broker.query.temporal import parse_temporal_query

NOW = "2026-11-22T21:34:08.123456Z"
MAP = "urn:ngsi-ld:EntityMap:1"
VEHICLE = TypeSelection((("urn:Vehicle",),))


def test_5_2_39_the_document_has_the_members_of_the_tables():
    head = EntityMap(MAP, NOW, "f", None, 1, 1, True, {"urn:r:1": "urn:m:2"})
    assert head.document({"urn:a:1": ["@none"]}) == {
        "id": MAP,
        "type": "EntityMap",
        "expiresAt": NOW,
        "entityMap": {"urn:a:1": ["@none"]},
        "linkedMaps": {"urn:r:1": "urn:m:2"},
    }
    assert EntityMap.read(MAP, head.body()) == head


def test_5_5_14_a_map_is_usable_while_it_is_complete_and_has_not_expired():
    later = expiry(NOW, 1)
    assert later == "2026-11-22T21:34:09.123456Z"
    assert EntityMap(MAP, later, complete=True).usable(NOW)
    assert not EntityMap(MAP, later).usable(NOW)
    assert not EntityMap(MAP, NOW, complete=True).usable(NOW)


def test_6_4_3_2_a_suggested_lifetime_is_kept_within_bounds():
    assert lifetime(None) == 3600
    assert lifetime("PT10M") == 600
    assert lifetime("P3650D") == LONGEST_LIFETIME
    assert lifetime("PT0S") == 1
    with pytest.raises(BadRequestData, match="entityMapLifetime"):
        lifetime("1hour")


def test_5_14_2_only_the_expiry_can_be_updated_and_not_beyond_the_longest_lifetime():
    assert updated_expiry({"expiresAt": "2026-11-22T22:00:00Z"}, MAP, NOW) == "2026-11-22T22:00:00.000000Z"
    assert updated_expiry({"expiresAt": "2099-01-01T00:00:00Z"}, MAP, NOW) == expiry(NOW, LONGEST_LIFETIME)
    assert updated_expiry({"expiresAt": "2000-01-01T00:00:00,5Z"}, MAP, NOW) == "2000-01-01T00:00:00.500000Z"
    assert updated_expiry({"id": MAP, "type": "EntityMap", "entityMap": {"urn:x:1": []}}, MAP, NOW) is None


@pytest.mark.parametrize(
    ("fragment", "member"),
    [
        ({"expiresAt": "tomorrow"}, "expiresAt"),
        ({"expiresAt": None}, "expiresAt"),
        ({"expiresAt": "urn:ngsi-ld:null"}, "expiresAt"),
        ({"expiresAt": 5}, "expiresAt"),
        ({"id": "urn:ngsi-ld:EntityMap:2"}, "id"),
        ({"type": "Map"}, "type"),
    ],
)
def test_5_14_2_a_fragment_that_cannot_be_of_this_map_is_refused(fragment, member):
    with pytest.raises(BadRequestData, match=f"^{member}:"):
        updated_expiry(fragment, MAP, NOW)


def test_5_5_14_ids_do_not_count_among_the_parameters_that_have_to_be_the_same():
    wide = EntityQuery((EntitySelector(types=VEHICLE),), attrs=frozenset({"urn:speed", "urn:brand"}), now=NOW)
    narrow = EntityQuery(
        (EntitySelector(frozenset({"urn:a:1"}), None, VEHICLE), EntitySelector(id_pattern="x", types=VEHICLE)),
        attrs=frozenset({"urn:brand", "urn:speed"}),
    )
    assert filters_digest("entities", wide) == filters_digest("entities", narrow)


def test_5_5_14_any_other_condition_and_the_order_count():
    base = EntityQuery((EntitySelector(types=VEHICLE),))
    others = [
        EntityQuery(),
        EntityQuery((EntitySelector(types=TypeSelection((("urn:Bus",),))),)),
        EntityQuery((EntitySelector(types=VEHICLE),), attrs=frozenset({"urn:speed"})),
        EntityQuery((EntitySelector(types=VEHICLE),), ordering=Ordering((OrderTerm(Path(("urn:speed",))),))),
    ]
    digests = {filters_digest("entities", query) for query in (base, *others)} | {filters_digest("evolutions", base)}
    assert len(digests) == 6


def test_5_5_14_a_temporal_query_is_known_by_its_interval():
    day = parse_temporal_query("after", "2026-01-01T00:00:00Z")
    assert window_digest(day) == window_digest(parse_temporal_query("after", "2026-01-01T00:00:00.0Z", last_n=3))
    assert window_digest(day) != window_digest(parse_temporal_query("before", "2026-01-01T00:00:00Z"))


@given(st.lists(st.integers(1, 4096), max_size=30), st.integers(1, 1500))
def test_ids_are_cut_into_parts_that_are_full_and_never_too_large(lengths, at_once):
    ids = [f"{number}:".ljust(length, "x")[:4096] for number, length in enumerate(lengths * 90)]
    pending, parts = [], []
    for begin in range(0, len(ids), at_once):
        pending += ids[begin : begin + at_once]
        parts += full_parts(pending, last=False)
    parts += full_parts(pending, last=True)
    assert not pending
    assert [each for part in parts for each in part] == ids
    for part in parts:
        assert 0 < len(part) <= PART_IDS
        assert sum(map(len, part)) <= PART_CHARACTERS
    for part, following in pairwise(parts):
        assert len(part) == PART_IDS or sum(map(len, part)) + len(following[0]) > PART_CHARACTERS


def test_an_entity_that_is_removed_leaves_its_place_empty():
    body = part_body(["urn:a:1", "urn:a:2", "urn:a:3"])
    trimmed = without(body, {"urn:a:2", "urn:a:9"})
    assert trimmed == {"entities": [["urn:a:1", ["@none"]], None, ["urn:a:3", ["@none"]]]}
    assert body == part_body(["urn:a:1", "urn:a:2", "urn:a:3"])
    assert without(trimmed, {"urn:a:2"}) is None


def test_a_mark_is_read_from_the_text_that_a_link_carries():
    for mark in (Mark(MAP, True, Place(3, 417)), Mark(MAP, False, Place(0, 0))):
        assert read_mark(mark.text()) == mark
    for text in (
        "",
        MAP,
        f"{MAP}:from:1",
        f"{MAP}:after:1.2",
        f"{MAP}:from:-1.2",
        f"{MAP}:from:1.{'9' * 10}",
        ":from:1.2",
    ):
        assert read_mark(text) is None
