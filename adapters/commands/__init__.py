"""The commands below `tsunagu adapters`, a module a noun."""

from adapters.commands.devices import commands
from adapters.commands.feeds import app
from adapters.commands.quarantine import quarantine

app.add_typer(quarantine, name="quarantine")
app.add_typer(commands, name="commands")

__all__ = ["app"]
