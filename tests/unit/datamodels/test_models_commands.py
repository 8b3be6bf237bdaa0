"""`tsunagu models`: list, show, context, docs, validate."""

import json

import pytest
from typer.testing import CliRunner

from broker.cli import app
from datamodels import contexts, model_of, models
from datamodels.files import CONTEXT_VERSION, context_url


def run(*arguments):
    return CliRunner().invoke(app, ["models", *arguments])


def test_list_names_every_type_and_where_it_comes_from():
    done = run("list", "--json")
    assert done.exit_code == 0
    rows = json.loads(done.stdout)
    assert [row["type"] for row in rows] == list(models())
    assert {row["source"] for row in rows} == {"tsunagu"}
    assert "EvacuationSite" in run("list").stdout


def test_list_shows_the_types_of_a_bundle_beside_ours(tmp_path):
    (tmp_path / "Park" / "Bench").mkdir(parents=True)
    (tmp_path / "Park" / "Bench" / "schema.json").write_text("{}", "utf-8")
    rows = json.loads(run("list", "--json", "--bundle", str(tmp_path)).stdout)
    assert ("Bench", "Park") in [(row["type"], row["source"]) for row in rows]
    assert run("show", "Bench", "--bundle", str(tmp_path)).stdout == "{}\n"
    assert run("list", "--bundle", str(tmp_path / "nowhere")).exit_code == 2


def test_show_gives_the_page_of_a_type_or_its_schema():
    assert "小児対応設備" in run("show", "AED").stdout
    assert "equipment for children" in run("show", "AED", "--lang", "en").stdout
    assert json.loads(run("show", "AED", "--schema").stdout)["title"] == "AED"
    assert run("show", "Unicorn").exit_code == 2
    assert run("show", "AED", "--lang", "fr").exit_code == 2


def test_context_prints_any_version():
    for version in range(1, CONTEXT_VERSION + 1):
        assert json.loads(run("context", "--version", str(version)).stdout) == contexts()[context_url(version)]
    assert run("context", "--version", str(CONTEXT_VERSION + 1)).exit_code == 2


def test_docs_writes_all_pages(tmp_path):
    assert run("docs", str(tmp_path)).exit_code == 0
    assert {path.name for path in (tmp_path / "ja").iterdir()} >= {"README.md", "codes.md", "RiverGauge.md"}
    assert run("docs", str(tmp_path / "one"), "--lang", "en").exit_code == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["en"]


@pytest.fixture
def file(tmp_path):
    good = model_of("RiverGauge").example()
    wrong = {**good, "waterLevel": {**good["waterLevel"], "unitCode": "CMT"}}
    path = tmp_path / "gauges.json"
    path.write_text(json.dumps([good, wrong, {"id": "urn:x:1", "type": "Unicorn"}]), "utf-8")
    return path


def test_validate_names_file_place_entity_attribute_and_rule_and_fails(file):
    done = run("validate", str(file))
    assert done.exit_code == 1
    assert 'entity 2: urn:ngsi-ld:RiverGauge:222127:1: waterLevel: unitCode: "MTR" is wanted, not "CMT"' in done.stdout
    assert "1 valid, 1 invalid, 1 without a model" in done.stderr


def test_validate_answers_in_json(file):
    answer = json.loads(run("validate", "--json", str(file)).stdout)
    assert answer["counts"] == {"valid": 1, "invalid": 1, "without a model": 1}
    assert answer["entities"][1]["violations"][0]["attribute"] == "waterLevel"
    assert answer["entities"][1]["violations"][0]["rule"] == "const"


def test_validate_can_be_told_type_and_representation(file):
    assert run("validate", "--type", "AED", str(file)).exit_code == 1
    assert run("validate", "--representation", "keyValues", str(file)).exit_code == 1
    assert run("validate", "--type", "Unicorn", str(file)).exit_code == 2
    assert run("validate", "--representation", "xml", str(file)).exit_code == 2
    assert run("validate", str(file.parent / "nowhere.json")).exit_code == 1
