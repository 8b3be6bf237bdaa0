"""5.5.9 Pagination Behaviour, 4.12 and 4.13, for Query Entities; 6.3.10 and 6.3.13 bind it to HTTP."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.exchanges import Answer
from conformance.samples import Unique, entity, prop
from conformance.servers import PATIENCE, DocumentServer


def create(broker: BrokerClient, unique: Unique, number: int) -> list[str]:
    ids = [unique.id() for _ in range(number)]
    broker.post("/entityOperations/create", [entity(each, unique.type(), size=prop(1)) for each in ids]).expect(201)
    return ids


def ids_of(answer: Answer) -> list[str]:
    return [each["id"] for each in answer.expect(200).json]


@clause("5.5.9.1", 1, 3, 5, 8)
@clause("4.12", 1, 2, 3)
@clause("5.7.2.4", 20)
@pytest.mark.parametrize(("number", "limit"), [(7, 1), (7, 3), (6, 3), (6, 2), (30, 7)])
def test_following_the_next_links_gives_every_element_once(
    broker: BrokerClient, unique: Unique, number: int, limit: int
) -> None:
    ids = create(broker, unique, number)
    answer = broker.get("/entities", {"type": unique.type(), "limit": limit})
    pages = [ids_of(answer)]
    while (link := answer.link("next")) is not None:
        assert len(pages) < number, "the next links do not end"
        answer = broker.get(link)
        pages.append(ids_of(answer))
    assert all(1 <= len(page) <= limit for page in pages)
    assert sorted(each for page in pages for each in page) == ids


@clause("5.5.9.1", 6, 7, 9)
@clause("4.12", 4)
@pytest.mark.parametrize("limit", [1, 3])
def test_following_the_prev_links_leads_back_to_the_first_page(
    broker: BrokerClient, unique: Unique, limit: int
) -> None:
    create(broker, unique, 7)
    answer = broker.get("/entities", {"type": unique.type(), "limit": limit})
    pages, links = [ids_of(answer)], [(answer.link("prev"), answer.link("next"))]
    while (link := answer.link("next")) is not None:
        answer = broker.get(link)
        pages.append(ids_of(answer))
        links.append((answer.link("prev"), answer.link("next")))
    assert [(prev is not None, following is not None) for prev, following in links] == [
        (False, True),
        *[(True, True)] * (len(pages) - 2),
        (True, False),
    ]
    for expected in pages[-2::-1]:
        answer = broker.get(str(answer.link("prev")))
        assert ids_of(answer) == expected
    assert answer.link("prev") is None


@clause("5.5.9.1", 5, 8)
@clause("4.12", 2)
@pytest.mark.parametrize("limit", [3, 4, 100])
def test_a_result_that_fits_on_one_page_has_no_other_pages(broker: BrokerClient, unique: Unique, limit: int) -> None:
    ids = create(broker, unique, 3)
    answer = broker.get("/entities", {"type": unique.type(), "limit": limit})
    assert sorted(ids_of(answer)) == ids
    assert (answer.link("next"), answer.link("prev")) == (None, None)


@clause("5.5.9.1", 5)
def test_an_empty_result_has_no_other_pages(broker: BrokerClient, unique: Unique) -> None:
    answer = broker.get("/entities", {"type": unique.type(), "limit": 3}).expect(200).expect_json([])
    assert (answer.link("next"), answer.link("prev")) == (None, None)


@clause("5.5.9.1", 2)
def test_without_a_limit_the_whole_result_can_be_reached(broker: BrokerClient, unique: Unique) -> None:
    ids = create(broker, unique, 120)
    answer = broker.get("/entities", {"type": unique.type()})
    found = ids_of(answer)
    size = len(found)
    while (link := answer.link("next")) is not None:
        answer = broker.get(link)
        assert len(answer.json) <= size
        found += ids_of(answer)
    assert sorted(found) == ids


@clause("5.5.9.1", 9)
def test_the_links_carry_on_what_was_asked_for(broker: BrokerClient, unique: Unique) -> None:
    odd = [unique.id() for _ in range(5)]
    documents = [entity(each, unique.type(), size=prop(1), note=prop("a b&c=d+e;f")) for each in odd]
    documents += [entity(unique.id(), unique.type(), size=prop(2), note=prop("a b&c=d+e;f")) for _ in range(5)]
    broker.post("/entityOperations/create", documents).expect(201)
    query = {"type": unique.type(), "q": 'size==1;note=="a b&c=d+e;f"', "pick": "id,size", "limit": 2}
    answer = broker.get("/entities", {**query, "format": "simplified", "count": True})
    found = answer.expect(200).json
    while (link := answer.link("next")) is not None:
        answer = broker.get(link).expect(200)
        assert answer.header("NGSILD-Results-Count") == "5"
        found += answer.json
    assert sorted(found, key=lambda each: str(each["id"])) == [{"id": each, "size": 1} for each in odd]


@clause("5.5.9.1", 10)
def test_all_pages_are_shown_in_the_context_of_the_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(tempo="https://example.org/speed", Auto="https://example.org/" + unique.type())
    one_by_one = [entity(unique.id(), "Auto", tempo=prop(number)) for number in range(5)]
    broker.post("/entityOperations/create", one_by_one, link=context).expect(201)
    answer = broker.get("/entities", {"type": "Auto", "limit": 2, "q": "tempo>=0"}, link=context).expect(200)
    found = answer.json
    while (link := answer.link("next")) is not None:
        answer = broker.get(link, link=context).expect(200)
        found += answer.json
    assert sorted(found, key=lambda each: str(each["id"])) == one_by_one


@clause("5.5.9.1", 1, 11)
@clause("4.12", 1)
def test_no_element_is_lost_or_doubled_when_others_are_deleted_or_created_between_pages(
    broker: BrokerClient, unique: Unique
) -> None:
    ids = create(broker, unique, 60)
    steady, fleeting = ids[::2], ids[1::2]
    answer = broker.get("/entities", {"type": unique.type(), "limit": 10})
    found = ids_of(answer)
    while (link := answer.link("next")) is not None:
        for entity_id in found[-9:]:
            if entity_id in fleeting:
                broker.delete(f"/entities/{entity_id}")
        broker.post("/entities", entity(unique.id("Annex"), unique.type(), size=prop(1))).expect(201)
        answer = broker.get(link)
        found += ids_of(answer)
    assert sorted(each for each in found if each in steady) == steady


@clause("5.5.9.1", 1, 11)
@clause("4.12", 1)
def test_what_is_there_all_the_time_comes_once_while_others_come_and_go(broker: BrokerClient, unique: Unique) -> None:
    ids = create(broker, unique, 80)
    steady, fleeting = ids[::2], ids[1::2]
    written, finished = threading.Semaphore(0), threading.Event()

    def come_change_and_go(client: BrokerClient) -> None:
        for entity_id in itertools.cycle(fleeting):
            client.delete(f"/entities/{entity_id}").expect(204)
            client.post("/entities", entity(entity_id, unique.type(), size=prop(2))).expect(201)
            client.patch(f"/entities/{entity_id}/attrs", {"size": prop(3)}).expect(204)
            client.delete(f"/entities/{entity_id}").expect(204)
            written.release()
            if finished.is_set():
                return
            client.post("/entities", entity(entity_id, unique.type(), size=prop(4))).expect(201)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(come_change_and_go, broker.another())
        try:
            for _ in range(5):
                answer = broker.get("/entities", {"type": unique.type(), "limit": 10})
                found = ids_of(answer)
                while (link := answer.link("next")) is not None:
                    assert written.acquire(timeout=PATIENCE)
                    answer = broker.get(link)
                    found += ids_of(answer)
                assert sorted(each for each in found if each in steady) == steady
        finally:
            finished.set()
        writer.result()


@clause("5.5.9.1", 8, 11)
def test_a_next_page_that_has_lost_its_elements_repeats_none(broker: BrokerClient, unique: Unique) -> None:
    ids = create(broker, unique, 14)
    answer = broker.get("/entities", {"type": unique.type(), "limit": 10})
    found, link = ids_of(answer), answer.link("next")
    for entity_id in set(ids) - set(found):
        broker.delete(f"/entities/{entity_id}").expect(204)
    answer = broker.get(str(link)).expect(200)
    assert set(ids_of(answer)).isdisjoint(found)
    assert answer.link("next") is None


@clause("5.5.9.2", 1)
@pytest.mark.parametrize(("offset", "limit"), [(0, 3), (2, 3), (5, 10), (6, 1), (1, None)])
def test_offset_and_limit_cut_a_piece_out_of_the_result(
    broker: BrokerClient, unique: Unique, offset: int, limit: int | None
) -> None:
    create(broker, unique, 7)
    whole = ids_of(broker.get("/entities", {"type": unique.type(), "limit": 100}))
    piece = ids_of(broker.get("/entities", {"type": unique.type(), "offset": offset, "limit": limit}))
    assert piece == whole[offset : 100 if limit is None else offset + limit]


@clause("4.13", 1, 2)
@pytest.mark.parametrize(("limit", "offset"), [(None, None), (2, None), (2, 3), (0, None), (100, 0)])
def test_the_number_of_all_matches_comes_with_any_page(
    broker: BrokerClient, unique: Unique, limit: int | None, offset: int | None
) -> None:
    create(broker, unique, 5)
    broker.post("/entities", entity(unique.id(), unique.type(), size=prop(2))).expect(201)
    query = {"type": unique.type(), "q": "size==1", "count": True, "limit": limit, "offset": offset}
    answer = broker.get("/entities", query).expect(200)
    assert answer.header("NGSILD-Results-Count") == "5"
    assert len(answer.json) == min(limit if limit is not None else 5, 5 - (offset or 0))


@clause("4.13", 1)
def test_the_number_of_no_matches_is_zero(broker: BrokerClient, unique: Unique) -> None:
    answer = broker.get("/entities", {"type": unique.type(), "count": True}).expect(200).expect_json([])
    assert answer.header("NGSILD-Results-Count") == "0"


@clause("4.13", 2)
def test_the_number_alone_comes_with_an_empty_page(broker: BrokerClient, unique: Unique) -> None:
    create(broker, unique, 3)
    answer = broker.get("/entities", {"type": unique.type(), "count": True, "limit": 0})
    answer.expect(200).expect_json([])
    assert answer.header("NGSILD-Results-Count") == "3"


@clause("5.5.9.1", 3)
@clause("6.4.3.2", 17)
@pytest.mark.parametrize(
    "query",
    [
        {"limit": -1},
        {"limit": 0},
        {"limit": "ten"},
        {"limit": 1.5},
        {"offset": -1},
        {"offset": "ten"},
        {"count": "maybe"},
        {"limit": 0, "count": False},
    ],
    ids=str,
)
def test_what_is_no_page_is_refused(broker: BrokerClient, unique: Unique, query: dict[str, object]) -> None:
    broker.get("/entities", {"type": unique.type(), **query}).expect_problem("BadRequestData", "InvalidRequest")


@clause("5.5.9.1", 1, 3, 4)
def test_large_elements_are_all_reached_however_many_fit_on_a_page(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id() for _ in range(20)]
    for each in ids:
        broker.post("/entities", entity(each, unique.type(), text=prop("x" * 1_000_000))).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "limit": 20})
    pages = [ids_of(answer)]
    while (link := answer.link("next")) is not None:
        answer = broker.get(link)
        pages.append(ids_of(answer))
    assert all(pages)
    assert sorted(each for page in pages for each in page) == ids
