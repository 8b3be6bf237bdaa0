"""Municipal datasets into `tsunagu serve` and out of it again, and the commands that do it."""

import asyncio
import sys
from pathlib import Path

from adapters.decoding import decode
from adapters.exporting import export_dataset
from adapters.importing import import_files
from examples.river_level.broker import own_broker

ROOT = Path(__file__).parents[3]
FILES = ROOT / "examples" / "municipal"
STANDARD = sorted(path for path in FILES.glob("*.standard.*"))
PARKING = FILES / "999997_municipal_parking_lot.csv"


async def tsunagu(*arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "broker.cli", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode, out, err.decode()


async def test_every_dataset_comes_out_of_the_broker_as_it_went_in():
    async with own_broker() as url:
        report = await import_files([*STANDARD, PARKING], url)
        assert report.ok
        assert report.counts["created"] == report.counts["entities"]
        for file, path in zip(report.files, STANDARD, strict=False):
            made = await export_dataset(url, path.name.partition(".")[0], municipality="999997")
            again = {entity["id"]: entity for entity in decode(made.data).entities}
            assert again == {entity["id"]: entity for entity in file.entities}
        assert (await export_dataset(url, "aed", municipality="222127")).rows == 0
        again_report = await import_files([*STANDARD, PARKING], url)
        assert again_report.counts["unchanged"] == report.counts["entities"]


async def test_the_commands_import_by_an_own_profile_and_export_to_a_file(tmp_path):
    code, skeleton, _ = await tsunagu("import", "--skeleton", str(FILES / "999997_street_light.csv"))
    assert code == 0
    text = (
        skeleton.decode()
        .replace("columns:\n", 'columns:\n  "管理番号": {to: name}\n')
        .replace('  - "管理番号"  # L-1\n', "")
    )
    profile = tmp_path / "street_light.yaml"
    profile.write_text(text, "utf-8")
    out = tmp_path / "out.csv"
    async with own_broker() as url:
        lights = ["import", "--broker", url, "--municipality", "999997", str(FILES / "999997_street_light.csv")]
        assert (await tsunagu(*lights))[0] == 1
        code, told, err = await tsunagu(*lights, "--profile", str(profile))
        assert (code, err) == (0, "")
        assert "2 created" in told.decode()
        exported = ["export", "--broker", url, "--municipality", "999997", "-o", str(out)]
        code, _, err = await tsunagu(*exported, "--dataset", "street_light")
        assert (code, err.partition(" rows")[0]) == (0, "2")
        assert out.read_bytes().startswith("\ufeff全国地方公共団体コード,ID,".encode())
        code, _, err = await tsunagu(*exported, "--dataset", "event", "--layout", "linkdata")
        assert (code, "it has standard, recommended" in err) == (1, True)
    assert (await tsunagu("import", "--profile", str(tmp_path / "none.yaml"), str(PARKING)))[0] == 1
