"""Attributes as clients send them, normalized or concise, read into the internal form (4.5.2, 4.5.3, 4.5.18 to 4.5.24)."""

import re
from functools import lru_cache
from typing import Any, Final

from broker.errors import BadRequestData
from broker.model.entity import Instance, JsonObject, Names
from broker.model.geometry import check_geometry, is_geometry_shaped
from broker.model.members import (
    ANY_KIND,
    GEO_PROPERTIES,
    PROOF,
    PROOF_IRI,
    RESERVED,
    RESERVED_IRIS,
    RULES,
    SEALED,
    VALUE_MEMBERS,
    Rules,
    is_null_value,
    reads_as_instance,
    reads_as_instances,
)
from broker.model.naming import check_instant, check_name, check_uri
from broker.model.terms import NGSI_LD, NGSI_LD_NULL, NONE_DATASET

LANG_STRING: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#langString"
"""The only valueType of a LanguageProperty (5.2.32)."""

_LANGUAGE_TAG: Final = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")
_PLAIN: Final = frozenset({"type", "value", "unitCode", "observedAt"})
_DEFINED_KINDS: Final = GEO_PROPERTIES | {PROOF_IRI}
_PRIMITIVES: Final = frozenset({int, float, bool})
_PLAIN_VALUES: Final = _PRIMITIVES | {str, dict, list}


def null_instance(dataset_id: str | None = None) -> Instance:
    """What a fragment holds in place of an instance that is to be deleted (4.5.0)."""
    return {"type": NGSI_LD_NULL} if dataset_id is None else {"type": NGSI_LD_NULL, "datasetId": dataset_id}


def is_null_instance(instance: Instance) -> bool:
    """Whether an instance of a fragment stands for a deletion."""
    return instance.get("type") == NGSI_LD_NULL


def attribute_iri(name: str, names: Names) -> str:
    """The IRI of an attribute name. Raises BadRequestData for what is no name (4.6.2) or a core term (4.5.1)."""
    return _checked_iri(name, names.expand(name))


@lru_cache(maxsize=32768)
def _checked_iri(name: str, iri: str) -> str:
    if name in RESERVED or not check_name(name) or iri in RESERVED_IRIS or ":" not in iri:
        raise BadRequestData(f"{name}: a term of the core @context is not an attribute name here (4.5.1)")
    return iri


class AttributeReader:
    """Reads the attributes of one document.

    With `nulls` the document is a fragment: NGSI-LD Nulls stand for deletions, and instances may be incomplete: they lack
    `type` where only the target tells it, and their value member where only other members are to change.
    `merge_only` then names the first member that only a merge may bring: an NGSI-LD Null inside a value (5.5.4).
    """

    __slots__ = ("_names", "_nulls", "merge_only")

    def __init__(self, names: Names, *, nulls: bool = False) -> None:
        self._names = names
        self._nulls = nulls
        self.merge_only: str | None = None

    def attribute(self, name: str, iri: str, value: Any, of_entity: bool = False) -> list[Instance]:
        """All instances of an attribute, whatever form it comes in. Raises BadRequestData."""
        if type(value) is dict:
            return [self.instance(name, iri, value, of_entity)]
        if type(value) is list and reads_as_instances(value):
            return self._instances(name, iri, value, of_entity)
        if type(value) is str and value == NGSI_LD_NULL:
            if not self._nulls:
                raise BadRequestData(f"{name}: the NGSI-LD Null is not allowed here (5.5.4)")
            return [null_instance()]
        return [self.bare(name, iri, value, of_entity)]

    def instance(
        self, name: str, iri: str, given: JsonObject, of_entity: bool = False, fragment: bool = False
    ) -> Instance:
        """One instance from a JSON object; a `fragment` of one is never taken for a bare value. Raises BadRequestData."""
        type_name = given.get("type")
        if type_name == "Property" and _PLAIN.issuperset(given) and iri not in _DEFINED_KINDS:
            value = given.get("value")
            if type(value) is dict or type(value) is list:
                self._check_json(f"{name}.value", value)
            plain = _plain_property(name, given)
            if plain is not None:
                return plain
        rules = RULES.get(type_name) if type(type_name) is str else None
        explicit = True
        if rules is None:
            if is_geometry_shaped(given) if fragment else not reads_as_instance(given):
                return self.bare(name, iri, given, of_entity)
            rules, explicit = self._rules(name, iri, given, of_entity)
        kind, value_member, permitted, ignored, primitive = rules
        if explicit and iri in _DEFINED_KINDS:
            _check_kind(name, iri, kind, of_entity)
        instance: Instance = {"type": kind} if explicit else {}
        is_null = False
        for member, item in given.items():
            if member == "type":
                continue
            if member == value_member:
                if primitive and (type(item) in _PRIMITIVES or (type(item) is str and item != NGSI_LD_NULL)):
                    instance[member] = item
                elif is_null_value(member, item):
                    is_null = True
                else:
                    instance[member] = self._value(name, member, item, geo=kind == "GeoProperty")
            elif member in permitted:
                self._core_member(name, member, item, instance)
            elif member not in ignored:
                self._other_member(name, iri, member, item, instance, kind)
        if is_null:
            if not self._nulls:
                raise BadRequestData(f"{name}.{value_member}: the NGSI-LD Null is not allowed here (5.5.4)")
            return null_instance(instance.get("datasetId"))
        if value_member not in instance and not self._nulls:
            raise BadRequestData(f"{name}: an attribute instance has a value; {value_member or 'value'} is missing")
        if iri == PROOF_IRI and "value" in instance and type(instance["value"]) is not dict:
            raise BadRequestData(f"{name}.value: a proof is a JSON object (4.5.2.2)")
        return instance

    def _rules(self, name: str, iri: str, given: JsonObject, of_entity: bool) -> tuple[Rules, bool]:
        """The rules for an instance that does not plainly name its kind, and whether the kind is certain.

        In a fragment an inferred kind is only a guess that the target may correct, and there may be none.
        """
        if "type" in given or "@type" in given:
            type_name = given.get("type", given.get("@type"))
            if type(type_name) is str and (rules := RULES.get(type_name.removeprefix(NGSI_LD))) is not None:
                return rules, True
            raise BadRequestData(
                f"{name}.type: {type_name!r} is not a type of attribute, such as Property or Relationship"
            )
        found = VALUE_MEMBERS.keys() & given.keys()
        if len(found) > 1:
            raise BadRequestData(f"{name}: an attribute has only one of {', '.join(sorted(found))}")
        for member in found:
            if member == "value" and (is_geometry_shaped(given["value"]) or (of_entity and iri in GEO_PROPERTIES)):
                return RULES["GeoProperty"], not self._nulls
            return RULES[VALUE_MEMBERS[member].name], not self._nulls
        return ANY_KIND, False

    def _instances(self, name: str, iri: str, values: list[Any], of_entity: bool) -> list[Instance]:
        instances = []
        datasets = set()
        for value in values:
            if type(value) is not dict:
                raise BadRequestData(f"{name}: each element of an array of instances is an object (4.5.5)")
            instance = self.instance(name, iri, value, of_entity)
            dataset = instance.get("datasetId")
            if dataset in datasets:
                which = "default instance" if dataset is None else f"instance with datasetId {dataset}"
                raise BadRequestData(f"{name}: there can only be one {which} (4.5.5)")
            datasets.add(dataset)
            instances.append(instance)
        return instances

    def bare(self, name: str, iri: str, value: Any, of_entity: bool = False) -> Instance:
        """A Property or GeoProperty that consists of its value alone (4.5.2.3, 4.7.3)."""
        if iri == PROOF_IRI:
            raise BadRequestData(f"{name}: a proof is a Property with its members (4.5.2.2)")
        geo = is_geometry_shaped(value) or (of_entity and iri in GEO_PROPERTIES)
        value = self._value(name, "value", value, geo=geo)
        # The kind of a bare value is only a guess that the target of a fragment may correct.
        return {"value": value} if self._nulls else {"type": "GeoProperty" if geo else "Property", "value": value}

    def _core_member(self, name: str, member: str, item: Any, instance: Instance) -> None:
        if item == NGSI_LD_NULL:
            if not self._nulls or member == "datasetId":
                raise BadRequestData(f"{name}.{member}: the NGSI-LD Null is not allowed here (5.5.4, 5.5.8)")
            instance[member] = item
        elif member == "observedAt" or member == "expiresAt":
            instance[member] = check_instant(item, member, name)
        elif member == "unitCode":
            if type(item) is not str or not item:
                raise BadRequestData(f"{name}.unitCode: a non-empty string is expected")
            instance[member] = item
        elif member == "datasetId":
            if item != NONE_DATASET:
                instance[member] = check_uri(item, f"{name}.{member}")
        elif member == "valueType":
            iri = self._names.expand(_text(name, member, item))
            if instance.get("type") == "LanguageProperty" and iri != LANG_STRING:
                raise BadRequestData(f"{name}.valueType: a LanguageProperty's is langString (5.2.32)")
            instance[member] = iri
        elif member == "objectType":
            types = item if type(item) is list and item else [item]
            instance[member] = [self._names.expand(check_name(_text(name, member, each))) for each in types]

    def _other_member(self, name: str, iri: str, member: str, item: Any, instance: Instance, kind: str) -> None:
        """A sub-attribute, unless it is a core term in the wrong place."""
        if iri == PROOF_IRI and member in SEALED:
            instance[member] = self._sealed(name, member, item)
            return
        if member in RESERVED:
            raise BadRequestData(f"{name}.{member}: {kind or 'such an attribute'} never has this member (4.5)")
        sub_iri = PROOF_IRI if member == PROOF else attribute_iri(member, self._names)
        if sub_iri == PROOF_IRI and type(item) is list:
            raise BadRequestData(f"{name}.{member}: a proof is one Property (4.5.2.2)")
        if sub_iri in instance:
            raise BadRequestData(f"{name}.{member}: another member is the same sub-attribute, {sub_iri}")
        instance[sub_iri] = self.attribute(f"{name}.{member}", sub_iri, item)

    def _sealed(self, name: str, member: str, item: Any) -> str:
        if member == "entityIdSealed":
            return check_uri(item, f"{name}.{member}")
        return self._names.expand(_text(name, member, item))

    def _value(self, name: str, member: str, item: Any, *, geo: bool = False) -> Any:
        """The value member of an instance, checked and in internal form."""
        if member == "value":
            if geo and not self._nulls:
                item = check_geometry(item, f"{name}.value")
            self._check_json(f"{name}.value", item)
            return item
        if member == "object":
            return self._object(name, item)
        if member == "languageMap":
            return self._language_map(name, item)
        if member == "vocab":
            if type(item) is list and item:
                return [self._names.expand(_text(name, member, each)) for each in item]
            return self._names.expand(_text(name, member, item))
        if member == "json":
            if type(item) is not dict and type(item) is not list:
                raise BadRequestData(f"{name}.json: a JSON object or array is expected (4.5.24)")
            self._check_json(f"{name}.json", item, raw=True)
            return item
        if type(item) is not list:
            raise BadRequestData(f"{name}.{member}: an array is expected")
        if member == "valueList":
            self._check_json(f"{name}.valueList", item)
            return item
        return [self._list_object(name, each) for each in item]

    def _object(self, name: str, item: Any) -> Any:
        if type(item) is list:
            if not item:
                raise BadRequestData(f"{name}.object: an empty array is not allowed")
            return [check_uri(each, f"{name}.object") for each in item]
        return check_uri(item, f"{name}.object")

    def _list_object(self, name: str, item: Any) -> str:
        """One element of an objectList, either of its two forms (4.5.22.2, 4.5.22.3)."""
        if type(item) is dict:
            if item.keys() != {"object"}:
                raise BadRequestData(f"{name}.objectList: each element has the one member object (4.5.22.2)")
            item = item["object"]
        return check_uri(item, f"{name}.objectList")

    def _language_map(self, name: str, item: Any) -> JsonObject:
        if type(item) is not dict:
            raise BadRequestData(f"{name}.languageMap: a JSON object is expected (4.5.18)")
        for tag, text in item.items():
            if not is_language_tag(tag) and tag != "@none":
                raise BadRequestData(f"{name}.languageMap: not a language tag: {tag!r} (RFC 5646)")
            if text == NGSI_LD_NULL and type(text) is str:
                if not self._nulls:
                    raise BadRequestData(f"{name}.languageMap: the NGSI-LD Null is not allowed here (5.5.4)")
                self.merge_only = self.merge_only or f"{name}.languageMap.{tag}"
            elif type(text) is not str and not is_text_list(text):
                raise BadRequestData(f"{name}.languageMap.{tag}: a string or an array of strings is expected (4.6.5)")
        return item

    def _check_json(self, name: str, value: Any, *, raw: bool = False, whole: bool = False) -> None:
        """No null and no NGSI-LD Null inside a value (4.5.0, 5.5.4), and no embedded @context (5.5.7).

        In `raw` JSON a null is a value like any other (4.5.24). Only a merge reads an NGSI-LD Null in an object as a removal;
        inside what it replaces as a `whole`, arrays (RFC 7396) and JSON-LD value objects, nothing does.
        """
        if type(value) is dict:
            if not raw:
                if "@context" in value:
                    raise BadRequestData(f"{name}: an embedded @context is not allowed (5.5.7)")
                if "@value" in value:
                    if value.get("@type") == "@json":
                        return
                    whole = True
            for member, item in value.items():
                if type(item) is str:
                    if item == NGSI_LD_NULL:
                        if not self._nulls or whole:
                            raise BadRequestData(f"{name}.{member}: the NGSI-LD Null is not allowed here (5.5.4)")
                        self.merge_only = self.merge_only or f"{name}.{member}"
                elif type(item) not in _PRIMITIVES:
                    self._check_json(f"{name}.{member}", item, raw=raw, whole=whole)
        elif type(value) is list:
            for item in value:
                if type(item) not in _PRIMITIVES:
                    self._check_json(name, item, raw=raw, whole=True)
        elif value is None:
            if not raw:
                raise BadRequestData(
                    f'{name}: null is not a value in NGSI-LD; use {{"@type": "@json", "@value": null}} (4.5.0)'
                )
        elif value == NGSI_LD_NULL and type(value) is str:
            raise BadRequestData(f"{name}: the NGSI-LD Null is not allowed here (5.5.4)")


def is_text_list(value: object) -> bool:
    """Whether a value is an array of strings."""
    return type(value) is list and all(type(each) is str for each in value)


@lru_cache(maxsize=1024)
def is_language_tag(tag: str) -> bool:
    """Whether a string has the shape of a language tag (RFC 5646)."""
    return _LANGUAGE_TAG.fullmatch(tag) is not None


def _plain_property(name: str, given: JsonObject) -> Instance | None:
    """A Property with nothing unusual, by far the most frequent input; None if a closer look is due. The value is checked already
    where it is an object or array."""
    value = given.get("value")
    if value == NGSI_LD_NULL or type(value) not in _PLAIN_VALUES:
        return None
    if "unitCode" in given:
        unit = given["unitCode"]
        if type(unit) is not str or not unit or unit == NGSI_LD_NULL:
            return None
    instance = given.copy()
    if "observedAt" in given:
        observed_at = given["observedAt"]
        if observed_at == NGSI_LD_NULL:
            return None
        instance["observedAt"] = check_instant(observed_at, "observedAt", name)
    return instance


def _check_kind(name: str, iri: str, kind: str, of_entity: bool) -> None:
    if of_entity and kind != "GeoProperty" and iri in GEO_PROPERTIES:
        raise BadRequestData(f"{name}: is a GeoProperty by definition, not a {kind} (4.7.1)")
    if iri == PROOF_IRI and kind != "Property":
        raise BadRequestData(f"{name}: a proof is a Property, not a {kind} (4.5.2.2)")


def _text(name: str, member: str, item: object) -> str:
    if type(item) is not str or not item:
        raise BadRequestData(f"{name}.{member}: a non-empty string is expected")
    if item == NGSI_LD_NULL:
        raise BadRequestData(f"{name}.{member}: the NGSI-LD Null is not allowed here (5.5.4)")
    return item
