"""The documents of the provisioning API: each fault is refused by the name of the member at fault."""

import pytest

from adapters.iot.documents import InvalidDocument, read_device, read_group
from adapters.iot.endpoints import EndpointPolicy
from adapters.iot.mqtt import Topic, parse_topic

DEVICE = {"device_id": "t1"}
GROUP = {"apikey": "k", "resource": "/iot/d"}


def attribute(**members):
    return {**DEVICE, "attributes": [{"name": "a"}, {"object_id": "b", "name": "b", **members}]}


def static(**members):
    return {**DEVICE, "static_attributes": [{"name": "a", "value": 1, **members}]}


@pytest.mark.parametrize(
    ("document", "member"),
    [
        (3, "d must be an object"),
        ({}, "d.device_id"),
        ({"device_id": ""}, "d.device_id"),
        ({"device_id": 3}, "d.device_id"),
        ({"device_id": "a/b"}, "d.device_id"),
        ({"device_id": "a|b"}, "d.device_id"),
        ({"device_id": "a\nb"}, "d.device_id"),
        ({"device_id": "x" * 201}, "d.device_id"),
        ({**DEVICE, "colour": 1}, "d.colour"),
        ({**DEVICE, "apikey": "a/b"}, "d.apikey"),
        ({**DEVICE, "protocol": "IoTA-LWM2M"}, "d.protocol"),
        ({**DEVICE, "transport": "AMQP"}, "d.transport"),
        ({**DEVICE, "endpoint": "ftp://x"}, "d.endpoint"),
        ({**DEVICE, "endpoint": "http://[x"}, "d.endpoint"),
        ({**DEVICE, "endpoint": "http://h:0"}, "d.endpoint"),
        ({**DEVICE, "polling": "yes"}, "d.polling"),
        ({**DEVICE, "timezone": "Nowhere/X"}, "d.timezone"),
        ({**DEVICE, "timezone": "../etc"}, "d.timezone"),
        ({**DEVICE, "timestamp": 1}, "d.timestamp"),
        ({**DEVICE, "explicitAttrs": "[t]"}, "d.explicitAttrs"),
        ({**DEVICE, "lazy": [{"name": "x"}]}, "d.lazy"),
        ({**DEVICE, "expressionLanguage": "lua"}, "d.expressionLanguage"),
        ({**DEVICE, "entity_name": "${id}"}, "d.entity_name"),
        ({**DEVICE, "attributes": {}}, "d.attributes"),
        ({**DEVICE, "attributes": [3]}, r"d.attributes\[0\]"),
        (attribute(expression="t*2"), r"d.attributes\[1\].expression"),
        (attribute(entity_name="urn:x"), r"d.attributes\[1\].entity_name"),
        (attribute(name=""), r"d.attributes\[1\].name"),
        (attribute(name="type"), r"d.attributes\[1\].name"),
        (attribute(name="a"), r"d.attributes has the name 'a' twice"),
        (attribute(object_id="a"), r"d.attributes has the object_id 'a' twice"),
        (attribute(object_id="a|b"), r"d.attributes\[1\].object_id"),
        (attribute(metadata=[]), r"d.attributes\[1\].metadata"),
        (attribute(metadata={"u": {"value": ["${x}"]}}), r"d.attributes\[1\].metadata"),
        (static(value=None), r"d.static_attributes\[0\].value"),
        (static(value=""), r"d.static_attributes\[0\].value"),
        (static(value="${@t}"), r"d.static_attributes\[0\].value"),
        (static(type="Relationship"), r"d.static_attributes\[0\].value"),
        (static(type="geo:point", value="200,0"), r"d.static_attributes\[0\].value"),
        ({**DEVICE, "commands": [{"name": "a b"}]}, r"d.commands\[0\].name"),
        ({**DEVICE, "commands": [{"name": "on", "expression": "1"}]}, r"d.commands\[0\].expression"),
        ({**DEVICE, "commands": [{"name": "on"}, {"name": "on"}]}, "d.commands has the name 'on' twice"),
    ],
)
def test_a_device_at_fault_is_refused_by_the_member(document, member):
    with pytest.raises(InvalidDocument, match=f"^{member}"):
        read_device(document, "d")


@pytest.mark.parametrize(
    ("document", "member"),
    [
        ({}, "s.apikey"),
        ({**GROUP, "resource": "/iot/x"}, "s.resource"),
        ({**GROUP, "device_id": "x"}, "s.device_id"),
        ({**GROUP, "autoprovision": "x"}, "s.autoprovision"),
        ({**GROUP, "entityNameExp": "x"}, "s.entityNameExp"),
    ],
)
def test_a_group_at_fault_is_refused_by_the_member(document, member):
    with pytest.raises(InvalidDocument, match=f"^{member}"):
        read_group(document, "s")


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("/ul/k/d/attrs", Topic("ultralight", "k", "d")),
        ("json/k/d/attrs/t", Topic("json", "k", "d", "t")),
        ("/k/d/attrs", Topic(None, "k", "d")),
        ("/ul/d/attrs", Topic(None, "ul", "d")),
        ("/json/k/d/cmdexe", Topic("json", "k", "d", answers=True)),
        ("/k//attrs", None),
        ("/k/d/attrs/", None),
        ("/k/d/cmd", None),
        ("/k/d/attrs/a/b", None),
    ],
)
def test_a_topic_says_key_device_and_what_it_is_for(topic, said):
    assert parse_topic(topic) == said


def test_commands_are_posted_to_whom_the_rule_allows():
    default = EndpointPolicy()
    assert default.allows("10.0.0.5", "device", 80)
    assert default.allows("127.0.0.1", "localhost", 80)
    for never in ("169.254.169.254", "::ffff:169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1%eth0", "nonsense"):
        assert not default.allows(never, "device", 80)
    own = EndpointPolicy.parse(["10.0.0.0/8", "gate.city:8080"])
    assert own.allows("10.1.1.1", "x", 1)
    assert own.allows("192.168.0.1", "gate.city", 8080)
    assert not own.allows("192.168.0.1", "gate.city", 80)
    for bad in ("", "10.0.0.0/33", "a b"):
        with pytest.raises(ValueError, match="is no network"):
            EndpointPolicy.parse([bad])
