"""The pure half of an import: the bytes of a table and a profile in, entities, repair report and quarantine out.

An entity is normalized NGSI-LD (4.5.1) with the model's short names:

    {"id": "urn:ngsi-ld:EvacuationSite:222127:h-…", "type": "EvacuationSite",
     "name": {"type": "Property", "value": "…"}, "location": {"type": "GeoProperty", "value": {…}}}

Every row is accepted as it is, accepted with repairs, or quarantined; none is dropped in silence.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters.building import CODE, RowRefused, entities_of, merged
from adapters.contract import Entity, Quarantined, Repair
from adapters.errors import UnreadableFile
from adapters.headers import normalised
from adapters.layouts import choose
from adapters.privacy import WITHHELD, columns_withheld, withhold
from adapters.profile import LOCATION_PARTS, Profile
from adapters.rows import RowReading
from adapters.table import UNREADABLE_BYTES, Row, Table, read_table
from adapters.transforms.reading import Severity
from adapters.transforms.text import trim
from adapters.whereabouts import elsewhere, municipality_of, outliers
from adapters.workbook import FORMULA
from datamodels import datasets

_KEY_IN_NAME: Final = re.compile(r"\d{6}_(?:\d{1,3}_)?([a-z][a-z_]*[a-z])(?:_?\d{4,8})?(?:\.[A-Za-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class DecodedTable:
    """What a file holds: rows = accepted + repaired + quarantined; a row is an entity, with some profiles two.

    `notes` are sentences about what the file has beside its rows.
    """

    profile: Profile
    encoding: str
    rows: int
    entities: tuple[Entity, ...]
    repairs: tuple[Repair, ...]
    quarantine: tuple[Quarantined, ...]
    unknown_columns: tuple[str, ...]
    missing_columns: tuple[str, ...]
    dataset_key: str = ""
    notes: tuple[str, ...] = ()

    @property
    def repaired(self) -> int:
        """How many rows were accepted with at least one repair."""
        return len({repair.row for repair in self.repairs})

    @property
    def accepted(self) -> int:
        """How many rows were accepted as they are."""
        return self.rows - self.repaired - len(self.quarantine)


def decode(
    data: bytes, profile: Profile | None = None, *, municipality: str | None = None, file_name: str = ""
) -> DecodedTable:
    """Decode a table file, with the profile that fits its headers unless one is given.

    `municipality` is the code to take where neither the rows nor the addresses say which municipality a file is of. Of
    `file_name` only the key of a list of the city's own is taken (`222127_municipal_parking_lot.csv`), never how it is read.
    Raises UnreadableFile and UnknownLayout.
    """
    table = read_table(data)
    chosen = choose(table.headers) if profile is None else profile
    return _Decoding(table, chosen, municipality, key_in(file_name)).run()


def key_in(file_name: str) -> str:
    """The key of a list of the city's own that a file's name has; "" where it has none, or that of a dataset of the standard."""
    match = _KEY_IN_NAME.fullmatch(file_name)
    return match[1] if match and match[1] not in datasets() else ""


class _Decoding:
    """One run of `decode`: collects repairs and quarantine while the rows pass."""

    def __init__(self, table: Table, profile: Profile, municipality: str | None, key: str) -> None:
        self.table = table
        self.profile = profile
        self.municipality = municipality
        self.key = key if profile.model.type == "PublicFacility" else ""
        headers = normalised(table.headers)
        double = [header for header, count in Counter(filter(None, headers)).items() if count > 1]
        if double:
            raise UnreadableFile(f"The file has the column {double[0]} more than once.")
        self.repairs: list[Repair] = []
        self.quarantine: list[Quarantined] = []
        self.withheld: dict[int, frozenset[str]] = {}
        self.reading = RowReading(table, headers, profile, self.repairs)

    def run(self) -> DecodedTable:
        read = [(row, self._values(row)) for row in self.table.rows]
        rows = [(row, values) for row, values in read if values is not None]
        code = self._give_code(rows)
        entities = self._entities(self._without_outliers(rows, code))
        refused = {quarantined.row for quarantined in self.quarantine}
        accepted = dict.fromkeys(
            repair for repair in self.repairs if repair.row not in refused and not self._tells_a_name(repair)
        )
        return DecodedTable(
            profile=self.profile,
            encoding=self.table.encoding,
            rows=len(self.table.rows),
            entities=tuple(entities.values()),
            repairs=tuple(sorted(accepted, key=lambda repair: repair.row)),
            quarantine=tuple(sorted(self.quarantine, key=lambda row: row.row)),
            unknown_columns=self.reading.unknown_columns,
            missing_columns=self.reading.missing_columns,
            dataset_key=self.key,
            notes=self.table.notes,
        )

    def _values(self, row: Row) -> dict[str, Any] | None:
        """The attribute values that the row's cells give, None where the row is quarantined."""
        try:
            return self.reading.read(row)
        except RowRefused as refusal:
            self._refuse(row, refusal)
            return None

    def _give_code(self, rows: list[tuple[Row, dict[str, Any]]]) -> str | None:
        """Give rows without a municipality code the file's: the one all others have, or the addresses', or the caller's."""
        given = {values[CODE] for _, values in rows if CODE in values}
        code = self.municipality
        if code is None and len(given) == 1:
            code = next(iter(given))
        elif code is None and not given and self.profile.municipality_of_file:
            code = municipality_of(values for _, values in rows)
        for row, values in rows:
            if CODE not in values and code is not None:
                values[CODE] = code
                if given or not self.profile.municipality_of_file:
                    self._report(row.number, CODE, "", code, "code-of-the-other-rows")
        return code

    def _without_outliers(
        self, rows: list[tuple[Row, dict[str, Any]]], code: str | None
    ) -> list[tuple[Row, dict[str, Any]]]:
        """The rows whose positions can be true: one far from all others of the file is a slip, unless its address says so."""
        placed = [(row, values) for row, values in rows if "location" in values]
        points = [values["location"]["coordinates"] for _, values in placed]
        if self.profile.accept_outliers:
            return rows
        far = set()
        for index, distance in outliers([(latitude, longitude) for longitude, latitude in points]).items():
            row, values = placed[index]
            if elsewhere(values, code):
                continue
            longitude, latitude = points[index]
            names = self.reading.names_of(*LOCATION_PARTS)
            where = f"{names}: {latitude:.10g}, {longitude:.10g}"
            reason = f"{where} is {distance:.2g} degrees from the middle of the file's positions."
            self._refuse(row, RowRefused(names, "far-from-the-others", reason))
            far.add(row.number)
        return [(row, values) for row, values in rows if row.number not in far]

    def _entities(self, rows: list[tuple[Row, dict[str, Any]]]) -> dict[str, Entity]:
        entities: dict[str, Entity] = {}
        first_rows: dict[str, int] = {}
        for row, values in rows:
            try:
                self._withhold(row, values)
                part = values.pop("", {})
                made = list(entities_of(self.profile, values, part, self.key))
                thing = made[0]
                if thing["id"] in entities:
                    made[0] = self._again(entities[thing["id"]], thing, made[1:], entities, first_rows[thing["id"]])
            except RowRefused as refusal:
                self._refuse(row, refusal)
                continue
            for entity in made:
                entities[entity["id"]] = entity
                first_rows.setdefault(entity["id"], row.number)
        return entities

    def _withhold(self, row: Row, values: dict[str, Any]) -> None:
        """Take out what names a person, also of what is kept as published and of the report."""
        model = self.profile.model
        if not (withheld := withhold(model, values)):
            return
        names = columns_withheld(self.reading.columns, withheld)
        record = {header: text for header, text in values.get("sourceRecord", {}).items() if header not in names}
        values.pop("sourceRecord", None)
        if record:
            values["sourceRecord"] = record
        self.withheld[row.number] = names
        for name in sorted(names & set(self.reading.filled(row))):
            self._report(row.number, name, WITHHELD, "", "personal-name")

    def _tells_a_name(self, repair: Repair) -> bool:
        """Whether a line of the report has what was withheld."""
        return repair.before != WITHHELD and repair.column in self.withheld.get(repair.row, ())

    def _again(
        self, first: Entity, entity: Entity, parts: list[Entity], entities: Mapping[str, Entity], first_row: int
    ) -> Entity:
        """What two rows of one thing say together: only a list of its parts grows. Raises RowRefused."""
        part = self.profile.part
        if part is not None and parts and all(each["id"] not in entities for each in parts):
            both = merged(first, entity, part.among)
            if both is not None:
                return both
        same = "the same in all" if first == entity else "different in other"
        raise RowRefused("id", "duplicate", f"The row names the same thing as row {first_row} and is {same} columns.")

    def _report(self, row: int, column: str, before: str, after: str, rule: str) -> None:
        self.repairs.append(Repair(row, column, before, after, rule, Severity.WARNING))

    def _refuse(self, row: Row, refusal: RowRefused) -> None:
        record = {
            header: UNREADABLE_BYTES.sub("\ufffd", cell.removeprefix(FORMULA))
            for header, cell in zip(self.table.headers, row.cells, strict=False)
            if trim(cell)
        }
        self.quarantine.append(Quarantined(row.number, refusal.column, refusal.rule, refusal.reason, record))
