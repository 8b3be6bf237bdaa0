"""Registrations: the broker is told that the commands of each device are held here, so that it forwards what is written of them.

Each device is an exclusive registration (4.3.6.3) on exactly its commands, for Update Attributes, Partial Attribute Update,
Replace Attribute and Merge Entity. They follow the devices that are announced, and are looked after: one that somebody
deleted or changed is made again.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Collection
from hashlib import sha256
from typing import Any, Final

from adapters import metrics
from adapters.actuation import record
from adapters.actuation.contract import CommandTarget
from adapters.actuation.desk import Desk
from adapters.actuation.targets import Place, place_of, wire_name
from adapters.errors import AdapterError, BrokerUnreachable
from adapters.working import Clients
from datamodels import models

TYPE: Final = "ContextSourceRegistration"
OPERATIONS: Final = ("updateEntity", "updateAttrs", "replaceAttrs", "mergeEntity")
"""Those that a command can be (4.20): updateOps, but that replacing a whole entity is none, and a merge is one."""
RELAYS: Final = "https://w3id.org/tsunagu/ns/relaysProblems"
"""What this door refuses is for the client to read, as it is (docs/extensions.md)."""
FROM_REQUEST: Final = "urn:ngsi-ld:request"
LOOK_SECONDS: Final = 60.0
LOOKS_A_SECOND: Final = 20.0
"""How often the broker's registrations are compared with what they should be, and how many in a second at most."""
AGAIN_SECONDS: Final = 2.0
AT_ONCE: Final = 8
TIMEOUT_MILLISECONDS: Final = 8000

_LOG: Final = logging.getLogger(__name__)


def registration_of(target: CommandTarget, endpoint: str, identity: str) -> dict[str, Any]:
    """The registration of a device's commands at a door. `identity` tells the doors apart that serve one broker."""
    model = models().get(target.entity_type)
    place = sha256(f"{target.tenant}\x1f{target.device_id}".encode()).hexdigest()[:24]
    return {
        "id": f"urn:ngsi-ld:{TYPE}:commands:{identity[:12]}:{place}",
        "type": TYPE,
        "registrationName": f"commands of {target.device_id}",
        "mode": "exclusive",
        "operations": list(OPERATIONS),
        "information": [
            {
                "entities": [{"id": target.entity_id, "type": target.entity_type if model is None else model.iri}],
                "propertyNames": [wire_name(target.entity_type, name) for name in target.commands],
            }
        ],
        "endpoint": endpoint,
        "contextSourceInfo": [
            {"key": "Authorization", "value": FROM_REQUEST},
            {"key": "Idempotency-Key", "value": FROM_REQUEST},
        ],
        "management": {"timeout": TIMEOUT_MILLISECONDS},
        RELAYS: True,
        **({"tenant": target.tenant} if target.tenant else {}),
    }


class Registering:
    """Keeps a broker's registrations as they should be. `trouble` says what is wrong, by device."""

    def __init__(self, desk: Desk, clients: Clients, endpoint: str) -> None:
        self.trouble: dict[Place, str] = {}
        self.settled = desk.registered
        self._desk = desk
        self._clients = clients
        self._endpoint = endpoint
        self._known: dict[Place, dict[str, Any]] = {}

    async def follow(self) -> None:
        """Follow what is announced, and look after what is there, for ever."""
        loop = asyncio.get_running_loop()
        looked = loop.time()
        places: set[Place] | None = None
        while True:
            self._desk.targets_changed.clear()
            await self.look(places)
            every = max(LOOK_SECONDS, len(self._known) / LOOKS_A_SECOND)
            try:
                async with asyncio.timeout(AGAIN_SECONDS if self.trouble else every):
                    await self._desk.targets_changed.wait()
            except TimeoutError:
                pass
            # A change costs as much as there is of it, and not as many devices as there are.
            places = {*self.trouble, *self._desk.changed_places}
            if loop.time() - looked >= every:
                looked, places = loop.time(), None
                self._known.clear()

    async def look(self, places: Collection[Place] | None = None) -> None:
        """Compare the devices at these places, or all of them, and mend what differs."""
        journal = self._desk.book.journal
        self._desk.changed_places.difference_update(self._desk.changed_places if places is None else set(places))
        targets = await journal.perform(
            record.all_targets if places is None else lambda connection: record.targets_at(connection, places)
        )
        turns = asyncio.Semaphore(AT_ONCE)
        away = ""

        async def one(target: CommandTarget, wanted: bool) -> None:
            nonlocal away
            async with turns:
                place = place_of(target)
                if away:  # it would be the same for all of them
                    self.trouble[place] = away
                    return
                try:
                    await (self._register(target) if wanted else self._withdraw(target))
                    self.trouble.pop(place, None)
                except BrokerUnreachable as error:
                    _LOG.warning("the commands of devices cannot be registered now: %s", error)
                    away = self.trouble[place] = str(error)
                except AdapterError as error:
                    if self.trouble.get(place) != str(error):
                        _LOG.error("the commands of %s cannot be registered: %s", target.device_id, error)
                    self.trouble[place] = str(error)

        # Those that go make room for those that come.
        for wanted in (False, True):
            await asyncio.gather(*(one(target, wanted) for target, keep in targets if keep is wanted))
        metrics.registrations_failing.set(len(self.trouble))
        if not self.trouble and not self._desk.targets_changed.is_set():
            self.settled.set()
        else:
            self.settled.clear()

    async def _register(self, target: CommandTarget) -> None:
        registration = registration_of(target, self._endpoint, self._desk.book.journal.identity)
        place = place_of(target)
        if self._known.get(place) == registration:
            return
        client = await self._clients.of(target.tenant or None)
        if not says_the_same(await client.registration(registration["id"]), registration):
            await client.register(registration)
        self._known[place] = registration

    async def _withdraw(self, target: CommandTarget) -> None:
        registration = registration_of(target, self._endpoint, self._desk.book.journal.identity)
        client = await self._clients.of(target.tenant or None)
        await client.unregister(registration["id"])
        tenant, device_id = place_of(target)
        self._known.pop((tenant, device_id), None)

        def forget(connection: sqlite3.Connection) -> None:
            record.drop_target(connection, tenant, device_id)

        await self._desk.book.journal.transact(forget)


def says_the_same(found: Any, wanted: dict[str, Any]) -> bool:
    """Whether a registration that a broker has is the one that it should be; brokers may add members, and say [x] for x."""
    if not isinstance(found, dict):
        return False
    return all(_plain(found.get(name)) == _plain(value) for name, value in wanted.items())


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return _plain(value[0]) if len(value) == 1 else [_plain(each) for each in value]
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else value
