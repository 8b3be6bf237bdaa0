"""The broker's log: one line an event, readable or JSON, written by a thread of its own.

Rooms log with the standard library, `logging.getLogger(__name__).warning("endpoint cools down", extra={"host": host})`:
the message is constant text that can be searched for, what varies goes into `extra` and becomes fields of the line.
A slow or blocked output never holds up the event loop: lines wait in a bounded queue, and those that do not fit are
counted and reported. What a client sent cannot forge a line: line breaks and control characters are escaped.
"""

import contextlib
import json
import logging
import queue
import re
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from typing import Any, Final, TextIO

QUEUE_LENGTH: Final = 10_000
"""Lines that may wait to be written."""

STOP_SECONDS: Final = 2.0
"""How long the end of the process waits for an output that does not take its lines."""

_UNSAFE: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]")
_OWN_MEMBERS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in _OWN_MEMBERS}


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _trace(record: logging.LogRecord) -> str:
    return "".join(traceback.format_exception(*record.exc_info)).rstrip() if record.exc_info else ""


def _one_line(text: str) -> str:
    """Text whose line breaks, terminal escapes and changes of writing direction are visible instead of effective."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class JsonFormatter(logging.Formatter):
    """An event as one JSON object: time, level, logger, event, the caller's fields, exception where there is one.

    Where several workers write to one output, `worker` says which of them speaks.
    """

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._worker = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        } | self._worker
        line |= {name: value for name, value in fields_of(record).items() if name not in line}
        if trace := _trace(record):
            line["exception"] = trace
        return _one_line(json.dumps(line, ensure_ascii=False, default=str))


class TextFormatter(logging.Formatter):
    """An event for a human: time, level, event, name=value pairs; a traceback follows, each of its lines marked.

    Where several workers write to one output, `[2]` says which of them speaks.
    """

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._worker = "" if worker is None else f" [{worker}]"

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback's."""
        pairs = "".join(f" {name}={_pair_value(value)}" for name, value in fields_of(record).items())
        room = record.name.removeprefix("broker.")
        line = f"{_moment(record)}{self._worker} {record.levelname.lower():<7} {room}: {_one_line(record.getMessage())}{pairs}"
        if trace := _trace(record):
            line += "".join(f"\n    | {_one_line(part)}" for part in trace.splitlines())
        return line


def _pair_value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = _one_line(str(value))
    return json.dumps(text, ensure_ascii=False) if " " in text or "=" in text or not text else text


FORMATTERS: Final[dict[str, Callable[[int | None], logging.Formatter]]] = {"text": TextFormatter, "json": JsonFormatter}


class _BoundedQueueHandler(QueueHandler):
    """Hands records to the writing thread as they are; counts those for which there is no room."""

    def __init__(self, waiting: "queue.Queue[logging.LogRecord | None]") -> None:
        super().__init__(waiting)
        self.lost = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        record.msg, record.args = record.getMessage(), None
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            if self.lost:
                report = logging.makeLogRecord(
                    {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": "log lines were lost"}
                )
                report.lines = self.lost
                self.queue.put_nowait(report)
                self.lost = 0
            self.queue.put_nowait(record)
        except queue.Full:
            self.lost += 1


def start_logging(
    log_format: str = "text",
    level: str = "info",
    stream: TextIO | None = None,
    length: int = QUEUE_LENGTH,
    worker: int | None = None,
) -> Callable[[], None]:
    """Send all log lines of the process to `stream` (standard error); returns what ends it and writes what still waits.

    `log_format` is text or json; `level` is the least level that is written: debug, info, warning or error. `worker` is the
    number of this process where several write to one output.
    """
    waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(length)
    output = logging.StreamHandler(stream or sys.stderr)
    output.setFormatter(FORMATTERS[log_format](worker))
    writer = threading.Thread(target=_write, args=(waiting, output), name="log", daemon=True)
    root = logging.getLogger()
    before = list(root.handlers), root.level
    root.handlers = [_BoundedQueueHandler(waiting)]
    root.setLevel(level.upper())
    for chatty in ("asyncio", "aiohttp", "pymongo"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    writer.start()

    def stop() -> None:
        root.handlers = before[0]
        root.setLevel(before[1])
        with contextlib.suppress(queue.Full):  # an output that is blocked must not keep the process from ending
            waiting.put(None, timeout=STOP_SECONDS)
        writer.join(STOP_SECONDS)

    return stop


def _write(waiting: "queue.Queue[logging.LogRecord | None]", output: logging.Handler) -> None:
    while (record := waiting.get()) is not None:
        output.handle(record)


class RequestLog:
    """Which answered requests become a line: server errors, slow ones, and at level debug every one.

    A broker answers ten thousand requests a second and a line each would cost as much as the answer, so this costs a
    comparison for the others; the metrics count them all.
    """

    def __init__(self, slow_seconds: float) -> None:
        self._slow_seconds = slow_seconds
        self._logger = logging.getLogger("broker.http")
        self._every = self._logger.isEnabledFor(logging.DEBUG)

    def record(self, method: str, target: str, status: int, seconds: float, operation: str) -> None:
        """Log one answered request where it deserves it. `target` is the path with its parameters."""
        if status < 500 and seconds < self._slow_seconds and not self._every:
            return
        level, event = logging.DEBUG, "request"
        if status >= 500:
            # 500 is the broker's own fault; the others say that something it depends on failed.
            level, event = logging.ERROR if status == 500 else logging.WARNING, "request failed"
        elif seconds >= self._slow_seconds:
            level, event = logging.WARNING, "slow request"
        fields = {
            "operation": operation,
            "method": method,
            "target": target,
            "status": status,
            "seconds": round(seconds, 6),
        }
        self._logger.log(level, event, extra=fields)
