"""On a sharded MongoDB each hot command goes to the shards of its keys, not to all: held by what the server says it was asked.

docs/scaling.md shards entities, history and evolutions by ranges of `_id`, which the tenant leads. A router sends a command to
those shards only where its filter bounds `_id`. So every filter on these collections that the server's profiler has seen must do
so, inserts have it anyway, and an upsert must name it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from api import Api, running_api
from pymongo import MongoClient

from broker.query.ast import Path
from broker.store.mongo.store import MongoStore

pytestmark = pytest.mark.mongo

SHARDED: Final = ("entities", "history", "evolutions")
"""By `_id`, in ranges. Everything else stays on one shard, beside the log."""
Row = dict[str, Any]
TENANT: Final = {"NGSILD_Tenant": "city_a"}
ROOM: Final = {
    "type": "Room",
    "level": {"type": "Property", "value": 1},
    "place": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.5, 35.5]}},
    "scope": "/a/b",
}


def bounds(found: Mapping[str, Any]) -> set[str]:
    """The operators that a filter has for `_id`, with those of the members of its conjunctions."""
    wanted = found.get("_id")
    operators = set(wanted) if isinstance(wanted, dict) else set() if wanted is None else {"$eq"}
    return operators.union(*(bounds(each) for each in found.get("$and", ())))


def is_targeted(found: Mapping[str, Any]) -> bool:
    """Whether a router can tell from a filter which shards it concerns."""
    operators = bounds(found)
    if operators & {"$eq", "$in"} or (operators & {"$gt", "$gte"} and operators & {"$lt", "$lte"}):
        return True
    if found.get("$or") and all(map(is_targeted, found["$or"])):
        return True
    return any(map(is_targeted, found.get("$and", ())))


def filter_of(seen: Row) -> Row | None:
    """The filter of a command in the profile; None for one that has none, because its documents have the key."""
    command = seen["command"]
    match seen["op"]:
        case "insert" | "getmore":
            return None
        case "update" | "remove":
            return dict(command["q"])
        case _:
            pipeline = command.get("pipeline")
            if pipeline is not None:
                return dict(pipeline[0].get("$match", {})) if pipeline else {}
            return dict(command.get("filter", command.get("query", {})))


class Profile:
    """What the server was asked, since the last look."""

    def __init__(self, client: MongoClient[Row], database: str) -> None:
        self._database = client[database]
        self._database.command("profile", 2)

    def filters(self) -> list[tuple[str, str, Row]]:
        """(collection, operation, filter) of each command on a sharded collection, but for the sweep's own."""
        self.end()
        seen = list(self._database["system.profile"].find({}))
        self._database["system.profile"].drop()
        self._database.command("profile", 2)
        found = []
        for each in seen:
            collection = each["ns"].partition(".")[2]
            if collection in SHARDED and not {"createIndexes", "create", "listIndexes"} & set(each["command"]):
                given = filter_of(each)
                if given is not None and not is_sweep(given):
                    found.append((collection, each["op"], given))
        return found

    def end(self) -> None:
        """Look no more."""
        self._database.command("profile", 0)


def is_sweep(found: Row) -> bool:
    """Whether this is how one process looks for what has expired, every few seconds and in all tenants: by two sparse indexes."""
    return set(found) == {"$or"} and [set(each) for each in found["$or"]] == [{"expires"}, {"lapses"}]


@pytest.fixture
def profile(mongo_store: MongoStore, mongo_client: MongoClient[Row], empty_mongo_database: str) -> Iterator[Profile]:
    made = Profile(mongo_client, empty_mongo_database)
    yield made
    made.end()
    mongo_client[empty_mongo_database]["system.profile"].drop()


async def write(api: Api) -> None:
    rooms = [{"id": f"urn:r:{number}", **ROOM} for number in range(6)]
    assert (await api.post("entities", rooms[0], **TENANT)).status == 201
    assert (await api.post("entityOperations/create", rooms[1:], **TENANT)).status == 201
    changed = [{**room, "level": {"type": "Property", "value": 2}} for room in rooms]
    assert (await api.post("entityOperations/upsert", changed, **TENANT)).status == 204
    level = {"level": {"type": "Property", "value": 3, "observedAt": "2026-01-01T00:00:00Z"}}
    assert (await api.patch("entities/urn:r:1/attrs", level, **TENANT)).status == 204
    assert (await api.post("entities/urn:r:2/attrs", level, **TENANT)).status == 204
    assert (await api.patch("entities/urn:r:3", {"id": "urn:r:3", **level}, **TENANT)).status == 204
    assert (await api.delete("entities/urn:r:4/attrs/place", **TENANT)).status == 204
    assert (await api.delete("entities/urn:r:5", **TENANT)).status == 204
    assert (await api.post("entityOperations/delete", ["urn:r:4"], **TENANT)).status == 204


QUERIES: Final = (
    "entities/urn:r:1",
    "entities?type=Room",
    "entities?type=Room&limit=1&after=urn:r:0&offset=1",
    "entities?type=Room&q=level>1",
    "entities?type=Room&q=level==3;place",
    "entities?q=level==3&local=true",
    "entities?type=Room&count=true&limit=0",
    "entities?type=Room&scopeQ=/a/%23",
    "entities?type=Room&georel=near;maxDistance==2000&geometry=Point&coordinates=[139.5,35.5]&geoproperty=place",
    "entities?attrs=level&local=true",
    "entities?id=urn:r:1,urn:r:2&local=true",
    "entities?type=Room&idPattern=urn:r:.*",
    "entities?type=Room&orderBy=level&local=true",
    "types?details=true",
    "attributes",
)


async def test_each_write_and_each_look_into_the_history_names_its_shard(
    mongo_store: MongoStore, profile: Profile
) -> None:
    span = "timerel=after&timeAt=2020-01-01T00:00:00Z"
    async with running_api(mongo_store) as api:
        await write(api)
        for query in (
            f"temporal/entities/urn:r:1?{span}",
            f"temporal/entities?type=Room&{span}",
            f"temporal/entities?type=Room&{span}&lastN=1&timeproperty=modifiedAt",
            "temporal/entities/urn:r:1?format=aggregatedValues&aggrMethods=max",
        ):
            assert (await api.get(query, **TENANT)).status == 200, query
        level = {"level": [{"type": "Property", "value": 9, "observedAt": "2026-01-02T00:00:00Z"}]}
        assert (await api.post("temporal/entities/urn:r:1/attrs", level, **TENANT)).status == 204
        assert (await api.delete("temporal/entities/urn:r:2", **TENANT)).status == 204
        filters = profile.filters()
    seen = {(collection, operation) for collection, operation, _ in filters}
    assert seen >= {("entities", "update"), ("entities", "remove"), ("evolutions", "update"), ("history", "remove")}
    assert {collection for collection, _ in seen} == set(SHARDED)
    assert [each for each in filters if not is_targeted(each[2])] == []
    assert all("_id" in found for _, operation, found in filters if operation == "update")


async def test_each_query_names_the_shards_of_the_tenant(mongo_store: MongoStore, profile: Profile) -> None:
    """Also those that an index of values leads, whose branches are a disjunction at the root."""
    vocabulary = "https://uri.etsi.org/ngsi-ld/default-context/"
    broadcast = {}
    async with running_api(mongo_store) as api:
        await write(api)
        profile.filters()
        for _ in range(2):
            for query in QUERIES:
                assert (await api.get(query, **TENANT)).status == 200, query
                filters = profile.filters()
                assert filters, query
                if wide := [each for each in filters if not is_targeted(each[2])]:
                    broadcast[query] = wide
            await mongo_store.index_values("", f"{vocabulary}Room", Path((f"{vocabulary}level",)))
    assert broadcast == {}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"_id": "a"}, True),
        ({"_id": {"$in": ["a"]}, "version": 1}, True),
        ({"_id": {"$gt": "a", "$lt": "b"}}, True),
        ({"$and": [{"_id": {"$gt": "a"}}, {"_id": {"$lt": "b"}, "types": "R"}]}, True),
        ({"$or": [{"_id": "a"}, {"_id": "b"}]}, True),
        ({"_id": {"$gt": "a"}}, False),
        ({"types": "R"}, False),
        ({"$or": [{"_id": "a"}, {"types": "R"}]}, False),
    ],
)
def test_what_a_router_can_tell_from_a_filter(found: Row, expected: bool) -> None:
    assert is_targeted(found) is expected
