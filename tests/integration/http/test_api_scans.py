"""Queries that look at many entities in vain say so, until an index leads them (docs/queries.md), on every store."""

import logging

from api import running_api

from broker import metrics
from broker.query.ast import Path


def room(number):
    return {
        "id": f"urn:ngsi-ld:Room:{number:05}",
        "type": "Room",
        "level": {"type": "Property", "value": number},
    }


async def test_a_scan_is_told_counted_logged_once_and_then_indexed(store, caplog):
    async with running_api(store) as api:
        for start in range(0, 1200, 600):
            answer = await api.post("entityOperations/create", [room(n) for n in range(start, start + 600)])
            assert answer.status == 201
        before = metrics.query_scans._value.get()
        with caplog.at_level(logging.WARNING, "broker.store.scans"):
            for _ in range(2):
                answer = await api.get("entities?type=Room&q=level==7")
                assert [each["id"] for each in answer.json] == ["urn:ngsi-ld:Room:00007"]
                assert answer.headers["Tsunagu-Scan"] == "1199"
        assert metrics.query_scans._value.get() == before + 2
        assert len([each for each in caplog.records if "in vain" in each.getMessage()]) == 1
        ordered = await api.get("entities?type=Room&orderBy=level&limit=10&local=true")
        assert ordered.headers["Tsunagu-Scan"] == "1190"
        assert "Tsunagu-Scan" not in (await api.get("entities?type=Room&limit=10")).headers
        level, room_type = (f"https://uri.etsi.org/ngsi-ld/default-context/{name}" for name in ("level", "Room"))
        await store.index_values("", room_type, Path((level,)))
        answer = await api.get("entities?type=Room&q=level==7&count=true")
        assert ("Tsunagu-Scan" in answer.headers, answer.headers["NGSILD-Results-Count"]) == (False, "1")
        listed = (await api.request("GET", f"{api.url}/tsunagu/v1/indexes")).json["indexes"]
        assert [(each["type"], each["path"], each["state"], each["uses"] > 0) for each in listed] == [
            (room_type, level, "ready", True)
        ]
