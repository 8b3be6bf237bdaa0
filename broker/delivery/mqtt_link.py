"""One connection to an MQTT broker (clause 7): packets go in and out, and a broker that says nothing any more is noticed."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from broker.delivery.mqtt_packets import (
    LONGEST,
    PING,
    Connack,
    Login,
    MalformedPacket,
    Packet,
    Version,
    connect_packet,
    disconnect_packet,
    read_connack,
    reason_text,
)
from broker.egress.error import EgressError
from broker.egress.stream import broken

KEEP_ALIVE: Final = 30
"""Seconds after which the MQTT broker may count a client that says nothing as gone; half as often it hears of this one."""
ANSWER_SECONDS: Final = 10.0
"""How long an MQTT broker that owes an answer may say nothing before the connection counts as dead."""
LOOK_SECONDS: Final = 2.5
"""How often that is looked at."""
END_SECONDS: Final = 1.0
"""How long a goodbye may take."""
_MOST_RECEIVED: Final = 1024 * 1024
"""Bytes of a packet that a publisher takes: an acknowledgement has a few."""

_LOG: Final = logging.getLogger(__name__)


class MqttError(Exception):
    """The MQTT broker refuses a client or a message, or does not speak MQTT. The text says why."""


class Link:
    """See the module. `take` is given each packet but CONNACK and PINGRESP; `lost` is told when the connection has ended."""

    def __init__(
        self, place: str, version: Version, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, secure: bool
    ) -> None:
        self.place = place
        self.version: Version = version
        self.accepted = Connack(session_present=False, reason=0)
        self.owes_answer: Callable[[], bool] = lambda: False
        self._reader = reader
        self._writer = writer
        self._secure = secure
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._writing = asyncio.Lock()
        self._heard = self._said = self._loop_time()
        self._tasks: list[asyncio.Task[None]] = []
        self.ended: EgressError | MqttError | None = None

    @staticmethod
    def _loop_time() -> float:
        return asyncio.get_running_loop().time()

    async def enter(self, login: Login, *, clean: bool) -> Connack:
        """Ask to be let in; what the MQTT broker says to it. Raises MqttError if it does not let in, EgressError."""
        try:
            self._write(connect_packet(self.version, login, clean=clean, keep_alive=KEEP_ALIVE))
            kind, body = await self._next()
        except (OSError, EOFError) as error:
            raise self._broke(error) from error
        except (MalformedPacket, ValueError) as error:
            raise MqttError(f"{self.place} does not speak MQTT: {error}") from error
        try:
            if kind != Packet.CONNACK:
                raise MalformedPacket("no CONNACK")
            self.accepted = read_connack(self.version, body)
        except MalformedPacket as error:
            raise MqttError(f"{self.place} does not speak MQTT: {error}") from error
        if self.accepted.reason:
            raise MqttError(f"{self.place} refuses the connection: {reason_text(self.accepted.reason)}")
        self._heard = self._loop_time()
        return self.accepted

    def run(self, take: Callable[[int, bytes], None], lost: Callable[[EgressError | MqttError], None]) -> None:
        """Begin to read and to look after the connection."""
        self._tasks = [asyncio.create_task(self._read(take, lost)), asyncio.create_task(self._look_after())]

    def send(self, packet: bytes) -> None:
        """Send a packet, without waiting. What becomes of it, an acknowledgement says."""
        self._said = self._loop_time()
        if self.ended is None:
            self._write(packet)

    def _write(self, packet: bytes) -> None:
        if not self._writer.transport.is_closing():  # uvloop raises RuntimeError then, before `_read` has heard of it
            self._writer.write(packet)

    async def confirm(self, packet: bytes) -> None:
        """Send a packet that is not acknowledged, and wait until the MQTT broker has read it.

        It has when it answers a ping that was sent behind it, as it takes packets in order. Raises EgressError, MqttError.
        """
        async with self._writing:
            if self.ended is not None:
                raise self.ended
            try:
                await self._writer.drain()  # a packet that finds no room waits outside of the buffer
            except OSError as error:
                raise self._broke(error) from error
            pong = self._ping(packet)
        await pong

    def _ping(self, packet: bytes = b"") -> asyncio.Future[None]:
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.ended is not None:
            pong.set_exception(self.ended)
            return pong
        if not self._is_owed:
            self._heard = self._loop_time()  # only what is said from now on may be late
        self.send(packet + PING)
        self._pongs.append(pong)
        return pong

    @property
    def _is_owed(self) -> bool:
        """Whether the MQTT broker has something to say."""
        return bool(self._pongs) or self.owes_answer()

    def expect(self) -> None:
        """An acknowledgement will be owed: count its time from now, if none was owed before."""
        if not self._is_owed:
            self._heard = self._loop_time()

    async def end(self) -> None:
        """Say goodbye and close."""
        for task in self._tasks:
            task.cancel()
        self._fail(MqttError("the connection was ended"))
        try:
            with suppress(OSError):  # TimeoutError is one
                async with asyncio.timeout(END_SECONDS):
                    self._write(disconnect_packet(self.version))
                    await self._writer.drain()
                    self._writer.close()
                    await self._writer.wait_closed()
        finally:
            self._writer.transport.abort()

    def abort(self) -> None:
        """Close at once."""
        for task in self._tasks:
            task.cancel()
        self._fail(MqttError("the connection was ended"))
        self._writer.transport.abort()

    async def _read(self, take: Callable[[int, bytes], None], lost: Callable[[EgressError | MqttError], None]) -> None:
        reason: EgressError | MqttError
        try:
            while True:
                kind, body = await self._next()
                self._heard = self._loop_time()
                if kind == Packet.PINGRESP:
                    if self._pongs and not (pong := self._pongs.popleft()).done():
                        pong.set_result(None)
                else:
                    take(kind, body)
        except (OSError, EOFError) as error:
            reason = self._broke(error)
        except MalformedPacket as error:
            reason = MqttError(f"{self.place} does not speak MQTT: {error}")
        except MqttError as error:
            reason = error
        except Exception as error:  # noqa: BLE001 - a fault in here must not leave a connection that nobody listens to
            _LOG.exception("an MQTT connection cannot be read", extra={"endpoint": self.place})
            reason = MqttError(f"{self.place}: {type(error).__name__}")
        if self.ended is not None:
            reason = self.ended  # `_look_after` knows better why
        self._writer.transport.abort()
        self._tasks[1].cancel()
        self._fail(reason)
        lost(reason)

    async def _look_after(self) -> None:
        """Ping when there was nothing to say, and end the connection when an answer is overdue."""
        keep_alive = self.accepted.keep_alive or KEEP_ALIVE
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, keep_alive / 4))
            now = self._loop_time()
            if self._is_owed:
                if now >= self._heard + ANSWER_SECONDS:
                    self.ended = EgressError("timeout", self.place, f"no answer within {ANSWER_SECONDS:g} s")
                    self._writer.transport.abort()
                    return
            elif now >= self._said + keep_alive / 2:
                self._ping()

    def _fail(self, reason: EgressError | MqttError) -> None:
        self.ended = reason
        while self._pongs:
            pong = self._pongs.popleft()
            if not pong.done():
                pong.set_exception(reason)
                pong.exception()  # one that nobody waits for is no news

    async def _next(self) -> tuple[int, bytes]:
        """The next packet: its type, and what follows the length. Raises OSError, EOFError, MalformedPacket."""
        first = (await self._reader.readexactly(1))[0]
        size = 0
        for shift in (0, 7, 14, 21):
            digit = (await self._reader.readexactly(1))[0]
            size |= (digit & 0x7F) << shift
            if not digit & 0x80:
                break
        else:
            raise MalformedPacket("a length that is too long")
        if size > min(LONGEST, _MOST_RECEIVED):
            raise MalformedPacket("a packet that is too large")
        return first >> 4, await self._reader.readexactly(size)

    def _broke(self, error: Exception) -> EgressError:
        """What the end of the connection means."""
        if self._secure and not self._tasks and isinstance(error, EOFError | ConnectionError):
            # With TLS 1.3 a server looks at the client's certificate when the client believes to be connected already.
            return EgressError(
                "tls",
                self.place,
                "closed after the TLS handshake, as by a server that does not accept the client certificate",
            )
        if isinstance(error, EOFError):
            return EgressError("refused", self.place, "the connection was closed")
        return broken(self.place, error)
