"""A stand-in for the agency's site: what the feed asks for, out of files, so that nothing leaves the machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from aiohttp import web


@asynccontextmanager
async def served(stations: Path, observations: Path) -> AsyncIterator[str]:
    """Serve a table of stations and the observations of an instant (map_YYYYMMDDHHMMSS.json); the URL that is polled."""
    instant = observations.stem.removeprefix("map_")
    latest = datetime.strptime(f"{instant}+0900", "%Y%m%d%H%M%S%z").isoformat()

    async def time(_: web.Request) -> web.Response:
        return web.Response(text=latest)

    async def table(_: web.Request) -> web.FileResponse:
        return web.FileResponse(stations)

    async def observed(_: web.Request) -> web.FileResponse:
        return web.FileResponse(observations)

    app = web.Application()
    app.router.add_get("/bosai/amedas/data/latest_time.txt", time)
    app.router.add_get("/bosai/amedas/const/amedastable.json", table)
    app.router.add_get(f"/bosai/amedas/data/map/{instant}.json", observed)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/bosai/amedas/data/latest_time.txt"
    finally:
        await runner.cleanup()
