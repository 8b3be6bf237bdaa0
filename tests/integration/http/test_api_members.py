"""Members that are no attributes, and attributes with rules of their own, over HTTP: proofs, languages, expiry, identity."""

import pytest

STORE = "urn:ngsi-ld:Store:002"
PROOF = {
    "type": "Property",
    "entityIdSealed": STORE,
    "entityTypeSealed": "Store",
    "value": {"type": "DataIntegrityProof", "proofValue": "z3X"},
}
NULL = "urn:ngsi-ld:null"
LATER = "2100-01-01T00:00:00Z"
LATEST = "2200-01-01T00:00:00Z"


async def create(api, **attributes):
    assert (await api.post("entities", {"id": STORE, "type": "Store", **attributes})).status == 201


async def found(api, q):
    answer = await api.get(f"entities?type=Store&q={q}")
    assert answer.status == 200, answer.body
    return [entity["id"] for entity in answer.json]


async def attribute(api, name, options=""):
    return (await api.get(f"entities/{STORE}{options}")).json.get(name)


async def test_c_11_a_proof_is_kept_found_updated_and_removed(api):
    await create(api, address={"type": "Property", "value": "Tiger Street 4", "ngsildproof": PROOF})
    assert (await attribute(api, "address"))["ngsildproof"] == PROOF
    assert await attribute(api, "address", "?format=simplified") == "Tiger Street 4"
    assert await found(api, "address.ngsildproof") == [STORE]
    assert await found(api, 'address.ngsildproof[proofValue]=="z4Y"') == []
    assert await found(api, 'address.ngsildproof[proofValue]=="z3X"') == [STORE]
    history = (await api.get(f"temporal/entities/{STORE}")).json
    assert history["address"][0]["ngsildproof"] == PROOF

    kept = {"type": "Property", "value": "Tiger Street 5"}
    assert (await api.patch(f"entities/{STORE}/attrs/address", kept)).status == 204
    assert await attribute(api, "address") == kept | {"ngsildproof": PROOF}, "5.5.8: what is not named stays"
    newer = {"ngsildproof": {"value": {"proofValue": "z4Y"}}}
    assert (await api.patch(f"entities/{STORE}", {"address": newer})).status == 204
    merged = PROOF | {"value": {"type": "DataIntegrityProof", "proofValue": "z4Y"}}
    assert (await attribute(api, "address"))["ngsildproof"] == merged
    assert (await api.patch(f"entities/{STORE}", {"address": {"ngsildproof": NULL}})).status == 204
    assert await attribute(api, "address") == kept
    assert await found(api, "address.ngsildproof") == []


async def test_4_5_2_2_sealed_members_are_for_proofs_only(api):
    await create(api, address="Tiger Street 4")
    for member in ("entityIdSealed", "entityTypeSealed"):
        wrong = await api.put(f"entities/{STORE}/attrs/address", {"value": 1, member: STORE})
        assert (wrong.status, wrong.json["type"].rsplit("/")[-1]) == (400, "BadRequestData")
        assert member in wrong.json["detail"]
        assert (await api.put(f"entities/{STORE}/attrs/{member}", {"value": 1})).status == 400
    assert (await api.post(f"entities/{STORE}/attrs", {"ngsildproof": PROOF})).status == 204
    assert (await api.get(f"entities/{STORE}?pick=ngsildproof")).json == {"ngsildproof": PROOF}


@pytest.mark.parametrize(
    ("q", "matches"),
    [
        *[('name[en]=="Bridge"', True), ('name[en]=="橋"', False), ('name[*]=="橋"', True), ('name[fr]=="b"', True)],
        *[("name[de]", False), ("name[en]", True), ("name", True), ('name.note[en]=="x"', True)],
    ],
)
async def test_4_9_q_looks_into_languages(api, q, matches):
    note = {"type": "LanguageProperty", "languageMap": {"en": "x"}}
    await create(
        api,
        name={"type": "LanguageProperty", "languageMap": {"en": "Bridge", "ja": "橋", "fr": ["a", "b"]}, "note": note},
    )
    assert await found(api, q) == ([STORE] if matches else [])


@pytest.mark.parametrize(
    ("lang", "text", "tag"),
    [
        *[("ja", "橋", "ja"), ("fr-CH,fr", ["a", "b"], "fr"), ("de", "Bridge", "en"), ("*", "Bridge", "en")],
        *[("fr;q=0.3,ja;q=0.5", "橋", "ja"), ("JA", "橋", "ja"), ("de,*;q=0.5", "Bridge", "en")],
    ],
)
async def test_4_15_one_language_in_every_representation(api, lang, text, tag):
    note = {"type": "LanguageProperty", "languageMap": {"ja": "橋", "en": "Bridge", "fr": ["a", "b"]}}
    language_map = {"en": "Bridge", "ja": "橋", "fr": ["a", "b"]}
    await create(api, name={"type": "LanguageProperty", "languageMap": language_map, "note": note})
    shown = await attribute(api, "name", f"?lang={lang}")
    assert (shown["type"], shown["value"], shown["lang"]) == ("Property", text, tag)
    assert shown["note"]["type"] == "Property"
    concise = await attribute(api, "name", f"?lang={lang}&format=concise")
    assert (concise["value"], concise["lang"]) == (text, tag)
    assert await attribute(api, "name", f"?lang={lang}&format=simplified") == text
    query = {"type": "Query", "entities": [{"type": "Store"}], "lang": lang}
    assert (await api.post("entityOperations/query?format=simplified", query)).json[0]["name"] == text
    history = (await api.get(f"temporal/entities/{STORE}?lang={lang}")).json["name"][0]
    assert (history["value"], history["lang"]) == (text, tag)
    feature = await api.get(f"entities/{STORE}?lang={lang}&format=simplified", Accept="application/geo+json")
    assert feature.json["properties"]["name"] == text


async def test_4_22_expiry_is_set_shown_with_sys_attrs_and_taken_away(api):
    await create(
        api, expiresAt=LATER, name={"value": "x", "expiresAt": LATER, "note": {"value": 1, "expiresAt": LATER}}
    )
    plain = (await api.get(f"entities/{STORE}")).json
    assert plain == {
        "id": STORE,
        "type": "Store",
        "name": {"type": "Property", "value": "x"} | {"note": {"type": "Property", "value": 1}},
    }
    shown = (await api.get(f"entities/{STORE}?options=sysAttrs")).json
    assert (shown["expiresAt"], shown["name"]["expiresAt"], shown["name"]["note"]["expiresAt"]) == (LATER,) * 3
    assert (await api.patch(f"entities/{STORE}", {"expiresAt": LATEST, "name": {"expiresAt": LATEST}})).status == 204
    shown = (await api.get(f"entities/{STORE}?options=sysAttrs")).json
    assert (shown["expiresAt"], shown["name"]["expiresAt"]) == (LATEST, LATEST)
    assert (await api.patch(f"entities/{STORE}/attrs/name", {"expiresAt": NULL})).status == 204
    assert (await api.patch(f"entities/{STORE}", {"expiresAt": NULL})).status == 204
    shown = (await api.get(f"entities/{STORE}?options=sysAttrs")).json
    assert "expiresAt" not in shown
    assert "expiresAt" not in shown["name"]
    assert shown["name"]["note"]["expiresAt"] == LATER


async def test_4_22_an_attribute_instance_that_expired_is_nowhere_to_be_seen(api):
    gone = {"value": 1, "expiresAt": "2020-01-01T00:00:00Z"}
    here = {"value": 2, "datasetId": "urn:d:1"}
    await create(api, name=[gone, here], old=gone, other={"value": 3, "note": gone})
    shown = (await api.get(f"entities/{STORE}?format=concise")).json
    assert shown == {"id": STORE, "type": "Store", "name": here, "other": 3}
    assert await found(api, "old") == []
    assert await found(api, "other.note") == []
    assert await found(api, "name==1") == []
    assert await found(api, "name==2") == [STORE]
    assert (await api.get("entities?attrs=old")).json == []
    assert "old" not in (await api.get("attributes")).json["attributeList"]
    assert (await api.delete(f"entities/{STORE}/attrs/old")).status == 404
    assert (await api.put(f"entities/{STORE}/attrs/old", {"value": 5})).status == 404
    assert (await api.post(f"entities/{STORE}/attrs?options=noOverwrite", {"old": {"value": 5}})).status == 204
    assert await attribute(api, "old", "?format=simplified") == 5


async def test_5_15_1_each_tenant_has_an_identity_of_its_own(api):
    default = await api.get("info/sourceIdentity")
    assert default.status == 200
    assert default.json.keys() == {
        *("id", "type", "contextSourceAlias", "contextSourceUptime", "contextSourceTimeAt"),
    }
    assert default.json["type"] == "ContextSourceIdentity"
    kanazawa = await api.get("info/sourceIdentity", NGSILD_Tenant="kanazawa", Accept="application/ld+json")
    assert kanazawa.headers["NGSILD-Tenant"] == "kanazawa"
    assert "@context" in kanazawa.json
    assert kanazawa.json["contextSourceAlias"] != default.json["contextSourceAlias"]
    assert kanazawa.json["id"].startswith("urn:")
