"""Who comes to the server is let in, however busy it is."""

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

import pytest
import uvloop

from broker.http import listening
from broker.http.listening import Listener, bound_sockets

CLIENTS = 300


class Counting(asyncio.Protocol):
    entered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Counting.entered += 1


def in_a_loop(make_loop: Callable[[], asyncio.AbstractEventLoop], scenario: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(scenario)


async def rounds(many: int) -> None:
    for _ in range(many):
        await asyncio.sleep(0)


@pytest.mark.parametrize("make_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_all_who_wait_are_let_in_within_a_few_rounds_of_the_loop(make_loop: Any) -> None:
    async def scenario() -> None:
        Counting.entered = 0
        (bound,) = bound_sockets("127.0.0.1", 0)
        listener = Listener(bound, Counting)
        with ExitStack() as clients:
            for _ in range(CLIENTS):
                clients.enter_context(socket.create_connection(("127.0.0.1", listener.port)))
            await rounds(20)
            assert Counting.entered == CLIENTS
            port = listener.port
            await listener.close()
            await listener.close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))

    in_a_loop(make_loop, scenario())


def test_who_cannot_be_let_in_for_want_of_files_is_let_in_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "PAUSE_SECONDS", 0.05)

    class Exhausted(socket.socket):
        refusals = 0

        def accept(self) -> Any:
            if Exhausted.refusals < 3:
                Exhausted.refusals += 1
                raise OSError(errno.EMFILE, "too many open files")
            return super().accept()

    async def scenario() -> None:
        Counting.entered = 0
        bound = Exhausted(socket.AF_INET, socket.SOCK_STREAM)
        bound.bind(("127.0.0.1", 0))
        listener = Listener(bound, Counting)
        with socket.create_connection(("127.0.0.1", listener.port)):
            for _ in range(1000):
                if Counting.entered:
                    break
                await asyncio.sleep(0.01)
        assert Counting.entered == 1
        assert Exhausted.refusals == 3
        await listener.close()

    in_a_loop(uvloop.new_event_loop, scenario())


def test_all_addresses_of_a_host_are_listened_at_or_none() -> None:
    (taken,) = bound_sockets("127.0.0.1", 0)
    with taken:
        with pytest.raises(OSError, match="in use"):
            bound_sockets("127.0.0.1", taken.getsockname()[1])
        everywhere = bound_sockets("", 0)
        assert everywhere
        for each in everywhere:
            each.close()
