"""Whom the broker trusts on TLS connections, and which certificate it shows: the system's authorities, or what is set for a host.

A setting names files by host, never a subscription, so that no client can make the broker read a file:

    mqtt.city.example:8883 ca=/etc/tsunagu/ca.pem certificate=/etc/tsunagu/broker.pem key=/etc/tsunagu/broker.key
    sink.city.example ca=/etc/tsunagu/ca.pem

One host a line (or divided by `;`), with a port or for all of them; an IPv6 address is `[::1]:8883`. `ca` are the authorities
that are trusted for the host, in place of the system's. `certificate` (with its chain) and `key` are what the broker shows to the
host. Paths with spaces are quoted. A certificate that was renewed is read again when the next connection is made.
"""

import logging
import os
import re
import shlex
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from broker.egress.error import EgressError

_LOG: Final = logging.getLogger(__name__)
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/@=]+))(?::(\d{1,5}))?")
_MEMBERS: Final = frozenset({"ca", "certificate", "key"})

_State: TypeAlias = tuple[tuple[int, int, int], ...]
"""What tells one state of some files from another: inode, size and time of change of each."""


@dataclass(frozen=True, slots=True)
class HostTls:
    """What is set for a host: PEM files. `port` is None where it holds for all of them."""

    host: str
    port: int | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    @property
    def name(self) -> str:
        """The host as it is written in the setting."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is named."""
        return tuple(path for path in (self.ca, self.certificate, self.key) if path is not None)


def parse_tls(text: str) -> tuple[HostTls, ...]:
    """What the setting says, a host each (see the module). Raises ValueError that quotes what it cannot read."""
    hosts = [_host(line.strip()) for line in re.split(r"[;\n]", text) if line.strip()]
    names = [one.name for one in hosts]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"names {name} twice")
    return tuple(hosts)


def _host(line: str) -> HostTls:
    try:
        name, *pairs = shlex.split(line)
    except ValueError as error:
        raise ValueError(f"{line!r} cannot be read: {error}") from None
    found = _HOST.fullmatch(name)
    port = int(found[3]) if found is not None and found[3] else None
    if found is None or (port is not None and not 0 < port < 65_536):
        raise ValueError(f"{name!r} is not a host or host:port")
    files: dict[str, str] = {}
    for pair in pairs:
        member, equals, path = pair.partition("=")
        if member not in _MEMBERS or not equals or not path or member in files:
            raise ValueError(f"{pair!r} is not one of ca=FILE, certificate=FILE, key=FILE")
        files[member] = path
    if not files:
        raise ValueError(f"{name!r} has neither ca=FILE nor certificate=FILE")
    if "key" in files and "certificate" not in files:
        raise ValueError(f"{name!r} has a key but no certificate")
    return HostTls((found[1] or found[2]).rstrip(".").lower(), port, **files)


class TlsContexts:
    """The TLS context for each host, made when it is first needed and anew when its files have changed."""

    def __init__(self, hosts: Iterable[HostTls] = ()) -> None:
        self._hosts = {(one.host, one.port): one for one in hosts}
        self._made: dict[HostTls, tuple[_State, ssl.SSLContext]] = {}
        self._unread: dict[HostTls, _State] = {}
        self._system: ssl.SSLContext | None = None

    def for_host(self, host: str, port: int | None) -> ssl.SSLContext:
        """The context for connections to a host: it checks the server's name. Raises EgressError where files cannot be read."""
        name = host.strip("[]").rstrip(".").lower()
        entry = self._hosts.get((name, port)) or self._hosts.get((name, None))
        if entry is None:
            if self._system is None:
                self._system = ssl.create_default_context()
            return self._system
        known = self._made.get(entry)
        try:
            state = _state(entry)
            if known is not None and (known[0] == state or self._unread.get(entry) == state):
                return known[1]
        except OSError as error:
            return self._as_before(entry, None, error)
        try:
            context = make_context(entry)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            return self._as_before(entry, state, error)
        self._made[entry] = state, context
        return context

    def _as_before(self, entry: HostTls, state: _State | None, error: Exception) -> ssl.SSLContext:
        """The context of files that can no longer be read, because they are being replaced perhaps."""
        known = self._made.get(entry)
        # The paths are for the operator's eyes; whoever made the subscription reads the error.
        _LOG.error("the TLS files of %s cannot be read: %s", entry.name, fault_of(error))
        if known is None:
            raise EgressError("tls", entry.name, "the broker's TLS files for this host cannot be read") from error
        if state is not None:
            self._unread[entry] = state
        return known[1]


def make_context(entry: HostTls) -> ssl.SSLContext:
    """The context that an entry describes. Raises OSError (ssl.SSLError among them) or ValueError for files that do not do."""
    context = ssl.create_default_context(cafile=entry.ca)
    if entry.certificate is not None:
        context.load_cert_chain(entry.certificate, entry.key, password=_no_pass_phrase)
    return context


def check_files(entry: HostTls) -> str | None:
    """What is wrong with the files of an entry, None where they will do."""
    for path in entry.files:
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            return f"{path}: {error.strerror or error}"
    try:
        make_context(entry)
    except (OSError, ValueError) as error:
        return f"{', '.join(entry.files)}: {fault_of(error)}"
    return None


def _no_pass_phrase() -> str:
    """Asked for where a key is encrypted; without it OpenSSL would ask on the terminal, and wait."""
    raise ValueError("the key is encrypted: a key without a pass phrase is needed")


def _state(entry: HostTls) -> _State:
    states = (os.stat(path) for path in entry.files)
    return tuple((state.st_ino, state.st_size, state.st_mtime_ns) for state in states)


_ALERTS: Final = (
    ("certificate required", "the server wants a client certificate"),
    ("alert bad certificate", "the server refuses the client certificate"),
    ("alert unknown ca", "the server does not trust the authority of the client certificate"),
    ("alert certificate expired", "the client certificate has expired"),
    ("alert certificate revoked", "the client certificate is revoked"),
    ("alert certificate unknown", "the server refuses the client certificate"),
    ("alert handshake failure", "the server refuses the handshake, for want of a client certificate perhaps"),
    ("key values mismatch", "certificate and key do not belong together"),
)


def fault_of(error: Exception) -> str:
    """In plain words, what an error of a TLS connection, or of making a context, says."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted: {error.verify_message}"
    text = str(error).replace("_", " ").lower()
    for sign, meaning in _ALERTS:
        if sign in text:
            return meaning
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
