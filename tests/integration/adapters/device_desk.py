"""What tests of devices share: a runner with the table [iot] beside a broker, and those who provision and send."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from runner_desk import a_broker
from yarl import URL

from adapters.feeds import parse_feeds
from adapters.runner import Runner, running

NORTH_KEY = "north-key-of-tests"
KEY = "4jggokgpepnvsb2uv4s40d59ov"
SERVICE = {"fiware-service": "OpenIoT", "fiware-servicepath": "/"}
GROUP = {"apikey": KEY, "resource": "/iot/d", "entity_type": "Sensor"}


def feeds(folder, commands=None, **iot):
    table = {"keys": [NORTH_KEY], "north_port": 0, "port": 0, **iot}
    more = {} if commands is None else {"commands": commands}
    return parse_feeds({"runner": {"push_port": 0}, "iot": table, **more}, folder)


@dataclass
class DeviceDesk:
    api: Any
    runner: Runner
    web: aiohttp.ClientSession

    async def north(self, method, path, body=None, **headers):
        """Ask the provisioning API: status and JSON body."""
        sent = SERVICE | {"X-Api-Key": NORTH_KEY} | {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(self.runner.devices.north_url + str(path), encoded=True)
        async with self.web.request(method, url, json=body, headers=sent) as answer:
            text = await answer.text()
            return answer.status, (await answer.json() if text else None)

    async def south(self, path, body=None, method="POST", **parameters):
        """Send as a device: status and body."""
        url = self.runner.devices.south_url + path
        query = {"k": KEY, "i": "t1"} | parameters
        data = body.encode() if isinstance(body, str) else body
        async with self.web.request(method, url, params=query, data=data) as answer:
            return answer.status, await answer.text()

    async def entity(self, entity_id, tenant="openiot"):
        """An entity of the broker, None where it has none."""
        answer = await self.api.get(f"entities/{entity_id}", NGSILD_Tenant=tenant)
        return answer.json if answer.status == 200 else None

    async def settled(self):
        """Whether nothing waits any more."""
        return all(door.waiting == 0 for door in self.runner.doors.values())


@asynccontextmanager
async def a_device_desk(folder, **iot):
    async with a_broker() as api, running(feeds(folder, **iot), api.url) as runner, aiohttp.ClientSession() as web:
        yield DeviceDesk(api, runner, web)
