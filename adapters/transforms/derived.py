"""Derivations of attributes from others of the same row."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

_NATIONAL_ID: Final = re.compile(r"E\d{10}[12]\d[0-9A-Za-z]")


def national_shelter_id(values: Mapping[str, Any]) -> dict[str, Any]:
    """From an ID of the publisher that is one of the nation-wide ones to nationalShelterId."""
    own_id = values.get("externalSiteId") or values.get("externalShelterId")
    return {"nationalShelterId": own_id} if isinstance(own_id, str) and _NATIONAL_ID.fullmatch(own_id) else {}


def free_of_charge(values: Mapping[str, Any]) -> dict[str, Any]:
    """From price, where all it says is 無料 or one amount in yen, to isAccessibleForFree, and to eventPriceFrom of an event."""
    price = re.sub(r"[\s,]", "", unicodedata.normalize("NFKC", str(values.get("price", ""))))
    amount = 0 if price in ("無料", "入場無料", "参加無料", "入館無料") else None
    if amount is None and (match := re.fullmatch(r"(\d{1,7})円?", price)):
        amount = int(match[1])
    if amount is None:
        return {}
    found: dict[str, Any] = {"isAccessibleForFree": amount == 0}
    return {**found, "eventPriceFrom": amount} if "startDate" in values else found


def registered_shelter(values: Mapping[str, Any]) -> dict[str, Any]:
    """From a shelter's ID to the shelter as registered (DesignatedShelter)."""
    own_id, code = values.get("externalShelterId"), values.get("localGovernmentCode")
    return {"shelter": f"urn:ngsi-ld:DesignatedShelter:{code}:{quote(own_id, safe='')}"} if own_id and code else {}
