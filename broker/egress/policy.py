"""Which addresses the broker may call on somebody's behalf: contexts, notifications, sources (server-side request forgery).

Clients name URLs, so the rule is about the address that a name resolves to, at the moment of connecting. A rule is a
comma-separated list:

    default          everything but addresses that are never a service: link-local (cloud metadata among them),
                     multicast, unspecified, broadcast and reserved ones
    public           only addresses of the public Internet
    any              everything
    10.1.0.0/16      a block of addresses, or a single one; IPv6 as well
    sink.city.jp     a host by name, whatever it resolves to
    sink.city.jp:80  the same on one port only ([::1]:80 for an IPv6 address)
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_HOST: Final = re.compile(r"(?=.{1,253}\Z)(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)
_NAT64: Final = ip_network("64:ff9b::/96")
_NEVER: Final[tuple[Network, ...]] = tuple(
    ip_network(block)
    for block in (
        "0.0.0.0/8",  # "this network": reaches the machine itself on many systems
        "169.254.0.0/16",  # link-local; 169.254.169.254 is the metadata service of most clouds
        "100.100.100.200/32",  # metadata service of one more
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/128",
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local, deprecated
        "fd00:ec2::254/128",  # metadata service over IPv6
        "ff00::/8",  # multicast
    )
)


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """A parsed rule. An address is allowed where any part of the rule allows it."""

    text: str
    scopes: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    hosts: frozenset[tuple[str, int | None]] = field(default=frozenset())

    @classmethod
    def parse(cls, text: str) -> "EgressPolicy":
        """The policy that a rule says. Raises ValueError that quotes the part it cannot read."""
        scopes: set[str] = set()
        networks: list[Network] = []
        hosts: set[tuple[str, int | None]] = set()
        parts = [part.strip() for part in text.split(",") if part.strip()]
        for part in parts:
            if part.lower() in ("any", "public", "default"):
                scopes.add(part.lower())
                continue
            try:
                networks.append(ip_network(part, strict=False))
            except ValueError:
                hosts.add(_host(part))
        if not parts:
            raise ValueError("is empty: use default, public, any, or a list of CIDR blocks, hosts and host:port")
        return cls(text, frozenset(scopes), tuple(networks), frozenset(hosts))

    def allows(self, ip: str, host: str | None = None, port: int | None = None) -> bool:
        """Whether the address may be called; `host` and `port` are those of the URL that led to it."""
        if host is not None and self.hosts:
            name = _canonical(host)
            if (name, None) in self.hosts or (name, port) in self.hosts:
                return True
        try:
            address = _effective(ip_address(ip.partition("%")[0]))
        except ValueError:
            return False
        return "any" in self.scopes or _within(address, self.networks) or self._in_scope(address)

    def _in_scope(self, address: Address) -> bool:
        if "default" in self.scopes and not _within(address, _NEVER):
            return True
        return "public" in self.scopes and address.is_global and not _within(address, _NEVER)


def _host(part: str) -> tuple[str, int | None]:
    host, port = re.fullmatch(r"(.*?)(?::(\d{1,5}))?", part, re.DOTALL).groups()  # type: ignore[union-attr]
    number = int(port) if port else None
    name = _canonical(host)
    if number is not None and not 0 < number < 65536:
        raise ValueError(f"{part!r} has no valid port")
    if not _HOST.fullmatch(name) and not _is_address(name):
        raise ValueError(f"{part!r} is neither default, public, any, nor a CIDR block, a host or host:port")
    if re.fullmatch(r"[\d.]+", name) and not _is_address(name):
        raise ValueError(f"{part!r} is not an address")
    return name, number


def _canonical(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _effective(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for (mapped, 6to4, NAT64), or the address itself."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address
