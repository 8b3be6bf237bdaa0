"""The commands `tsunagu adapters quarantine list`, `show`, `edit`, `replay` and `drop`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.commands.running import DEFAULT, FileOption, Json, failed, with_journal

if TYPE_CHECKING:
    from adapters.feeds import Feeds
    from adapters.journal import Journal

quarantine = typer.Typer(
    no_args_is_help=True, help="Records that were not loaded: see them, mend them, try them again."
)

_Number = Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the record, as `list` shows it.")]
_Numbers = Annotated[list[int], typer.Argument(metavar="NUMBER...", help="Numbers of records, as `list` shows them.")]


@quarantine.command(name="list")
def list_held(
    feed: Annotated[str | None, typer.Option(metavar="NAME", help="Of this feed only.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that were replayed or dropped, too.")] = False,
    file: FileOption = DEFAULT,
    as_json: Json = False,
) -> None:
    """List the records that were not loaded."""
    from adapters.quarantine import OPEN, held

    found = with_journal(file, lambda _, journal: held(journal, feed, status=None if everything else OPEN))
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
def show(number: _Number, file: FileOption = DEFAULT) -> None:
    """Show one record: why it was not loaded, as it was published, and as it was mended; as JSON."""
    from adapters.quarantine import held_record

    found = with_journal(file, lambda _, journal: held_record(journal, number))
    typer.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=2))


@quarantine.command()
def edit(
    number: _Number,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a member.")] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take the whole record from this JSON file.", dir_okay=False)
    ] = None,
    file: FileOption = DEFAULT,
) -> None:
    """Mend a record: with --set, from a file, or else in $EDITOR. `replay` then tries it."""
    from adapters.quarantine import held_record, mend

    found = with_journal(file, lambda _, journal: held_record(journal, number))
    mended: dict[str, Any] = dict(found.record if found.mended is None else found.mended)
    if record is not None:
        mended = _object(record.read_text("utf-8"), str(record))
    elif not set_:
        mended = _object(_edited(json.dumps(mended, ensure_ascii=False, indent=2)), "the record")
    for each in set_ or ():
        name, equals, value = each.partition("=")
        if not equals:
            raise failed(f"--set {each!r}: is not NAME=VALUE", 2)
        mended[name] = value
    with_journal(file, lambda _, journal: mend(journal, number, mended))
    typer.echo(f"Record {number} is mended; `tsunagu adapters quarantine replay {number}` tries it.")


@quarantine.command()
def replay(numbers: _Numbers, file: FileOption = DEFAULT) -> None:
    """Try records again, as mended or else as published. The runner takes them up; a record that fails again is listed again."""
    from adapters.quarantine import held_record
    from adapters.quarantine import replay as try_again

    async def work(feeds: "Feeds", journal: "Journal") -> None:
        for number in numbers:
            found = await held_record(journal, number)
            await try_again(journal, feeds.named(found.feed).adapter, number)

    with_journal(file, work)
    typer.echo(f"{len(numbers)} records wait for the runner: at once if one is at work, else when it starts.")


@quarantine.command()
def drop(numbers: _Numbers, file: FileOption = DEFAULT) -> None:
    """Give records up: they are no longer listed, and not again when the same ones come."""
    from adapters.quarantine import drop as give_up

    with_journal(file, lambda _, journal: give_up(journal, numbers))
    typer.echo(f"{len(numbers)} records dropped.")


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
            raise failed(f"the editor {editor!r} fails ({error}); use --set or --record", 1) from None
        return file.read_text("utf-8")


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise failed(f"{where} is not JSON: {error}", 2) from None
    if not isinstance(found, dict):
        raise failed(f"{where} is no JSON object", 2)
    return found
