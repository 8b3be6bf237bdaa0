"""The MQTT binding of notifications (clause 7): connections that are kept, one for each broker and identity.

A notification of quality 1 or 2 counts as delivered when the MQTT broker has acknowledged it, one of quality 0 when it was
written to a living connection. A connection that turns out to be dead is replaced once before an attempt fails; pauses
between attempts are the course's business (broker.delivery.course).
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import aiomqtt

from broker.delivery.endpoint import MqttAddress
from broker.egress.policy import EgressPolicy

IDLE_SECONDS: Final = 300.0
"""A connection that was not used for so long is closed when the next new one is made."""

CONNECT_SECONDS: Final = 10.0
"""How long a broker may take to be reached, and then to let the connection in."""
CLOSE_SECONDS: Final = 2.0
"""How long the end of the publisher waits for its connections to end."""

_LOG: Final = logging.getLogger(__name__)
_VERSIONS: Final = {"mqtt3.1.1": aiomqtt.ProtocolVersion.V311, "mqtt5.0": aiomqtt.ProtocolVersion.V5}

Identity: TypeAlias = tuple[str, int, bool, str | None, str | None, str]


class MqttError(Exception):
    """A message was not delivered. The text says why; `forbidden` if the egress policy does not allow the address."""


@dataclass(slots=True)
class _Connection:
    """A client, where it is connected, and the attempt to connect, where one is under way."""

    client: aiomqtt.Client | None = None
    connecting: asyncio.Task[aiomqtt.Client] | None = None
    last_used: float = 0.0


class MqttPublisher:
    """Publishes messages. `tls` is the TLS context for mqtts; without it the system's authorities are trusted."""

    def __init__(self, policy: EgressPolicy, *, tls: ssl.SSLContext | None = None) -> None:
        self._policy = policy
        self._tls = tls
        self._connections: dict[Identity, _Connection] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def publish(self, address: MqttAddress, payload: bytes, timeout: float) -> None:
        """Publish to the address's topic within `timeout` seconds. Raises MqttError."""
        identity = (
            address.host,
            address.port,
            address.tls,
            address.username,
            address.password,
            address.version,
        )
        connection = self._connections.setdefault(identity, _Connection())
        connection.last_used = time.monotonic()
        try:
            async with asyncio.timeout(timeout):
                known = connection.client
                client = known or await self._connected(connection, address, None)
                try:
                    await client.publish(address.topic, payload, address.qos, timeout=timeout)
                except aiomqtt.MqttError:
                    if known is None:
                        await self._drop(connection, client)
                        raise
                    client = await self._connected(connection, address, known)
                    await client.publish(address.topic, payload, address.qos, timeout=timeout)
        except TimeoutError:
            raise MqttError(f"timeout: no acknowledgement within {timeout:g} s") from None
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            raise MqttError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """Close all connections; those that do not end in a moment are left to the end of the process."""
        connections = list(self._connections.values())
        self._connections.clear()
        for connection in connections:
            if connection.connecting is not None:
                connection.connecting.cancel()
            if connection.client is not None:
                self._in_background(self._drop(connection, connection.client))
        if self._ending:
            _, late = await asyncio.wait(self._ending, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _connected(
        self, connection: _Connection, address: MqttAddress, dead: aiomqtt.Client | None
    ) -> aiomqtt.Client:
        """A connected client that is not `dead`.

        There is one attempt to connect at a time, however many wait for it, and it outlives those whose time is up: the
        library connects in a thread that cannot be stopped, so each attempt that was given up would leave a socket behind.
        """
        if connection.client is not None and connection.client is not dead:
            return connection.client
        if connection.connecting is None:
            connection.client = None
            connection.connecting = asyncio.create_task(self._connect(connection, address, dead))
            connection.connecting.add_done_callback(_note_failure)
        return await asyncio.shield(connection.connecting)

    async def _connect(
        self, connection: _Connection, address: MqttAddress, dead: aiomqtt.Client | None
    ) -> aiomqtt.Client:
        try:
            if dead is not None:
                await _disconnect(dead)
            self._close_idle()
            async with asyncio.timeout(CONNECT_SECONDS):
                host = await self._reach(address)
            client = aiomqtt.Client(
                host,
                address.port,
                username=address.username,
                password=address.password,
                protocol=_VERSIONS[address.version],
                logger=_LOG,
                tls_context=self._tls_context() if address.tls else None,
                timeout=CONNECT_SECONDS,
            )
            try:
                await client.__aenter__()
            except BaseException:
                await _disconnect(client)  # the library keeps the socket where the broker did not let it in
                raise
            connection.client = client
            return client
        finally:
            connection.connecting = None

    async def _reach(self, address: MqttAddress) -> str:
        """The host to connect to: resolved, allowed and listening.

        The client library connects in a thread of the loop's small pool; that a host which does not answer cannot keep one
        busy is why its port is tried here first, with TLS up to the end of the handshake. Without TLS the tried address itself
        is what is connected to afterwards.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.host, address.port, type=1)
        allowed = [item[4][0] for item in found if self._policy.allows(str(item[4][0]), address.host, address.port)]
        if not allowed:
            raise MqttError(f"forbidden: the egress policy does not allow {address.host}")
        failure: OSError | None = None
        for target in allowed:
            try:
                _, writer = await asyncio.open_connection(
                    str(target),
                    address.port,
                    ssl=self._tls_context() if address.tls else None,
                    server_hostname=address.host if address.tls else None,
                )
            except OSError as error:
                failure = error
                continue
            writer.close()
            return address.host if address.tls else str(target)
        raise failure or OSError("no address")

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _close_idle(self) -> None:
        """Forget connections that were not used for long; they end in the background."""
        limit = time.monotonic() - IDLE_SECONDS
        for identity, connection in list(self._connections.items()):
            if connection.last_used < limit and connection.connecting is None:
                del self._connections[identity]
                if connection.client is not None:
                    self._in_background(_disconnect(connection.client))

    def _in_background(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _drop(self, connection: _Connection, client: aiomqtt.Client) -> None:
        if connection.client is client:
            connection.client = None
        await _disconnect(client)


def _note_failure(connecting: asyncio.Task[aiomqtt.Client]) -> None:
    """A failed attempt to connect is told to those who wait for it; it is no news that nobody does any more."""
    if not connecting.cancelled():
        connecting.exception()


async def _disconnect(client: aiomqtt.Client) -> None:
    """End a client's connection; that it may be dead already is no news."""
    try:
        await client.__aexit__(None, None, None)
    except (aiomqtt.MqttError, OSError) as error:
        _LOG.debug("ending a connection: %s", error)
