"""The language filter (4.15)."""

import pytest

from broker.errors import BadRequestData
from broker.model.language import choose_language, parse_language_filter

PLAIN = {"fr": "Grand Place", "nl": "Grote Markt"}


@pytest.mark.parametrize(
    ("text", "language_map", "tag"),
    [
        ("fr", PLAIN, "fr"),
        ("fr;q=0.2,nl;q=0.9", PLAIN, "nl"),
        ("nl,fr", PLAIN, "nl"),
        ("FR", PLAIN, "fr"),
        ("nl-BE", PLAIN, "nl"),
        ("nl-Latn-BE-x-a", PLAIN, "nl"),
        ("en", {"de": "Hauptplatz", "en-US": "Main Square"}, "en-US"),
        ("fr-CH,fr;q=0.9,en;q=0.8,*;q=0.5", {"en": "a", "fr": "b"}, "fr"),
        ("fr-CH,fr;q=0.9,en;q=0.8,*;q=0.5", {"ja": "a"}, "ja"),
        ("pt", PLAIN, "fr"),
        ("pt", {"en": "a", "@none": "b"}, "@none"),
        ("*", {"en": "a", "@none": "b"}, "@none"),
        ("*,fr;q=0", PLAIN, "nl"),
        ("fr;q=0,nl;q=0", PLAIN, "fr"),
        (" fr ; q=0.5 , nl ", PLAIN, "nl"),
        ("en", {}, None),
    ],
)
def test_4_15_the_best_text_is_chosen(text: str, language_map: dict[str, str], tag: str | None) -> None:
    assert choose_language(language_map, parse_language_filter(text)) == tag


@pytest.mark.parametrize(
    "text", ["", "not a tag", "fr;q=2", "fr;q=x", "fr;x=1", "fr,,nl", "fr;q=-1", "fr;q=nan", "@none"]
)
def test_4_15_a_faulty_filter_is_refused(text: str) -> None:
    with pytest.raises(BadRequestData, match="lang"):
        parse_language_filter(text)
