"""The code lists and the checks of codes."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodels import code_lists
from datamodels.code_lists import FORMATS
from datamodels.corporate_number import corporate_check_digit, is_corporate_number
from datamodels.local_government import is_code, prefecture_codes

DATA = Path(os.environ.get("TSUNAGU_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
JMA = DATA / "jma-xml"


def test_every_list_says_what_it_is_and_what_each_code_means():
    assert {"units", "poi", "weekdays", "hazards", "jma_warnings", "local_governments"} <= set(code_lists())
    for name, codes in code_lists().items():
        assert codes.name == name
        assert set(codes.title) == set(codes.source) == {"ja", "en"}
        for code, meaning in codes.codes.items():
            assert isinstance(code, str)
            assert code
            assert meaning["ja"], (name, code)


def test_the_label_of_a_code_is_in_the_language_asked_for_or_in_japanese():
    assert code_lists()["weekdays"].label("Monday", "en") == "Monday"
    assert code_lists()["poi"].label("1307", "en") == "公民館"
    with pytest.raises(KeyError):
        code_lists()["weekdays"].label("Mo")


def test_local_governments_include_the_prefectures():
    codes = code_lists()["local_governments"]
    assert codes.label("222127") == "静岡県焼津市"
    assert codes.label("180009") == "福井県"
    assert len(prefecture_codes()) == 47
    assert all(is_code(code) for code in prefecture_codes())
    assert "999997" not in codes
    assert FORMATS["local-government-code"]("999997")  # by its check digit: merged ones are not in the list either


def test_hazards_of_warnings_are_phenomena():
    for name in ("jma_warnings", "jma_flood_forecasts", "jma_landslide_alerts"):
        for meaning in code_lists()[name].codes.values():
            assert meaning["severity"] in {"informational", "low", "medium", "high", "critical"}
            assert meaning.get("hazard", "flood") in code_lists()["jma_hazards"]


@pytest.mark.real_data
@pytest.mark.skipif(not JMA.is_dir(), reason="JMA's sample telegrams are not here")
def test_the_kinds_of_the_sample_telegrams_are_in_the_lists():
    def kinds(pattern):
        text = "".join(file.read_text("utf-8") for file in JMA.glob(pattern))
        found = re.findall(r"<Kind>\s*<Name>([^<]+)</Name>\s*<Code>([^<]+)</Code>", text)
        return {(code, re.sub("^レベル.", "", name)) for name, code in found}

    warnings = kinds("15_*.xml")
    assert len(warnings) > 15
    assert warnings <= {(code, meaning["ja"]) for code, meaning in code_lists()["jma_warnings"].codes.items()}
    assert kinds("17_*.xml") == {
        (code, each["ja"]) for code, each in code_lists()["jma_landslide_alerts"].codes.items()
    }
    forecasts = {(code, name) for code, name in kinds("16_*.xml") if len(code) == 2}
    assert {code for code, _ in forecasts} == {"20", "30", "40", "53"}
    assert forecasts <= {(code, meaning["ja"]) for code, meaning in code_lists()["jma_flood_forecasts"].codes.items()}


def test_a_corporate_number_is_checked_by_its_first_digit():
    assert is_corporate_number("7000012050002")
    assert not is_corporate_number("8000012050002")
    assert not is_corporate_number("７000012050002")
    with pytest.raises(ValueError, match="twelve digits"):
        corporate_check_digit("123")


@given(st.from_regex(r"[0-9]{12}", fullmatch=True))
def test_exactly_one_digit_makes_twelve_digits_a_corporate_number(digits):
    assert [digit for digit in "0123456789" if is_corporate_number(digit + digits)] == [corporate_check_digit(digits)]
