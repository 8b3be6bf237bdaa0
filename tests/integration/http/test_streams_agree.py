"""A stream tells exactly what a subscription with the same filters is notified of, in every form (5.2.12, 5.8.6)."""

from urllib.parse import urlencode

import pytest
from event_stream import event_source
from snapshot_receiver import receiving

from broker.http import streams as resource

TOKYO = {"type": "Polygon", "coordinates": [[[139, 35], [140, 35], [140, 36], [139, 36], [139, 35]]]}


def prop(value, **more):
    return {"type": "Property", "value": value, **more}


def place(longitude, latitude):
    return {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [longitude, latitude]}}


DEVICE, PUMP = "urn:ngsi-ld:Device:1", "urn:ngsi-ld:Pump:2"


async def live(api):
    """Changes of every kind."""
    steps = [
        await api.post("entities", {"id": "urn:ngsi-ld:City:1", "type": "City", "name": prop("Kobe")}),
        await api.post(
            "entities",
            {
                "id": DEVICE,
                "type": ["Device", "Sensor"],
                "scope": "/Hyogo/Kobe",
                "level": prop(5, unitCode="MTR"),
                "name": {"type": "LanguageProperty", "languageMap": {"ja": "川", "en": "river"}},
                "location": place(139.7, 35.7),
                "city": {"type": "Relationship", "object": "urn:ngsi-ld:City:1"},
            },
        ),
        await api.post("entities", {"id": PUMP, "type": "Pump", "level": prop(50), "location": place(135.2, 34.7)}),
        await api.patch(f"entities/{DEVICE}/attrs", {"level": prop(15)}),
        await api.patch(f"entities/{DEVICE}/attrs", {"level": prop(15)}),
        await api.post(f"entities/{DEVICE}/attrs", {"level": prop(7, datasetId="urn:d:2"), "note": prop("x")}),
        await api.patch(f"entities/{PUMP}", {"level": prop(3), "location": place(139.5, 35.5)}),
        await api.delete(f"entities/{DEVICE}/attrs/note"),
        await api.delete(f"entities/{DEVICE}/attrs/level?deleteAll=true"),
        await api.put(f"entities/{PUMP}", {"id": PUMP, "type": "Pump", "level": prop(70), "note": prop("new")}),
        await api.delete(f"entities/{PUMP}"),
        await api.delete(f"entities/{DEVICE}"),
    ]
    assert [answer.status for answer in steps] == [201, 201, 201, 204, 204, 204, 204, 204, 204, 204, 204, 204]


ALL = ["entityCreated", "entityUpdated", "entityDeleted"]

TABLE = [
    ({"type": "Device"}, {"entities": [{"type": "Device"}]}),
    ({"type": "(Device;Sensor)|Pump"}, {"entities": [{"type": "(Device;Sensor)|Pump"}]}),
    ({}, {"localOnly": True}),
    ({"id": f"{DEVICE},{PUMP}"}, {"localOnly": True, "entities": [{"id": [DEVICE, PUMP], "type": "*"}]}),
    ({"idPattern": ".*:Pump:.*"}, {"localOnly": True, "entities": [{"idPattern": ".*:Pump:.*", "type": "*"}]}),
    ({"watchedAttributes": "level,note"}, {"watchedAttributes": ["level", "note"]}),
    ({"attrs": "note", "type": "Device"}, {"watchedAttributes": ["note"], "entities": [{"type": "Device"}]}),
    ({"q": "level>10"}, {"localOnly": True, "q": "level>10"}),
    ({"q": 'city{City:name}=="Kobe"'}, {"localOnly": True, "q": 'city{City:name}=="Kobe"'}),
    ({"scopeQ": "/Hyogo/#"}, {"localOnly": True, "scopeQ": "/Hyogo/#"}),
    (
        {"georel": "within", "geometry": "Polygon", "coordinates": str(TOKYO["coordinates"])},
        {"localOnly": True, "geoQ": {"georel": "within", "geometry": "Polygon", "coordinates": TOKYO["coordinates"]}},
    ),
    ({"notificationTrigger": ",".join(ALL)}, {"localOnly": True, "notificationTrigger": ALL}),
    (
        {"notificationTrigger": "attributeDeleted", "showChanges": "true"},
        {"localOnly": True, "notificationTrigger": ["attributeDeleted"], "notification": {"showChanges": True}},
    ),
    (
        {"type": "Device", "format": "concise", "options": "sysAttrs", "notificationTrigger": ",".join(ALL)},
        {
            "entities": [{"type": "Device"}],
            "notificationTrigger": ALL,
            "notification": {"format": "concise", "sysAttrs": True},
        },
    ),
    (
        {"format": "simplified", "pick": "id,level,name", "lang": "ja"},
        {"localOnly": True, "lang": "ja", "notification": {"format": "simplified", "pick": ["id", "level", "name"]}},
    ),
    ({"omit": "location"}, {"localOnly": True, "notification": {"omit": ["location"]}}),
    ({"datasetId": "urn:d:2"}, {"localOnly": True, "datasetId": ["urn:d:2"]}),
    (
        {"type": "Device", "join": "inline", "joinLevel": "1"},
        {"entities": [{"type": "Device"}], "notification": {"join": "inline", "joinLevel": 1}},
    ),
    (
        {"accept": "application/geo+json", "format": "keyValues"},
        {"localOnly": True, "notification": {"format": "keyValues", "endpoint": {"accept": "application/geo+json"}}},
    ),
    (
        {"accept": "application/ld+json"},
        {"localOnly": True, "notification": {"endpoint": {"accept": "application/ld+json"}}},
    ),
]


@pytest.mark.parametrize("past", [False, True], ids=["live", "resumed"])
async def test_a_stream_tells_what_a_subscription_is_notified_of(api, past, monkeypatch):
    monkeypatch.setattr(resource, "HEARTBEAT_SECONDS", 0.05)  # how a client learns that there is no more
    async with receiving() as receiver:
        names = {}
        for number, (_, members) in enumerate(TABLE):
            notification = dict(members.get("notification", {}))
            uri = {"uri": f"{receiver.url}/{number}"}
            notification["endpoint"] = {**notification.get("endpoint", {}), **uri}
            answer = await api.post("subscriptions", {"type": "Subscription", **members, "notification": notification})
            assert answer.status == 201, answer.body
            names[answer.headers["Location"].rsplit("/", 1)[1]] = number
        if past:
            await live(api)
            told = [await followed(api, parameters, "0") for parameters, _ in TABLE]
        else:
            told = await followed_live(api)
        # What a subscription is notified of side by side may arrive in another order: that of each entity's changes is kept.
        expected = [len(events) for events in told]
        notified = await receiver.wait(sum(expected))
        assert sum(expected) > len(TABLE) * 2
        by_filter = {number: [] for number in range(len(TABLE))}
        for one in notified:
            by_filter[names[one.body["subscriptionId"]]].append(one.body["data"])
        for number, (parameters, _) in enumerate(TABLE):
            assert sorted(map(repr, by_filter[number])) == sorted(map(repr, told[number])), parameters
            assert told[number], parameters
        assert len(receiver.received) == sum(expected)


async def followed(api, parameters, last_id):
    """All that a stream tells up to the head of the log."""
    async with event_source(api.session, api.url, urlencode(parameters), last_id) as source:
        return await up_to_the_head(api, source)


async def up_to_the_head(api, source):
    told, head = [], await api.broker.store.head()
    while True:
        try:
            event = await source.next(0.1)
        except TimeoutError:
            if int(source.last_id) < head:
                continue
            return told
        assert event is not None
        assert event.name == "message", event
        assert (event.data["type"], int(event.id) > 0) == ("Notification", True)
        told.append(event.data["data"])


async def followed_live(api):
    sources = [event_source(api.session, api.url, urlencode(parameters)) for parameters, _ in TABLE]
    opened = [await source.__aenter__() for source in sources]
    try:
        await live(api)
        return [await up_to_the_head(api, source) for source in opened]
    finally:
        for source in sources:
            await source.__aexit__(None, None, None)
