"""The pure half of an import: the bytes of a table and a profile in, entities, repair report and quarantine out.

An entity is normalized NGSI-LD (4.5.1) with the model's short names:

    {"id": "urn:ngsi-ld:EvacuationSite:222127:h-…", "type": "EvacuationSite",
     "name": {"type": "Property", "value": "…"}, "location": {"type": "GeoProperty", "value": {…}}}

Every row is accepted as it is, accepted with repairs, or quarantined; none is dropped in silence.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters.contract import Entity, Quarantined, Repair
from adapters.errors import UnreadableFile
from adapters.headers import normalised
from adapters.identity import hashed, identified
from adapters.profile import LOCATION_PARTS, Column, Profile, choose
from adapters.table import UNREADABLE_BYTES, Row, Table, read_table
from adapters.transforms import DERIVATIONS, TRANSFORMS
from adapters.transforms.places import point
from adapters.transforms.reading import Reading, Severity, Unreadable
from adapters.transforms.text import MISSING_MARKS, trim
from datamodels.local_government import local_governments, of_address
from datamodels.model import VALUE_MEMBER, Model

_OWN_ID: Final = "externalSiteId"
_CODE: Final = "localGovernmentCode"


@dataclass(frozen=True, slots=True)
class DecodedTable:
    """What a file holds: rows = accepted + repaired + quarantined, entities = accepted + repaired."""

    profile: Profile
    encoding: str
    rows: int
    entities: tuple[Entity, ...]
    repairs: tuple[Repair, ...]
    quarantine: tuple[Quarantined, ...]
    unknown_columns: tuple[str, ...]
    missing_columns: tuple[str, ...]

    @property
    def repaired(self) -> int:
        """How many rows were accepted with at least one repair."""
        return len({repair.row for repair in self.repairs})

    @property
    def accepted(self) -> int:
        """How many rows were accepted as they are."""
        return self.rows - self.repaired - len(self.quarantine)


def decode(data: bytes, profile: Profile | None = None, *, municipality: str | None = None) -> DecodedTable:
    """Decode a table file, with the profile that fits its headers unless one is given.

    `municipality` is the code to take where neither the rows nor the addresses say which municipality a file is of.
    Raises UnreadableFile and UnknownLayout.
    """
    table = read_table(data)
    chosen = choose(table.headers) if profile is None else profile
    return _Decoding(table, chosen, municipality).run()


class _RowRefused(Exception):
    """The row cannot become an entity."""

    def __init__(self, column: str, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.rule, self.reason = column, rule, reason


class _Decoding:
    """One run of `decode`: collects repairs and quarantine while the rows pass."""

    def __init__(self, table: Table, profile: Profile, municipality: str | None) -> None:
        self.table = table
        self.profile = profile
        self.headers = normalised(table.headers)
        self.present = frozenset(self.headers)
        self.others = [
            (trim(header) or f"column {place + 1}", name, place)
            for place, (header, name) in enumerate(zip(table.headers, self.headers, strict=True))
            if name not in profile.columns and name not in profile.ignore
        ]
        double = [header for header, count in Counter(filter(None, self.headers)).items() if count > 1]
        if double:
            raise UnreadableFile(f"The file has the column {double[0]} more than once.")
        self.municipality = municipality
        self.repairs: list[Repair] = []
        self.quarantine: list[Quarantined] = []

    def run(self) -> DecodedTable:
        entities: dict[str, tuple[int, Entity]] = {}
        rows = self._with_code([(row, self._values(row)) for row in self.table.rows])
        for row, values in rows:
            if values is None:
                continue
            try:
                entity = self._entity(values)
                if entity["id"] in entities:
                    raise self._twice(entities[entity["id"]], entity)
            except _RowRefused as refusal:
                self._refuse(row, refusal)
            else:
                entities[entity["id"]] = (row.number, entity)
        refused = {quarantined.row for quarantined in self.quarantine}
        return DecodedTable(
            profile=self.profile,
            encoding=self.table.encoding,
            rows=len(self.table.rows),
            entities=tuple(entity for _, entity in entities.values()),
            repairs=tuple(sorted((r for r in self.repairs if r.row not in refused), key=lambda repair: repair.row)),
            quarantine=tuple(sorted(self.quarantine, key=lambda row: row.row)),
            unknown_columns=tuple(header for header, name, _ in self.others if name not in self.profile.keep),
            missing_columns=self._missing_columns(),
        )

    def _missing_columns(self) -> tuple[str, ...]:
        """The profile's columns that the file has in none of their spellings."""
        found = {self.profile.columns[name].name for name in self.headers if name in self.profile.columns}
        names = dict.fromkeys(column.name for column in self.profile.columns.values())
        return tuple(name for name in names if name not in found)

    def _values(self, row: Row) -> dict[str, Any] | None:
        """The attribute values that the row's cells give, None where the row is quarantined."""
        try:
            return self._read(row)
        except _RowRefused as refusal:
            self._refuse(row, refusal)
            return None

    def _read(self, row: Row) -> dict[str, Any]:
        if any(UNREADABLE_BYTES.search(cell) for cell in row.cells):
            raise _RowRefused("", "undecodable-bytes", f"The row has bytes that are not {self.table.encoding.upper()}.")
        if any(trim(cell) for cell in row.cells[len(self.headers) :]):
            raise _RowRefused(
                "", "too-many-cells", f"The row has {len(row.cells)} cells for {len(self.headers)} columns."
            )
        values: dict[str, Any] = {}
        record: dict[str, str] = {}
        cells = dict(zip(self.headers, row.cells, strict=False))
        for name, column in self.profile.columns.items():
            if name in self.present:
                self._read_cell(row.number, column, cells.get(name, ""), values, record)
        for header, _, place in self.others:
            if text := trim(row.cells[place] if place < len(row.cells) else ""):
                record[header] = text
        self._locate(row.number, values)
        if record and "sourceRecord" in self.profile.model.attributes:
            values["sourceRecord"] = record
        return values

    def _read_cell(self, row: int, column: Column, raw: str, values: dict[str, Any], record: dict[str, str]) -> None:
        text = trim(raw)
        if text != raw:
            self._report(row, column.name, raw, text, "outer-space", Severity.INFO)
        if text in MISSING_MARKS:
            self._report(row, column.name, raw, "", "missing-mark", Severity.INFO)
            text = ""
        if not text:
            _place(values, column, column.empty)
            return
        try:
            reading: Reading = TRANSFORMS[column.transform](text, **column.options)
        except Unreadable as fault:
            if column.fatal:
                raise _RowRefused(column.name, fault.rule, f"{column.name}: {fault.reason}.") from fault
            self._report(row, column.name, raw, "", fault.rule, Severity.WARNING)
            record[column.name] = text
            return
        for fix in reading.fixes:
            self._report(row, column.name, raw, _shown(reading.value), fix.rule, fix.severity)
            if fix.severity is Severity.WARNING and reading.value is not None:
                record[column.name] = text
        _place(values, column, reading.value)

    def _locate(self, row: int, values: dict[str, Any]) -> None:
        """Turn the two halves of a position into a GeoJSON point."""
        latitude, longitude = (values.pop(part, None) for part in LOCATION_PARTS)
        names = "・".join(column.name for column in self.profile.columns.values() if column.to in LOCATION_PARTS)
        if latitude is None and longitude is None:
            return
        if latitude is None or longitude is None:
            only = _shown(longitude if latitude is None else latitude)
            self._report(row, names, only, "", "half-a-position", Severity.WARNING)
            return
        try:
            reading = point(latitude, longitude, repair=self.profile.repair)
        except Unreadable as fault:
            raise _RowRefused(names, fault.rule, f"{names}: {fault.reason}.") from fault
        for fix in reading.fixes:
            after = _shown(reading.value["coordinates"][::-1])
            self._report(row, names, f"{latitude:.10g}, {longitude:.10g}", after, fix.rule, fix.severity)
        values["location"] = reading.value

    def _with_code(self, rows: list[tuple[Row, dict[str, Any] | None]]) -> list[tuple[Row, dict[str, Any] | None]]:
        """Give rows without a municipality code the file's: the one all others have, or the addresses', or the caller's."""
        given = {values[_CODE] for _, values in rows if values and _CODE in values}
        code = self.municipality
        if code is None and len(given) == 1:
            code = next(iter(given))
        elif code is None and not given and self.profile.municipality_of_file:
            code = _municipality_of(values for _, values in rows if values)
        for row, values in rows:
            if values is not None and _CODE not in values and code is not None:
                values[_CODE] = code
                if not self.profile.municipality_of_file:
                    self._report(row.number, _CODE, "", code, "code-of-the-other-rows", Severity.WARNING)
        return rows

    def _entity(self, values: dict[str, Any]) -> Entity:
        model = self.profile.model
        for name in self.profile.derive:
            values.update(DERIVATIONS[name].derive(values))
        values.update(self.profile.constants)
        if "name" not in values:
            raise _RowRefused("name", "no-name", "The row has no name.")
        if "location" not in values and "addressText" not in values.get("address", {}):
            raise _RowRefused("address", "no-place", "The row has neither an address nor a position.")
        if _CODE not in values:
            raise _RowRefused(
                _CODE, "no-municipality", "Nothing in the file says which municipality the row belongs to."
            )
        address = values.get("address", {})
        values.setdefault("dataProvider", _name_of(values[_CODE]) or address.get("addressLocality", values[_CODE]))
        if address:
            values["address"] = {"addressCountry": "JP", **address}
        own_id = values.get(_OWN_ID)
        if own_id is None:
            key = [_key_text(values.get(part)) for part in self.profile.key]
            entity_id = hashed(model.type, values[_CODE], model.dataset, key)
        else:
            entity_id = identified(model.type, values[_CODE], own_id)
        return {"id": entity_id, "type": model.type, **_attributes(model, values)}

    def _twice(self, first: tuple[int, Entity], entity: Entity) -> _RowRefused:
        same = "the same in all" if first[1] == entity else "different in other"
        return _RowRefused("id", "duplicate", f"The row names the same thing as row {first[0]} and is {same} columns.")

    def _report(self, row: int, column: str, before: str, after: str, rule: str, severity: Severity) -> None:
        self.repairs.append(Repair(row, column, before, after, rule, severity))

    def _refuse(self, row: Row, refusal: _RowRefused) -> None:
        record = {
            header: UNREADABLE_BYTES.sub("\ufffd", cell)
            for header, cell in zip(self.table.headers, row.cells, strict=False)
            if trim(cell)
        }
        self.quarantine.append(Quarantined(row.number, refusal.column, refusal.rule, refusal.reason, record))


def _place(values: dict[str, Any], column: Column, value: Any) -> None:
    """Put a cell's value where the column belongs; None is absent."""
    if value is None:
        return
    if column.item is not None:
        if value:
            values.setdefault(column.attribute, []).append(column.item)
    elif column.to in LOCATION_PARTS:
        values[column.to] = value
    elif column.member is not None:
        values.setdefault(column.attribute, {})[column.member] = value
    else:
        values[column.attribute] = value


def _attributes(model: Model, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as NGSI-LD attributes, in the order of the model."""
    attributes = {}
    for name, attribute in model.attributes.items():
        if name in values:
            instance = {"type": attribute.kind, VALUE_MEMBER[attribute.kind]: values[name]}
            if attribute.unit is not None:
                instance["unitCode"] = attribute.unit
            attributes[name] = instance
    return attributes


def _municipality_of(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """The municipality that more than half of the addresses begin with, if it is only one.

    A single address proves nothing: 昭和町 is a town in 山梨県 and a part of many cities.
    """
    counts: Counter[str] = Counter()
    total = 0
    for values in rows:
        total += 1
        found = of_address(values.get("address", {}).get("addressText", ""))
        if len(found) == 1:
            counts[found[0].code] += 1
    code, most = max(counts.items(), key=lambda item: item[1], default=("", 0))
    return code if most * 2 > total else None


def _name_of(code: str) -> str | None:
    government = local_governments().get(code)
    return government.name if government else None


def _key_text(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("addressText", ""))
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
