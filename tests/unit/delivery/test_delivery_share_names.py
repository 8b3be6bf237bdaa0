"""Which share a subscription belongs to, and the names of cursors."""

from collections import Counter

from broker.delivery.share import SHARES, guard_name, guarded, share_name, share_of
from broker.model.dataspace import snapshot_space


def test_the_share_of_a_subscription_is_the_same_in_every_process_and_every_version() -> None:
    assert share_of(("", "urn:ngsi-ld:Subscription:1"), SHARES) == 3
    assert share_of(("city", "urn:ngsi-ld:Subscription:1"), SHARES) == 14
    assert share_of(("", "urn:x"), 1) == 0


def test_shares_are_about_equally_large() -> None:
    sizes = Counter(share_of(("", f"urn:ngsi-ld:Subscription:{number}"), SHARES) for number in range(16_000))
    assert len(sizes) == SHARES
    assert 800 < min(sizes.values()) <= max(sizes.values()) < 1_200


def test_the_cursor_of_a_subscription_is_told_from_that_of_a_share() -> None:
    for key in (("", "urn:s/1"), ("city", "http://x/y/z"), (snapshot_space("city", "urn:snap:1", "g1"), "urn:s")):
        assert guarded(guard_name(key)) == key
    assert guarded(share_name(3, SHARES)) is None
    assert guarded(share_name(0, 1)) is None
    assert guarded("temporal") is None
