"""Every municipal file at hand, and what it must give: all rows, valid entities, and the numbers that others counted."""

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path

import jsonschema_rs
import pytest

from adapters.decoding import decode
from adapters.exporting import profile_for, table_of
from datamodels import datasets, schema

DATA = Path(os.environ.get("TSUNAGU_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")

pytestmark = pytest.mark.real_data

FILES = {
    "municipal-ichikawa/122033_101_public_facility.csv": ("public_facility/standard", 342, 3),
    "municipal-ichikawa/122033_102_cultural_property.csv": ("cultural_property/standard", 76, 0),
    "municipal-ichikawa/122033_104_population.csv": ("population/standard", 237, 0),
    "municipal-ichikawa/122033_105_preschool.csv": ("preschool/standard", 384, 0),
    "municipal-ichikawa/122033_106_open_data_list.csv": ("open_data_list/standard", 36, 0),
    "municipal-ichikawa/122033_107_public_wireless_lan.csv": ("public_wireless_lan/standard", 45, 0),
    "municipal-ichikawa/122033_108_aed.csv": ("aed/standard", 191, 0),
    "municipal-ichikawa/122033_207_well_for_disaster.csv": ("facility/standard", 14, 0),
    "municipal-ichikawa/122033_208_medical_aid_station.csv": ("facility/standard", 6, 0),
    "municipal-takamatsu/aed_location.data.csv": ("aed/linkdata", 487, 5),
    "municipal-takamatsu/events.data.xlsx": ("event/takamatsu", 51, 0),
    "municipal-takamatsu/hospital.data.csv": ("hospital/linkdata", 628, 1),
    "municipal-takamatsu/open_data_list.0099.csv": ("open_data_list/linkdata", 96, 0),
    "municipal-takamatsu/population.0066_202306.cp932.csv": ("population/linkdata", 235, 0),
    "municipal-takamatsu/population.0066_202308.csv": ("population/linkdata", 235, 0),
    "municipal-takamatsu/public_toilet.data.csv": ("public_toilet/linkdata", 169, 0),
    "municipal-takamatsu/tourist_facilities.data.csv": ("tourism/linkdata", 12, 0),
    "municipal-wakayama/Road_regulations_Point.csv": ("road_regulation/wakayama", 114, 0),
    "municipal-yaizu/222127_aed.csv": ("aed/recommended", 82, 0),
    "municipal-yaizu/222127_facilities_smartmap.csv": ("public_facility/recommended", 28, 0),
    "municipal-yaizu/222127_fire_hydrant.csv": ("fire_hydrant/standard", 193, 0),
    "municipal-yaizu/222127_hinannjo.csv": ("designated_shelter/yaizu", 56, 0),
    "municipal-yaizu/222127_municipal_parking_lot.csv": ("public_facility/recommended", 4, 0),
    "municipal-yaizu/222127_preschool.csv": ("preschool/recommended", 60, 0),
    "municipal-yaizu/222127_public_toilet.csv": ("public_toilet/standard", 112, 0),
    "municipal-yaizu/222127_public_wireless_lan.csv": ("public_wireless_lan/recommended", 17, 0),
    "municipal-yaizu/222127_tourism_sights.csv": ("tourism/recommended", 28, 0),
    "municipal-yaizu/machinakasuzumidokoro.csv": ("cooling_shelter/yaizu", 108, 0),
    "municipal-yaizu/yohairyosya.cp932.csv": ("facility_for_people_needing_care/yaizu", 277, 0),
    "shelter-status-nanao/open_shelter_Nanao-shi_2024-01-09-1800.csv": ("shelter_status/nanao", 29, 0),
    "shelter-status-nanao/open_shelter_Nanao-shi_2024-01-13-0600.csv": ("shelter_status/nanao", 28, 0),
    "shelter-status-nanao/open_shelter_Nanao-shi_2024-03-01-0600.csv": ("shelter_status/nanao", 19, 0),
    "shelter-status-nanao/reference_data.csv": ("designated_shelter/nanao", 112, 0),
}


@cache
def decoded(file):
    path = DATA / file
    if not path.exists():
        pytest.skip(f"the real file {file} is not present")
    return decode(path.read_bytes(), file_name=path.name)


def value(entity, name):
    instance = entity.get(name, {})
    return instance.get("value", instance.get("json"))


def values(file, name):
    return [value(entity, name) for entity in decoded(file).entities]


@cache
def validator(entity_type):
    return jsonschema_rs.validator_for(json.dumps(dict(schema(entity_type))), validate_formats=True)


def test_no_municipal_file_is_left_out():
    if not DATA.exists():
        pytest.skip("the real files are not present")
    found = {
        f"{path.parent.name}/{path.name}"
        for folder in (*DATA.glob("municipal-*"), DATA / "shelter-status-nanao")
        for path in folder.iterdir()
        if path.suffix != ".md"
    }
    others = {each for each in found if "evacuation_space" in each or each.endswith("shi.csv")}
    assert found - others == set(FILES)


@pytest.mark.parametrize("file", FILES)
def test_every_row_is_accounted_for_and_every_entity_is_valid(file):
    result = decoded(file)
    profile, rows, quarantined = FILES[file]
    assert (result.profile.name, result.rows, len(result.quarantine)) == (profile, rows, quarantined)
    assert result.accepted + result.repaired + len(result.quarantine) == rows
    things = [entity for entity in result.entities if entity["type"] == result.profile.model.type]
    assert len({entity["id"] for entity in things}) == rows - quarantined
    assert [error for entity in result.entities for error in validator(entity["type"]).iter_errors(entity)] == []
    if "tourism_sights" not in file:
        assert result.unknown_columns == ()


@pytest.mark.parametrize("file", FILES)
def test_import_export_import_gives_the_same_entities(file):
    result = decoded(file)
    dataset, _, layout = result.profile.name.replace("facility/standard", "public_facility/standard").partition("/")
    dataset = dataset.replace("public_public", "public")
    if dataset not in datasets() or layout not in datasets()[dataset].layouts or "tourism_sights" in file:
        pytest.skip("a layout of one publisher")
    made = table_of(profile_for(dataset, layout), result.entities)
    name = f"999997_{result.dataset_key or dataset}.csv"
    again = {entity["id"]: entity for entity in decode(made.data, file_name=name).entities}
    assert again == {entity["id"]: entity for entity in result.entities}


def test_takamatsus_five_impossible_positions_are_quarantined_with_proposals():
    quarantine = decoded("municipal-takamatsu/aed_location.data.csv").quarantine
    positions = [(row.record["latitude"], row.record["longitude"]) for row in quarantine]
    assert [(float(latitude), float(longitude)) for latitude, longitude in positions] == [
        (34.64686, 134.08506),
        (34.30715, 133.02467),
        (34.32856, 1334.00556),
        (34.17569, 13408137.0),
        (34.35845, 13409898.0),
    ]
    assert Counter(row.rule for row in quarantine) == {"impossible-coordinates": 3, "far-from-the-others": 2}
    assert "134.081" in quarantine[3].reason


def test_ichikawas_population_adds_up_and_its_serial_is_a_day():
    file = "municipal-ichikawa/122033_104_population.csv"
    assert sum(values(file, "totalPopulation")) == 492489
    assert set(values(file, "dateObserved")) == {"2023-03-31"}
    assert decoded(file).entities[0]["totalPopulation"]["observedAt"] == "2023-03-30T15:00:00Z"
    assert len(value(decoded(file).entities[0], "ageDistribution")) == 18


def test_takamatsus_population_is_of_the_month_that_comes_first():
    assert set(values("municipal-takamatsu/population.0066_202308.csv", "dateObserved")) == {"2023-08-01"}
    assert set(values("municipal-takamatsu/population.0066_202308.csv", "localGovernmentCode")) == {"372013"}
    assert decoded("municipal-takamatsu/population.0066_202306.cp932.csv").encoding == "cp932"
    first = decoded("municipal-takamatsu/population.0066_202308.csv").entities[0]
    assert value(first, "location")["coordinates"] == [134.055021, 34.342286]


def test_ichikawas_cultural_properties_have_days_and_no_persons():
    file = "municipal-ichikawa/122033_102_cultural_property.csv"
    assert sum(position is not None for position in values(file, "location")) == 75
    assert value(decoded(file).entities[0], "designationDate") == "1960-10-07"
    assert "狩野一廣" not in json.dumps(decoded(file).entities, ensure_ascii=False)
    assert {"市川市", "葛飾八幡宮"} <= set(values(file, "owner"))


def test_yaizus_toilets_say_yes_and_no():
    assert Counter(values("municipal-yaizu/222127_public_toilet.csv", "wheelchairAccessible")) == {True: 44, False: 68}


def test_yaizus_first_header_has_another_dash_and_its_ages_are_ranges():
    file = "municipal-yaizu/222127_preschool.csv"
    assert decoded(file).missing_columns == ()
    assert set(values(file, "localGovernmentCode")) == {"222127"}
    assert {age["fromMonths"] for age in values(file, "acceptedAge")} == {0, 36, 48}


def test_yaizus_list_of_places_for_people_needing_care_is_cp932_with_a_number_sign():
    result = decoded("municipal-yaizu/yohairyosya.cp932.csv")
    assert result.encoding == "cp932"
    assert value(result.entities[0], "sourceRecord")["洪水浸水レベル（最大）"] == "4"
    assert set(values("municipal-yaizu/yohairyosya.cp932.csv", "datasetKey")) == {"facility_for_people_needing_care"}


def test_cooling_shelters_have_hours_by_day_of_the_week():
    hours = value(decoded("municipal-yaizu/machinakasuzumidokoro.csv").entities[0], "openingHoursSpecification")
    assert hours == [
        {"dayOfWeek": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"], "opens": "08:30", "closes": "17:15"}
    ]


def test_nanaos_open_shelters_carry_their_time_wherever_it_stands():
    times = {}
    for file in (file for file in FILES if "open_shelter" in file):
        times[file[-19:-4]] = {entity["evacueeTotal"]["observedAt"] for entity in decoded(file).entities}
        assert set(values(file, "localGovernmentCode")) == {"172022"}
    assert times == {
        "2024-01-09-1800": {"2024-01-09T09:00:00Z"},
        "2024-01-13-0600": {"2024-01-12T21:00:00Z"},
        "2024-03-01-0600": {"2024-02-29T21:00:00Z"},
    }
    shelters = {entity["id"] for entity in decoded("shelter-status-nanao/reference_data.csv").entities}
    first = decoded("shelter-status-nanao/open_shelter_Nanao-shi_2024-01-09-1800.csv").entities
    assert {entity["shelter"]["object"] for entity in first} & shelters


def test_nanaos_capacity_is_indoors_and_kept_as_published():
    shelter = decoded("shelter-status-nanao/reference_data.csv").entities[0]
    assert value(shelter, "maxCapacity") == 191
    assert value(shelter, "sourceRecord")["想定収容人数"] == "屋内191人／屋外0人(面積の1/2)"
