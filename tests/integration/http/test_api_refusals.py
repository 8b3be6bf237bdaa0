"""Every request that is answered by 503 is counted, by why it was refused."""

import pytest
from api import Api

from broker.errors import NgsiLdError, StoreUnavailable, TooManyStreams, TooManyWrites
from broker.metrics import REGISTRY
from broker.store.protocol import OutcomeUnknown


@pytest.mark.parametrize(
    ("error", "reason"),
    [(StoreUnavailable, "store"), (OutcomeUnknown, "store"), (TooManyWrites, "writes"), (TooManyStreams, "streams")],
)
async def test_what_is_answered_by_503_is_counted_by_its_reason(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: type[NgsiLdError], reason: str
) -> None:
    async def fail(*_: object) -> None:
        raise error("not now")

    def counted() -> float:
        return REGISTRY.get_sample_value("tsunagu_requests_shed_total", {"reason": reason}) or 0.0

    monkeypatch.setattr(api.broker.writer, "read", fail)
    before = counted()
    answer = await api.get("entities/urn:ngsi-ld:Device:1")
    assert answer.status == 503
    assert answer.headers["Retry-After"]
    assert counted() == before + 1
    assert (await api.get("entities/urn")).status == 400
    assert counted() == before + 1
