"""A small receiver of notifications: each one is a crossing, is printed and is kept."""

from dataclasses import dataclass, field

from aiohttp import web

from adapters.wire import from_wire
from datamodels import model_of

NAMES = {
    "standby": "水防団待機水位",
    "caution": "はん濫注意水位",
    "evacuation": "避難判断水位",
    "danger": "はん濫危険水位",
}

_GAUGE = model_of("RiverGauge")


@dataclass
class Receiver:
    """Listens on 127.0.0.1 on a free port; `crossings` holds (gauge number, threshold, level) in the order of arrival."""

    crossings: list[tuple[str, str, float]] = field(default_factory=list)
    url: str = ""

    async def __aenter__(self) -> "Receiver":
        """Start to listen."""
        app = web.Application()
        app.router.add_post("/crossings/{threshold}", self._receive)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop to listen."""
        await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        threshold = request.match_info["threshold"]
        for notified in (await request.json())["data"]:
            entity = from_wire(notified, _GAUGE)
            text = {name: entity[name]["value"] for name in ("stationId", "riverName", "name", f"{threshold}Level")}
            level, at = entity["waterLevel"]["value"], entity["waterLevel"]["observedAt"]
            self.crossings.append((text["stationId"], threshold, float(level)))
            limit = f"{NAMES[threshold]} {text[f'{threshold}Level']:.2f} m"
            print(f"{at}  {text['riverName']} {text['name']}: {level:.2f} m, {limit}", flush=True)
        return web.Response()
