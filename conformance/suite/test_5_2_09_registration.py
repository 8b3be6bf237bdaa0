"""5.2.9 CSourceRegistration, 5.2.10 RegistrationInfo, 5.2.11 TimeInterval, 5.2.34 RegistrationManagementInfo, 4.20."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, instant
from conformance.servers import DocumentServer
from conformance.suite.registrations import SOURCE, about, registration

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}
OPERATIONS = [
    *("createEntity", "updateEntity", "appendAttrs", "updateAttrs", "deleteAttrs", "deleteEntity", "createBatch"),
    *("upsertBatch", "updateBatch", "deleteBatch", "upsertTemporal", "appendAttrsTemporal", "deleteAttrsTemporal"),
    *("updateAttrInstanceTemporal", "deleteAttrInstanceTemporal", "deleteTemporal", "mergeEntity", "replaceEntity"),
    *("replaceAttrs", "mergeBatch", "purgeEntity", "retrieveEntity", "queryEntity", "queryBatch", "retrieveTemporal"),
    *("queryTemporal", "retrieveEntityTypes", "retrieveEntityTypeDetails", "retrieveEntityTypeInfo"),
    *("retrieveAttrTypes", "retrieveAttrTypeDetails", "retrieveAttrTypeInfo", "createSubscription"),
    *("updateSubscription", "retrieveSubscription", "querySubscription", "deleteSubscription", "retrieveEntityMap"),
    *("updateEntityMap", "deleteEntityMap", "createEntityMapQueryEntity", "createEntityMapQueryTemporal"),
    "retrieveContextSourceIdentity",
]
GROUPS = ["federationOps", "associationOps", "updateOps", "retrieveOps", "redirectionOps"]
MEMBERS: dict[str, list[Any]] = {
    "registrationName": ["Parking"],
    "description": ["All that is parked"],
    "contextSourceAlias": ["source-1.example"],
    "contextSourceInfo": [
        [{"key": "Authorization", "value": "Bearer x"}, {"key": "X-User", "value": "urn:ngsi-ld:request"}]
    ],
    "tenant": ["city"],
    "mode": ["inclusive"],
    "operations": [["retrieveOps", "createEntity"]],
    "management": [{"timeout": 500, "cooldown": 1000, "cacheDuration": "PT5M", "localOnly": True}],
    "refreshRate": ["P1DT12H"],
    "datasetId": [["urn:x:1", "@none"]],
    "scope": ["/Madrid", ["/Madrid/Gardens", "/Paris"]],
    "location": [{"type": "Point", "coordinates": [8.5, 41.2]}, SQUARE],
    "observationSpace": [{"type": "LineString", "coordinates": [[0, 0], [1, 1]]}],
    "operationSpace": [{"type": "MultiPoint", "coordinates": [[0, 0], [1, 1]]}],
}
BROKEN: dict[str, list[Any]] = {
    "id": ["no-uri", 7],
    "type": ["Registration", "Subscription", 7, None],
    "endpoint": ["not a uri", 7, ["http://a.example"], None],
    "information": [[], {}, "Vehicle", [7], None],
    "registrationName": ["", 7],
    "description": ["", {}],
    "contextSourceAlias": ["", "two words", 7],
    "contextSourceInfo": [{"a": "b"}, [{"key": "a"}], [{"value": "b"}], [{"key": "a", "value": 7}], ["a"]],
    "tenant": [7],
    "mode": ["shared", "", 7, ["inclusive"]],
    "operations": [["flyAway"], "retrieveOps", [7]],
    "management": ["PT5M", [1]],
    "refreshRate": ["often", "", 5],
    "datasetId": [["no-uri"], [7]],
    "scope": [7, ["/a", 7], "/1a"],
    "location": ["here", {"type": "Point"}, {"type": "Pint", "coordinates": [1, 2]}, {"coordinates": [1, 2]}],
    "observationSpace": [[1, 2], {"type": "Point", "coordinates": "1,2"}],
    "operationSpace": [7, {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}],
    "observationInterval": ["2020", {"endAt": "2020-01-01T00:00:00Z"}],
    "managementInterval": [[], {"startAt": "yesterday"}],
    "expiresAt": ["soon", 7],
}


@clause("5.2.9", 1)
@pytest.mark.parametrize(
    ("member", "value"), [(member, value) for member, values in MEMBERS.items() for value in values]
)
def test_a_member_comes_back_as_it_was_given(broker: BrokerClient, unique: Unique, member: str, value: Any) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), **{member: value})
    broker.post("/csourceRegistrations", given).expect(201)
    assert broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json[member] == value


@clause("5.2.9", 2, 3, 4, 5, 7)
@clause("5.9.2.4", 2)
@pytest.mark.parametrize(
    ("member", "value"), [(member, value) for member, values in BROKEN.items() for value in values]
)
def test_a_member_that_is_not_as_the_table_says_is_refused(
    broker: BrokerClient, unique: Unique, member: str, value: Any
) -> None:
    given = {**registration(unique.id("Registration"), about(unique.type())), member: value}
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")
    listed = broker.get("/csourceRegistrations", {"type": unique.type()}).expect(200)
    assert unique.type().encode() not in listed.body


@clause("5.2.9", 3, 4, 5)
@pytest.mark.parametrize("member", ["type", "endpoint", "information"])
def test_a_member_that_a_registration_must_have_is_missed(broker: BrokerClient, unique: Unique, member: str) -> None:
    given = registration(unique.id("Registration"), about(unique.type()))
    del given[member]
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")
    broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.2.9", 7)
@pytest.mark.parametrize(
    ("mode", "members"),
    [("inclusive", {}), ("redirect", {}), ("auxiliary", {"operations": ["retrieveOps"]}), ("exclusive", {})],
)
def test_each_mode_is_accepted(broker: BrokerClient, unique: Unique, mode: str, members: Document) -> None:
    entity_info = about(unique.type(), id=unique.id(), propertyNames=[unique.name("level")])
    given = registration(unique.id("Registration"), entity_info, mode=mode, **members)
    broker.post("/csourceRegistrations", given).expect(201)
    assert broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json["mode"] == mode


@clause("5.2.9", 8)
@pytest.mark.parametrize(
    "members",
    [
        {"status": "failed"},
        {"timesSent": 77, "timesFailed": 66},
        {"lastSuccess": "2001-01-01T00:00:00Z", "lastFailure": "2001-01-01T00:00:00Z"},
        {"createdAt": "2001-01-01T00:00:00Z", "modifiedAt": "2001-01-01T00:00:00Z"},
    ],
)
def test_read_only_members_are_ignored(broker: BrokerClient, unique: Unique, members: Document) -> None:
    given = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", {**given, **members}).expect(201)
    broker.patch(f"/csourceRegistrations/{given['id']}", {**members, "description": "x"}).expect(204)
    shown = broker.get(f"/csourceRegistrations/{given['id']}", {"options": "sysAttrs"}).expect(200).json
    assert shown["description"] == "x"
    assert all(shown.get(member) != value for member, value in members.items())


@clause("5.2.9", 10)
@pytest.mark.parametrize("value", ["a", 1.5, False, ["a", [1]], {"city": "Ichikawa", "floors": [1, 2]}])
def test_a_context_source_property_comes_back(broker: BrokerClient, unique: Unique, value: Any) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), **{unique.name("owner"): value})
    broker.post("/csourceRegistrations", given).expect(201)
    assert broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json[unique.name("owner")] == value


@clause("5.2.9", 10)
@clause("5.10.1.4", 3)
def test_a_context_source_property_has_the_name_of_the_readers_context(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(owner="https://example.org/owner")
    given = registration(unique.id("Registration"), about(unique.type()), owner="city")
    broker.post("/csourceRegistrations", given, link=context).expect(201)
    path = f"/csourceRegistrations/{given['id']}"
    assert broker.get(path, link=context).expect(200).json["owner"] == "city"
    assert broker.get(path).expect(200).json["https://example.org/owner"] == "city"


@clause("5.2.9", 10)
@clause("5.9.2.4", 2)
@pytest.mark.parametrize("members", [{"two words": 1}, {"1st": 1}, {"owner": {"name": "urn:ngsi-ld:null"}}])
def test_a_context_source_property_that_cannot_be_is_refused(
    broker: BrokerClient, unique: Unique, members: Document
) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), **members)
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")
    broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.2.10", 1)
@pytest.mark.parametrize(
    "info",
    [
        {"entities": [{"type": "Vehicle"}]},
        {"entities": [{"type": "Vehicle", "id": "urn:ngsi-ld:Vehicle:1"}, {"type": ["Bus", "Tram"]}]},
        {"entities": [{"type": "Vehicle", "idPattern": "^urn:.*1$"}], "propertyNames": ["speed"]},
        {"propertyNames": ["speed", "https://example.org/brand"]},
        {"relationshipNames": ["drivenBy"]},
        {"propertyNames": ["speed"], "relationshipNames": ["drivenBy"]},
    ],
)
def test_information_comes_back_as_it_was_given(broker: BrokerClient, unique: Unique, info: Document) -> None:
    given = registration(unique.id("Registration"), info, about(unique.type()))
    broker.post("/csourceRegistrations", given).expect(201)
    shown = broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json
    assert shown["information"] == [info, about(unique.type())]


@clause("5.2.10", 1, 2)
@pytest.mark.parametrize(
    "info",
    [
        {},
        {"entities": []},
        {"propertyNames": []},
        {"relationshipNames": []},
        {"propertyNames": "speed"},
        {"propertyNames": [7]},
        {"relationshipNames": ["a b"]},
        {"entities": [{"id": "urn:ngsi-ld:Vehicle:1"}]},
        {"entities": [{"idPattern": ".*"}]},
        {"entities": [{"type": "Vehicle", "id": "no-uri"}]},
        {"entities": [{"type": "Vehicle", "idPattern": "("}]},
        {"entities": [{"type": []}]},
        {"entities": ["Vehicle"]},
    ],
)
def test_information_that_says_nothing_or_is_broken_is_refused(
    broker: BrokerClient, unique: Unique, info: Document
) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), info)
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")
    broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.2.11", 1, 2)
@pytest.mark.parametrize("member", ["observationInterval", "managementInterval"])
@pytest.mark.parametrize(
    "interval",
    [
        {"startAt": "2020-01-01T00:00:00Z"},
        {"startAt": "2020-01-01T00:00:00Z", "endAt": "2021-06-01T12:30:00.5Z"},
    ],
)
def test_an_interval_comes_back(broker: BrokerClient, unique: Unique, member: str, interval: dict[str, str]) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), **{member: interval})
    broker.post("/csourceRegistrations", given).expect(201)
    shown = broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json[member]
    assert {part: instant(text) for part, text in shown.items()} == {
        part: instant(text) for part, text in interval.items()
    }


@clause("5.2.11", 1)
@pytest.mark.parametrize(
    "interval",
    [
        {},
        {"endAt": "2020-01-01T00:00:00Z"},
        {"startAt": "2020"},
        {"startAt": 7},
        {"startAt": "2020-01-01T00:00:00Z", "endAt": "later"},
    ],
)
def test_an_interval_without_a_beginning_or_with_what_is_no_time_is_refused(
    broker: BrokerClient, unique: Unique, interval: Document
) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), observationInterval=interval)
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")


@clause("5.2.34", 1)
@pytest.mark.parametrize(
    "management",
    [
        {"cacheDuration": "PT0.5S"},
        {"cooldown": 0.5},
        {"localOnly": False},
        {"timeout": 30000},
        {"timeout": 1, "localOnly": True, "cooldown": 2, "cacheDuration": "P1D"},
    ],
)
def test_management_comes_back(broker: BrokerClient, unique: Unique, management: Document) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), management=management)
    broker.post("/csourceRegistrations", given).expect(201)
    assert broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json["management"] == management


@clause("5.2.34", 1)
@pytest.mark.parametrize(
    "management",
    [
        {"cacheDuration": "5 minutes"},
        {"cacheDuration": 5},
        {"cooldown": 0},
        {"cooldown": -1},
        {"cooldown": "1000"},
        {"localOnly": "yes"},
        {"timeout": 0},
        {"timeout": True},
    ],
)
def test_management_that_the_table_does_not_allow_is_refused(
    broker: BrokerClient, unique: Unique, management: Document
) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), management=management)
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")
    broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound")


@clause("4.20", 1, 2)
@clause("5.2.9", 1)
@pytest.mark.parametrize("operation", OPERATIONS + GROUPS)
def test_each_operation_and_group_can_be_registered(broker: BrokerClient, unique: Unique, operation: str) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), operations=[operation])
    broker.post("/csourceRegistrations", given).expect(201)
    assert broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json["operations"] == [operation]


@clause("4.20", 3)
@pytest.mark.parametrize("operation", ["flyAway", "RetrieveEntity", "retrieveops", ""])
def test_an_operation_that_there_is_not_is_refused(broker: BrokerClient, unique: Unique, operation: str) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), operations=["queryEntity", operation])
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")


@clause("5.2.9", 4)
def test_the_endpoint_comes_back(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", given).expect(201)
    assert broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json["endpoint"] == SOURCE
