"""The setting `stream_origins`."""

import pytest

from broker.settings import Settings, SettingsError, load_settings


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", set()),
        ("*", {"*"}),
        ("https://map.example", {"https://map.example"}),
        ("https://A.example , http://localhost:8080", {"https://a.example", "http://localhost:8080"}),
    ],
)
def test_origins_are_a_list_with_commas(tmp_path, text, origins):
    assert load_settings({"stream_origins": text}, {}, tmp_path).allowed_origins == origins


@pytest.mark.parametrize(
    "text", ["map.example", "https://map.example/", "https://map.example/app", "ftp://a", "https://"]
)
def test_what_is_no_origin_is_refused(tmp_path, text):
    with pytest.raises(SettingsError, match="origins"):
        load_settings({"stream_origins": text}, {}, tmp_path)


def test_no_page_reads_streams_unless_it_is_said():
    assert Settings().allowed_origins == frozenset()
