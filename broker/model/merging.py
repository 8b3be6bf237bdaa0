"""How one attribute instance takes in another: JSON equality, merge patch (5.5.12), partial update patch (5.5.8)."""

from collections.abc import Sequence
from typing import Any

from broker.errors import BadRequestData
from broker.model.attributes import LANG_STRING, is_null_instance, is_text_list
from broker.model.entity import Instance, JsonObject, dataset_of
from broker.model.geometry import check_geometry, is_geometry_shaped
from broker.model.members import GEO_PROPERTIES, PERMITTED, PROOF_IRI, SEALED, VALUE_MEMBERS
from broker.model.terms import KINDS, NGSI_LD_NULL, AttributeKind, is_attribute_name


def same_json(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 1 equals 1.0, but true is not 1, and the order of members does not matter."""
    # What Python holds different is different in JSON as well; only a boolean and a number it takes for the same.
    return bool(one == other) and _same_booleans(one, other)


def _same_booleans(one: Any, other: Any) -> bool:
    """Whether two values that Python holds equal have booleans in the same places."""
    if type(one) is dict:
        for member, item in one.items():
            kind = type(item)
            if kind is dict or kind is list:
                if not _same_booleans(item, other[member]):
                    return False
            elif kind is not str and (kind is bool) != (type(other[member]) is bool):
                return False
        return True
    if type(one) is list:
        return all(map(_same_booleans, one, other))
    return (type(one) is bool) == (type(other) is bool)


def merge_json(target: Any, patch: Any, *, raw: bool = False) -> Any:
    """A JSON merge patch (RFC 7396) with the NGSI-LD Null in place of null (5.5.12). Neither argument is changed.

    A JSON-LD value object is one value, not a set of members, except in `raw` JSON.
    """
    if type(patch) is not dict or ("@value" in patch and not raw):
        return patch
    merges = type(target) is dict and ("@value" not in target or raw)
    merged = dict(target) if merges else {}
    for member, item in patch.items():
        if type(item) is dict:
            merged[member] = merge_json(merged.get(member), item, raw=raw)
        elif type(item) is str and item == NGSI_LD_NULL:
            merged.pop(member, None)
        else:
            merged[member] = item
    return merged


def completed(iri: str, given: Instance, *, of_entity: bool = True) -> Instance:
    """A fragment's instance as the whole instance that it becomes where there is none yet.

    Its kind is inferred where it was left open (4.5.2.3), NGSI-LD Nulls in it remove nothing. Raises BadRequestData if its
    value is missing.
    """
    name = given.get("type")
    if name is None:
        kind = _kind_of_value(iri, given, of_entity)
    else:
        kind = KINDS[name]
        if kind.value not in given:
            raise BadRequestData(f"{iri}: a new or replaced attribute needs its {kind.value}")
    instance: Instance = {"type": kind.name}
    for member, item in given.items():
        if is_attribute_name(member):
            subs = [completed(member, sub, of_entity=False) for sub in item if not is_null_instance(sub)]
            if subs:
                instance[member] = subs
        elif member == kind.value:
            instance[member] = _replaced_value(iri, kind, merge_json(None, item, raw=member == "json"))
        elif member != "type" and not (type(item) is str and item == NGSI_LD_NULL):
            instance[member] = item
    _check_members(iri, kind, instance)
    if of_entity and iri in GEO_PROPERTIES and kind.name != "GeoProperty":
        raise BadRequestData(f"{iri}: is a GeoProperty by definition, not a {kind.name} (4.7.1)")
    return instance


def patched_instance(iri: str, stored: Instance, patch: Instance, *, deep: bool, lang: str | None = None) -> Instance:
    """What becomes of an instance under a fragment of it; `stored` itself if that makes no difference.

    Members of the fragment replace those stored, `deep` ones are merged into them (5.5.12); NGSI-LD Nulls remove. `lang` is
    the language of a plain text for a LanguageProperty (5.6.17). Raises BadRequestData, above all for another type.
    """
    kind = KINDS[stored["type"]]
    patch = _fitted(iri, kind, patch, lang)
    instance = dict(stored)
    for member, item in patch.items():
        if member == "type" or member == "datasetId":
            continue
        if is_attribute_name(member):
            subs = patched_instances(member, stored.get(member, ()), item, deep=deep, lang=lang)
            if subs:
                instance[member] = subs
            else:
                instance.pop(member, None)
        elif type(item) is str and item == NGSI_LD_NULL:
            instance.pop(member, None)
        elif member == kind.value:
            value = merge_json(stored.get(member), item, raw=member == "json") if deep else item
            instance[member] = _replaced_value(iri, kind, value)
        else:
            instance[member] = item
    _check_members(iri, kind, instance)
    return stored if same_json(instance, stored) else instance


def patched_instances(
    iri: str, stored: Sequence[Instance], patches: Sequence[Instance], *, deep: bool, lang: str | None = None
) -> list[Instance]:
    """The instances of a sub-attribute after those of a fragment, each applied to the one of its datasetId (4.5.5)."""
    instances = {dataset_of(instance): instance for instance in stored}
    for patch in patches:
        dataset = dataset_of(patch)
        if is_null_instance(patch):
            instances.pop(dataset, None)
        elif deep and dataset in instances:
            instances[dataset] = patched_instance(iri, instances[dataset], patch, deep=True, lang=lang)
        else:
            instances[dataset] = completed(iri, patch, of_entity=False)
    return list(instances.values())


def _fitted(iri: str, kind: AttributeKind, patch: Instance, lang: str | None) -> Instance:
    """A fragment's instance with its value in the member of the kind that its target has. Raises BadRequestData."""
    name = patch.get("type")
    if name is not None:
        if name != kind.name:
            raise BadRequestData(f"{iri}: is a {kind.name} and cannot become a {name} (5.6.4, 6.5.3.4)")
        return patch
    for member in VALUE_MEMBERS:
        if member in patch and member != kind.value:
            value = patch[member]
            if kind.name == "LanguageProperty" and lang is not None and (type(value) is str or is_text_list(value)):
                return {"languageMap": {lang: value}} | {key: patch[key] for key in patch if key != member}
            raise BadRequestData(f"{iri}: is a {kind.name}, its value is in {kind.value}, not in {member} (5.6.4)")
    return patch


def _replaced_value(iri: str, kind: AttributeKind, value: Any) -> Any:
    return check_geometry(value, iri) if kind.name == "GeoProperty" else value


def _check_members(iri: str, kind: AttributeKind, instance: JsonObject) -> None:
    """The core members of an instance are those of its kind: a fragment without a type could bring others."""
    permitted = PERMITTED[kind.name]
    for member in instance:
        if member not in permitted and not is_attribute_name(member) and member not in ("createdAt", "modifiedAt"):
            if iri == PROOF_IRI and member in SEALED:
                continue
            raise BadRequestData(f"{iri}.{member}: a {kind.name} never has this member (4.5)")
    if kind.name == "LanguageProperty" and instance.get("valueType", LANG_STRING) != LANG_STRING:
        raise BadRequestData(f"{iri}.valueType: a LanguageProperty's is langString (5.2.32)")


def _kind_of_value(iri: str, given: Instance, of_entity: bool) -> AttributeKind:
    for member, kind in VALUE_MEMBERS.items():
        if member in given:
            geo = is_geometry_shaped(given[member]) or (of_entity and iri in GEO_PROPERTIES)
            return KINDS["GeoProperty"] if member == "value" and geo else kind
    raise BadRequestData(f"{iri}: a new or replaced attribute needs its value")
