"""The broker's settings: where each may be set, what it means, and a sentence for everything that is wrong with one.

Command line > environment (`TSUNAGU_PORT=8080`) > TOML file (`port = 8080`) > default. The file is the one that
`--config` or `TSUNAGU_CONFIG` names, else `tsunagu.toml` in the working directory where there is one. An empty variable
counts as not set. A name that is no setting is an error wherever it stands, because a misspelt setting that is silently
ignored is a fault found in production.
"""

import difflib
import re
import socket
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from broker.egress.policy import EgressPolicy
from broker.egress.tls import HostTls, parse_tls
from broker.operations.validation_rules import Rule, parse_rules

ENVIRONMENT_PREFIX: Final = "TSUNAGU_"
FILE_NAME: Final = "tsunagu.toml"
DEFAULT_DATABASE: Final = "tsunagu"
LEAST_MEMORY: Final = 128 * 1024 * 1024
"""The least limit on memory: an idle broker has some 75 MiB."""

OTHER_VARIABLES: Final = frozenset(
    {"TSUNAGU_CONFIG", "TSUNAGU_BROKER", "TSUNAGU_TENANT", "TSUNAGU_KILLS", "TSUNAGU_SHARED_DATA"}
)
"""Variables with the prefix that are not settings of the broker: for the other commands, and for the fault tests."""

_TEST_VARIABLES: Final = ("TSUNAGU_TEST_", "TSUNAGU_BENCH_")
_SERVICE_LINK: Final = re.compile(r"TSUNAGU(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)")
_ORIGIN: Final = re.compile(r"https?://[^/?#@\s]+")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class SettingsError(Exception):
    """A setting is wrong or unknown. The message is one sentence that names it and where it came from."""


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where state rests. SQLite: `path` is a directory or `:memory:`. MongoDB: the `url`, and the `database` in it."""

    kind: Literal["sqlite", "mongodb"]
    path: str = ""
    url: str = field(default="", repr=False)
    database: str = ""


def parse_store(text: str) -> StoreAddress:
    """Take apart `sqlite:PATH`, `sqlite::memory:`, `mongodb://...[/database]`, `mongodb+srv://...`; else ValueError."""
    if text.startswith("sqlite:"):
        path = text.removeprefix("sqlite:")
        if not path or path.startswith("//"):
            raise ValueError("names no path: write sqlite:DIRECTORY, such as sqlite:./tsunagu-data, or sqlite::memory:")
        return StoreAddress("sqlite", path=path)
    if text.startswith(("mongodb://", "mongodb+srv://")):
        parts = urlsplit(text)
        if not parts.netloc.rpartition("@")[2]:
            raise ValueError("names no host: write mongodb://HOST:27017/DATABASE")
        database = parts.path.removeprefix("/") or DEFAULT_DATABASE
        if re.search(r'[/\\. "$*<>:|?]', database) or len(database.encode()) > 63:
            raise ValueError("has a database name that MongoDB does not allow")
        return StoreAddress("mongodb", url=text, database=database)
    raise ValueError("is not a store: write sqlite:DIRECTORY, sqlite::memory: or mongodb://HOST:27017/DATABASE")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a text")
    return value


def _address(value: object) -> str:
    text = _text(value)
    if not text or any(c.isspace() or c in "/@" for c in text):
        raise ValueError("is not a host name or address to listen on")
    return text


def _store(value: object) -> str:
    text = _text(value)
    parse_store(text)
    return text


def _url(value: object) -> str:
    text = _text(value).rstrip("/")
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("is not an http:// or https:// URL without user, query and fragment")
    return text


def _alias(value: object) -> str:
    text = _text(value)
    if text and not _TOKEN.fullmatch(text):
        raise ValueError("is not a pseudonym that fits into a Via header: use letters, digits, '-', '.' and '_'")
    return text


def _egress(value: object) -> str:
    text = _text(value)
    EgressPolicy.parse(text)
    return text


def _tls(value: object) -> str:
    text = _text(value)
    parse_tls(text)
    return text


def _origins(value: object) -> str:
    text = _text(value)
    for origin in _listed(text):
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError("is not a list of origins such as https://map.city.example, separated by commas, or *")
    return text


def _validation(value: object) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        texts = value
    else:
        texts = _text(value).split(",")
    rules = tuple(rule for each in texts if (rule := each.strip()))
    parse_rules(rules)
    return rules


def _listed(text: str) -> list[str]:
    return [each for part in text.split(",") if (each := part.strip().lower())]


def _one_of(*choices: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        text = _text(value).lower()
        if text not in choices:
            raise ValueError(f"is not one of {', '.join(choices)}")
        return text

    return parse


def _whole(least: int, most: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"is not a whole number from {least} to {most}")
        return value

    return parse


def _memory(value: object) -> int:
    limit = _whole(0, 1024**5)(value)
    if 0 < limit < LEAST_MEMORY:
        raise ValueError(f"is less than the broker needs: at least {LEAST_MEMORY}, or 0")
    return limit


def _seconds(least: float, most: float) -> Callable[[object], float]:
    def parse(value: object) -> float:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
            value = float(value)
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"is not a number of seconds from {least:g} to {most:g}")
        return float(value)

    return parse


_Parse: TypeAlias = Callable[[object], Any]


def _setting(default: Any, parse: _Parse, about: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"parse": parse, "about": about, "secret": secret})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a broker process is told at start. `about` texts are those of the command line's help."""

    host: str = _setting("127.0.0.1", _address, "address to listen on; 0.0.0.0 lets other machines in")
    port: int = _setting(1026, _whole(0, 65535), "port to listen on; 0 takes a free one")
    workers: int = _setting(1, _whole(1, 256), "processes that share the port; more than one need MongoDB")
    store: str = _setting(
        "sqlite:./tsunagu-data",
        _store,
        "where state rests: sqlite:DIRECTORY, sqlite::memory: or mongodb://HOST:27017/DATABASE",
        secret=True,
    )
    public_url: str = _setting("", _url, "URL under which others reach this broker; else made of host and port")
    alias: str = _setting("", _alias, "name of this broker in Via headers (6.3.18), unique among federated brokers")
    default_page_size: int = _setting(20, _whole(1, 1000), "elements in a page when a request gives no limit")
    max_page_size: int = _setting(1000, _whole(1, 100_000), "largest page; a larger limit is lowered to it")
    temporal_page_size: int = _setting(
        1000, _whole(1, 1_000_000), "attribute instances in one temporal answer; more makes it 206 Partial Content"
    )
    snapshot_lifetime: float = _setting(
        86_400.0, _seconds(1, 10 * 365 * 86_400), "seconds that a snapshot lasts when a request does not say"
    )
    max_snapshot_lifetime: float = _setting(
        30 * 86_400.0, _seconds(1, 10 * 365 * 86_400), "seconds that a snapshot lasts at most"
    )
    max_snapshots: int = _setting(100, _whole(0, 10_000), "snapshots that a tenant may have at the same time")
    max_streams: int = _setting(2_000, _whole(0, 1_000_000), "clients that may follow the change log at the same time")
    max_tenant_streams: int = _setting(1_000, _whole(0, 1_000_000), "how many of them may follow one tenant")
    stream_origins: str = _setting(
        "", _origins, "origins of web pages that may read streams (CORS), such as https://map.city.example; or *"
    )
    max_body_bytes: int = _setting(16 * 1024 * 1024, _whole(1024, 1024**3), "largest request body in bytes")
    max_requests_in_flight: int = _setting(
        1000, _whole(1, 1_000_000), "requests worked on at the same time; more are refused by 503"
    )
    max_bytes_in_flight: int = _setting(
        64 * 1024 * 1024,
        _whole(1024, 1024**4),
        "bytes of request bodies held at the same time; more are refused by 503",
    )
    max_waiting_writes: int = _setting(
        10_000, _whole(1, 10_000_000), "writes of entities that wait for their commit; more are refused by 503"
    )
    value_indexes: int = _setting(
        256,
        _whole(0, 256),
        "indexes of values that the store may learn from queries, on MongoDB 16 at most; 0 makes none and drops those there are",
    )
    memory_limit: int = _setting(
        0,
        _memory,
        "bytes of resident memory near which requests are refused by 503; 0 takes the limit of the container, if it has one",
    )
    egress: str = _setting(
        "default", _egress, "addresses the broker may call for others: default, public, any, or CIDR blocks, hosts"
    )
    tls: str = _setting(
        "", _tls, "TLS files for hosts the broker calls: HOST[:PORT] ca=FILE certificate=FILE key=FILE; ..."
    )
    validation: tuple[str, ...] = _setting(
        (),
        _validation,
        "what is held against data models: off, warn or enforce, for all or as TYPE=MODE, TYPE@TENANT=MODE, separated by commas",
    )
    models: str = _setting(
        "", _text, "folder of Smart Data Models (SUBJECT/TYPE/schema.json) beside the models that are built in"
    )
    log_format: str = _setting("text", _one_of("text", "json"), "text or json")
    log_level: str = _setting("info", _one_of("debug", "info", "warning", "error"), "debug, info, warning or error")
    slow_request: float = _setting(1.0, _seconds(0.001, 3600), "seconds from which on a request is logged as slow")
    adapters: str = _setting("", _text, "TOML file with feeds of adapters that run inside the broker; docs/adapters.md")

    @property
    def store_address(self) -> StoreAddress:
        """The store, taken apart."""
        return parse_store(self.store)

    @property
    def store_label(self) -> str:
        """The store without user name, password and options, fit for a screen or a log."""
        return redacted(self.store)

    @property
    def egress_policy(self) -> EgressPolicy:
        """Which addresses the broker may call."""
        return EgressPolicy.parse(self.egress)

    @property
    def tls_hosts(self) -> tuple[HostTls, ...]:
        """The hosts of `tls`, each with its files."""
        return parse_tls(self.tls)

    @property
    def validation_rules(self) -> tuple[Rule, ...]:
        """The rules of `validation`."""
        return parse_rules(self.validation)

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The origins of `stream_origins`."""
        return frozenset(_listed(self.stream_origins))

    @property
    def base_url(self) -> str:
        """`public_url`, or the URL at which this machine itself reaches the broker."""
        if self.public_url:
            return self.public_url
        host = "localhost" if self.host in ("127.0.0.1", "0.0.0.0", "::", "::1") else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def via_alias(self) -> str:
        """`alias`, or one made of the machine's name and the port (5.2.40: contextSourceAlias)."""
        return self.alias or re.sub(r"[^0-9A-Za-z.-]", "-", f"tsunagu-{socket.gethostname()}-{self.port}")


ABOUT: Final[Mapping[str, str]] = {each.name: each.metadata["about"] for each in fields(Settings)}
"""What each setting means, by name."""

_PARSE: Final[Mapping[str, _Parse]] = {each.name: each.metadata["parse"] for each in fields(Settings)}
_SECRET: Final = frozenset(each.name for each in fields(Settings) if each.metadata["secret"])


def redacted(store: str) -> str:
    """A store's URL without user name, password and options."""
    scheme, separator, rest = store.partition("://")
    return store if not separator else f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"


def load_settings(
    options: Mapping[str, object],
    environ: Mapping[str, str],
    directory: Path,
    config: str | None = None,
) -> Settings:
    """Settings from the command line's `options` (None: not given), the environment, and the file.

    `config` is the file that the command line names; `directory` is where `tsunagu.toml` is looked for.
    Raises SettingsError.
    """
    found: dict[str, tuple[str, object]] = {}
    for source in (_from_file(environ, directory, config), _from_environment(environ), _from_options(options)):
        found.update({name: (origin, value) for name, origin, value in source})
    values = {name: _parsed(name, origin, value) for name, (origin, value) in found.items()}
    settings = Settings(**values)
    if settings.default_page_size > settings.max_page_size:
        name = "default_page_size" if "default_page_size" in found else "max_page_size"
        origin = found[name][0]
        sizes = f"default_page_size ({settings.default_page_size}) is above max_page_size ({settings.max_page_size})"
        raise SettingsError(f"{origin}: {sizes}")
    if settings.workers > 1 and settings.store_address.kind == "sqlite":
        origin, label = found["workers"][0], settings.store_label
        reason = f"{settings.workers} workers cannot share {label}, which one process holds alone: use MongoDB, or one worker"
        raise SettingsError(f"{origin}: {reason}")
    return settings


def _parsed(name: str, origin: str, value: object) -> Any:
    try:
        return _PARSE[name](value)
    except ValueError as error:
        shown = redacted(value) if name in _SECRET and isinstance(value, str) else value
        raise SettingsError(f"{origin}: {shown!r} {error}") from None


def _from_options(options: Mapping[str, object]) -> Iterator[tuple[str, str, object]]:
    for name, value in options.items():
        if value is not None:
            yield name, "--" + name.replace("_", "-"), value


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in OTHER_VARIABLES or not environ[variable]:
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if _is_service_link(variable, environ[variable]) or variable.startswith(_TEST_VARIABLES):
            continue
        if name not in _PARSE:
            known = [ENVIRONMENT_PREFIX + each.upper() for each in _PARSE]
            raise SettingsError(_unknown(variable, "the environment", known))
        yield name, f"{variable} in the environment", environ[variable]


def _is_service_link(variable: str, value: str) -> bool:
    """Kubernetes sets TSUNAGU_PORT=tcp://... and the like where a service is called `tsunagu`: no setting of ours."""
    if variable == "TSUNAGU_PORT":
        return value.startswith(("tcp://", "udp://"))
    return _SERVICE_LINK.fullmatch(variable) is not None


def _from_file(environ: Mapping[str, str], directory: Path, config: str | None) -> Iterator[tuple[str, str, object]]:
    path, origin = directory / FILE_NAME, FILE_NAME
    if config is not None:
        path, origin = directory / config, f"--config {config}"
    elif environ.get("TSUNAGU_CONFIG"):
        path, origin = directory / environ["TSUNAGU_CONFIG"], f"TSUNAGU_CONFIG={environ['TSUNAGU_CONFIG']}"
    elif not path.exists():
        return
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{origin}: the file cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{origin}: the file is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{origin}: the file is not TOML ({error})") from None
    for name, value in content.items():
        if name not in _PARSE:
            raise SettingsError(_unknown(name, str(path), list(_PARSE)))
        yield name, f"{name} in {path}", value


def _unknown(name: str, place: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, 1, 0.75)
    return f"{name} in {place} is not a setting" + (f"; do you mean {near[0]}?" if near else "")
