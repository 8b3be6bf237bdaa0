"""Settings: what wins over what, and one clear sentence for each thing that can be wrong."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.settings import ABOUT, Settings, SettingsError, load_settings, parse_store, redacted


def load(
    tmp_path: Path,
    options: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    file: str | None = None,
) -> Settings:
    if file is not None:
        (tmp_path / "tsunagu.toml").write_text(file, "utf-8")
    return load_settings(options or {}, environ or {}, tmp_path)


def refusal(tmp_path: Path, **given: Any) -> str:
    with pytest.raises(SettingsError) as error:
        load(tmp_path, **given)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_defaults_listen_on_this_machine_only_and_keep_state_in_a_local_directory(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.host, settings.port, settings.store) == ("127.0.0.1", 1026, "sqlite:./tsunagu-data")
    assert settings.base_url == "http://localhost:1026"
    assert settings.max_body_bytes == 16 * 1024 * 1024


def test_command_line_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = 'port = 1111\nalias = "from-file"\nlog_level = "error"'
    environ = {"TSUNAGU_PORT": "2222", "TSUNAGU_ALIAS": "from-environment"}
    settings = load(tmp_path, {"port": "3333", "alias": None}, environ, file)
    assert (settings.port, settings.alias, settings.log_level) == (3333, "from-environment", "error")


def test_a_setting_given_by_command_line_hides_a_wrong_one_below_it(tmp_path: Path) -> None:
    assert load(tmp_path, {"port": "3333"}, {"TSUNAGU_PORT": "many"}).port == 3333


GIVEN = {
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("8080", 8080),
    "workers": ("3", 3),
    "store": ("sqlite::memory:", "sqlite::memory:"),
    "public_url": ("https://city.example/", "https://city.example"),
    "tls": ("sink.example ca=/ca.pem", "sink.example ca=/ca.pem"),
    "alias": ("kakogawa", "kakogawa"),
    "default_page_size": ("50", 50),
    "max_page_size": ("500", 500),
    "temporal_page_size": ("30", 30),
    "snapshot_lifetime": ("3600", 3600.0),
    "max_snapshot_lifetime": ("7200", 7200.0),
    "max_snapshots": ("3", 3),
    "max_streams": ("30", 30),
    "max_tenant_streams": ("3", 3),
    "adapters": ("feeds.toml", "feeds.toml"),
    "stream_origins": ("https://map.city.example", "https://map.city.example"),
    "max_body_bytes": ("4096", 4096),
    "max_requests_in_flight": ("200", 200),
    "max_bytes_in_flight": ("1000000", 1_000_000),
    "max_waiting_writes": ("5000", 5000),
    "value_indexes": ("12", 12),
    "memory_limit": ("536870912", 536_870_912),
    "egress": ("any", "any"),
    "validation": ("warn, AED@exercise=off", ("warn", "AED@exercise=off")),
    "models": ("./smart-data-models", "./smart-data-models"),
    "log_format": ("JSON", "json"),
    "log_level": ("debug", "debug"),
    "slow_request": ("2.5", 2.5),
}


@pytest.mark.parametrize("name", sorted(ABOUT))
def test_every_setting_can_be_set_at_each_of_the_three_places(tmp_path: Path, name: str) -> None:
    text, value = GIVEN[name]
    others = {"store": "mongodb://db.example/city"} if name == "workers" else {}
    assert getattr(load(tmp_path, others | {name: text}), name) == value
    assert getattr(load(tmp_path, others, {f"TSUNAGU_{name.upper()}": text}), name) == value
    assert getattr(load(tmp_path, others, file=f"{name} = {json.dumps(value)}"), name) == value


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert load(tmp_path, environ={"TSUNAGU_PORT": "", "TSUNAGU_CONFIG": ""}).port == 1026


def test_an_unknown_variable_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    message = refusal(tmp_path, environ={"TSUNAGU_PORTS": "1"})
    assert message == "TSUNAGU_PORTS in the environment is not a setting; do you mean TSUNAGU_PORT?"


def test_an_unknown_name_in_the_file_is_refused_with_the_files_name(tmp_path: Path) -> None:
    message = refusal(tmp_path, file="temporal-page-size = 3")
    assert (
        message
        == f"temporal-page-size in {tmp_path / 'tsunagu.toml'} is not a setting; do you mean temporal_page_size?"
    )


def test_variables_of_the_other_commands_and_of_kubernetes_are_no_settings(tmp_path: Path) -> None:
    environ = {
        "TSUNAGU_BROKER": "http://localhost:1026",
        "TSUNAGU_PORT": "tcp://10.0.0.7:1026",
        "TSUNAGU_SERVICE_HOST": "10.0.0.7",
        "TSUNAGU_SERVICE_PORT": "1026",
        "TSUNAGU_PORT_1026_TCP_ADDR": "10.0.0.7",
        "TSUNAGU_MONGO_SERVICE_HOST": "10.0.0.8",
    }
    assert load(tmp_path, environ=environ) == Settings()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"options": {"port": "70000"}}, "--port: '70000' is not a whole number from 0 to 65535"),
        ({"options": {"port": "1e3"}}, "--port: '1e3' is not a whole number from 0 to 65535"),
        (
            {"options": {"validation": "warn,strict"}},
            "--validation: 'warn,strict' has 'strict', "
            "which is no mode (off, warn, enforce) and no TYPE=MODE or TYPE@TENANT=MODE",
        ),
        (
            {"environ": {"TSUNAGU_PORT": "-1"}},
            "TSUNAGU_PORT in the environment: '-1' is not a whole number from 0 to 65535",
        ),
        ({"options": {"store": "postgres://db"}}, "--store: 'postgres://db' is not a store"),
        ({"options": {"store": "sqlite:"}}, "--store: 'sqlite:' names no path"),
        ({"options": {"store": "sqlite://data"}}, "--store: 'sqlite://data' names no path"),
        ({"options": {"store": "mongodb:///city"}}, "--store: 'mongodb:///city' names no host"),
        ({"options": {"store": "mongodb://h/a.b"}}, "--store: 'mongodb://h/a.b' has a database name"),
        ({"options": {"public_url": "city.example"}}, "--public-url: 'city.example' is not an http:// or https:// URL"),
        ({"options": {"public_url": "http://u:p@city.example"}}, "is not an http:// or https:// URL without user"),
        ({"options": {"public_url": "http://[::1"}}, "is not an http:// or https:// URL"),
        ({"options": {"alias": "two words"}}, "--alias: 'two words' is not a pseudonym"),
        ({"options": {"log_format": "xml"}}, "--log-format: 'xml' is not one of text, json"),
        ({"options": {"host": "http://localhost"}}, "--host: 'http://localhost' is not a host name"),
        ({"options": {"slow_request": "soon"}}, "--slow-request: 'soon' is not a number of seconds from 0.001 to 3600"),
        (
            {"options": {"default_page_size": "50", "max_page_size": "10"}},
            "default_page_size (50) is above max_page_size (10)",
        ),
        ({"options": {"workers": "0"}}, "--workers: '0' is not a whole number from 1 to 256"),
        (
            {"environ": {"TSUNAGU_WORKERS": "3"}, "options": {"store": "sqlite:./city"}},
            "TSUNAGU_WORKERS in the environment: 3 workers cannot share sqlite:./city, which one process holds alone",
        ),
        ({"options": {"egress": "10.0.0.0/33"}}, "--egress: '10.0.0.0/33'"),
        ({"file": "port = true"}, "tsunagu.toml: True is not a whole number"),
        ({"file": "port = [1]"}, "tsunagu.toml: [1] is not a whole number"),
        ({"file": "store = 5"}, "tsunagu.toml: 5 is not a text"),
        ({"file": "slow_request = nan"}, "tsunagu.toml: nan is not a number of seconds"),
        ({"file": "port 5"}, "tsunagu.toml: the file is not TOML"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place_and_its_reason(tmp_path: Path, given: Any, sentence: str) -> None:
    assert sentence in refusal(tmp_path, **given)


def test_a_refusal_never_shows_the_stores_password(tmp_path: Path) -> None:
    message = refusal(tmp_path, options={"store": "mongodb://city:s3cret@db.example/a.b?authSource=admin"})
    assert "s3cret" not in message
    assert "db.example" in message


def test_the_stores_password_is_not_in_the_representation(tmp_path: Path) -> None:
    settings = load(tmp_path, {"store": "mongodb://city:s3cret@db.example/city"})
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in repr(settings.store_address)
    assert settings.store_label == "mongodb://db.example/city"


def test_the_named_file_must_exist_and_the_unnamed_need_not(tmp_path: Path) -> None:
    assert load_settings({}, {}, tmp_path) == Settings()
    for environ, config, origin in (
        ({}, "city.toml", "--config city.toml"),
        ({"TSUNAGU_CONFIG": "city.toml"}, None, "TSUNAGU_CONFIG=city.toml"),
    ):
        with pytest.raises(SettingsError, match=re.escape(origin) + r": the file cannot be read \(No such file"):
            load_settings({}, environ, tmp_path, config)


def test_the_command_lines_file_wins_over_the_variables(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("port = 1")
    (tmp_path / "b.toml").write_text("port = 2")
    assert load_settings({}, {"TSUNAGU_CONFIG": "a.toml"}, tmp_path, "b.toml").port == 2
    assert load_settings({}, {"TSUNAGU_CONFIG": "a.toml"}, tmp_path).port == 1


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tsunagu.toml").write_bytes(b"alias = '\x83e\x83X\x83g'")
    with pytest.raises(SettingsError, match="not UTF-8"):
        load_settings({}, {}, tmp_path)


@pytest.mark.parametrize(
    ("text", "kind", "path", "database"),
    [
        ("sqlite:./tsunagu-data", "sqlite", "./tsunagu-data", ""),
        ("sqlite:/var/lib/tsunagu", "sqlite", "/var/lib/tsunagu", ""),
        ("sqlite::memory:", "sqlite", ":memory:", ""),
        ("mongodb://localhost:27017", "mongodb", "", "tsunagu"),
        ("mongodb://localhost:27017/?replicaSet=rs0", "mongodb", "", "tsunagu"),
        ("mongodb://a:1,b:2,c:3/city?replicaSet=rs0", "mongodb", "", "city"),
        ("mongodb+srv://u:p@cluster.example/city", "mongodb", "", "city"),
    ],
)
def test_store_addresses(text: str, kind: str, path: str, database: str) -> None:
    address = parse_store(text)
    assert (address.kind, address.path, address.database) == (kind, path, database)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_no_store_text_raises_anything_but_value_error(text: str) -> None:
    for prefix in ("", "sqlite:", "mongodb://", "mongodb+srv://u:p@"):
        try:
            address = parse_store(prefix + text)
        except ValueError:
            continue
        assert address.path or address.url


@given(st.text(max_size=40), st.sampled_from(sorted(ABOUT)))
def test_no_text_for_a_setting_raises_anything_but_settings_error(text: str, name: str) -> None:
    refused = ""
    try:
        load_settings({name: text}, {}, Path("/nonexistent"))
    except SettingsError as error:
        refused = str(error)
    assert not refused or refused.startswith("--" + name.replace("_", "-"))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://localhost:1026"),
        ("0.0.0.0", "http://localhost:1026"),
        ("192.0.2.7", "http://192.0.2.7:1026"),
        ("2001:db8::7", "http://[2001:db8::7]:1026"),
        ("city.example", "http://city.example:1026"),
    ],
)
def test_without_a_public_url_the_base_url_comes_from_the_host(host: str, url: str) -> None:
    assert Settings(host=host).base_url == url
    assert Settings(host=host, public_url="https://city.example/broker").base_url == "https://city.example/broker"


def test_the_made_alias_is_a_token_that_fits_into_a_via_header() -> None:
    assert re.fullmatch(r"tsunagu-[0-9A-Za-z.-]+-1026", Settings().via_alias)
    assert Settings(alias="hyogo-kakogawa").via_alias == "hyogo-kakogawa"


def test_redacted_leaves_other_texts_alone() -> None:
    assert redacted("sqlite:./data") == "sqlite:./data"
    assert redacted("mongodb://u:p@h:1,h2:2/x?a=b") == "mongodb://h:1,h2:2/x"
