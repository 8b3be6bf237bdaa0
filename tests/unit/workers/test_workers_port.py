"""The port that workers share: one for all addresses of a host, refused where another program listens on it."""

import socket
import sys
from contextlib import closing

import pytest

from broker.workers.port import Port
from broker.workers.slot import Slot


def test_every_slot_has_a_socket_of_its_own_on_the_same_free_port() -> None:
    with closing(Port("127.0.0.1", 0)) as port:
        assert port.number > 0
        made = [each for _ in range(3) for each in port.sockets()]
        assert {each.getsockname() for each in made} == {("127.0.0.1", port.number)}
        for each in made:
            each.close()


def test_all_addresses_of_a_host_get_the_same_port() -> None:
    with closing(Port("localhost", 0)) as port:
        made = port.sockets()
        assert {each.getsockname()[1] for each in made} == {port.number}
        for each in made:
            each.close()


def test_nobody_is_let_in_before_a_worker_listens() -> None:
    with closing(Port("127.0.0.1", 0)) as port:
        (waiting,) = port.sockets()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port.number), timeout=5)
        waiting.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not spread connections")
def test_connections_are_spread_over_the_slots_that_listen() -> None:
    with closing(Port("127.0.0.1", 0)) as port:
        first, second, third = (port.sockets()[0] for _ in range(3))
        first.listen(128)
        second.listen(128)
        clients = [socket.create_connection(("127.0.0.1", port.number), timeout=5) for _ in range(64)]
        for listener in (first, second):
            listener.settimeout(5)
            listener.accept()[0].close()  # both have some
        for each in (*clients, first, second, third):
            each.close()


@pytest.mark.parametrize("shares", [False, True])
def test_a_port_on_which_another_program_listens_is_refused_also_if_it_would_share(shares: bool) -> None:
    with socket.socket() as other:
        if shares:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            Port("127.0.0.1", other.getsockname()[1])


def test_a_slot_is_the_same_after_its_way_over_the_command_line() -> None:
    slot = Slot(3, (7, 8), 11)
    assert Slot.parse(str(slot)) == slot
    with pytest.raises(ValueError, match="nobody else"):
        Slot.parse("3")
