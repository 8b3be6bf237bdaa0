"""The models, and the files made of them."""

import json
import subprocess
import sys

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyld import jsonld

from datamodels import CONTEXT_URL, InvalidModel, contexts, model_of, models, schema
from datamodels.files import made_files
from datamodels.generate import context_of
from datamodels.local_government import check_digit, is_code, local_governments, named, of_address
from datamodels.model import CORE_TERMS, parse_model
from datamodels.units import UNITS


def test_made_files_are_fresh():
    done = subprocess.run([sys.executable, "-m", "datamodels", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert {f"{entity_type}.schema.json" for entity_type in models()} <= {name for _, name in made_files()}


def test_every_unit_code_is_in_the_table():
    units = {attribute.unit for model in models().values() for attribute in model.attributes.values()} - {None}
    assert {"MTR", "MTK", "CEL", "A97"} <= units <= set(UNITS)
    assert UNITS["A97"] == "hPa"
    assert "HPA" not in UNITS


def test_the_context_gives_every_name_its_iri():
    document = dict(contexts()[CONTEXT_URL])
    for model in models().values():
        names = {model.type: model.iri, **model.also}
        names |= {a.name: a.iri for a in model.attributes.values() if a.name not in CORE_TERMS}
        expanded = jsonld.expand({"@context": document["@context"], **dict.fromkeys(names, "x")})[0]
        assert expanded.keys() == set(names.values())


def test_the_context_never_redefines_core_terms():
    for document in contexts().values():
        assert not set(document["@context"]) & {"id", "type", "value", "location", "description", "title"}


def test_one_name_has_one_meaning_over_all_models():
    text = """
type: Other
iri: https://example.org/Other
version: 1.0.0
dataset: other
title: {ja: 他, en: Other}
description: {ja: 他, en: Other}
attributes:
  elevation: {iri: "https://example.org/elevation", kind: Property, description: {ja: 標高, en: Elevation}}
"""
    with pytest.raises(InvalidModel, match="elevation"):
        context_of([*models().values(), parse_model(text)])


def test_schemas_are_valid_and_refuse_wrong_entities():
    for entity_type in models():
        jsonschema_rs.meta.validate(json.loads(json.dumps(dict(schema(entity_type)))))
    validator = jsonschema_rs.validator_for(json.dumps(dict(schema("EvacuationSite"))))
    site = {
        "id": "urn:ngsi-ld:EvacuationSite:999997:1",
        "type": "EvacuationSite",
        "name": {"type": "Property", "value": "中央公園"},
        "localGovernmentCode": {"type": "Property", "value": "999997"},
        "elevation": {"type": "Property", "value": 3.5, "unitCode": "MTR"},
    }
    assert validator.is_valid(site)
    assert not validator.is_valid({**site, "elevation": {"type": "Property", "value": 3.5, "unitCode": "CMT"}})
    assert not validator.is_valid({**site, "hazardTypes": {"type": "Property", "value": ["fire"]}})
    assert not validator.is_valid({name: value for name, value in site.items() if name != "name"})


def test_an_unknown_model_is_named():
    with pytest.raises(InvalidModel, match=r"EvacuationSite, .*RiverGauge"):
        model_of("Unicorn")


def test_known_terms_are_reused_and_not_reinvented():
    site = model_of("EvacuationSite")
    assert site.iri == "https://datamodels.jp/ns/disaster/EvacuationSite"
    assert site.attributes["hazardTypes"].iri == "https://datamodels.jp/ns/disaster/hazardTypes"
    assert site.attributes["location"].wire_name == "location"
    assert site.attributes["telephone"].wire_name == "https://schema.org/telephone"


def test_every_listed_local_government_has_a_valid_check_digit():
    assert len(local_governments()) == 1916
    assert all(is_code(code) for code in local_governments())


@given(st.from_regex(r"[0-9]{5}", fullmatch=True))
def test_exactly_one_check_digit_makes_five_digits_a_code(digits):
    assert [digit for digit in "0123456789" if is_code(digits + digit)] == [check_digit(digits)]


@given(st.sampled_from(sorted(local_governments())), st.integers(0, 4), st.integers(1, 9))
def test_a_wrong_digit_changes_the_check_digit_but_for_the_pair_that_shares_one(code, place, shift):
    wrong = code[:place] + str((int(code[place]) + shift) % 10) + code[place + 1 :]
    sums = [sum(w * int(d) for w, d in zip((6, 5, 4, 3, 2), text, strict=False)) % 11 for text in (code, wrong)]
    assert sums[0] != sums[1]
    assert is_code(wrong) == (set(sums) == {0, 10})


@pytest.mark.parametrize("digits", ["1234", "123456", "1234a", "１２３４５", ""])
def test_a_check_digit_needs_five_ascii_digits(digits):
    with pytest.raises(ValueError, match="five digits"):
        check_digit(digits)


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("香川県高松市番町1-8-15", ["高松市"]),
        ("高松市番町1-8-15", ["高松市"]),
        ("北海道余市郡余市町朝日町26", ["余市町"]),
        ("福島県郡山市朝日1-23-7", ["郡山市"]),
        ("広島県府中市府川町315", ["府中市"]),
        ("府中市宮西町2-24", ["府中市", "府中市"]),
        ("札幌市中央区北1条西2", ["札幌市中央区"]),
        ("どこでもない町1", []),
    ],
)
def test_the_municipality_of_an_address(address, names):
    assert [found.name for found in of_address(address)] == names


@given(st.sampled_from(sorted(local_governments().values())))
def test_prefecture_and_name_find_the_municipality(government):
    assert government in named(government.name, government.prefecture)
    assert government in of_address(government.prefecture + government.name + "本町1-1")
