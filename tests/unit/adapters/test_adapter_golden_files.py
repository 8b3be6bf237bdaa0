"""The real files of four publishers, and the numbers that they must give. Skipped where the files are not present."""

import os
from collections import Counter
from pathlib import Path

import pytest

from adapters.decoding import decode
from adapters.transforms.reading import Severity

DATA = Path(os.environ.get("TSUNAGU_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")

pytestmark = pytest.mark.real_data

YAIZU = "municipal-yaizu/222127_evacuation_space.csv"
TAKAMATSU = "municipal-takamatsu/evacuation_space.0060.csv"
TAKAMATSU_XLSX = "municipal-takamatsu/evacuation_space.data.xlsx"
ICHIKAWA = "municipal-ichikawa/122033_103_evacuation_space.csv"
HASHIMOTO = "municipal-wakayama/hashimotoshi.csv"
IWADE = "municipal-wakayama/iwadeshi.csv"
KINOKAWA = "municipal-wakayama/kinokawashi.csv"
WAKAYAMA = "municipal-wakayama/wakayamashi.csv"

RULES = {
    YAIZU: {"flag-mark": 62},
    TAKAMATSU: {"missing-mark": 29, "full-width-characters": 9},
    TAKAMATSU_XLSX: {"missing-mark": 26, "full-width-characters": 9},
    ICHIKAWA: {"half-width-kana": 121, "full-width-characters": 22},
    HASHIMOTO: {"zero-is-missing": 96, "outer-space": 44, "space-in-address": 22, "full-width-characters": 14},
    IWADE: {"zero-is-missing": 148, "outer-space": 64},
    KINOKAWA: {"zero-is-missing": 200, "outer-space": 105, "space-in-address": 38, "note-in-cell": 11},
    WAKAYAMA: {
        "zero-is-missing": 782,
        "outer-space": 197,
        "full-width-characters": 86,
        "space-in-address": 16,
        "note-in-cell": 1,
    },
}


def decoded(file):
    path = DATA / file
    if not path.exists():
        pytest.skip(f"the real file {file} is not present")
    return decode(path.read_bytes())


def value(entity, name):
    return entity.get(name, {}).get("value")


def values(result, name):
    return [value(entity, name) for entity in result.entities]


@pytest.mark.parametrize(
    ("file", "encoding", "code", "rows", "repaired", "quarantined"),
    [
        (YAIZU, "utf-8", "222127", 31, 31, 0),
        (TAKAMATSU, "utf-8", "372013", 193, 23, 0),
        (TAKAMATSU_XLSX, "xlsx", "372013", 195, 25, 0),
        (ICHIKAWA, "cp932", "122033", 121, 121, 0),
        (HASHIMOTO, "utf-8-sig", "302031", 57, 57, 0),
        (IWADE, "utf-8-sig", "302091", 54, 54, 0),
        (KINOKAWA, "utf-8-sig", "302082", 87, 87, 0),
        (WAKAYAMA, "utf-8-sig", "302015", 332, 331, 0),
    ],
)
def test_rows_entities_repairs_and_quarantine(file, encoding, code, rows, repaired, quarantined):
    result = decoded(file)
    assert result.encoding == encoding
    assert (result.rows, result.repaired, len(result.quarantine)) == (rows, repaired, quarantined)
    assert len({entity["id"] for entity in result.entities}) == rows - quarantined
    assert set(values(result, "localGovernmentCode")) == {code}
    assert Counter(repair.rule for repair in result.repairs) == RULES[file]
    assert result.unknown_columns == ()


def test_yaizu_hazards_are_circles():
    result = decoded(YAIZU)
    assert value(result.entities[0], "name") == "中港タワー"
    assert value(result.entities[0], "hazardTypes") == ["earthquake", "tsunami"]
    assert Counter(map(tuple, values(result, "hazardTypes"))) == {("earthquake", "tsunami"): 26, ("landslide",): 5}
    assert Counter(values(result, "alsoDesignatedShelter")) == {False: 26, True: 5}
    assert {repair.severity for repair in result.repairs} == {Severity.INFO}


def test_takamatsu_keeps_circle_triangle_and_cross():
    result = decoded(TAKAMATSU)
    for scale, marks in (
        ("floodPlanned", {"usable": 186, "conditional": 4, "unusable": 1, None: 2}),
        ("floodMaximum", {"usable": 134, "conditional": 51, "unusable": 6, None: 2}),
    ):
        assert Counter((suitability or {}).get(scale) for suitability in values(result, "hazardSuitability")) == marks
    assert sum("flood" in (hazards or ()) for hazards in values(result, "hazardTypes")) == 134
    assert not any(
        set(value(entity, "hazardTypes") or ()) & set(value(entity, "conditionalHazardTypes") or ())
        for entity in result.entities
    )


def test_takamatsu_csv_and_workbook_name_the_same_places():
    csv, xlsx = ({entity["id"] for entity in decoded(file).entities} for file in (TAKAMATSU, TAKAMATSU_XLSX))
    assert (len(csv & xlsx), len(xlsx - csv)) == (190, 5)


def test_ichikawa_is_cp932_with_half_width_kana_and_without_ids():
    result = decoded(ICHIKAWA)
    assert value(result.entities[0], "nameKana") == "ケンリツコクブンコウコウ"
    assert sum("flood" in (hazards or ()) for hazards in values(result, "hazardTypes")) == 102
    assert set(values(result, "externalSiteId")) == {None}
    assert all(":h-" in entity["id"] for entity in result.entities)
    assert Counter(values(result, "alsoDesignatedShelter")) == {True: 88, False: 33}


def test_hashimoto_stars_are_levels_and_no_flags():
    result = decoded(HASHIMOTO)
    assert Counter(values(result, "stormSafetyLevel")) == {3: 20, 2: 8, 1: 8, None: 21}


def test_wakayama_levels_and_kinds():
    assert Counter(values(decoded(WAKAYAMA), "tsunamiSafetyLevel")) == {3: 162, 2: 57, 1: 43, None: 70}
    result = decoded(KINOKAWA)
    assert Counter(values(result, "stormSafetyLevel")) == {3: 37, 2: 7, 1: 18, None: 25}
    noted = [repair for repair in result.repairs if repair.rule == "note-in-cell"]
    assert {repair.before for repair in noted} == {"☆（注）"}


def test_one_place_in_two_rows_is_two_entities_by_kind():
    result = decoded(IWADE)
    kinds = [value(entity, "siteKinds") for entity in result.entities if value(entity, "name") == "船山地区公民館"]
    assert kinds == [["welfareShelter"], ["evacuationSite", "designatedShelter"]]
