"""A web of @contexts on this machine: real HTTP servers whose documents a test changes as it goes."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class ContextWeb:
    """`documents` by path: bytes, a JSON value, or an aiohttp handler. `hits` counts requests, `requests` keeps them."""

    url: str = ""
    documents: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    hits: Counter[str] = field(default_factory=Counter)
    requests: list[web.Request] = field(default_factory=list)
    server: TestServer | None = None

    def at(self, path: str) -> str:
        return f"{self.url}/{path}"

    def put(self, path: str, context: Any) -> str:
        self.documents[path] = {"@context": context}
        return self.at(path)

    async def stop(self) -> None:
        assert self.server is not None
        await self.server.close()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.lstrip("/")
        self.hits[path] += 1
        self.requests.append(request)
        document = self.documents.get(path)
        if callable(document):
            return await document(request)
        if document is None:
            return web.Response(status=404)
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        return web.Response(body=body, headers={"Content-Type": "application/ld+json", **self.headers})


@contextlib.asynccontextmanager
async def context_web() -> AsyncIterator[ContextWeb]:
    web_of_contexts = ContextWeb()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", web_of_contexts.answer)
    web_of_contexts.server = TestServer(application, host="127.0.0.1")
    await web_of_contexts.server.start_server()
    web_of_contexts.url = str(web_of_contexts.server.make_url("")).rstrip("/")
    try:
        yield web_of_contexts
    finally:
        await web_of_contexts.server.close()
