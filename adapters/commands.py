"""The commands `tsunagu adapters run`, `check`, `list`, `decode`, `input`, `status`, `quarantine` and `commands`.

What one needs is imported when it runs. Exit codes: 0 done, 1 failed, 2 wrong usage or a file of feeds that is at fault.
"""

import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

if TYPE_CHECKING:
    from sqlite3 import Connection

    from adapters.feeds import Feeds
    from adapters.journal import Journal
    from adapters.runner import Runner

app = typer.Typer(
    no_args_is_help=True, help="Run adapters, and see how they do: files, polls, pushes, MQTT -> entities."
)
quarantine = typer.Typer(
    no_args_is_help=True, help="Records that were not loaded: see them, mend them, try them again."
)
app.add_typer(quarantine, name="quarantine")
commands = typer.Typer(no_args_is_help=True, help="Commands to devices: what became of them; approve critical ones.")
app.add_typer(commands, name="commands")

_File = Annotated[
    Path, typer.Argument(metavar="FILE", envvar="TSUNAGU_ADAPTERS", help="TOML file with the feeds; docs/adapters.md.")
]
_FileOption = Annotated[
    Path, typer.Option("--file", metavar="FILE", envvar="TSUNAGU_ADAPTERS", help="TOML file with the feeds.")
]
_Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for scripts.")]
_Number = Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the record, as `list` shows it.")]
_Numbers = Annotated[list[int], typer.Argument(metavar="NUMBER...", help="Numbers of records, as `list` shows them.")]
_Command = Annotated[str, typer.Argument(metavar="ID", help="Id of the command, as `list` shows it.")]
_Token = Annotated[
    str, typer.Option("--token", envvar="TSUNAGU_COMMAND_TOKEN", help="Your token; best in the environment.")
]
_DEFAULT: Final = Path("adapters.toml")
_SHOWN: Final = 100

T = TypeVar("T")


def _fail(message: str, code: int) -> typer.Exit:
    typer.echo(f"tsunagu: {message}", err=True)
    return typer.Exit(code)


def _feeds(path: Path) -> "Feeds":
    from adapters.errors import InvalidFeeds
    from adapters.feeds import read_feeds

    try:
        return read_feeds(path)
    except InvalidFeeds as error:
        raise _fail(str(error), 2) from None


def _with_journal(path: Path, work: "Callable[[Feeds, Journal], Awaitable[T]]") -> T:
    """Do something with the journal of a file of feeds."""
    import asyncio

    from adapters.errors import AdapterError
    from adapters.journal import Journal

    feeds = _feeds(path)

    async def opened() -> T:
        async with await Journal.open(feeds.state_folder) as journal:
            return await work(feeds, journal)

    try:
        return asyncio.run(opened())
    except AdapterError as error:
        raise _fail(str(error), 1) from None


@app.command()
def run(
    file: _File = _DEFAULT,
    log_level: Annotated[str, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the feeds of a file against its broker, until SIGTERM or Ctrl-C."""
    import asyncio
    import gc
    import logging
    import signal
    import time

    from adapters.errors import AdapterError
    from adapters.runner import serve_alone

    feeds = _feeds(file)
    levels = logging.getLevelNamesMapping()
    if log_level.upper() not in levels:
        raise _fail(f"--log-level: {log_level!r} is not debug, info, warning or error", 2)
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=levels[log_level.upper()], handlers=[handler])

    async def serve() -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)

        def on_ready(runner: "Runner") -> None:
            # What is there by now stays; decoders make many values and no cycles, so the collector may look less often.
            gc.collect()
            gc.freeze()
            gc.set_threshold(100_000, 50, 100)
            _greet(runner)

        await serve_alone(feeds, stopping, on_ready)

    try:
        asyncio.run(serve())
    except AdapterError as error:
        raise _fail(str(error), 1) from None


def _greet(runner: "Runner") -> None:
    typer.echo(
        f"Tsunagu runs {len(runner.feeds.feeds)} feeds into {runner.feeds.runner.broker}; state: {runner.journal.path}."
    )
    for feed in runner.feeds.feeds:
        typer.echo(f"  {feed.name}: {feed.adapter.name} from {type(feed.transport).__name__.lower()}")
    if runner.push_url:
        typer.echo(f"  pushes: POST {runner.push_url}/in/NAME")
    if runner.devices is not None:
        typer.echo(
            f"  devices: {runner.devices.south_url}/iot/d and /iot/json; provisioned at {runner.devices.north_url}/iot"
        )
    if runner.commands is not None:
        typer.echo(f"  commands: {runner.commands.url}")
    sys.stdout.flush()


@app.command()
def check(file: _File = _DEFAULT) -> None:
    """Read a file of feeds and say what is wrong with it. Exit code 2 if something is."""
    feeds = _feeds(file)
    names = ", ".join(feed.name for feed in feeds.feeds)
    typer.echo(f"{file}: {len(feeds.feeds)} feeds{f': {names}' if names else ''}.")
    if feeds.commands is not None:
        devices = sum(len(fleet.targets) for fleet in feeds.fleets)
        permissions = len(feeds.commands.permissions)
        typer.echo(
            f"  commands: {permissions} permissions, {len(feeds.commands.rules)} rules, {devices} LoRaWAN devices."
        )


@app.command(name="list")
def list_(as_json: _Json = False) -> None:
    """List the adapters that are installed, with their options."""
    from adapters.options import described
    from adapters.registry import installed

    found: list[dict[str, Any]] = [
        {
            "name": adapter.name,
            "about": adapter.about,
            "options": [
                {"name": name, "type": kind, "about": about, "required": default is MISSING}
                for name, kind, about, default in described(adapter.options)
            ],
        }
        for adapter in installed().values()
    ]
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for each in found:
        typer.echo(f"{each['name']}: {each['about']}")
        for one in each["options"]:
            must = ", must be given" if one["required"] else ""
            typer.echo(f"    {one['name']} ({one['type']}{must}): {one['about']}")


@app.command()
def decode(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="Name of an adapter, as `list` shows it.")],
    input_: Annotated[Path, typer.Argument(metavar="INPUT", help="A file with an input.", exists=True, dir_okay=False)],
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", metavar="NAME=VALUE", help="Option of the adapter; texts as they are, else as in TOML."
        ),
    ] = None,
) -> None:
    """Decode a file without any broker, and show what it holds, as JSON: entities, repairs, quarantine."""
    import tomllib

    from adapters.contract import Origin
    from adapters.door import now
    from adapters.errors import AdapterError
    from adapters.options import described, read_options
    from adapters.registry import adapter_named

    try:
        chosen = adapter_named(adapter)
        texts = {
            name for name, kind, _, _ in described(chosen.options) if kind == "a text" or kind.startswith("one of")
        }
        options = read_options(chosen.options, tomllib.loads("\n".join(_toml(each, texts) for each in option or ())))
        origin = Origin(input_.name, now(), str(input_), parameters={"name": input_.name})
        decoded = chosen.decode(input_.read_bytes(), origin, options, None)
    except (AdapterError, tomllib.TOMLDecodeError) as error:
        raise _fail(str(error), 1) from None
    answer = {
        "counts": {
            "records": decoded.records,
            "accepted": decoded.accepted,
            "repaired": decoded.repaired,
            "quarantined": decoded.quarantined,
            "entities": len(decoded.entities),
        },
        "notes": dict(decoded.notes),
        "channel": decoded.channel,
        "repairs": [each._asdict() for each in decoded.repairs],
        "quarantine": [{**each._asdict(), "record": dict(each.record)} for each in decoded.quarantine],
        "deleted": list(decoded.deleted),
        "entities": list(decoded.entities),
    }
    typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))


@app.command(name="input")
def input_of(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the input.")], file: _FileOption = _DEFAULT
) -> None:
    """Write the bytes of an input as they came: those of a live source make a good sample for a test."""
    from adapters.quarantine import original

    found = _with_journal(file, lambda _, journal: original(journal, number))
    sys.stdout.buffer.write(found.data)


@app.command()
def status(file: _File = _DEFAULT, as_json: _Json = False) -> None:
    """Show how the feeds are doing: last look, last run, what waits, what is in the quarantine."""
    from adapters.status import as_text
    from adapters.status import status as status_of_feeds

    found = _with_journal(file, status_of_feeds)
    if as_json:
        typer.echo(as_text(found))
        return
    for each in found:
        typer.echo(f"{each.feed} ({each.adapter} from {each.transport})")
        typer.echo(f"  looked at {each.checked_at or 'never'}{f': {each.trouble}' if each.trouble else ''}")
        typer.echo(f"  {each.waiting} inputs waiting, {each.quarantined} records in the quarantine")
        if each.run is not None:
            counts = " ".join(f"{name}={value}" for name, value in each.run["counts"].items() if value)
            typer.echo(f"  run {each.run['id']} {each.run['status']} since {each.run['started_at']}: {counts}")
            if each.run["message"]:
                typer.echo(f"    {each.run['message']}")


@quarantine.command(name="list")
def list_held(
    feed: Annotated[str | None, typer.Option(metavar="NAME", help="Of this feed only.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that were replayed or dropped, too.")] = False,
    file: _FileOption = _DEFAULT,
    as_json: _Json = False,
) -> None:
    """List the records that were not loaded."""
    from adapters.quarantine import OPEN, held

    found = _with_journal(file, lambda _, journal: held(journal, feed, status=None if everything else OPEN))
    if as_json:
        typer.echo(json.dumps([each.as_json() for each in found], ensure_ascii=False, indent=2))
        return
    for each in found:
        where = "".join(
            (
                f"record {each.row}",
                f" of {each.address}" if each.address else "",
                f", {each.column}" if each.column else "",
            )
        )
        mended = "" if each.mended is None else ", mended"
        state = "" if each.status == OPEN else f" [{each.status}]"
        typer.echo(f"{each.id}{state}  {each.feed}: {where} ({each.rule}{mended}): {each.reason}")
    if not found:
        typer.echo("Nothing is in the quarantine.")


@quarantine.command()
def show(number: _Number, file: _FileOption = _DEFAULT) -> None:
    """Show one record: why it was not loaded, as it was published, and as it was mended; as JSON."""
    from adapters.quarantine import held_record

    found = _with_journal(file, lambda _, journal: held_record(journal, number))
    typer.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=2))


@quarantine.command()
def edit(
    number: _Number,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a member.")] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take the whole record from this JSON file.", dir_okay=False)
    ] = None,
    file: _FileOption = _DEFAULT,
) -> None:
    """Mend a record: with --set, from a file, or else in $EDITOR. `replay` then tries it."""
    from adapters.quarantine import held_record, mend

    found = _with_journal(file, lambda _, journal: held_record(journal, number))
    mended: dict[str, Any] = dict(found.record if found.mended is None else found.mended)
    if record is not None:
        mended = _object(record.read_text("utf-8"), str(record))
    elif not set_:
        mended = _object(_edited(json.dumps(mended, ensure_ascii=False, indent=2)), "the record")
    for each in set_ or ():
        name, equals, value = each.partition("=")
        if not equals:
            raise _fail(f"--set {each!r}: is not NAME=VALUE", 2)
        mended[name] = value
    _with_journal(file, lambda _, journal: mend(journal, number, mended))
    typer.echo(f"Record {number} is mended; `tsunagu adapters quarantine replay {number}` tries it.")


@quarantine.command()
def replay(numbers: _Numbers, file: _FileOption = _DEFAULT) -> None:
    """Try records again, as mended or else as published. The runner takes them up; a record that fails again is listed again."""
    from adapters.quarantine import held_record
    from adapters.quarantine import replay as try_again

    async def work(feeds: "Feeds", journal: "Journal") -> None:
        for number in numbers:
            found = await held_record(journal, number)
            await try_again(journal, feeds.named(found.feed).adapter, number)

    _with_journal(file, work)
    typer.echo(f"{len(numbers)} records wait for the runner: at once if one is at work, else when it starts.")


@quarantine.command()
def drop(numbers: _Numbers, file: _FileOption = _DEFAULT) -> None:
    """Give records up: they are no longer listed, and not again when the same ones come."""
    from adapters.quarantine import drop as give_up

    _with_journal(file, lambda _, journal: give_up(journal, numbers))
    typer.echo(f"{len(numbers)} records dropped.")


def _toml(given: str, texts: set[str]) -> str:
    """NAME=VALUE as a line of TOML; the values of `texts` need no quotes."""
    name, _, value = given.partition("=")
    return f"{name} = {json.dumps(value, ensure_ascii=False) if name in texts else value}"


def _edited(text: str) -> str:
    """The text after the user has had it in an editor."""
    import os
    import shlex
    import subprocess
    import tempfile

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "record.json"
        file.write_text(text, "utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(file)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise _fail(f"the editor {editor!r} fails ({error}); use --set or --record", 1) from None
        return file.read_text("utf-8")


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _fail(f"{where} is not JSON: {error}", 2) from None
    if not isinstance(found, dict):
        raise _fail(f"{where} is no JSON object", 2)
    return found


@commands.command(name="list")
def list_commands(
    file: _FileOption = _DEFAULT,
    as_json: _Json = False,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that have no end yet.")] = False,
    most: Annotated[int, typer.Option("--most", min=1, help="How many.")] = 50,
) -> None:
    """List the last commands, refused ones among them, newest first."""
    from adapters.actuation import record
    from adapters.actuation.reception import entry_document

    def work(_: "Feeds", journal: "Journal") -> "Awaitable[list[record.Entry]]":
        return journal.perform(lambda connection: record.last(_with_commands(connection), most, only_open=only_open))

    found = [entry_document(entry) for entry in _with_journal(file, work)]
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for each in found:
        value = json.dumps(each["value"], ensure_ascii=False)
        typer.echo(
            f"{each['issuedAt']}  {each['status']:<9} {each['command']} {value} -> {each['entity']}"
            f"  by {each['principal']}  ({each['state']})  {each['id']}"
        )
    if not found:
        typer.echo("There are no commands.")


@commands.command(name="show")
def show_command(command: _Command, file: _FileOption = _DEFAULT) -> None:
    """Show all that is on record of a command, as JSON."""
    from adapters.actuation import record
    from adapters.actuation.reception import trail_document

    def work(_: "Feeds", journal: "Journal") -> "Awaitable[list[record.Event]]":
        return journal.perform(lambda connection: record.trail(_with_commands(connection), command))

    found = _with_journal(file, work)
    if not found:
        raise _fail(f"there is no command {command}", 1)
    typer.echo(json.dumps(trail_document(found), ensure_ascii=False, indent=2))


@commands.command()
def approve(command: _Command, token: _Token, file: _FileOption = _DEFAULT) -> None:
    """Approve a critical command that somebody else has asked for."""
    _decide(file, command, token, "approve")


@commands.command()
def reject(command: _Command, token: _Token, file: _FileOption = _DEFAULT) -> None:
    """Reject a critical command that somebody else has asked for."""
    _decide(file, command, token, "reject")


def _with_commands(connection: "Connection") -> "Connection":
    """A journal that may be older than the table [commands]."""
    from adapters.actuation.record import SCHEMA

    connection.executescript(SCHEMA)
    return connection


def _decide(file: Path, command: str, token: str, verdict: str) -> None:
    """Ask the runner, which decides: an approval is a request like any other."""
    from urllib.error import HTTPError, URLError
    from urllib.parse import quote
    from urllib.request import Request, urlopen

    policy = _feeds(file).commands
    if policy is None:
        raise _fail("there is no table [commands]", 2)
    settings = policy.settings
    url = settings.url.rstrip("/") or f"http://{settings.host}:{settings.port}"
    address = f"{url}/commands/{quote(command, safe='')}/{verdict}"
    request = Request(address, method="POST", headers={"Authorization": f"Bearer {token}"})
    try:
        with urlopen(request, timeout=30) as response:
            found = json.load(response)
    except HTTPError as error:
        raise _fail(f"{error.code}: {_detail(error.read())}", 1) from None
    except (URLError, OSError, ValueError) as error:
        raise _fail(f"{url} does not answer: {error}", 1) from None
    typer.echo(f"{found['command']} of {found['entity']}: {found['state']}")


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
