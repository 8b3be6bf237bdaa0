"""What must hold of the vocabulary as a whole: its layouts, terms, examples and released @contexts."""

import json
import os
import re
from pathlib import Path

import jsonschema_rs
import pytest

from broker.jsonld.core import CORE_FILES, core_context
from datamodels import Target, code_lists, contexts, datasets, model_of, models, models_of_dataset, schema
from datamodels.code_lists import FORMATS
from datamodels.errors import InvalidModel
from datamodels.files import CONTEXT_VERSION, context_text, context_url, digest, released_contexts
from datamodels.model import CORE_TERMS, NAMESPACE, parse_model
from datamodels.representations import KINDS
from datamodels.validation import check_of

DATA = Path(os.environ.get("TSUNAGU_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
EEI = DATA / "gif-eei"
RELEASED = {
    "v1": "sha256:8d3b9cf7776ccb235d20515882183422e13c83d744e4b245eda7308fd2ed34b0",
    "v2": "sha256:1e81586eee6ac7241cf9a1354d6b4a3d97c0dd09318e8534b074137b813d4bfc",
}

SMALL = """
type: Other
iri: https://example.org/Other
version: 1.0.0
dataset: aed
title: {{ja: 他, en: Other}}
description: {{ja: 他, en: Other}}
attributes:
  {attribute}
"""


def test_there_are_fifteen_municipal_datasets_and_each_has_models():
    assert sorted(dataset.number for dataset in datasets().values()) == [f"{number:02}" for number in range(1, 16)]
    assert all(models_of_dataset(key) for key in datasets())


@pytest.mark.parametrize("key", sorted(datasets()))
def test_every_column_of_every_layout_has_its_place(key):
    dataset = datasets()[key]
    assert {"recommended", "standard"} <= set(dataset.layouts)
    for layout, columns in dataset.layouts.items():
        ignored = dataset.ignore.get(layout, ())
        placed = set().union(*(model.targets(layout) for model in models_of_dataset(key)))
        assert len(set(columns)) == len(columns)
        assert set(columns) == placed | set(ignored)
        assert not placed & set(ignored)


def test_a_column_is_a_value_or_a_member_or_an_item():
    toilet = model_of("PublicToilet").targets("standard")
    assert toilet["名称"] == Target("name")
    assert toilet["男性トイレ数（洋式）"] == Target("stalls", member="male.western")
    site = model_of("EvacuationSite").targets("recommended")
    assert site["災害種別_津波"] == Target("hazardTypes", item="tsunami")
    assert list(site) == [column for column in datasets()["evacuation_space"].layouts["recommended"] if column != "NO"]


@pytest.mark.parametrize("entity_type", sorted(models()))
def test_the_example_of_a_model_is_valid_under_its_schema(entity_type):
    validator = jsonschema_rs.validator_for(
        json.dumps(dict(schema(entity_type))), validate_formats=True, formats=dict(FORMATS)
    )
    model = model_of(entity_type)
    example = model.example()
    assert [error.message for error in validator.iter_errors(example)] == []
    assert {name for name, attribute in model.attributes.items() if attribute.required} <= set(example)
    several = {**example, **{name: [example[name]] for name in example if name not in ("id", "type")}}
    assert validator.is_valid({**several, "type": [entity_type, "Another"]})
    assert not validator.is_valid({**example, "type": "Another"})


def test_terms_of_a_value_are_in_its_code_list():
    for model in models().values():
        for attribute in model.attributes.values():
            if attribute.codes is not None:
                codes = code_lists()[attribute.codes].codes
                items = attribute.schema.get("items", {})
                assert set(attribute.schema.get("enum", items.get("enum", ()))) <= set(codes), attribute.name


@pytest.mark.real_data
@pytest.mark.skipif(not EEI.is_dir(), reason="the EEI attribute lists are not here")
def test_paths_into_eei_name_attributes_that_are_there():
    text = "\n".join(file.read_text("utf-8") for file in sorted(EEI.glob("*.md")))
    classes = re.findall(r'class \S+ \["([^"]+)"\]\s*\{(.*?)\n\s*\}', text, re.DOTALL)
    known = {f"{name}>{line.strip()}" for name, lines in classes for line in lines.splitlines() if line.strip()}
    paths = {a.gif for model in models().values() for a in model.attributes.values() if a.gif and ":" in a.gif}
    assert len(paths) > 30
    assert paths <= known


def test_released_contexts_never_change():
    assert {version: released_contexts()[version] for version in RELEASED} == RELEASED
    for version, expected in released_contexts().items():
        assert digest(context_text(int(version.removeprefix("v")))) == expected


def iris(terms):
    """What each term of an @context means, in full."""
    full = {
        name: iri.get("@id", "") if isinstance(iri, dict) else iri
        for name, iri in terms.items()
        if isinstance(iri, dict | str)
    }
    prefixes = {name: iri for name, iri in full.items() if iri.endswith(("/", "#"))}
    return {
        name: prefixes.get(iri.partition(":")[0], iri.partition(":")[0] + ":") + iri.partition(":")[2]
        for name, iri in full.items()
    }


def test_a_name_keeps_its_meaning_from_version_to_version():
    """Or it is given up, and the IRI goes on under another name."""
    former = {a.formerly: a.iri for model in models().values() for a in model.attributes.values() if a.formerly}
    for version in range(1, CONTEXT_VERSION):
        older, newer = (iris(contexts()[context_url(each)]["@context"]) for each in (version, version + 1))
        lost = older.keys() - newer.keys()
        assert {name: newer[name] for name in older if name not in lost} == {
            name: iri for name, iri in older.items() if name not in lost
        }
        assert {name: older[name] for name in lost} == {name: former.get(name) for name in lost}
        assert {older[name] for name in lost} <= set(newer.values())


def test_4_4_no_term_of_ours_means_something_else_in_a_core_context():
    """A client that names both @contexts would read the core's meaning, since the core cannot be overridden."""
    known = {context_url(2): {"entities", "reason"}}  # released like this, and given up in v3
    for core_url in CORE_FILES:
        core = iris(core_context(core_url))
        for url, document in contexts().items():
            ours = iris(document["@context"])
            assert {name for name in ours if core.get(name, ours[name]) != ours[name]} == known.get(url, set()), (
                core_url
            )
        names = {each: core.get(each) for each in CORE_TERMS}
        assert names == dict(CORE_TERMS), core_url


def test_an_attribute_that_was_called_otherwise_is_still_the_same_attribute():
    for entity_type, before, after in (
        ("AdapterRun", "entities", "entityCounts"),
        ("EvacuationOrder", "reason", "orderReason"),
    ):
        attribute = model_of(entity_type).attributes[after]
        assert attribute.iri == NAMESPACE + before  # what is stored stays what it is
        check = check_of(entity_type)
        assert check.expand(before) == check.expand(after) == check.expand(attribute.iri) == attribute.iri


def test_personal_attributes_are_marked():
    assert model_of("CulturalProperty").attributes["owner"].personal
    assert model_of("FoodBusinessPermit").attributes["operator"].personal
    assert not model_of("AED").attributes["operator"].personal


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("name: {required: true, columns: {recommended: [呼び名]}}", "no column 呼び名"),
        ("name:\n  nameKana: {columns: {recommended: [名称]}}", "名称 goes to name and nameKana"),
        ("name: {colour: red}", "unknown member colour"),
        ("size: {iri: 'tsunagu:size', kind: Property}", "'description' is missing"),
        ("size: {kind: Property}", "'description' is missing"),
        ("size: {iri: 'tsunagu:size', kind: Number, description: {ja: 大, en: Size}}", "unknown kind 'Number'"),
        ("location: {geometry: [Circle]}", "unknown geometry Circle"),
    ],
)
def test_a_model_file_that_breaks_a_rule_is_refused(attribute, message):
    with pytest.raises(InvalidModel, match=message):
        parse_model(SMALL.format(attribute=attribute))


def test_a_model_takes_shared_attributes_by_name_and_may_change_them():
    model = parse_model(SMALL.format(attribute="name: {required: true, description: {ja: 呼び名, en: Called}}"))
    name = model.attributes["name"]
    assert (name.iri, name.required, name.description["en"]) == ("https://uri.etsi.org/ngsi-ld/name", True, "Called")
    assert name.columns["standard"] == ("名称",)
    assert model_of("AED").attributes["pediatric"].iri == NAMESPACE + "pediatric"


def test_4_5_1_no_member_of_a_value_looks_like_that_of_an_attribute():
    """In concise representation, an object with such a member is an attribute and no value."""
    for model in models().values():
        for attribute in model.attributes.values():
            members = set(attribute.schema.get("properties", {}))
            members |= set(attribute.schema.get("items", {}).get("properties", {}))
            assert not members & set(KINDS.values()), attribute.name
