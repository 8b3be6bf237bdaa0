"""A context source registration subscription (5.11): a Subscription (5.2.12) that asks for registrations.

It is stored and compiled as a subscription to entities is (broker.delivery.document, broker.delivery.subscription), with
`temporalQ` besides. What it says of entities is read as a question to registrations (5.11.2.4, 5.12): `q` has no part in that.
"""

from dataclasses import dataclass

from broker.delivery import document as subscription_document
from broker.delivery.endpoint import GEO_JSON, Endpoint
from broker.delivery.subscription import Subscription, SubscriptionKey, compile_subscription, terms_of
from broker.errors import BadRequestData
from broker.federation.intervals import check_temporal_query, parse_period
from broker.federation.matching import RegistrationQuery, parse_csf
from broker.model.entity import JsonObject, Names


@dataclass(frozen=True, slots=True, eq=False)
class RegistrationSubscription:
    """A compiled subscription: how it is served (`subscription`), and what it asks for (`query`).

    `version` differs after every change of the subscription.
    """

    subscription: Subscription
    query: RegistrationQuery
    version: str

    @property
    def key(self) -> SubscriptionKey:
        """What tells it from all other registration subscriptions."""
        return self.subscription.key

    @property
    def endpoint(self) -> Endpoint:
        """Where its notifications go."""
        return self.subscription.endpoint


def parse_members(given: JsonObject, names: Names, now: str) -> JsonObject:
    """The stored members of a Subscription or a fragment of one, each checked by itself. Raises BadRequestData."""
    temporal = given.get("temporalQ")
    others = {member: value for member, value in given.items() if member != "temporalQ"}
    members = subscription_document.parse_members(others, names, now)
    if temporal is not None:
        subscription_document.refuse_null(temporal, "temporalQ")
        members["temporalQ"] = check_temporal_query(temporal)
    return members


def check_whole(document: JsonObject) -> None:
    """What the members of a whole subscription demand of one another (5.2.12, 5.12, 6.3.9). Raises BadRequestData."""
    subscription_document.check_whole(document)
    if "entities" not in document and "watchedAttributes" not in document:
        raise BadRequestData("entities, watchedAttributes: at least one is needed to match registrations (5.12)")
    if document["notification"]["endpoint"].get("accept") == GEO_JSON:
        raise BadRequestData(f"notification.endpoint.accept: {GEO_JSON} is not for registrations (6.3.9)")


def compile_registration_subscription(tenant: str, document: JsonObject) -> RegistrationSubscription:
    """A stored document compiled. Raises BadRequestData naming the member that is not valid."""
    subscription = compile_subscription(tenant, document)
    csf, temporal, datasets = document.get("csf"), document.get("temporalQ"), document.get("datasetId")
    return RegistrationSubscription(
        subscription=subscription,
        query=RegistrationQuery(
            selectors=subscription.query.selectors,
            attributes=_attributes(subscription),
            dataset_ids=None if datasets is None else frozenset(datasets),
            geo=subscription.query.geo,
            scope=subscription.query.scope,
            csf=None if csf is None else parse_csf(csf, terms_of(document)("csf")),
            temporal=None if temporal is None else parse_period(temporal),
        ),
        version=document["modifiedAt"],
    )


def _attributes(subscription: Subscription) -> frozenset[str]:
    """Watched attributes and those to be notified, together; all if either is not given (5.11.2.4, 5.12)."""
    projection = subscription.view.projection
    notified = frozenset() if projection is None or projection.pick is None else projection.pick.attributes
    if not subscription.watched or not notified:
        return frozenset()
    return subscription.watched | notified
