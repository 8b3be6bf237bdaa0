"""Whom commands may be posted to: devices are where documents say, so the rule is about the address at the moment of connecting.

Without a rule of one's own, every address may be called but those that are never a device: link-local ones (the metadata of
clouds among them), multicast, unspecified and reserved ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult


@dataclass(frozen=True, slots=True)
class EndpointPolicy:
    """A parsed rule: networks, and hosts as `name` or `name:port`. Empty: the rule without one's own."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, parts: Sequence[str]) -> Self:
        """The policy that these say. Raises ValueError that quotes the part which says nothing."""
        networks, hosts = [], set()
        for part in parts:
            try:
                networks.append(ip_network(part, strict=False))
            except ValueError:
                if not part or "/" in part or any(each.isspace() for each in part):
                    raise ValueError(f"{part!r} is no network, host or host:port") from None
                hosts.add(part.lower())
        return cls(tuple(networks), frozenset(hosts))

    def allows(self, address: str, host: str, port: int) -> bool:
        """Whether an address may be called, to which this host leads."""
        name = host.strip("[]").rstrip(".").lower()
        if self.hosts & {name, f"{name}:{port}"}:
            return True
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, IPv6Address):
            found = found.ipv4_mapped or found.sixtofour or found
        if self.networks or self.hosts:
            return any(found in network for network in self.networks)
        return not (found.is_link_local or found.is_multicast or found.is_unspecified or found.is_reserved)


class NotAllowed(OSError):
    """The rule does not allow the address."""


class PolicyResolver(AbstractResolver):
    """Resolves like aiohttp does, and passes on only what the rule allows."""

    def __init__(self, policy: EndpointPolicy) -> None:
        self._policy = policy
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        """The addresses of a host. Raises NotAllowed, OSError."""
        found = await self._resolver.resolve(host, port, family)
        allowed = [each for each in found if self._policy.allows(each["host"], host, port)]
        if found and not allowed:
            raise NotAllowed("the endpoint's address is not allowed")
        return allowed

    async def close(self) -> None:
        """Nothing is to be closed."""
        await self._resolver.close()
