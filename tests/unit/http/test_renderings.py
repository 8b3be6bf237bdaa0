"""What was compiled and shown before is compiled and shown the same again, within bounds (broker.http.renderings, prepared)."""

import orjson
from hypothesis import given
from hypothesis import strategies as st
from strategies_queries import entities

from broker.http.parameters import Parameters
from broker.http.prepared import LONGEST, MOST_TERMS, Preparations, Prepared
from broker.http.renderings import MOST_KINDS, Renderings
from broker.jsonld.core import CORE_URL
from broker.jsonld.terms import CORE, TermTable
from broker.model.entity import Entity
from broker.model.representation import View, represent
from broker.query.ast import EntityQuery
from broker.store.protocol import Sheet

VIEWS = (View(), View("simplified"), View("concise", sys_attrs=True))
OTHER = TermTable({})


def sheet(states: list[Entity]) -> Sheet:
    return Sheet(orjson.loads, [each["id"] for each in states], [orjson.dumps(each).decode() for each in states])


@given(st.lists(entities(), max_size=4), st.sampled_from((100, 5_000, 1_000_000)))
def test_an_array_is_what_represent_says_in_each_context_and_view_again_and_again(
    states: list[Entity], most_bytes: int
) -> None:
    renderings = Renderings(most_bytes)
    for _ in range(3):
        for names in (CORE, OTHER):
            for view in VIEWS:
                expected = orjson.dumps([represent(each, names, view) for each in states])
                assert renderings.array(sheet(states), names, view) == expected


def test_what_is_remembered_is_bounded_and_what_is_asked_for_stays() -> None:
    renderings = Renderings(100_000)
    read = 0

    def decode(body: str) -> Entity:
        nonlocal read
        read += 1
        entity: Entity = orjson.loads(body)
        return entity

    def body(number: int) -> str:
        state = {
            "id": f"urn:x:{number}",
            "type": ["urn:t"],
            "attrs": {},
            "createdAt": "",
            "modifiedAt": "",
            "version": 1,
        }
        return orjson.dumps(state).decode()

    for number in range(2_000):
        renderings.array(Sheet(decode, ["urn:x:0"], [body(0)]), CORE, View())
        renderings.array(Sheet(decode, [f"urn:x:{number}"], [body(number)]), CORE, View())
    assert read == 2_000
    kept = sum(len(each) for part in (renderings._young, renderings._old) for each in part.values())
    assert kept < 600


def test_a_query_is_compiled_once_but_not_if_it_is_long_or_wrong_or_asked_long_ago() -> None:
    preparations = Preparations(most=2)
    made = 0

    def prepare() -> Prepared:
        nonlocal made
        made += 1
        return Prepared({}, EntityQuery(), View())

    def ask(q: str, limit: str = "1") -> None:
        parameters = Parameters([("type", "T"), ("q", q), ("limit", limit)], frozenset({"type", "q", "limit"}))
        preparations.get((CORE, CORE_URL, None, parameters.besides(frozenset({"limit"}))), prepare)

    for limit in ("1", "2"):
        ask("a", limit)
    assert made == 1
    for q in ("b", "a", "c", "a"):
        ask(q)
    assert made == 3
    ask("b")
    assert made == 4
    for _ in range(2):
        ask("x" * LONGEST)
    assert made == 6


def test_views_and_contexts_that_show_nothing_or_little_are_bounded_too() -> None:
    renderings = Renderings(1_000_000)
    state = {"id": "urn:x:0", "type": ["urn:t"], "attrs": {}, "createdAt": "", "modifiedAt": "", "version": 1}
    one = Sheet(orjson.loads, ["urn:x:0"], [orjson.dumps(state).decode()])
    for number in range(2_000):
        assert renderings.array(Sheet(orjson.loads), CORE, View(lang=f"en-{number}")) == b"[]"
    assert not renderings._young
    for number in range(2_000):
        renderings.array(one, CORE, View(lang=f"en-{number}"))
        renderings.array(one, TermTable({}), View())
    assert len(renderings._young) + len(renderings._old) <= 2 * MOST_KINDS
    for number in range(50):
        renderings.array(one, CORE, View(dataset_ids=frozenset({f"urn:{number}:" + "x" * 100_000})))
    assert len(renderings._young) + len(renderings._old) < 20


def test_prepared_queries_keep_no_more_terms_alive_than_is_said() -> None:
    preparations = Preparations()
    prepared = Prepared({}, EntityQuery(), View())
    tables = [TermTable({}) for _ in range(20)]
    for table in tables:
        table.size = MOST_TERMS // 4
        preparations.get((table, "", None, ()), lambda: prepared)
    assert len(preparations._known) <= 4
    for number in range(20):  # one that is large itself is remembered with all that is asked in it
        preparations.get((tables[-1], "", None, (("q", str(number)),)), lambda: prepared)
    assert len(preparations._known) >= 20
    assert preparations.get((tables[-1], "", "x" * (LONGEST + 1), ()), lambda: prepared) is prepared
    assert len(preparations._known) <= 24
