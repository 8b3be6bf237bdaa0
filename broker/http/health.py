"""What operators and orchestrators ask: is it alive, is it ready, what are its numbers."""

from collections.abc import Awaitable, Callable, Mapping

from broker.errors import StoreUnavailable
from broker.http.message import Response, json_body
from broker.http.problem import RETRY_AFTER_SECONDS
from broker.store.protocol import Store


def health_door(
    store: Store, render_metrics: Callable[[], Awaitable[tuple[bytes, str]]], workers: Mapping[str, int] = {}
) -> Callable[[str], Awaitable[Response | None]]:
    """The side door of the server: GET /health/live, /health/ready, /metrics.

    `workers` says how many processes there are on this port, `wanted` and `ready`, where there is more than one.
    """

    async def answer(path: str) -> Response | None:
        if path == "/health/live":
            return _status(200, {"status": "live"})
        if path == "/health/ready":
            try:
                head = await store.head()
            except StoreUnavailable as error:
                return _status(503, {"status": "not ready", "reason": error.detail})
            others = {"workers": dict(workers)} if workers else {}
            return _status(200, {"status": "ready", "changeLogHead": head, **others})
        if path == "/metrics":
            body, content_type = await render_metrics()
            return Response(200, {"Content-Type": content_type}, body)
        return None

    return answer


def _status(status: int, payload: dict[str, object]) -> Response:
    response = Response(status, {"Content-Type": "application/json"}, json_body(payload))
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
