"""The documentation pages made from the models: one for each type and language, an index, and the code lists."""

import json
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from datamodels.code_lists import CodeList, code_lists
from datamodels.dataset import datasets
from datamodels.model import Attribute, Model, models
from datamodels.units import UNITS

Language: TypeAlias = Literal["ja", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("ja", "en")

_MOST_CODES: Final = 100
"""A longer list is not printed code by code."""

_WORDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "ja": {
            "made": "このページは `python -m datamodels` が作る。直接書き換えない。",
            "models": "データモデル",
            "codes": "コード表",
            "type": "型",
            "also": "あわせて持てる型",
            "version": "版",
            "dataset": "データセット",
            "attributes": "属性",
            "attribute": "属性",
            "kind": "種類",
            "value": "値",
            "unit": "単位",
            "meaning": "意味",
            "required": "必須",
            "observed": "観測時刻つき",
            "computed": "計算値",
            "personal": "個人を指すことがある",
            "vocabulary": "ほかの語彙との対応",
            "columns": "列との対応",
            "column": "列",
            "example": "例",
            "code": "コード",
            "source": "出典",
            "ignored": "（使わない）",
            "unverified": "順序は未確認",
            "number": "件",
            "formerly": "@context の v2 までの名前は",
        },
        "en": {
            "made": "`python -m datamodels` makes this page. Do not edit it.",
            "models": "Data models",
            "codes": "Code lists",
            "type": "Type",
            "also": "Further types it may carry",
            "version": "Version",
            "dataset": "Dataset",
            "attributes": "Attributes",
            "attribute": "Attribute",
            "kind": "Kind",
            "value": "Value",
            "unit": "Unit",
            "meaning": "Meaning",
            "required": "required",
            "observed": "with observedAt",
            "computed": "computed",
            "personal": "may point to a person",
            "vocabulary": "In other vocabularies",
            "columns": "Columns",
            "column": "Column",
            "example": "Example",
            "code": "Code",
            "source": "Source",
            "ignored": "(not used)",
            "unverified": "order not verified",
            "number": "codes",
            "formerly": "in the @context up to v2 called",
        },
    }
)
_LAYOUTS: Final = MappingProxyType(
    {
        "recommended": {"ja": "推奨データセット", "en": "Recommended dataset (推奨データセット)"},
        "standard": {"ja": "自治体標準オープンデータセット", "en": "Standard dataset (自治体標準オープンデータセット)"},
        "linkdata": {"ja": "LinkData", "en": "LinkData"},
    }
)


def documentation() -> dict[str, str]:
    """All pages by path below `docs/models/`."""
    pages: dict[str, str] = {}
    for language in LANGUAGES:
        pages[f"{language}/README.md"] = index_page(models().values(), language)
        pages[f"{language}/codes.md"] = codes_page(code_lists().values(), language)
        for model in models().values():
            pages[f"{language}/{model.type}.md"] = model_page(model, language)
    return pages


def index_page(found: Iterable[Model], language: Language) -> str:
    """The list of all types."""
    words = _WORDS[language]
    rows = [(f"[{m.type}]({m.type}.md)", m.title[language], m.dataset, _text(m.description[language])) for m in found]
    lines = [f"# {words['models']}", "", words["made"], "", f"[{words['codes']}](codes.md)", ""]
    return _page(lines + _table((words["type"], "", words["dataset"], words["meaning"]), rows))


def model_page(model: Model, language: Language) -> str:
    """The page of one type."""
    words = _WORDS[language]
    attributes = model.attributes.values()
    lines = [f"# {model.type}: {model.title[language]}", "", model.description[language], "", words["made"], ""]
    facts = [(words["type"], f"`{model.iri}`"), (words["version"], model.version), (words["dataset"], model.dataset)]
    facts += [(words["also"], f"{name}: `{iri}`") for name, iri in model.also.items()]
    lines += _table(("", ""), facts)
    lines += ["", f"## {words['attributes']}", ""]
    header = (words["attribute"], words["kind"], words["value"], words["unit"], words["meaning"])
    lines += _table(header, [_attribute_row(attribute, language) for attribute in attributes])
    paths = [(f"`{a.name}`", f"`{a.iri}`", a.gif or "", a.imi or "", a.sdm or "") for a in attributes]
    lines += ["", f"## {words['vocabulary']}", ""]
    lines += _table((words["attribute"], "IRI", "GIF / EEI", "IMI", "Smart Data Models"), paths)
    lines += _columns(model, language)
    lines += [
        "",
        f"## {words['example']}",
        "",
        "```json",
        json.dumps(model.example(), ensure_ascii=False, indent=2),
        "```",
    ]
    return _page(lines)


def codes_page(lists: Iterable[CodeList], language: Language) -> str:
    """The page of all code lists."""
    words = _WORDS[language]
    lines = [f"# {words['codes']}", "", words["made"]]
    for codes in lists:
        lines += [
            "",
            f"## {codes.title[language]} (`{codes.name}`)",
            "",
            f"{words['source']}: {codes.source[language]}",
            "",
        ]
        if len(codes.codes) > _MOST_CODES:
            lines.append(f"{len(codes.codes):,} {words['number']}")
            continue
        extra = [name for name in ("symbol", "short", "hazard", "severity", "level") if _has(codes, name)]
        rows = [
            (f"`{code}`", codes.label(code, language), *(str(meaning.get(name, "")) for name in extra))
            for code, meaning in codes.codes.items()
        ]
        lines += _table((words["code"], words["meaning"], *extra), rows)
    return _page(lines)


def _has(codes: CodeList, member: str) -> bool:
    return any(member in meaning for meaning in codes.codes.values())


def _attribute_row(attribute: Attribute, language: Language) -> tuple[str, ...]:
    words = _WORDS[language]
    marks = [words[mark] for mark in ("required", "observed", "computed", "personal") if getattr(attribute, mark)]
    if attribute.formerly is not None:
        marks.append(f"{words['formerly']} `{attribute.formerly}`")
    meaning = _text(attribute.description[language]) + (f" ({', '.join(marks)})" if marks else "")
    unit = f"{attribute.unit} ({UNITS[attribute.unit]})" if attribute.unit else ""
    return f"`{attribute.name}`", attribute.kind, _value(attribute), unit, meaning


def _value(attribute: Attribute) -> str:
    if attribute.kind == "GeoProperty":
        return ", ".join(attribute.geometry)
    if attribute.codes and "properties" in attribute.schema.get("items", {}):
        return f"{_schema_words(attribute.schema)}, [{attribute.codes}](codes.md)"
    if attribute.codes:
        return f"[{attribute.codes}](codes.md)" + (" []" if attribute.schema.get("type") == "array" else "")
    return _schema_words(attribute.schema)


def _schema_words(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema and "type" not in schema:
        return " / ".join(dict.fromkeys(_schema_words(each) for each in schema["anyOf"]))
    if "const" in schema:
        return f"`{schema['const']}`"
    kinds = schema.get("type", "")
    text = " / ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if text == "array":
        return f"{_schema_words(schema.get('items', {}))} []"
    if "format" in schema or "anyOf" in schema:
        text += " (" + " / ".join(each["format"] for each in schema.get("anyOf", [schema])) + ")"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None or high is not None:
        text += f" {'' if low is None else low}..{'' if high is None else high}"
    if "properties" in schema and text == "object":
        text += " {" + ", ".join(schema["properties"]) + "}"
    return text


def _columns(model: Model, language: Language) -> Iterator[str]:
    """The columns of each layout in its order, with what each of them becomes."""
    words = _WORDS[language]
    dataset = datasets().get(model.dataset)
    layouts = dict.fromkeys(layout for attribute in model.attributes.values() for layout in attribute.columns)
    if not layouts:
        return
    yield from ("", f"## {words['columns']}")
    for layout in (
        *(each for each in _LAYOUTS if each in layouts),
        *(each for each in layouts if each not in _LAYOUTS),
    ):
        title = _LAYOUTS.get(layout, {language: layout})[language]
        unverified = dataset is not None and layout in dataset.unverified
        yield from ("", f"### {title}" + (f" ({words['unverified']})" if unverified else ""), "")
        targets = model.targets(layout)
        rows = []
        for column in dataset.layouts.get(layout, targets) if dataset is not None else targets:
            target = targets.get(column)
            if target is None:
                rows.append((_text(column), words["ignored"]))
                continue
            part = f".{target.member}" if target.member else f" + {target.item}" if target.item else ""
            rows.append((_text(column), f"`{target.attribute}{part}`"))
        yield from _table((words["column"], words["attribute"]), rows)


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
        *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows),
    ]


def _text(text: str) -> str:
    return text.replace("\n", " ").replace("\u3000", "　")


def _page(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
