"""JSON from outside is read within bounds, and what cannot be written as JSON is refused."""

import pytest

from adapters.document import MOST_DEEP, read_json
from adapters.errors import BrokerRefused, UnreadableFile
from adapters.ngsild_client import NgsiLdClient


@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_what_nests_too_deeply_to_be_sent_on_is_not_read(opened: bytes, closed: bytes) -> None:
    def nested(depth: int) -> bytes:
        return opened * depth + b"1" + closed * depth

    read_json(nested(MOST_DEEP))
    with pytest.raises(UnreadableFile, match="within each other"):
        read_json(nested(MOST_DEEP + 1))


@pytest.mark.parametrize("value", [2**70, "\ud800"])
async def test_what_no_request_can_carry_counts_as_refused(value: object) -> None:
    async with NgsiLdClient("http://127.0.0.1:9") as client:
        with pytest.raises(BrokerRefused, match="cannot be written as JSON"):
            await client.upsert([{"id": "urn:x:1", "type": "T", "a": {"type": "Property", "value": value}}])
