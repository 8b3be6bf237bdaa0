"""A small receiver of notifications: each is counted once by its id, and said in a line."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Receiver:
    """Listens on 127.0.0.1 on a free port, at /NAME for each subscription; `alerts` counts the entities told, by that name."""

    alerts: Counter[str] = field(default_factory=Counter)
    url: str = ""
    _known: set[str] = field(default_factory=set)

    async def __aenter__(self) -> "Receiver":
        """Start to listen."""
        app = web.Application()
        app.router.add_post("/{name}", self._receive)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop to listen."""
        await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        notification = await request.json()
        if notification["id"] not in self._known:  # one that is repeated is the same
            self._known.add(notification["id"])
            for entity in notification["data"]:
                self.alerts[request.match_info["name"]] += 1
                print(f"  alert: {_said(entity)}", flush=True)
        return web.Response()


def _said(entity: dict[str, Any]) -> str:
    level = entity.get("waterLevel", entity.get("currentLevel"))
    place = " ".join(filter(None, (entity.get("riverName"), entity.get("name", entity["id"]))))
    danger = entity.get("levelStatus") == 4
    threshold = entity.get("dangerLevel" if danger else "cautionLevel")
    return f"{place}: {level:.2f} m, {'danger' if danger else 'caution'} from {threshold:.2f} m"
