"""What the table [commands] allows, and what a request for commands says (adapters.actuation.policy, .asking, .telling)."""

import contextlib
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.actuation.asking import asked_attribute, asked_attributes, header_key, hops, later
from adapters.actuation.contract import Command, CommandTarget, InvalidTarget
from adapters.actuation.policy import parse_policy
from adapters.actuation.problem import Refused
from adapters.actuation.record import Entry, Event, State
from adapters.actuation.registering import registration_of, says_the_same
from adapters.actuation.targets import Targets
from adapters.actuation.telling import rounds, status_entity
from adapters.errors import InvalidFeeds
from adapters.feeds import parse_feeds

TOKEN = "a-token-of-the-office"
PRINCIPALS = {"office": {"tokens": [TOKEN]}, "section": {"tokens": ["sha256:" + hashlib.sha256(b"other").hexdigest()]}}
AT = "2026-06-30T00:00:00.000Z"


def a_policy(**members):
    return parse_policy({"principals": PRINCIPALS, **members}, "here")


def a_target(**members):
    known = CommandTarget("", "urn:ngsi-ld:Gate:1", "Gate", "gate1", "gates", ("open",), "fake")
    return replace(known, **members)


def an_event(number, entity=1, tenant="", state=State.OK, info=None):
    target = a_target(tenant=tenant, entity_id=f"urn:ngsi-ld:Gate:{entity}")
    command = Command(f"id{number}", f"c{number}", target, "open", 1, AT, later(AT, 60))
    return Event(number, Entry(command, "office", AT, state, AT, None), AT, state, "", info)


def test_a_token_is_known_by_its_hash_or_as_it_is():
    policy = a_policy()
    assert policy.principal_of(f"Bearer {TOKEN}") == "office"
    assert policy.principal_of("bearer other") == "section"
    for nobody in ("", TOKEN, "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \udc80"):
        assert policy.principal_of(nobody) is None


def test_rule_1_a_permission_is_for_principal_tenant_group_and_command():
    policy = a_policy(allow=[{"principals": ["office"], "groups": ["g"], "commands": ["open"], "tenants": ["t"]}])
    assert policy.permits("office", "t", "g", "open")
    for other in (("section", "t", "g", "open"), ("office", "", "g", "open"), ("office", "t", "h", "open"),
                  ("office", "t", "g", "close")):  # fmt: skip
        assert not policy.permits(*other)
    assert not a_policy().permits("office", "t", "g", "open")


def test_of_several_rules_the_strictest_holds():
    loose = {"groups": ["g"], "commands": ["*"], "expires": 60.0, "repeatable": True, "shared": True}
    strict = {"groups": ["g"], "commands": ["open"], "expires": 5.0, "critical": True, "approvers": ["section"],
              "interlock": {"entity": "self", "q": "a==1"}}  # fmt: skip
    policy = a_policy(rules=[loose, strict])
    terms = policy.terms("g", "open")
    assert (terms.expires, terms.critical, terms.approvers, terms.repeatable, terms.shared) == (
        5.0, True, ("section",), False, False,
    )  # fmt: skip
    assert [each.max_age for each in terms.interlocks] == [900]
    other = policy.terms("g", "close")
    assert (other.expires, other.critical, other.repeatable, other.shared) == (60.0, False, True, True)
    unruled = policy.terms("h", "open")
    assert (unruled.critical, unruled.repeatable, unruled.supersedes, unruled.shared) == (False, False, False, False)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"allow": [{"principals": ["nobody"], "groups": ["g"], "commands": ["x"]}]}, "no principal 'nobody'"),
        ({"allow": [{"principals": ["office"], "groups": ["g"]}]}, "commands"),
        ({"allow": {"principals": ["office"]}}, "list of tables"),
        ({"rules": [{"groups": ["g"], "commands": ["x"], "critical": True}]}, "needs approvers"),
        ({"rules": [{"groups": ["g"], "commands": ["x"], "approvers": ["office"]}]}, "not critical"),
        ({"rules": [{"groups": ["g"], "commands": ["x"], "interlock": {"q": "a==1"}}]}, "interlock"),
        ({"rules": [{"groups": ["g"], "commands": ["x"], "expires": 0.0}]}, "more than 0"),
        (
            {"rules": [{"groups": ["g"], "commands": ["x"], "interlock": {"entity": "self", "q": "a", "max_age": 0}}]},
            "max_age",
        ),
        (
            {"rules": [{"groups": ["g"], "commands": ["x"], "interlock": {"entity": "self", "q": "a", "maxAge": 9}}]},
            "max_age",
        ),
        ({"keep_days": 0.1}, "keep_days"),
        ({"keep_megabytes": 0}, "keep_megabytes"),
        ({"interlock_max_age": float("nan")}, "inf for a state of any age"),
        ({"expires": -1.0}, "more than 0"),
        ({"principals": {"office": {"tokens": ["short"]}}}, "16 characters"),
        ({"principals": {"a": {"tokens": [TOKEN]}, "b": {"tokens": [TOKEN]}}}, "same token"),
        ({"allowed": []}, "allowed"),
    ],
)
def test_a_table_that_is_at_fault_names_the_place(members, said):
    with pytest.raises(InvalidFeeds, match="here") as caught:
        a_policy(**members)
    assert said in str(caught.value)


def test_tokens_come_from_the_environment_and_commands_need_no_feed():
    document = {"commands": {"principals": {"office": {"tokens": ["env:OFFICE"]}}}}
    feeds = parse_feeds(document, Path(), {"OFFICE": TOKEN})
    assert feeds.commands is not None
    assert feeds.commands.principal_of(f"Bearer {TOKEN}") == "office"
    with pytest.raises(InvalidFeeds, match="OFFICE"):
        parse_feeds(document, Path(), {})
    with pytest.raises(InvalidFeeds, match="no table"):
        parse_feeds({"feeds": {}, "lorawan": {"g": {}}} | {"commandz": {}}, Path())


def test_a_command_may_be_normalized_concise_or_bare():
    said = {"type": "Property", "value": {"position": 1}, "expiresAt": "2026-06-30T09:00:00+09:00", "commandId": "k"}
    asked = asked_attribute("open", said)
    assert (asked.value, asked.key, asked.expires_at) == ({"position": 1}, "k", "2026-06-30T00:00:00.000Z")
    assert asked_attribute("open", {"value": 0}).value == 0
    fragment = {"id": "urn:a:b", "type": "T", "open": {"position": 1}, "close": ""}
    assert [(each.name, each.value) for each in asked_attributes(fragment)] == [
        ("open", {"position": 1}),
        ("close", ""),
    ]
    meant = [
        {"position": 1, "expiresAt": "2026-06-30T00:00:00Z"},
        {"position": 1, "commandId": {"type": "Property", "value": "k"}},
        [{"type": "Property", "value": 1}, {"type": "Property", "value": 2, "datasetId": "urn:a:b"}],
    ]
    for attribute in meant:
        with pytest.raises(Refused):
            asked_attribute("open", attribute)
    for bare in ({"position": 1}, 5, [1], None):
        with pytest.raises(Refused):
            asked_attribute("open", bare, bare=False)


_MEMBERS = st.sampled_from(["type", "value", "commandId", "expiresAt", "datasetId", "object"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda each: st.lists(each) | st.dictionaries(_MEMBERS, each),
    max_leaves=6,
)


@given(_VALUES, st.booleans())
def test_whatever_a_client_writes_is_a_command_or_is_refused(value, bare):
    with contextlib.suppress(Refused):
        assert asked_attribute("open", value, bare=bare).value is not None


def test_idempotency_keys_and_hops_are_read_from_their_headers():
    assert (header_key('"a b"'), header_key("a"), header_key(None)) == ("a b", "a", None)
    with pytest.raises(Refused):
        header_key('""')
    assert hops("1.1 other, 1.1 proxy (x), 1.1 us", ("proxy",)) == ["other", "us"]
    assert hops(None, ()) == hops(" ,", ()) == []
    assert hops("nonsense", ()) == ["nonsense"], "who it is from is not to be known, so it is another one"


def test_an_entitys_command_belongs_to_one_device():
    targets = Targets()
    targets.put(a_target())
    with pytest.raises(InvalidTarget, match="another device"):
        targets.check([a_target(device_id="gate2")])
    with pytest.raises(InvalidTarget, match="another device"):
        Targets().check([a_target(), a_target(device_id="gate2")])
    targets.check([a_target(commands=("open", "close")), a_target(device_id="gate2", entity_id="urn:ngsi-ld:Gate:2")])
    targets.drop(("", "gate1"))
    assert targets.commands("", "urn:ngsi-ld:Gate:1") == {}


def test_no_event_hides_another_when_the_broker_is_told():
    events = [an_event(1), an_event(2), an_event(3, entity=2), an_event(4, tenant="t"), an_event(5)]
    groups = [[each.number for each in group] for group in rounds(events)]
    assert groups == [[1, 3], [2], [4], [5]]


def test_what_is_told_never_has_the_commands_own_attribute():
    entity = status_entity(an_event(1, info={"said": "ok"}))
    assert set(entity) == {"id", "type", "open_status", "open_info"}
    assert entity["open_info"]["value"] == {"said": "ok"}
    assert status_entity(an_event(1, info="x" * 100_000), plain=True)["open_info"]["value"] == "done"
    assert len(status_entity(an_event(1, info="x" * 100_000))["open_info"]["value"]) < 20_000


def test_4_3_6_3_a_registration_is_exclusive_on_exactly_the_commands():
    made = registration_of(a_target(tenant="t"), "http://door", "runner")
    assert (made["mode"], made["tenant"], made["information"][0]["propertyNames"]) == ("exclusive", "t", ["open"])
    assert {"key": "Authorization", "value": "urn:ngsi-ld:request"} in made["contextSourceInfo"]
    shown = {
        **made,
        "information": [{**made["information"][0], "entities": [{"id": "urn:ngsi-ld:Gate:1", "type": ["Gate"]}]}],
    }
    assert says_the_same(shown, made)
    assert not says_the_same({**shown, "endpoint": "http://elsewhere"}, made)
    assert not says_the_same(None, made)
