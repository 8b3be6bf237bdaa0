"""The command line: `python -m bench NAME`, from the root of the repository."""

import typer

from bench import adapters, commits, hot, latency, operations, overload, scale, sockets, suite, temporal, validation
from bench.limits import table

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def _bench() -> None:
    """Measure a broker on this machine. `short` and `full` are the whole, every other command is a part of it."""


@app.command("limits")
def _limits() -> None:
    """The table of limits."""
    print(table())


app.command("short")(suite.short)
app.command("full")(suite.full)
app.command("sockets")(sockets.main)
app.command("temporal")(temporal.main)
app.command("overload")(overload.main)
app.command("latency")(latency.main)
app.command("validation")(validation.main)
app.command("adapters")(adapters.main)
app.command("operations")(operations.main)
app.command("hot")(hot.main)
app.command("scale")(scale.main)
app.command("commits")(commits.main)

if __name__ == "__main__":
    app()
