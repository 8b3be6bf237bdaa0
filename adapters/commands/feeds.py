"""The commands `tsunagu adapters run`, `check`, `list`, `decode`, `input` and `status`."""

import json
import sys
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.commands.running import DEFAULT, FileArgument, FileOption, Json, failed, feeds_of, with_journal

if TYPE_CHECKING:
    from adapters.feeds import Feeds
    from adapters.journal import Journal
    from adapters.runner import Runner
    from adapters.status import CommandStatus, FeedStatus

app = typer.Typer(
    no_args_is_help=True, help="Run adapters, and see how they do: files, polls, pushes, MQTT -> entities."
)


@app.command()
def run(
    file: FileArgument = DEFAULT,
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

    feeds = feeds_of(file)
    levels = logging.getLevelNamesMapping()
    if log_level.upper() not in levels:
        raise failed(f"--log-level: {log_level!r} is not debug, info, warning or error", 2)
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
        raise failed(str(error), 1) from None


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
def check(file: FileArgument = DEFAULT) -> None:
    """Read a file of feeds and say what is wrong with it. Exit code 2 if something is."""
    feeds = feeds_of(file)
    names = ", ".join(feed.name for feed in feeds.feeds)
    typer.echo(f"{file}: {len(feeds.feeds)} feeds{f': {names}' if names else ''}.")
    if feeds.commands is not None:
        devices = sum(len(fleet.targets) for fleet in feeds.fleets)
        permissions = len(feeds.commands.permissions)
        typer.echo(
            f"  commands: {permissions} permissions, {len(feeds.commands.rules)} rules, {devices} LoRaWAN devices."
        )


@app.command(name="list")
def list_(as_json: Json = False) -> None:
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
        raise failed(str(error), 1) from None
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
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the input.")], file: FileOption = DEFAULT
) -> None:
    """Write the bytes of an input as they came: those of a live source make a good sample for a test."""
    from adapters.quarantine import original

    found = with_journal(file, lambda _, journal: original(journal, number))
    sys.stdout.buffer.write(found.data)


@app.command()
def status(file: FileArgument = DEFAULT, as_json: Json = False) -> None:
    """Show how the feeds are doing: last look, last run, what waits, what is in the quarantine."""
    from adapters.status import as_text, command_status
    from adapters.status import status as status_of_feeds

    async def work(feeds: "Feeds", journal: "Journal") -> "tuple[list[FeedStatus], CommandStatus | None]":
        return await status_of_feeds(feeds, journal), await command_status(feeds, journal)

    found, commands = with_journal(file, work)
    if as_json:
        typer.echo(as_text(found, commands))
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
    if commands is not None:
        typer.echo(
            f"commands: {commands.open} without an end yet, {commands.untold} steps that the broker is to be told"
        )
        if commands.refused:
            typer.echo(f"  the broker refuses to be told of {commands.refused} entities:")
        for refusal in commands.refusals:
            typer.echo(
                f"    {refusal.entity_id} since {refusal.since}, {refusal.attempts} attempts, again at {refusal.again_at}:"
                f" {refusal.reason}"
            )


def _toml(given: str, texts: set[str]) -> str:
    """NAME=VALUE as a line of TOML; the values of `texts` need no quotes."""
    name, _, value = given.partition("=")
    return f"{name} = {json.dumps(value, ensure_ascii=False) if name in texts else value}"
