"""The core @contexts that come with the broker (4.4, Annex B)."""

import itertools

import pytest
from pyld import jsonld

from broker.jsonld.core import CORE_FILES, CORE_URL, core_context, core_document

BASE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context"


def test_4_4_the_core_url_is_that_of_v1_9():
    assert f"{BASE}-v1.9.jsonld" == CORE_URL
    assert core_document(CORE_URL) is core_document(CORE_URL)


def test_b_the_url_without_a_version_names_the_newest_core():
    assert core_document(f"{BASE}.jsonld") == core_document(CORE_URL)


@pytest.mark.parametrize(
    "url",
    [
        f"{BASE}-non-existing.jsonld",
        f"{BASE}-v1.2.jsonld",
        f"{BASE}-v1.9.jsonld#x",
        f"{BASE}-v1.9.jsonld?x=1",
        "http://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld",
        BASE,
        "",
    ],
)
def test_4_4_a_core_context_is_known_by_its_exact_url_only(url: str):
    assert core_document(url) is None
    assert core_context(url) is None


@pytest.mark.parametrize("url", sorted(CORE_FILES))
def test_b_every_version_is_valid_json_ld_and_expands_the_basic_terms(url: str):
    context = core_context(url)
    document = {"@context": context, "id": "urn:x:1", "type": "Vehicle", "speed": {"type": "Property", "value": 1}}
    (expanded,) = jsonld.expand(document)
    assert expanded["@type"] == ["https://uri.etsi.org/ngsi-ld/default-context/Vehicle"]
    (speed,) = expanded["https://uri.etsi.org/ngsi-ld/default-context/speed"]
    assert speed["@type"] == ["https://uri.etsi.org/ngsi-ld/Property"]
    assert speed["https://uri.etsi.org/ngsi-ld/hasValue"] == [{"@value": 1}]


def test_b_each_version_holds_the_terms_of_the_one_before():
    versions = [core_document(f"{BASE}-v1.{minor}.jsonld")["@context"] for minor in range(3, 10)]
    for older, newer in itertools.pairwise(versions):
        assert older.items() <= newer.items()
        assert len(older) < len(newer)


def test_4_4_the_served_core_is_protected_and_keeps_its_scoped_context():
    context = core_document(CORE_URL)["@context"]
    assert context["@protected"] is True
    assert "https://w3id.org/security/data-integrity/v2" in context["ngsildproof"]["@context"]
    assert "@context" not in core_context(CORE_URL)["ngsildproof"]
