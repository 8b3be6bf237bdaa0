"""Who this broker is to others: its alias in Via headers, one for each tenant, and since when it is up (5.2.40)."""

import hashlib
import re
import time
from dataclasses import dataclass, field
from typing import Final

from broker.model.entity import JsonObject

_PLAIN: Final = re.compile(r"[0-9A-Za-z._-]{1,64}")


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """`alias` identifies the broker among all that are federated with it; `started` is a reading of the monotonic clock."""

    alias: str
    started: float = field(default_factory=time.monotonic)

    def alias_of(self, tenant: str) -> str:
        """The alias of a tenant, a pseudonym as of RFC 7230: stable, and different for each (5.2.40). "" is the default tenant.

        The tilde, which an alias itself cannot have, tells tenants of this broker from other brokers.
        """
        if not tenant:
            return self.alias
        readable = _PLAIN.fullmatch(tenant) is not None
        return f"{self.alias}~{tenant if readable else '~' + hashlib.sha256(tenant.encode()).hexdigest()[:32]}"

    def describe(self, tenant: str, now: str) -> JsonObject:
        """The ContextSourceIdentity of a tenant (5.2.40)."""
        return {
            "id": f"urn:ngsi-ld:ContextSourceIdentity:{self.alias}",
            "type": "ContextSourceIdentity",
            "contextSourceAlias": self.alias_of(tenant),
            "contextSourceUptime": duration(time.monotonic() - self.started),
            "contextSourceTimeAt": now,
        }


def duration(seconds: float) -> str:
    """Seconds as an ISO 8601 duration, in days, hours, minutes and whole seconds."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"P{day}DT{hour}H{minute}M{second}S"
