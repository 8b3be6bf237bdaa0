"""All datasets of the standard, in and out, in every layout, on the made-up files of examples/municipal."""

import csv
import io
import json
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.decoding import decode, key_in
from adapters.errors import AdapterError, InvalidProfile, UnknownLayout
from adapters.exporting import profile_for, table_of
from adapters.layouts import choose, profiles, read_profile
from adapters.municipal import TABLE
from adapters.profile import parse_profile
from adapters.skeleton import skeleton
from adapters.table import decode_text, read_table
from adapters.testing import AdapterContract, Sample
from adapters.transforms.reading import Severity
from datamodels import datasets, schema

FILES = Path(__file__).parents[3] / "examples" / "municipal"
STANDARD = sorted(path for path in FILES.iterdir() if path.stem.count(".") == 1)
OWN = sorted(path for path in FILES.glob("999997_*") if "street_light" not in path.name)
UNKNOWN = FILES / "999997_street_light.csv"


def of(file, **options):
    path = FILES / file
    return decode(path.read_bytes(), file_name=path.name, **options)


def value(entity, name):
    instance = entity.get(name, {})
    return instance.get("value", instance.get("json", instance.get("object")))


def table(*rows):
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def validators():
    made = {}

    def check(entity):
        kind = entity["type"]
        if kind not in made:
            made[kind] = jsonschema_rs.validator_for(json.dumps(dict(schema(kind))), validate_formats=True)
        return [str(error) for error in made[kind].iter_errors(entity)]

    return check


class TestIn:
    def test_the_files_are_all_layouts_of_all_datasets(self):
        layouts = {f"{key}.{layout}" for key, dataset in datasets().items() for layout in dataset.layouts}
        assert layouts - {path.stem for path in STANDARD} == {"evacuation_space.linkdata"}
        assert {of(path.name).encoding for path in STANDARD} == {"utf-8", "utf-8-sig", "cp932", "utf-16", "xlsx"}

    @pytest.mark.parametrize("path", [*STANDARD, *OWN], ids=lambda path: path.name)
    def test_each_is_read_whole_by_its_profile_and_every_entity_is_valid(self, path):
        decoded = of(path.name)
        if path in STANDARD:
            assert decoded.profile.name == path.stem.replace(".", "/")
            assert (decoded.unknown_columns, decoded.missing_columns) == ((), ())
        assert (decoded.rows, decoded.quarantine) == (3, ())
        assert decoded.accepted + decoded.repaired == 3
        check = validators()
        assert [error for entity in decoded.entities for error in check(entity)] == []

    def test_population_is_one_entity_for_an_area_and_a_day(self):
        decoded = of("population.standard.csv")
        assert [entity["id"] for entity in decoded.entities][:2] == [
            "urn:ngsi-ld:PopulationObserved:999997:000001%3A2024-04-01",
            "urn:ngsi-ld:PopulationObserved:999997:000002%3A2024-04-01",
        ]
        first, second, third = decoded.entities
        assert first["totalPopulation"]["observedAt"] == "2024-03-31T15:00:00Z"
        assert value(second, "ageDistribution") == [
            {"from": 0, "to": 4, "male": 3},
            {"from": 85, "male": 2, "female": 4},
        ]
        assert (value(third, "dateObserved"), value(third, "totalPopulation")) == ("2024-04-01", 1005)
        assert ("調査年月日", "45383", "2024-04-01", "spreadsheet-serial") in [r[1:5] for r in decoded.repairs]

    def test_opening_hours_have_days_holidays_and_the_end_of_the_day(self):
        first, second, third = of("public_facility.recommended.csv").entities
        assert value(first, "openingHoursSpecification") == [
            {
                "dayOfWeek": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"],
                "opens": "08:30",
                "closes": "17:15",
            }
        ]
        assert value(second, "openingHoursSpecification")[0]["dayOfWeek"][-2:] == ["Saturday", "PublicHolidays"]
        assert value(second, "openingHoursSpecification")[0]["closes"] == "24:00"
        assert value(second, "sourceRecord") == {"利用可能曜日": "月～土・祝"}
        assert value(third, "openingHoursSpecification")[0]["opens"] == "09:30"

    def test_events_have_instants_in_japans_zone(self):
        first, second, third = of("event.recommended.xlsx").entities
        assert value(first, "startDate") == "2026-08-05T19:00:00+09:00"
        assert value(first, "endDate") == "2026-08-06T00:00:00+09:00"
        assert (value(first, "eventPriceFrom"), value(first, "isAccessibleForFree")) == (0, True)
        assert (value(second, "eventPriceFrom"), value(second, "maximumAttendeeCapacity")) == (500, 100)
        assert (value(third, "startDate"), value(third, "price")) == ("2026-08-07", None)

    def test_toilets_are_counted_by_kind(self):
        first = of("public_toilet.standard.csv").entities[0]
        assert value(first, "stalls") == {
            "male": {"total": 2, "urinal": 1, "western": 1},
            "female": {"total": 2, "western": 2},
            "barrierFree": 1,
        }

    def test_files_of_one_dataset_are_its_distributions(self):
        decoded = of("open_data_list.standard.csv")
        both = [entity for entity in decoded.entities if entity["type"] == "Dataset"]
        files = [entity for entity in decoded.entities if entity["type"] == "Distribution"]
        assert [value(entity, "identifier") for entity in both] == ["aed", "population"]
        assert value(both[0], "distribution") == [entity["id"] for entity in files[:2]]
        assert value(both[1], "distribution") == files[2]["id"]
        assert {value(entity, "belongsToDataset") for entity in files} == {entity["id"] for entity in both}
        assert decoded.profile.owned().keys() == {"Dataset", "Distribution"}

    def test_a_dataset_that_two_rows_describe_differently_is_not_merged(self):
        text = decode_text((FILES / "open_data_list.standard.csv").read_bytes())[0].removeprefix("\ufeff")
        header, first, second, _ = list(csv.reader(io.StringIO(text)))
        second[header.index("データセット_概要")] = "別の概要"
        decoded = decode(table(header, first, second))
        assert [(row.row, row.rule) for row in decoded.quarantine] == [(3, "duplicate")]

    def test_a_sole_traders_name_number_and_telephone_are_withheld_everywhere(self):
        decoded = of("food_business_all.standard.csv")
        assert [value(entity, "operator") for entity in decoded.entities] == ["株式会社つなぐ", None, None]
        assert [value(entity, "telephone") for entity in decoded.entities] == ["+81999000004", None, None]
        assert "架空太郎-2" not in json.dumps([decoded.entities, decoded.repairs], ensure_ascii=False)
        assert [(r.column, r.before, r.severity) for r in decoded.repairs if r.rule == "personal-name"] == [
            ("ID", "(withheld)", Severity.WARNING),
            ("施設電話番号", "(withheld)", Severity.WARNING),
            ("法人名", "(withheld)", Severity.WARNING),
        ]
        owners = [value(entity, "owner") for entity in of("cultural_property.standard.csv").entities]
        assert owners == ["つなぐ寺", None, "つなぐ市"]

    def test_what_is_withheld_is_in_no_line_of_the_report_either(self):
        header = ["都道府県コード又は市区町村コード", "施設名称", "営業の種類", "施設所在地", "法人名", "施設電話番号"]
        decoded = decode(
            table(
                header,
                ["999997", "食堂", "飲食店営業", "つなぐ市1", "架空\u3000太郎\u3000", "０９９－９００－０００１"],
            )
        )
        assert "太郎" not in json.dumps([decoded.entities, decoded.repairs], ensure_ascii=False)
        assert [(r.column, r.rule) for r in decoded.repairs] == [
            ("施設電話番号", "personal-name"),
            ("法人名", "personal-name"),
        ]

    def test_flags_of_the_opposite_and_two_pictures(self):
        first, second, third = of("aed.standard.csv").entities
        assert [value(entity, "publicAccess") for entity in (first, second, third)] == [None, False, True]
        assert value(first, "image") == ["https://www.example.jp/a.jpg", "https://www.example.jp/b.jpg"]
        assert value(first, "elevation") == 12.5
        assert value(first, "heightType") == "標高"

    def test_ages_are_months_and_as_published(self):
        ages = [value(entity, "acceptedAge") for entity in of("preschool.recommended.csv").entities]
        assert ages == [
            {"text": "6か月～5歳", "fromMonths": 6, "toMonths": 71},
            {"text": "3歳から", "fromMonths": 36},
            {"text": "首がすわってから"},
        ]

    def test_a_position_far_from_all_others_is_quarantined_unless_the_address_is_elsewhere(self):
        header = ["都道府県コード又は市区町村コード", "名称", "住所", "緯度", "経度", "SSID"]
        near = [["372013", f"館{n}", f"高松市番町{n}", f"34.3{n:02d}", "134.04", "x"] for n in range(60)]
        far = [["372013", "遠い館", "高松市番町99", "34.646", "134.085", "x"]]
        away = [["372013", "保養所", "岡山県岡山市北区1", "34.66", "133.91", "x"]]
        decoded = decode(table(header, *near, *far, *away))
        assert [(row.row, row.rule) for row in decoded.quarantine] == [(62, "far-from-the-others")]


class TestOut:
    @pytest.mark.parametrize("path", STANDARD, ids=lambda path: path.name)
    def test_import_export_import_gives_the_same_entities(self, path):
        entities = of(path.name).entities
        dataset, layout = path.stem.split(".")
        made = table_of(profile_for(dataset, layout), entities)
        assert made.data.startswith(b"\xef\xbb\xbf")
        assert read_table(made.data).headers == datasets()[dataset].layouts[layout]
        assert made.rows == 3
        again = decode(made.data)
        assert again.profile.name == f"{dataset}/{layout}"
        assert {entity["id"]: entity for entity in again.entities} == {entity["id"]: entity for entity in entities}
        assert table_of(profile_for(dataset, layout), again.entities).data == made.data

    @pytest.mark.parametrize("path", [*STANDARD, *OWN], ids=lambda path: path.name)
    def test_what_another_layout_cannot_say_is_told(self, path):
        decoded = of(path.name)
        dataset = decoded.profile.name.partition("/")[0].replace("facility", "public_facility").removeprefix("public_")
        dataset = dataset if dataset in datasets() else f"public_{dataset}"
        made = table_of(profile_for(dataset, "standard"), decoded.entities)
        again = {entity["id"]: entity for entity in decode(made.data, file_name=path.name).entities}
        for entity in decoded.entities:
            differing = {name for name in entity if again.get(entity["id"], {}).get(name) != entity[name]}
            told = {name.partition(".")[0] for name in made.left_out}
            assert differing <= told | {"id", "type"}

    def test_a_list_of_the_citys_own_is_written_under_its_key(self):
        decoded = of("999997_municipal_parking_lot.csv")
        assert {value(entity, "datasetKey") for entity in decoded.entities} == {"municipal_parking_lot"}
        made = table_of(profile_for("municipal_parking_lot", "standard"), decoded.entities)
        assert decode(made.data, file_name="999997_municipal_parking_lot.csv").entities == tuple(
            sorted(decoded.entities, key=lambda entity: entity["id"])
        )

    def test_a_layout_that_there_is_not_is_told_with_those_that_there_are(self):
        with pytest.raises(AdapterError, match="it has standard, recommended"):
            profile_for("event", "linkdata")

    def test_a_value_that_was_changed_since_wins_over_the_cell_as_published(self):
        first = of("public_facility.recommended.csv").entities[1]
        hours = [{"dayOfWeek": ["Sunday"], "opens": "10:00", "closes": "12:00"}]
        changed = {**first, "openingHoursSpecification": {"type": "Property", "value": hours}}
        rows = {}
        for name, entity in (("before", first), ("after", changed)):
            header, row = csv.reader(
                io.StringIO(table_of(profile_for("public_facility", "standard"), [entity]).data.decode("utf-8-sig"))
            )
            rows[name] = dict(zip(header, row, strict=True))["利用可能曜日"]
        assert rows == {"before": "月～土・祝", "after": "日"}


class TestNeverSeen:
    def test_the_columns_of_a_facility_are_enough_in_each_layout(self):
        for header, place, name in (
            (
                "全国地方公共団体コード,名称,所在地_連結標記,緯度,経度,蔵書数",
                "999997,中央図書館,つなぐ市本町1,34.8,138.3,9000",
                "standard",
            ),
            (
                "市区町村コード,施設種別,名称,住所,緯度,経度",
                "999997,図書館,中央図書館,つなぐ市本町1,34.8,138.3",
                "recommended",
            ),
            ("#property,latitude,longitude,name,address", "1,34.8,138.3,中央図書館,つなぐ市本町1", "linkdata"),
        ):
            decoded = decode(f"{header}\n{place}\n".encode(), municipality="999997", file_name="999997_library.csv")
            (entity,) = decoded.entities
            assert decoded.profile.name == f"facility/{name}"
            assert (entity["type"], value(entity, "name"), value(entity, "datasetKey")) == (
                "PublicFacility",
                "中央図書館",
                "library",
            )
        assert decoded.unknown_columns == ()

    def test_lists_of_ones_own_do_not_meet_in_an_id(self):
        header = "全国地方公共団体コード,ID,名称,所在地_連結表記,緯度,経度\n999997,1,公園,つなぐ市本町1,34.8,138.3\n"
        for data in (header, header.replace(",1,公園", ",,公園")):
            ids = {decode(data.encode(), file_name=f"999997_{key}.csv").entities[0]["id"] for key in ("well", "bench")}
            assert len(ids) == 2
        assert ids & {decode(data.encode(), file_name="999997_02_well_20240401.csv").entities[0]["id"]}

    @pytest.mark.parametrize(
        ("name", "key"),
        [
            ("122033_207_well_for_disaster.csv", "well_for_disaster"),
            ("222127_municipal_parking_lot.csv", "municipal_parking_lot"),
            ("222127_public_facility.csv", ""),
            ("population_20240401.csv", ""),
            ("data.csv", ""),
            ("", ""),
        ],
    )
    def test_the_key_of_a_list_is_in_the_name_that_the_standard_gives_files(self, name, key):
        assert key_in(name) == key

    def test_a_list_of_few_known_columns_is_refused_with_what_is_and_what_is_not_understood(self):
        with pytest.raises(UnknownLayout) as error:
            decode(UNKNOWN.read_bytes())
        assert "understands 緯度、経度 and does not know 管理番号、柱の種類" in str(error.value)
        assert "--skeleton" in str(error.value)

    def test_a_column_in_another_spelling_than_the_layouts_is_understood_and_not_unknown(self):
        with pytest.raises(UnknownLayout) as error:
            decode("市区町村コード,施設名,ふしぎ,緯度,経度\n221309,あ,x,34.86,138.32\n".encode())
        assert "understands 市区町村コード、緯度、経度 and does not know 施設名、ふしぎ." in str(error.value)

    def test_the_skeleton_becomes_a_profile(self, tmp_path):
        read = read_table(UNKNOWN.read_bytes())
        text = skeleton(read, "street_light/own")
        assert text.startswith("# Made of a file with 7 columns: 2 are understood, 5 are not.")
        assert '"灯具"  # LED' in text
        parse_profile(text)
        for column, entry in (
            ("管理番号", "{to: identifier}"),
            ("柱の種類", "{to: name}"),
            ("設置場所", "{to: address.addressText}"),
        ):
            line = next(line for line in text.splitlines() if line.startswith(f'  - "{column}"'))
            text = text.replace(line + "\n", "").replace("columns:\n", f"columns:\n  {column}: {entry}\n")
        path = tmp_path / "street_light.yaml"
        path.write_text(text, "utf-8")
        decoded = decode(UNKNOWN.read_bytes(), read_profile(str(path)), municipality="999997")
        assert [entity["id"] for entity in decoded.entities] == [
            "urn:ngsi-ld:PublicFacility:999997:L-1",
            "urn:ngsi-ld:PublicFacility:999997:L-2",
        ]
        assert value(decoded.entities[0], "sourceRecord") == {"灯具": "LED", "点検日": "R6.4.1"}
        assert decoded.unknown_columns == ()

    def test_a_profile_that_is_not_there_or_no_yaml_is_told(self, tmp_path):
        with pytest.raises(InvalidProfile, match="cannot be read"):
            read_profile(str(tmp_path / "none.yaml"))
        (tmp_path / "bad.yaml").write_text("a: [", "utf-8")
        with pytest.raises(InvalidProfile, match="no YAML"):
            read_profile(str(tmp_path / "bad.yaml"))

    @given(st.lists(st.text(max_size=8), min_size=1, max_size=8, unique=True))
    def test_any_columns_give_a_skeleton_that_is_a_profile(self, headers):
        data = table(headers, ["x"] * len(headers))
        try:
            read = read_table(data)
        except AdapterError:
            return
        if any(header.strip() for header in read.headers):
            parse_profile(skeleton(read))

    def test_a_better_spelling_wins_and_the_other_is_kept(self):
        header = "全国地方公共団体コード,名称,POIコード,所在地_連結表記,所在地_連結標記,緯度,経度"
        decoded = decode(f"{header}\n999997,館,1307,つなぐ市本町1,つなぐ市港町2,34.8,138.3\n".encode())
        assert value(decoded.entities[0], "address")["addressText"] == "つなぐ市本町1"
        assert value(decoded.entities[0], "sourceRecord") == {"所在地_連結標記": "つなぐ市港町2"}
        assert len({profile.name for profile in profiles()}) == len(profiles())
        assert choose(header.split(",")).name == "public_facility/standard"


class TestTable(AdapterContract):
    adapter = TABLE
    samples = tuple(Sample(path.read_bytes(), records=3) for path in STANDARD[::4])
