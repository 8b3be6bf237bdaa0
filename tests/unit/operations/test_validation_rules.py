"""The rules of what is validated: how they are written, and which of them counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import BadRequestData, ModelViolation
from broker.model.dataspace import snapshot_space
from broker.operations.validation import MOST_TOLD, Notes, Validation, noted
from broker.operations.validation_rules import Rule, parse_rules
from datamodels.validation import Checks, Violation

GAUGE = "https://w3id.org/tsunagu/ns/RiverGauge"
AED = "https://w3id.org/tsunagu/ns/AED"


def validation(*texts):
    return Validation(Checks(), parse_rules(texts))


@pytest.mark.parametrize(
    ("texts", "rules"),
    [
        ([], ()),
        (["off"], (Rule("off"),)),
        (["warn", " RiverGauge=enforce "], (Rule("warn"), Rule("enforce", "RiverGauge"))),
        (["*@exercise=off"], (Rule("off", None, "exercise"),)),
        (["RiverGauge@=warn"], (Rule("warn", "RiverGauge", ""),)),
        ([f"{GAUGE}@a=b=warn"], (Rule("warn", GAUGE, "a=b"),)),
        (["", " "], ()),
    ],
)
def test_rules_are_a_mode_for_all_for_a_type_or_for_a_tenant(texts, rules):
    assert parse_rules(texts) == rules


@pytest.mark.parametrize("text", ["strict", "RiverGauge", "RiverGauge=strict", "=warn", "@yaizu=warn", "RiverGauge="])
def test_what_is_no_rule_is_refused_by_name(text):
    with pytest.raises(ValueError, match="has '"):
        parse_rules([text])


def test_the_tenant_counts_before_the_type_and_the_later_rule_before_the_earlier():
    judge = validation("warn", "RiverGauge=off", "RiverGauge=enforce", "*@exercise=off", "AED@exercise=warn")
    assert (judge.modes("")[GAUGE], judge.modes("")[AED]) == ("enforce", "warn")
    assert (judge.modes("exercise")[GAUGE], judge.modes("exercise")[AED]) == ("off", "warn")
    assert judge.modes(snapshot_space("exercise", "urn:s:1", "g")) == judge.modes("exercise")


def test_where_all_is_off_nothing_is_looked_at():
    assert validation("off").idle
    assert validation("warn", "off").idle
    assert not validation("off", "AED@trial=warn").idle

    def decide(current):
        return None

    judge = validation("AED@trial=warn")
    assert judge.judged("", decide) is decide
    assert judge.judged("trial", decide) is not decide


def test_an_unknown_type_is_refused():
    with pytest.raises(ValueError, match="Unicorn"):
        validation("Unicorn=warn")


def test_a_refusal_is_a_bad_request_with_a_bounded_list():
    attributes = {GAUGE.replace("RiverGauge", "waterLevel"): [{"type": "Property", "value": "high"}] * 30}
    with pytest.raises(ModelViolation) as caught:
        validation("enforce").judge_instances("", "urn:x:1", [GAUGE], attributes)
    error = caught.value
    assert isinstance(error, BadRequestData)
    assert error.problem()["type"].endswith("/BadRequestData")
    assert len(error.extra["violations"]) == MOST_TOLD
    assert "more)" in error.detail


def test_what_an_entity_came_to_last_is_what_is_noted():
    judge = validation("warn")
    with noted() as notes:
        judge.judge_instances(
            "", "urn:x:1", [GAUGE], {GAUGE.replace("RiverGauge", "waterLevel"): [{"type": "Property", "value": 1}]}
        )
        assert list(notes.entities) == [("urn:x:1", "RiverGauge")]
        judge.judge_instances("", "urn:x:1", [GAUGE], {})
        assert notes.entities == {}


@given(st.text(), st.text())
def test_the_header_is_one_line_of_printable_ascii(entity_id, attribute):
    header = Notes({(entity_id, "AED"): [Violation(attribute, "type", "x")]}).header()
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 4
    assert "\\" not in header
