"""Grammar-based fuzzing of the whole API (5.5.4, 6.3.2): whatever comes in, no answer is a 5xx and every error is explained.

Requests are made from the API's own grammar (its routes, parameters, documents) and then damaged: wrong types, strange
strings, deep nesting, swapped members, hostile expressions. They go through the real binding, operations and store.
"""

import asyncio
import math

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.app import open_broker, store_opened
from broker.http.binding import Binding
from broker.http.exchange import API_ROOT, OWN_ROOT, PageSizes
from broker.http.message import Request
from broker.http.routes import ENDPOINTS, OWN_ENDPOINTS
from broker.settings import Settings
from broker.store.sqlite.store import SqliteStore

CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"
KNOWN_IDS = [f"urn:ngsi-ld:Fuzz:{number}" for number in range(4)]

odd_text = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "\x00",
            "null",
            "urn:ngsi-ld:null",
            "@none",
            "@id",
            "@type",
            "@context",
            "__proto__",
            "$where",
            "a.b",
            "é",
            "名前",
            "'; DROP TABLE entities; --",
            "%00",
            "../../etc/passwd",
            "\u202e",
            "😀" * 50,
            "a" * 5000,
            "-1",
            "1e999",
            "id",
            "type",
            "scope",
            "createdAt",
            "{",
            "}",
            "[",
            "(",
            "\\",
            '"',
            "*",
            "(a+)+$",
            "(?=x)",
            "[[:alpha:]]",
            "x{1000}{1000}",
        ]
    ),
    st.text(max_size=20),
)
numbers = st.one_of(
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, -0.0, 1e308, 2**53 + 1]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, odd_text)
any_json = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(odd_text, inner, max_size=4), max_leaves=12
)
names = st.sampled_from(
    ["level", "name", "near", "location", "scope", "type", "id", "https://example.org/x", "a b", "ex:y", "observedAt"]
)
ids = st.one_of(
    st.sampled_from(KNOWN_IDS), st.sampled_from(["nonsense", "urn:", "http://[bad", "urn:ngsi-ld:Fuzz:%zz"]), odd_text
)
instants = st.sampled_from(
    ["2020-01-01T00:00:00Z", "2020-01-01", "2099-12-31T23:59:59,5Z", "yesterday", "2020-13-01T00:00:00Z"]
)
geometries = st.sampled_from(
    [
        {"type": "Point", "coordinates": [0, 0]},
        {"type": "Point", "coordinates": [1e300, -1e300]},
        {"type": "Point", "coordinates": []},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [0, 0], [0, 0], [0, 0]]]},
        {"type": "LineString", "coordinates": [[0, 0]]},
        {"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [1, 1], [0, 0]]]]},
        {"type": "GeometryCollection", "geometries": []},
        '{"type":"Point","coordinates":[1,2]}',
        {"type": "Pint", "coordinates": [0, 0]},
    ]
)
attributes = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(
                [
                    "Property",
                    "Relationship",
                    "GeoProperty",
                    "LanguageProperty",
                    "VocabProperty",
                    "ListProperty",
                    "ListRelationship",
                    "JsonProperty",
                    "Propety",
                ]
            ),
            "value": st.one_of(any_json, geometries),
            "object": st.one_of(ids, st.lists(ids, max_size=2), any_json),
            "languageMap": st.one_of(
                st.dictionaries(st.sampled_from(["en", "@none", "", "xx"]), any_json, max_size=2), any_json
            ),
            "vocab": any_json,
            "valueList": any_json,
            "objectList": st.one_of(st.lists(st.fixed_dictionaries({"object": ids}), max_size=2), any_json),
            "json": any_json,
            "datasetId": ids,
            "observedAt": instants,
            "unitCode": scalars,
            "expiresAt": instants,
            "accuracy": any_json,
        },
    ),
    any_json,
    geometries,
)
entities = st.dictionaries(names, st.one_of(attributes, st.lists(attributes, max_size=2)), max_size=3).flatmap(
    lambda extra: st.fixed_dictionaries(
        {}, optional={"id": ids, "type": st.one_of(names, st.lists(names, max_size=2), any_json), "expiresAt": instants}
    ).map(lambda head: {**extra, **head})
)
subscriptions = st.fixed_dictionaries(
    {},
    optional={
        "id": ids,
        "type": st.sampled_from(["Subscription", "Sub"]),
        "entities": st.one_of(
            st.lists(st.dictionaries(st.sampled_from(["id", "type", "idPattern"]), odd_text, max_size=2), max_size=2),
            any_json,
        ),
        "watchedAttributes": st.one_of(st.lists(names, max_size=2), any_json),
        "q": odd_text,
        "geoQ": any_json,
        "timeInterval": numbers,
        "throttling": scalars,
        "expiresAt": instants,
        "isActive": scalars,
        "notificationTrigger": any_json,
        "notification": st.one_of(
            st.fixed_dictionaries(
                {},
                optional={
                    "endpoint": st.one_of(
                        st.fixed_dictionaries({"uri": st.sampled_from(["http://127.0.0.1:9/x", "ftp://x", "mqtt://"])}),
                        any_json,
                    ),
                    "format": odd_text,
                    "attributes": any_json,
                    "pick": any_json,
                    "showChanges": scalars,
                    "join": odd_text,
                    "joinLevel": scalars,
                },
            ),
            any_json,
        ),
    },
)
queries = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["Query", "Entity"]),
        "entities": any_json,
        "q": odd_text,
        "geoQ": any_json,
        "scopeQ": odd_text,
        "attrs": any_json,
        "pick": any_json,
        "ordering": any_json,
        "join": odd_text,
        "joinLevel": scalars,
        "datasetId": any_json,
        "lang": odd_text,
    },
)
expressions = st.one_of(
    odd_text,
    st.sampled_from(
        [
            "level>1",
            "level==1..2",
            "(level>1;name)|near",
            "near{Fuzz:level}>1",
            "level[a.b]==1",
            'name~="("',
            'name!~="a*"',
            "level==",
            "((((",
            "level;;name",
            "createdAt>2020-01-01T00:00:00Z",
            "level==1,2,3",
            "a.b.c.d",
            "near{near{near{level}}}==1",
            "Fuzz|(A;B)",
            "/a/+/#",
            "[0,0]",
            "[[[0,0],[1,1],[1,0],[0,0]]]",
            "near;maxDistance==1e5",
            "within",
            "Point",
            "Polygon",
            "level;desc",
            "true",
            "1",
            "keyValues",
            "sysAttrs",
            "concise",
            "inline",
            "flat",
            "en,*;q=0.5",
            "und-u-ks-level1",
            "location;dist-asc",
            "normalized",
        ]
    ),
)
bodies = st.one_of(
    st.one_of(
        entities, attributes, st.lists(st.one_of(entities, ids), max_size=3), subscriptions, queries, any_json
    ).map(lambda value: orjson.dumps(value) if _finite(value) else b"{}"),
    st.binary(max_size=40),
    st.sampled_from([b"", b"{", b"[" * 500 + b"]" * 500, b'{"a":' * 200 + b"1" + b"}" * 200]),
)


def _finite(value):
    """Whether orjson can write a value: no integer beyond 64 bits, no lone surrogate."""
    if isinstance(value, dict):
        return all(_finite(key) and _finite(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(_finite, value))
    if isinstance(value, str):
        return not any(0xD800 <= ord(character) <= 0xDFFF for character in value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    return not isinstance(value, float) or math.isfinite(value)


RESOURCES = [
    (root, template, verbs)
    for root, endpoints in ((API_ROOT, ENDPOINTS), (OWN_ROOT, OWN_ENDPOINTS))
    for template, verbs in sorted(endpoints.items())
]


@st.composite
def requests(draw):
    root, template, verbs = draw(st.sampled_from(RESOURCES))
    method = draw(st.sampled_from(sorted(verbs)))
    segments = []
    for segment in template.split("/"):
        if not segment.startswith("{"):
            segments.append(segment)
        elif segment in ("{attrId}", "{type}"):
            segments.append(draw(st.one_of(names, odd_text)))
        else:
            segments.append(draw(ids))
    path = f"{root}/" + "/".join(segment.replace("/", "%2F") for segment in segments)
    allowed = sorted(verbs[method].parameters | {"bogus"})
    query = draw(st.lists(st.tuples(st.sampled_from(allowed), expressions), max_size=4, unique_by=lambda pair: pair[0]))
    if draw(st.booleans()) and "type" in allowed and not any(name == "type" for name, _ in query):
        query.append(("type", "Fuzz"))
    headers = draw(
        st.fixed_dictionaries(
            {"content-type": st.sampled_from(["application/json", "application/json", "application/ld+json"])},
            optional={
                "accept": st.sampled_from(
                    ["application/json", "application/ld+json", "application/geo+json", "*/*;q=x", ";;,"]
                ),
                "ngsild-tenant": st.one_of(st.just("fuzz"), odd_text),
                "link": st.sampled_from([f'<{CORE}>; rel="http://www.w3.org/ns/json-ld#context"', "<<<>", ""]),
                "prefer": odd_text,
            },
        )
    )
    body = draw(bodies) if method in ("POST", "PATCH", "PUT") else b""
    return Request(method, path, query, headers, body)


@pytest.fixture(scope="module")
def fuzzed():
    """A broker in a loop of its own, kept over all examples so that they meet each other's state."""
    runner = asyncio.Runner()
    store = SqliteStore(":memory:")
    stack = []

    async def start():
        opened = store_opened(store)
        await opened.__aenter__()
        running = open_broker(store, Settings(port=0))
        broker = await running.__aenter__()
        stack.extend([running, opened])
        binding = Binding(broker, PageSizes())
        for number, entity_id in enumerate(KNOWN_IDS):
            entity = {
                "id": entity_id,
                "type": "Fuzz",
                "level": {"type": "Property", "value": number},
                "near": {"type": "Relationship", "object": KNOWN_IDS[0]},
                "name": {"type": "LanguageProperty", "languageMap": {"en": "x"}},
                "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [number, 0]}},
            }
            headers = {"content-type": "application/json"}
            response, _ = await binding.answer(
                Request("POST", "/ngsi-ld/v1/entities", [], headers, orjson.dumps(entity))
            )
            assert response.status == 201
        return binding

    async def stop():
        for context in stack:
            await context.__aexit__(None, None, None)

    binding = runner.run(start())
    yield runner, binding
    runner.run(stop())
    runner.close()


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests())
def test_no_request_is_answered_with_a_5xx_and_every_error_says_what_is_wrong(fuzzed, received):
    runner, binding = fuzzed
    response, _ = runner.run(asyncio.wait_for(binding.answer(received), 10))
    assert response.status < 500 or response.status == 504, (received, response.body)
    if response.status >= 400 and response.body:
        problem = orjson.loads(response.body)
        assert problem["type"].startswith("https://uri.etsi.org/ngsi-ld/errors/")
        assert problem["title"]
        assert problem["detail"]
        assert problem["title"] != problem["detail"]
