"""The payloads of UltraLight 2.0 and IoT Agent JSON: measures, commands, answers, and what is none of these."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.iot import json_payload, ultralight
from adapters.iot.payload import MOST_BYTES, MOST_GROUPS, CommandAnswer, MalformedPayload, Measure
from adapters.iot.ultralight import Untyped, command_text, is_answer, parse_answer, typed

WORD = st.text(st.characters(exclude_characters="|#\r\n", exclude_categories=["Cs"]), min_size=1, max_size=12)
NAME = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TIME = st.datetimes().map(lambda moment: moment.isoformat() + "Z")
GROUP = st.tuples(st.one_of(st.just(""), TIME), st.dictionaries(NAME, WORD, min_size=1, max_size=5))


def readings(text, attribute=""):
    return [(dict(each.readings), each.time) for each in ultralight.parse_measures(text.encode(), attribute)]


class TestUltralightMeasures:
    def test_groups_are_parted_by_hashes_and_readings_by_bars(self):
        assert readings("t|3") == [({"t": "3"}, "")]
        assert readings("t|3|h|45") == [({"t": "3", "h": "45"}, "")]
        assert readings("t|3#h|45") == [({"t": "3"}, ""), ({"h": "45"}, "")]
        assert readings("|t|3\r\n") == [({"t": "3"}, "")]

    def test_a_group_may_begin_with_its_time(self):
        assert readings("2016-06-13T00:35:30Z|lle|100") == [({"lle": "100"}, "2016-06-13T00:35:30Z")]
        assert readings("t|1#2016-06-13T00:35:30Z|t|2")[1] == ({"t": "2"}, "2016-06-13T00:35:30Z")

    def test_a_topic_that_names_the_reading_has_its_value_alone(self):
        assert readings("a|b#c", "t") == [({"t": "a|b#c"}, "")]

    @pytest.mark.parametrize(
        "text", ["t", "t|", "|3", "t|3|h", "t||h|4", "t|1|t|2", "2016-06-13T00:35:30Z", "t|3|", "2016|t|3", "#"]
    )
    def test_a_group_at_fault_says_why_and_has_no_readings(self, text):
        (measure, *_) = ultralight.parse_measures(text.encode())
        assert measure.fault
        assert not measure.readings
        assert measure.shown == text.split("#")[0]

    def test_a_group_at_fault_takes_no_other_with_it(self):
        good, bad, other = ultralight.parse_measures(b"t|3#t#h|4")
        assert (good.fault, other.fault) == ("", "")
        assert bad.fault

    @pytest.mark.parametrize("data", [b"", b"\r\n", b"\xff|3", b"a" * (MOST_BYTES + 1), b"#" * MOST_GROUPS])
    def test_what_is_no_message_at_all_is_refused(self, data):
        with pytest.raises(MalformedPayload, match="The message"):
            ultralight.parse_measures(data)

    @given(st.lists(GROUP, min_size=1, max_size=4))
    def test_what_is_written_is_read(self, groups):
        text = "#".join(
            "|".join([*([time] if time else []), *(part for pair in group.items() for part in pair)])
            for time, group in groups
        )
        assert readings(text) == [(group, time) for time, group in groups]

    @given(st.binary(max_size=60))
    def test_any_bytes_are_groups_or_refused(self, data):
        try:
            measures = ultralight.parse_measures(data)
        except MalformedPayload:
            return
        assert all(bool(each.fault) != bool(each.readings) for each in measures)


class TestTypes:
    @pytest.mark.parametrize(
        ("text", "kind", "value"),
        [
            ("3", "Property", 3),
            ("3", "", 3),
            ("-1.50", "Property", -1.5),
            ("1e3", "Property", 1000.0),
            ("03", "Property", "03"),
            ("1,5", "Property", "1,5"),
            ("true", "Property", "true"),
            ("NaN", "Property", "NaN"),
            ("1e999", "Property", "1e999"),
            ("٣", "Property", "٣"),
            ("9223372036854775808", "Number", 9223372036854775808.0),
            ("3", "Text", "3"),
            ("3", "string", "3"),
            ("3", "Number", 3),
            ("7", "Integer", 7),
            ("TRUE", "Boolean", True),
            ("0", "Boolean", False),
            ("1.2/3.4", "geo:point", "1.2,3.4"),
            ('{"a":1}', "StructuredValue", {"a": 1}),
            ("2026-06-30", "DateTime", "2026-06-30"),
        ],
    )
    def test_the_type_of_an_attribute_says_what_a_text_means(self, text, kind, value):
        found = typed(text, kind)
        assert found == value
        assert type(found) is type(value)

    @pytest.mark.parametrize(("text", "kind"), [("x", "Number"), ("1.5", "Integer"), ("2", "Boolean"), ("{", "Object")])
    def test_what_is_not_of_its_type_is_told(self, text, kind):
        with pytest.raises(Untyped, match="is n"):
            typed(text, kind)


class TestUltralightCommands:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("40", "gate001@open|40"),
            (40, "gate001@open|40"),
            (0.5, "gate001@open|0.5"),
            (True, "gate001@open|true"),
            (None, "gate001@open|"),
            ({"position": 40, "speed": "slow"}, "gate001@open|position=40|speed=slow"),
        ],
    )
    def test_a_command_has_a_value_or_members(self, value, text):
        assert command_text("gate001", "open", value) == text

    @pytest.mark.parametrize("value", ["a|b", "a#b", "a\nb", [1], {"a": {"b": 1}}, {"a|b": 1}])
    def test_a_value_that_would_end_the_command_is_refused(self, value):
        with pytest.raises(MalformedPayload, match="no form"):
            command_text("gate001", "open", value)

    def test_an_answer_has_device_command_and_free_text(self):
        assert parse_answer(b"gate001@open|open OK | now") == CommandAnswer("open", "open OK | now", "gate001")
        assert parse_answer(b"urn:ngsi-ld:Device:water001@on|on OK\n").device == "urn:ngsi-ld:Device:water001"
        assert is_answer(b"gate001@open|OK")
        assert not is_answer(b"mail|a@b")

    @pytest.mark.parametrize("data", [b"", b"gate001|OK", b"gate001@open", b"@open|OK", b"gate001@|OK", b"\xff@a|b"])
    def test_what_is_no_answer_is_refused(self, data):
        with pytest.raises(MalformedPayload):
            parse_answer(data)

    @given(NAME, NAME, WORD)
    def test_what_a_command_says_is_what_its_answer_may_say(self, device, command, text):
        assert parse_answer(command_text(device, command, text).encode()) == CommandAnswer(command, text, device)


class TestJson:
    def test_an_object_is_a_group_and_a_list_has_one_each(self):
        assert json_payload.parse_measures(b'{"t": 3}') == [Measure({"t": 3}, "", {"t": 3})]
        found = json_payload.parse_measures(b'[{"t": 3}, {"t": 4, "TimeInstant": "2026-06-30T05:20:00Z"}]')
        assert [(dict(each.readings), each.time) for each in found] == [
            ({"t": 3}, ""),
            ({"t": 4}, "2026-06-30T05:20:00Z"),
        ]

    def test_a_topic_that_names_the_reading_has_json_or_a_text(self):
        assert json_payload.parse_measures(b"3", "t")[0].readings == {"t": 3}
        assert json_payload.parse_measures(b"cold", "t")[0].readings == {"t": "cold"}

    @pytest.mark.parametrize(
        "document", [3, "t", None, {}, {"": 1}, {"TimeInstant": "2026"}, {"t": 1, "TimeInstant": 5}]
    )
    def test_a_group_at_fault_says_why(self, document):
        (measure,) = json_payload.parse_measures(orjson.dumps([document]))
        assert measure.fault

    @pytest.mark.parametrize(
        "data", [b"", b"t|3", b"[]", b"{", b"\xff", b"[" * 100 + b"]" * 100, b"[" + b"0," * MOST_GROUPS + b"0]"]
    )
    def test_what_is_no_message_at_all_is_refused(self, data):
        with pytest.raises(MalformedPayload, match="The message"):
            json_payload.parse_measures(data)

    def test_commands_and_answers(self):
        assert orjson.loads(json_payload.command_document("open", {"position": 40})) == {"open": {"position": 40}}
        assert json_payload.parse_answers(b'{"open": "OK", "log": {"lines": 2}}') == [
            CommandAnswer("open", "OK"),
            CommandAnswer("log", {"lines": 2}),
        ]
        for bad in (b"[]", b"{}", b"3", b"x"):
            with pytest.raises(MalformedPayload):
                json_payload.parse_answers(bad)
