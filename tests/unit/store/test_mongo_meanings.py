"""What exceptions of MongoDB's driver mean to the broker's clients."""

import pytest
from pymongo.errors import AutoReconnect, ConfigurationError, OperationFailure, PyMongoError

from broker.errors import InternalError, StoreUnavailable
from broker.store.mongo.connection import meaning


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("connection closed"),
        ConfigurationError("Sessions are not supported by this MongoDB deployment"),
        OperationFailure("interrupted", 11602),
    ],
)
def test_what_passes_by_itself_is_503(error: PyMongoError) -> None:
    assert isinstance(meaning(error, "committing"), StoreUnavailable)


def test_what_does_not_is_500_and_says_what_was_being_done() -> None:
    found = meaning(OperationFailure("no such command", 59), "committing")
    assert isinstance(found, InternalError)
    assert not isinstance(found, StoreUnavailable)
    assert "committing" in found.detail
