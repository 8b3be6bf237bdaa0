"""The skeleton of a profile for a file that no profile fits: what is understood of it filled in, the rest to be filled in."""

import json
import re
from collections.abc import Sequence
from typing import Final

from adapters.headers import normalise
from adapters.layouts import column_anywhere
from adapters.table import Table
from adapters.transforms.text import trim
from datamodels import Model, datasets, model_of, models, models_of_dataset

_SIGNATURE: Final = 5
_ROW_NUMBERS: Final = frozenset(map(normalise, ["NO", "№", "#property", "番号", "No."]))
_SHOWN: Final = 24
_UNPRINTABLE: Final = re.compile("[^ -~\u00a1-\u2027\u202a-\ud7ff\ue000-\ufefe\uff01-\ufffd\U00010000-\U0010ffff]")
"""What YAML has not, or not without escapes."""


def skeleton(table: Table, name: str = "own_list/own") -> str:
    """A profile, as YAML, of the model that understands most columns of a table; the others are kept in sourceRecord."""
    headers = [trim(header) for header in table.headers if trim(header)]
    model = _nearest(headers)
    columns = {header: column for header in headers if (column := column_anywhere(model, header)) is not None}
    numbers = [header for header in headers if normalise(header) in _ROW_NUMBERS and header not in columns]
    others = [header for header in headers if header not in columns and header not in numbers]
    targets = {column.attribute for column in columns.values()}
    key = ["name", *(["address"] if "address" in model.attributes else [])]
    lines = [
        f"# Made of a file with {len(headers)} columns: {len(columns)} are understood, {len(others)} are not.",
        f"# Attributes of {model.type}: {', '.join(name for name in model.attributes if name not in targets)}.",
        f"profile: {_quoted(name)}",
        f"model: {model.type}",
        "# Columns that tell this layout from all others:",
        f"signature: [{', '.join(map(_quoted, (*others, *columns)[:_SIGNATURE]))}]",
        "# Attributes that identify a row without an ID of its own:",
        f"key: [{', '.join(name for name in key if name in model.attributes)}]",
    ]
    if numbers:
        lines.append(f"ignore: [{', '.join(map(_quoted, numbers))}]")
    if "localGovernmentCode" not in {column.attribute for column in columns.values()}:
        lines.append("municipality: file  # no column has the code: the addresses tell, or --municipality")
    if "name" in model.attributes and "name" not in targets:
        lines.append("# Nothing is known to be the name yet: give one of the columns `{to: name}`.")
    lines.append("columns:" if columns else "columns: {}")
    for header, column in columns.items():
        item = f", item: {column.item}" if column.item else ""
        lines.append(f"  {_quoted(header)}: {{to: {column.to}{item}}}")
    if others:
        lines.append(
            "# Not understood: move what has a place in the model up to `columns`; the rest stays in sourceRecord."
        )
        lines.append("keep:")
        lines += [f"  - {_quoted(header)}{_example(table, header)}" for header in others]
    return "\n".join(lines) + "\n"


def _nearest(headers: Sequence[str]) -> Model:
    """The model of a dataset that has a place for most of the columns; a facility, if others do not know more."""
    known = [model_of("PublicFacility"), *(model for key in datasets() for model in models_of_dataset(key))]
    candidates = [*dict.fromkeys(model.type for model in known)]
    return max(
        (models()[entity_type] for entity_type in candidates),
        key=lambda model: sum(column_anywhere(model, header) is not None for header in headers),
    )


def _example(table: Table, header: str) -> str:
    place = next(place for place, name in enumerate(table.headers) if trim(name) == header)
    for row in table.rows:
        if place < len(row.cells) and (text := " ".join(trim(row.cells[place]).split())):
            return f"  # {_UNPRINTABLE.sub('?', text[:_SHOWN])}"
    return "  # always empty"


def _quoted(text: str) -> str:
    return _UNPRINTABLE.sub(lambda found: json.dumps(found[0])[1:-1], json.dumps(text, ensure_ascii=False))
