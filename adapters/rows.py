"""Reading one row: its cells through the transforms of the profile's columns, with a line of the report for each change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from adapters.building import RowRefused, shown
from adapters.columns import LOCATION_PARTS, OBSERVED_AT, Column
from adapters.contract import Repair
from adapters.headers import dated
from adapters.profile import Profile
from adapters.shaping import place, shape
from adapters.table import UNREADABLE_BYTES, Row, Table
from adapters.transforms import TRANSFORMS
from adapters.transforms.places import point
from adapters.transforms.reading import Reading, Severity, Unreadable
from adapters.transforms.text import INVISIBLE, MISSING_MARKS, SPREADSHEET_ERRORS, trim
from adapters.transforms.times import instant
from adapters.workbook import FORMULA
from datamodels import Model

REMEMBERED: Final = 2000
"""Different cells of a column whose readings are remembered: a code or a flag is the same in many rows."""
_UNCHANGING: Final = (str, int, float, type(None))


@dataclass(slots=True)
class ColumnReader:
    """How the cells of one column of the file are read, worked out once; `place` is where they are in a row."""

    place: int
    column: Column
    transform: Callable[[str], Reading]
    known: dict[str, Reading] = field(default_factory=dict)

    def read(self, text: str) -> Reading:
        """What the transform makes of a cell. Raises Unreadable."""
        found = self.known.get(text)
        if found is None:
            found = self.transform(text)
            # Rows must not share what one of them may go on building.
            if len(self.known) < REMEMBERED and isinstance(found.value, _UNCHANGING):
                self.known[text] = found
        return found


class RowReading:
    """How the rows of one file are read: which of its columns is which of the profile's. `repairs` takes the report's lines."""

    def __init__(self, table: Table, headers: list[str], profile: Profile, repairs: list[Repair]) -> None:
        self.table = table
        self.profile = profile
        self.repairs = repairs
        self.observed_at: str | None = None
        self.headers = [self._dated(header, name) for header, name in zip(table.headers, headers, strict=True)]
        present = set(self.headers)
        self.columns = {
            name: column for name, column in self._one_spelling(profile.columns, present).items() if name in present
        }
        second = profile.part.columns if profile.part else {}
        self.second = {name: column for name, column in second.items() if name in present}
        places = {name: place_ for place_, name in enumerate(self.headers)}
        self.readers = [_reader(places[name], column) for name, column in self.columns.items()]
        self.second_readers = [_reader(places[name], column) for name, column in self.second.items()]
        self.others = [
            (trim(header) or f"column {place + 1}", name, place)
            for place, (header, name) in enumerate(zip(table.headers, self.headers, strict=True))
            if name not in self.columns and name not in self.second and name not in profile.ignore
        ]

    @property
    def unknown_columns(self) -> tuple[str, ...]:
        """The file's columns that the profile does not have."""
        return tuple(header for header, name, _ in self.others if name not in self.profile.keep)

    @property
    def missing_columns(self) -> tuple[str, ...]:
        """The layout's columns that the file has in none of their spellings."""
        both = {**(self.profile.part.columns if self.profile.part else {}), **self.profile.columns}
        found = {column.name for column in (*self.columns.values(), *self.second.values())}
        expected = dict.fromkeys(both[name].name for name in both if name in self.profile.expected)
        return tuple(name for name in expected if name not in found)

    def names_of(self, *targets: str) -> str:
        """The columns that go to some targets, for a message."""
        return "・".join(column.name for column in self.columns.values() if column.to in targets) or "・".join(targets)

    def filled(self, row: Row) -> list[str]:
        """The names of the profile's columns that have something in this row."""
        cells = zip(self.headers, row.cells, strict=False)
        return [self.columns[name].name for name, cell in cells if name in self.columns and trim(cell)]

    def read(self, row: Row) -> dict[str, Any]:
        """The values of a row, those of its second entity under "". Raises RowRefused."""
        cells = row.cells
        if row.fault:
            raise RowRefused("", "unbalanced-quotes", f"The row cannot be told into cells: {row.fault}.")
        if row.encoding:
            self._report(row.number, "", self.table.encoding, row.encoding, "another-encoding", Severity.WARNING)
        whole = "\n".join(cells)
        if UNREADABLE_BYTES.search(whole):
            raise RowRefused("", "undecodable-bytes", f"The row has bytes that are not {self.table.encoding.upper()}.")
        if len(cells) > len(self.headers) and any(trim(cell) for cell in cells[len(self.headers) :]):
            raise RowRefused("", "too-many-cells", f"The row has {len(cells)} cells for {len(self.headers)} columns.")
        record: dict[str, str] = {}
        values: dict[str, Any] = dict(self.profile.constants)
        if self.observed_at is not None:
            values[OBSERVED_AT] = self.observed_at
        odd = "#" in whole or INVISIBLE.search(whole) is not None
        self._read_cells(row, self.readers, values, record, odd=odd)
        for header, _, place_ in self.others:
            if text := trim(cells[place_].removeprefix(FORMULA) if place_ < len(cells) else ""):
                record[header] = INVISIBLE.sub("", text)
        self._locate(row.number, values)
        self._shape(row.number, self.profile.model, values)
        if record and "sourceRecord" in self.profile.model.attributes:
            values["sourceRecord"] = record
        if self.profile.part is not None and self.second:
            values[""] = self._read_second(row, self.profile.part.model, record, odd=odd)
        return values

    def _dated(self, header: str, name: str) -> str:
        """The name of a column whose header has a time in it, which is the time of all rows then."""
        for target, pattern in self.profile.dated.items():
            if (found := dated(header, pattern)) is not None:
                try:
                    self.observed_at = instant(found).value
                except Unreadable:
                    continue
                return target
        return name

    def _one_spelling(self, columns: Mapping[str, Column], present: set[str]) -> dict[str, Column]:
        """The columns without those that the file has in a better spelling, too: they are others then, and are kept."""
        found: dict[str, Column] = {}
        taken: dict[str, str] = {}
        for name, column in columns.items():
            if name not in present:
                continue
            if column.item is None and column.to not in ("image", "imageLicense"):
                if column.to in taken:
                    continue
                taken[column.to] = name
            found[name] = column
        return found

    def _read_second(self, row: Row, model: Model, record: dict[str, str], *, odd: bool) -> dict[str, Any]:
        values: dict[str, Any] = {}
        self._read_cells(row, self.second_readers, values, record, odd=odd)
        self._shape(row.number, model, values)
        return values

    def _read_cells(
        self, row: Row, readers: list[ColumnReader], values: dict[str, Any], record: dict[str, str], *, odd: bool
    ) -> None:
        """`odd`: one of the cells may be none, or hold what is not to be seen."""
        cells, number = row.cells, row.number
        for reader in readers:
            if reader.place < len(cells) and (raw := cells[reader.place]):
                mended = self._mended(number, reader.column, raw, record) if odd else raw
                if mended is None:
                    place(values, reader.column, reader.column.empty)
                else:
                    self._read_cell(number, reader, mended, values, record)
            elif reader.column.empty is not None:
                place(values, reader.column, reader.column.empty)

    def _mended(self, row: int, column: Column, raw: str, record: dict[str, str]) -> str | None:
        """A cell without what is not to be seen; None where it is an error of a spreadsheet, which is kept as published."""
        if (rule := cell_fault(raw)) is not None:
            written = raw.removeprefix(FORMULA)
            self._report(row, column.name, written, "", rule, Severity.WARNING)
            record[column.name] = written
            return None
        visible = INVISIBLE.sub("", raw)
        if visible != raw:
            outer = trim(raw) == visible  # a mark of the byte order at an end is space
            rule, severity = ("outer-space", Severity.INFO) if outer else ("invisible-characters", Severity.WARNING)
            self._report(row, column.name, raw, visible, rule, severity)
        return visible

    def _read_cell(
        self, row: int, reader: ColumnReader, raw: str, values: dict[str, Any], record: dict[str, str]
    ) -> None:
        column = reader.column
        text = trim(raw)
        if text != raw:
            self._report(row, column.name, raw, text, "outer-space", Severity.INFO)
        if text in MISSING_MARKS:
            self._report(row, column.name, raw, "", "missing-mark", Severity.INFO)
            text = ""
        if not text:
            place(values, column, column.empty)
            return
        try:
            reading = reader.read(text)
        except Unreadable as fault:
            if column.fatal:
                raise RowRefused(column.name, fault.rule, f"{column.name}: {fault.reason}.") from fault
            self._report(row, column.name, raw, "", fault.rule, Severity.WARNING)
            record[column.name] = text
            return
        for fix in reading.fixes:
            self._report(row, column.name, raw, shown(reading.value), fix.rule, fix.severity)
            if (fix.severity is Severity.WARNING or column.raw) and reading.value is not None:
                record[column.name] = text
        place(values, column, reading.value)

    def _locate(self, row: int, values: dict[str, Any]) -> None:
        """Turn the two halves of a position into a GeoJSON point."""
        parts = values.get("location")
        if parts is None or "type" in parts:
            return
        halves = parts.get("point", parts)
        latitude, longitude = halves.get("latitude"), halves.get("longitude")
        names = self.names_of(*LOCATION_PARTS, "location.point")
        del values["location"]
        if latitude is None or longitude is None:
            only = shown(longitude if latitude is None else latitude)
            self._report(row, names, only, "", "half-a-position", Severity.WARNING)
            return
        try:
            reading = point(latitude, longitude, repair=self.profile.repair)
        except Unreadable as fault:
            raise RowRefused(names, fault.rule, f"{names}: {fault.reason}.") from fault
        for fix in reading.fixes:
            after = shown(reading.value["coordinates"][::-1])
            self._report(row, names, f"{latitude:.10g}, {longitude:.10g}", after, fix.rule, fix.severity)
        values["location"] = reading.value

    def _shape(self, row: int, model: Model, values: dict[str, Any]) -> None:
        for name, fault in shape(model, values):
            columns = (*self.columns.values(), *self.second.values())
            names = "・".join(column.name for column in columns if column.attribute == name)
            self._report(row, names, fault.before, "", fault.rule, Severity.WARNING)

    def _report(self, row: int, column: str, before: str, after: str, rule: str, severity: Severity) -> None:
        self.repairs.append(Repair(row, column, before, after, rule, severity))


def cell_fault(text: str) -> str | None:
    """The rule by which a cell of a spreadsheet says nothing: it is an error, or a formula without a value."""
    if text.startswith(FORMULA):
        return "formula-without-value"
    return "spreadsheet-error" if text.startswith("#") and text.strip() in SPREADSHEET_ERRORS else None


def _reader(place_: int, column: Column) -> ColumnReader:
    return ColumnReader(place_, column, partial(TRANSFORMS[column.transform], **column.options))
