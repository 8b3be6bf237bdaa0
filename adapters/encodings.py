"""Bytes to text: which encoding a file is in, line by line where it is in two.

The order is: UTF-8 or UTF-16 by byte order mark, UTF-16 by its zero bytes, strict UTF-8, CP932 (never plain Shift_JIS, which
lacks ①, № and 髙). Lines of the other one of UTF-8 and CP932 are read as what they are, and marked: somebody has put two files
together. Bytes that no encoding explains are kept as lone surrogates, so that their rows can be told apart and quarantined.
"""

import re
from typing import Final

from adapters.errors import UnreadableFile

UNREADABLE_BYTES: Final = re.compile("[\ud800-\udfff\x80\uf8f0-\uf8f3]")
"""Bytes of no encoding: lone surrogates, and what Python's CP932 makes of 0x80, 0xA0 and 0xFD to 0xFF."""
FOREIGN: Final = "\ufdd0"
"""Stands before a line that is in another encoding than the file: a code point that is no character."""
OTHER: Final = {"utf-8": "cp932", "utf-8-sig": "cp932", "cp932": "utf-8"}
"""The encoding of such a line, by that of the file."""

_MOST_BAD_BYTES: Final = 0.01
_MARK: Final = b"\xef\xbb\xbf"
_NO_TEXT: Final = (
    (
        b"\xd0\xcf\x11\xe0",
        "The file is an Excel workbook of the old form (.xls) or one with a password: save it as xlsx.",
    ),
    (b"%PDF", "The file is a PDF document, and no table."),
    (b"\xff\xfe\x00\x00", "The file is UTF-32 text: save it as UTF-8."),
    (b"\x00\x00\xfe\xff", "The file is UTF-32 text: save it as UTF-8."),
)
_PAGE: Final = re.compile(rb"\s*<(?:!doctype\s+html|html[\s>])", re.IGNORECASE)
_JIS: Final = re.compile(rb"\x1b\$[@B]")


def decode_text(data: bytes) -> tuple[str, str]:
    """The text of a file and the name of its encoding. Raises UnreadableFile where no encoding fits nearly all bytes."""
    for start, sentence in _NO_TEXT:
        if data.startswith(start):
            raise UnreadableFile(sentence)
    if _PAGE.match(data.removeprefix(_MARK)):
        raise UnreadableFile(
            "The file is a web page (HTML), and no table: perhaps its address is that of a page about it."
        )
    if data.startswith(_MARK):
        return _marked(data[len(_MARK) :])
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16"), "utf-16"
        except UnicodeDecodeError as error:
            raise UnreadableFile(f"The file is cut or damaged: byte {error.start} is not UTF-16.") from error
    if (unmarked := _unmarked_utf16(data)) is not None:
        return unmarked
    if (text := _strictly(data, "utf-8")) is not None:
        if _JIS.search(data):
            raise UnreadableFile("The file is ISO-2022-JP (JIS) text: save it as UTF-8.")
        return text, "utf-8"
    text = _strictly(data, "cp932")
    if text is not None and not any(map(_is_surely_utf8, data.splitlines())):
        return text, "cp932"
    if text is None and _strictly(data, "euc_jp") is not None:
        raise UnreadableFile("The file is EUC-JP text: save it as UTF-8.")
    return _by_lines(data)


def _marked(data: bytes) -> tuple[str, str]:
    """The text behind a mark that says UTF-8."""
    text = _strictly(data, "utf-8")
    if text is None:
        text, _ = _by_lines(data, "utf-8-sig")
    return text, "utf-8-sig"


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_surely_utf8(line: bytes) -> bool:
    """Whether a line is UTF-8 with letters of three bytes: a line of CP932 that is so by chance would be a wonder."""
    text = None if line.isascii() else _strictly(line, "utf-8")
    return text is not None and max(text) >= "\u0800"


def _by_lines(data: bytes, said: str | None = None) -> tuple[str, str]:
    """A text of which some lines are in another encoding than most, or in none. `said`: what a mark at its start says."""
    lines = data.splitlines(keepends=True)  # at \n, \r and \r\n, which are in no character of either encoding
    of_utf8 = sum(map(_is_surely_utf8, lines))
    of_cp932 = sum(_strictly(line, "utf-8") is None and _of_cp932(line) is not None for line in lines)
    encoding = said or ("utf-8" if of_utf8 >= of_cp932 else "cp932")
    codec = encoding.removesuffix("-sig")
    bad, parts = 0, []
    for line in lines:
        own = _encoding_of(line, codec)
        text = line.decode(codec, "surrogateescape") if own is None else line.decode(own)
        bad += len(UNREADABLE_BYTES.findall(text))
        parts.append(text if own in (None, codec) else FOREIGN + text)
    if bad > _MOST_BAD_BYTES * len(data):
        if said is not None:
            raise UnreadableFile(f"The file says that it is {said.upper()}, and it is not.")
        raise UnreadableFile("The file is neither UTF-8 nor UTF-16 nor CP932 (Shift_JIS) text, and no xlsx workbook.")
    return "".join(parts), encoding


def _encoding_of(line: bytes, codec: str) -> str | None:
    """The encoding of one line of a file that is mostly in `codec`; None where it is in neither."""
    if line.isascii():
        return codec
    if _is_surely_utf8(line):
        return "utf-8"
    fits = [
        *(["utf-8"] if _strictly(line, "utf-8") is not None else []),
        *(["cp932"] if _of_cp932(line) is not None else []),
    ]
    return codec if codec in fits else next(iter(fits), None)


def _of_cp932(line: bytes) -> str | None:
    text = _strictly(line, "cp932")
    return None if text is None or UNREADABLE_BYTES.search(text) else text


def _unmarked_utf16(data: bytes) -> tuple[str, str] | None:
    """UTF-16 without byte order mark: the zero bytes of its commas and line ends are all high, or all low, bytes."""
    even, odd = data[0:4096:2].count(0), data[1:4096:2].count(0)
    if max(even, odd) * 50 < min(len(data), 4096) or min(even, odd) * 10 > max(even, odd):
        return None
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    text = _strictly(data, encoding)
    return (text, encoding) if text is not None and "\n" in text and ("," in text or "\t" in text) else None
