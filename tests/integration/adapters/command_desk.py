"""What tests of commands share: a broker, a runner with a table [commands], a simulated device behind a carrier, and a client."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

from runner_desk import a_broker, until

from adapters.actuation.contract import Carried, CommandTarget, Outcome
from adapters.actuation.policy import parse_policy
from adapters.feeds import Feeds, RunnerSettings
from adapters.runner import running

GATE = "urn:ngsi-ld:SluiceGate:1"
DEVICE = "gate001"
OFFICE, SECTION, STRANGER = "office-token-0123456789", "section-token-0123456789", "stranger-token-0123456789"
PRINCIPALS = {"office": {"tokens": [OFFICE]}, "section": {"tokens": [SECTION]}, "stranger": {"tokens": [STRANGER]}}
ALLOW = [{"principals": ["office", "section"], "groups": ["gates"], "commands": ["open", "close"]}]


def a_policy(*rules, allow=ALLOW, **settings):
    said = [{"groups": ["gates"], "commands": ["*"], **rule} for rule in rules]
    table = {"port": 0, **settings, "principals": PRINCIPALS, "allow": allow, "rules": said}
    return parse_policy(table, "commands")


def a_target(number=1, **members):
    return CommandTarget(
        **{
            "tenant": "",
            "entity_id": f"urn:ngsi-ld:SluiceGate:{number}",
            "entity_type": "SluiceGate",
            "device_id": f"gate{number:03}",
            "group": "gates",
            "commands": ("open", "close"),
            "carrier": "fake",
        }
        | members
    )


class Device:
    """A carrier with the device behind it: notes what it is told, and does what `behave` says."""

    def __init__(self, outcome=Outcome.DELIVERED, result=None):
        self.told = []
        self.outcome = outcome
        self.result = result
        self.trouble = None
        self.patience = 0.0

    async def carry(self, command):
        self.told.append(command)
        await asyncio.sleep(self.patience)
        if self.trouble is not None:
            raise self.trouble
        return Carried(self.outcome, self.result)

    @property
    def values(self):
        return [command.value for command in self.told]


class City:
    """A broker with a runner beside it, as clients see them."""

    def __init__(self, api, runner, device):
        self.api = api
        self.runner = runner
        self.device = device

    @property
    def desk(self):
        return self.runner.commands.desk

    async def command(self, value, name="open", *, token=OFFICE, entity=GATE, key=None, expires_at=None, **headers):
        attribute = {"type": "Property", "value": value}
        if key is not None:
            attribute["commandId"] = {"type": "Property", "value": key}
        if expires_at is not None:
            attribute["expiresAt"] = expires_at
        sent = ({"Authorization": f"Bearer {token}"} if token else {}) | headers
        return await self.api.patch(f"entities/{entity}/attrs/{name}", attribute, **sent)

    async def entity(self, entity=GATE):
        return (await self.api.get(f"entities/{entity}")).json

    async def status(self, name="open", entity=GATE):
        found = await self.entity(entity)
        return found.get(f"{name}_status", {}).get("value")

    async def reaches(self, status, name="open", entity=GATE):
        """Wait until the broker shows a status; the entity then."""

        async def shown():
            found = await self.entity(entity)
            return found if found.get(f"{name}_status", {}).get("value") == status else None

        return await until(shown)

    async def trail(self, number=-1):
        from adapters.actuation import record

        entries = await self.desk.book.journal.perform(lambda c: record.last(c, 1000))
        entry = sorted(entries, key=lambda each: each.state_at)[number] if number >= 0 else entries[0]
        return await self.trail_of(entry.command.id)

    async def trail_of(self, command_id):
        from adapters.actuation import record

        return await self.desk.book.journal.perform(lambda c: record.trail(c, command_id))


@asynccontextmanager
async def a_runner(api, folder: Path, policy, device, targets):
    feeds = Feeds(RunnerSettings(push_port=0), (), folder, policy)
    async with running(feeds, api.url) as runner:
        desk = runner.commands.desk
        desk.carriers({"fake": device})
        await desk.announce_all("fake", targets)
        async with asyncio.timeout(20):
            await runner.commands.registering.settled.wait()
        yield City(api, runner, device)


@asynccontextmanager
async def a_city(folder: Path, *rules, device=None, targets=None, gate=None, **policy):
    async with a_broker() as api:
        entity = {"id": GATE, "type": "SluiceGate", "gateOpening": {"type": "Property", "value": 0}} | (gate or {})
        assert (await api.post("entities", entity)).status == 201
        targets = [a_target()] if targets is None else targets
        async with a_runner(api, folder, a_policy(*rules, **policy), device or Device(), targets) as city:
            yield city
