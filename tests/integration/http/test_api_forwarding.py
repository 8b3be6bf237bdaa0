"""Updates of attributes that exclusive and redirect registrations cover are forwarded (4.3.6, 5.6, 6.3.17, 6.3.18)."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from api import running_api

from broker.federation.forwarding import RELAYS

GATE = "urn:ngsi-ld:SluiceGate:1"
REGISTRATION = "urn:ngsi-ld:ContextSourceRegistration:gate"
OPEN = {"type": "Property", "value": 40, "commandId": {"type": "Property", "value": "c1"}}


class Source:
    """A context source that notes what it is sent, and answers as it is told to."""

    def __init__(self):
        self.requests = []
        self.answer = (204, None)
        self.patience = 0.0

    async def handle(self, request):
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.method, request.path, dict(request.query), headers, await request.json()))
        await asyncio.sleep(self.patience)
        status, problem = self.answer
        return web.Response(status=status) if problem is None else web.json_response(problem, status=status)


@asynccontextmanager
async def a_source():
    source = Source()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", source.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    source.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield source
    finally:
        await runner.cleanup()


def registration(url, **members):
    return {
        "id": REGISTRATION,
        "type": "ContextSourceRegistration",
        "mode": "exclusive",
        "operations": ["updateOps"],
        "information": [{"entities": [{"id": GATE, "type": "SluiceGate"}], "propertyNames": ["open", "close"]}],
        "endpoint": url,
        **members,
    }


@asynccontextmanager
async def a_gate(store, **members):
    async with a_source() as source, running_api(store) as api:
        gate = {"id": GATE, "type": "SluiceGate", "gateOpening": {"type": "Property", "value": 0}}
        assert (await api.post("entities", gate)).status == 201
        made = await api.post("csourceRegistrations", registration(source.url, **members))
        assert made.status == 201, made.body
        yield api, source


async def test_5_6_4_partial_update_of_an_attribute_held_elsewhere_goes_there_and_nowhere_else(store):
    async with a_gate(store) as (api, source):
        assert (await api.patch(f"entities/{GATE}/attrs/open", OPEN)).status == 204
        ((method, path, query, headers, body),) = source.requests
        assert (method, path, query) == ("PATCH", f"/ngsi-ld/v1/entities/{GATE}/attrs/open", {})
        assert body == OPEN
        assert headers["via"] == f"1.1 {api.broker.identity.alias_of('')}"
        assert "open" not in (await api.get(f"entities/{GATE}")).json


async def test_5_6_2_what_is_held_elsewhere_goes_there_and_the_rest_stays(store):
    async with a_gate(store) as (api, source):
        fragment = {"open": OPEN, "gateOpening": {"type": "Property", "value": 3}}
        assert (await api.patch(f"entities/{GATE}/attrs", fragment)).status == 204
        assert [request[4] for request in source.requests] == [{"open": OPEN}]
        assert (await api.get(f"entities/{GATE}")).json["gateOpening"]["value"] == 3


async def test_5_6_2_a_part_that_fails_is_named_with_its_registration(store):
    async with a_gate(store) as (api, source):
        source.answer = 409, {"title": "Conflict", "detail": "the gate is in manual mode"}
        fragment = {"open": OPEN, "gateOpening": {"type": "Property", "value": 3}}
        answer = await api.patch(f"entities/{GATE}/attrs", fragment)
        assert answer.status == 207
        (left,) = answer.json["notUpdated"]
        assert left["registrationId"] == REGISTRATION
        assert "manual mode" in left["reason"]
        assert (await api.get(f"entities/{GATE}")).json["gateOpening"]["value"] == 3


@pytest.mark.parametrize(("said", "answered"), [(403, 502), (409, 502), (404, 404), (500, 502), (508, 508)])
async def test_6_3_17_what_the_only_source_refuses_is_told_with_its_words(store, said, answered):
    async with a_gate(store) as (api, source):
        source.answer = said, {"type": "about:blank", "title": "No", "detail": "words of the source"}
        answer = await api.patch(f"entities/{GATE}/attrs/open", OPEN)
        assert answer.status == answered
        assert "words of the source" in answer.json["detail"]
        assert answer.json["sourceStatus"] == said


@pytest.mark.parametrize("said", [401, 403, 409])
async def test_a_source_whose_problems_are_to_be_relayed_is_heard_as_it_speaks(store, said):
    async with a_gate(store, **{RELAYS: True}) as (api, source):
        source.answer = said, {"type": "urn:refused", "title": "No", "detail": "words of the source"}
        answer = await api.patch(f"entities/{GATE}/attrs/open", OPEN)
        assert answer.status == said
        assert (answer.json["type"], answer.json["title"]) == ("urn:refused", "No")
        assert answer.json["registrationId"] == REGISTRATION
        source.answer = 500, None
        assert (await api.patch(f"entities/{GATE}/attrs/open", OPEN)).status == 502


async def test_6_3_17_a_source_that_is_away_or_silent_is_never_a_success(store):
    async with running_api(store) as api:
        away = registration("http://127.0.0.1:9")
        assert (await api.post("csourceRegistrations", away)).status == 201
        assert (await api.patch(f"entities/{GATE}/attrs/open", OPEN)).status == 502


async def test_6_3_17_a_source_that_does_not_answer_in_time_is_a_timeout(store):
    async with a_gate(store, management={"timeout": 200}) as (api, source):
        source.patience = 2.0
        assert (await api.patch(f"entities/{GATE}/attrs/open", OPEN)).status == 504


async def test_4_3_6_5_what_the_registration_says_is_taken_from_the_request(store):
    info = [
        {"key": "Authorization", "value": "urn:ngsi-ld:request"},
        {"key": "X-Key", "value": "k1"},
        {"key": "X-Absent", "value": "urn:ngsi-ld:request"},
        {"key": "Content-Length", "value": "1"},
    ]
    async with a_gate(store, contextSourceInfo=info) as (api, source):
        answer = await api.patch(f"entities/{GATE}/attrs/open", OPEN, Authorization="Bearer t", Via="1.1 elsewhere")
        assert answer.status == 204
        headers = source.requests[0][3]
        assert headers["authorization"] == "Bearer t"
        assert headers["x-key"] == "k1"
        assert "x-absent" not in headers
        assert headers["via"].split(", ") == ["1.1 elsewhere", f"1.1 {api.broker.identity.alias_of('')}"]


async def test_5_2_34_a_source_that_is_to_answer_by_itself_is_told_so(store):
    async with a_gate(store, management={"localOnly": True}) as (api, source):
        assert (await api.patch(f"entities/{GATE}/attrs/open", OPEN)).status == 204
        assert source.requests[0][2] == {"local": "true"}


async def test_6_3_18_a_request_that_has_been_here_is_a_loop(store):
    async with a_gate(store) as (api, source):
        via = f"1.1 {api.broker.identity.alias_of('')}, 1.1 elsewhere"
        assert (await api.patch(f"entities/{GATE}/attrs/open", OPEN, Via=via)).status == 508
        assert source.requests == []


@pytest.mark.parametrize("mode", ["exclusive", "redirect"])
async def test_6_3_18_what_only_a_source_that_sent_it_holds_is_a_loop_and_not_written_here(store, mode):
    async with a_gate(store, mode=mode, contextSourceAlias="the-gates") as (api, source):
        for path, body in (("/attrs/open", OPEN), ("/attrs", {"open": OPEN})):
            answer = await api.patch(f"entities/{GATE}{path}", body, Via="1.1 the-gates")
            assert answer.status == 508, answer.body
        assert source.requests == []
        assert "open" not in (await api.get(f"entities/{GATE}")).json


async def test_4_3_6_4_of_several_sources_those_that_were_encountered_are_left_out(store):
    async with a_source() as other, a_gate(store, mode="redirect", contextSourceAlias="the-gates") as (api, source):
        more = {"id": f"{REGISTRATION}:2", "mode": "redirect", "contextSourceAlias": "others"}
        assert (await api.post("csourceRegistrations", registration(other.url, **more))).status == 201
        assert (await api.patch(f"entities/{GATE}/attrs/open", OPEN, Via="1.1 the-gates")).status == 204
        assert (len(source.requests), len(other.requests)) == (0, 1)


async def test_4_3_6_3_an_operation_that_the_source_does_not_take_is_a_conflict(store):
    async with a_gate(store) as (api, source):
        assert (await api.post(f"entities/{GATE}/attrs", {"open": OPEN})).status == 409
        assert (await api.patch(f"entities/{GATE}", {"open": OPEN})).status == 409
        assert source.requests == []


@pytest.mark.parametrize("batch", ["update", "upsert", "merge"])
async def test_4_3_6_3_no_other_operation_writes_here_what_is_held_elsewhere(store, batch):
    async with a_gate(store) as (api, _):
        path = f"entityOperations/{batch}" + ("?options=update" if batch == "upsert" else "")
        answer = await api.post(path, [{"id": GATE, "type": "SluiceGate", "open": OPEN}])
        assert answer.status in (207, 400, 409), answer.body
        assert b"held by the source" in answer.body
        assert "open" not in (await api.get(f"entities/{GATE}")).json
        local = await api.patch(f"entities/{GATE}/attrs?local=true", {"open": OPEN})
        assert local.status == 409


async def test_names_are_those_that_any_source_knows(store):
    async with a_gate(store) as (api, source):
        context = {"auf": "https://uri.etsi.org/ngsi-ld/default-context/open", "wer": "https://example.org/who"}
        fragment = {"@context": context, "auf": {"type": "Property", "value": {"wer": 1}, "wer": {"value": "me"}}}
        sent = {"Content-Type": "application/ld+json"}
        assert (await api.request("PATCH", f"entities/{GATE}/attrs", fragment, headers=sent)).status == 204
        assert source.requests[0][4] == {
            "open": {"type": "Property", "value": {"wer": 1}, "https://example.org/who": {"value": "me"}}
        }


async def test_an_idempotency_key_gets_the_same_answer_and_one_forwarded_request(store):
    async with a_gate(store) as (api, source):
        fragment = {"open": OPEN, "gateOpening": {"type": "Property", "value": 3}}
        for _ in range(2):
            answer = await api.patch(f"entities/{GATE}/attrs", fragment, Idempotency_Key='"k1"')
            assert answer.status == 204
        assert len(source.requests) == 1


async def test_6_5_3_4_a_merge_in_simplified_form_reaches_a_source_that_takes_merges(store):
    async with a_gate(store, operations=["mergeEntity"]) as (api, source):
        assert (await api.patch(f"entities/{GATE}?format=simplified", {"open": 40})).status == 204
        method, path, query, _, body = source.requests[0]
        assert (method, path) == ("PATCH", f"/ngsi-ld/v1/entities/{GATE}")
        assert query == {"format": "simplified"}
        assert body == {"open": 40}


async def test_5_12_a_redirect_for_one_type_leaves_entities_of_another_alone(store):
    async with a_source() as source, running_api(store) as api:
        lamp = {"id": "urn:ngsi-ld:Lamp:1", "type": "Lamp"}
        assert (await api.post("entities", lamp)).status == 201
        information = [{"entities": [{"type": "SluiceGate"}]}]
        redirect = registration(source.url, mode="redirect", information=information, operations=["redirectionOps"])
        assert (await api.post("csourceRegistrations", redirect)).status == 201
        power = {"power": {"type": "Property", "value": 1}}
        assert (await api.patch("entities/urn:ngsi-ld:Lamp:1/attrs", power)).status == 204
        assert source.requests == []
        assert (await api.patch(f"entities/{GATE}/attrs", {"open": OPEN})).status == 204
        assert len(source.requests) == 1


async def test_5_6_2_a_scope_that_could_not_be_set_beside_what_a_source_took_is_told(store):
    async with a_gate(store) as (api, source):
        assert (await api.delete(f"entities/{GATE}")).status == 204
        answer = await api.patch(f"entities/{GATE}/attrs", {"open": OPEN, "scope": "/north"})
        assert answer.status == 207, answer.body
        assert len(source.requests) == 1
        assert [left["attributeName"] for left in answer.json["notUpdated"]] == ["scope"]


async def test_6_3_17_what_a_source_says_is_told_only_as_far_as_it_can_be(store):
    async with a_gate(store) as (api, source):
        nested = "x"
        for _ in range(400):
            nested = [nested]
        source.answer = 409, {"detail": "no", "more": nested}
        answer = await api.patch(f"entities/{GATE}/attrs/open", OPEN)
        assert answer.status == 502
        assert answer.json["sourceStatus"] == 409
