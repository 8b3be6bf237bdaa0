"""Transforms of codes: local governments, 町字ID, postal codes, telephone numbers, identifiers."""

import re
import unicodedata
from typing import Final

from adapters.transforms.reading import Fix, Reading, Severity, Unreadable
from datamodels.code_lists import code_lists
from datamodels.corporate_number import is_corporate_number
from datamodels.local_government import check_digit, is_code, local_governments, named

_DASHES: Final = re.compile("[－−―‐–—ーｰ]")
_WARN: Final = Severity.WARNING


def local_government_code(text: str) -> Reading:
    """A 全国地方公共団体コード of 6 digits with a valid check digit.

    Five digits are either without check digit (37201) or without leading zero (92011), four are without both (1100):
    the list of local governments decides. Six digits with a wrong check digit are never mended.
    """
    digits, fixes = _digits(text)
    if len(digits) == 6:
        if not is_code(digits):
            raise Unreadable("check-digit", f"the code {text} fails its check digit")
        return Reading(digits, fixes)
    candidates = {}
    if len(digits) == 5:
        candidates = {digits + check_digit(digits): "check-digit-added", "0" + digits: "leading-zero-added"}
    elif len(digits) == 4:
        candidates = {f"0{digits}{check_digit('0' + digits)}": "leading-zero-and-check-digit-added"}
    legal = [code for code in candidates if is_code(code) and "01" <= code[:2] <= "47"]
    known = [code for code in legal if code in local_governments()]
    found = known if len(known) == 1 else legal
    if len(found) > 1:
        raise Unreadable("ambiguous-code", f"the code {text} can be {' or '.join(found)}")
    if not found:
        raise Unreadable("not-a-local-government-code", f"{text!r} is no code of a local government")
    return Reading(found[0], (*fixes, Fix(candidates[found[0]])))


def municipality_name(text: str, *, prefecture: str | None = None) -> Reading:
    """The code of the municipality of that name; a name that several have needs the prefecture."""
    found = named(unicodedata.normalize("NFKC", text).replace(" ", ""), prefecture)
    if not found:
        raise Unreadable("unknown-municipality", f"{text!r} is no municipality that the code list has")
    if len(found) > 1:
        several = ", ".join(f"{government.prefecture} {government.code}" for government in found)
        raise Unreadable("ambiguous-municipality", f"{text} can be {several}")
    return Reading(found[0].code)


def machiaza_id(text: str) -> Reading:
    """A 町字ID of 7 digits; the hyphen of 0008-001 is taken out."""
    digits, fixes = _digits(text.replace("-", ""))
    if len(digits) != 7:
        raise Unreadable("not-a-machiaza-id", f"{text!r} is no 町字ID of 7 digits")
    return Reading(digits, (*fixes, Fix("hyphen-removed")) if "-" in text else fixes)


def postal_code(text: str) -> Reading:
    """A postal code as NNN-NNNN."""
    narrow = _DASHES.sub("-", unicodedata.normalize("NFKC", text)).removeprefix("〒").strip()
    match = re.fullmatch(r"(\d{3})-?(\d{4})", narrow)
    if match is None:
        raise Unreadable("not-a-postal-code", f"{text!r} is no postal code of 7 digits")
    value = f"{match[1]}-{match[2]}"
    return Reading(value, () if value == text else (Fix("postal-code-form"),))


def telephone(text: str) -> Reading:
    """A telephone number as E.164 (+81…); (054)625-0128 and 054-625-0128 are the forms that the layouts define.

    Other separators and full-width digits are mended; a lost leading zero is not guessed at.
    """
    narrow = _DASHES.sub("-", unicodedata.normalize("NFKC", text))
    fixes = [Fix("full-width-characters")] if narrow != text else []
    if not re.fullmatch(r"\+81[-\d]+|\(?0\d{1,4}\)?-?\d{1,4}-\d{3,4}|0\d{8,10}", narrow):
        loose = re.sub(r"[\s.・/]+", "-", narrow)
        if not re.fullmatch(r"\(?0\d{1,4}\)?-?\(?\d{1,4}\)?-?\d{3,4}", loose):
            raise Unreadable("not-a-telephone-number", f"{text!r} is no telephone number")
        fixes.append(Fix("telephone-form"))
        narrow = loose
    digits = re.sub(r"\D", "", narrow.removeprefix("+81"))
    national = digits.removeprefix("0")
    if not 9 <= len(national) <= 10:
        raise Unreadable("not-a-telephone-number", f"{text!r} has too many or too few digits")
    return Reading("+81" + national, tuple(fixes))


def identifier(text: str) -> Reading:
    """The publisher's own ID; one that a spreadsheet has turned into 1.23E+11 identifies nothing any more."""
    if re.fullmatch(r"\d(\.\d+)?[Ee][+]?\d+", text):
        return Reading(None, (Fix("id-in-scientific-notation", _WARN),))
    return Reading(text)


def corporate_number(text: str) -> Reading:
    """A 法人番号 of 13 digits with a valid check digit, which is never mended."""
    digits, fixes = _digits(text)
    if not is_corporate_number(digits):
        raise Unreadable(
            "corporate-number", f"{text!r} is no 法人番号: it has 13 digits, of which the first checks the others"
        )
    return Reading(digits, fixes)


def institution_code(text: str) -> Reading:
    """A 医療機関コード of 7 to 10 digits; hyphens, commas and points between them are taken out."""
    digits, fixes = _digits(re.sub("[-,.]", "", text))
    if not 7 <= len(digits) <= 10:
        raise Unreadable("not-an-institution-code", f"{text!r} is no code of 7 to 10 digits")
    return Reading(digits, (*fixes, Fix("separators-removed")) if re.search("[-,.]", text) else fixes)


def office_number(text: str) -> Reading:
    """A 事業所番号 of ten digits and capital letters."""
    narrow = unicodedata.normalize("NFKC", text)
    if not re.fullmatch("[0-9A-Z]{10}", narrow):
        raise Unreadable("not-an-office-number", f"{text!r} is no 事業所番号 of ten characters")
    return Reading(narrow, () if narrow == text else (Fix("full-width-characters"),))


def poi_codes(text: str) -> Reading:
    """POI codes (GIF 491-3-1) of four digits, separated by ; , or 、; a lost leading zero is given back."""
    narrow = unicodedata.normalize("NFKC", text)
    fixes = [Fix("full-width-characters")] if narrow != text else []
    codes = []
    for part in filter(None, re.split(r"[;,、・\s]+", narrow)):
        code = part.zfill(4)
        if code not in code_lists()["poi"].codes:
            raise Unreadable("not-a-poi-code", f"{part!r} is no POI code")
        if len(part) < 4:
            fixes.append(Fix("leading-zero-added"))
        codes.append(code)
    return Reading(list(dict.fromkeys(codes)) or None, tuple(fixes))


def _digits(text: str) -> tuple[str, tuple[Fix, ...]]:
    """The text as ASCII digits; full-width digits and the `.0` of a spreadsheet number are mended."""
    narrow = unicodedata.normalize("NFKC", text)
    fixes = [Fix("full-width-characters")] if narrow != text else []
    if re.fullmatch(r"\d+\.0", narrow):
        narrow = narrow.removesuffix(".0")
        fixes.append(Fix("decimal-in-code"))
    if not (narrow.isascii() and narrow.isdecimal()):
        raise Unreadable("not-a-code", f"{text!r} is not a code of digits")
    return narrow, tuple(fixes)
