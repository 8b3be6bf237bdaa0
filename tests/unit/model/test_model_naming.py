"""URIs, names, scopes and instants as clients may spell them."""

import pytest

from broker.errors import BadRequestData
from broker.model.naming import check_instant, check_name, check_scope, check_uri, parse_scopes


@pytest.mark.parametrize(
    "uri",
    [
        "urn:ngsi-ld:Building:1",
        "https://example.org/a?b=c#d",
        "http://user@[::1]:8080/path",
        "urn:ngsi-ld:Ciudad:París",
        "urn:ngsi-ld:建物:東京タワー",
        "a:b",
        "urn:x:%E3%81%82",
    ],
)
def test_5_2_1_uris_and_iris_are_accepted(uri: str) -> None:
    assert check_uri(uri, "id") == uri


@pytest.mark.parametrize(
    "value",
    [
        "",
        "thisisaninvaliduri",
        "not a uri",
        ":nothing",
        "1urn:a",
        "urn:",
        "urn:a b",
        "urn:a<b",
        'urn:a"b',
        "urn:{a}",
        "urn:a|b",
        "urn:%zz",
        "urn:a#b#c",
        "urn:a[1]",
        "é:a",
        "urn:ngsi-ld:null",
        None,
        5,
        ["urn:a:b"],
        {"id": "urn:a:b"},
    ],
)
def test_4_5_1_what_is_no_uri_is_refused_by_the_name_of_its_member(value: object) -> None:
    with pytest.raises(BadRequestData, match=r"^here: "):
        check_uri(value, "here")


@pytest.mark.parametrize(
    "code",
    [
        *(0x202E, 0x200B, 0xFEFF, 0x2028, 0x00A0, 0xFE0F, 0xE0100, 0xFDD0, 0xFFFE, 0x1FFFF),
        *(0x115F, 0x3164, 0xFFA0, 0x2800, 0x0085, 0xE000),
    ],
)
def test_rfc_3987_invisible_characters_are_refused(code: int) -> None:
    with pytest.raises(BadRequestData):
        check_uri(f"urn:ngsi-ld:Vehicle:A{chr(code)}B", "id")


@pytest.mark.parametrize(
    "name", ["a", "výška_1", "気温", "スピード", "Škola", "ngsi:term", "x2", "https://a.example/b", "ngsi-ld:hasValue"]
)
def test_4_6_2_names_are_letters_numbers_and_underscores(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "my attr", "9lives", "_a", "a-b", "a.b", "@type", ":a", "a:", "a b:c", "id;name"])
def test_4_6_2_other_names_are_refused(name: str) -> None:
    with pytest.raises(BadRequestData, match="valid name"):
        check_name(name)


def test_4_18_scopes_are_kept_with_a_leading_slash() -> None:
    assert check_scope("/Madrid/Gardens/ParqueNorte") == "/Madrid/Gardens/ParqueNorte"
    assert check_scope("Madrid") == "/Madrid"
    assert parse_scopes(["/a", "a", "/b"]) == ["/a", "/b"]
    assert parse_scopes("東京/区_1") == ["/東京/区_1"]


@pytest.mark.parametrize(
    "scope",
    [
        "9bad",
        "/a//b",
        "a-b",
        "urn:ngsi-ld:null",
        ["/ok", "9bad"],
        "",
        "/",
        "/a/",
        "//a",
        [],
        None,
        5,
        [None],
        {},
        [["/a"]],
    ],
)
def test_4_18_other_scopes_are_refused(scope: object) -> None:
    with pytest.raises(BadRequestData, match="scope"):
        parse_scopes(scope)


def test_4_6_3_instants_are_written_with_a_decimal_point() -> None:
    assert check_instant("2026-01-01T00:00:00,5Z", "observedAt") == "2026-01-01T00:00:00.5Z"
    assert check_instant("2026-01-01T00:00:00Z", "observedAt") == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "value",
    [
        *("2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00+02:00", "2026-13-01T00:00:00Z", "yesterday", ""),
        *("2026-01-01T00:00:00.1234567Z", "2026-01-01T00:00Z", {"value": "2026-01-01T00:00:00Z"}, 5, None, True),
    ],
)
def test_4_6_3_other_instants_are_refused(value: object) -> None:
    with pytest.raises(BadRequestData, match=r"^speed\.observedAt: "):
        check_instant(value, "observedAt", "speed")
