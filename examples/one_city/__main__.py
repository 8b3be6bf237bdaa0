"""`python -m examples.one_city`: a whole city in one broker, from its files and gauges to the alerts, counted at the end.

The exit code is 0 when every number adds up: rows read are rows accepted, repaired and quarantined, entities created are there,
and each threshold that was reached was told. Otherwise it is 1, and what is wrong is said.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from rich.console import Console

from adapters.errors import AdapterError
from examples.one_city.city import LINK, City, NotEmpty, run
from examples.one_city.files import MADE_UP, MissingFiles, city_files
from examples.one_city.summary import Summary, show

QUESTIONS = (
    "/ngsi-ld/v1/entities?type=EvacuationSite&q=hazardTypes==%22flood%22&format=simplified&pick=id,name,location",
    "/ngsi-ld/v1/entities?type=RiverGauge&format=simplified&pick=id,name,waterLevel,levelStatus",
    "/ngsi-ld/v1/entities?type=AED&georel=near;maxDistance==1500&geometry=Point&coordinates=[138.3271,34.8751]&format=simplified",
    "/ngsi-ld/v1/temporal/entities?type=RiverGauge&attrs=waterLevel&timerel=after&timeAt=2020-01-01T00:00:00Z&lastN=6&format=temporalValues",
    "/ngsi-ld/v1/entities?type=AdapterRun&format=simplified&pick=adapter,runStatus,records",
)
"""What one may ask of a city that stays."""


def main(arguments: list[str] | None = None) -> int:
    """Run the example; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.one_city", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=MADE_UP, help="folder with the city's files; default: made-up ones"
    )
    parser.add_argument("--day", help="which day's levels, where there are more (YYYY-MM-DD); default: the first")
    parser.add_argument("--store", default="sqlite::memory:", help="as for tsunagu serve; default: sqlite::memory:")
    parser.add_argument("--stay", action="store_true", help="keep everything running until Ctrl-C, and say what to ask")
    options = parser.parse_args(arguments)
    try:
        files = city_files(options.data, options.day)
        summary = asyncio.run(run(files, options.store, _say, _stay if options.stay else None))
    except KeyboardInterrupt:
        return 130
    except (MissingFiles, NotEmpty, AdapterError, RuntimeError, OSError) as error:
        print(f"one_city: {error}", file=sys.stderr)
        return 1
    if not options.stay:
        _tell(summary)
    return 1 if list(summary.faults()) else 0


def _tell(summary: Summary) -> None:
    """The tables, and then in a sentence whether all is well; what is not goes to the standard error output."""
    show(summary, Console(width=None if sys.stdout.isatty() else 120))
    for sentence in summary.left_out:
        print(f"Note: {sentence}.")
    faults = list(summary.faults())
    rows = sum(run.read for run in summary.runs)
    print(
        f"{rows} rows and messages in {summary.seconds:.1f} s: " + ("something is wrong." if faults else "all is well.")
    )
    sys.stdout.flush()
    for fault in faults:
        print(f"one_city: {fault}", file=sys.stderr)
    for line in summary.log if faults else ():
        print(f"broker: {line}", file=sys.stderr)


async def _stay(city: City, summary: Summary) -> None:
    """Tell, say what there is to ask, and wait for Ctrl-C."""
    _tell(summary)
    feeds, tsunagu = city.folder / city.file, Path(sys.executable).with_name("tsunagu")
    lines = [
        f"LINK='Link: {LINK}'",
        *(f"curl -s -H \"$LINK\" '{city.url}{question}'" for question in QUESTIONS),
        f"curl -sN -H \"$LINK\" '{city.url}/tsunagu/v1/stream?type=RiverGauge&format=simplified'",
        f"curl -s {city.url}/metrics | grep tsunagu_adapter_records",
        "",
        f"export {city.environment} TSUNAGU_ADAPTERS={feeds}",
        f"{tsunagu} adapters status",
        f"{tsunagu} adapters quarantine list",
        f"cp some.csv {city.folder}/in/open-data/     # and it is read",
    ]
    print("\nStill running. Ctrl-C ends it, and takes its folder away. For example:\n")
    print("".join(f"  {line}\n" for line in lines), flush=True)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


def _say(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    sys.exit(main())
