"""What decoded entities come to against what a broker has: newest to the state, older to the history, the same to nowhere."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from adapters.planning import new_instances, plan, rounds, span, wanted

GAUGE = "urn:ngsi-ld:Gauge:1"
START = datetime(2026, 6, 30, tzinfo=UTC)


def at(minutes):
    return (START + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def level(value, minutes=None, dataset=None):
    reading = {"type": "Property", "value": value}
    if minutes is not None:
        reading["observedAt"] = at(minutes)
    if dataset is not None:
        reading["datasetId"] = dataset
    return reading


def part(**attributes):
    return {"id": GAUGE, "type": "Gauge", **attributes}, frozenset()


def planned(current, *parts):
    (found,) = wanted(parts).values()
    return plan(found, current)


def state(**attributes):
    return {"id": GAUGE, "type": "Gauge", **attributes}


def test_the_newest_reading_is_the_state_and_the_older_ones_are_history():
    found = planned(None, part(level=level(1, 10)), part(level=level(3, 30)), part(level=level(2, 20)))
    assert found.change.created
    assert found.change.fragment["level"] == level(3, 30)
    assert found.history == {"level": [level(1, 10), level(2, 20)]}
    assert span(found.history) == (at(10), at(20))


def test_a_reading_older_than_the_brokers_goes_to_the_history_only():
    found = planned(state(level=level(3, 30)), part(level=level(1, 10), name=level("橋")))
    assert found.change.fragment == state(name=level("橋"))
    assert found.history == {"level": [level(1, 10)]}
    assert planned(state(level=level(3, 30)), part(level=level(1, 10))).change is None


def test_the_same_reading_is_nothing_however_its_instant_is_written():
    current = state(level={**level(3), "observedAt": "2026-06-30T00:30:00.000Z"})
    found = planned(current, part(level=level(3, 30)))
    assert (found.change, found.history) == (None, {})
    assert planned(current, part(level=level(4, 30))).change.fragment == state(level=level(4, 30))


def test_each_dataset_has_its_own_newest_reading():
    current = state(level=[level(3, 30), level(7, 5, "urn:d")])
    found = planned(current, part(level=level(2, 20)), part(level=level(8, 10, "urn:d")))
    assert found.change.fragment["level"] == level(8, 10, "urn:d")
    assert found.history == {"level": [level(2, 20)]}


def test_what_is_owned_and_gone_is_removed_but_not_what_is_late():
    whole = (state(name=level("橋")), frozenset(["name", "phone", "level"]))
    found = planned(state(name=level("橋"), phone=level("1"), other=level(1)), whole)
    assert found.change.removed == ("phone",)
    late = (state(level=level(1, 10)), frozenset(["level"]))
    assert planned(state(level=level(3, 30)), late).change is None


def test_a_later_whole_entity_takes_away_what_an_earlier_one_had():
    owned = frozenset(["name", "phone"])
    found = wanted([(state(name=level("橋"), phone=level("1")), owned), (state(name=level("橋")), owned)])
    assert found[GAUGE].entity == state(name=level("橋"))


def test_in_turn_each_part_of_an_entity_has_a_round_of_its_own():
    other = ({"id": "urn:ngsi-ld:Gauge:2", "type": "Gauge"}, frozenset())
    first, second = part(level=level(1, 10)), part(level=level(2, 20))
    assert list(rounds([first, other, second])) == [[first, other], [second]]


def test_a_history_is_not_told_what_it_has():
    history = {"level": [level(1, 10), level(2, 20), level(2, 20), level(5, 10)]}
    known = state(level=[{**level(1, 10), "instanceId": "urn:i"}])
    assert new_instances(history, known) == {"level": [level(2, 20), level(5, 10)]}
    assert new_instances(history, state(level={**level(2, 20), "instanceId": "urn:i"}))["level"][0] == level(1, 10)
    assert new_instances({"level": [level(2, 20)]}, {}) == {"level": [level(2, 20)]}


READINGS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 3)), min_size=1, max_size=12, unique_by=lambda each: each[0]
)


@given(READINGS, st.data())
def test_readings_in_any_order_and_any_portions_come_to_the_same(readings, data):
    order = data.draw(st.permutations(readings))
    cut = data.draw(st.integers(0, len(order)))
    current, history = None, []
    for portion in (order[:cut], order[cut:], order):
        if portion:
            found = planned(current, *(part(level=level(value, minutes)) for minutes, value in portion))
            history += new_instances(found.history, state(level=history)).get("level", [])
            if found.change is not None:
                if current is not None:
                    history.append(current["level"])
                current = found.change.fragment
    minutes, value = max(readings)
    assert current["level"] == level(value, minutes)
    told = {(each["observedAt"], each["value"]) for each in [*history, current["level"]]}
    assert told == {(at(minutes), value) for minutes, value in readings}
