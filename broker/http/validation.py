"""Resource /tsunagu/v1/validation: which types are held against data models, and how. Our own (docs/validation.md)."""

from broker.http.exchange import Exchange, json_answer
from broker.http.message import Response
from broker.http.negotiation import JSON


async def retrieve(exchange: Exchange) -> Response:
    """GET /tsunagu/v1/validation: the mode of each type of which there is a model, in the tenant of the request."""
    exchange.accepted((JSON,))
    validation = exchange.broker.validation
    modes = {} if validation is None else validation.modes(exchange.tenant)
    return json_answer(
        {
            "types": [
                {"type": validation.name(iri), "iri": iri, "mode": mode}
                for iri, mode in modes.items()
                if validation is not None
            ]
        }
    )
