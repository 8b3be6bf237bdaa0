"""Context source registration and discovery (5.9.2 to 5.9.4, 5.10.1, 5.10.2): create, update, delete, retrieve and query."""

import uuid
from typing import Any

from broker.delivery.document import refuse_null
from broker.errors import AlreadyExists, BadRequestData, ResourceNotFound
from broker.federation.conflicts import check_conflicts
from broker.federation.document import check_whole, parse_members, show_document, stored_members
from broker.federation.intervals import parse_period
from broker.federation.matching import RegistrationQuery, matching_information, parse_csf
from broker.federation.registration import Registration, compile_registration
from broker.model.entity import JsonObject, Names
from broker.model.naming import check_uri
from broker.model.terms import NGSI_LD_NULL
from broker.operations.broker import Broker
from broker.operations.queries import compile_query, compile_view
from broker.query.linked import attributes_of


async def register_context_source(broker: Broker, tenant: str, given: JsonObject, names: Names) -> str:
    """5.9.2 Register Context Source: the id of the new registration, generated where none is given.

    Raises BadRequestData, Conflict, AlreadyExists.
    """
    now, registry = broker.now(), broker.registry
    refuse_null(given, "registration")
    document = parse_members(given, names, now)
    document.setdefault("id", f"urn:ngsi-ld:ContextSourceRegistration:{uuid.uuid4()}")
    check_whole(document)
    document |= {"createdAt": now, "modifiedAt": now}
    await broker.tenants.ensure(tenant, now)
    async with registry.turn(tenant):
        if await registry.read(tenant, document["id"]) is not None:
            raise _exists(document["id"])
        registration = compile_registration(tenant, document)
        await check_conflicts(broker.store, registration, await registry.rivals(registration), now)
        if not await registry.add(tenant, document, broker.documents(registration.id)):
            raise _exists(document["id"])
    return registration.id


async def update_registration(
    broker: Broker, tenant: str, registration_id: str, given: JsonObject, names: Names
) -> None:
    """5.9.3 Update Context Source Registration: each member of the fragment replaces the stored one, an NGSI-LD Null removes
    it (5.5.8). What comes of it must be a valid registration without conflicts.

    Raises BadRequestData, ResourceNotFound, Conflict.
    """
    registry = broker.registry
    check_uri(registration_id, "registrationId")
    replaced = False
    while not replaced:
        async with registry.turn(tenant):
            stored = await _existing(broker, tenant, registration_id)
            document = _updated(stored.document, given, names, broker.now())
            registration = compile_registration(tenant, document)
            rivals = await registry.rivals(registration)
            await check_conflicts(broker.store, registration, rivals, document["modifiedAt"])
            replaced = await registry.replace(stored, document, broker.documents())


def _updated(stored: JsonObject, given: JsonObject, names: Names, now: str) -> JsonObject:
    """The stored document after 5.5.8. A JSON null changes nothing (5.2.1), and is refused where a member is mandatory."""
    fragment = stored_members(given, names)
    removed = {member for member, value in fragment.items() if value == NGSI_LD_NULL}
    empty = {member for member, value in fragment.items() if value is None}
    if mandatory := (removed | empty) & {"id", "type", "endpoint", "information"}:
        raise BadRequestData(f"{', '.join(sorted(mandatory))}: a registration cannot do without (5.2.9)")
    members = parse_members({name: value for name, value in given.items() if value != NGSI_LD_NULL}, names, now)
    if members.get("id", stored["id"]) != stored["id"]:
        raise BadRequestData("id: the id of a registration cannot be changed (5.2.9)", instance=stored["id"])
    document = {member: value for member, value in stored.items() if member not in removed} | members
    document["modifiedAt"] = now
    check_whole(document)
    return document


async def delete_registration(broker: Broker, tenant: str, registration_id: str) -> None:
    """5.9.4 Delete Context Source Registration. Raises BadRequestData, ResourceNotFound."""
    check_uri(registration_id, "registrationId")
    while not await broker.registry.remove(await _existing(broker, tenant, registration_id)):
        pass  # it was changed meanwhile


async def retrieve_registration(
    broker: Broker, tenant: str, registration_id: str, names: Names, *, sys_attrs: bool
) -> JsonObject:
    """5.10.1 Retrieve Context Source Registration, with names compacted by `names`. Raises BadRequestData, ResourceNotFound."""
    check_uri(registration_id, "registrationId")
    document = (await _existing(broker, tenant, registration_id)).document
    return show_document(document, names, sys_attrs=sys_attrs)


def compile_discovery(query: dict[str, Any], names: Names, now: str) -> RegistrationQuery:
    """What the members of a Query (5.2.23) ask of registrations (5.10.2.4, 5.12).

    The attributes that q and a named geoproperty are about count like those that attrs or pick list. Raises BadRequestData,
    also for a query that is too wide.
    """
    entities = compile_query(query, names, now, local=True)
    projection = compile_view(query, names, representation="normalized", sys_attrs=False).projection
    named = frozenset() if projection is None or projection.pick is None else projection.pick.attributes
    asked = frozenset() if entities.q is None else attributes_of(entities.q)
    geo, geoproperty = entities.geo, (query.get("geoQ") or {}).get("geoproperty")
    located = frozenset({geo.geoproperty}) if geo is not None and geoproperty is not None else frozenset()
    by_type = any(selector.get("type") is not None for selector in query.get("entities", ()))
    if not (by_type or entities.attrs or entities.q is not None or geo is not None):
        raise BadRequestData("too wide a query: give type, attrs, q or a geoquery (5.10.2.4)")
    csf, temporal, datasets = query.get("csf"), query.get("temporalQ"), query.get("datasetId")
    return RegistrationQuery(
        selectors=entities.selectors,
        attributes=named | asked | located,
        dataset_ids=None if datasets is None else frozenset(datasets),
        geo=geo,
        scope=entities.scope,
        csf=None if csf is None else parse_csf(csf, names),
        temporal=None if temporal is None else parse_period(temporal),
    )


async def query_registrations(
    broker: Broker, tenant: str, query: RegistrationQuery, names: Names, *, limit: int, offset: int, sys_attrs: bool
) -> tuple[list[JsonObject], int]:
    """5.10.2 Query Context Source Registrations: one page in order of creation, and how many match altogether.

    Registrations are shown whole, as 5.10.1 shows them: the clause recommends, but does not demand, leaving out the
    RegistrationInfo elements that do not match.
    """
    matching = [each for each in await broker.registry.all_of(tenant) if matching_information(query, each)]
    page = matching[offset : offset + limit]
    return [show_document(each.document, names, sys_attrs=sys_attrs) for each in page], len(matching)


async def _existing(broker: Broker, tenant: str, registration_id: str) -> Registration:
    registration = await broker.registry.read(tenant, registration_id)
    if registration is None:
        raise ResourceNotFound(f"there is no context source registration {registration_id}", instance=registration_id)
    return registration


def _exists(registration_id: str) -> AlreadyExists:
    return AlreadyExists(f"there is a registration {registration_id} already", instance=registration_id)
