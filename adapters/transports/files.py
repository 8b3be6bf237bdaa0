"""Files: read when they appear or change, and once more only when their bytes are others.

The file system is looked at every few seconds, which works on every kind of it, network shares included. A file is read when it
has been left alone for a while, so that one which is being written is not read in halves; `.part`, `.tmp` and hidden files never.
"""

import asyncio
import logging
import os
import stat
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from adapters.door import Door, now
from adapters.feeds import Files
from adapters.journal import Intake

_LOG: Final = logging.getLogger(__name__)
_NOT_READY: Final = (".part", ".tmp", ".crdownload", "~")


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it lay there: path, time of its last change in nanoseconds, size."""

    path: str
    mtime_ns: int
    size: int

    @property
    def address(self) -> str:
        """The path as it goes on record: names that are no UTF-8 (of Shift_JIS, say) are no text that can be kept."""
        return os.fsencode(self.path).decode("utf-8", "backslashreplace")

    @property
    def mark(self) -> list[int]:
        """What is remembered of it."""
        return [self.mtime_ns, self.size]


async def watch(files: Files, door: Door) -> None:
    """Hand over the files, for ever."""
    while True:
        await look(files, door)
        await asyncio.sleep(files.every)


async def look(files: Files, door: Door) -> int:
    """Hand over what is new or has changed, oldest first; how many files that were."""
    marks = await door.marks()
    found = await asyncio.to_thread(present, files.path)
    trouble = "" if found or not _is_one_file(files.path) else f"{files.path} is not there"
    taken = 0
    for seen in found:
        known = marks.get(seen.address)
        if known is not None and known[:2] == seen.mark:
            continue
        if _age(seen) < files.settle:
            continue
        try:
            data = await asyncio.to_thread(_read, seen)
        except OSError as error:
            trouble = f"{seen.address} cannot be read: {error.strerror or error}"
            _LOG.warning("feed %s: %s", door.feed, trouble)
            continue
        if data is None:
            continue  # it has changed meanwhile: the next look takes it
        digest = sha256(data).hexdigest()
        mark = {seen.address: [*seen.mark, digest]}
        if known is not None and known[2] == digest:
            await door.set_marks(mark)
            continue
        await door.take([Intake(data, seen.address, now(), parameters={"name": Path(seen.address).name}, marks=mark)])
        taken += 1
    gone = marks.keys() - {seen.address for seen in found}
    if gone:
        await door.set_marks({}, gone)
    await door.checked(trouble)
    return taken


def present(pattern: str) -> list[Seen]:
    """The files that a path, a directory or a pattern means, by time of change and name."""
    path = Path(pattern)
    if path.is_dir():
        candidates = list(path.iterdir())
    elif _is_one_file(pattern):
        candidates = [path]
    else:
        anchor = Path(path.anchor or ".")
        candidates = list(anchor.glob(str(path.relative_to(anchor)) if path.anchor else pattern))
    found = []
    for each in candidates:
        if each.name.startswith(".") or each.name.endswith(_NOT_READY):
            continue
        try:
            status = each.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            found.append(Seen(str(each), status.st_mtime_ns, status.st_size))
    return sorted(found, key=lambda seen: (seen.mtime_ns, seen.path))


def _is_one_file(pattern: str) -> bool:
    return not any(mark in pattern for mark in "*?[") and not Path(pattern).is_dir()


def _age(seen: Seen) -> float:
    """Seconds since the file was changed; one with a time in the future is old enough."""
    age = time.time() - seen.mtime_ns / 1e9
    return age if age >= 0 else float("inf")


def _read(seen: Seen) -> bytes | None:
    """The file's bytes; None where it is no longer as it was seen."""
    data = Path(seen.path).read_bytes()
    status = Path(seen.path).stat()
    return data if (status.st_mtime_ns, status.st_size, len(data)) == (seen.mtime_ns, seen.size, seen.size) else None
