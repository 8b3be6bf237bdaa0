"""What the tests that kill processes run on: the URL of a store of each kind, which outlives the process."""

from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'state'}"
    uri = request.getfixturevalue("mongodb_uri")
    database = request.getfixturevalue("mongo_database")
    base, _, options = uri.partition("?")
    return f"{base.rstrip('/')}/{database}?{options}"
