"""Tables as cities really send them: two encodings in one file, titles above the header, open quotes, hidden sheets.

Whatever is wrong: no row vanishes, what can be read is, and the report says what was done.
"""

import datetime
import io
import os

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from adapters.decoding import decode
from adapters.errors import UnknownLayout, UnreadableFile
from adapters.importing import import_files
from adapters.table import MOST_BYTES, read_table

HEADER = (
    "全国地方公共団体コード,ID,地方公共団体名,名称,所在地_連結表記,緯度,経度,設置位置,電話番号,利用可能曜日,"
    "開始時間,終了時間,小児対応設備の有無,備考"
)
COLUMNS = HEADER.split(",")


def line(number, **cells):
    values = {
        "全国地方公共団体コード": "222127",
        "ID": str(number),
        "地方公共団体名": "静岡県焼津市",
        "名称": f"市役所{number}",
        "所在地_連結表記": f"静岡県焼津市本町{number}丁目1番1号",
        "緯度": "34.867",
        "経度": "138.32",
        "設置位置": "玄関",
        "電話番号": "054-626-1111",
        "利用可能曜日": "月火水木金",
        "開始時間": "08:30",
        "終了時間": "17:15",
        "小児対応設備の有無": "有",
        "備考": "",
    } | cells
    return ",".join(values[column] for column in COLUMNS)


LINES = [line(number) for number in range(1, 7)]


def table(*lines, end="\r\n"):
    return end.join([HEADER, *lines]) + end


def ok(decoded, rows, *, repaired=0, quarantined=0):
    assert decoded.accepted + decoded.repaired + len(decoded.quarantine) == decoded.rows
    assert (decoded.rows, decoded.repaired, len(decoded.quarantine)) == (rows, repaired, quarantined)
    assert len(decoded.entities) == rows - quarantined
    return decoded


def names(decoded):
    return [entity["name"]["value"] for entity in decoded.entities]


def rules(decoded):
    return {(repair.row, repair.rule) for repair in decoded.repairs}


class TestTwoEncodingsInOneFile:
    @pytest.mark.parametrize(
        ("most", "few", "mark"), [("utf-8", "cp932", b""), ("cp932", "utf-8", b""), ("utf-8", "cp932", b"\xef\xbb\xbf")]
    )
    def test_lines_of_the_other_encoding_are_read_as_what_they_are_and_reported(self, most, few, mark):
        lines = [
            HEADER.encode(most),
            *(each.encode(few if number in (2, 5) else most) for number, each in enumerate(LINES)),
        ]
        decoded = ok(decode(mark + b"\r\n".join(lines)), 6, repaired=2)
        assert names(decoded) == [f"市役所{number}" for number in range(1, 7)]
        assert rules(decoded) == {(4, "another-encoding"), (7, "another-encoding")}
        assert {(each.before, each.after) for each in decoded.repairs} == {(most + ("-sig" if mark else ""), few)}

    @pytest.mark.parametrize(("encoding", "name"), [("cp932", "ﾃｱ"), ("utf-8", "é")])
    def test_what_both_could_be_is_what_the_file_is(self, encoding, name):
        other = {"utf-8": "cp932", "cp932": "utf-8"}[encoding]
        short = f"222127,9,,{name},,,,,,,,,,"
        lines = [HEADER.encode(encoding), LINES[0].encode(encoding), LINES[1].encode(other), short.encode(encoding)]
        decoded = decode(b"\n".join([*lines, *(each.encode(encoding) for each in LINES[2:])]), municipality="222127")
        assert decoded.encoding == encoding
        assert name in {row.record.get("名称") for row in decoded.quarantine} | set(names(decoded))

    @given(st.lists(st.sampled_from(["utf-8", "cp932"]), min_size=6, max_size=6))
    def test_any_mixture_loses_nothing(self, encodings):
        lines = [each.encode(encoding) for each, encoding in zip(LINES, encodings, strict=True)]
        decoded = decode(b"\n".join([HEADER.encode("utf-8"), *lines]))
        assert (decoded.rows, len(decoded.quarantine)) == (6, 0)
        assert names(decoded) == [f"市役所{number}" for number in range(1, 7)]


class TestLinesAndMarks:
    @pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r\n"])
    def test_any_end_of_line_will_do(self, end):
        ok(decode(table(*LINES, end=end).encode()), 6)

    def test_ends_of_lines_may_differ(self):
        ok(decode(f"{HEADER}\r\n{LINES[0]}\n{LINES[1]}\r{LINES[2]}\r\n".encode()), 3)

    def test_two_files_put_together_have_a_mark_and_a_header_in_the_middle(self):
        decoded = decode(("\ufeff" + table(*LINES[:3]) + "\ufeff" + table(*LINES[3:])).encode())
        ok(decoded, 7, quarantined=1)
        assert decoded.quarantine[0].row == 5

    def test_what_cannot_be_seen_is_taken_out_and_reported(self):
        odd = [
            line(1, 名称="市\x00役所"),
            line(2, 名称="\u202e所役市"),
            line(3, 設置位置="\x1b[31m玄関"),
            line(4, 名称="\ufeff市役所4"),
        ]
        decoded = ok(decode(table(*odd).encode()), 4, repaired=4)
        assert names(decoded) == ["市役所", "所役市", "市役所3", "市役所4"]
        assert rules(decoded) == {*((row, "invisible-characters") for row in (2, 3, 4)), (5, "outer-space")}


class TestHeaders:
    @pytest.mark.parametrize("titles", [["焼津市AED一覧"], ["AED,,,", "令和6年4月1日現在", ",,,,"], ["一覧,焼津市"]])
    def test_titles_above_the_header_are_passed_over_and_told(self, titles):
        decoded = ok(decode(("\r\n".join(titles) + "\r\n" + table(*LINES)).encode()), 6)
        (note,) = decoded.notes
        assert titles[0].split(",")[0] in note

    def test_a_header_of_two_rows_is_one(self):
        first = HEADER.replace("緯度,経度", "位置,").replace("利用可能曜日,開始時間,終了時間", "利用時間,,")
        second = ",".join(
            name if name in ("緯度", "経度", "利用可能曜日", "開始時間", "終了時間") else "" for name in COLUMNS
        )
        decoded = ok(decode("\r\n".join([first, second, *LINES]).encode()), 6)
        assert (decoded.notes, decoded.unknown_columns) == (("the header has two rows",), ())
        assert decoded.entities[0]["location"]["value"]["coordinates"] == [138.32, 34.867]

    def test_a_row_is_no_second_header_because_a_column_has_no_name(self):
        decoded = decode((HEADER + ",\r\n" + line(1) + ",余\r\n" + line(2) + ",\r\n").encode())
        assert (decoded.rows, decoded.notes) == (2, ())

    def test_a_short_list_of_two_columns_has_its_header_first(self):
        assert read_table("名称,住所\n市役所,本町1\n公民館,本町2\n".encode()).headers == ("名称", "住所")

    @pytest.mark.parametrize("delimiter", ["\t", ";"])
    def test_tabs_and_semicolons_part_cells_too(self, delimiter):
        ok(decode(table(*LINES).replace(",", delimiter).encode()), 6)

    def test_a_name_of_a_column_may_go_over_two_lines(self):
        ok(decode(table(*LINES).replace("所在地_連結表記", '"所在地_\n連結表記"').encode()), 6)

    def test_a_header_that_nobody_knows_is_told_in_few_words(self):
        with pytest.raises(UnknownLayout) as caught:
            decode(("\x1b[31m" + ",".join(f"列{number}" * 30 for number in range(500)) + "\n1,2\n").encode())
        assert len(str(caught.value)) < 1000
        assert "\x1b" not in str(caught.value)

    def test_a_title_with_broken_bytes_can_be_reported(self):
        data = ("一覧\r\n" + table(*LINES)).encode().replace("一覧".encode(), b"\xe4\xb8\xff", 1)
        (note,) = decode(data).notes
        note.encode()


class TestRows:
    def test_a_quote_that_is_not_closed_takes_its_own_row_only(self):
        decoded = ok(decode(table(LINES[0], line(2, 備考='"未閉じ'), *LINES[2:]).encode()), 6, quarantined=1)
        (held,) = decoded.quarantine
        assert (held.row, held.rule) == (3, "unbalanced-quotes")
        assert "未閉じ" in "".join(held.record.values()), "as it was published"

    def test_text_behind_a_quote_takes_its_own_row_only(self):
        decoded = decode(table(LINES[0], line(2, 備考='"玄関"前'), line(3, 備考='玄関"前"'), *LINES[3:]).encode())
        ok(decoded, 6, quarantined=1)

    def test_many_open_quotes_cost_no_more_than_so_many_lines_each(self):
        rows = [line(number, 備考=f'"開いた{number}"x') for number in range(3000)]
        assert len(decode(table(*rows).encode()).quarantine) == 3000

    def test_a_record_does_not_go_on_for_ever(self):
        found = read_table((HEADER + '\n1,"a\n' + "2,b\n" * 3000).encode())
        assert (len(found.rows), "a quote is not closed" in found.rows[0].fault) == (3001, True)

    @given(st.lists(st.text('ab",\n', max_size=8), max_size=8))
    def test_every_line_is_in_some_record(self, cells):
        text = table(*(line(number, 備考=cell) for number, cell in enumerate(cells)))
        found = read_table(text.encode())
        said = "".join("".join(row.cells) for row in found.rows)
        for letter in "ab":
            assert said.count(letter) == "".join(cells).count(letter)

    def test_empty_columns_at_the_end_and_ragged_rows(self):
        text = (
            HEADER
            + ",,,\r\n"
            + LINES[0]
            + ",,,\r\n"
            + LINES[1]
            + ",,余分\r\n222127,3,焼津市\r\n,,,,\r\n※備考：目安です\r\n"
        )
        decoded = ok(decode(text.encode()), 4, quarantined=3)
        assert [each.rule for each in decoded.quarantine] == ["too-many-cells", "no-name", "not-a-code"]

    def test_the_same_id_twice_is_told_with_the_other_row(self):
        decoded = ok(
            decode(table(line(1), line(1, 名称="別"), line(2, ID="1.23457E+15")).encode()), 3, repaired=1, quarantined=1
        )
        assert "row 2" in decoded.quarantine[0].reason

    @pytest.mark.parametrize(
        ("latitude", "longitude", "said"),
        [
            ("138.32", "34.867", "swapped-coordinates"),
            ("34867000", "138320000", "decimal-point-moved"),
            ("0", "0", "outside Japan"),
            ("N34.867", "E138.32", "no degrees"),
            ("nan", "1e400", "no degrees"),
        ],
    )
    def test_a_position_that_cannot_be_is_never_loaded(self, latitude, longitude, said):
        decoded = ok(decode(table(line(1), line(2, 緯度=latitude, 経度=longitude)).encode()), 2, quarantined=1)
        assert said in decoded.quarantine[0].reason


def workbook(make):
    book = openpyxl.Workbook()
    make(book)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def fill(sheet, lines=LINES):
    sheet.append(COLUMNS)
    for each in lines:
        sheet.append(each.split(","))


class TestWorkbooks:
    def test_a_sheet_of_explanations_and_a_hidden_one_are_not_the_table(self):
        def make(book):
            book.active.title = "説明"
            book.active["A1"] = "このファイルについて"
            old = book.create_sheet("昨年")
            fill(old, [line(99)])
            old.sheet_state = "hidden"
            fill(book.create_sheet("データ"))

        decoded = ok(decode(workbook(make)), 6)
        (note,) = decoded.notes
        assert "データ is read, and not 説明, 昨年 (hidden)" in note

    def test_titles_merged_over_all_columns_are_passed_over(self):
        def make(book):
            book.active["A1"] = "焼津市AED一覧"
            book.active.merge_cells("A1:N1")
            book.active.append([])
            fill(book.active)

        assert "焼津市AED一覧" in ok(decode(workbook(make)), 6).notes[0]

    def test_errors_and_formulas_without_a_value_are_no_values_and_are_told(self):
        def make(book):
            fill(book.active)
            book.active["D2"] = "#REF!"
            book.active["I3"] = "=A1"
            book.active["H4"] = "#N/A"

        decoded = ok(decode(workbook(make)), 6, repaired=2, quarantined=1)
        assert decoded.quarantine[0].rule == "no-name"
        assert decoded.quarantine[0].record["名称"] == "#REF!"
        assert rules(decoded) == {(3, "formula-without-value"), (4, "spreadsheet-error")}
        assert "telephone" not in decoded.entities[0]
        assert decoded.entities[0]["sourceRecord"]["json"]["電話番号"] == "=A1"

    def test_midnight_at_the_end_of_a_day_is_a_time_of_a_spreadsheet(self):
        def make(book):
            fill(book.active, LINES[:1])
            book.active["K2"], book.active["L2"] = datetime.time(8, 30), datetime.timedelta(days=1)

        (hours,) = decode(workbook(make)).entities[0]["openingHoursSpecification"]["value"]
        assert (hours["opens"], hours["closes"]) == ("08:30", "24:00")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (table(*LINES).encode("euc-jp"), "EUC-JP"),
        (table(*LINES).encode("iso2022_jp"), "ISO-2022-JP"),
        (table(*LINES).encode("utf-32"), "UTF-32"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "save it as xlsx"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\n <!DOCTYPE html><html><body>404</body></html>", "web page"),
        (b"\xef\xbb\xbf", "empty"),
        (b"," * 20_000 + b"x\n", "20,001 columns"),
        (table(*LINES).encode("utf-16")[:-1], "cut or damaged"),
    ],
)
def test_what_is_no_table_is_called_what_it_is(data, said):
    with pytest.raises(UnreadableFile, match=said):
        decode(data)


async def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    file = tmp_path / "large.csv"
    file.touch()
    os.truncate(file, 200 * 10**6)
    report = await import_files([file], dry_run=True)
    assert f"200,000,000 bytes; more than {MOST_BYTES:,} are not read" in report.files[0].error
    assert not report.ok


async def test_a_report_shows_notes_and_no_escapes_of_a_terminal(tmp_path):
    file = tmp_path / "222127_aed.csv"
    file.write_text("一覧\r\n" + table(line(1), line(2, 全国地方公共団体コード="\x1b[31m赤")), "utf-8")
    report = await import_files([file], dry_run=True)
    shown = io.StringIO()
    report.render(Console(file=shown, width=200))
    assert "1 lines before the header are no rows: 一覧" in shown.getvalue()
    assert "row 4 is quarantined (not-a-code)" in shown.getvalue()
    assert "\x1b[31m" not in shown.getvalue()
    assert report.as_json()["files"][0]["notes"]
