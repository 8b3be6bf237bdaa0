"""The files of a city, as one folder has them, and where they go: the folders that the feeds look into."""

import shutil
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MADE_UP = HERE / "data"

_FOLDERS = {
    "open-data": ("open-data", "municipal-yaizu"),
    "own-lists": ("own-lists",),
    "river": ("river", "river-fukui"),
    "amedas": ("amedas", "jma-amedas"),
}
"""What a folder of files may be called, by what is in it; those of the second kind are collections of real files."""
_MASTERS = ("sensors.csv", "suii_ichi.csv")


class MissingFiles(Exception):
    """A folder does not have what the example needs; the message says what."""


@dataclass(frozen=True)
class CityFiles:
    """What there is: the file of feeds, lists by the folder that they go to, masters of gauges, that of the
    thresholds first, the table of a day's levels, and what AMeDAS publishes."""

    feeds: Path
    lists: dict[str, list[Path]]
    masters: list[Path]
    day: Path
    stations: Path
    observations: Path


def city_files(folder: Path, day: str | None = None) -> CityFiles:
    """The files in a folder; the made-up city's gauges are those of examples/river_level. Raises MissingFiles."""
    found = {name: _folder(folder, names) for name, names in _FOLDERS.items()}
    if folder.resolve() == MADE_UP.resolve():
        found["river"] = HERE.parent / "river_level" / "data"
    real = found["open-data"] == folder / "municipal-yaizu"
    river, amedas = found["river"], found["amedas"]
    days = sorted(path for path in _files(river, "*.csv") if path.name not in _MASTERS)
    chosen = [path for path in days if day is None or path.stem == day]
    observations = _files(amedas, "map_*.json")
    lists = {name: _files(found[name], "*") for name in ("open-data", "own-lists")}
    lists = {name: [path for path in paths if path.suffix in (".csv", ".xlsx")] for name, paths in lists.items()}
    for wanted, there in (
        ("no open data: csv or xlsx files in open-data/", lists["open-data"]),
        ("no levels of a day: river/YYYY-MM-DD.csv" if day is None else f"no levels of {day}", chosen),
        ("no master of the gauges: river/sensors.csv", _files(river, "sensors.csv")),
        ("no observations: amedas/map_YYYYMMDDHHMMSS.json", observations),
        ("no table of stations: amedas/amedastable*.json", _files(amedas, "amedastable*.json")),
    ):
        if not there:
            raise MissingFiles(f"{folder} has {wanted}.")
    return CityFiles(
        feeds=HERE / ("yaizu.toml" if real else "city.toml"),
        lists=lists,
        masters=[river / name for name in _MASTERS if river is not None and (river / name).is_file()],
        day=chosen[0],
        stations=_stations_of(_files(amedas, "amedastable*.json"), observations[-1]),
        observations=observations[-1],
    )


def put(path: Path, folder: Path) -> None:
    """Put a file into a folder as a feed wants it: whole when it has its name."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{path.name}.part"
    shutil.copyfile(path, part)
    part.rename(folder / path.name)


def _folder(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _files(folder: Path | None, pattern: str) -> list[Path]:
    return [] if folder is None else sorted(path for path in folder.glob(pattern) if path.is_file())


def _stations_of(tables: list[Path], observations: Path) -> Path:
    """The table of stations of the observations' year, where there is one of each."""
    year = observations.stem.removeprefix("map_")[:4]
    return next((path for path in tables if year in path.name), tables[-1])
