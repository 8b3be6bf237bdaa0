"""The MQTT binding of notifications (clause 7): one session for each MQTT broker and identity, kept as long as it is used.

What counts as delivered, and what outlives a lost connection, is told in broker.delivery.mqtt_session. Pauses between attempts
are the course's business (broker.delivery.course).
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Final, TypeAlias

from broker.delivery.endpoint import MqttAddress
from broker.delivery.mqtt_session import MqttSession
from broker.egress.error import EgressError
from broker.egress.policy import EgressPolicy
from broker.egress.stream import open_stream
from broker.egress.tls import TlsContexts

IDLE_SECONDS: Final = 300.0
"""A session that was not used for so long is ended when the next new one begins."""
CLOSE_SECONDS: Final = 2.0
"""How long the end of the publisher waits for its sessions to end."""

Identity: TypeAlias = tuple[str, int, bool, str | None, str | None, str]


class MqttPublisher:
    """Publishes messages. `tls` knows the certificates for mqtts; without it the system's authorities are trusted."""

    def __init__(self, policy: EgressPolicy, tls: TlsContexts | None = None) -> None:
        self._policy = policy
        self._tls = tls or TlsContexts()
        self._sessions: dict[Identity, MqttSession] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def publish(self, address: MqttAddress, payload: bytes, name: str, timeout: float) -> None:
        """Publish to the address's topic within `timeout` seconds. `name` is the same whenever the message is sent again.

        Raises EgressError where the MQTT broker is not reached, MqttError where it refuses.
        """
        session = self._session(address)
        try:
            async with asyncio.timeout(timeout):
                await session.publish(address.topic, payload, address.qos, name)
        except TimeoutError:
            place = f"{address.host}:{address.port}"
            raise EgressError("timeout", place, f"no acknowledgement within {timeout:g} s") from None

    async def close(self) -> None:
        """End all sessions; those that do not end in a moment are left to the end of the process."""
        for session in self._sessions.values():
            self._in_background(session.end())
        self._sessions.clear()
        if self._ending:
            _, late = await asyncio.wait(self._ending, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _session(self, address: MqttAddress) -> MqttSession:
        identity = (
            address.host,
            address.port,
            address.tls,
            address.username,
            address.password,
            address.version,
        )
        session = self._sessions.get(identity)
        if session is None:
            self._end_idle()

            async def reach() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
                context = self._tls.for_host(address.host, address.port) if address.tls else None
                return await open_stream(address.host, address.port, self._policy, context)

            session = self._sessions[identity] = MqttSession(
                f"{address.host}:{address.port}",
                address.version,
                reach,
                address.username,
                address.password,
                secure=address.tls,
            )
        return session

    def _end_idle(self) -> None:
        """Forget sessions that were not used for long; they end in the background."""
        limit = time.monotonic() - IDLE_SECONDS
        for identity, session in list(self._sessions.items()):
            if session.used_at < limit and not session.is_busy:
                del self._sessions[identity]
                self._in_background(session.end())

    def _in_background(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
