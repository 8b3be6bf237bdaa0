"""The file that says what runs: the runner's settings, and one table for each feed.

    [runner]
    broker = "http://localhost:1026"

    [feeds.shelters]
    adapter = "table"
    licence = "CC-BY-4.0"
    files = {path = "in/shelters/*.csv"}
    options = {municipality = "222127"}

A feed has one transport: `files`, `poll`, `push` or `mqtt`; the table [iot] is for devices, and has feeds of its own. Paths are
relative to the file. A secret, and what is another on each machine, is best given as "env:NAME": it is taken from the
environment. docs/adapters.md has all settings.
"""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit

from adapters.actuation.policy import Policy, parse_policy
from adapters.contract import Adapter
from adapters.errors import InvalidFeeds, InvalidOptions, UnknownAdapter
from adapters.iot.settings import IOT_FEEDS, IOT_TOPICS, Iot, check_iot
from adapters.lorawan.fleet import Fleet, parse_fleet
from adapters.options import FromEnvironment, NoOptions, Options, option, read_options
from adapters.provenance import public_source
from adapters.registry import adapter_named

_NAME: Final = re.compile("[a-z0-9][a-z0-9_-]{0,63}")
_ENVIRONMENT: Final = "env:"
_TABLES: Final = frozenset({"runner", "feeds", "commands", "iot", "lorawan"})

OptionsT = TypeVar("OptionsT", bound=Options)


@dataclass(frozen=True, slots=True)
class RunnerSettings(Options):
    """What holds for all feeds."""

    broker: str = option("URL of the NGSI-LD broker; inside `tsunagu serve`, that broker", "")
    tenant: str | None = option("tenant of feeds that name none", None)
    state: str = option("directory of the journal: what came in, and how far each feed is", "./tsunagu-adapters")
    contact: str = option("how those who are asked by HTTP can reach you: an e-mail address or a URL", "")
    metrics_port: int = option("port of /metrics and /health of a runner that is alone; 0: none", 0)
    push_host: str = option("address on which pushes are taken", "127.0.0.1")
    push_port: int = option("port on which pushes are taken; 0 takes a free one", 8026)
    keep_runs: int = option("runs of a feed that are remembered, here and as AdapterRun entities", 100)
    keep_inputs: int = option("inputs of a feed whose bytes are kept", 1000)


@dataclass(frozen=True, slots=True)
class Files(Options):
    """Files that are read when they appear or change."""

    path: str = option("a file, a directory, or a pattern such as in/*.csv", path=True)
    every: float = option("seconds between two looks", 5.0)
    settle: float = option("seconds that a file must have been left alone", 1.0)


@dataclass(frozen=True, slots=True)
class Poll(Options):
    """A resource that is fetched again and again."""

    url: str = option("what is fetched")
    every: float = option("seconds between two fetches", 600.0)
    headers: Mapping[str, str] = option("further request headers", MappingProxyType({}))
    hosts: tuple[str, ...] = option(
        "other hosts to which redirects and links of an index may lead; they get no headers", ()
    )
    pause: float = option("seconds between two requests for links of an index", 1.0)
    most_bytes: int = option("largest body that is taken", 64 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Push(Options):
    """A door to which others send: POST to /in/NAME on the runner's push port."""

    keys: tuple[str, ...] = option("keys, one of which a sender must give; see docs/adapters.md")
    most_bytes: int = option("largest body that is taken", 16 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Mqtt(Options):
    """Topics of an MQTT broker."""

    host: str = option("where the MQTT broker is")
    topics: tuple[str, ...] = option("topics, with + and # as wildcards")
    port: int | None = option("its port; else 1883, with TLS 8883", None)
    qos: int = option("0, or 1: nothing is lost while the runner is away", 1)
    version: Literal["5", "3.1.1"] = option("version of MQTT", "5")
    username: str | None = option("user name", None)
    password: str | None = option("password", None)
    client_id: str | None = option("client id; else one of the runner's own that stays the same", None)
    tls: bool = option("whether the connection is encrypted", False)
    authority: str | None = option(
        "PEM file of the authority that vouches for the MQTT broker; else the system's", None, path=True
    )
    certificate: str | None = option("PEM file of a client certificate", None, path=True)
    key: str | None = option("PEM file of its key", None, path=True)


Transport: TypeAlias = Files | Poll | Push | Mqtt | Iot
TRANSPORTS: Final[Mapping[str, type[Transport]]] = MappingProxyType(
    {"files": Files, "poll": Poll, "push": Push, "mqtt": Mqtt}
)


@dataclass(frozen=True, slots=True)
class _FeedTable(Options):
    """The members of a feed's table that are no tables themselves."""

    adapter: str = option("name of the adapter")
    tenant: str | None = option("tenant that the entities go to", None)
    source: str = option("what entities say that they come from; else the transport's address", "")
    provider: str = option("who provides the data", "")
    licence: str = option("under which licence", "")
    in_turn: bool | None = option(
        "whether each reading becomes the state, one by one; else the newest of an input", None
    )
    lasting: bool | None = option("whether a run goes on for an hour; else each input is a run", None)


@dataclass(frozen=True, slots=True)
class Feed:
    """One feed: an adapter with its options behind a transport, and where its entities go."""

    name: str
    adapter: Adapter[Any]
    options: Options
    transport: Transport
    tenant: str | None = None
    channels: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    provider: str = ""
    licence: str = ""
    in_turn: bool = False
    lasting: bool = False

    def tenant_of(self, channel: str) -> str | None:
        """The tenant for what comes on a channel; None where there is none for it. The live channel's is `tenant`."""
        return self.channels.get(channel) if channel else self.tenant

    def source_of(self, address: str) -> str:
        """What entities from this address may say that they come from."""
        if self.source:
            return self.source
        match self.transport:
            case Poll():  # what an index named has an address of its own
                return public_source(address if "://" in address else self.transport.url)
            case Files():
                return public_source(address)
            case Push():
                return f"push:{self.name}"
            case Mqtt():
                return f"mqtt://{self.transport.host}"
            case Iot():
                return f"iot:{self.name}"


@dataclass(frozen=True, slots=True)
class Feeds:
    """All that one file says."""

    runner: RunnerSettings
    feeds: tuple[Feed, ...]
    folder: Path
    commands: Policy | None = None
    fleets: tuple[Fleet, ...] = ()
    iot: Iot | None = None

    @property
    def iot_mqtt(self) -> Mqtt | None:
        """The MQTT broker of the devices, if they have one."""
        if self.iot is None or not self.iot.mqtt:
            return None
        mqtt = _read(Mqtt, {**self.iot.mqtt, "topics": IOT_TOPICS}, "[iot.mqtt]", self.folder)
        _check(mqtt, "[iot.mqtt]")
        return mqtt

    @property
    def state_folder(self) -> Path:
        """Where the journal is."""
        return self.folder / self.runner.state

    def named(self, name: str) -> Feed:
        """The feed of that name. Raises InvalidFeeds."""
        for feed in self.feeds:
            if feed.name == name:
                return feed
        raise InvalidFeeds(f"There is no feed {name!r}; there are {', '.join(feed.name for feed in self.feeds)}.")


def read_feeds(path: Path, environ: Mapping[str, str] = os.environ) -> Feeds:
    """What a TOML file says. Raises InvalidFeeds, whose message names the file and the place in it."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidFeeds(f"{path} cannot be read: {error.strerror or error}.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidFeeds(f"{path} is no TOML file: {error}.") from None
    return parse_feeds(document, path.resolve().parent, environ, str(path))


def parse_feeds(
    document: Mapping[str, Any], folder: Path, environ: Mapping[str, str] = MappingProxyType({}), name: str = "feeds"
) -> Feeds:
    """The same for a document in memory. Raises InvalidFeeds."""
    if unknown := set(document) - _TABLES:
        raise InvalidFeeds(
            f"{name}: there is no table [{min(unknown)}]; there are [runner], [feeds.NAME], [commands], [iot] and [lorawan.NAME]."
        )
    runner = _read(RunnerSettings, _secrets(_table(document, "runner", name), environ, name), f"{name}, [runner]")
    if runner.broker and not runner.broker.startswith(("http://", "https://")):
        raise InvalidFeeds(f"{name}, [runner]: broker must begin with http:// or https://.")
    tables = _table(document, "feeds", name)
    commands = None
    if "commands" in document:
        where = f"{name}, [commands]"
        commands = parse_policy(_secrets(_table(document, "commands", name), environ, where), where)
    if not tables and commands is None and "iot" not in document:
        raise InvalidFeeds(f"{name}: there is no feed; each has a table [feeds.NAME].")
    feeds = [_feed(key, table, runner, folder, environ, f"{name}, [feeds.{key}]") for key, table in tables.items()]
    fleets = tuple(
        _fleet(key, table, folder, environ, f"{name}, [lorawan.{key}]")
        for key, table in _table(document, "lorawan", name).items()
    )
    _check_apart(fleets, name)
    if fleets and commands is None:
        raise InvalidFeeds(f"{name}: [lorawan.{fleets[0].name}] takes commands, but there is no table [commands].")
    if "iot" not in document:
        return Feeds(runner, tuple(feeds), folder, commands, fleets)
    where = f"{name}, [iot]"
    iot = _read(Iot, _secrets(_table(document, "iot", name), environ, name), where)
    check_iot(iot, where)
    if taken := {feed.name for feed in feeds} & set(IOT_FEEDS):
        raise InvalidFeeds(f"{name}, [feeds.{min(taken)}]: [iot] has a feed of this name.")
    found = Feeds(runner, (*feeds, *iot_feeds(iot, runner)), folder, commands, fleets, iot)
    _ = found.iot_mqtt  # what is wrong with it is to be said now
    return found


def iot_feeds(iot: Iot, runner: RunnerSettings) -> tuple[Feed, ...]:
    """The feeds that devices have, one for each of their protocols. Raises InvalidFeeds."""
    return tuple(
        Feed(
            name,
            adapter_named(name),
            NoOptions(),
            iot,
            runner.tenant,
            provider=iot.provider,
            licence=iot.licence,
            in_turn=True,
            lasting=True,
        )
        for name in IOT_FEEDS
    )


def _feed(name: str, table: Any, runner: RunnerSettings, folder: Path, environ: Mapping[str, str], where: str) -> Feed:
    if _NAME.fullmatch(name) is None:
        raise InvalidFeeds(f"{where}: a feed's name has small letters, digits, - and _ only.")
    if not isinstance(table, Mapping):
        raise InvalidFeeds(f"{where}: must be a table.")
    table = _secrets(table, environ, where)
    own = {key: value for key, value in table.items() if key not in (*TRANSPORTS, "options", "channels")}
    about = _read(_FeedTable, own, where)
    found = [key for key in TRANSPORTS if key in table]
    if len(found) != 1:
        raise InvalidFeeds(
            f"{where}: it needs one of {', '.join(TRANSPORTS)}, and has {' and '.join(found) or 'none'}."
        )
    transport = _read(TRANSPORTS[found[0]], _table(table, found[0], where), f"{where}.{found[0]}", folder)
    _check(transport, f"{where}.{found[0]}")
    try:
        adapter = adapter_named(about.adapter)
    except UnknownAdapter as error:
        raise InvalidFeeds(f"{where}: {error}.") from None
    channels = _table(table, "channels", where)
    if not all(isinstance(tenant, str) and tenant for tenant in channels.values()):
        raise InvalidFeeds(f"{where}.channels: each channel has the name of a tenant.")
    streaming = isinstance(transport, Push | Mqtt)
    return Feed(
        name=name,
        adapter=adapter,
        options=_read(adapter.options, _table(table, "options", where), f"{where}.options", folder),
        transport=transport,
        tenant=about.tenant or runner.tenant,
        channels=MappingProxyType(dict(channels)),
        source=about.source,
        provider=about.provider,
        licence=about.licence,
        in_turn=streaming if about.in_turn is None else about.in_turn,
        lasting=streaming if about.lasting is None else about.lasting,
    )


def _check_apart(fleets: Sequence[Fleet], name: str) -> None:
    """Raises InvalidFeeds for a device in two fleets: the commands of the one would be taken for the other's."""
    known: dict[tuple[str, str], str] = {}
    for fleet in fleets:
        for target in fleet.targets:
            other = known.setdefault((target.tenant, target.device_id), fleet.name)
            if other != fleet.name:
                where = f"[lorawan.{other}] and [lorawan.{fleet.name}]"
                raise InvalidFeeds(f"{name}: the device {target.device_id} is in both {where}.")


def _fleet(name: str, table: Any, folder: Path, environ: Mapping[str, str], where: str) -> Fleet:
    """Devices that take commands by LoRaWAN. Their topics are known; The Things Stack speaks MQTT 3.1.1 with quality 0 only."""
    if _NAME.fullmatch(name) is None or not isinstance(table, Mapping):
        raise InvalidFeeds(f"{where}: must be a table, whose name has small letters, digits, - and _ only.")
    said = _table(table, "mqtt", where)
    if "topics" in said:
        raise InvalidFeeds(f"{where}.mqtt: topics are not given, they follow from the server and the application.")
    defaults = {"version": "3.1.1", "qos": 0} if table.get("server") == "things-stack" else {}
    mqtt = _read(Mqtt, _secrets({"topics": ["-"], **defaults, **said}, environ, where), f"{where}.mqtt", folder)
    _check(mqtt, f"{where}.mqtt")
    return parse_fleet(name, table, mqtt, where)


def _check(transport: Transport, where: str) -> None:
    match transport:
        case Poll(url=url, every=every):
            if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
                raise InvalidFeeds(f"{where}: url must begin with http:// or https://, and is {url!r}.")
            if every < 1:
                raise InvalidFeeds(f"{where}: every must be at least 1 second.")
        case Push(keys=keys):
            if not keys or any(len(key) < 8 for key in keys):
                raise InvalidFeeds(f"{where}: keys must have at least one key, and each at least 8 characters.")
        case Mqtt(qos=qos, topics=topics, certificate=certificate, key=key):
            if qos not in (0, 1):
                raise InvalidFeeds(f"{where}: qos must be 0 or 1.")
            if not topics:
                raise InvalidFeeds(f"{where}: topics must name at least one topic.")
            if (certificate is None) != (key is None):
                raise InvalidFeeds(f"{where}: certificate and key come together.")
        case Files(every=every):
            if every <= 0:
                raise InvalidFeeds(f"{where}: every must be more than 0 seconds.")


def _read(kind: type[OptionsT], table: Mapping[str, Any], where: str, folder: Path | None = None) -> OptionsT:
    try:
        return read_options(kind, table, folder)
    except InvalidOptions as error:
        raise InvalidFeeds(f"{where}: {error}.") from None


def _table(table: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    found = table.get(name, {})
    if not isinstance(found, Mapping):
        raise InvalidFeeds(f"{where}: {name} must be a table.")
    return found


def _secrets(value: Any, environ: Mapping[str, str], where: str) -> Any:
    """The value with what the environment holds in place of every text "env:NAME"."""
    if isinstance(value, Mapping):
        return {key: _secrets(each, environ, where) for key, each in value.items()}
    if isinstance(value, list):
        return [_secrets(each, environ, where) for each in value]
    if isinstance(value, str) and value.startswith(_ENVIRONMENT):
        name = value.removeprefix(_ENVIRONMENT)
        if not environ.get(name):
            raise InvalidFeeds(f"{where}: {name} is not set in the environment.")
        return FromEnvironment(environ[name])
    return value
