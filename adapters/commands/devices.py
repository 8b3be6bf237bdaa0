"""The commands `tsunagu adapters commands list`, `show`, `approve` and `reject`: what became of commands to devices."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.commands.running import DEFAULT, FileOption, Json, failed, feeds_of, with_journal

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from sqlite3 import Connection

    from adapters.actuation import record
    from adapters.feeds import Feeds
    from adapters.journal import Journal

commands = typer.Typer(no_args_is_help=True, help="Commands to devices: what became of them; approve critical ones.")

_Command = Annotated[str, typer.Argument(metavar="ID", help="Id of the command, as `list` shows it.")]
_Token = Annotated[
    str, typer.Option("--token", envvar="TSUNAGU_COMMAND_TOKEN", help="Your token; best in the environment.")
]


@commands.command(name="list")
def list_commands(
    file: FileOption = DEFAULT,
    as_json: Json = False,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that have no end yet.")] = False,
    most: Annotated[int, typer.Option("--most", min=1, help="How many.")] = 50,
) -> None:
    """List the last commands, refused ones among them, newest first."""
    from adapters.actuation import record
    from adapters.actuation.reception import entry_document

    def work(_: "Feeds", journal: "Journal") -> "Awaitable[list[record.Entry]]":
        return journal.perform(lambda connection: record.last(_with_commands(connection), most, only_open=only_open))

    found = [entry_document(entry) for entry in with_journal(file, work)]
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
def show_command(command: _Command, file: FileOption = DEFAULT) -> None:
    """Show all that is on record of a command, as JSON."""
    from adapters.actuation import record
    from adapters.actuation.reception import trail_document

    def work(_: "Feeds", journal: "Journal") -> "Awaitable[list[record.Event]]":
        return journal.perform(lambda connection: record.trail(_with_commands(connection), command))

    found = with_journal(file, work)
    if not found:
        raise failed(f"there is no command {command}", 1)
    typer.echo(json.dumps(trail_document(found), ensure_ascii=False, indent=2))


@commands.command()
def approve(command: _Command, token: _Token, file: FileOption = DEFAULT) -> None:
    """Approve a critical command that somebody else has asked for."""
    _decide(file, command, token, "approve")


@commands.command()
def reject(command: _Command, token: _Token, file: FileOption = DEFAULT) -> None:
    """Reject a critical command that somebody else has asked for."""
    _decide(file, command, token, "reject")


def _with_commands(connection: "Connection") -> "Connection":
    """A journal that may be older than the table [commands]."""
    from adapters.actuation.schema import SCHEMA

    connection.executescript(SCHEMA)
    return connection


def _decide(file: Path, command: str, token: str, verdict: str) -> None:
    """Ask the runner, which decides: an approval is a request like any other."""
    from urllib.error import HTTPError, URLError
    from urllib.parse import quote
    from urllib.request import Request, urlopen

    policy = feeds_of(file).commands
    if policy is None:
        raise failed("there is no table [commands]", 2)
    settings = policy.settings
    url = settings.url.rstrip("/") or f"http://{settings.host}:{settings.port}"
    address = f"{url}/commands/{quote(command, safe='')}/{verdict}"
    request = Request(address, method="POST", headers={"Authorization": f"Bearer {token}"})
    try:
        with urlopen(request, timeout=30) as response:
            found = json.load(response)
    except HTTPError as error:
        raise failed(f"{error.code}: {_detail(error.read())}", 1) from None
    except (URLError, OSError, ValueError) as error:
        raise failed(f"{url} does not answer: {error}", 1) from None
    typer.echo(f"{found['command']} of {found['entity']}: {found['state']}")


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
