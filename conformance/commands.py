"""The commands `tsunagu conformance run` and `tsunagu conformance ledger`.

What a command needs is imported when it runs: pytest comes with the extra `conformance`, not with the broker.
"""

import importlib.util
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from conformance.ledger.coverage import RowCoverage, Totals

app = typer.Typer(
    help="Hold an NGSI-LD broker against the standard, clause by clause.", no_args_is_help=True, add_completion=False
)

_NEEDED = ("pytest", "hypothesis", "paho")
_Clauses = Annotated[
    list[str] | None,
    typer.Option("--clause", metavar="NUMBER", help="Only this clause and its parts; may be repeated."),
]


@app.callback()
def _conformance() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        typer.echo(f"tsunagu: {', '.join(missing)} missing: pip install 'tsunagu[conformance]'", err=True)
        raise typer.Exit(2)


@app.command()
def run(
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The broker to test, http://host:port. Without it, a Tsunagu of the run's own."
        ),
    ] = None,
    clause: _Clauses = None,
    without: Annotated[
        list[str] | None, typer.Option(metavar="NUMBER", help="Leave out this clause and its parts; may be repeated.")
    ] = None,
    report: Annotated[
        list[str] | None, typer.Option(metavar="KIND[:FILE]", help="json, html or junit; may be repeated.")
    ] = None,
    callback_host: Annotated[
        str, typer.Option(metavar="HOST", help="The address of this machine, as the broker sees it.")
    ] = "127.0.0.1",
    mqtt: Annotated[
        str | None, typer.Option(metavar="URI", help="An MQTT broker that both sides reach, for clause 7.")
    ] = None,
    store: Annotated[
        str, typer.Option(metavar="STORE", help="The store of a Tsunagu of the run's own.")
    ] = "sqlite::memory:",
    sequences: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, help="Random sequences of each model-based test.")
    ] = 100,
    same_sequences: Annotated[
        bool,
        typer.Option(
            "--same-sequences", help="The same random sequences in each run, so that a failure means a change."
        ),
    ] = False,
    only: Annotated[
        str | None, typer.Option("-k", metavar="EXPRESSION", help="Only tests whose names match, as with pytest.")
    ] = None,
) -> None:
    """Run the suite. Exit code 0 if all tests passed, 1 if one failed, 2 for wrong usage."""
    from conformance.own_broker import NotStarted, running_broker, running_mosquitto
    from conformance.running import Plan, run_suite

    reports = [_report(each) for each in report or []]
    with ExitStack() as stack:
        try:
            if url is None:
                url = stack.enter_context(running_broker(store))
                mqtt = stack.enter_context(running_mosquitto()) if mqtt is None else mqtt
        except NotStarted as error:
            typer.echo(f"tsunagu: {error}", err=True)
            raise typer.Exit(1) from None
        options = [] if only is None else ["-k", only]
        plan = Plan(url, clause or (), without or (), callback_host, mqtt, sequences, same_sequences, reports, options)
        code = run_suite(plan)
    raise typer.Exit(code if code in (0, 1) else 2)


@app.command()
def ledger(
    clause: _Clauses = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, for scripts.")] = False,
    unasserted: Annotated[bool, typer.Option("--unasserted", help="Only what no test asserts.")] = False,
) -> None:
    """Print what the standard requires, where it is implemented, and which tests assert it."""
    from conformance.clauses import within
    from conformance.ledger.coverage import cover, totals
    from conformance.ledger.rows import LedgerError, the_ledger
    from conformance.running import collected

    try:
        covered = cover(the_ledger(), collected())
    except (LedgerError, RuntimeError) as error:
        typer.echo(f"tsunagu: {error}", err=True)
        raise typer.Exit(1) from None
    shown = [each for each in covered if not clause or any(within(each.row.clause, whole) for whole in clause)]
    sums = totals(shown)
    if unasserted:
        shown = [each for each in shown if each.unasserted or each.unread]
    if as_json:
        typer.echo(json.dumps([_row_as_json(each) for each in shown], ensure_ascii=False, indent=2))
    else:
        _print_ledger(shown, sums)


def _report(text: str) -> tuple[str, Path]:
    kind, _, name = text.partition(":")
    endings = {"json": "json", "html": "html", "junit": "xml"}
    if kind not in endings:
        typer.echo(f"tsunagu: --report: {kind!r} is not one of {', '.join(endings)}", err=True)
        raise typer.Exit(2)
    return kind, Path(name or f"conformance.{endings[kind]}")


def _row_as_json(covered: "RowCoverage") -> dict[str, Any]:
    row = covered.row
    return {
        "clause": row.clause,
        "title": row.title,
        "kind": row.kind,
        "shalls": row.shalls,
        "where": list(row.where),
        "tests": list(covered.all_tests),
        "requirements": [
            {
                "number": each.number,
                "says": each.says,
                "scope": each.scope,
                "shalls": each.shalls,
                **({"why": each.why} if each.why else {}),
                "tests": list(covered.tests.get(each.number, ())),
            }
            for each in row.requirements.values()
        ],
    }


def _print_ledger(shown: "list[RowCoverage]", sums: "Totals") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Clause", "Title", "Kind", "Where", "Tests", "Not asserted"):
        table.add_column(title, justify="right" if title == "Tests" else "left", overflow="fold")
    for each in shown:
        open_points = "\n".join(f"({point.number}) {point.says}" for point in each.unasserted)
        table.add_row(
            each.row.clause,
            Text(each.row.title),
            each.row.kind,
            Text("\n".join(each.row.where)),
            str(len(each.all_tests)),
            Text(open_points or (f"{each.row.shalls} shall, not read yet" if each.unread else "")),
        )
    console = Console()
    console.print(table)
    console.print(
        f"\n{sums.asserted} of {sums.assertable} shall of a single broker are asserted "
        f"({sums.unasserted_share:.1%} are not); {sums.distributed} are about several brokers, {sums.internal} cannot be seen "
        f"from outside; {len(sums.unimplemented)} normative clauses name no implementation."
    )
