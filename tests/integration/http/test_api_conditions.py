"""Conditional requests on entities over HTTP (RFC 9110, 13; docs/extensions.md): no update is lost, plain clients see nothing."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from broker.model.instants import canonical

GAUGE = "urn:ngsi-ld:RiverGauge:1"
ENTITY = f"entities/{GAUGE}"
LEVEL = f"{ENTITY}/attrs/level"
OLD = '"1.20200101000000000000"'


def prop(value, **members):
    return {"type": "Property", "value": value, **members}


def gauge(level=1, **attributes):
    return {"id": GAUGE, "type": "RiverGauge", "level": prop(level), **attributes}


async def tag_of(api, path=ENTITY, **headers):
    answer = await api.get(path, **headers)
    assert answer.status in (200, 203), answer.body
    return answer.headers["ETag"]


WRITES = {
    "replace": ("PUT", ENTITY, gauge(5)),
    "merge": ("PATCH", ENTITY, {"level": prop(5)}),
    "append": ("POST", f"{ENTITY}/attrs", {"level": prop(5)}),
    "update": ("PATCH", f"{ENTITY}/attrs", {"level": prop(5)}),
    "partial": ("PATCH", LEVEL, {"value": 5}),
    "replace attribute": ("PUT", LEVEL, prop(5)),
    "delete attribute": ("DELETE", LEVEL, None),
    "delete": ("DELETE", ENTITY, None),
}


@pytest.mark.parametrize("write", WRITES)
async def test_every_write_of_an_entity_keeps_if_match(api, write):
    method, path, body = WRITES[write]
    await api.post("entities", gauge())
    read = await tag_of(api)
    refused = await api.request(method, path, body, headers={"If-Match": f'{OLD}, W/{read}, "x"'})
    assert refused.status == 412
    state = ".".join(read.strip('"').split(".")[:2])
    assert refused.json == {
        "type": "about:blank",
        "title": "Precondition Failed",
        "status": 412,
        "detail": f'If-Match does not hold for {GAUGE}: its tag is "{state}"',
        "instance": GAUGE,
        "etag": f'"{state}"',
    }
    assert await tag_of(api) == read
    done = await api.request(method, path, body, headers={"If-Match": f"{OLD}, {read}"})
    assert done.status == 204
    again = await api.request(method, path, body, headers={"If-Match": read})
    assert again.status == (404 if write == "delete" else 412)


@pytest.mark.parametrize("write", [name for name, (method, _, _) in WRITES.items() if method != "PUT"])
async def test_the_tag_of_a_write_is_that_of_the_state_it_left(api, write):
    method, path, body = WRITES[write]
    await api.post("entities", gauge(other=prop(1)))
    done = await api.request(method, path, body)
    if write == "delete":
        assert "ETag" not in done.headers
        return
    tag = done.headers["ETag"]
    assert (await tag_of(api)).startswith(tag[:-1] + ".")
    assert (await api.patch(ENTITY, {"other": prop(2)}, If_Match=tag)).status == 204
    assert (await api.patch(ENTITY, {"other": prop(3)}, If_Match=tag)).status == 412


@pytest.mark.parametrize("write", ["replace", "replace attribute"])
async def test_rfc_9110_9_3_4_put_says_no_tag_as_what_is_kept_is_not_the_body_as_it_came(api, write):
    method, path, body = WRITES[write]
    await api.post("entities", gauge())
    done = await api.request(method, path, body)
    assert done.status == 204
    assert "ETag" not in done.headers


async def test_a_write_that_changes_nothing_leaves_the_tag(api):
    created = await api.post("entities", gauge())
    same = await api.patch(ENTITY, {"level": prop(1)}, If_Match=created.headers["ETag"])
    assert (same.status, same.headers["ETag"]) == (204, created.headers["ETag"])


async def test_a_partial_update_tells_the_tag_too(api):
    await api.post("entities", gauge())
    partly = await api.post(f"{ENTITY}/attrs?options=noOverwrite", {"level": prop(2), "new": prop(1)})
    assert partly.status == 207
    assert (await tag_of(api)).startswith(partly.headers["ETag"][:-1] + ".")


async def test_if_match_any_state_needs_an_entity(api):
    for method, path, body in WRITES.values():
        assert (await api.request(method, path, body, headers={"If-Match": "*"})).status == 404
    assert (await api.post("entities", gauge(), If_Match="*")).status == 412
    await api.post("entities", gauge())
    assert (await api.patch(ENTITY, {"level": prop(2)}, If_Match="*")).status == 204


async def test_if_none_match_any_creates_only(api):
    assert (await api.put(ENTITY, gauge(), If_None_Match="*")).status == 404
    created = await api.post("entities", gauge(), If_None_Match="*")
    assert created.status == 201
    again = await api.post("entities", gauge(2), If_None_Match="*")
    assert (again.status, again.json["etag"]) == (412, created.headers["ETag"])
    assert (await api.put(ENTITY, gauge(2), If_None_Match="*")).status == 412
    assert (await api.patch(ENTITY, gauge(2), If_None_Match=created.headers["ETag"])).status == 412
    assert (await api.patch(ENTITY, {"level": prop(2)}, If_None_Match=OLD)).status == 204


async def test_an_entity_that_is_created_again_gets_no_old_tag(api):
    tags = set()
    for _ in range(5):
        tags.add((await api.post("entities", gauge())).headers["ETag"])
        await api.delete(ENTITY)
    assert len(tags) == 5
    await api.post("entities", gauge())
    for tag in tags:
        assert (await api.delete(ENTITY, If_Match=tag)).status == 412


async def test_what_a_client_has_already_is_not_sent_again(api):
    await api.post("entities", gauge())
    tag = await tag_of(api)
    for sent in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        same = await api.get(ENTITY, If_None_Match=sent)
        assert (same.status, same.body, same.headers["ETag"]) == (304, b"", tag)
    await api.patch(ENTITY, {"level": prop(2)})
    newer = await api.get(ENTITY, If_None_Match=tag)
    assert newer.status == 200
    assert newer.headers["ETag"] != tag


async def test_each_form_of_a_state_has_its_own_strong_tag_and_each_will_do_for_a_write(api):
    await api.post("entities", gauge())
    forms = [
        (ENTITY, {}),
        (f"{ENTITY}?format=simplified", {}),
        (f"{ENTITY}?pick=level", {}),
        (f"{ENTITY}?options=sysAttrs", {}),
        (ENTITY, {"Accept": "application/ld+json"}),
        (ENTITY, {"Accept": "application/geo+json"}),
    ]
    tags = [await tag_of(api, path, **headers) for path, headers in forms]
    assert len(set(tags)) == len(forms)
    for (path, headers), tag in zip(forms, tags, strict=True):
        assert (await api.get(path, If_None_Match=tag, **headers)).status == 304
        assert (await api.patch(ENTITY, {"level": prop(1)}, If_Match=tag)).status == 204


async def test_a_linked_entity_that_is_shown_counts_for_what_is_shown_and_not_for_a_write(api):
    await api.post("entities", gauge(at={"type": "Relationship", "object": "urn:ngsi-ld:River:1"}))
    await api.post("entities", {"id": "urn:ngsi-ld:River:1", "type": "River", "name": prop("Kuzuryu")})
    joined = f"{ENTITY}?join=inline"
    tag = await tag_of(api, joined)
    alone = await tag_of(api)
    await api.patch("entities/urn:ngsi-ld:River:1", {"name": prop("九頭竜川")})
    assert (await api.get(joined, If_None_Match=tag)).status == 200
    assert (await api.get(ENTITY, If_None_Match=alone)).status == 304
    assert (await api.patch(ENTITY, {"level": prop(2)}, If_Match=tag)).status == 204


async def test_4_22_what_expires_changes_the_tag_at_once_and_the_new_one_is_good(api):
    soon = canonical(datetime.now(UTC) + timedelta(seconds=0.3))
    await api.post("entities", gauge(warning=prop(True, expiresAt=soon)))
    before = await tag_of(api)
    await asyncio.sleep(0.35)
    answer = await api.get(ENTITY)
    assert "warning" not in answer.json
    after = answer.headers["ETag"]
    assert after.split(".")[0] != before.split(".")[0]
    assert (await api.get(ENTITY, If_None_Match=before)).status == 200
    assert (await api.patch(ENTITY, {"level": prop(2)}, If_Match=before)).status == 412
    assert (await api.patch(ENTITY, {"level": prop(2)}, If_Match=after)).status == 204


async def test_4_22_a_write_that_changes_nothing_tells_the_tag_of_what_is_left(api):
    soon = canonical(datetime.now(UTC) + timedelta(seconds=0.3))
    await api.post("entities", gauge(warning=prop(True, expiresAt=soon)))
    await asyncio.sleep(0.35)
    same = await api.patch(ENTITY, {"level": prop(1)})
    assert (await tag_of(api)).startswith(same.headers["ETag"][:-1] + ".")


async def test_4_22_an_expired_entity_is_no_entity_to_a_condition(api):
    soon = canonical(datetime.now(UTC) + timedelta(seconds=0.3))
    created = await api.post("entities", {**gauge(), "expiresAt": soon})
    await asyncio.sleep(0.35)
    assert (await api.patch(ENTITY, {"level": prop(2)}, If_Match=created.headers["ETag"])).status == 404
    again = await api.post("entities", gauge(), If_None_Match="*")
    assert again.status == 201
    assert again.headers["ETag"] != created.headers["ETag"]


async def test_an_attribute_of_an_evolution_alone_is_not_deleted_under_a_condition(api):
    evolution = {"id": GAUGE, "type": "RiverGauge", "level": [prop(1, observedAt="2026-01-01T00:00:00Z")]}
    assert (await api.post("temporal/entities", evolution)).status == 201
    assert (await api.delete(LEVEL, If_Match="*")).status == 404


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
async def test_a_malformed_condition_is_refused_and_named(api, header):
    await api.post("entities", gauge())
    for method, path, body in (*WRITES.values(), ("GET", ENTITY, None), ("POST", "entities", gauge())):
        answer = await api.request(method, path, body, headers={header: "3.2026"})
        assert answer.status == 400
        assert answer.json["type"].endswith("BadRequestData")
        assert answer.json["detail"].startswith(header)
    assert (await api.get(ENTITY)).json["level"]["value"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "entityOperations/upsert", [gauge()]),
        ("POST", "temporal/entities", gauge()),
        ("POST", "subscriptions", {}),
        ("DELETE", "entities?type=RiverGauge", None),
    ],
)
async def test_a_condition_is_refused_where_it_cannot_be_kept(api, method, path, body):
    answer = await api.request(method, path, body, headers={"If-Match": '"1"'})
    assert answer.status == 422
    assert answer.json["type"].endswith("OperationNotSupported")


@pytest.mark.parametrize("write", [name for name in WRITES if name not in ("delete", "delete attribute")])
async def test_of_fifty_clients_with_the_same_tag_one_wins(api, write):
    method, path, _ = WRITES[write]
    await api.post("entities", gauge(0))
    tag = await tag_of(api)

    def body(number):
        return {
            "replace": gauge(number),
            "partial": {"value": number},
            "replace attribute": prop(number),
        }.get(write, {"level": prop(number)})

    answers = await asyncio.gather(
        *(api.request(method, path, body(number), headers={"If-Match": tag}) for number in range(1, 51))
    )
    won = [number for number, answer in enumerate(answers, start=1) if answer.status == 204]
    assert len(won) == 1
    assert sorted(answer.status for answer in answers) == [204] + [412] * 49
    assert (await api.get(ENTITY)).json["level"]["value"] == won[0]


async def test_twenty_clients_that_read_add_and_try_again_lose_no_update(api):
    await api.post("entities", gauge(0))

    async def add_one():
        while True:
            read = await api.get(ENTITY)
            body = {"level": prop(read.json["level"]["value"] + 1)}
            if (await api.patch(ENTITY, body, If_Match=read.headers["ETag"])).status == 204:
                return
            await asyncio.sleep(0)

    await asyncio.gather(*(add_one() for _ in range(20)))
    assert (await api.get(ENTITY)).json["level"]["value"] == 20


async def test_of_fifty_clients_that_create_one_wins(api):
    answers = await asyncio.gather(*(api.post("entities", gauge(number), If_None_Match="*") for number in range(50)))
    assert sorted(answer.status for answer in answers) == [201] + [412] * 49
