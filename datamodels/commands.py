"""The commands `tsunagu models list`, `show`, `context`, `docs` and `validate`.

What a command needs is imported when it runs, so that the command line answers at once.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from datamodels.bundle import BundleCheck
    from datamodels.representations import Representation

app = typer.Typer(
    help="The shared vocabulary: its models, @contexts and code lists, and whether entities fit them.",
    no_args_is_help=True,
    add_completion=False,
)

_Bundle = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A folder of Smart Data Models, SUBJECT/TYPE/schema.json, to use first."),
]
_Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for scripts.")]


def _fail(message: str, code: int) -> typer.Exit:
    typer.echo(f"tsunagu: {message}", err=True)
    return typer.Exit(code)


def _loaded(bundle: Path | None) -> "dict[str, BundleCheck]":
    from datamodels.bundle import load_bundle
    from datamodels.errors import InvalidBundle

    try:
        return {} if bundle is None else load_bundle(bundle)
    except InvalidBundle as error:
        raise _fail(f"--bundle: {error}", 2) from None


@app.command(name="list")
def list_(bundle: _Bundle = None, as_json: _Json = False) -> None:
    """List all types, with their IRIs and where they come from."""
    from datamodels.model import models

    rows = [
        {"type": m.type, "iri": m.iri, "source": "tsunagu", "version": m.version, "title": dict(m.title)}
        for m in models().values()
    ]
    rows += [
        {"type": check.name, "iri": iri, "source": check.subject, "version": "", "title": {}}
        for iri, check in _loaded(bundle).items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table("type", "source", "", Column("IRI", overflow="fold"), box=None)
    for row in rows:
        title: Any = row["title"]
        table.add_row(str(row["type"]), str(row["source"]), title.get("ja", ""), str(row["iri"]))
    Console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="TYPE", help="A type's name.")],
    lang: Annotated[str, typer.Option(metavar="LANGUAGE", help="ja or en.")] = "ja",
    as_schema: Annotated[bool, typer.Option("--schema", help="Its JSON Schema instead.")] = False,
    bundle: _Bundle = None,
) -> None:
    """Show a type: its attributes, columns and an example, or its JSON Schema."""
    from datamodels.documentation import model_page
    from datamodels.errors import InvalidModel
    from datamodels.files import schema
    from datamodels.model import model_of

    theirs = {check.name: check for check in _loaded(bundle).values()}
    if name in theirs:
        typer.echo(json.dumps(theirs[name].schema, ensure_ascii=False, indent=2))
        return
    try:
        model = model_of(name)
    except InvalidModel as error:
        raise _fail(str(error), 2) from None
    if as_schema:
        typer.echo(json.dumps(dict(schema(name)), ensure_ascii=False, indent=2))
    else:
        typer.echo(model_page(model, _language(lang)), nl=False)


@app.command()
def context(
    version: Annotated[int | None, typer.Option(metavar="NUMBER", help="This version instead of the newest.")] = None,
) -> None:
    """Print the JSON-LD @context of all models."""
    from datamodels.files import CONTEXT_VERSION, context_text

    chosen = CONTEXT_VERSION if version is None else version
    if not 1 <= chosen <= CONTEXT_VERSION:
        raise _fail(f"--version: there are the versions 1 to {CONTEXT_VERSION}", 2)
    typer.echo(context_text(chosen), nl=False)


@app.command()
def docs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the pages.")],
    lang: Annotated[str | None, typer.Option(metavar="LANGUAGE", help="ja or en; both without it.")] = None,
) -> None:
    """Write the documentation pages of all types and code lists."""
    from datamodels.documentation import documentation

    chosen = None if lang is None else _language(lang)
    pages = {name: text for name, text in documentation().items() if chosen in (None, name.partition("/")[0])}
    try:
        for name, text in pages.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, "utf-8")
    except OSError as error:
        raise _fail(f"{folder}: {error.strerror or error}", 1) from None
    typer.echo(f"{len(pages)} pages in {folder}")


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="JSON, or JSON Lines (.jsonl).")],
    representation: Annotated[
        str | None, typer.Option(metavar="NAME", help="normalized, concise or keyValues; else what each looks like.")
    ] = None,
    entity_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Hold all of them against this type.")
    ] = None,
    bundle: _Bundle = None,
    as_json: _Json = False,
) -> None:
    """Say of each entity whether it fits its model. Exit code 1 if one does not, or a file cannot be read."""
    from datamodels.bundle import as_checks
    from datamodels.validating import validate_file
    from datamodels.validation import Checks

    if representation not in (None, "normalized", "concise", "keyValues"):
        raise _fail(f"--representation: {representation!r} is not normalized, concise or keyValues", 2)
    form: Representation | None = representation  # type: ignore[assignment] # checked above
    checks = Checks(as_checks(_loaded(bundle)), bundle_first=True)
    if entity_type is not None and checks.find(entity_type) is None:
        raise _fail(f"--type: there is no model {entity_type}; `tsunagu models list` has them", 2)
    counts = {"valid": 0, "invalid": 0, "without a model": 0}
    answer = []
    for path in files:
        try:
            for verdict in validate_file(path, checks, representation=form, entity_type=entity_type):
                kind = "invalid" if not verdict.ok else "valid" if verdict.models else "without a model"
                counts[kind] += 1
                if as_json:
                    answer.append({"file": str(path), **verdict.as_json()})
                    continue
                for text in (*map(str, verdict.violations), *(f"(note) {note}" for note in verdict.notes)):
                    typer.echo(f"{path}: {verdict.place}: {verdict.id or 'no id'}: {text}")
        except OSError as error:
            raise _fail(f"{path}: {error.strerror or error}", 1) from None
    if as_json:
        typer.echo(json.dumps({"counts": counts, "entities": answer}, ensure_ascii=False, indent=2))
    else:
        typer.echo(", ".join(f"{count} {kind}" for kind, count in counts.items()), file=sys.stderr)
    raise typer.Exit(1 if counts["invalid"] else 0)


def _language(text: str) -> Literal["ja", "en"]:
    if text == "ja":
        return "ja"
    if text == "en":
        return "en"
    raise _fail(f"--lang: {text!r} is not ja or en", 2)
