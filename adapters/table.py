"""Bytes to a table of text: encodings, CSV and xlsx, the lines before the header.

The order of decoding is: UTF-8 or UTF-16 by byte order mark, UTF-16 by its zero bytes, strict UTF-8, CP932 (never plain
Shift_JIS, which lacks ①, № and 髙). Bytes that no encoding explains are kept as lone surrogates, so that the rows that
hold them can be told apart and quarantined.
"""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Final

import openpyxl

from adapters.errors import UnreadableFile
from adapters.headers import normalised

UNREADABLE_BYTES: Final = re.compile("[\ud800-\udfff\x80\uf8f0-\uf8f3]")
"""Bytes of no encoding: lone surrogates, and what Python's CP932 makes of 0x80, 0xA0 and 0xFD to 0xFF."""
_MOST_BAD_BYTES: Final = 0.01
_LARGEST_CELL: Final = 1 << 20
_HEADER_WITHIN: Final = 50
_NO_WORKBOOK: Final = (
    *(
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        RuntimeError,
        SyntaxError,
    ),  # encrypted: RuntimeError; bad XML: SyntaxError
    *(KeyError, ValueError, OSError, IndexError, TypeError, AttributeError),
)
MOST_UNPACKED: Final = 256 * 2**20
"""Bytes that the parts of an xlsx workbook may have together when unpacked."""
MOST_CELLS: Final = 20_000_000
"""Cells of a sheet, those that are left out of it but lie between others among them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its number as a spreadsheet shows it (the first line is 1), and its cells."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A file's table: header names as published, records that are not blank, and what stood before the header."""

    headers: tuple[str, ...]
    rows: tuple[Row, ...]
    encoding: str
    prelude: dict[str, str] = field(default_factory=dict)


def read_table(data: bytes) -> Table:
    """The table in a CSV or xlsx file. Raises UnreadableFile."""
    if data.startswith(b"PK\x03\x04"):
        return _table(_xlsx_records(data), "xlsx")
    text, encoding = decode_text(data)
    return _table(_csv_records(text), encoding)


def decode_text(data: bytes) -> tuple[str, str]:
    """The text of a file and the name of its encoding. Raises UnreadableFile where no encoding fits nearly all bytes."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return _decode(data, encoding)
    if (unmarked := _unmarked_utf16(data)) is not None:
        return unmarked
    attempts = []
    for encoding in ("utf-8", "cp932"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            text = data.decode(encoding, "surrogateescape")
            attempts.append((len(UNREADABLE_BYTES.findall(text)), text, encoding))
    bad, text, encoding = min(attempts)
    if bad > _MOST_BAD_BYTES * len(data):
        raise UnreadableFile("The file is neither UTF-8 nor UTF-16 nor CP932 (Shift_JIS) text, and no xlsx workbook.")
    return text, encoding


def _unmarked_utf16(data: bytes) -> tuple[str, str] | None:
    """UTF-16 without byte order mark: the zero bytes of its commas and line ends are all high, or all low, bytes."""
    even, odd = data[0:4096:2].count(0), data[1:4096:2].count(0)
    if max(even, odd) * 50 < min(len(data), 4096) or min(even, odd) * 10 > max(even, odd):
        return None
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return (text, encoding) if "," in text and "\n" in text else None


def _decode(data: bytes, encoding: str) -> tuple[str, str]:
    try:
        text = data.decode(encoding, "surrogateescape" if encoding == "utf-8-sig" else "strict")
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"The file is cut or damaged: byte {error.start} is not {encoding.upper()}.") from error
    if len(UNREADABLE_BYTES.findall(text)) > _MOST_BAD_BYTES * len(data):
        raise UnreadableFile(f"The file says that it is {encoding.upper()}, and it is not.")
    return text, encoding


def _csv_records(text: str) -> Iterator[tuple[str, ...]]:
    csv.field_size_limit(_LARGEST_CELL)
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        for record in reader:
            yield tuple(record)
    except csv.Error as error:
        raise UnreadableFile(f"The file is no CSV: {error} in line {reader.line_num}.") from error


def _xlsx_records(data: bytes) -> Iterator[tuple[str, ...]]:
    cells = 0
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:  # which reads no more of a part than its entry here says
            if sum(part.file_size for part in parts.infolist()) > MOST_UNPACKED:
                raise UnreadableFile(f"The workbook has more than {MOST_UNPACKED:,} bytes when unpacked.")
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        for values in book.worksheets[0].iter_rows(values_only=True):
            cells += len(values) + 1
            if cells > MOST_CELLS:
                raise UnreadableFile(f"The sheet has more than {MOST_CELLS:,} cells.")
            yield tuple(_cell_text(value) for value in values)
    except _NO_WORKBOOK as error:
        raise UnreadableFile(f"The file is no xlsx workbook: {error}.") from error


def _cell_text(value: object) -> str:
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
    return str(value)


def _table(records: Iterable[tuple[str, ...]], encoding: str) -> Table:
    headers: tuple[str, ...] | None = None
    prelude: dict[str, str] = {}
    rows = []
    for number, cells in enumerate(records, start=1):
        first = cells[0].strip() if cells else ""
        if not any(cell.strip() for cell in cells):
            continue
        if headers is None:
            if first.startswith("#") and not first.lower().startswith("#property"):
                prelude[first.removeprefix("#")] = next((cell for cell in cells[1:] if cell.strip()), "")
            else:
                headers = _header_names(cells)
            if number > _HEADER_WITHIN:
                raise UnreadableFile(f"The file has no header row among its first {_HEADER_WITHIN} lines.")
        elif first.startswith("#") and normalised(headers)[0] == "#property":
            prelude[first.removeprefix("#")] = next((cell for cell in cells[1:] if cell.strip()), "")
        else:
            rows.append(Row(number, cells))
    if headers is None:
        raise UnreadableFile("The file is empty.")
    return Table(headers, tuple(rows), encoding, prelude)


def _header_names(headers: tuple[str, ...]) -> tuple[str, ...]:
    names = [UNREADABLE_BYTES.sub("\ufffd", header) for header in headers]
    while names and not names[-1].strip():
        names.pop()
    return tuple(names)
