"""Context source identity information (5.15.1)."""

from broker.model.entity import JsonObject
from broker.operations.broker import Broker


def retrieve_identity(broker: Broker, tenant: str) -> JsonObject:
    """5.15.1 Retrieve Context Source Identity Information (5.2.40), also of a tenant in which nothing was created yet."""
    return broker.identity.describe(tenant, broker.now())
