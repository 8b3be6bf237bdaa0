"""Which addresses the broker may call."""

import pytest

from broker.egress.policy import EgressPolicy

METADATA = ["169.254.169.254", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "100.100.100.200", "::ffff:169.254.169.254"]
NEVER = [*METADATA, "224.0.0.1", "255.255.255.255", "0.0.0.0", "::", "ff02::1", "240.0.0.1", "64:ff9b::a9fe:a9fe"]
PRIVATE = ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "::1", "fd12::1", "::ffff:10.0.0.1", "100.64.0.1"]
PUBLIC = ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8"]


@pytest.mark.parametrize(
    ("rule", "allowed", "refused"),
    [
        ("any", [*NEVER, *PRIVATE, *PUBLIC], []),
        ("default", [*PRIVATE, *PUBLIC], NEVER),
        ("public", PUBLIC, [*NEVER, *PRIVATE]),
        ("10.0.0.0/8", ["10.1.2.3", "::ffff:10.1.2.3"], ["11.0.0.1", *PUBLIC, "::1"]),
        ("10.1.2.3", ["10.1.2.3"], ["10.1.2.4"]),
        ("fd00::/8, 127.0.0.1", ["fd12::1", "127.0.0.1"], ["127.0.0.2", "8.8.8.8"]),
        (" Public ,10.1.0.0/16", [*PUBLIC, "10.1.2.3"], ["10.2.0.1", "127.0.0.1"]),
    ],
)
def test_a_rule_allows_its_addresses_and_no_others(rule, allowed, refused):
    policy = EgressPolicy.parse(rule)
    assert [ip for ip in allowed if not policy.allows(ip)] == []
    assert [ip for ip in refused if policy.allows(ip)] == []


def test_a_host_is_allowed_by_name_whatever_it_resolves_to():
    policy = EgressPolicy.parse("sink.city.jp:8080,Hub.Local,[::1]:81")
    assert policy.allows("10.0.0.1", "SINK.city.jp.", 8080)
    assert not policy.allows("10.0.0.1", "sink.city.jp", 80)
    assert policy.allows("169.254.1.1", "hub.local", 1)
    assert not policy.allows("10.0.0.1", "other.local", 8080)
    assert not policy.allows("10.0.0.1")
    assert policy.allows("::1", "::1", 81)
    assert not policy.allows("::1", "::1", 82)


@pytest.mark.parametrize("text", ["", " , ", "10.0.0.0/99", "http://x", "a b", "x:0", "x:70000", "1.2.3", "-x", "x/8"])
def test_a_rule_that_cannot_be_read_says_so(text):
    with pytest.raises(ValueError, match=r"is |has no"):
        EgressPolicy.parse(text)


@pytest.mark.parametrize("text", ["", "nonsense", "1.2.3", "2130706433", "999.1.1.1"])
def test_what_is_no_address_is_not_allowed(text):
    assert not EgressPolicy.parse("any").allows(text)
