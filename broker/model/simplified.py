"""Attributes in simplified representation (4.5.4) as input: each takes its type from the attribute it is merged into."""

from collections.abc import Sequence
from typing import Any

from broker.errors import BadRequestData
from broker.model.attributes import AttributeReader, is_text_list, null_instance
from broker.model.entity import Instance
from broker.model.naming import check_uri
from broker.model.terms import KINDS, NGSI_LD_NULL, NONE_DATASET

_WRAPPED = frozenset({"languageMap", "vocab", "json"})
"""Value members that simplified representation keeps around the value (4.5.4)."""


def read_simplified(
    reader: AttributeReader, name: str, iri: str, value: Any, target: Sequence[Instance], lang: str | None
) -> list[Instance]:
    """The instances that a simplified value stands for, given those that the attribute has. Raises BadRequestData."""
    if type(value) is dict and value.keys() == {"dataset"} and type(value["dataset"]) is dict:
        instances = []
        for dataset, inner in value["dataset"].items():
            dataset_id = None if dataset == NONE_DATASET else check_uri(dataset, f"{name}.dataset")
            instance = _read_one(reader, name, iri, inner, _kind_in(target, dataset_id), lang)
            if dataset_id is not None:
                instance["datasetId"] = dataset_id
            instances.append(instance)
        return instances
    return [_read_one(reader, name, iri, value, _kind_in(target, None), lang)]


def _kind_in(target: Sequence[Instance], dataset_id: str | None) -> str | None:
    """The type of the instance that is meant, or where it is new of its siblings; None for a new attribute."""
    for instance in target:
        if instance.get("datasetId") == dataset_id:
            return str(instance["type"])
    return str(target[0]["type"]) if target else None


def _read_one(reader: AttributeReader, name: str, iri: str, value: Any, kind: str | None, lang: str | None) -> Instance:
    if type(value) is str and value == NGSI_LD_NULL:
        return null_instance()
    wrapped = type(value) is dict and len(value) == 1 and not _WRAPPED.isdisjoint(value)
    if kind is None:
        if wrapped:
            return reader.instance(name, iri, value, of_entity=True)
        return reader.bare(name, iri, value, of_entity=True)
    member = KINDS[kind].value
    if member in _WRAPPED:
        if wrapped and member in value:
            value = value[member]
        elif kind == "LanguageProperty" and (type(value) is str or is_text_list(value)):
            if lang is None:
                raise BadRequestData(f"{name}: a LanguageProperty; give lang, the language of the text (6.5.3.4)")
            value = {lang: value}
        else:
            raise BadRequestData(f"{name}: the simplified form of a {kind} is an object with the one member {member}")
    return reader.instance(name, iri, {"type": kind, member: value}, of_entity=True, fragment=True)
