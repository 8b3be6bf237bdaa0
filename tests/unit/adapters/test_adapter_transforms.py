"""The named transforms, each with the rule that holds for all its inputs."""

import unicodedata
from datetime import date, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adapters.transforms import TRANSFORMS
from adapters.transforms.codes import (
    identifier,
    local_government_code,
    machiaza_id,
    municipality_name,
    postal_code,
    telephone,
)
from adapters.transforms.flags import earthquake_resistance, flag, suitability
from adapters.transforms.hazards import HAZARD_ORDER, HAZARDS, hazard_names, hazards_by_suitability, site_kinds, stars
from adapters.transforms.numbers import count, number
from adapters.transforms.places import degrees, geo3x3, in_japan, point, proposals
from adapters.transforms.reading import Reading, Severity, Unreadable
from adapters.transforms.text import address, katakana, link, text_list, trim
from adapters.transforms.times import ERAS, day, instant
from datamodels.local_government import check_digit, is_code, local_governments

FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
CODES = st.sampled_from(sorted(local_governments()))


def rules(reading):
    return [fix.rule for fix in reading.fixes]


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
@given(cell=st.text(min_size=1, max_size=30))
def test_a_transform_reads_a_cell_or_calls_it_unreadable_and_nothing_else(name, cell):
    cell = trim(cell)
    assume(cell)
    try:
        found = TRANSFORMS[name](cell)
    except Unreadable as fault:
        found = fault
    if isinstance(found, Unreadable):
        assert found.rule
        assert found.reason
    else:
        assert isinstance(found, Reading)
        assert all(isinstance(fix.severity, Severity) for fix in found.fixes)


class TestLocalGovernmentCode:
    @given(CODES)
    def test_a_valid_code_is_left_alone(self, code):
        assert local_government_code(code) == Reading(code)

    @given(CODES)
    def test_a_lost_leading_zero_comes_back(self, code):
        assume(code.startswith("0"))
        if code[1:] + check_digit(code[1:]) in local_governments():
            with pytest.raises(Unreadable, match=code):
                local_government_code(code[1:])
        else:
            assert local_government_code(code[1:]).value == code

    @given(CODES)
    def test_a_missing_check_digit_comes_back_unless_the_digits_are_another_code(self, code):
        other = "0" + code[:5]
        if is_code(other) and other in local_governments():
            with pytest.raises(Unreadable, match=f"{code} or {other}"):
                local_government_code(code[:5])
        else:
            assert local_government_code(code[:5]).value == code

    @given(st.from_regex("[0-9]{6}", fullmatch=True))
    def test_a_wrong_check_digit_is_never_mended(self, digits):
        assume(not is_code(digits))
        with pytest.raises(Unreadable, match="check digit"):
            local_government_code(digits)

    def test_the_repairs_are_named(self):
        assert rules(local_government_code("37201")) == ["check-digit-added"]
        assert rules(local_government_code("92011")) == ["leading-zero-added"]
        assert rules(local_government_code("1100")) == ["leading-zero-and-check-digit-added"]
        assert local_government_code("３７２０１３") == Reading("372013", local_government_code("３７２０１３").fixes)
        assert rules(local_government_code("372013.0")) == ["decimal-in-code"]

    def test_names(self):
        assert municipality_name("岩出市").value == "302091"
        assert municipality_name("府中市", prefecture="広島県").value == "342084"
        with pytest.raises(Unreadable, match="東京都 132063"):
            municipality_name("府中市")


class TestCodes:
    @given(st.from_regex("[0-9]{7}", fullmatch=True))
    def test_postal_codes_and_town_ids_take_hyphens_or_not(self, digits):
        assert postal_code(digits).value == postal_code(f"{digits[:3]}-{digits[3:]}").value
        assert postal_code("〒" + digits.translate(FULL_WIDTH)).value == f"{digits[:3]}-{digits[3:]}"
        assert machiaza_id(f"{digits[:4]}-{digits[4:]}").value == machiaza_id(digits).value == digits

    @pytest.mark.parametrize(
        ("cell", "value", "fixes"),
        [
            ("(054)625-0128", "+81546250128", []),
            ("054-625-0128", "+81546250128", []),
            ("090-1234-5678", "+819012345678", []),
            ("0120-444-444", "+81120444444", []),
            ("０５４－６２５－０１２８", "+81546250128", ["full-width-characters"]),
            ("054 625 0128", "+81546250128", ["telephone-form"]),
            ("054(625)0128", "+81546250128", ["telephone-form"]),
        ],
    )
    def test_telephone_numbers_become_e164(self, cell, value, fixes):
        assert (telephone(cell).value, rules(telephone(cell))) == (value, fixes)

    @pytest.mark.parametrize("cell", ["625-0128", "内線12", "054-625-012", "054-625-0128(代)", "5462501280"])
    def test_a_telephone_number_is_not_guessed(self, cell):
        with pytest.raises(Unreadable):
            telephone(cell)

    def test_an_id_that_a_spreadsheet_has_destroyed_identifies_nothing(self):
        assert identifier("1.22033E+11").value is None
        assert identifier("E1310100002201") == Reading("E1310100002201")


class TestText:
    @given(st.text("ｱｲｳｴｵｶﾞﾊﾟｰ･ｯｬﾝﾞﾟ", max_size=12))
    def test_half_width_kana_become_full_width(self, cell):
        reading = katakana(cell)
        assert reading.value == unicodedata.normalize("NFKC", cell)
        assert katakana(reading.value) == Reading(reading.value)
        assert bool(cell) == (rules(reading) == ["half-width-kana"])

    def test_kana_of_the_real_files(self):
        assert katakana("ｹﾝﾘﾂｺｸﾌﾞﾝｺｳｺｳ").value == "ケンリツコクブンコウコウ"
        assert katakana("つなぐ").value == "ツナグ"

    @given(st.text(max_size=20))
    def test_reading_an_address_twice_changes_nothing_more(self, cell):
        once = address(cell, spaces="remove").value
        assert address(once, spaces="remove") == Reading(once)

    def test_addresses(self):
        assert address("宮久保5丁目７-1").value == "宮久保5丁目7-1"
        assert address("本町２－３").value == "本町2-3"
        assert address("コーポ高松").value == "コーポ高松"
        assert address("橋本市高野口町　名倉813-2", spaces="remove").value == "橋本市高野口町名倉813-2"

    @given(st.lists(st.text("本町一丁目会館", min_size=1, max_size=6), unique=True, min_size=1))
    def test_a_list_comes_apart_at_every_separator(self, items):
        for separator in "；;、，・":
            assert text_list(separator.join(items)).value == items

    def test_lists_do_not_come_apart_within_parentheses(self):
        assert text_list("宮前（新南　大新、広瀬）、名草", spaces="split").value == ["宮前（新南　大新、広瀬）", "名草"]
        assert text_list("雄湊　砂山", spaces="split").value == ["雄湊", "砂山"]
        assert text_list("雄湊 砂山").value == ["雄湊 砂山"]
        assert text_list("；").value is None

    def test_links(self):
        assert link("https://www.example.jp/a?b=c").value == "https://www.example.jp/a?b=c"
        assert rules(link("www.example.jp")) == ["scheme-added"]
        for cell in ("example.jp", "javascript:alert(1)", "https://", "http://a b"):
            with pytest.raises(Unreadable):
                link(cell)


class TestNumbers:
    @given(st.integers(-(10**9), 10**9))
    def test_whole_numbers_come_back_with_or_without_separators(self, value):
        assert number(str(value)) == Reading(value)
        assert number(f"{value:,}").value == value
        assert number(str(value).translate(FULL_WIDTH)).value == value

    @given(st.decimals(-9999, 9999, places=3))
    def test_fractions_come_back_as_they_are_written(self, value):
        assert number(str(value)).value == float(value)

    def test_people(self):
        assert count("1,250人").value == 1250
        assert rules(count("1,250人")) == ["unit-in-cell", "thousands-separator"]
        assert count("0").value == 0
        assert count("0", zero_is_missing=True).value is None
        for cell in ("屋内480人／屋外3,350人", "40/12", "-3", "2.5", "約300人", "1,2", "1e3", "NaN", "９" * 40):
            with pytest.raises(Unreadable):
                count(cell)


class TestFlags:
    @pytest.mark.parametrize("cell", ["1", "○", "〇", "有", "1.0", "×", "無", "0"])
    def test_every_spelling_but_the_defined_one_is_a_repair(self, cell):
        assert flag(cell).value is (cell in ("1", "○", "〇", "有", "1.0"))
        assert rules(flag(cell)) == ([] if cell == "1" else ["flag-mark"])
        assert rules(flag(cell, defined=[cell])) == []

    @pytest.mark.parametrize("cell", ["△", "☆", "☆☆☆", "一部", "2", "●"])
    def test_marks_that_say_more_than_yes_or_no_are_no_flags(self, cell):
        with pytest.raises(Unreadable):
            flag(cell)

    def test_three_states_stay_three(self):
        assert [suitability(mark).value for mark in "○△×"] == ["usable", "conditional", "unusable"]
        assert earthquake_resistance("非耐震").value is False
        assert earthquake_resistance("耐震化済").value is True


class TestHazards:
    @given(st.sets(st.sampled_from(sorted(HAZARDS)), min_size=1))
    def test_the_same_hazards_are_always_the_same_list(self, names):
        one, other = hazard_names("\u3000".join(names)), hazard_names(" ".join(sorted(names, reverse=True)))
        assert one == other
        assert one.value == [hazard for hazard in HAZARD_ORDER if hazard in one.value]

    @given(
        st.dictionaries(
            st.sampled_from(["floodPlanned", "floodMaximum", "tsunami", "earthquake"]),
            st.sampled_from(["usable", "conditional", "unusable"]),
        )
    )
    def test_a_conditional_hazard_is_never_an_unconditional_one(self, marks):
        derived = hazards_by_suitability({"hazardSuitability": marks})
        usable, conditional = derived.get("hazardTypes", []), derived.get("conditionalHazardTypes", [])
        assert not set(usable) & set(conditional)
        assert ("tsunami" in usable) == (marks.get("tsunami") == "usable")
        floods = {marks[name] for name in ("floodPlanned", "floodMaximum") if name in marks}
        assert ("flood" in usable) == (floods == {"usable"})
        assert ("flood" in conditional) == (bool(floods & {"usable", "conditional"}) and floods != {"usable"})

    def test_kinds_and_stars(self):
        assert site_kinds("避難所を兼ねる避難場所").value == ["evacuationSite", "designatedShelter"]
        assert [stars("☆" * n).value for n in (1, 2, 3)] == [1, 2, 3]
        assert rules(stars("☆（注）")) == ["note-in-cell"]
        for cell in ("☆☆☆☆", "○", "☆注"):
            with pytest.raises(Unreadable):
                stars(cell)
        with pytest.raises(Unreadable, match="竜巻"):
            hazard_names("洪水　竜巻")


class TestPlaces:
    @given(st.floats(20, 46), st.floats(122, 154))
    def test_a_position_in_japan_is_a_point_with_the_longitude_first(self, latitude, longitude):
        assert point(latitude, longitude) == Reading({"type": "Point", "coordinates": [longitude, latitude]})

    @given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
    def test_a_position_elsewhere_is_never_loaded_unless_the_profile_repairs_it(self, latitude, longitude):
        assume(not in_japan(latitude, longitude))
        with pytest.raises(Unreadable, match="outside Japan"):
            point(latitude, longitude)
        for rule, (new_latitude, new_longitude) in proposals(latitude, longitude).items():
            assert in_japan(new_latitude, new_longitude)
            assert point(latitude, longitude, repair=[rule]).fixes[0].severity is Severity.WARNING

    @given(st.floats(20.1, 45.9), st.floats(122.1, 153.9), st.integers(1, 6))
    def test_a_lost_decimal_point_is_proposed(self, latitude, longitude, places):
        moved = proposals(latitude, longitude * 10**places)["decimal-point-moved"]
        assert moved == pytest.approx((latitude, longitude), abs=1e-6)

    @pytest.mark.parametrize(
        ("latitude", "longitude", "meant"),
        [(34.32856, 1334.00556, 133.400556), (34.17569, 13408137.0, 134.08137), (34.35845, 13409898.0, 134.09898)],
    )
    def test_the_impossible_coordinates_of_the_real_files(self, latitude, longitude, meant):
        with pytest.raises(Unreadable, match=f"perhaps {latitude:g}, {meant:g}"):
            point(latitude, longitude)

    @given(st.integers(20, 153), st.integers(0, 59), st.integers(0, 59))
    def test_degrees_minutes_seconds(self, whole, minutes, seconds):
        wanted = whole + minutes / 60 + seconds / 3600
        for cell in (f"{whole}°{minutes}'{seconds}\"", f"{whole}度{minutes}分{seconds}秒"):
            assert degrees(cell).value == pytest.approx(wanted, abs=1e-7)

    @given(st.floats(-89, 89), st.floats(0, 179))
    def test_geo3x3_finds_the_cell_that_holds_a_position(self, latitude, longitude):
        cell, west, south, size = "E", 0.0, -90.0, 180.0
        for _ in range(12):
            size /= 3
            column, row = min(2, int((longitude - west) / size)), min(2, int((latitude - south) / size))
            cell += str(row * 3 + column + 1)
            west, south = west + column * size, south + row * size
        found = geo3x3(cell).value["coordinates"]
        assert found == pytest.approx([longitude, latitude], abs=size)


class TestTimes:
    @given(st.dates(date(1900, 3, 1), date(2173, 1, 1)))
    def test_every_spelling_of_a_day_is_the_same_day(self, value):
        iso = value.isoformat()
        assert day(iso) == Reading(iso)
        assert day(f"{value.year}/{value.month}/{value.day}").value == iso
        assert day(f"{value.year}年{value.month}月{value.day}日").value == iso
        assert day(f"{value:%Y%m%d}").value == iso
        assert day(f"{value.month}/{value.day}/{value.year}", month_first=True).value == iso
        serial = str((value - date(1899, 12, 30)).days)
        if len(serial) >= 4:
            assert day(serial, serial=True).value == iso

    @given(st.dates(date(1868, 10, 23), date(2117, 12, 31)))
    def test_era_dates_come_back(self, value):
        era = next(era for era in ERAS if era.first <= value <= era.last)
        year = value.year - era.first.year + 1
        for name in era.names:
            assert day(f"{name}{year}.{value.month}.{value.day}").value == value.isoformat()
        if year == 1:
            assert day(f"{era.names[0]}元年{value.month}月{value.day}日").value == value.isoformat()

    @pytest.mark.parametrize(
        ("cell", "value"),
        [
            ("昭32. 7. 1", "1957-07-01"),
            ("平29. 7. 1", "2017-07-01"),
            ("R5.4.1", "2023-04-01"),
            ("令和6年1月13日", "2024-01-13"),
        ],
    )
    def test_dates_of_real_tables(self, cell, value):
        assert day(cell).value == value
        assert rules(day(cell)) == ["japanese-era"]

    @pytest.mark.parametrize("cell", ["令和6年5月2日（木）", "2024/5/2(木)", "2024-05-02 (木曜日)", "R6.5.2(木・祝)"])
    def test_a_day_of_the_week_behind_a_date_must_be_that_of_the_date(self, cell):
        assert day(cell).value == "2024-05-02"
        assert rules(day(cell)) in (["japanese-era"], ["date-form"])
        with pytest.raises(Unreadable) as caught:
            day(cell.replace("木", "金"))
        assert caught.value.rule == "another-weekday"

    def test_dates_of_spreadsheets(self):
        assert day("45016", serial=True).value == "2023-03-31"
        assert day("22196", serial=True).value == "1960-10-07"

    @pytest.mark.parametrize("cell", ["昭和64年2月1日", "8/1/2023", "45016", "2023-02-30", "平成40年1月1日", "8月11日"])
    def test_impossible_and_ambiguous_dates_are_unreadable(self, cell):
        with pytest.raises(Unreadable):
            day(cell)

    @given(st.datetimes(datetime(1990, 1, 2), datetime(2100, 1, 1)))
    def test_an_instant_without_zone_is_japans_time(self, value):
        value = value.replace(second=0, microsecond=0)
        wanted = (value - timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:00Z")
        assert instant(value.strftime("%Y-%m-%dT%H:%M")).value == wanted
        assert instant(value.strftime("%Y/%m/%d %H:%M")).value == wanted
        assert instant(value.strftime("%Y-%m-%dT%H:%M:00+09:00")).value == wanted
        assert instant(value.strftime("%Y-%m-%dT%H:%MZ")).value == value.strftime("%Y-%m-%dT%H:%M:00Z")

    @given(st.dates(date(1990, 1, 1), date(2100, 1, 1)))
    def test_24_00_is_the_next_midnight(self, value):
        midnight = instant(f"{value + timedelta(days=1)}T00:00")
        assert instant(f"{value}T24:00").value == midnight.value
        assert rules(instant(f"{value}T24:00")) == ["hour-24"]

    @pytest.mark.parametrize(
        "cell", ["2026-08-22T24:10", "2026-08-22T25:00", "2026-02-30T10:00", "10:00", "2026-08-22"]
    )
    def test_times_that_no_clock_shows_are_unreadable(self, cell):
        with pytest.raises(Unreadable):
            instant(cell)
