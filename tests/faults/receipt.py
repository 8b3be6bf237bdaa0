"""A receipt: one notification as a receiver got it, and how receivers read it and keep it."""

import json
from pathlib import Path
from typing import Any, NamedTuple


class Receipt(NamedTuple):
    """`number` is None where the entity was told to be deleted. `at` is in seconds of the monotonic clock."""

    at: float
    subscription: str
    notification: str
    entity_id: str
    number: int | None


def receipt_of(at: float, subscription: str, body: dict[str, Any]) -> Receipt:
    """The receipt of a notification in the simplified format, about one entity."""
    (entity,) = body["data"]
    number = entity.get("number")
    return Receipt(at, subscription, body["id"], entity["id"], number if isinstance(number, int) else None)


def kept_line(receipt: Receipt) -> bytes:
    """A receipt as a line of a receiver's journal."""
    return json.dumps(receipt).encode() + b"\n"


def read_journal(journal: Path) -> list[Receipt]:
    """All receipts of a journal. What a kill has cut off at its end, or in the middle, was never answered."""
    receipts = []
    for line in journal.read_bytes().splitlines() if journal.exists() else ():
        try:
            receipts.append(Receipt(*json.loads(line)))
        except ValueError:
            continue
    return receipts
