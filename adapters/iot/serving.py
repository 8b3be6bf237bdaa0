"""All that devices need in a runner, put together: what is provisioned, the ways in, and the way of commands out."""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from adapters.actuation.contract import Actuation
from adapters.door import Door
from adapters.feeds import Mqtt
from adapters.iot.agent import Agent
from adapters.iot.carrier import IotCarrier
from adapters.iot.endpoints import EndpointPolicy
from adapters.iot.mqtt import Session
from adapters.iot.north import north_application
from adapters.iot.registry import Registry
from adapters.iot.settings import Iot
from adapters.iot.south import south_application
from adapters.iot.targets import CARRIER
from adapters.journal import Journal


@dataclass(slots=True)
class Devices:
    """The devices' part of a runner; the URLs are those at which the applications are served."""

    agent: Agent
    north: web.Application
    south: web.Application
    session: Session | None
    north_url: str = ""
    south_url: str = ""


async def open_devices(
    iot: Iot,
    mqtt: Mqtt | None,
    journal: Journal,
    doors: Mapping[str, Door],
    version: str,
    endpoints: aiohttp.ClientSession,
    actuation: Actuation | None = None,
) -> Devices:
    """The devices' part. `endpoints` is the client that posts commands. Raises JournalFailed."""
    registry = await Registry.open(journal)
    agent = Agent(registry, doors, actuation, auto_provision=iot.auto_provision)
    session = None if mqtt is None else Session(mqtt, agent, journal.identity)
    if actuation is not None:
        carrier = IotCarrier(registry, endpoints, EndpointPolicy.parse(iot.endpoints), session, iot.patience)
        actuation.carriers({CARRIER: carrier})
        await agent.announce_all()
    return Devices(agent, north_application(agent, iot.keys, version), south_application(agent), session)
