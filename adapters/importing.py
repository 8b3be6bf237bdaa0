"""Import files into a broker: what `tsunagu import` runs.

For each file: read its bytes, choose the profile, decode, compare with what the broker has, send what differs. A file
that cannot be read is reported and does not keep the others from being imported.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal
from uuid import uuid4

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from adapters.applying import Applied, apply, batches, parts_of
from adapters.decoding import decode, key_in
from adapters.errors import AdapterError, UnreadableFile
from adapters.ngsild_client import NgsiLdClient
from adapters.profile import Profile
from adapters.report import FileReport, ImportReport
from adapters.skeleton import skeleton
from adapters.table import MOST_BYTES, read_table
from adapters.transforms.codes import local_government_code
from adapters.transforms.reading import Unreadable

DEFAULT_BROKER: Final = "http://localhost:1026"


@dataclass(frozen=True, slots=True)
class Step:
    """Where an import is: the file, what is being done to it, and how many of its entities are dealt with."""

    path: str
    stage: Literal["reading", "sending", "done"]
    done: int = 0
    total: int = 0


OnProgress = Callable[[Step], None]


async def import_files(
    paths: Sequence[str | Path],
    broker_url: str = DEFAULT_BROKER,
    *,
    tenant: str | None = None,
    dry_run: bool = False,
    municipality: str | None = None,
    profile: Profile | None = None,
    on_progress: OnProgress = lambda step: None,
) -> ImportReport:
    """Import table files into the broker, or with `dry_run` only say what would be sent, without any broker.

    `municipality` is the code of the municipality whose files these are, for files that do not say; `profile` is one of
    one's own, in place of those that fit the files' headers. An unreadable file is an `error` in the report. Raises
    BrokerUnreachable and BrokerRefused, and AdapterError where `municipality` is no code.
    """
    code = None if municipality is None else _code(municipality)
    report = ImportReport(broker_url, dry_run, _now())
    async with _client(broker_url, tenant, dry_run) as client:
        for path in paths:
            report.files.append(await _import_file(Path(path), client, code, profile, on_progress))
    report.finished_at = _now()
    return report


def skeleton_of(path: str | Path) -> str:
    """A profile for a file, to be filled in. Raises UnreadableFile."""
    return skeleton(read_table(_bytes_of(Path(path))), f"{key_in(Path(path).name) or 'own_list'}/own")


@contextmanager
def progress_bar(console: Console) -> Iterator[OnProgress]:
    """A progress bar as the `on_progress` of an import; it disappears at the end. The console is best one on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def show(step: Step) -> None:
            if step.path not in tasks:
                tasks[step.path] = progress.add_task(Path(step.path).name, total=None)
            if step.stage != "reading":
                progress.update(tasks[step.path], completed=step.done, total=step.total)

        yield show


async def _import_file(
    path: Path,
    client: NgsiLdClient | None,
    municipality: str | None,
    profile: Profile | None,
    on_progress: OnProgress,
) -> FileReport:
    report = FileReport(str(path))
    on_progress(Step(report.path, "reading"))
    try:
        data = await asyncio.to_thread(_bytes_of, path)
        report.size, report.sha256 = len(data), hashlib.sha256(data).hexdigest()
        report.decoded = await asyncio.to_thread(decode, data, profile, municipality=municipality, file_name=path.name)
    except AdapterError as error:
        report.error = str(error)
        return report
    entities = report.decoded.entities

    if client is not None:
        parts = await asyncio.to_thread(parts_of, entities, report.decoded.profile.owned())
        todo = await asyncio.to_thread(batches, parts, in_turn=False)

        async def sent(done: int, sofar: Applied) -> None:
            on_progress(Step(report.path, "sending", todo[done - 1].end if done else 0, len(entities)))

        report.outcome = await apply(client, todo, str(uuid4()), 0, Applied(), sent)
    on_progress(Step(report.path, "done", len(entities), len(entities)))
    return report


@asynccontextmanager
async def _client(broker_url: str, tenant: str | None, dry_run: bool) -> AsyncIterator[NgsiLdClient | None]:
    if dry_run:
        yield None
        return
    async with NgsiLdClient(broker_url, tenant=tenant) as client:
        yield client


def _bytes_of(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            size = path.stat().st_size
            raise UnreadableFile(
                f"The file has {size:,} bytes; more than {MOST_BYTES:,} are not read: give it in parts."
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableFile("There is no such file.") from None
    except IsADirectoryError:
        raise UnreadableFile("It is a directory; name the files in it.") from None
    except OSError as error:
        raise UnreadableFile(f"The file cannot be read: {error.strerror}.") from error


def _code(municipality: str) -> str:
    try:
        code: str = local_government_code(municipality).value
    except Unreadable as fault:
        raise AdapterError(f"{municipality!r} is no municipality code: {fault.reason}.") from None
    return code


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
