"""How long a downloaded @context is fresh (6.3.16)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.contexts.freshness import LONGEST, SHORTEST, lifetime
from broker.contexts.recent import Recent

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Cache-Control": "max-age=300"}, 300),
        ({"Cache-Control": "Public, MAX-AGE=300"}, 300),
        ({"Cache-Control": 'max-age="300"'}, 300),
        ({"Cache-Control": "max-age=300, s-maxage=30", "Expires": "0"}, 30),
        ({"Cache-Control": "max-age=300", "Age": "100"}, 200),
        ({"Cache-Control": "max-age=300", "Age": "x"}, 300),
        ({"Cache-Control": "max-age=0"}, SHORTEST),
        ({"Cache-Control": "no-store, max-age=300"}, SHORTEST),
        ({"Cache-Control": "no-cache"}, SHORTEST),
        ({"Cache-Control": "max-age=999999999999"}, LONGEST),
        ({"Cache-Control": "max-age=-5", "Expires": "Fri, 15 Jan 2027 08:01:00 GMT"}, 60),
        ({"Expires": "Fri, 15 Jan 2027 08:01:00 GMT"}, 60),
        ({"Expires": "Fri, 15 Jan 2027 08:01:00 GMT", "Date": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30),
        ({"Expires": "0"}, SHORTEST),
        ({"Expires": "Fri, 15 Jan 2021 08:01:00 GMT"}, SHORTEST),
        ({}, 3600),
        ({"Cache-Control": "public"}, 3600),
        ({"Last-Modified": "Fri, 15 Jan 2027 07:00:00 GMT"}, 360),
        ({"Last-Modified": "Fri, 15 Jan 2027 07:59:59 GMT"}, 60),
        ({"Last-Modified": "Fri, 15 Jan 2016 07:00:00 GMT"}, 86_400),
        ({"Last-Modified": "Fri, 15 Jan 2030 07:00:00 GMT"}, 60),
        ({"Last-Modified": "yesterday"}, 3600),
    ],
    ids=str,
)
def test_6_3_16_the_servers_word_counts_and_else_a_heuristic(headers, seconds):
    assert lifetime(headers, NOW) == seconds


names = st.sampled_from(["Cache-Control", "Expires", "Date", "Age", "Last-Modified"])
words = st.one_of(
    st.text(max_size=20), st.sampled_from(["max-age=5", "s-maxage=", "Fri, 15 Jan 9999 08:01:00 GMT", "99"])
)


@given(st.dictionaries(names, words))
def test_6_3_16_no_header_breaks_the_calculation(headers):
    assert SHORTEST <= lifetime(headers, NOW) <= LONGEST


def test_recent_forgets_what_was_not_used_for_longest():
    memory: Recent[str, int] = Recent(most=3, capacity=10)
    for key, size in (("a", 1), ("b", 2), ("c", 3)):
        memory.put(key, size, size)
    assert memory.get("a") == 1
    memory.put("d", 4, 4)
    assert list(memory) == ["c", "a", "d"]
    memory.put("e", 9, 9)
    assert list(memory) == ["e"] or list(memory) == ["d", "e"]
    memory.put("huge", 11, 11)
    assert memory.get("huge") is None
    memory.put("e", 1, 1)
    memory.put("f", 9, 9)
    assert list(memory) == ["e", "f"]
    memory.clear()
    assert len(memory) == 0
