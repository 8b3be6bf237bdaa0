"""The language filter (4.15): which text of a LanguageProperty answers a list of preferred languages."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from broker.errors import BadRequestData
from broker.model.attributes import is_language_tag

LanguageRanges: TypeAlias = tuple[tuple[str, float], ...]
"""Language ranges in lower case with their quality values, best first."""

_ANY: Final = "*"
_DEFAULT_TAG: Final = "@none"


@lru_cache(maxsize=512)
def parse_language_filter(text: str) -> LanguageRanges:
    """The ranges of `fr-CH,fr;q=0.9,en;q=0.8,*;q=0.5`, in order of preference. Raises BadRequestData."""
    ranges = []
    for part in text.split(","):
        tag, *parameters = (piece.strip() for piece in part.split(";"))
        if tag != _ANY and not is_language_tag(tag):
            raise BadRequestData(f"lang: not a language tag: {tag!r} (4.15)")
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            quality = _quality(name.strip(), value.strip())
        ranges.append((tag.lower(), quality))
    return tuple(sorted(ranges, key=lambda ranked: -ranked[1]))


def choose_language(language_map: Mapping[str, Any], ranges: LanguageRanges) -> str | None:
    """The tag of a languageMap that suits best, None only for an empty map.

    Lookup as in RFC 4647: for each range in order of preference the tag itself, a more specific one, then ever shorter forms of
    the range. Without a match, and for `*`, the default text (`@none`) or else the first that is not refused (q=0).
    """
    tags = {tag.lower(): tag for tag in language_map}
    refused = {tag for tag, quality in ranges if quality == 0}
    for wanted, quality in ranges:
        if quality == 0:
            continue
        if wanted == _ANY:
            break
        found = _look_up(tags, wanted)
        if found is not None:
            return found
    if _DEFAULT_TAG in language_map:
        return _DEFAULT_TAG
    return next((tag for lower, tag in tags.items() if lower not in refused), next(iter(language_map), None))


def _look_up(tags: Mapping[str, str], wanted: str) -> str | None:
    while wanted:
        if wanted in tags:
            return tags[wanted]
        for lower, tag in tags.items():
            if lower.startswith(wanted + "-"):
                return tag
        wanted, _, _ = wanted.rpartition("-")
    return None


def _quality(name: str, value: str) -> float:
    try:
        quality = float(value)
    except ValueError:
        quality = -1.0
    if name.lower() != "q" or not 0 <= quality <= 1:
        raise BadRequestData(f"lang: {name}={value} is not a quality value from q=0 to q=1 (4.15)")
    return quality
