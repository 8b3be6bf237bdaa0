"""Transforms of opening hours, ages, codes and lists: every spelling, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.transforms import TRANSFORMS
from adapters.transforms.ages import age
from adapters.transforms.codes import corporate_number, institution_code, office_number, poi_codes
from adapters.transforms.derived import free_of_charge, national_shelter_id
from adapters.transforms.hours import DAYS, clock, closing_time, weekdays
from adapters.transforms.numbers import diameter, indoor_capacity
from adapters.transforms.places import latitude_longitude
from adapters.transforms.reading import Reading, Unreadable
from adapters.transforms.text import links
from adapters.transforms.times import instant, midnight
from datamodels.corporate_number import corporate_check_digit

LETTERS = "月火水木金土日"
WORK = list(DAYS[:5])


def read(name, cell):
    """The value of a cell, None where it is unreadable; any other exception is a fault of the transform."""
    try:
        return TRANSFORMS[name](cell).value
    except Unreadable:
        return None


def rules(reading):
    return [fix.rule for fix in reading.fixes]


class TestWeekdays:
    @given(st.sets(st.sampled_from(range(7)), min_size=1), st.sampled_from(["", "・", "、", ",", ";", " ", "\u3000"]))
    def test_any_days_in_any_separation(self, days, between):
        cell = between.join(LETTERS[day] for day in sorted(days))
        assert weekdays(cell).value == [DAYS[day] for day in sorted(days)]
        assert (rules(weekdays(cell)) == []) == (between == "" or len(days) == 1)

    @given(st.integers(0, 6), st.integers(0, 6), st.sampled_from("〜～~-ー"))
    def test_ranges_go_round_the_week(self, first, last, dash):
        found = weekdays(f"{LETTERS[first]}曜{dash}{LETTERS[last]}曜日").value
        length = (last - first) % 7 + 1
        assert set(found) == {DAYS[(first + step) % 7] for step in range(length)}

    @pytest.mark.parametrize(
        ("cell", "value", "fixes"),
        [
            ("毎日", list(DAYS), ["weekday-form"]),
            ("平日", WORK, ["weekday-form"]),
            ("土日祝", ["Saturday", "Sunday", "PublicHolidays"], []),
            ("月～金、祝日", [*WORK, "PublicHolidays"], ["weekday-form"]),
            ("月火水木金（祝日を除く）", WORK, ["weekday-form", "note-in-cell"]),
        ],
    )
    def test_words(self, cell, value, fixes):
        assert (weekdays(cell).value, rules(weekdays(cell))) == (value, fixes)

    @pytest.mark.parametrize("cell", ["第1月曜日", "月曜定休", "火曜日は午後のみ", "Mo-Fr", "（月）", "・", "不定休"])
    def test_days_are_never_taken_out_of_prose(self, cell):
        with pytest.raises(Unreadable):
            weekdays(cell)

    @given(st.text(max_size=12))
    def test_any_text_is_days_or_unreadable(self, cell):
        assert set(read("weekdays", cell) or ()) <= {*DAYS, "PublicHolidays"}


class TestClock:
    @given(st.times().filter(lambda moment: moment.microsecond == 0))
    def test_times_of_the_day_in_all_spellings(self, moment):
        text = f"{moment.hour:02d}:{moment.minute:02d}"
        assert clock(text) == Reading(text)
        for cell in (f"{moment.hour}:{moment.minute:02d}", moment.isoformat(), f"{moment.hour}時{moment.minute}分"):
            assert clock(cell).value == text
        fraction = (moment.hour * 60 + moment.minute) / 1440
        assert clock(f"{fraction:.10f}").value == text

    @pytest.mark.parametrize(
        ("cell", "value", "fixes"),
        [
            ("22：00", "22:00", ["time-form"]),
            ("9時半", "09:30", ["time-form"]),
            ("0.375", "09:00", ["spreadsheet-time"]),
            ("1899-12-30T09:00:00.000Z", "09:00", ["spreadsheet-time"]),
            ("22：00\n※日曜は17：00まで", "22:00", ["note-in-cell"]),
        ],
    )
    def test_spellings_that_are_mended(self, cell, value, fixes):
        assert (clock(cell).value, rules(clock(cell))) == (value, fixes)

    def test_only_an_end_is_at_24(self):
        assert closing_time("24:00") == Reading("24:00")
        with pytest.raises(Unreadable):
            clock("24:00")

    @pytest.mark.parametrize("cell", ["25:00", "9:60", "11:00?13:30", "9時～17時", "随時", "24:01", "9"])
    def test_other_texts_are_no_times(self, cell):
        with pytest.raises(Unreadable):
            closing_time(cell)


class TestAges:
    @given(st.integers(0, 6), st.integers(0, 11))
    def test_from_years_and_months(self, years, months):
        assert age(f"{years}歳{months}か月から").value["fromMonths"] == years * 12 + months
        assert age(f"{years}歳～{years}歳").value == {
            "text": f"{years}歳～{years}歳",
            "fromMonths": years * 12,
            "toMonths": years * 12 + 11,
        }

    @given(st.text(max_size=12))
    def test_any_text_is_kept_as_published(self, cell):
        assert age(cell).value["text"] == cell

    @pytest.mark.parametrize("cell", ["就学前", "5歳～3歳", "から", "生後57日から"])
    def test_what_is_not_understood_is_reported_and_not_guessed(self, cell):
        assert age(cell).value == {"text": cell}
        assert rules(age(cell)) == ["age-not-understood"]


class TestCodes:
    @given(st.from_regex("[0-9]{12}", fullmatch=True))
    def test_a_corporate_number_is_checked_and_never_mended(self, digits):
        right = corporate_check_digit(digits)
        assert corporate_number(right + digits).value == right + digits
        with pytest.raises(Unreadable):
            corporate_number(str(int(right) % 9 + 1) + digits)

    def test_other_codes(self):
        assert institution_code("99,1000,2").value == "9910002"
        assert office_number("997000000Ａ").value == "997000000A"
        assert poi_codes("801;1307").value == ["0801", "1307"]
        for transform, cell in ((institution_code, "123"), (office_number, "12345"), (poi_codes, "9999")):
            with pytest.raises(Unreadable):
                transform(cell)


class TestOthers:
    def test_numbers_and_places(self):
        assert (diameter("65mm").value, diameter("75×150").value) == (65, "75×150")
        assert indoor_capacity("屋内2,736人屋外11,700人（面積の1/2）").value == 2736
        assert indoor_capacity("80人").value == 80
        assert latitude_longitude("34.34,134.05").value == {"latitude": 34.34, "longitude": 134.05}
        assert links("https://a.example/;https://b.example/").value == ["https://a.example/", "https://b.example/"]
        with pytest.raises(Unreadable):
            diameter("0")

    @pytest.mark.parametrize(
        ("cell", "value"),
        [
            ("令和6年1月13日午前6時", "2024-01-12T21:00:00Z"),
            ("令和6年1月9日午後6時時点", "2024-01-09T09:00:00Z"),
            ("2024年1月9日24時", "2024-01-09T15:00:00Z"),
            ("令和6年1月9日午後12時半", "2024-01-09T03:30:00Z"),
        ],
    )
    def test_spoken_instants(self, cell, value):
        assert instant(cell).value == value

    def test_a_day_begins_in_japan(self):
        assert midnight("2023-03-31") == "2023-03-30T15:00:00Z"

    def test_derivations_say_only_what_is_sure(self):
        assert free_of_charge({"price": "無料", "startDate": "x"}) == {"isAccessibleForFree": True, "eventPriceFrom": 0}
        assert free_of_charge({"price": "１，０００円"}) == {"isAccessibleForFree": False}
        assert free_of_charge({"price": "大人300円"}) == free_of_charge({}) == {}
        assert national_shelter_id({"externalSiteId": "E2221200001201"}) == {"nationalShelterId": "E2221200001201"}
        assert national_shelter_id({"externalSiteId": "E1"}) == {}

    @given(st.sampled_from(sorted(TRANSFORMS)), st.text(min_size=1, max_size=16))
    def test_any_text_is_read_or_unreadable(self, name, cell):
        value = read(name, cell)
        assert value not in ([], {})
