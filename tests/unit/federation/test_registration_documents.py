"""CSourceRegistration and its parts, as they are accepted, kept and shown (5.2.8 to 5.2.11, 5.2.22, 5.2.34, 4.20, 4.3.6)."""

from typing import Any

import pytest
from hypothesis import given as randomly
from hypothesis import strategies as st
from registration_samples import NOW, VEHICLE, about, given, iri, registration, stored

from broker.errors import BadRequestData
from broker.federation.document import MEMBERS, check_whole, parse_members, show_document
from broker.federation.operation_names import GROUPS, OPERATIONS, supported_operations
from broker.jsonld.terms import CORE


class DefinedTerms:
    """An @context with a few terms of a user's, without the bounds and prefixes of a real one."""

    def __init__(self, terms: dict[str, str]) -> None:
        self._terms = terms

    def expand(self, name: str) -> str:
        return self._terms.get(name) or CORE.expand(name)

    def compact(self, name: str) -> str:
        return {term: short for short, term in self._terms.items()}.get(name) or CORE.compact(name)


WHOLE = given(
    registrationName="Parking",
    description="All of it",
    information=[
        {
            "entities": [{"id": VEHICLE, "type": "Vehicle"}],
            "propertyNames": ["speed"],
            "relationshipNames": ["parkedAt"],
        },
        {"entities": [{"idPattern": ".*downtown$", "type": ["Parking", "Garage"]}]},
    ],
    contextSourceAlias="source-1",
    contextSourceInfo=[
        {"key": "Authorization", "value": "urn:ngsi-ld:request"},
        {"key": "accept", "value": "application/json"},
    ],
    tenant="city",
    mode="inclusive",
    operations=["retrieveOps", "createEntity"],
    management={"timeout": 500, "cooldown": 0.5, "cacheDuration": "PT5M", "localOnly": True},
    refreshRate="P1DT12H",
    datasetId=["urn:x:1", "@none"],
    scope="/Madrid",
    location={"type": "Point", "coordinates": [1, 2]},
    observationSpace={"type": "Point", "coordinates": [1, 2]},
    operationSpace={"type": "Point", "coordinates": [1, 2]},
    observationInterval={"startAt": "2020-01-01T00:00:00Z", "endAt": "2021-01-01T00:00:00Z"},
    managementInterval={"startAt": "2020-01-01T00:00:00Z"},
    expiresAt="2030-01-01T00:00:00Z",
)


def test_5_2_9_a_whole_registration_comes_back_as_it_was_given() -> None:
    document = parse_members(WHOLE, CORE, NOW)
    check_whole(document)
    assert set(document) == set(MEMBERS)
    assert show_document(document, CORE) == WHOLE


def test_5_5_7_names_are_kept_expanded() -> None:
    info = parse_members(WHOLE, CORE, NOW)["information"][0]
    assert info == {
        "entities": [{"id": VEHICLE, "type": [iri("Vehicle")]}],
        "propertyNames": [iri("speed")],
        "relationshipNames": [iri("parkedAt")],
    }


def test_5_2_2_system_times_are_shown_only_when_asked_for() -> None:
    assert "createdAt" not in show_document(stored(), CORE)
    assert show_document(stored(), CORE, sys_attrs=True)["modifiedAt"] == NOW


def test_5_2_9_read_only_members_and_terms_of_attributes_are_ignored_and_null_is_no_member() -> None:
    document = parse_members(
        given(status="failed", timesSent=7, lastFailure="x", createdAt="x", unitCode="MTR", scope=None, other=None),
        CORE,
        NOW,
    )
    assert set(document) == {"id", "type", "endpoint", "information"}


@pytest.mark.parametrize("value", ["a", 1, False, ["a", [1]], {"city": {"id": 1}}, [], {}, {"type": "Vehicle"}])
def test_4_9_a_context_source_property_is_kept_with_its_value_and_shown_by_its_name(value: Any) -> None:
    names = DefinedTerms({"owner": "https://example.org/owner"})
    document = parse_members(given(owner=value), names, NOW) | {"createdAt": NOW, "modifiedAt": NOW}
    assert document["https://example.org/owner"] == value
    assert show_document(document, names)["owner"] == value
    assert show_document(document, CORE)["https://example.org/owner"] == value


def test_4_9_a_name_that_means_a_member_of_the_table_is_that_member() -> None:
    names = DefinedTerms({"kind": iri("mode"), "health": iri("status")})
    document = parse_members(given(**{"kind": "redirect", iri("tenant"): "city", "health": "ok"}), names, NOW)
    assert document == parse_members(given(mode="redirect", tenant="city"), CORE, NOW)
    with pytest.raises(BadRequestData, match="mode"):
        parse_members(given(mode="redirect", kind="redirect"), names, NOW)
    with pytest.raises(BadRequestData, match="mode"):
        parse_members(given(kind="anything"), names, NOW)


@pytest.mark.parametrize("members", [{"a b": 1}, {"": 1}, {"a": {"b": ["urn:ngsi-ld:null"]}}, {"a": 1, iri("a"): 1}])
def test_4_9_a_context_source_property_has_a_name_once_and_holds_no_ngsi_ld_null(members: dict[str, Any]) -> None:
    with pytest.raises(BadRequestData):
        parse_members(given(**members), CORE, NOW)


def test_5_11_7_only_matching_information_is_shown() -> None:
    document = stored(information=[{"propertyNames": ["a"]}, {"propertyNames": ["b"]}])
    assert show_document(document, CORE, matching=(1,))["information"] == [{"propertyNames": ["b"]}]


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"type": ...}, "type"),
        ({"type": "Registration"}, "type"),
        ({"endpoint": ...}, "endpoint"),
        ({"endpoint": "xxx"}, "endpoint"),
        ({"endpoint": "http://"}, "endpoint"),
        ({"endpoint": "http://host:99999"}, "endpoint"),
        ({"endpoint": "mqtt://host/topic"}, "endpoint"),
        ({"endpoint": 5}, "endpoint"),
        ({"id": "no uri"}, "id"),
        ({"information": ...}, "information"),
        ({"information": []}, "information"),
        ({"information": {}}, "information"),
        ({"information": [{}]}, "information"),
        ({"information": ["x"]}, "information"),
        ({"information": [{"entities": []}]}, "information.entities"),
        ({"information": [{"propertyNames": []}]}, "information.propertyNames"),
        ({"information": [{"propertyNames": [""]}]}, "information.propertyNames"),
        ({"information": [{"relationshipNames": "x"}]}, "information.relationshipNames"),
        ({"information": about({"id": VEHICLE})}, "information.entities.type"),
        ({"information": about({"type": []})}, "information.entities"),
        ({"information": about({"type": "not a name"})}, "not a name"),
        ({"information": about({"type": "T", "id": "x"})}, "information.entities.id"),
        ({"information": about({"type": "T", "idPattern": "("})}, "information.entities.idPattern"),
        ({"contextSourceAlias": ""}, "contextSourceAlias"),
        ({"contextSourceAlias": "two words"}, "contextSourceAlias"),
        ({"contextSourceInfo": {}}, "contextSourceInfo"),
        ({"contextSourceInfo": [{"key": "a"}]}, "contextSourceInfo"),
        ({"contextSourceInfo": [{"key": "a", "value": 1}]}, "contextSourceInfo"),
        ({"contextSourceInfo": [{"key": "a b", "value": "x"}]}, "contextSourceInfo"),
        ({"contextSourceInfo": [{"key": "a", "value": "x\r\nHost: y"}]}, "contextSourceInfo"),
        ({"contextSourceInfo": [{"key": "NGSILD-Tenant", "value": "x"}]}, "contextSourceInfo"),
        ({"contextSourceInfo": [{"key": "accept", "value": "text/html"}]}, "contextSourceInfo.accept"),
        ({"contextSourceInfo": [{"key": "contentType", "value": "x"}]}, "contextSourceInfo.contentType"),
        ({"contextSourceInfo": [{"key": "jsonldContext", "value": "x"}]}, "contextSourceInfo.jsonldContext"),
        ({"contextSourceInfo": [{"key": "ngsildConformance", "value": "1"}]}, "contextSourceInfo.ngsildConformance"),
        ({"registrationName": ""}, "registrationName"),
        ({"description": 1}, "description"),
        ({"tenant": 1}, "tenant"),
        ({"mode": "sometimes"}, "mode"),
        ({"mode": ["inclusive"]}, "mode"),
        ({"operations": []}, "operations"),
        ({"operations": ["fly"]}, "operations"),
        ({"operations": [["createEntity"]]}, "operations"),
        ({"management": 5}, "management"),
        ({"management": {"timeout": 0}}, "management.timeout"),
        ({"management": {"timeout": True}}, "management.timeout"),
        ({"management": {"cooldown": -1}}, "management.cooldown"),
        ({"management": {"cacheDuration": "5 minutes"}}, "management.cacheDuration"),
        ({"management": {"localOnly": "yes"}}, "management.localOnly"),
        ({"refreshRate": "P"}, "refreshRate"),
        ({"refreshRate": "PT"}, "refreshRate"),
        ({"datasetId": ["x"]}, "datasetId"),
        ({"datasetId": []}, "datasetId"),
        ({"scope": "a b"}, "scope"),
        ({"location": {"type": "Point"}}, "location"),
        ({"observationInterval": {}}, "observationInterval"),
        ({"observationInterval": {"startAt": "yesterday"}}, "observationInterval.startAt"),
        (
            {"managementInterval": {"startAt": "2021-01-01T00:00:00Z", "endAt": "2020-01-01T00:00:00Z"}},
            "managementInterval.endAt",
        ),
        ({"expiresAt": "soon"}, "expiresAt"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"description": "urn:ngsi-ld:null"}, "description"),
        ({"management": {"timeout": "urn:ngsi-ld:null"}}, "management"),
    ],
)
def test_5_9_2_a_registration_against_the_data_types_is_refused(members: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadRequestData) as refused:
        stored(**members)
    assert fault in refused.value.detail


@pytest.mark.parametrize(
    "information",
    [
        about({"type": "Vehicle", "id": VEHICLE}),
        about({"type": "Vehicle"}, propertyNames=["speed"]),
        about({"type": "Vehicle", "idPattern": ".*"}, propertyNames=["speed"]),
        about({"type": "Vehicle", "id": VEHICLE, "idPattern": ".*"}, propertyNames=["speed"]),
        about(propertyNames=["speed"]),
        about({"type": "Vehicle", "id": VEHICLE}, {"type": "Vehicle", "id": "urn:x:2"}, propertyNames=["speed"]),
    ],
)
def test_4_3_6_3_an_exclusive_registration_is_about_attributes_of_one_entity(information: list[Any]) -> None:
    with pytest.raises(BadRequestData, match="information"):
        stored(mode="exclusive", information=information)
    assert stored(mode="redirect", information=information)["mode"] == "redirect"


def test_4_3_6_3_an_exclusive_registration_of_attributes_of_one_entity_is_accepted() -> None:
    assert stored(mode="exclusive", information=about({"type": "Vehicle", "id": VEHICLE}, propertyNames=["speed"]))


@pytest.mark.parametrize("operations", [["retrieveOps"], ["retrieveEntity"], ["queryEntity", "retrieveEntity"]])
def test_5_9_2_4_an_auxiliary_registration_only_retrieves(operations: list[str]) -> None:
    assert stored(mode="auxiliary", operations=operations)["operations"] == operations


@pytest.mark.parametrize("operations", [..., ["federationOps"], ["retrieveEntity", "createEntity"]])
def test_5_9_2_4_an_auxiliary_registration_of_more_is_refused(operations: Any) -> None:
    with pytest.raises(BadRequestData, match="operations"):
        stored(mode="auxiliary", operations=operations)


def test_4_20_operations_default_to_the_federation_group() -> None:
    assert registration().operations == GROUPS["federationOps"]


def test_4_20_groups_stand_for_their_members() -> None:
    assert registration(operations=["retrieveOps", "createEntity"]).operations == {
        "retrieveEntity",
        "queryEntity",
        "createEntity",
    }


def test_4_20_groups_are_made_of_operations() -> None:
    assert len(OPERATIONS) == 43
    assert all(members < OPERATIONS for members in GROUPS.values())
    assert {group: len(members) for group, members in GROUPS.items()} == {
        "federationOps": 19,
        "associationOps": 15,
        "updateOps": 4,
        "retrieveOps": 2,
        "redirectionOps": 23,
    }
    assert supported_operations([]) == frozenset()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*MEMBERS, "entities", "key"]), inner),
    max_leaves=8,
)


@randomly(st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=4))
def test_5_5_4_any_json_is_either_accepted_or_refused(members: dict[str, Any]) -> None:
    try:
        document = stored(**members)
    except BadRequestData:
        return
    assert show_document(document, CORE)["type"] == "ContextSourceRegistration"
