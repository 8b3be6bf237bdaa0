"""The command line as a user meets it: a process, its output and its exit code."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from broker import __version__
from broker.settings import ABOUT

SERVE_OPTIONS = ["--config", *("--" + name.replace("_", "-") for name in ABOUT)]


def tsunagu(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TSUNAGU_")}
    return subprocess.run(
        [sys.executable, "-m", "broker.cli", *arguments],
        cwd=cwd,
        env=clean | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"} | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_version_is_told_at_once(tmp_path: Path) -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = tsunagu("--version", cwd=tmp_path)
        times.append(time.perf_counter() - start)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"tsunagu {__version__}\n", "")
    assert min(times) < 0.3


def test_version_and_help_load_neither_server_nor_database() -> None:
    code = "import sys, broker.cli; print([name for name in ('aiohttp', 'pymongo', 'shapely', 'rich') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_the_console_script_is_installed_and_is_the_same_program(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("tsunagu")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"tsunagu {__version__}\n")


def test_without_a_command_the_commands_are_listed(tmp_path: Path) -> None:
    done = tsunagu(cwd=tmp_path)
    assert done.returncode == 2
    for command in ("serve", "import", "doctor", "--install-completion"):
        assert command in done.stdout + done.stderr


def test_serve_documents_every_setting(tmp_path: Path) -> None:
    done = tsunagu("serve", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert [option for option in SERVE_OPTIONS if option not in done.stdout] == []


@pytest.mark.parametrize(
    ("arguments", "environ", "sentence"),
    [
        (("serve", "--port", "99999"), {}, "--port: '99999' is not a whole number from 0 to 65535"),
        (
            ("serve",),
            {"TSUNAGU_PRT": "1"},
            "TSUNAGU_PRT in the environment is not a setting; do you mean TSUNAGU_PORT?",
        ),
        (("serve", "--config", "none.toml"), {}, "--config none.toml: the file cannot be read"),
        (("doctor", "--store", "redis://x"), {}, "--store: 'redis://x' is not a store"),
    ],
)
def test_a_wrong_setting_ends_with_one_sentence_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str], sentence: str
) -> None:
    done = tsunagu(*arguments, cwd=tmp_path, **environ)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"tsunagu: {sentence}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [("sevre",), ("serve", "--prt", "1"), ("import",), ("doctor", "extra")])
def test_wrong_usage_has_exit_code_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = tsunagu(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.fixture
def sites(tmp_path: Path) -> Path:
    """A list of evacuation sites as a municipality publishes it: one good row, one repaired, one without a position."""
    file = tmp_path / "sites.csv"
    file.write_text(
        "NO,名称,住所,緯度,経度,市区町村コード,災害種別_洪水,災害種別_津波\n"
        "1,中央公園,静岡県焼津市本町1-1,34.867,138.323,222127,1,\n"
        "2,港小学校,静岡県焼津市港1-1,３４．８６０,138.330,222127,○,1\n"
        "3,北公民館,静岡県焼津市北1-1,北の方,138.33,222127,1,\n",
        "cp932",
    )
    return file


def test_import_reports_repairs_and_quarantine_and_exits_0(tmp_path: Path, sites: Path) -> None:
    done = tsunagu("import", "--dry-run", "--report", "report.json", str(sites), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Dry run, nothing sent. 3 rows: 1 as they are, 1 repaired, 1 quarantined; 2 entities." in done.stdout
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["counts"]["quarantined"] == 1
    assert report["files"][0]["quarantine"][0]["record"]["名称"] == "北公民館"


def test_import_answers_scripts_in_json(tmp_path: Path, sites: Path) -> None:
    done = tsunagu("import", "--dry-run", "--json", str(sites), cwd=tmp_path)
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert answer["dryRun"]
    assert answer["counts"]["entities"] == 2


def test_import_of_a_file_that_is_not_there_exits_1_and_the_others_are_read(tmp_path: Path, sites: Path) -> None:
    done = tsunagu("import", "--dry-run", "none.csv", str(sites), cwd=tmp_path)
    assert done.returncode == 1
    assert "none.csv: There is no such file." in done.stdout
    assert "2 entities" in done.stdout


def test_import_into_what_is_no_url_is_wrong_usage(tmp_path: Path, sites: Path) -> None:
    done = tsunagu("import", str(sites), cwd=tmp_path, TSUNAGU_BROKER="localhost:1026")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tsunagu: --broker: 'localhost:1026' is not an http:// or https:// URL\n"


def test_import_into_a_broker_that_is_not_there_exits_1(tmp_path: Path, sites: Path) -> None:
    done = tsunagu("import", "--broker", "http://127.0.0.1:9", str(sites), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("tsunagu: ")
    assert "http://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_answers_scripts_in_json_and_people_in_lines(tmp_path: Path) -> None:
    arguments = ("doctor", "--port", "0", "--store", f"sqlite:{tmp_path / 'data'}")
    done = tsunagu(*arguments, "--json", cwd=tmp_path)
    answer = json.loads(done.stdout)
    assert done.returncode == (0 if answer["ok"] else 1)
    assert {finding["subject"] for finding in answer["findings"]} >= {"python", "clock", "directory", "port", "egress"}
    assert all(set(finding) == {"subject", "ok", "message", "remedy"} for finding in answer["findings"])
    assert not (tmp_path / "data").exists()
    shown = tsunagu(*arguments, cwd=tmp_path)
    assert shown.returncode == done.returncode
    assert "will be made in" in shown.stdout


def test_doctor_finds_what_is_broken_and_exits_1(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = tsunagu("doctor", "--port", "0", "--store", "sqlite:file/data", cwd=tmp_path)
    assert done.returncode == 1
    assert "BROKEN" in done.stdout
    assert "to mend it: choose another --store" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_is_offered(tmp_path: Path, shell: str) -> None:
    done = tsunagu(cwd=tmp_path, _TSUNAGU_COMPLETE=f"source_{shell}")
    assert done.returncode == 0
    assert "_TSUNAGU_COMPLETE" in done.stdout
