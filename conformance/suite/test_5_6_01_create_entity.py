"""5.6.1 Create Entity, 6.4.3.1 POST /entities."""

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop


@clause("5.6.1.4")
def test_an_entity_that_is_there_already_is_not_created_again(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5))
    broker.post("/entities", one).expect(201)
    broker.post("/entities", one).expect_problem("AlreadyExists")
