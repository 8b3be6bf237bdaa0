"""Bytes to a table of text: CSV and xlsx, the header and what stands before it. Nothing is left out without being said."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from adapters.encodings import FOREIGN, OTHER, UNREADABLE_BYTES, decode_text
from adapters.errors import UnreadableFile
from adapters.headers import normalised
from adapters.transforms.text import INVISIBLE, trim
from adapters.workbook import xlsx_records

__all__ = ["MOST_BYTES", "UNREADABLE_BYTES", "Row", "Table", "decode_text", "read_table"]

MOST_BYTES: Final = 64 * 2**20
"""Bytes of a file that are read: its entities take some thirty times as much memory."""
MOST_COLUMNS: Final = 16_384
"""As a spreadsheet has them."""
_LARGEST_CELL: Final = 1 << 20
_HEADER_WITHIN: Final = 50
_MOST_LINES: Final = 1000
"""Lines of one record. One with more has a quote that nobody closed."""
_FEW, _MANY = 2, 4
"""A line with few cells before lines with many is a title, and no header."""
_SHOWN: Final = 60
_DIGIT: Final = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its number as a spreadsheet shows it (the first line is 1), and its cells.

    `fault` is why it is no record at all, its line being the only cell; `encoding` that of its line, where the file has another.
    """

    number: int
    cells: tuple[str, ...]
    fault: str = ""
    encoding: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A file's table: header names as published, records that are not blank, and what stood before the header.

    `notes` are sentences about what was left out, or put together, before there were rows.
    """

    headers: tuple[str, ...]
    rows: tuple[Row, ...]
    encoding: str
    prelude: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class _Record(NamedTuple):
    cells: tuple[str, ...]
    fault: str = ""


def read_table(data: bytes) -> Table:
    """The table in a CSV or xlsx file. Raises UnreadableFile."""
    if len(data) > MOST_BYTES:
        raise UnreadableFile(
            f"The file has {len(data):,} bytes; more than {MOST_BYTES:,} are not read: give it in parts."
        )
    if data.startswith(b"PK\x03\x04"):
        records, notes = xlsx_records(data)
        return _table(map(_Record, records), "xlsx", notes)
    text, encoding = decode_text(data)
    return _table(_csv_records(text.removeprefix("\ufeff")), encoding, ())


class _Lines:
    """The lines of a text, from which a reader can be made to go on anywhere."""

    def __init__(self, text: str) -> None:
        self.lines = list(io.StringIO(text, newline=""))
        self.start = self.place = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self.place >= len(self.lines):
            raise StopIteration
        if self.place - self.start >= _MOST_LINES:
            raise csv.Error("a quote is not closed")
        self.place += 1
        return self.lines[self.place - 1]


def _csv_records(text: str) -> Iterator[_Record]:
    """The records of a CSV text. A line whose quotes are wrong is one by itself, and those behind it are read.

    That costs each line twice at most, since a quote that stays open does so until the next line with an odd number of them.
    """
    csv.field_size_limit(_LARGEST_CELL)
    lines = _Lines(text)
    delimiter = _delimiter(lines.lines)
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    while True:
        lines.start = lines.place
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _Record((lines.lines[lines.start].rstrip("\r\n"),), f"line {lines.start + 1} is no CSV: {error}")
            lines.place = lines.start + 1
            reader = csv.reader(lines, strict=True, delimiter=delimiter)
        else:
            yield _Record(tuple(cells))


def _delimiter(lines: Sequence[str]) -> str:
    """What stands between the cells: a comma, unless the first line that has any of them has tabs or semicolons instead."""
    for line in lines[:_HEADER_WITHIN]:
        counts = {each: line.count(each) for each in ",\t;"}
        if max(counts.values()) >= _FEW:
            return max(counts, key=lambda each: counts[each])
    return ","


def _table(records: Iterable[_Record], encoding: str, notes: tuple[str, ...]) -> Table:
    numbered = [
        (number, record) for number, record in enumerate(records, start=1) if any(cell.strip() for cell in record.cells)
    ]
    place, prelude, titles = _header_place(numbered)
    number, header = numbered[place]
    if header.fault:
        raise UnreadableFile(f"The file is no CSV, as its header shows: {header.fault}.")
    if len(header.cells) > MOST_COLUMNS:
        raise UnreadableFile(f"The file has {len(header.cells):,} columns; more than {MOST_COLUMNS:,} are not read.")
    headers = tuple(cell.replace(FOREIGN, "") for cell in header.cells)
    if titles:
        few = "; ".join(titles)
        notes += (
            f"{len(titles)} lines before the header are no rows: {few if len(few) <= _SHOWN else few[:_SHOWN] + '…'}",
        )
    following = numbered[place + 1 :]
    if following and not following[0][1].fault and (both := _two_rows(headers, following[0][1].cells)) is not None:
        headers, following = both, following[1:]
        notes += ("the header has two rows",)
    rows = []
    commented = normalised(headers)[0] == "#property"
    for number, record in following:
        first = record.cells[0].strip()
        if commented and first.startswith("#"):
            prelude[first.removeprefix("#")] = _second(record.cells)
        else:
            rows.append(_row(number, record, encoding))
    return Table(_header_names(headers), tuple(rows), encoding, prelude, notes)


def _header_place(numbered: Sequence[tuple[int, _Record]]) -> tuple[int, dict[str, str], list[str]]:
    """Where the header is, the comments before it, and the titles. Raises UnreadableFile."""
    prelude: dict[str, str] = {}
    titles: list[str] = []
    for place, (number, record) in enumerate(numbered):
        if number > _HEADER_WITHIN:
            raise UnreadableFile(f"The file has no header row among its first {_HEADER_WITHIN} lines.")
        first = record.cells[0].strip()
        if first.startswith("#") and not first.lower().startswith("#property"):
            prelude[first.removeprefix("#")] = _second(record.cells)
        elif _is_title(record, [each for _, each in numbered[place + 1 : place + _HEADER_WITHIN]]):
            title = " ".join(cell.strip() for cell in record.cells if cell.strip())
            titles.append(UNREADABLE_BYTES.sub("\ufffd", INVISIBLE.sub("", title)))
        else:
            return place, prelude, titles
    raise UnreadableFile("The file is empty.")


def _is_title(record: _Record, following: Sequence[_Record]) -> bool:
    """Whether a line stands before the table: it has few cells, and most of those that follow have many."""
    if record.fault or _filled(record.cells) > _FEW:
        return False
    full = sum(_filled(each.cells) >= _MANY for each in following)
    return bool(following) and full * 2 >= len(following)


def _two_rows(headers: tuple[str, ...], cells: tuple[str, ...]) -> tuple[str, ...] | None:
    """The names of a header whose second row tells the columns of a group apart; None where the row is none of a header.

    It has no digit, nothing in the first column, and a name for each column without one; else only below the first of a group.
    """
    names = tuple(cell.strip() for cell in headers)
    below = tuple(cell.strip() for cell in cells[: len(names)])
    below += ("",) * (len(names) - len(below))
    last = max((place for place, name in enumerate(names) if name), default=0)
    blank = {place for place, name in enumerate(names) if not name and place <= last}
    filled = {place for place, name in enumerate(below) if name}
    groups = blank | {place - 1 for place in blank}
    if not blank or 0 in filled or not blank <= filled <= groups | {place for place in filled if not names[place]}:
        return None
    if _filled(cells[len(names) :]) or any(_DIGIT.search(below[place]) for place in filled):
        return None
    return tuple(under or name for name, under in zip(names, below, strict=True))


def _row(number: int, record: _Record, encoding: str) -> Row:
    if not any(FOREIGN in cell for cell in record.cells):
        return Row(number, record.cells, record.fault)
    cells = tuple(cell.replace(FOREIGN, "") for cell in record.cells)
    return Row(number, cells, record.fault, OTHER.get(encoding, ""))


def _filled(cells: Sequence[str]) -> int:
    return sum(bool(trim(cell)) for cell in cells)


def _second(cells: Sequence[str]) -> str:
    return next((cell for cell in cells[1:] if cell.strip()), "")


def _header_names(headers: tuple[str, ...]) -> tuple[str, ...]:
    names = [UNREADABLE_BYTES.sub("\ufffd", header) for header in headers]
    while names and not names[-1].strip():
        names.pop()
    return tuple(names)
