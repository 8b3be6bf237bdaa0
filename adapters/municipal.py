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
from adapters.errors import InvalidProfile, UnknownLayout
from adapters.layouts import read_profile
from adapters.options import Options, option
from adapters.provenance import public_source
from adapters.table import read_table


@dataclass(frozen=True, slots=True)
class TableOptions(Options):
    """What a feed may say of its tables."""

    municipality: str | None = option("code of the municipality, for files that do not say it", None)
    profile: str | None = option("file with a profile of one's own, in place of the one that fits the headers", None)


def decode_table(data: bytes, origin: Origin, options: TableOptions, state: State) -> Decoded:
    """The entities of a table, with the profile that fits its headers. Raises UnreadableFile, UnknownLayout."""
    try:
        profile = None if options.profile is None else read_profile(options.profile)
    except InvalidProfile as error:
        raise UnknownLayout(str(error)) from error
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
