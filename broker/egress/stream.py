"""A connection for protocols other than HTTP: resolved, allowed by the policy, connected to, and secured where it is to be."""

import asyncio
import logging
import socket
import ssl
from typing import Final

from broker.egress.error import EgressError
from broker.egress.policy import EgressPolicy
from broker.egress.tls import fault_of

_LOG: Final = logging.getLogger(__name__)


async def open_stream(
    host: str, port: int, policy: EgressPolicy, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to an allowed address of the host; with `tls` the server's certificate must be the host's. Raises EgressError.

    What is connected to is the very address that the policy looked at. The caller bounds the time.
    """
    place = f"{host}:{port}"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise EgressError(
            "dns", place, f"the host does not resolve: {getattr(error, 'strerror', None) or error}"
        ) from error
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    allowed = [address for address in addresses if policy.allows(address, host, port)]
    if not allowed:
        _LOG.info("egress to %s is forbidden: it resolves to %s", place, addresses)
        raise EgressError("forbidden", place, "the egress policy does not allow its address")
    failure: OSError | None = None
    for address in allowed:
        try:
            return await asyncio.open_connection(address, port, ssl=tls, server_hostname=host if tls else None)
        except OSError as error:
            failure = error
    raise broken(place, failure or OSError("no address"))


def broken(place: str, error: Exception) -> EgressError:
    """The EgressError that says what an exception of a connection means."""
    if isinstance(error, ssl.SSLError | ssl.CertificateError):
        return EgressError("tls", place, f"TLS failed: {fault_of(error)}")
    if isinstance(error, OSError) and error.strerror:
        return EgressError("refused", place, f"no connection: {error.strerror}")
    return EgressError("refused", place, f"no connection: {error or type(error).__name__}")
