"""Disaster telegrams: what holds where, what ends and when, what is an exercise, and the gauges of a flood forecast."""

import os
from pathlib import Path

import pytest

from adapters.contract import LIVE, Origin
from adapters.errors import UnreadableFile
from adapters.jma.disaster import DISASTER, DisasterOptions, decode_telegram, links_of_feed
from adapters.jma.hazards import severity, sub_category
from adapters.jma.telegram import level_in, parse_telegram
from adapters.testing import AdapterContract, Sample

DATA = Path(os.environ.get("TSUNAGU_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "jma-xml"
ORIGIN = Origin("https://www.data.jma.go.jp/developer/xml", "2026-06-30T05:20:00.000Z")

TITLE = "気象警報・注意報（Ｒ０６）（大雨）"
CITIES = {"2012300": "川辺市", "2012400": "山手町"}


def telegram(
    kinds=(("レベル３大雨警報", "03", "2012300"),),
    *,
    title=TITLE,
    kind="気象警報・注意報",
    at="2026-07-01T10:00:00+09:00",
    status="通常",
    info_type="発表",
    event="",
    serial="",
    division="市町村等",
    headline="低い土地の浸水に警戒してください。",
    valid="",
    body="",
):
    """A telegram of our own making, in the agency's form."""
    items = "".join(
        f"<Item><Kind><Name>{name}</Name><Code>{code}</Code></Kind><Areas codeType='市町村等'>"
        f"<Area><Name>{CITIES.get(area, '架空県')}</Name><Code>{area}</Code></Area></Areas></Item>"
        for name, code, area in kinds
    )
    prefecture = (
        "<Information type='府県予報区等（府県予報区等）'><Item><Kind><Name>大雨</Name><Code>03</Code></Kind>"
        "<Areas><Area><Name>架空県</Name><Code>200000</Code></Area></Areas></Item></Information>"
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<Report xmlns="http://xml.kishou.go.jp/jmaxml1/">
<Control><Title>{title}</Title><DateTime>2026-07-01T01:00:30Z</DateTime><Status>{status}</Status>
<EditorialOffice>架空地方気象台</EditorialOffice><PublishingOffice>架空地方気象台</PublishingOffice></Control>
<Head xmlns="http://xml.kishou.go.jp/jmaxml1/informationBasis1/"><Title>架空県の情報</Title>
<ReportDateTime>{at}</ReportDateTime><TargetDateTime>{at}</TargetDateTime>{valid and f"<ValidDateTime>{valid}</ValidDateTime>"}
<EventID>{event}</EventID><InfoType>{info_type}</InfoType><Serial>{serial}</Serial><InfoKind>{kind}</InfoKind>
<Headline><Text>{headline}</Text>{prefecture}<Information type="情報（{division}）">{items}</Information></Headline></Head>
{body}</Report>""".encode()


def decode(data, state=None, **options):
    return decode_telegram(data, ORIGIN, DisasterOptions(**options), state)


def standing(decoded):
    """Kind and area of each alert, with its status."""
    return {
        entity["id"].split(":", 4)[4]: entity["alertStatus"]["value"]
        for entity in decoded.entities
        if entity["type"] in ("WeatherAlert", "Alert")
    }


class TestDisasterTelegrams(AdapterContract):
    adapter = DISASTER
    samples = (
        Sample(telegram(), records=1),
        Sample(telegram(status="訓練", info_type="訂正"), records=1),
        Sample(
            telegram(
                (("氾濫警戒情報", "30", "890904000100"),), kind="指定河川洪水予報", event="890904000100", serial="1"
            )
        ),
        Sample(telegram((("震度５弱", "", "2012300"),), kind="地震情報", event="20260701100000")),
    )


def test_a_warning_is_passed_on_as_it_was_issued():
    (alert,) = decode(telegram()).entities
    assert alert["id"] == (
        "urn:ngsi-ld:WeatherAlert:%E6%B0%97%E8%B1%A1%E8%AD%A6%E5%A0%B1%E3%83%BB%E6%B3%A8%E6%84%8F%E5%A0%B1:2012300:03"
    )
    values = {name: each.get("value") for name, each in alert.items() if isinstance(each, dict)}
    assert values["alertCategory"] == "weather"
    assert values["alertSubCategory"] == "rainfall"
    assert (values["alertLevel"], values["severity"], values["alertStatus"]) == (3, "medium", "active")
    assert values["dateIssued"] == values["validFrom"] == "2026-07-01T01:00:00Z"
    assert values["alertSource"] == "架空地方気象台"
    assert values["areaServed"] == [{"name": "川辺市", "code": "2012300", "codeType": "市町村等"}]
    assert "validTo" not in alert


def test_what_a_later_telegram_of_the_area_does_not_say_any_more_has_ended():
    first = decode(telegram((("レベル３大雨警報", "03", "2012300"), ("レベル２大雨注意報", "10", "2012400"))))
    later = decode(
        telegram((("レベル４大雨危険警報", "43", "2012300"),), at="2026-07-01T11:00:00+09:00"), state=first.state
    )
    assert standing(later) == {"2012300:43": "active", "2012300:03": "ended", "2012400:10": "ended"}
    gone = next(entity for entity in later.entities if entity["id"].endswith("2012300:03"))
    assert gone["validTo"]["value"] == "2026-07-01T02:00:00Z"


def test_lifting_ends_an_alert():
    first = decode(telegram())
    lifted = decode(telegram((("解除", "00", "2012300"),), at="2026-07-01T11:00:00+09:00"), state=first.state)
    assert standing(lifted) == {"2012300:03": "ended"}


def test_a_warning_that_comes_again_loses_the_end_that_it_had():
    first = decode(telegram())
    lifted = decode(telegram((("解除", "00", "2012300"),), at="2026-07-01T11:00:00+09:00"), state=first.state)
    again = decode(telegram(at="2026-07-01T12:00:00+09:00"), state=lifted.state)
    assert standing(again) == {"2012300:03": "active"}
    assert "validTo" in again.owned["WeatherAlert"]
    assert "validTo" not in again.entities[0]


def test_telegrams_of_other_hazards_or_areas_end_nothing():
    first = decode(telegram())
    other = decode(
        telegram(
            (("レベル２高潮注意報", "19", "2012300"),),
            title="気象警報・注意報（Ｒ０６）（高潮）",
            at="2026-07-01T11:00:00+09:00",
        ),
        state=first.state,
    )
    assert standing(other) == {"2012300:19": "active"}


def test_an_older_telegram_changes_nothing_and_says_so():
    first = decode(telegram(at="2026-07-01T11:00:00+09:00"))
    older = decode(telegram((), at="2026-07-01T10:00:00+09:00"), state=first.state)
    assert older.entities == ()
    assert [repair.rule for repair in older.repairs] == ["later-one-is-known"]
    assert older.state == first.state


def test_the_same_telegram_twice_gives_the_same():
    first = decode(telegram())
    assert decode(telegram(), state=first.state).entities == first.entities


@pytest.mark.parametrize(("status", "channel"), [("通常", LIVE), ("訓練", "exercise"), ("試験", "test"), ("", "test")])
def test_exercises_and_tests_have_channels_of_their_own(status, channel):
    assert decode(telegram(status=status)).channel == channel


def test_an_exercise_ends_nothing_that_is_meant():
    first = decode(telegram())
    exercise = decode(telegram((), status="訓練", at="2026-07-01T11:00:00+09:00"), state=first.state)
    assert exercise.entities == ()
    after = decode(telegram((), at="2026-07-01T12:00:00+09:00"), state=exercise.state)
    assert standing(after) == {"2012300:03": "ended"}


def test_a_cancellation_takes_back_all_alerts_of_its_event():
    first = decode(telegram((("震度５弱", "", "2012300"),), kind="地震情報", event="20260701100000", serial="1"))
    back = decode(
        telegram((), kind="地震情報", event="20260701100000", serial="2", info_type="取消"), state=first.state
    )
    assert standing(back) == {"2012300:20260701100000": "cancelled"}


def test_a_cancellation_without_event_is_of_its_sender_and_kind():
    first = decode(telegram())
    back = decode(
        telegram((), info_type="取消", at="2026-07-01T10:05:00+09:00").replace("府県予報区等".encode(), b"?"),
        state=first.state,
    )
    assert standing(back) == {"2012300:03": "cancelled"}


def test_what_is_never_lifted_has_an_end():
    (alert,) = decode(telegram((("震度５弱", "", "2012300"),), kind="地震情報", event="20260701100000")).entities
    assert alert["validTo"]["value"] == "2026-07-01T04:00:00Z"
    assert (alert["seismicIntensity"]["value"], alert["severity"]["value"]) == ("5-", "high")


def test_only_the_areas_that_are_wanted_come():
    data = telegram((("レベル３大雨警報", "03", "2012300"), ("レベル３大雨警報", "03", "2012400")))
    assert standing(decode(data, areas=("20124",))) == {"2012400:03": "active"}


FLOOD_BODY = """<Body xmlns="http://xml.kishou.go.jp/jmaxml1/body/meteorology1/">
<MeteorologicalInfos type="水位・流量情報"><TimeSeriesInfo><TimeDefines>
<TimeDefine timeId="1"><DateTime>2026-07-01T10:00:00+09:00</DateTime></TimeDefine>
<TimeDefine timeId="2"><DateTime>2026-07-01T11:00:00+09:00</DateTime></TimeDefine>
<TimeDefine timeId="3"><DateTime>2026-07-01T12:00:00+09:00</DateTime></TimeDefine></TimeDefines>
<Item><Kind><Property><WaterLevelPart>
<WaterLevel type="水位" unit="m" refID="1" condition="正常">2.53</WaterLevel><WaterLevel type="レベル" refID="1">2</WaterLevel>
<WaterLevel type="水位" unit="m" refID="2" condition="正常">3.29</WaterLevel><WaterLevel type="レベル" refID="2">4</WaterLevel>
<WaterLevel type="水位" unit="m" refID="3" condition="欠測">0.00</WaterLevel></WaterLevelPart></Property></Kind>
<Station><Name>架空橋</Name><Code type="水位観測所">99990400010000021</Code><Location>川辺市</Location></Station></Item>
</TimeSeriesInfo></MeteorologicalInfos>
<AdditionalInfo><FloodForecastAddition><HydrometricStationPart><Area><Code>99990400010000021</Code></Area><Criteria>
<WaterLevel type="レベル１水防団待機水位" unit="m" condition="有効">1.50</WaterLevel>
<WaterLevel type="レベル４氾濫危険水位" unit="m" condition="有効">3.10</WaterLevel>
</Criteria></HydrometricStationPart></FloodForecastAddition></AdditionalInfo></Body>"""


def test_a_flood_forecast_gives_the_level_of_its_gauges_and_apart_from_it_the_levels_to_come():
    decoded = decode(
        telegram(
            (("氾濫警戒情報", "30", "890904000100"),),
            kind="指定河川洪水予報",
            event="890904000100",
            serial="1",
            division="予報区域",
            body=FLOOD_BODY,
        )
    )
    alert, gauge, forecast = decoded.entities
    assert (alert["alertSubCategory"]["value"], alert["alertLevel"]["value"]) == ("flood", 3)
    assert gauge["id"] == "urn:ngsi-ld:RiverGauge:99990400010000021"
    assert gauge["waterLevel"] == {
        "type": "Property",
        "value": 2.53,
        "unitCode": "MTR",
        "observedAt": "2026-07-01T01:00:00Z",
    }
    assert (gauge["standbyLevel"]["value"], gauge["dangerLevel"]["value"]) == (1.5, 3.1)
    assert "cautionLevel" not in gauge
    assert forecast["waterLevelForecast"]["value"] == [
        {"at": "2026-07-01T02:00:00Z", "level": 3.29, "condition": "レベル4"}
    ]
    assert forecast["gauge"]["object"] == gauge["id"]


def test_a_document_type_is_refused():
    bomb = b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Report>&b;</Report>'
    with pytest.raises(UnreadableFile, match="document type"):
        decode(bomb)


@pytest.mark.parametrize("data", [b"", b"<a/>", b"\xff\xfe", b"<Report", b'<?xml version="1.0" encoding="none"?><a/>'])
def test_what_is_no_telegram_is_refused_with_a_reason(data):
    with pytest.raises(UnreadableFile, match="telegram"):
        decode(data)


@pytest.mark.parametrize(
    ("name", "level", "hazard", "grave"),
    [
        ("レベル４土砂災害危険警報", 4, "landslide", "high"),
        ("レベル４高潮危険警報", 4, "stormSurge", "high"),
        ("レベル２土砂災害注意報", 2, "landslide", "low"),
        ("大雨特別警報", None, "rainfall", "critical"),
        ("暴風雪警報", None, "snow", "medium"),
        ("波浪注意報", None, "badSeaState", "low"),
        ("竜巻注意情報", None, "tornado", "low"),
        ("融雪注意報", None, "snowmelt", "low"),
    ],
)
def test_kinds_are_told_apart_by_their_names(name, level, hazard, grave):
    assert level_in(name) == level
    assert sub_category(name) == hazard
    assert severity(name, level) == grave


def test_a_feed_names_its_telegrams_the_oldest_first_and_only_those_that_are_wanted():
    feed = """<feed xmlns="http://www.w3.org/2005/Atom"><title>随時</title>
    <entry><title>気象警報・注意報</title><link type="application/xml" href="https://jma.example/2.xml"/></entry>
    <entry><title>府県天気予報</title><id>https://jma.example/1.xml</id></entry>
    <entry><title>気象警報・注意報</title><link href="file:///etc/passwd"/></entry></feed>""".encode()
    assert links_of_feed(feed, ORIGIN, DisasterOptions()) == ["https://jma.example/1.xml", "https://jma.example/2.xml"]
    assert links_of_feed(feed, ORIGIN, DisasterOptions(titles=("気象",))) == ["https://jma.example/2.xml"]
    with pytest.raises(UnreadableFile, match="Atom"):
        links_of_feed(telegram(), ORIGIN, DisasterOptions())


# --- the agency's own samples


def sample(name):
    path = next(DATA.glob(f"{name}*.xml"), None) if DATA.is_dir() else None
    if path is None:
        pytest.skip(f"the real file {name} is not present")
    return path.read_bytes()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "alerts"),
    [
        ("15_14_01_170216_VPWW53", 7),
        ("15_15_01_220314_VPWW54", 1),
        ("15_16_02_250630_VPWW57", 5),
        ("15_16_07_250630_VPWW61", 10),
        ("15_17_01_250630_VPWW55", 15),
        ("15_17_01_250630_VPWW56", 15),
        ("16_01_01_220728_VXKOii", 1),
        ("16_02_02_220728_VXKOii", 1),
        ("16_04_01_220728_VXKOii", 1),
        ("16_05_01_210630_VXKOii", 1),
        ("16_07_01_220728_VXKOii", 1),
        ("18_01_01_100806_VPOA50", 1),
        ("32-35_06_06_100915_VXSE53", 0),
    ],
)
def test_the_agencys_samples_give_so_many_alerts(name, alerts):
    decoded = decode(sample(name))
    assert decoded.channel == LIVE
    assert len(standing(decoded)) == alerts


@pytest.mark.real_data
def test_the_flood_forecast_of_the_rokkaku_river():
    decoded = decode(sample("16_02_02_220728_VXKOii"))
    alert, gauge, forecast = decoded.entities
    assert alert["kindCode"]["value"] == "30"
    assert alert["eventId"]["value"] == "890904000100"
    assert (alert["kindName"]["value"], alert["areaServed"]["value"][0]["name"]) == ("氾濫警戒情報", "六角川")
    assert (gauge["name"]["value"], gauge["waterLevel"]["value"]) == ("潮見橋", 2.53)
    assert gauge["riverName"]["value"] == "六角川、武雄川"
    levels = [(each["level"], each["condition"][-1]) for each in forecast["waterLevelForecast"]["value"]]
    assert levels == [(3.29, "4"), (3.25, "4"), (3.08, "3"), (2.85, "3"), (2.54, "2"), (2.3, "1")]


@pytest.mark.real_data
def test_a_cancelled_earthquake_of_the_samples_is_a_cancellation():
    assert parse_telegram(sample("32-35_06_06_100915_VXSE53")).info_type == "取消"
