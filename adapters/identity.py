"""Entity ids: URNs made of what stays the same when rows are inserted, sorted or edited."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from adapters.transforms.text import SPACE

_SPACES: Final = re.compile(f"[{SPACE}]+")
_HASH_LENGTH: Final = 20


def identified(entity_type: str, code: str, own_id: str) -> str:
    """The URN of a thing that its publisher has given an ID: urn:ngsi-ld:{type}:{6-digit code}:{ID}."""
    return f"urn:ngsi-ld:{entity_type}:{code}:{quote(own_id, safe='')}"


def hashed(entity_type: str, code: str, dataset: str, key: Sequence[str]) -> str:
    """The URN of a thing without an ID: a hash over code, dataset and key texts (name, address), each normalised.

    Width, case and space of the texts do not matter; row numbers never come in.
    """
    parts = [code, dataset, *(_SPACES.sub("", unicodedata.normalize("NFKC", part)).casefold() for part in key)]
    digest = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
    return f"urn:ngsi-ld:{entity_type}:{code}:h-{digest[:_HASH_LENGTH]}"
