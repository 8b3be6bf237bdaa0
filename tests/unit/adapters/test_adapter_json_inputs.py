"""JSON from outside is read within bounds."""

import pytest

from adapters.document import MOST_DEEP, read_json
from adapters.errors import UnreadableFile


@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_what_nests_too_deeply_to_be_sent_on_is_not_read(opened: bytes, closed: bytes) -> None:
    def nested(depth: int) -> bytes:
        return opened * depth + b"1" + closed * depth

    read_json(nested(MOST_DEEP))
    with pytest.raises(UnreadableFile, match="within each other"):
        read_json(nested(MOST_DEEP + 1))
