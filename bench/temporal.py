"""The temporal API: 10,000 instances of one attribute, and a store with ten million of them (clauses 5.7.3, 5.7.4)."""

import asyncio
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import isclose
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from bench.asking import Answer, Asker, Measurement, Question, WrongAnswer
from bench.history import EACH, LEVEL, LONG_TYPE, TYPES, Gauge, Loaded, Town, load
from bench.processes import Place, running_broker, store_place
from bench.report import STORES, Report, Section
from bench.stage import scratch
from broker.app import make_store
from broker.settings import parse_store

SENT_AT_ONCE: Final = 1000
"""Instances in one request while a history is written through the API."""
UPDATED: Final = 1000
"""Entities that are updated at a time, and how often they are, to see how fast history is recorded."""
ROUNDS: Final = 20
LEAST: Final = 1_000_000
"""Fewer instances are no large store."""
DEFAULT_PAGE: Final = 1000


def main(
    store: Annotated[Literal["sqlite", "mongo"], typer.Option(help="Which store.")] = "sqlite",
    instances: Annotated[int, typer.Option(min=1000, help="Instances of the one attribute.")] = 10_000,
    large: Annotated[int, typer.Option(min=0, help="Instances in the store besides; 0 leaves that part out.")] = 10**7,
    load_seconds: Annotated[float, typer.Option(help="Time after which loading these ends.")] = 900.0,
    cache_gb: Annotated[float, typer.Option(help="Size of MongoDB's cache.")] = 1.0,
    folder: Annotated[
        Path | None, typer.Option(help="Where the store's files go; they are removed at the end.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--json", help="Where to write the figures as JSON.")] = None,
) -> None:
    """The temporal API's speed and scale."""
    if 0 < large < LEAST:
        raise typer.BadParameter(f"0, or at least {LEAST:,}", param_hint="--large")
    with scratch(folder) as files:
        sections = measure(store, files, instances=instances, large=large, load_seconds=load_seconds, cache_gb=cache_gb)
    Report("Temporal API", sections).tell(output)


def measure(
    kind: str,
    files: Path,
    *,
    instances: int = 10_000,
    large: int = 0,
    load_seconds: float = 900.0,
    cache_gb: float = 1.0,
    repeats: int = 20,
) -> list[Section]:
    """Everything about one evolution, and about many where `large` are loaded."""
    report = Section(f"Temporal API, {STORES[kind]}")
    taken: list[Measurement] = []
    with store_place(kind, files, cache_gb) as place:
        loaded = None
        if large:
            loaded = asyncio.run(_load(place, large, load_seconds))
            report.facts["loaded"] = _loading(loaded, place)
            print(f"loaded: {report.facts['loaded']}", file=sys.stderr)
        gauge = Gauge("one", "SnowGauge", instances, 60, 7)

        def take(measure_: Callable[[], Measurement]) -> None:
            try:
                measured = measure_()
            except WrongAnswer as error:
                report.wrong.append(str(error))
                print(f"WRONG: {error}", file=sys.stderr)
            else:
                taken.append(measured)
                report.rows.append(measured.row("temporal", kind, loaded.entries if loaded else instances))
                print(f"{kind}, {measured.operation}: {len(measured.walls)} answers", file=sys.stderr)

        with running_broker(place.store, "--temporal-page-size", str(instances)) as broker:
            asker = Asker(broker, place.server)
            _write(asker, gauge, report)
            _record(asker, report)
            for question in (*about_one(gauge), *(about_many(loaded.town) if loaded else ())):
                take(partial(asker.ask, replace(question, repeats=min(question.repeats, repeats))))
            if loaded:
                take(partial(_modify, asker, loaded.town.long))
            asker.close()
        with running_broker(place.store) as broker:
            asker = Asker(broker, place.server)
            take(lambda: _walk(asker, gauge))
            if loaded:
                take(lambda: _walk(asker, loaded.town.long))
                take(partial(_delete, asker, loaded.town.long))
            asker.close()
        report.facts["most memory of the broker"] = f"{max((each.peak for each in taken), default=0)} MiB"
        report.facts["on disk"] = f"{place.size():,} MiB"
    return [report]


async def _load(place: Place, total: int, seconds: float) -> Loaded:
    store = make_store(parse_store(place.store))
    await store.open()
    try:
        return await load(store, total, seconds)
    finally:
        await store.close()


def _loading(loaded: Loaded, place: Place) -> str:
    town = loaded.town
    return (
        f"{loaded.entries:,} instances ({town.long.count:,} of one attribute of one entity, {EACH:,} of each of"
        f" {(loaded.entries - town.long.count) // EACH:,} others) through the store's interface in {loaded.seconds:.0f} s,"
        f" {loaded.entries / loaded.seconds:,.0f} a second; {place.size():,} MiB on disk"
    )


def _write(asker: Asker, gauge: Gauge, report: Section) -> None:
    """The one evolution, through the API (5.6.11, 5.6.12)."""
    start, cpu = time.perf_counter(), asker.broker.meter.cpu()
    for first in range(0, gauge.count, SENT_AT_ONCE):
        level = gauge.instances(first, min(first + SENT_AT_ONCE, gauge.count))
        if first:
            asker.expect(204, "POST", f"/temporal/entities/{gauge.id}/attrs", {LEVEL: level})
        else:
            asker.expect(201, "POST", "/temporal/entities", {"id": gauge.id, "type": gauge.type, LEVEL: level})
    seconds, cpu = time.perf_counter() - start, asker.broker.meter.cpu() - cpu
    report.facts["written by a client"] = (
        f"{gauge.count:,} instances in requests of {SENT_AT_ONCE:,}: {gauge.count / seconds:,.0f} a second,"
        f" broker CPU {1e6 * cpu / gauge.count:.0f} us each"
    )


def _record(asker: Asker, report: Section) -> None:
    """Entities that change, until all of it is in the history."""
    total = UPDATED * ROUNDS
    meter = asker.broker.meter
    start, cpu = time.perf_counter(), meter.cpu()
    for round_ in range(ROUNDS):
        entities = [
            {"id": f"urn:ngsi-ld:Updated:{each:04}", "type": "Updated", LEVEL: {"type": "Property", "value": round_}}
            for each in range(UPDATED)
        ]
        asker.expect(204 if round_ else 201, "POST", "/entityOperations/upsert", entities)
    acknowledged = time.perf_counter() - start
    # A temporal request waits until everything is recorded that was acknowledged before it.
    path = f"/temporal/entities/urn:ngsi-ld:Updated:{UPDATED - 1:04}?options=temporalValues"
    values = asker.expect(200, "GET", path).json()[LEVEL]["values"]
    recorded, cpu = time.perf_counter() - start, meter.cpu() - cpu
    if len(values) != ROUNDS:
        raise WrongAnswer(f"{len(values)} of {ROUNDS} updates are in the history")
    report.facts["recorded"] = (
        f"{total:,} updates of {UPDATED:,} entities in requests of {UPDATED:,}: {total / acknowledged:,.0f} a second"
        f" acknowledged, {total / recorded:,.0f} a second in the history as well, broker CPU {1e6 * cpu / total:.0f} us"
        " each for both"
    )


# --- checks


def _instances(first: Gauge, start: int, end: int) -> Callable[[Answer], None]:
    """The normalized instances of one gauge, from one place to before another, in either order."""

    def check(answer: Answer) -> None:
        found = answer.json()[LEVEL]
        found = found if isinstance(found, list) else [found]
        _same(sorted(each["observedAt"] for each in found), [first.moment(place) for place in range(start, end)])
        _same(sum(each["value"] for each in found), sum(first.value(place) for place in range(start, end)))

    return check


def _values(gauge: Gauge, start: int, end: int) -> Callable[[Answer], None]:
    """The same, simplified (4.5.9)."""

    def check(answer: Answer) -> None:
        found = sorted(answer.json()[LEVEL]["values"], key=lambda pair: str(pair[1]))
        _same([pair[1] for pair in found], [gauge.moment(place) for place in range(start, end)])
        _same(sum(pair[0] for pair in found), sum(gauge.value(place) for place in range(start, end)))

    return check


def _aggregated(gauge: Gauge, start: int, end: int, periods: int) -> Callable[[Answer], None]:
    """Aggregated values (4.5.19) with totalCount and sum among them."""

    def check(answer: Answer) -> None:
        found = answer.json()[LEVEL]
        _same(len(found["totalCount"]), periods)
        _same(sum(each[0] for each in found["totalCount"]), end - start)
        _same(sum(each[0] for each in found["sum"]), sum(gauge.value(place) for place in range(start, end)))

    return check


def _entities(count: int, instances: int, total: int | None = None) -> Callable[[Answer], None]:
    """So many entities with so many instances together."""

    def check(answer: Answer) -> None:
        found = answer.json()
        _same(len(found), count)
        levels = [entity[LEVEL] for entity in found]
        _same(sum(len(each) if isinstance(each, list) else len(each["values"]) for each in levels), instances)
        if total is not None:
            _same(answer.headers.get("ngsild-results-count"), str(total))

    return check


def _same(found: Any, expected: Any) -> None:
    alike = isclose(found, expected, rel_tol=1e-9) if isinstance(expected, float) else found == expected
    if not alike:
        raise WrongAnswer(f"{str(found)[:200]} is not {str(expected)[:200]}")


# --- questions


def about_one(gauge: Gauge) -> Iterator[Question]:
    """Retrieval (5.7.3) of one evolution whose instances all fit into one answer."""
    path, count = f"/temporal/entities/{gauge.id}", gauge.count
    middle = f"timeAt={gauge.moment(count // 2)}"
    everything = f"{path}?timerel=after&timeAt={gauge.moment(0)}"
    hours = -(-count * gauge.step // 3600)
    days = -(-count * gauge.step // 86_400)
    some, all_ = "totalCount,sum,avg,max", "totalCount,distinctCount,sum,avg,max,min,stddev,sumsq"
    yield Question("one: whole", path, _instances(gauge, 0, count))
    yield Question("one: whole, sysAttrs", f"{path}?options=sysAttrs", _instances(gauge, 0, count))
    yield Question("one: after its start", everything, _instances(gauge, 0, count))
    yield Question("one: before its middle", f"{path}?timerel=before&{middle}", _instances(gauge, 0, count // 2))
    yield Question(
        "one: between, its second half",
        f"{path}?timerel=between&{middle}&endTimeAt={gauge.moment(count)}",
        _instances(gauge, count // 2, count),
    )
    yield Question("one: temporalValues", f"{path}?format=temporalValues", _values(gauge, 0, count))
    yield Question(
        "one: by modifiedAt, sysAttrs",
        f"{path}?timerel=after&timeAt=2020-01-01T00:00:00Z&timeproperty=modifiedAt&options=sysAttrs",
        _instances(gauge, 0, count),
    )
    yield Question("one: lastN=10", f"{path}?lastN=10", _instances(gauge, count - 10, count))
    yield Question(f"one: lastN={count}", f"{path}?lastN={count}", _instances(gauge, 0, count))
    for name, methods, duration, periods in (
        ("4 methods, whole range", some, "", 1),
        ("4 methods, PT1H", some, "&aggrPeriodDuration=PT1H", hours),
        ("8 methods, P1D", all_, "&aggrPeriodDuration=P1D", days),
        ("8 methods, PT1M", all_, "&aggrPeriodDuration=PT1M", count),
    ):
        yield Question(
            f"one: aggregated, {name}",
            f"{path}?format=aggregatedValues&aggrMethods={methods}{duration}",
            _aggregated(gauge, 0, count, periods),
        )


def about_many(town: Town) -> Iterator[Question]:
    """Retrieval out of an evolution of a million instances, and queries (5.7.4) over thousands of evolutions."""
    long = town.long
    path, middle = f"/temporal/entities/{long.id}", long.count // 2

    def between(start: int, end: int, gauge: Gauge = long) -> str:
        return f"timerel=between&timeAt={gauge.moment(start)}&endTimeAt={gauge.moment(end)}"

    window, in_window = f"{path}?{between(middle, middle + 1000)}", (long, middle, middle + 1000)
    yield Question("long: 1,000 from the middle", window, _instances(*in_window))
    yield Question("long: the same, temporalValues", f"{window}&format=temporalValues", _values(*in_window))
    yield Question(
        "long: the same, by modifiedAt", f"{window}&timeproperty=modifiedAt", _instances(*in_window), repeats=5
    )
    yield Question("long: lastN=100", f"{path}?lastN=100", _instances(long, long.count - 100, long.count))
    yield Question("long: whole, its first page", path, _partial, 206, 10)
    for count, duration, step, repeats in ((LEAST // 10, "PT1H", 3600, 5), (long.count, "P1D", 86_400, 2)):
        yield Question(
            f"long: {count:,} aggregated, 4 methods, {duration}",
            f"{path}?{between(0, count)}&format=aggregatedValues&aggrMethods=totalCount,sum,avg,max"
            f"&aggrPeriodDuration={duration}",
            _aggregated(long, 0, count, -(-count * long.step // step)),
            repeats=repeats,
        )
    yield Question(
        f"long: {long.count:,} aggregated, distinctCount, P1D",
        f"{path}?timerel=after&timeAt={long.moment(0)}&format=aggregatedValues&aggrMethods=totalCount,sum,distinctCount&aggrPeriodDuration=P1D",
        _aggregated(long, 0, long.count, -(-long.count * long.step // 86_400)),
        repeats=2,
    )
    gauge = town.gauge(0)
    of_type = f"/temporal/entities?type={TYPES[0]}&"
    same_type = range(0, town.many, len(TYPES))
    most = min(1000, len(same_type))
    yield Question("many: 20 entities, 10 minutes", of_type + between(0, 10, gauge), _entities(20, 200))
    yield Question(
        f"many: {most:,} entities, 5 minutes, temporalValues",
        f"{of_type}{between(500, 505, gauge)}&limit=1000&format=temporalValues",
        _entities(most, 5 * most),
        repeats=5,
    )
    yield Question(
        f"many: {most:,} entities, lastN=1",
        f"{of_type}timerel=after&timeAt={gauge.moment(0)}&limit=1000&lastN=1",
        _entities(most, most),
        repeats=5,
    )
    whole = f"{of_type}timerel=after&timeAt={gauge.moment(0)}"
    yield Question("many: 20 entities, whole, first page", whole, _some_entities, 206, 10)
    high = [number for number in same_type if any(town.gauge(number).value(place) >= 99 for place in range(10))]
    yield Question(
        "many: q over all, 10 minutes, 20 entities",
        f"{of_type}{between(0, 10, gauge)}&q={LEVEL}>=99",
        _entities(20, 200),
        repeats=10,
    )
    yield Question(
        f"many: q over all {len(same_type):,}, counted",
        f"{of_type}{between(0, 10, gauge)}&q={LEVEL}>=99&count=true",
        _entities(20, 200, total=len(high)),
        repeats=2,
    )
    yield Question(
        "many: 100 entities aggregated, 4 methods, PT1H",
        f"{of_type}{between(0, EACH, gauge)}&limit=100&format=aggregatedValues"
        "&aggrMethods=totalCount,sum,avg,max&aggrPeriodDuration=PT1H",
        _all_counted(100 * EACH),
        repeats=5,
    )
    hour = f"/temporal/entities?type={LONG_TYPE}&{between(0, 360)}"
    yield Question("many: the one of its type, 1 hour", hour, _entities(1, 360))


def _partial(answer: Answer) -> None:
    _same(len(answer.json()[LEVEL]) > 0 and "content-range" in answer.headers, True)


def _some_entities(answer: Answer) -> None:
    _same(len(answer.json()), 20)
    _same("content-range" in answer.headers, True)


def _all_counted(count: int) -> Callable[[Answer], None]:
    def check(answer: Answer) -> None:
        _same(sum(each[0] for entity in answer.json() for each in entity[LEVEL]["totalCount"]), count)

    return check


def _modify(asker: Asker, long: Gauge) -> Measurement:
    """5.6.14 Modify Attribute Instance, in an evolution with a million of them."""

    def answers() -> Iterator[Answer]:
        for place in range(1, long.count, long.count // 5):
            path = f"/temporal/entities/{long.id}/attrs/{LEVEL}/{long.instance_id(place)}"
            (instance,) = long.instances(place, place + 1)
            yield asker.expect(204, "PATCH", path, {LEVEL: [instance]})

    return asker.measure("long: one instance modified", answers(), lambda answer: None)


def _delete(asker: Asker, long: Gauge) -> Measurement:
    """5.6.16 Delete Temporal Evolution of an Entity, the one with a million instances."""
    path = f"/temporal/entities/{long.id}"
    measured = asker.measure(
        "long: deleted", (asker.expect(204, "DELETE", each) for each in (path,)), lambda answer: None
    )
    asker.expect(404, "GET", path)
    return measured


def _walk(asker: Asker, gauge: Gauge) -> Measurement:
    """All pages of one evolution with the default size (6.3.10): each goes on from the last instant of the one before.

    However many they are, the broker's memory has to stay what it is.
    """
    seen = 0
    last = ""

    def look(answer: Answer) -> None:
        nonlocal seen, last
        moments = [each["observedAt"] for each in answer.json()[LEVEL]]
        seen += len([moment for moment in moments if moment > last])
        last = max(last, *moments)

    def pages() -> Iterator[Answer]:
        path = start = f"/temporal/entities/{gauge.id}"
        while True:
            answer = asker.request("GET", path)
            if answer.status not in (200, 206):
                raise WrongAnswer(f"GET {path}: {answer.status} {answer.body[:200]!r}")
            look(answer)
            yield replace(answer, body=b"")
            if answer.status == 200:
                return
            match = re.fullmatch(r"DateTime .*-(\d{4}-\d\d-\d\dT[^-]*Z)/\*", answer.headers["content-range"])
            if match is None:
                raise WrongAnswer(f"Content-Range: {answer.headers['content-range']}")
            path = f"{start}?timerel=after&timeAt={match[1]}"

    name = f"{gauge.name}: all {gauge.count:,} instances in pages of {DEFAULT_PAGE:,}, each"
    measured = asker.measure(name, pages(), lambda _: None)
    _same(seen, gauge.count)
    return measured
