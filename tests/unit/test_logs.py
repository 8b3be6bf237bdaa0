"""The log: one line an event, no forged lines, nothing that holds up the event loop."""

import io
import json
import logging
import time
from collections.abc import Callable, Iterator

import pytest

from broker.logs import RequestLog, start_logging


@pytest.fixture
def log() -> Iterator[Callable[..., list[str]]]:
    """Start logging, call a function, and give the lines that were written."""

    def lines(act: Callable[[], None], log_format: str = "text", level: str = "info") -> list[str]:
        stream = io.StringIO()
        stop = start_logging(log_format, level, stream)
        act()
        stop()
        return stream.getvalue().splitlines()

    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    yield lines
    assert logging.getLogger().handlers == handlers
    assert logging.getLogger().level == level


def test_json_lines_have_time_level_logger_event_and_the_callers_fields(log: Callable[..., list[str]]) -> None:
    def act() -> None:
        logging.getLogger("broker.delivery").warning(
            "endpoint cools down", extra={"host": "city.example", "seconds": 4}
        )

    (line,) = log(act, "json")
    event = json.loads(line)
    assert event.pop("time").endswith("Z")
    assert event == {
        "level": "warning",
        "logger": "broker.delivery",
        "event": "endpoint cools down",
        "host": "city.example",
        "seconds": 4,
    }


def test_text_lines_name_the_room_and_quote_values_with_spaces(log: Callable[..., list[str]]) -> None:
    def act() -> None:
        logging.getLogger("broker.delivery").error("failed", extra={"host": "a b", "status": 503, "empty": ""})

    (line,) = log(act)
    assert line.partition(" ")[2] == 'error   delivery: failed host="a b" status=503 empty=""'


def test_a_clients_text_cannot_forge_a_line_or_drive_the_terminal(log: Callable[..., list[str]]) -> None:
    evil = "x\n2026-01-01T00:00:00Z info all: is well\r\x1b[2J\u2028\u202e"

    def act() -> None:
        logging.getLogger("broker.http").warning("refused %s", evil, extra={"target": evil})

    for log_format in ("text", "json"):
        (line,) = log(act, log_format)
        assert "\x1b" not in line
    assert log(act)[0].count("\\u000a2026") == 2


def test_japanese_stays_readable(log: Callable[..., list[str]]) -> None:
    def act() -> None:
        logging.getLogger("adapters").info("読み込みました", extra={"file": "避難所　一覧.csv"})

    assert "読み込みました file=避難所　一覧.csv" in log(act)[0]
    assert json.loads(log(act, "json")[0])["file"] == "避難所　一覧.csv"


def test_an_exception_is_one_json_member_and_marked_lines_of_text(log: Callable[..., list[str]]) -> None:
    def act() -> None:
        try:
            raise ValueError("first\nsecond")
        except ValueError:
            logging.getLogger("broker.app").exception("cannot start")

    (line,) = log(act, "json")
    assert json.loads(line)["exception"].endswith("ValueError: first\nsecond")
    first, *rest = log(act)
    assert first.endswith("error   app: cannot start")
    assert all(part.startswith("    | ") for part in rest)
    assert rest[-1] == "    | second"


def test_debug_lines_only_at_level_debug(log: Callable[..., list[str]]) -> None:
    def act() -> None:
        logging.getLogger("broker.store").debug("planned")

    assert log(act) == []
    assert len(log(act, level="debug")) == 1


class _Blocked(io.StringIO):
    def write(self, text: str) -> int:
        time.sleep(0.2)
        return super().write(text)


def test_a_slow_output_holds_nobody_up_and_losses_are_reported() -> None:
    stream = _Blocked()
    stop = start_logging("text", "info", stream, length=3)
    start = time.perf_counter()
    for number in range(200):
        logging.getLogger("broker.http").info("event", extra={"number": number})
    assert time.perf_counter() - start < 0.15
    time.sleep(0.5)
    logging.getLogger("broker.http").info("the last event")
    stop()
    assert "logs: log lines were lost lines=" in stream.getvalue()
    assert "the last event" in stream.getvalue()


def test_only_failed_and_slow_requests_are_logged_and_at_debug_every_one(log: Callable[..., list[str]]) -> None:
    def act() -> None:
        requests = RequestLog(slow_seconds=0.5)
        requests.record("GET", "/ngsi-ld/v1/entities?type=A", 200, 0.004, "query_entities")
        requests.record("GET", "/ngsi-ld/v1/entities?type=B", 404, 0.004, "query_entities")
        requests.record("GET", "/ngsi-ld/v1/entities?type=C", 200, 0.7, "query_entities")
        requests.record("GET", "/ngsi-ld/v1/entities?type=D", 500, 0.004, "query_entities")

    events = [json.loads(line) for line in log(act, "json")]
    assert [(event["level"], event["event"], event["status"]) for event in events] == [
        ("warning", "slow request", 200),
        ("error", "request failed", 500),
    ]
    assert events[0]["target"] == "/ngsi-ld/v1/entities?type=C"
    assert len(log(act, level="debug")) == 4


@pytest.mark.parametrize(("log_format", "said"), [("text", " [2] info    app: ready"), ("json", '"worker": 2')])
def test_where_several_workers_write_to_one_output_each_line_says_which(log_format: str, said: str) -> None:
    stream = io.StringIO()
    stop = start_logging(log_format, "info", stream, worker=2)
    logging.getLogger("broker.app").info("ready")
    stop()
    assert said in stream.getvalue()
