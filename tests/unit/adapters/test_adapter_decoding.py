"""From the bytes of a table to entities, repairs and quarantine, on the made-up files of examples/evacuation_sites."""

import csv
import io
import json
import zipfile
import zlib
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.decoding import decode
from adapters.errors import InvalidProfile, UnknownLayout, UnreadableFile
from adapters.headers import normalise
from adapters.layouts import choose, profiles
from adapters.profile import parse_profile
from adapters.table import decode_text, read_table
from adapters.transforms.reading import Severity
from datamodels import datasets, schema

SITES = Path(__file__).parents[3] / "examples" / "evacuation_sites"
FILES = sorted(path for path in SITES.iterdir() if path.suffix in (".csv", ".xlsx"))
STANDARD = (SITES / "standard-with-ids.utf16.csv").read_text("utf-16")


def value(entity, name):
    return entity[name].get("value", entity[name].get("json")) if name in entity else None


def named(decoded, name):
    return next(entity for entity in decoded.entities if value(entity, "name") == name)


def table(*rows):
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


class TestEncodings:
    @pytest.mark.parametrize(
        ("encoding", "name"),
        [
            ("utf-8", "utf-8"),
            ("utf-8-sig", "utf-8-sig"),
            ("cp932", "cp932"),
            ("utf-16", "utf-16"),
            ("utf-16-le", "utf-16-le"),
            ("utf-16-be", "utf-16-be"),
        ],
    )
    def test_a_file_says_the_same_in_every_encoding(self, encoding, name):
        decoded = decode(STANDARD.encode(encoding))
        assert decoded.encoding == name
        assert decoded.entities == decode(STANDARD.encode()).entities
        assert [value(entity, "name") for entity in decoded.entities] == ["架空高校", "はしもと①公園"]

    @given(st.text("あア亜①№髙ー―〜～,\n", min_size=1), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    def test_text_survives_decoding(self, text, encoding):
        assert decode_text(text.encode(encoding))[0].removeprefix("\ufeff") == text

    def test_a_row_with_broken_bytes_is_quarantined_and_the_others_are_loaded(self):
        data = STANDARD.encode("cp932").replace("架空高校".encode("cp932"), b"\x89\xcb\xff\xff\xfe")
        decoded = decode(data)
        assert [(row.row, row.rule) for row in decoded.quarantine] == [
            (2, "undecodable-bytes"),
            (4, "impossible-coordinates"),
        ]
        assert len(decoded.entities) == 1
        json.dumps([row._asdict() | {"record": dict(row.record)} for row in decoded.quarantine]).encode()

    def test_broken_bytes_in_a_column_name_can_be_reported(self):
        decoded = decode(STANDARD.encode("cp932").replace("画像,".encode("cp932"), b"\x89\xfe\xff,", 1))
        json.dumps([decoded.unknown_columns, decoded.missing_columns]).encode()
        assert decoded.missing_columns == ("画像",)

    def test_an_open_quote_is_told_with_its_line(self):
        decoded = decode(STANDARD.replace("架空高校", '"架空高校').encode())
        (held,) = [each for each in decoded.quarantine if each.rule == "unbalanced-quotes"]
        assert (held.row, "line 2 is no CSV" in held.reason) == (2, True)
        with pytest.raises(UnreadableFile, match=r"no CSV, as its header shows: line 1 .*\.$"):
            decode(('"' + STANDARD).encode())

    @pytest.mark.parametrize("data", [b"\xff\xfe\x00", bytes(range(128, 256)) * 9, b"PK\x03\x04junk", b"", b"\n\n \n"])
    def test_a_file_that_is_no_table_is_refused_in_one_sentence(self, data):
        with pytest.raises(UnreadableFile, match=r"\.$"):
            decode(data)

    @given(st.binary(max_size=300))
    def test_any_bytes_are_a_table_or_refused(self, data):
        sentence = "."
        try:
            read_table(data)
        except UnreadableFile as error:
            sentence = str(error)
        assert sentence.endswith(".")


class TestLayouts:
    @pytest.mark.parametrize(
        ("file", "profile", "counts"),
        [
            ("recommended.utf8-bom.csv", "evacuation_space/recommended", (6, 0, 3, 3)),
            ("standard.cp932.csv", "evacuation_space/standard", (3, 0, 2, 1)),
            ("standard-with-ids.utf16.csv", "evacuation_space/standard", (3, 0, 2, 1)),
            ("linkdata.utf8.csv", "evacuation_space/linkdata", (3, 1, 2, 0)),
            ("linkdata.xlsx", "evacuation_space/linkdata", (3, 1, 2, 0)),
        ],
    )
    def test_the_header_set_chooses_the_profile_and_every_row_is_counted_once(self, file, profile, counts):
        decoded = decode((SITES / file).read_bytes())
        assert decoded.profile.name == profile
        assert (decoded.rows, decoded.accepted, decoded.repaired, len(decoded.quarantine)) == counts
        assert len(decoded.entities) == decoded.accepted + decoded.repaired

    @pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
    def test_every_entity_satisfies_the_schema_of_its_model(self, file):
        validator = jsonschema_rs.validator_for(json.dumps(dict(schema("EvacuationSite"))), validate_formats=True)
        for entity in decode(file.read_bytes()).entities:
            assert list(validator.iter_errors(entity)) == []

    def test_a_workbook_says_the_same_as_the_csv(self):
        assert (
            decode((SITES / "linkdata.xlsx").read_bytes()).entities
            == decode((SITES / "linkdata.utf8.csv").read_bytes()).entities
        )

    @given(st.randoms(use_true_random=False))
    @settings(max_examples=20)
    def test_neither_column_order_nor_header_spelling_matters(self, random):
        header, *rows = list(csv.reader(io.StringIO(STANDARD)))
        order = random.sample(range(len(header)), len(header))
        spelt = [
            random.choice([name, name + "\u3000", name.replace("ー", "―"), name.replace("(", "（").replace(")", "）")])
            for name in header
        ]
        shuffled = table([spelt[i] for i in order], *([row[i] for i in order] for row in rows))
        found, wanted = decode(shuffled), decode(STANDARD.encode())
        assert found.entities == wanted.entities
        assert set(found.repairs) == set(wanted.repairs)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("名称_カナ", "名称_カナ\u3000"),
            ("ー名称", "―名称"),
            ("ー名称", "－名称"),
            ("料金（基本）", "料金(基本)"),
            ("telephone\u3000number", "telephone number"),
            ("URL", "ＵＲＬ"),
        ],
    )
    def test_spellings_of_a_header_are_one(self, one, other):
        assert normalise(one) == normalise(other)

    @given(st.text(max_size=20))
    def test_normalising_twice_is_normalising_once(self, header):
        assert normalise(normalise(header)) == normalise(header)

    def test_an_unknown_layout_is_told_the_nearest_profile_and_what_differs(self):
        with pytest.raises(UnknownLayout) as error:
            choose(["NO", "名称", "住所", "市区町村コード", "災害種別_洪水", "区", "班", "長", "組", "備え", "旗"])
        assert "evacuation_space/recommended" in str(error.value)
        assert "needs 災害種別_津波" in str(error.value)
        assert "it understands 名称、住所、市区町村コード、災害種別_洪水" in str(error.value)
        assert "does not know 区、班、長、組、備え、旗." in str(error.value)
        assert "--skeleton" in str(error.value)

    def test_a_new_column_is_kept_and_reported(self):
        header, first, *_ = list(csv.reader(io.StringIO(STANDARD)))
        decoded = decode(table(["ペット可", *header], ["可", *first]))
        assert decoded.unknown_columns == ("ペット可",)
        assert value(decoded.entities[0], "sourceRecord") == {"ペット可": "可"}

    def test_a_column_without_a_name_is_kept_too(self):
        header, first, *_ = list(csv.reader(io.StringIO(STANDARD)))
        decoded = decode(table([*header[:3], "", *header[3:]], [*first[:3], "備蓄あり", *first[3:]]))
        assert decoded.unknown_columns == ("column 4",)
        assert value(decoded.entities[0], "sourceRecord") == {"column 4": "備蓄あり"}

    def test_a_column_twice_is_refused(self):
        header = STANDARD.splitlines()[0]
        with pytest.raises(UnreadableFile, match="名称 more than once"):
            decode(f"{header},名称\u3000\n".encode())


class TestRows:
    recommended = decode((SITES / "recommended.utf8-bom.csv").read_bytes())

    def test_circles_are_flags(self):
        tower = named(self.recommended, "みなと津波避難タワー")
        assert value(tower, "hazardTypes") == ["earthquake", "tsunami"]
        assert value(tower, "alsoDesignatedShelter") is False
        assert value(tower, "location") == {"type": "Point", "coordinates": [138.3271, 34.8751]}
        assert value(tower, "telephone") == "+81999000001"

    def test_every_mended_cell_is_one_line_of_the_report(self):
        school = named(self.recommended, "中央小学校")
        assert tower_elevation(school) == (12.5, "MTR")
        assert value(school, "maxCapacity") == 1250
        assert value(school, "targetAreas") == ["本町一丁目町会", "本町二丁目町会"]
        assert [(r.column, r.before, r.after, r.rule) for r in self.recommended.repairs if r.row == 3] == [
            ("住所", "つなぐ市本町２－３", "つなぐ市本町2-3", "full-width-characters"),
            ("標高", "12.5m", "12.5", "unit-in-cell"),
            ("想定収容人数", "1,250人", "1250", "unit-in-cell"),
            ("想定収容人数", "1,250人", "1250", "thousands-separator"),
        ]

    def test_what_cannot_be_read_is_left_out_kept_as_published_and_warned_of(self):
        field = named(self.recommended, "川辺広場")
        assert value(field, "hazardTypes") == ["earthquake"]
        assert "maxCapacity" not in field
        assert value(field, "sourceRecord") == {"災害種別_洪水": "△", "想定収容人数": "屋内80人／屋外350人"}
        warnings = [r.rule for r in self.recommended.repairs if r.severity is Severity.WARNING]
        assert warnings == ["not-a-flag", "not-a-count"] or set(warnings) == {"not-a-flag", "not-a-number"}

    def test_what_would_be_dangerous_is_quarantined_with_a_reason_and_a_proposal(self):
        assert [(row.row, row.rule) for row in self.recommended.quarantine] == [
            (4, "impossible-coordinates"),
            (6, "no-name"),
            (7, "check-digit"),
        ]
        first = self.recommended.quarantine[0]
        assert "perhaps 34.88, 138.31 (decimal-point-moved)" in first.reason
        assert first.record["緯度"] == "348800.0"

    def test_no_repair_is_reported_for_a_row_that_was_not_loaded(self):
        assert not {r.row for r in self.recommended.repairs} & {row.row for row in self.recommended.quarantine}

    def test_the_conditional_is_never_flattened(self):
        decoded = decode((SITES / "linkdata.utf8.csv").read_bytes())
        first = named(decoded, "架空第一小学校")
        assert value(first, "hazardTypes") == ["landslide", "earthquake", "greatFire", "inlandFlood"]
        assert value(first, "conditionalHazardTypes") == ["flood", "stormSurge", "tsunami"]
        assert value(first, "hazardSuitability")["floodMaximum"] == "conditional"
        last = named(decoded, "架空体育館※地震時のみ使用")
        assert value(last, "hazardSuitability") == {"earthquake": "usable"}

    def test_the_addresses_tell_the_municipality_and_one_odd_address_does_not_change_it(self):
        decoded = decode((SITES / "linkdata.utf8.csv").read_bytes())
        assert {value(entity, "localGovernmentCode") for entity in decoded.entities} == {"372013"}

    def test_a_file_that_names_no_municipality_needs_one(self):
        header = "#property,latitude,longitude,name,address,sedimentDisaster,stormSurge,earthquake\n"
        data = (header + "1,34.3,134.0,架空の森,どこか1,○,○,○\n").encode()
        assert [row.rule for row in decode(data).quarantine] == ["no-municipality"]
        assert value(decode(data, municipality="999997").entities[0], "localGovernmentCode") == "999997"

    def test_a_row_without_code_takes_that_of_all_others(self):
        header, *rows = list(csv.reader(io.StringIO(STANDARD)))
        rows[0][0] = ""
        decoded = decode(table(header, *rows))
        assert value(named(decoded, "架空高校"), "localGovernmentCode") == "999997"
        assert [r.rule for r in decoded.repairs if r.row == 2][-1] == "code-of-the-other-rows"

    def test_too_many_cells_are_never_shifted_into_place(self):
        header, first, *_ = STANDARD.splitlines()
        decoded = decode(f"{header}\n{first},余り\n".encode())
        assert [row.rule for row in decoded.quarantine] == ["too-many-cells"]


def tower_elevation(entity):
    return entity["elevation"]["value"], entity["elevation"]["unitCode"]


class TestIdentity:
    def test_the_publishers_id_makes_the_urn(self):
        assert [entity["id"] for entity in decode(STANDARD.encode()).entities] == [
            "urn:ngsi-ld:EvacuationSite:999997:0000000001",
            "urn:ngsi-ld:EvacuationSite:999997:0000000002",
        ]

    def test_ids_do_not_move_when_rows_do(self):
        data = (SITES / "recommended.utf8-bom.csv").read_text("utf-8-sig")
        header, *rows = list(csv.reader(io.StringIO(data)))
        renumbered = [[str(100 - i), *row[1:]] for i, row in enumerate(reversed(rows))]
        before = {entity["id"]: entity for entity in decode(data.encode()).entities}
        after = {entity["id"]: entity for entity in decode(table(header, *renumbered)).entities}
        assert before == after

    @given(st.sampled_from(["中央小学校", "中央 小学校", "中央\u3000小学校\u3000"]), st.sampled_from(["２－３", "2-3"]))
    def test_width_and_space_do_not_change_an_id(self, name, block):
        data = (SITES / "recommended.utf8-bom.csv").read_text("utf-8-sig")
        respelt = data.replace("中央小学校", name).replace("２－３", block)
        ids = [{entity["id"] for entity in decode(text.encode()).entities} for text in (data, respelt)]
        assert ids[0] == ids[1]

    @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1, max_size=20))
    def test_any_own_id_makes_an_ascii_urn(self, own_id):
        header, first, *_ = list(csv.reader(io.StringIO(STANDARD)))
        first[1] = own_id
        for entity in decode(table(header, first)).entities:
            assert entity["id"].isascii()
            assert not set(entity["id"]) & set(' "<>\\^`{|}?#/')

    def test_the_same_thing_twice_is_loaded_once(self):
        header, first, second, *_ = list(csv.reader(io.StringIO(STANDARD)))
        other = list(first)
        other[2] = "別の名前"
        decoded = decode(table(header, first, second, first, other))
        assert len(decoded.entities) == 2
        assert [(row.row, row.rule) for row in decoded.quarantine] == [(4, "duplicate"), (5, "duplicate")]
        assert "same thing as row 2 and is the same in all" in decoded.quarantine[0].reason
        assert "different in other" in decoded.quarantine[1].reason


class TestProfiles:
    def test_profiles_and_models_agree_on_the_columns(self):
        for profile in profiles():
            layout = profile.name.partition("/")[2]
            described = {normalise(name): to for name, to in profile.model.columns(layout).items()}
            mapped = {name: column.attribute for name, column in profile.columns.items()}
            assert {name: mapped[name] for name in described if name in mapped}.items() <= described.items()

    def test_every_dataset_of_the_vocabulary_has_a_profile_for_each_of_its_layouts(self):
        names = {profile.name for profile in profiles()}
        assert len(datasets()) == 15
        for key, dataset in datasets().items():
            for layout, columns in dataset.layouts.items():
                assert f"{key}/{layout}" in names
                shuffled = sorted(columns, reverse=True)
                chosen = choose(shuffled)
                assert chosen.name == f"{key}/{layout}"
                assert {normalise(name) for name in columns} == chosen.known & {normalise(name) for name in columns}

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("to: nowhere, as: text", "no attribute 'nowhere'"),
            ("to: name, as: magic", "no transform 'magic'"),
            ("as: text", "needs `to`"),
            ("to: name, as: text}\nfoo: {a: 1", "unknown member foo"),
            ("to: name, as: text, colour: red", "colour"),
        ],
    )
    def test_a_wrong_profile_is_refused_by_name(self, change, message):
        text = f"profile: p\nmodel: EvacuationSite\nsignature: [a]\nkey: [name]\ncolumns:\n  a: {{{change}}}\n"
        with pytest.raises(InvalidProfile, match=message):
            parse_profile(text)

    def test_yaml_must_not_turn_NO_into_false(self):
        text = "profile: p\nmodel: EvacuationSite\nsignature: [NO]\nkey: [name]\ncolumns: {a: {to: name, as: text}}\n"
        with pytest.raises(InvalidProfile, match="put it in quotes"):
            parse_profile(text)

    @given(st.lists(st.lists(st.text(max_size=8), min_size=39, max_size=39), max_size=4))
    @settings(max_examples=50)
    def test_no_row_is_ever_lost(self, rows):
        decoded = decode(table(STANDARD.splitlines()[0].split(","), *rows))
        filled = sum(1 for row in rows if any(cell.strip() for cell in row))
        assert decoded.rows == len(decoded.entities) + len(decoded.quarantine)
        assert decoded.rows >= filled - sum(1 for row in rows if any("\0" in cell for cell in row))


class TestHostileWorkbooks:
    """What unpacks to more than a machine has, and what only looks like a workbook."""

    @staticmethod
    def packed(**parts: bytes) -> bytes:
        """A good workbook with some parts put in place of its own, or beside them."""
        whole = io.BytesIO()
        good = zipfile.ZipFile(SITES / "linkdata.xlsx")
        kept = {name: good.read(name) for name in good.namelist()} | {
            name.replace("__", "/") + ".xml": data for name, data in parts.items()
        }
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as made:
            for name, data in kept.items():
                made.writestr(name, data)
        return whole.getvalue()

    def test_a_workbook_that_unpacks_to_too_much_is_not_unpacked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("adapters.workbook.MOST_UNPACKED", 2**20)
        bomb = self.packed(xl__more=bytes(2**21))
        assert len(bomb) < 100_000
        with pytest.raises(UnreadableFile, match="when unpacked"):
            read_table(bomb)

    @pytest.mark.parametrize("says", [b"<workbook/>", b"<workbook/>" + bytes(2**21)])
    def test_a_part_with_other_bytes_than_its_entry_says_is_not_unpacked(self, says: bytes) -> None:
        whole = io.BytesIO(self.packed())
        with zipfile.ZipFile(whole, "a", zipfile.ZIP_DEFLATED) as made:
            made.writestr("xl/more.xml", b"<workbook/>" + bytes(2**20))
            entry = made.getinfo("xl/more.xml")
            entry.file_size, entry.CRC = len(says), zlib.crc32(says)
        with pytest.raises(UnreadableFile, match="no xlsx workbook"):
            read_table(whole.getvalue())

    def test_a_part_that_can_only_be_unpacked_at_once_is_not_unpacked(self) -> None:
        whole = io.BytesIO(self.packed())
        with zipfile.ZipFile(whole, "a", zipfile.ZIP_BZIP2) as made:
            made.writestr("xl/more.xml", bytes(2**20))
        with pytest.raises(UnreadableFile, match=r"xl/more\.xml is not packed"):
            read_table(whole.getvalue())

    def test_rows_that_are_left_out_count_as_well(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("adapters.workbook.MOST_CELLS", 10_000)
        sheet = (
            b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
            b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1000000"><c r="A1000000"><v>1</v></c></row>'
            b"</sheetData></worksheet>"
        )
        with pytest.raises(UnreadableFile, match="cells"):
            read_table(self.packed(xl__worksheets__sheet1=sheet))

    def test_a_part_that_is_no_xml_makes_the_file_unreadable(self) -> None:
        with pytest.raises(UnreadableFile, match="no xlsx workbook"):
            read_table(self.packed(xl__workbook=b"<not xml"))
