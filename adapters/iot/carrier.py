"""How a command reaches its device: posted to its endpoint, published on its topic, or kept until the device asks for it."""

from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final

import aiohttp
from yarl import URL

from adapters.actuation.contract import Carried, Command, Outcome, TryLater, Undeliverable
from adapters.iot.agent import answers_in, command_bytes
from adapters.iot.device import Device, Owner
from adapters.iot.documents import Protocol
from adapters.iot.endpoints import EndpointPolicy, NotAllowed, PolicyResolver
from adapters.iot.mqtt import Session
from adapters.iot.payload import MalformedPayload
from adapters.iot.registry import Registry

MOST_ANSWER_BYTES: Final = 64 * 1024
CONNECT_SECONDS: Final = 5.0
_MEDIA_TYPES: Final[dict[Protocol, str]] = {"ultralight": "text/plain", "json": "application/json"}


class IotCarrier:
    """Carries commands to the devices of a registry. `session` is None where devices have no MQTT broker."""

    def __init__(
        self,
        registry: Registry,
        http: aiohttp.ClientSession,
        policy: EndpointPolicy,
        session: Session | None,
        patience: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._registry = registry
        self._http = http
        self._policy = policy
        self._session = session
        self._patience = patience
        self._clock = clock

    async def carry(self, command: Command) -> Carried:
        """Say a command to its device, once. Raises Undeliverable, TryLater, and what nobody knows the outcome of."""
        address = command.target.address
        owner = Owner(command.target.tenant, str(address["path"]))
        device = await self._registry.device(owner, str(address["device"]))
        if device is None or command.name not in device.commands:
            raise Undeliverable("The device is not provisioned any more, or has no such command.")
        try:
            payload = command_bytes(device, command)
        except MalformedPayload as fault:
            raise Undeliverable(str(fault)) from None
        left = (datetime.fromisoformat(command.expires_at) - self._clock()).total_seconds()
        if left <= 0:
            raise Undeliverable("The command has expired.")
        if device.transport == "MQTT":
            return await self._publish(device, payload, left)
        if device.endpoint:
            return await self._post(device, command.name, payload, left)
        return Carried(Outcome.WAITING)

    async def _publish(self, device: Device, payload: bytes, left: float) -> Carried:
        if self._session is None:
            raise Undeliverable("There is no MQTT broker for devices: the table [iot] has no mqtt.")
        if not device.key:
            raise Undeliverable("The device has no apikey, and no group has one for it.")
        if left < 1:
            raise Undeliverable("The command expires before an MQTT broker could be told so.")
        if not await self._session.publish(f"/{device.key}/{device.id}/cmd", payload, int(left)):
            raise TryLater("The MQTT broker of the devices is not connected.")
        return Carried(Outcome.DELIVERED)

    async def _post(self, device: Device, name: str, payload: bytes, left: float) -> Carried:
        if self._http.closed:
            raise TryLater("The runner is ending.")
        endpoint = self._checked(device.endpoint)
        protocol: Protocol = device.protocol or "ultralight"
        headers = {
            "Content-Type": _MEDIA_TYPES[protocol],
            "fiware-service": device.owner.tenant,
            "fiware-servicepath": device.owner.path,
        }
        seconds = min(self._patience, left)
        # To wait for a connection is to have sent nothing, so it has a limit of its own, which comes first.
        timeout = aiohttp.ClientTimeout(total=seconds, connect=min(CONNECT_SECONDS, seconds / 2))
        try:
            async with self._http.post(
                endpoint, data=payload, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                body = await _start_of(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, NotAllowed):
                raise Undeliverable("The endpoint's address is not allowed.") from None
            raise TryLater("The endpoint takes no connection.") from None
        except NotAllowed:
            raise Undeliverable("The endpoint's address is not allowed.") from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise Undeliverable("The endpoint is no URL that can be called.") from None
        except TimeoutError:
            raise TimeoutError("the device did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            # Its own text may have the endpoint in it, and that a password.
            raise ConnectionError("the connection ended before the device had answered") from error
        if not 200 <= response.status < 300:
            said = body[:200].decode("utf-8", "replace").strip()
            raise Undeliverable(f"The device answers {response.status}{f': {said}' if said else ''}.")
        try:
            answers = answers_in(protocol, body)
        except MalformedPayload:
            return Carried(Outcome.DELIVERED)  # it has the command, and says what became of it later
        for each in answers:
            if each.command == name and each.device in ("", device.id):
                return Carried(Outcome.ANSWERED, each.result)
        return Carried(Outcome.DELIVERED)

    def _checked(self, text: str) -> URL:
        """The URL that is called. An address written into it is resolved by nobody, so it is looked at here, and as the client
        will read it: to it, １２７。0。0。1 is an address, too. Raises Undeliverable.
        """
        try:
            endpoint = URL(text)
            host, port = endpoint.raw_host or "", endpoint.port or 80
        except ValueError:
            raise Undeliverable("The endpoint is no URL that can be called.") from None
        try:
            ip_address(host.partition("%")[0])
        except ValueError:
            return endpoint
        if not self._policy.allows(host, host, port):
            raise Undeliverable("The endpoint's address is not allowed.")
        return endpoint


def endpoint_session(policy: EndpointPolicy, user_agent: str) -> aiohttp.ClientSession:
    """The HTTP client that posts commands: it calls only whom the policy allows, and keeps nothing of what it is told."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=PolicyResolver(policy), limit=100, limit_per_host=4, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": user_agent},
        trust_env=False,
    )


async def _start_of(response: aiohttp.ClientResponse) -> bytes:
    """The body's first bytes; more of them is no answer to a command."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 14):
        body += chunk
        if len(body) > MOST_ANSWER_BYTES:
            return b""
    return bytes(body)
