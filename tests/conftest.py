"""What every test may ask for: stores of each kind, a real MongoDB, a real MQTT broker.

Servers are processes and live as long as the session; clients are made in each test, because AsyncMongoClient and every
other asyncio client belong to one event loop, and each test has its own.
"""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck
from mongod import Mongod, MongodMissing, do_without, given_uri, running_mongod
from mosquitto import Credentials, MqttBroker, MqttBrokerMissing, running_mqtt_broker
from pymongo import MongoClient

from broker.store.mongo.store import MongoStore
from broker.store.protocol import Store
from broker.store.sqlite.store import SqliteStore

# No example is too slow on a busy machine; in CI the examples are the same each time, so that a red run means a change.
hypothesis.settings.register_profile(
    "tsunagu",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("CI", "").lower() in {"1", "true"},
)
hypothesis.settings.load_profile("tsunagu")

SHARED_DATABASE = f"tsunagu_test_{os.getpid()}"


@pytest.fixture(scope="session")
def mongodb_uri() -> Iterator[str]:
    """The URI of a MongoDB replica set."""
    uri = given_uri()
    if uri is not None:
        yield uri
        return
    try:
        with running_mongod() as mongod:
            yield mongod.uri
    except MongodMissing as missing:
        do_without(str(missing))


@pytest.fixture
def mongod() -> Iterator[Mongod]:
    """A MongoDB of the test's own, which it may kill, freeze and start again."""
    try:
        with running_mongod() as own:
            yield own
    except MongodMissing as missing:
        do_without(str(missing))


@pytest.fixture(scope="session")
def mongo_client(mongodb_uri: str) -> Iterator[MongoClient[dict[str, object]]]:
    """A blocking client, for looking at the server from outside of the code under test."""
    with MongoClient[dict[str, object]](mongodb_uri, serverSelectionTimeoutMS=10_000) as client:
        yield client
        client.drop_database(SHARED_DATABASE)


@pytest.fixture
def mongo_database(mongo_client: MongoClient[dict[str, object]]) -> Iterator[str]:
    """The name of a database that does not exist yet and is dropped after the test."""
    name = f"tsunagu_test_{uuid.uuid4().hex[:16]}"
    yield name
    mongo_client.drop_database(name)


@pytest.fixture
def empty_mongo_database(mongo_client: MongoClient[dict[str, object]]) -> str:
    """The name of the session's shared database, emptied: its indexes stay, which saves most of a fresh one's cost."""
    database = mongo_client[SHARED_DATABASE]
    for name in database.list_collection_names():
        database[name].delete_many({})
    return SHARED_DATABASE


@pytest.fixture
async def mongo_store(mongodb_uri: str, empty_mongo_database: str) -> AsyncIterator[MongoStore]:
    """An opened, empty MongoStore."""
    opened = MongoStore(mongodb_uri, empty_mongo_database)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture(params=["sqlite-memory", "sqlite-file", pytest.param("mongo", marks=pytest.mark.mongo)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An opened, empty store of each kind."""
    opened: Store
    if request.param == "mongo":
        # The session's fixtures run a process, not a coroutine, so that they may be asked for from here.
        uri = request.getfixturevalue("mongodb_uri")
        opened = MongoStore(uri, request.getfixturevalue("empty_mongo_database"))
    else:
        opened = SqliteStore(":memory:" if request.param == "sqlite-memory" else str(tmp_path / "store"))
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture(scope="session")
def mqtt_broker() -> Iterator[MqttBroker]:
    """An MQTT broker that lets everybody in."""
    yield from _mqtt_broker()


@pytest.fixture(scope="session")
def mqtt_broker_with_password() -> Iterator[MqttBroker]:
    """An MQTT broker that lets only its `credentials` in."""
    yield from _mqtt_broker(credentials=Credentials("sensor", "s3cret"))


@pytest.fixture(scope="session")
def mqtt_broker_with_tls() -> Iterator[MqttBroker]:
    """An MQTT broker on TLS, whose authority is in `certificates.authority`."""
    yield from _mqtt_broker(tls=True)


def _mqtt_broker(*, credentials: Credentials | None = None, tls: bool = False) -> Iterator[MqttBroker]:
    try:
        with running_mqtt_broker(credentials=credentials, tls=tls) as broker:
            yield broker
    except MqttBrokerMissing as missing:
        do_without(str(missing))
