"""Who may command what, and under which conditions: the table [commands] of the file of feeds. What is not said is not allowed.

    [commands]
    expires = 30                                  # seconds within which a command must reach its device

    [commands.principals.duty-office]
    tokens = ["env:DUTY_OFFICE_TOKEN"]            # or "sha256:…", the hash of one

    [[commands.allow]]
    principals = ["duty-office"]
    groups = ["sluice-gates"]
    commands = ["open", "close"]

    [[commands.rules]]
    groups = ["sluice-gates"]
    commands = ["open"]
    critical = true
    approvers = ["river-section"]
    interlock = {entity = "self", q = "manualMode==false"}

docs/commands.md says what each member means.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters.errors import InvalidFeeds, InvalidOptions
from adapters.options import Options, option, read_options

ANY: Final = "*"
_HASHED: Final = re.compile(r"sha256:([0-9a-f]{64})")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
_LEAST_TOKEN: Final = 16


@dataclass(frozen=True, slots=True)
class CommandSettings(Options):
    """What holds for all commands."""

    host: str = option("address on which the broker's forwarded updates are taken", "127.0.0.1")
    port: int = option("port of it; 0 takes a free one, which is another one after each start", 8027)
    url: str = option("how the broker reaches it; else http://HOST:PORT", "")
    expires: float = option("seconds within which a command must reach its device", 60.0)
    longest: float = option("seconds that a client may ask for at most", 3600.0)
    answer_within: float = option("seconds that a device may take to answer once it has the command", 60.0)
    approval_within: float = option("seconds that a critical command waits for its approval", 600.0)
    keep_days: float = option("days that a command is on record after its end", 400.0)
    keep_megabytes: int = option("what the record of commands may have at most, but for what has no end yet", 256)
    interlock_max_age: float = option(
        "seconds that the state which an interlock is read from may be old; inf: any age", 900.0
    )
    own_hops: tuple[str, ...] = option("pseudonyms in Via that are not other brokers, such as a reverse proxy's", ())
    context: str = option("URL of the @context of the names in interlocks; else the core @context", "")


@dataclass(frozen=True, slots=True)
class _Principal(Options):
    tokens: tuple[str, ...] = option("bearer tokens, as env:NAME, or their hashes, as sha256:HEX")


@dataclass(frozen=True, slots=True)
class Permission(Options):
    """An explicit permission: these principals may give these commands to devices of these groups."""

    principals: tuple[str, ...] = option("names of principals")
    groups: tuple[str, ...] = option("groups of devices")
    commands: tuple[str, ...] = option('names of commands, or ["*"]')
    tenants: tuple[str, ...] = option('tenants, "" being the default one; without it, all', (ANY,))

    def covers(self, principal: str, tenant: str, group: str, command: str) -> bool:
        """Whether it permits this."""
        return (
            principal in self.principals
            and group in self.groups
            and (command in self.commands or ANY in self.commands)
            and (tenant in self.tenants or ANY in self.tenants)
        )


@dataclass(frozen=True, slots=True)
class Interlock:
    """What must hold of an entity when a command is decided about, and when it is carried: a query in NGSI-LD's `q`, of a state
    that is not older than `max_age` seconds."""

    entity: str
    q: str
    max_age: float


@dataclass(frozen=True, slots=True)
class _Rule(Options):
    groups: tuple[str, ...] = option("groups of devices")
    commands: tuple[str, ...] = option('names of commands, or ["*"]')
    expires: float | None = option("as in [commands]", None)
    longest: float | None = option("as in [commands]", None)
    answer_within: float | None = option("as in [commands]", None)
    approval_within: float | None = option("as in [commands]", None)
    critical: bool = option("whether another principal must approve", False)
    approvers: tuple[str, ...] = option("who may approve", ())
    interlock: Mapping[str, Any] | None = option('{entity = "self" or an id, q = "…", max_age = seconds}', None)
    supersedes: bool = option("whether a later command takes the place of one that waits", False)
    repeatable: bool = option("whether it does no harm twice, so that it may be carried again when in doubt", False)
    shared: bool = option("whether it may come from other brokers", False)


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one command of one group of devices; durations in seconds."""

    expires: float
    longest: float
    answer_within: float
    approval_within: float
    approvers: tuple[str, ...] = ()
    critical: bool = False
    interlocks: tuple[Interlock, ...] = ()
    supersedes: bool = False
    repeatable: bool = False
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """All of it."""

    settings: CommandSettings
    tokens: tuple[tuple[bytes, str], ...] = ()
    permissions: tuple[Permission, ...] = ()
    rules: tuple[_Rule, ...] = ()

    def principal_of(self, authorization: str) -> str | None:
        """Who has this Authorization header; None for nobody."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        found = None
        for known, name in self.tokens:  # all of them, each in constant time
            if hmac.compare_digest(known, digest):
                found = name
        return found

    def permits(self, principal: str, tenant: str, group: str, command: str) -> bool:
        """Whether there is an explicit permission."""
        return any(each.covers(principal, tenant, group, command) for each in self.permissions)

    def terms(self, group: str, command: str) -> Terms:
        """What holds for a command: of several rules, the strictest."""
        rules = [
            rule for rule in self.rules if group in rule.groups and (command in rule.commands or ANY in rule.commands)
        ]
        settings = self.settings

        def least(name: str) -> float:
            said = [value for rule in rules if (value := getattr(rule, name)) is not None]
            return float(min(said) if said else getattr(settings, name))

        approvers = [frozenset(rule.approvers) for rule in rules if rule.critical]
        return Terms(
            expires=min(least("expires"), least("longest")),
            longest=least("longest"),
            answer_within=least("answer_within"),
            approval_within=least("approval_within"),
            approvers=tuple(sorted(frozenset.intersection(*approvers))) if approvers else (),
            critical=bool(approvers),
            interlocks=tuple(
                Interlock(
                    rule.interlock["entity"],
                    rule.interlock["q"],
                    float(rule.interlock.get("max_age", settings.interlock_max_age)),
                )
                for rule in rules
                if rule.interlock is not None
            ),
            supersedes=bool(rules) and all(rule.supersedes for rule in rules),
            repeatable=bool(rules) and all(rule.repeatable for rule in rules),
            shared=bool(rules) and all(rule.shared for rule in rules),
        )


def parse_policy(document: Mapping[str, Any], where: str) -> Policy:
    """The policy that a table says, its secrets resolved. Raises InvalidFeeds, whose message names the place."""
    tables = {"principals", "allow", "rules"}
    try:
        settings = read_options(CommandSettings, {name: each for name, each in document.items() if name not in tables})
    except InvalidOptions as error:
        raise InvalidFeeds(f"{where}: {error}.") from None
    for name in ("expires", "longest", "answer_within", "approval_within"):
        _check_positive(getattr(settings, name), name, where)
    _check_age(settings.interlock_max_age, "interlock_max_age", where)
    _check_keeping(settings, where)
    tokens = _tokens(document.get("principals", {}), where)
    known = {name for _, name in tokens}
    permissions = tuple(
        _read(Permission, table, f"{where}.allow, number {number}")
        for number, table in enumerate(_list(document, "allow", where), start=1)
    )
    rules = tuple(
        _read(_Rule, table, f"{where}.rules, number {number}")
        for number, table in enumerate(_list(document, "rules", where), start=1)
    )
    for permission in permissions:
        _check_known(permission.principals, known, where)
    for rule in rules:
        _check_rule(rule, known, where)
    return Policy(settings, tokens, permissions, rules)


def _tokens(principals: Any, where: str) -> tuple[tuple[bytes, str], ...]:
    if not isinstance(principals, Mapping):
        raise InvalidFeeds(f"{where}: principals must be tables, [commands.principals.NAME].")
    found: dict[bytes, str] = {}
    for name, table in principals.items():
        place = f"{where}.principals.{name}"
        if _NAME.fullmatch(name) is None:
            raise InvalidFeeds(f"{place}: a name has letters, digits, and . _ @ - only.")
        for token in _read(_Principal, table, place).tokens:
            if (hashed := _HASHED.fullmatch(token)) is not None:
                digest = bytes.fromhex(hashed[1])
            elif len(token) >= _LEAST_TOKEN:
                digest = hashlib.sha256(token.encode()).digest()
            else:
                raise InvalidFeeds(f"{place}: a token has at least {_LEAST_TOKEN} characters.")
            if found.setdefault(digest, name) != name:
                raise InvalidFeeds(f"{place}: it has the same token as {found[digest]}.")
    return tuple(found.items())


def _check_rule(rule: _Rule, known: set[str], where: str) -> None:
    _check_known(rule.approvers, known, where)
    if rule.critical and not rule.approvers:
        raise InvalidFeeds(f"{where}.rules: a critical command needs approvers.")
    if rule.approvers and not rule.critical:
        raise InvalidFeeds(f"{where}.rules: there are approvers, but the command is not critical.")
    if rule.interlock is not None:
        _check_interlock(rule.interlock, where)
    for name in ("expires", "longest", "answer_within", "approval_within"):
        if (value := getattr(rule, name)) is not None:
            _check_positive(value, name, where)


def _check_interlock(interlock: Mapping[str, Any], where: str) -> None:
    texts = [interlock.get(name) for name in ("entity", "q")]
    if not interlock.keys() <= {"entity", "q", "max_age"} or not all(isinstance(each, str) and each for each in texts):
        raise InvalidFeeds(
            f'{where}.rules: an interlock has entity (an id, or "self"), q, perhaps max_age, and nothing else.'
        )
    _check_age(interlock.get("max_age", 1), "interlock.max_age", f"{where}.rules")


def _check_age(value: Any, name: str, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise InvalidFeeds(f"{where}: {name} must be more than 0 seconds, or inf for a state of any age.")


def _check_keeping(settings: CommandSettings, where: str) -> None:
    if not 1 <= settings.keep_days <= 36_600:
        raise InvalidFeeds(f"{where}: keep_days must be at least 1 and at most a hundred years.")
    if not 1 <= settings.keep_megabytes <= 1024 * 1024:
        raise InvalidFeeds(f"{where}: keep_megabytes must be at least 1 and at most 1,048,576.")


def _check_known(names: tuple[str, ...], known: set[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise InvalidFeeds(f"{where}: there is no principal {name!r} with a token.")


def _check_positive(value: float, name: str, where: str) -> None:
    if not 0 < value <= 366 * 86_400:
        raise InvalidFeeds(f"{where}: {name} must be more than 0 seconds and at most a year.")


def _list(document: Mapping[str, Any], name: str, where: str) -> list[Any]:
    found = document.get(name, [])
    if not isinstance(found, list):
        raise InvalidFeeds(f"{where}: {name} must be a list of tables, [[commands.{name}]].")
    return found


def _read(kind: Any, table: Any, where: str) -> Any:
    if not isinstance(table, Mapping):
        raise InvalidFeeds(f"{where}: must be a table.")
    try:
        return read_options(kind, table)
    except InvalidOptions as error:
        raise InvalidFeeds(f"{where}: {error}.") from None
