"""The adapter for municipal tables: CSV and xlsx files in any layout that a profile describes."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import unquote

from adapters.contract import Adapter, Decoded, Origin, State
from adapters.decoding import decode
from adapters.errors import InvalidOptions, InvalidProfile
from adapters.layouts import read_profile
from adapters.options import Options, option
from adapters.provenance import public_source
from adapters.table import read_table
from adapters.transforms.codes import local_government_code
from adapters.transforms.reading import Unreadable


@dataclass(frozen=True, slots=True)
class TableOptions(Options):
    """What a feed may say of its tables."""

    municipality: str | None = option("code of the municipality, for files that do not say it", None)
    profile: str | None = option(
        "file with a profile of one's own, in place of the one that fits the headers", None, path=True
    )

    def __post_init__(self) -> None:
        """Raises InvalidOptions for a code that is none, and for a profile that cannot be used."""
        if self.municipality is not None:
            try:
                object.__setattr__(self, "municipality", local_government_code(self.municipality).value)
            except Unreadable as fault:
                raise InvalidOptions(f"municipality: {self.municipality!r} is no code: {fault.reason}") from None
        if self.profile is not None:
            try:
                read_profile(self.profile)
            except InvalidProfile as fault:
                raise InvalidOptions(f"profile: {str(fault).removesuffix('.')}") from None


def decode_table(data: bytes, origin: Origin, options: TableOptions, state: State) -> Decoded:
    """The entities of a table, with the profile that fits its headers. Raises UnreadableFile, UnknownLayout."""
    profile = None if options.profile is None else read_profile(options.profile)
    name = unquote(public_source(origin.address).rpartition("/")[2])
    table = decode(data, profile, municipality=options.municipality, file_name=name)
    return Decoded(
        records=table.rows,
        entities=table.entities,
        repairs=table.repairs,
        quarantine=table.quarantine,
        owned=MappingProxyType(table.profile.owned()),
        notes=MappingProxyType(
            {
                "profile": table.profile.name,
                "datasetKey": table.dataset_key,
                "encoding": table.encoding,
                "unknownColumns": list(table.unknown_columns),
                "missingColumns": list(table.missing_columns),
                **({"aboutFile": list(table.notes)} if table.notes else {}),
            }
        ),
    )


def excerpt(data: bytes, record: Mapping[str, Any]) -> bytes:
    """A table of one row, with the headers of the table that the row is from."""
    headers = read_table(data).headers
    text = io.StringIO()
    csv.writer(text).writerows([headers, [record.get(header, "") for header in headers]])
    return text.getvalue().encode()


TABLE: Final = Adapter(
    "table", "municipal open data as CSV or xlsx, by profile", decode_table, TableOptions, excerpt=excerpt
)
