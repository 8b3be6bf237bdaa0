"""The file that says what runs: what it may say, and how it is told what is wrong."""

import pytest

from adapters.errors import InvalidFeeds
from adapters.feeds import Files, Mqtt, Poll, Push, parse_feeds, read_feeds

GOOD = """
[runner]
broker = "http://localhost:1026"
tenant = "city"

[feeds.shelters]
adapter = "table"
licence = "CC-BY-4.0"
files = {path = "in/*.csv"}
options = {municipality = "222127"}

[feeds.open-data]
adapter = "table"
tenant = "other"
poll = {url = "https://user:pass@data.city.example/aed.csv?key=1", every = 3600}

[feeds.door]
adapter = "table"
push = {keys = ["env:DOOR_KEY"]}
channels = {exercise = "drill"}

[feeds.lora]
adapter = "table"
in_turn = false
mqtt = {host = "mqtt.city.example", topics = ["application/+/device/+/event/up"], tls = true, authority = "ca.pem"}
"""


def test_a_file_of_feeds_is_read_whole(tmp_path):
    file = tmp_path / "adapters.toml"
    file.write_text(GOOD)
    feeds = read_feeds(file, {"DOOR_KEY": "a-long-enough-key"})
    shelters, data, door, lora = feeds.feeds
    assert (shelters.tenant, data.tenant) == ("city", "other")
    assert shelters.options.municipality == "222127"
    assert shelters.transport == Files(str(tmp_path / "in/*.csv"))
    assert isinstance(data.transport, Poll)
    assert data.source_of("x") == "https://data.city.example/aed.csv"
    assert data.source_of("https://u:p@data.city.example/1.csv?key=2") == "https://data.city.example/1.csv"
    assert door.transport == Push(("a-long-enough-key",))
    assert (door.tenant_of(""), door.tenant_of("exercise"), door.tenant_of("test")) == ("city", "drill", None)
    assert isinstance(lora.transport, Mqtt)
    assert lora.transport.authority == str(tmp_path / "ca.pem")
    assert [(feed.in_turn, feed.lasting) for feed in feeds.feeds] == [
        (False, False),
        (False, False),
        (True, True),
        (False, True),
    ]
    assert feeds.state_folder == tmp_path / "tsunagu-adapters"
    assert shelters.source_of("/srv/in/aed.csv") == "aed.csv"


def feed(**members):
    return {"feeds": {"a": {"adapter": "table", "files": {"path": "x"}, **members}}}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "there is no feed"),
        ({"feed": {}}, r"no table \[feed\]"),
        (feed(adapter="tabel"), r"\[feeds.a\]: no adapter is called 'tabel'; do you mean table\?"),
        (feed(licence=1), "'licence' must be a text"),
        (feed(license="x"), r"no option 'license'; do you mean licence\?"),
        (feed(files={"path": "x", "evry": 3}), r"\[feeds.a\].files: there is no option 'evry'; do you mean every"),
        (feed(push={"keys": ["12345678"]}), "it needs one of files, poll, push, mqtt, and has files and push"),
        (feed(options={"municipalty": "222127"}), r"\[feeds.a\].options: .* do you mean municipality"),
        (feed(tenant="env:NOBODY"), "NOBODY is not set in the environment"),
        (feed(channels={"exercise": ""}), "has the name of a tenant"),
        ({"feeds": {"A b": {}}}, "small letters"),
        ({"feeds": {"a": {"adapter": "table"}}}, "has none"),
        ({"feeds": {"a": {"adapter": "table", "push": {"keys": ["short"]}}}}, "at least 8 characters"),
        ({"feeds": {"a": {"adapter": "table", "poll": {"url": "ftp://x"}}}}, "must begin with http"),
        ({"feeds": {"a": {"adapter": "table", "poll": {"url": "http://x", "every": 0.1}}}}, "at least 1 second"),
        ({"feeds": {"a": {"adapter": "table", "mqtt": {"host": "x", "topics": []}}}}, "at least one topic"),
        (
            {"feeds": {"a": {"adapter": "table", "mqtt": {"host": "x", "topics": ["t"], "qos": 2}}}},
            "qos must be 0 or 1",
        ),
        ({"feeds": {"a": {"adapter": "table", "mqtt": {"host": "x", "topics": ["t"], "key": "k"}}}}, "come together"),
        ({"runner": {"broker": "localhost"}, **feed()}, "must begin with http"),
        ({"runner": [], **feed()}, "runner must be a table"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(document, words, tmp_path):
    with pytest.raises(InvalidFeeds, match=words):
        parse_feeds(document, tmp_path)


def test_a_file_that_is_no_toml_or_not_there_is_told(tmp_path):
    with pytest.raises(InvalidFeeds, match=r"cannot be read: No such file"):
        read_feeds(tmp_path / "x.toml")
    (tmp_path / "y.toml").write_text("[feeds")
    with pytest.raises(InvalidFeeds, match="is no TOML file"):
        read_feeds(tmp_path / "y.toml")


def test_a_number_may_be_in_the_environment_too(tmp_path):
    mqtt = {
        "host": "env:MQTT_HOST",
        "port": "env:MQTT_PORT",
        "tls": "env:MQTT_TLS",
        "topics": ["a/+"],
        "password": "env:PIN",
    }
    document = {"feeds": {"a": {"adapter": "table", "mqtt": mqtt}}}
    environ = {"MQTT_HOST": "mqtt.city.example", "MQTT_PORT": "18830", "MQTT_TLS": "true", "PIN": "0042"}
    (found,) = parse_feeds(document, tmp_path, environ).feeds
    transport = found.transport
    assert (transport.host, transport.port, transport.tls, transport.password) == (
        "mqtt.city.example",
        18830,
        True,
        "0042",
    )
    with pytest.raises(InvalidFeeds, match="'port' must be a whole number; what the environment has is none") as told:
        parse_feeds(document, tmp_path, environ | {"MQTT_PORT": "hunter2"})
    assert "hunter2" not in str(told.value)


def test_a_profile_is_found_beside_the_file_and_read_before_anything_runs(tmp_path):
    (tmp_path / "lights.yaml").write_text(
        "profile: lights/own\nmodel: PublicFacility\nsignature: [灯具]\nkey: [name]\ncolumns: {番号: {to: name}}\n"
    )
    (found,) = parse_feeds(feed(options={"profile": "lights.yaml"}), tmp_path).feeds
    assert found.options.profile == str(tmp_path / "lights.yaml")
    with pytest.raises(InvalidFeeds, match=r"\[feeds.a\].options: profile: .* cannot be read"):
        parse_feeds(feed(options={"profile": "nowhere.yaml"}), tmp_path)


def test_a_municipality_is_a_code_whose_check_digit_is_right(tmp_path):
    (found,) = parse_feeds(feed(options={"municipality": "22212"}), tmp_path).feeds
    assert found.options.municipality == "222127"
    with pytest.raises(InvalidFeeds, match=r"municipality: '222128' is no code"):
        parse_feeds(feed(options={"municipality": "222128"}), tmp_path)
