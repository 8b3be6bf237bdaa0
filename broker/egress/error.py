"""What can go wrong on the way to somebody else's machine, whatever the protocol."""

from typing import Literal, TypeAlias

Reason: TypeAlias = Literal["refused", "dns", "timeout", "tls", "forbidden", "too large", "protocol"]


class EgressError(Exception):
    """A request that came to nothing. `reason` is the sort of failure, the message names the URL and what happened.

    refused    no connection: refused, reset, unreachable, or closed without an answer
    dns        the host name does not resolve
    timeout    no complete answer in time
    tls        the TLS handshake or a certificate failed
    forbidden  the egress policy does not allow the address
    too large  the answer's body exceeds the limit
    protocol   not an http(s) URL, not an HTTP answer, too many redirects, or a body that cannot be decoded
    """

    def __init__(self, reason: Reason, url: str, message: str) -> None:
        super().__init__(f"{url}: {message}")
        self.reason: Reason = reason
        self.url = url
        self.message = message
