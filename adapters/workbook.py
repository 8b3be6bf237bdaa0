"""The sheet of an xlsx workbook that is its table, as records of text.

It is the one with most columns among those that can be seen: a sheet of explanations, and one that somebody has hidden, is not
meant. What is not read is said. A formula of which the workbook has no value is kept as the formula that it is.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from copy import copy
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any, Final

import openpyxl

from adapters.errors import UnreadableFile

MOST_UNPACKED: Final = 256 * 2**20
"""Bytes that the parts of an xlsx workbook may have together when unpacked."""
MOST_CELLS: Final = 20_000_000
"""Cells of a sheet, those that are left out of it but lie between others among them."""
_PORTION: Final = 256 * 1024
FORMULA: Final = "\ufdd1"
"""Stands before a formula without a value: a code point that is no character."""

_NO_WORKBOOK: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # encrypted
    SyntaxError,  # bad XML
    *(KeyError, ValueError, OSError, IndexError, TypeError, AttributeError),
)
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""How the parts of a workbook are packed. The others are unpacked at once, however little is asked for."""
_FORMULA: Final = re.compile(rb"<f[ >/]")
_LOOKED_AT: Final = 50
_NAMED: Final = 5


def xlsx_records(data: bytes) -> tuple[Iterator[tuple[str, ...]], tuple[str, ...]]:
    """The records of a workbook's table, and what there is to say of its other sheets. Raises UnreadableFile, also later."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            if sum(part.file_size for part in parts.infolist()) > MOST_UNPACKED:
                raise UnreadableFile(f"The workbook has more than {MOST_UNPACKED:,} bytes when unpacked.")
            for part in parts.infolist():
                _check_entry(parts, part)
            formulas = any(
                _FORMULA.search(parts.read(part))
                for part in parts.infolist()
                if part.filename.startswith("xl/worksheets/sheet")
            )
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        place, notes = _chosen(book.worksheets)
        written = None
        if formulas:
            written = openpyxl.load_workbook(io.BytesIO(data), read_only=True).worksheets[place]
    except _NO_WORKBOOK as error:
        raise UnreadableFile(f"The file is no xlsx workbook: {error}.") from error
    return _records(book.worksheets[place], written), notes


def _check_entry(parts: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    """Raises UnreadableFile where a part has other bytes than its entry says: who reads it at once unpacks what there is."""
    if part.compress_type not in _METHODS:
        raise UnreadableFile(f"The file is no xlsx workbook: {part.filename} is not packed as its parts are.")
    entry = copy(part)
    entry.file_size += 1  # else it would be read up to there, whatever there is
    size = 0
    with parts.open(entry) as stream:
        while portion := stream.read(_PORTION):
            size += len(portion)
    if size != part.file_size:
        raise UnreadableFile(f"The file is no xlsx workbook: {part.filename} does not have the bytes that it says.")


def _records(sheet: Any, written: Any | None) -> Iterator[tuple[str, ...]]:
    cells = 0
    try:
        others = iter(()) if written is None else written.iter_rows(values_only=True)
        for values in sheet.iter_rows(values_only=True):
            cells += len(values) + 1
            if cells > MOST_CELLS:
                raise UnreadableFile(f"The sheet has more than {MOST_CELLS:,} cells.")
            formulas = next(others, ())
            yield tuple(
                _text(value)
                if value is not None or place >= len(formulas) or not _is_formula(formulas[place])
                else FORMULA + _formula(formulas[place])
                for place, value in enumerate(values)
            )
    except _NO_WORKBOOK as error:
        raise UnreadableFile(f"The file is no xlsx workbook: {error}.") from error


def _chosen(sheets: list[Any]) -> tuple[int, tuple[str, ...]]:
    """The place of the sheet that is the table, and a sentence about the others."""
    seen = [place for place, sheet in enumerate(sheets) if sheet.sheet_state == "visible"] or list(range(len(sheets)))
    width = {place: _width(sheets[place]) for place in seen} if len(seen) > 1 else {}
    chosen = max(seen, key=lambda place: (width.get(place, 0), -place))
    others = [
        f"{sheet.title}{'' if sheet.sheet_state == 'visible' else ' (hidden)'}"
        for place, sheet in enumerate(sheets)
        if place != chosen
    ]
    if not others:
        return chosen, ()
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return chosen, (
        f"of the workbook the sheet {sheets[chosen].title} is read, and not {', '.join(others[:_NAMED])}{more}",
    )


def _width(sheet: Any) -> int:
    """How many cells the fullest of the first rows of a sheet has."""
    rows = islice(sheet.iter_rows(values_only=True, max_row=_LOOKED_AT), _LOOKED_AT)
    return max((sum(value not in (None, "") for value in values) for values in rows), default=0)


def _is_formula(value: object) -> bool:
    return (isinstance(value, str) and value.startswith("=")) or type(value).__name__.endswith("Formula")


def _formula(value: object) -> str:
    return str(getattr(value, "text", None) or value)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):  # a time of the day from 24:00 on
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60:02}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
    return str(value)
