"""What the commands below `tsunagu adapters` share: the file of feeds, its journal, and how they end.

What a command needs is imported when it runs. Exit codes: 0 done, 1 failed, 2 wrong usage or a file of feeds that is at fault.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

if TYPE_CHECKING:
    from adapters.feeds import Feeds
    from adapters.journal import Journal

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", envvar="TSUNAGU_ADAPTERS", help="TOML file with the feeds; docs/adapters.md.")
]
FileOption = Annotated[
    Path, typer.Option("--file", metavar="FILE", envvar="TSUNAGU_ADAPTERS", help="TOML file with the feeds.")
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for scripts.")]
DEFAULT: Final = Path("adapters.toml")

T = TypeVar("T")


def failed(message: str, code: int) -> typer.Exit:
    """The end of a command that failed, which has said why."""
    typer.echo(f"tsunagu: {message}", err=True)
    return typer.Exit(code)


def feeds_of(path: Path) -> "Feeds":
    """The feeds of a file; ends the command where it is at fault."""
    from adapters.errors import InvalidFeeds
    from adapters.feeds import read_feeds

    try:
        return read_feeds(path)
    except InvalidFeeds as error:
        raise failed(str(error), 2) from None


def with_journal(path: Path, work: "Callable[[Feeds, Journal], Awaitable[T]]") -> T:
    """Do something with the journal of a file of feeds."""
    import asyncio

    from adapters.errors import AdapterError
    from adapters.journal import Journal

    feeds = feeds_of(path)

    async def opened() -> T:
        async with await Journal.open(feeds.state_folder) as journal:
            return await work(feeds, journal)

    try:
        return asyncio.run(opened())
    except AdapterError as error:
        raise failed(str(error), 1) from None
