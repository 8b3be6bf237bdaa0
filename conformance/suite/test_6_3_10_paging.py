"""6.3.10 Pagination behaviour and 6.3.13 Counting number of results: limit, offset, count, Link and Content-Range."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from conformance.broker_client import GEO_JSON, JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.exchanges import Answer
from conformance.samples import Unique, entity, instant, prop, subscription

COUNT = "NGSILD-Results-Count"
LISTS = [
    "entities",
    "query by POST",
    "subscriptions",
    "csourceRegistrations",
    "csourceSubscriptions",
    "temporal/entities",
]
INSTANTS = 2400
START = datetime(2026, 1, 1, tzinfo=UTC)
RANGE = re.compile(r"DateTime (\d{4}-\d\d-\d\dT[\d:.]+Z)-(\d{4}-\d\d-\d\dT[\d:.]+Z)/(\*|\d+)")


def at(seconds: int) -> str:
    """A DateTime so many seconds after the first instant."""
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def create(broker: BrokerClient, unique: Unique, kind: str, number: int) -> list[str]:
    """So many elements of a kind; their ids."""
    ids = [unique.id() for _ in range(number)]
    for each in ids:
        about = [{"type": unique.type()}]
        if kind in ("entities", "query by POST"):
            broker.post("/entities", entity(each, unique.type(), speed=prop(1))).expect(201)
        elif kind == "csourceRegistrations":
            registration = {"type": "ContextSourceRegistration", "endpoint": "http://127.0.0.1:9"}
            broker.post(f"/{kind}", {**registration, "id": each, "information": [{"entities": about}]}).expect(201)
        elif kind == "temporal/entities":
            evolution = entity(each, unique.type(), speed=[prop(1, observedAt=at(0))])
            broker.post(f"/{kind}", evolution).expect(201)
        else:
            broker.post(f"/{kind}", subscription("http://127.0.0.1:9/", id=each, entities=about)).expect(201)
    return ids


def page(broker: BrokerClient, unique: Unique, kind: str, accept: str | None = None, **query: Any) -> Answer:
    """The first page of what was created, and of no more where the resource has a filter."""
    if kind == "query by POST":
        text = "&".join(f"{name}={str(value).lower()}" for name, value in query.items())
        body = {"type": "Query", "entities": [{"type": unique.type()}]}
        return broker.post(f"/entityOperations/query?{text}", body, accept=accept)
    if not kind.endswith("ubscriptions"):
        query["type"] = unique.type()
    if kind == "temporal/entities":
        query |= {"timerel": "after", "timeAt": at(-1)}
    return broker.get(f"/{kind}", query, accept=accept)


def listed(answer: Answer) -> list[str]:
    return [each["id"] for each in answer.expect(200).json]


@clause("6.3.10", 1, 2, 3)
@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize("kind", [kind for kind in LISTS if kind != "query by POST"])
def test_every_list_is_read_in_pages_along_its_next_links(
    broker: BrokerClient, unique: Unique, kind: str, limit: int
) -> None:
    ids = create(broker, unique, kind, 5)
    answer = page(broker, unique, kind, limit=limit)
    found = listed(answer)
    while (link := answer.link("next")) is not None:
        assert len(answer.json) <= limit
        answer = broker.get(link)
        found += listed(answer)
    assert sorted(each for each in found if each in ids) == ids
    assert len(set(found)) == len(found)


@clause("6.3.10", 1, 6)
def test_a_query_by_post_is_read_in_pages(broker: BrokerClient, unique: Unique) -> None:
    ids = create(broker, unique, "query by POST", 5)
    found = [
        each
        for offset in range(0, 5, 2)
        for each in listed(page(broker, unique, "query by POST", limit=2, offset=offset))
    ]
    assert sorted(found) == ids


@clause("6.3.10", 2, 4)
@pytest.mark.parametrize("kind", [kind for kind in LISTS if kind != "query by POST"])
def test_every_list_is_read_backwards_along_its_prev_links(broker: BrokerClient, unique: Unique, kind: str) -> None:
    create(broker, unique, kind, 3)
    first = page(broker, unique, kind, limit=1)
    second = broker.get(str(first.link("next"))).expect(200)
    third = broker.get(str(second.link("next"))).expect(200)
    assert listed(broker.get(str(third.link("prev")))) == listed(second)
    assert listed(broker.get(str(second.link("prev")))) == listed(first)
    assert first.link("prev") is None


@clause("6.3.10", 5)
@pytest.mark.parametrize(
    ("kind", "accept"),
    [
        ("entities", None),
        *[(kind, accept) for kind in LISTS if kind != "query by POST" for accept in (JSON, JSON_LD)],
        ("entities", GEO_JSON),
    ],
)
def test_links_have_the_media_type_that_was_asked_for_on_all_pages(
    broker: BrokerClient, unique: Unique, kind: str, accept: str | None
) -> None:
    create(broker, unique, kind, 3)
    first = page(broker, unique, kind, accept, limit=1).expect(200)
    second = broker.get(str(first.link("next")), accept=accept).expect(200)
    for answer, relations in ((first, {"next"}), (second, {"prev", "next"})):
        links = {name: each for each in answer.links() for name in ("prev", "next") if f'rel="{name}"' in each}
        assert relations <= set(links)
        assert all(f'type="{accept or JSON}"' in each for each in links.values())


@clause("6.3.10", 13)
def test_links_have_limit_and_offset(broker: BrokerClient, unique: Unique) -> None:
    create(broker, unique, "entities", 5)
    answer = page(broker, unique, "entities", limit=2, offset=2)
    expected = {"prev": ("2", "0"), "next": ("2", "4")}
    for relation, (limit, offset) in expected.items():
        query = parse_qs(urlsplit(str(answer.link(relation))).query)
        assert (query["limit"], query["offset"], query["type"]) == ([limit], [offset], [unique.type()])


@clause("6.3.10", 6)
@pytest.mark.parametrize("kind", ["entities", "query by POST", "csourceRegistrations", "temporal/entities"])
def test_an_offset_leaves_out_what_is_before_it(broker: BrokerClient, unique: Unique, kind: str) -> None:
    create(broker, unique, kind, 4)
    whole = listed(page(broker, unique, kind, limit=100))
    assert listed(page(broker, unique, kind, offset=0)) == whole
    assert listed(page(broker, unique, kind, offset=1, limit=2)) == whole[1:3]
    assert listed(page(broker, unique, kind, offset=3, limit=2)) == whole[3:]


@clause("6.3.10", 8)
@pytest.mark.parametrize("kind", ["entities", "query by POST"])
def test_an_offset_beyond_the_end_shows_the_last_element(broker: BrokerClient, unique: Unique, kind: str) -> None:
    create(broker, unique, kind, 3)
    whole = listed(page(broker, unique, kind, limit=100))
    assert listed(page(broker, unique, kind, offset=50, limit=2)) == whole[-1:]


@clause("6.3.10", 8)
def test_an_offset_into_nothing_shows_nothing(broker: BrokerClient, unique: Unique) -> None:
    assert listed(page(broker, unique, "entities", offset=50)) == []


@clause("6.3.10", 7)
@clause("6.3.13", 3)
@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": -1},
        {"limit": "x"},
        {"limit": 1.5},
        {"offset": -1},
        {"offset": "x"},
        {"limit": 0, "count": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", LISTS)
def test_what_is_no_page_is_refused(broker: BrokerClient, unique: Unique, kind: str, query: dict[str, Any]) -> None:
    page(broker, unique, kind, **query).expect_problem("BadRequestData", "InvalidRequest")


@clause("6.3.13", 1)
@pytest.mark.parametrize("kind", ["entities", "query by POST", "csourceRegistrations", "temporal/entities"])
def test_count_says_how_many_there_are_whatever_the_page(broker: BrokerClient, unique: Unique, kind: str) -> None:
    create(broker, unique, kind, 3)
    pages = [
        page(broker, unique, kind, count=True, limit=limit, offset=offset)
        for limit, offset in [(1, 0), (1, 2), (100, 0)]
    ]
    assert [answer.expect(200).header(COUNT) for answer in pages] == ["3"] * 3


@clause("6.3.13", 1)
@pytest.mark.parametrize("kind", ["subscriptions", "csourceSubscriptions"])
def test_count_says_how_many_subscriptions_there_are(broker: BrokerClient, unique: Unique, kind: str) -> None:
    create(broker, unique, kind, 3)
    assert int(page(broker, unique, kind, count=True, limit=1).expect(200).header(COUNT)) >= 3


@clause("6.3.13", 2)
@pytest.mark.parametrize("kind", LISTS)
def test_the_number_alone_comes_with_an_empty_array(broker: BrokerClient, unique: Unique, kind: str) -> None:
    create(broker, unique, kind, 2)
    answer = page(broker, unique, kind, count=True, limit=0).expect(200).expect_json([])
    assert int(answer.header(COUNT)) >= 2
    assert (answer.link("next"), answer.link("prev")) == (None, None)


@clause("6.3.13", 1)
@pytest.mark.parametrize("query", [{}, {"count": False}], ids=str)
@pytest.mark.parametrize("kind", LISTS)
def test_who_does_not_ask_for_the_number_is_not_told(
    broker: BrokerClient, unique: Unique, kind: str, query: dict[str, Any]
) -> None:
    assert COUNT not in page(broker, unique, kind, **query).expect(200).headers


@clause("6.3.13", 1)
@pytest.mark.parametrize("count", ["yes", "1", "TRUE", ""])
def test_a_count_that_is_neither_true_nor_false_is_refused(broker: BrokerClient, unique: Unique, count: str) -> None:
    page(broker, unique, "entities", count=count).expect_problem("BadRequestData", "InvalidRequest")


def evolution(broker: BrokerClient, unique: Unique, query: dict[str, Any], form: str | None) -> Answer:
    """The answer to a query for a long temporal evolution, where the broker does not answer it whole."""
    one = unique.id()
    instances = [prop(number, observedAt=at(number)) for number in range(INSTANTS)]
    broker.post("/temporal/entities", entity(one, unique.type(), speed=instances)).expect(201)
    answer = broker.get(f"/temporal/entities/{one}", {**query, "format": form})
    if answer.status == 200:
        pytest.skip(f"the broker answers with {INSTANTS} instances at once")
    return answer.expect(206)


def observed(answer: Answer, form: str | None) -> list[datetime]:
    """The instants of an answer, in order of time."""
    speed = answer.json["speed"]
    instants = [each[1] for each in speed["values"]] if form else [each["observedAt"] for each in speed]
    return sorted(map(instant, instants))


@clause("6.3.10", 9, 11, 12)
@pytest.mark.parametrize("form", [None, "temporalValues"])
@pytest.mark.parametrize(
    ("query", "start"),
    [
        ({"timerel": "after", "timeAt": at(-5)}, at(-5)),
        ({"timerel": "between", "timeAt": at(-5), "endTimeAt": at(INSTANTS + 5)}, at(-5)),
        ({"timerel": "before", "timeAt": at(INSTANTS + 5)}, at(0)),
    ],
)
def test_a_long_evolution_is_answered_from_its_beginning(
    broker: BrokerClient, unique: Unique, query: dict[str, Any], start: str, form: str | None
) -> None:
    answer = evolution(broker, unique, query, form)
    written = RANGE.fullmatch(answer.header("Content-Range"))
    assert written is not None
    shown = observed(answer, form)
    assert (shown[0], instant(written[1])) == (instant(at(0)), instant(start))
    assert (instant(written[2]), written[3]) == (shown[-1], "*")


@clause("6.3.10", 9, 10, 12)
@pytest.mark.parametrize("form", [None, "temporalValues"])
@pytest.mark.parametrize(
    ("query", "start"),
    [
        ({"timerel": "after", "timeAt": at(-5)}, at(INSTANTS - 1)),
        ({"timerel": "between", "timeAt": at(-5), "endTimeAt": at(INSTANTS + 5)}, at(INSTANTS + 5)),
        ({"timerel": "before", "timeAt": at(INSTANTS + 5)}, at(INSTANTS + 5)),
    ],
)
def test_the_last_instances_of_a_long_evolution_are_answered_from_its_end(
    broker: BrokerClient, unique: Unique, query: dict[str, Any], start: str, form: str | None
) -> None:
    answer = evolution(broker, unique, {**query, "lastN": INSTANTS}, form)
    written = RANGE.fullmatch(answer.header("Content-Range"))
    assert written is not None
    shown = observed(answer, form)
    assert (shown[-1], instant(written[1])) == (instant(at(INSTANTS - 1)), instant(start))
    assert (instant(written[2]), written[3]) == (shown[0], str(INSTANTS))


@clause("6.3.10", 9, 11)
def test_a_long_evolution_is_read_to_its_end_by_going_on_where_an_answer_ends(
    broker: BrokerClient, unique: Unique
) -> None:
    answer = evolution(broker, unique, {"timerel": "after", "timeAt": at(-1)}, None)
    found = {each["value"] for each in answer.json["speed"]}
    path = urlsplit(answer.request.target).path
    while answer.status == 206:
        end = str(answer.header("Content-Range")).split("Z-")[1].split("/")[0]
        answer = broker.get(path, {"timerel": "after", "timeAt": end}).expect(200, 206)
        found |= {each["value"] for each in answer.json["speed"]}
    assert found == set(range(INSTANTS))


@clause("6.3.10", 9)
def test_a_short_evolution_is_answered_whole(broker: BrokerClient, unique: Unique) -> None:
    (one,) = create(broker, unique, "temporal/entities", 1)
    answer = broker.get(f"/temporal/entities/{one}").expect(200)
    assert "Content-Range" not in answer.headers
