"""The session with an MQTT broker for one identity (clause 7): what was sent and is not acknowledged outlives the connection.

A message of quality 1 or 2 is delivered when the MQTT broker has acknowledged it (PUBACK, PUBCOMP). Until then it is kept, and
after a lost connection it goes out again: under its number, completing what was begun, where the MQTT broker still has the
session; as a new message where it has lost it. So nothing is lost, and with quality 2 nothing comes twice unless the MQTT
broker forgot.

An attempt whose time is up leaves a message that was on the wire in the session. The next attempt with the same notification
joins it instead of sending it a second time, or hears that it arrived meanwhile. One that was never on the wire is withdrawn.

A message of quality 0 counts as delivered when the MQTT broker has read it (`Link.confirm`).

The client id is made up for each session and never used by another one, so two processes cannot take a session from each
other, and no process finds one that a process before it left half-way. The session ends with the publisher; that of a process
which was killed ends by itself after SESSION_SECONDS (MQTT 5), or when the MQTT broker's own limit says so (MQTT 3.1.1).
"""

import asyncio
import logging
import random
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from broker.delivery.mqtt_link import Link, MqttError
from broker.delivery.mqtt_packets import (
    NO_SUCH_PACKET,
    TAKEN_OVER,
    Login,
    MalformedPacket,
    Packet,
    Quality,
    Version,
    publish_packet,
    pubrel_packet,
    read_acknowledgement,
    reason_text,
)
from broker.egress.error import EgressError

SESSION_SECONDS: Final = 3600
"""How long an MQTT broker keeps the session of a client that does not come back."""
CONNECT_SECONDS: Final = 10.0
"""How long a broker may take to be reached, and to let the connection in."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 15.0
"""Seconds between attempts to get a lost connection back; the first one is made at once."""
ON_THE_WIRE: Final = 20
"""Messages that wait for an acknowledgement at the same time, where the MQTT broker does not allow fewer."""
FORGOTTEN_SECONDS: Final = 600.0
"""How long a message is kept that no attempt asks for, and how long it is remembered that one arrived."""
MOST_REMEMBERED: Final = 1_000
_AROUND: Final = 10
"""Bytes of a PUBLISH beside its topic and its payload, at most."""

_LOG: Final = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Outgoing:
    """A message of quality 1 or 2. `key` tells it from others; `tried`: it was on the wire; `received`: PUBREC came.

    `waiting`: attempts that wait for `done`; `wanted_at`: when the last one was there, on the monotonic clock.
    """

    key: tuple[str, str]
    packet_id: int
    topic: str
    payload: bytes
    qos: Quality
    done: asyncio.Future[None]
    tried: bool = False
    received: bool = False
    waiting: int = 0
    wanted_at: float = field(default_factory=time.monotonic)


class MqttSession:
    """See the module. `reach` opens a connection, and raises EgressError where it cannot."""

    def __init__(
        self,
        place: str,
        version: Version,
        reach: Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]],
        username: str | None,
        password: str | None,
        *,
        secure: bool,
    ) -> None:
        self._place = place
        self._version: Version = version
        self._reach = reach
        self._username = username
        self._password = password
        self._secure = secure
        self._login = self._new_login()
        self._is_new = True
        self._link: Link | None = None
        self._connecting: asyncio.Task[Link] | None = None
        self._recovering: asyncio.Task[None] | None = None
        self._in_flight: dict[int, Outgoing] = {}
        self._by_key: dict[tuple[str, str], Outgoing] = {}
        self._unsent: deque[Outgoing] = deque()
        self._on_the_wire: set[int] = set()
        self._arrived: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._last_id = 0
        self.used_at = time.monotonic()

    @property
    def is_busy(self) -> bool:
        """Whether something is in flight or begins to be."""
        return bool(self._in_flight) or self._connecting is not None

    # --- publishing

    async def publish(self, topic: str, payload: bytes, qos: Quality, name: str) -> None:
        """Publish, and return when it is delivered. The caller bounds the time. `name` is the message's own, whenever it is sent.

        Raises EgressError, MqttError.
        """
        self.used_at = time.monotonic()
        if qos == 0:
            await self._confirm(topic, payload)
        else:
            await self._deliver(topic, payload, qos, (topic, name))

    async def _confirm(self, topic: str, payload: bytes) -> None:
        known = self._link
        link = await self._connected()
        self._check(link, topic, payload, 0)
        packet = publish_packet(self._version, topic, payload, 0)
        try:
            await link.confirm(packet)
        except (EgressError, MqttError):
            if link is not known:
                raise
            await (await self._connected()).confirm(
                packet
            )  # the connection turned out to be dead: once more on a new one

    async def _deliver(self, topic: str, payload: bytes, qos: Quality, key: tuple[str, str]) -> None:
        self._forget_old()
        if self._arrived.pop(key, None) is not None:
            return
        message = self._by_key.get(key)
        if message is None:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            message = Outgoing(key, self._free_id(), topic, payload, qos, done)
            self._in_flight[message.packet_id] = self._by_key[key] = message
            self._unsent.append(message)
        message.waiting += 1
        try:
            link = await self._connected()
            self._check(link, topic, payload, qos)
            self._pump()
            await asyncio.shield(message.done)
        finally:
            message.waiting -= 1
            message.wanted_at = time.monotonic()
            if not message.waiting and not message.tried:
                self._remove(message)

    def _check(self, link: Link, topic: str, payload: bytes, qos: Quality) -> None:
        """Raise MqttError for what the MQTT broker said it will not take."""
        if qos > link.accepted.maximum_qos:
            raise MqttError(f"{self._place} takes no messages of quality {qos}")
        if len(topic.encode()) + len(payload) + _AROUND > link.accepted.maximum_packet:
            raise MqttError(f"{self._place} takes no messages above {link.accepted.maximum_packet} bytes")

    def _free_id(self) -> int:
        """A number that no message in flight has."""
        while True:
            self._last_id = self._last_id % 65_535 + 1
            if self._last_id not in self._in_flight:
                return self._last_id

    def _pump(self) -> None:
        """Put messages on the wire, as many as the MQTT broker takes side by side."""
        link = self._link
        if link is None or link.ended is not None:
            return
        most = min(ON_THE_WIRE, link.accepted.receive_maximum or ON_THE_WIRE)
        while self._unsent and len(self._on_the_wire) < most:
            message = self._unsent.popleft()
            if self._in_flight.get(message.packet_id) is not message:
                continue  # it was withdrawn
            link.expect()
            if message.received:
                link.send(pubrel_packet(message.packet_id))
            else:
                link.send(
                    publish_packet(
                        self._version,
                        message.topic,
                        message.payload,
                        message.qos,
                        message.packet_id,
                        again=message.tried,
                    )
                )
            message.tried = True
            self._on_the_wire.add(message.packet_id)

    # --- what the MQTT broker says

    def _take(self, link: Link, kind: int, body: bytes) -> None:
        if kind == Packet.DISCONNECT:
            reason = body[0] if body else 0
            if reason == TAKEN_OVER:
                _LOG.warning("another client took an MQTT session", extra={"endpoint": self._place})
                self._login, self._is_new = self._new_login(), True
            raise MqttError(f"{self._place} ended the connection: {reason_text(reason)}")
        if kind not in (Packet.PUBACK, Packet.PUBREC, Packet.PUBCOMP):
            raise MalformedPacket(f"a packet of type {kind} for a publisher")
        packet_id, reason = read_acknowledgement(body)
        message = self._in_flight.get(packet_id)
        if message is None or (kind == Packet.PUBACK) != (message.qos == 1):
            return  # the acknowledgement of a message that was given up
        if kind == Packet.PUBCOMP and reason == NO_SUCH_PACKET:
            reason = 0  # it was completed before the connection broke
        if reason >= 0x80:
            self._settle(message, MqttError(f"{self._place} refuses the message: {reason_text(reason)}"))
        elif kind == Packet.PUBREC:
            if not message.received:  # said again and again it would fill the memory with answers that nobody reads
                message.received = True
                link.send(pubrel_packet(packet_id))
        else:
            self._settle(message, None)

    def _settle(self, message: Outgoing, error: MqttError | None) -> None:
        self._remove(message)
        if message.done.done():
            return
        if error is not None:
            message.done.set_exception(error)
            message.done.exception()  # one that nobody waits for is no news
            return
        message.done.set_result(None)
        if not message.waiting:
            self._arrived[message.key] = time.monotonic()
            if len(self._arrived) > MOST_REMEMBERED:
                self._arrived.popitem(last=False)

    def _remove(self, message: Outgoing) -> None:
        if self._in_flight.get(message.packet_id) is message:
            del self._in_flight[message.packet_id]
            del self._by_key[message.key]
            self._on_the_wire.discard(message.packet_id)
            self._pump()

    def _forget_old(self) -> None:
        limit = time.monotonic() - FORGOTTEN_SECONDS
        while self._arrived and next(iter(self._arrived.values())) < limit:
            self._arrived.popitem(last=False)
        for message in [one for one in self._in_flight.values() if not one.waiting and one.wanted_at < limit]:
            self._remove(message)

    # --- connections come and go

    async def _connected(self) -> Link:
        """A living connection. There is one attempt to connect at a time, however many wait for it."""
        if self._link is not None and self._link.ended is None:
            return self._link
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(_note_failure)
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> Link:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                link = await self._entered(clean=False)
                if self._is_new and link.accepted.session_present:
                    # Somebody else's session: what it holds half-way is not known here.
                    link.abort()
                    self._login = self._new_login()
                    link = await self._entered(clean=False)
        except TimeoutError:
            raise EgressError("timeout", self._place, f"not let in within {CONNECT_SECONDS:g} s") from None
        finally:
            self._connecting = None
        self._is_new = False
        self._link = link
        if not link.accepted.session_present:
            for message in self._in_flight.values():
                message.tried = message.received = False
        self._on_the_wire.clear()
        self._unsent = deque(self._in_flight.values())
        link.owes_answer = lambda: bool(self._on_the_wire)
        link.run(partial(self._take, link), partial(self._lost, link))
        self._pump()
        return link

    async def _entered(self, *, clean: bool) -> Link:
        reader, writer = await self._reach()
        link = Link(self._place, self._version, reader, writer, secure=self._secure)
        try:
            await link.enter(self._login, clean=clean)
        except BaseException:
            link.abort()
            raise
        return link

    def _lost(self, link: Link, reason: EgressError | MqttError) -> None:
        """The connection is gone: get it back at once where something is in flight."""
        _LOG.info("an MQTT connection is lost", extra={"endpoint": self._place, "reason": str(reason)})
        if self._link is not link:
            return
        self._link = None
        if self._in_flight and self._recovering is None:
            self._recovering = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        failures = 0
        try:
            while self._in_flight and self._link is None:
                await asyncio.sleep(_pause_after(failures))
                self._forget_old()
                try:
                    await self._connected()
                except (EgressError, MqttError) as error:
                    failures += 1
                    _LOG.info("an MQTT broker is not there yet", extra={"endpoint": self._place, "reason": str(error)})
        finally:
            self._recovering = None

    async def end(self) -> None:
        """End the session: what is in flight is not waited for. Best called within a bound of time."""
        for task in (self._connecting, self._recovering):
            if task is not None:
                task.cancel()
        link, self._link = self._link, None
        if link is None:
            return
        await link.end()
        if self._version == "mqtt3.1.1":  # its DISCONNECT leaves the session, only a clean connection ends it
            with suppress(EgressError, MqttError):
                await (await self._entered(clean=True)).end()

    def _new_login(self) -> Login:
        return Login(f"tsunagu{secrets.token_hex(8)}", self._username, self._password, SESSION_SECONDS)


def _pause_after(failures: int) -> float:
    """Seconds before the next attempt to connect: almost none, then growing ones, with jitter so that many do not meet."""
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 20)) if failures else FIRST_PAUSE / 2
    return pause * random.uniform(0.5 if failures else 0.0, 1.0)


def _note_failure(connecting: asyncio.Task[Link]) -> None:
    """A failed attempt to connect is told to those who wait for it; it is no news that nobody does any more."""
    if not connecting.cancelled():
        connecting.exception()
