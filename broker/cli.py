"""The command line: `tsunagu serve`, `import`, `adapters`, `models`, `doctor` and `conformance`.

What a command needs is imported when the command runs, so that `--version`, `--help` and shell completion answer at
once.
Exit codes: 0 done, 1 failed, 2 wrong usage or settings.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.commands import app as adapters
from broker import __version__
from broker.settings import ABOUT, Settings, SettingsError, StoreAddress, load_settings
from conformance.commands import app as conformance
from datamodels.commands import app as models_app

if TYPE_CHECKING:
    from broker.store.protocol import Finding, Store
    from broker.workers.slot import Slot

app = typer.Typer(
    name="tsunagu",
    help="An open city operating system: an NGSI-LD context broker and its adapters.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(conformance, name="conformance")
app.add_typer(adapters, name="adapters")
app.add_typer(models_app, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tsunagu {__version__}")
        raise typer.Exit


@app.callback()
def _tsunagu(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """An open city operating system: an NGSI-LD context broker and its adapters."""


def _option(name: str, metavar: str) -> Any:
    about = ABOUT[name]
    return typer.Option("--" + name.replace("_", "-"), metavar=metavar, help=f"{about[0].upper()}{about[1:]}.")


_Config = Annotated[
    str | None, typer.Option(metavar="FILE", help="TOML file with settings; else TSUNAGU_CONFIG, else ./tsunagu.toml.")
]
_Host = Annotated[str | None, _option("host", "ADDRESS")]
_Port = Annotated[str | None, _option("port", "NUMBER")]
_Workers = Annotated[str | None, _option("workers", "NUMBER")]
_Store = Annotated[str | None, _option("store", "STORE")]
_Egress = Annotated[str | None, _option("egress", "POLICY")]
_Tls = Annotated[str | None, _option("tls", "HOSTS")]
_Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for scripts.")]


def _fail(message: str, code: int) -> typer.Exit:
    typer.echo(f"tsunagu: {message}", err=True)
    return typer.Exit(code)


def _settings(config: str | None, **options: str | None) -> Settings:
    try:
        return load_settings(options, os.environ, Path.cwd(), config)
    except SettingsError as error:
        raise _fail(str(error), 2) from None


@app.command()
def serve(
    host: _Host = None,
    port: _Port = None,
    workers: _Workers = None,
    store: _Store = None,
    public_url: Annotated[str | None, _option("public_url", "URL")] = None,
    alias: Annotated[str | None, _option("alias", "NAME")] = None,
    default_page_size: Annotated[str | None, _option("default_page_size", "NUMBER")] = None,
    max_page_size: Annotated[str | None, _option("max_page_size", "NUMBER")] = None,
    temporal_page_size: Annotated[str | None, _option("temporal_page_size", "NUMBER")] = None,
    snapshot_lifetime: Annotated[str | None, _option("snapshot_lifetime", "SECONDS")] = None,
    max_snapshot_lifetime: Annotated[str | None, _option("max_snapshot_lifetime", "SECONDS")] = None,
    max_snapshots: Annotated[str | None, _option("max_snapshots", "NUMBER")] = None,
    max_streams: Annotated[str | None, _option("max_streams", "NUMBER")] = None,
    max_tenant_streams: Annotated[str | None, _option("max_tenant_streams", "NUMBER")] = None,
    stream_origins: Annotated[str | None, _option("stream_origins", "ORIGINS")] = None,
    max_body_bytes: Annotated[str | None, _option("max_body_bytes", "BYTES")] = None,
    max_requests_in_flight: Annotated[str | None, _option("max_requests_in_flight", "NUMBER")] = None,
    max_bytes_in_flight: Annotated[str | None, _option("max_bytes_in_flight", "BYTES")] = None,
    max_waiting_writes: Annotated[str | None, _option("max_waiting_writes", "NUMBER")] = None,
    value_indexes: Annotated[str | None, _option("value_indexes", "NUMBER")] = None,
    memory_limit: Annotated[str | None, _option("memory_limit", "BYTES")] = None,
    egress: _Egress = None,
    tls: _Tls = None,
    validation: Annotated[str | None, _option("validation", "RULES")] = None,
    models: Annotated[str | None, _option("models", "DIR")] = None,
    log_format: Annotated[str | None, _option("log_format", "FORMAT")] = None,
    log_level: Annotated[str | None, _option("log_level", "LEVEL")] = None,
    slow_request: Annotated[str | None, _option("slow_request", "SECONDS")] = None,
    adapters: Annotated[str | None, _option("adapters", "FILE")] = None,
    config: _Config = None,
    worker: Annotated[str | None, typer.Option(hidden=True, help="What the supervisor hands to a worker.")] = None,
) -> None:
    """Serve NGSI-LD until SIGTERM or Ctrl-C. Each option can also be set as TSUNAGU_NAME or in the TOML file.

    With several workers, SIGHUP is a rolling restart.
    """
    settings = _settings(
        config,
        host=host,
        port=port,
        workers=workers,
        store=store,
        public_url=public_url,
        alias=alias,
        default_page_size=default_page_size,
        max_page_size=max_page_size,
        temporal_page_size=temporal_page_size,
        snapshot_lifetime=snapshot_lifetime,
        max_snapshot_lifetime=max_snapshot_lifetime,
        max_snapshots=max_snapshots,
        max_streams=max_streams,
        max_tenant_streams=max_tenant_streams,
        stream_origins=stream_origins,
        max_body_bytes=max_body_bytes,
        max_requests_in_flight=max_requests_in_flight,
        max_bytes_in_flight=max_bytes_in_flight,
        max_waiting_writes=max_waiting_writes,
        value_indexes=value_indexes,
        memory_limit=memory_limit,
        egress=egress,
        tls=tls,
        validation=validation,
        models=models,
        log_format=log_format,
        log_level=log_level,
        slow_request=slow_request,
        adapters=adapters,
    )
    from adapters.errors import InvalidFeeds
    from adapters.feeds import read_feeds

    if settings.adapters:
        try:
            read_feeds(Path(settings.adapters))
        except InvalidFeeds as error:
            raise _fail(str(error), 2) from None
    if worker is None and settings.workers > 1:
        from broker.workers.supervisor import supervise

        # Each worker is this command again, however it was started.
        command = [sys.executable, *sys.orig_argv[1:]]
        raise typer.Exit(supervise(settings, command, on_ready=lambda url: _greet(url, settings)))
    from broker.app import run

    raise typer.Exit(run(settings, lambda url: _greet(url, settings), _slot(worker)))


def _slot(text: str | None) -> "Slot | None":
    if text is None:
        return None
    from broker.workers.slot import Slot

    try:
        return Slot.parse(text)
    except ValueError as error:
        raise _fail(f"--worker: {error}", 2) from None


def _greet(url: str, settings: Settings) -> None:
    entity = '{"id":"urn:ngsi-ld:Shelter:1","type":"Shelter","name":{"type":"Property","value":"中央公民館"}}'
    typer.echo(
        f"""Tsunagu {__version__} serves NGSI-LD on {url} and keeps its state in {settings.store_label}. Try:

  curl -i {url}/ngsi-ld/v1/entities -H 'Content-Type: application/json' -d '{entity}'
  curl -s '{url}/ngsi-ld/v1/entities?type=Shelter'
  curl -s {url}/health/ready
""",
    )
    sys.stdout.flush()


@app.command(name="import")
def import_(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="CSV, TSV or Excel files as a municipality publishes them.")
    ],
    broker: Annotated[
        str, typer.Option(metavar="URL", envvar="TSUNAGU_BROKER", help="NGSI-LD broker to import into.")
    ] = "http://localhost:1026",
    tenant: Annotated[
        str | None, typer.Option(metavar="NAME", envvar="TSUNAGU_TENANT", help="Tenant to import into.")
    ] = None,
    municipality: Annotated[
        str | None, typer.Option(metavar="CODE", help="Code of the municipality, for files that do not say it.")
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A profile of your own, as YAML, in place of those that fit.")
    ] = None,
    skeleton: Annotated[
        bool, typer.Option("--skeleton", help="Write a profile for the first file to fill in, and import nothing.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what would be sent.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the whole report there, as JSON.", dir_okay=False)
    ] = None,
    as_json: _Json = False,
) -> None:
    """Import files into a broker, and report each repair.

    Exit code 1 if a file could not be read or an entity was not taken. Rows in quarantine are reported, no failure.
    """
    if not broker.startswith(("http://", "https://")):
        raise _fail(f"--broker: {broker!r} is not an http:// or https:// URL", 2)
    import asyncio

    from rich.console import Console

    from adapters.errors import AdapterError
    from adapters.importing import import_files, progress_bar, skeleton_of
    from adapters.layouts import read_profile

    if skeleton:
        try:
            sys.stdout.write(skeleton_of(files[0]))
        except AdapterError as error:
            raise _fail(f"{files[0]}: {error}", 1) from None
        raise typer.Exit(0)
    screen = Console(stderr=True)
    shown = progress_bar(screen) if screen.is_terminal else nullcontext(lambda step: None)
    try:
        own = None if profile is None else read_profile(str(profile))
        with shown as on_progress:
            run = import_files(
                files,
                broker,
                tenant=tenant,
                dry_run=dry_run,
                municipality=municipality,
                profile=own,
                on_progress=on_progress,
            )
            result = asyncio.run(run)
    except AdapterError as error:
        raise _fail(str(error), 1) from None
    answer = json.dumps(result.as_json(), ensure_ascii=False, indent=2)
    if report is not None:
        try:
            report.write_text(answer + "\n", "utf-8")
        except OSError as error:
            raise _fail(f"--report {report}: {error.strerror or error}", 1) from None
    if as_json:
        typer.echo(answer)
    else:
        result.render(Console())
    raise typer.Exit(0 if result.ok else 1)


@app.command()
def export(
    dataset: Annotated[
        str,
        typer.Option(metavar="KEY", help="Dataset of the standard, such as evacuation_space, or a list of your own."),
    ],
    layout: Annotated[
        str, typer.Option(metavar="NAME", help="Layout: standard, recommended, or linkdata where there is one.")
    ] = "standard",
    municipality: Annotated[
        str | None, typer.Option(metavar="CODE", help="Only what this municipality publishes, by its six-digit code.")
    ] = None,
    broker: Annotated[
        str, typer.Option(metavar="URL", envvar="TSUNAGU_BROKER", help="NGSI-LD broker to export from.")
    ] = "http://localhost:1026",
    tenant: Annotated[
        str | None, typer.Option(metavar="NAME", envvar="TSUNAGU_TENANT", help="Tenant to export from.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there, not to the standard output.")
    ] = None,
) -> None:
    """Write the entities of a dataset as standard CSV: UTF-8 with byte order mark, the layout's columns in their order."""
    if not broker.startswith(("http://", "https://")):
        raise _fail(f"--broker: {broker!r} is not an http:// or https:// URL", 2)
    import asyncio

    from adapters.errors import AdapterError
    from adapters.exporting import export_dataset

    try:
        made = asyncio.run(export_dataset(broker, dataset, layout=layout, municipality=municipality, tenant=tenant))
        if output is None:
            sys.stdout.buffer.write(made.data)
        else:
            output.write_bytes(made.data)
    except (AdapterError, OSError) as error:
        raise _fail(str(error), 1) from None
    lost = "; ".join(f"{name} ({count})" for name, count in sorted(made.left_out.items()))
    typer.echo(f"{made.rows} rows" + (f"; the layout has no column for: {lost}" if lost else ""), err=True)


@app.command()
def doctor(
    host: _Host = None,
    port: _Port = None,
    store: _Store = None,
    egress: _Egress = None,
    tls: _Tls = None,
    config: _Config = None,
    as_json: _Json = False,
) -> None:
    """Look at everything a broker needs, and say how to mend what is wrong. Exit code 1 if something is."""
    settings = _settings(config, host=host, port=port, store=store, egress=egress, tls=tls)
    import asyncio

    from broker.doctor import examine

    findings = asyncio.run(examine(settings, _make_store))
    ok = all(finding.ok for finding in findings)
    if as_json:
        answer = {"ok": ok, "findings": [dataclasses.asdict(each) for each in findings]}
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        _show(findings)
    raise typer.Exit(0 if ok else 1)


def _make_store(address: StoreAddress) -> "Store":
    """Imported late: where a library is missing, the doctor must still be able to say so."""
    from broker.app import make_store

    return make_store(address)


def _show(findings: "Sequence[Finding]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for each in findings:
        mark = Text("ok", style="green") if each.ok else Text("BROKEN", style="bold red")
        table.add_row(mark, Text(each.subject), Text(each.message))
        if each.remedy:
            lead = "advice" if each.ok else "to mend it"
            table.add_row("", "", Text(f"{lead}: {each.remedy}", style="yellow"))
    Console(highlight=False).print(table)


def main() -> None:
    """The console's entry point."""
    app(prog_name="tsunagu")


if __name__ == "__main__":
    main()
