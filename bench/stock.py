"""The operations whose cost is compared, as requests ready to be sent: the same for the broker and for the raw floor."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

ROOT: Final = "/ngsi-ld/v1"
TYPE: Final = "Station"
ENTITIES: Final = 10_000
LEVELS: Final = 120
"""Different values of the attribute that q asks for: 83 of 10,000 entities have each."""
BATCH: Final = 100
PAGE: Final = 20


def entity_id(number: int) -> str:
    """The id of an entity."""
    return f"urn:ngsi-ld:{TYPE}:{number:07}"


def entity(number: int, level: int | None = None) -> dict[str, Any]:
    """An entity of five attributes and 540 bytes."""
    return {
        "id": entity_id(number),
        "type": TYPE,
        "name": {
            "type": "Property",
            "value": f"Measuring station {number:07}, on the left bank below the weir, beside the school,"
            " to be read every ten minutes, all day and all night",
        },
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.5, 35.5]}},
        "level": {"type": "Property", "value": number % LEVELS if level is None else level, "unitCode": "CMT"},
        "flow": {"type": "Property", "value": 12.5, "unitCode": "MQS", "observedAt": "2026-01-01T00:00:00Z"},
        "operator": {"type": "Relationship", "object": f"urn:ngsi-ld:Organization:{number % 20:03}"},
    }


def _spread(number: int) -> int:
    """Entities in no order that a cache could like."""
    return number * 7919 % ENTITIES


def _request(method: str, path: str, payload: object = None) -> bytes:
    body = b"" if payload is None else json.dumps(payload, separators=(",", ":")).encode()
    head = f"{method} {ROOT}{path} HTTP/1.1\r\nHost: bench\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


@dataclass(frozen=True, slots=True)
class Operation:
    """`request` makes the request with a number, `status` is what is expected, `found` how many entities in the answer."""

    name: str
    request: Callable[[int], bytes]
    status: int
    found: int = 0
    most: tuple[int, int] = (0, 0)
    """CPU microseconds of broker and store together that it may cost, on MongoDB and on SQLite."""


OPERATIONS: Final = {
    "get": Operation(
        "GET entity by id", lambda n: _request("GET", f"/entities/{entity_id(_spread(n))}"), 200, 1, (280, 160)
    ),
    "patch": Operation(
        "PATCH one attribute",
        lambda n: _request(
            "PATCH",
            f"/entities/{entity_id(_spread(n))}/attrs",
            {"flow": {"type": "Property", "value": n, "unitCode": "MQS"}},
        ),
        204,
        0,
        (450, 280),
    ),
    "post": Operation(
        "POST entity", lambda n: _request("POST", "/entities", entity(ENTITIES + n, -1)), 201, 0, (350, 280)
    ),
    "type": Operation(
        "GET type, limit=20", lambda n: _request("GET", f"/entities?type={TYPE}&limit={PAGE}"), 200, PAGE, (600, 450)
    ),
    "q": Operation(
        "q on one attribute, 83 of 10,000 match, limit=20",
        lambda n: _request("GET", f"/entities?type={TYPE}&q=level=={n % LEVELS}&limit={PAGE}"),
        200,
        PAGE,
        (1_000, 800),
    ),
    "batch": Operation(
        "batch upsert of 100 existing",
        lambda n: _request(
            "POST",
            "/entityOperations/upsert",
            [entity((n * BATCH + each) % ENTITIES) for each in range(BATCH)],
        ),
        204,
        0,
        (22_000, 14_000),
    ),
}
