"""The pytest plugin of the suite: its options, its fixtures, the choice of clauses, and what a failure prints."""

import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

import hypothesis
import pytest
from hypothesis import HealthCheck

from conformance.broker_client import BrokerClient
from conformance.clauses import MARK, references, within
from conformance.ledger.coverage import unknown_references
from conformance.ledger.rows import the_ledger
from conformance.mqtt import MqttListener
from conformance.reports import Outcome, Report
from conformance.samples import Unique
from conformance.servers import DocumentServer, Receiver

_EXCHANGES_SHOWN: Final = 4
_outcomes: Final[pytest.StashKey[list[Outcome]]] = pytest.StashKey()
_traces: Final = pytest.StashKey[BrokerClient]()
_started: Final = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that `tsunagu conformance run` passes on."""
    group = parser.getgroup("conformance")
    group.addoption("--broker-url", help="the broker under test")
    group.addoption("--only-clause", action="append", default=[], help="run the tests of this clause and its parts")
    group.addoption("--without-clause", action="append", default=[], help="leave out the tests of this clause")
    group.addoption("--callback-host", default="127.0.0.1", help="the address of this machine, as the broker sees it")
    group.addoption("--mqtt", default=None, help="an MQTT broker that both sides reach, mqtt://host:port")
    group.addoption("--sequences", type=int, default=100, help="random sequences of each model-based test")
    group.addoption("--same-sequences", action="store_true", help="the same random sequences in each run")
    group.addoption("--json-report", type=Path, default=None)
    group.addoption("--html-report", type=Path, default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Markers, and one profile of hypothesis for all: a black box has no deadline."""
    config.addinivalue_line("markers", f"{MARK}(number, *requirements): the clause that a test asserts")
    config.stash[_outcomes] = []
    hypothesis.settings.register_profile(
        "conformance",
        deadline=None,
        max_examples=config.getoption("--sequences"),
        derandomize=config.getoption("--same-sequences"),
        suppress_health_check=list(HealthCheck),
        database=None,
        print_blob=True,
    )
    hypothesis.settings.load_profile("conformance")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every test names a clause that the ledger knows; those that were not asked for are left out."""
    nameless = [item.nodeid for item in items if not references(item)]
    if nameless:
        raise pytest.UsageError(f"no clause is named by {', '.join(nameless[:5])}")
    ledger = the_ledger()
    for item in items:
        if unknown := unknown_references(ledger, references(item)):
            raise pytest.UsageError(f"{item.nodeid}: the ledger has no {', '.join(map(str, unknown))}")
    only, without = config.getoption("--only-clause"), config.getoption("--without-clause")

    def wanted(item: pytest.Item) -> bool:
        numbers = {each.clause for each in references(item)}
        chosen = not only or any(within(number, whole) for number in numbers for whole in only)
        return chosen and not any(within(number, whole) for number in numbers for whole in without)

    left_out = [item for item in items if not wanted(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if wanted(item)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure says what the clause demands, in the ledger's words, and what was said last."""
    report = yield
    named = references(item)
    ledger = the_ledger()
    said = [
        f"{each}: {ledger[each.clause].requirements[each.requirement].says}"
        if each.requirement
        else f"{each}: {ledger[each.clause].title}"
        for each in named
    ]
    if report.failed:
        report.sections.append(("What the standard demands, in our words", "\n".join(said)))
        client = item.stash.get(_traces, None)
        if client is not None:
            last = client.traces.exchanges[-_EXCHANGES_SHOWN:]
            shown = "\n\n".join(f"{answer.request}\n\n{answer}" for answer in last)
            report.sections.append((f"The last {len(last)} exchanges", shown))
    if report.when == "call" or (report.when == "setup" and not report.passed):
        message = "" if report.longrepr is None else str(report.longrepr)
        if isinstance(report.longrepr, tuple):
            message = report.longrepr[2]
        item.config.stash[_outcomes].append(
            Outcome(
                item.nodeid, [str(each) for each in named], said, report.outcome, round(report.duration, 3), message
            )
        )
    return report


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember when it began."""
    session.config.stash[_started] = time.time()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the reports that were asked for."""
    config = session.config
    if config.getoption("collectonly"):
        return
    outcomes = config.stash[_outcomes]
    report = Report(config.getoption("--broker-url") or "", config.stash[_started], outcomes)
    if (path := config.getoption("--json-report")) is not None:
        report.write_json(path)
    if (path := config.getoption("--html-report")) is not None:
        report.write_html(path, the_ledger())


# --- what a test may ask for


@pytest.fixture(scope="session")
def _broker_url(request: pytest.FixtureRequest) -> str:
    url = request.config.getoption("--broker-url")
    if url is None:
        raise pytest.UsageError("--broker-url says which broker is to be tested")
    return str(url)


@pytest.fixture(scope="session")
def _connection(_broker_url: str) -> Iterator[BrokerClient]:
    client = BrokerClient(_broker_url)
    yield client
    client.close()


@pytest.fixture
def broker(_connection: BrokerClient, request: pytest.FixtureRequest) -> Iterator[BrokerClient]:
    """The broker under test. What the test creates through it is deleted afterwards."""
    _connection.traces.exchanges.clear()
    _connection.traces.created.clear()
    request.node.stash[_traces] = _connection
    yield _connection
    _connection.clean_up()


@pytest.fixture
def unique() -> Unique:
    """Names that nobody else has."""
    return Unique()


@pytest.fixture(scope="session")
def callback_host(request: pytest.FixtureRequest) -> str:
    """The address at which the broker reaches this machine."""
    return str(request.config.getoption("--callback-host"))


@pytest.fixture
def receiver(callback_host: str) -> Iterator[Receiver]:
    """A receiver of notifications."""
    server = Receiver(callback_host)
    yield server
    server.close()


@pytest.fixture
def new_receiver(callback_host: str) -> Iterator[Callable[[], Receiver]]:
    """Makes more receivers."""
    made: list[Receiver] = []

    def make() -> Receiver:
        made.append(Receiver(callback_host))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture(scope="session")
def documents(callback_host: str) -> Iterator[DocumentServer]:
    """A server of @contexts that the broker can fetch."""
    server = DocumentServer(callback_host)
    yield server
    server.close()


@pytest.fixture
def mqtt(request: pytest.FixtureRequest) -> Iterator[MqttListener]:
    """A listener on a topic of the test's own; without --mqtt the test is skipped, since clause 7 is optional."""
    address = request.config.getoption("--mqtt")
    if address is None:
        pytest.skip("no MQTT broker was named (--mqtt mqtt://host:port)")
    with MqttListener(str(address)) as listener:
        yield listener
