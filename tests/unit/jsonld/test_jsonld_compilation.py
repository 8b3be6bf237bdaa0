"""Compiling @contexts: references, what a user @context may not contain, and limits (4.4, 5.5.6, 5.5.7)."""

import collections
import contextlib
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.errors import BadRequestData
from broker.jsonld import compilation
from broker.jsonld.compilation import compile_context, includes_core, referenced_urls
from broker.jsonld.core import CORE_URL, core_document
from broker.jsonld.terms import CORE
from broker.model.terms import DEFAULT_VOCAB

EX = "https://example.org/"
A = "http://a.example/contexts/a.jsonld"
B = "http://a.example/contexts/b.jsonld"


def document(context):
    return {"@context": context}


def test_referenced_urls_are_those_of_an_array_and_of_imports_without_the_core():
    context = [A, {"x": EX}, CORE_URL, {"@import": B}]
    assert referenced_urls(context) == {A, B}
    assert referenced_urls({"x": EX}) == set()
    assert referenced_urls("b.jsonld", A) == {B}


@pytest.mark.parametrize("context", [CORE_URL, [CORE_URL], [], {}, [{}], None, [None]])
def test_5_5_5_an_empty_context_is_the_core_alone(context):
    assert compile_context(context, {}) is CORE


def test_documents_are_followed_and_later_ones_win():
    documents = {
        A: document(["b.jsonld", {"two": EX + "two-a"}]),
        B: document({"one": EX + "one", "two": EX + "two-b"}),
    }
    names = compile_context([A, {"three": EX + "three"}], documents)
    assert [names.expand(name) for name in ("one", "two", "three")] == [EX + "one", EX + "two-a", EX + "three"]


def test_terms_may_build_on_the_core_where_it_stands_before_them():
    names = compile_context([CORE_URL, {"mine": "ngsi-ld:mine", "day": {"@id": EX + "day", "@type": "DateTime"}}], {})
    assert names.expand("mine") == "https://uri.etsi.org/ngsi-ld/mine"
    assert names.coercion("day") == "https://uri.etsi.org/ngsi-ld/DateTime"


def test_null_forgets_what_stood_before():
    assert compile_context([{"x": EX + "x"}, None, {"y": EX + "y"}], {}).expand("x") == DEFAULT_VOCAB + "x"
    with pytest.raises(BadRequestData, match="nullification"):
        compile_context([{"@protected": True, "x": EX + "x"}, None], {})


def test_import_puts_another_contexts_terms_under_its_own():
    documents = {A: document({"x": EX + "imported", "y": EX + "y", "@base": "http://elsewhere/"})}
    names = compile_context({"@import": A, "x": EX + "mine"}, documents)
    assert (names.expand("x"), names.expand("y")) == (EX + "mine", EX + "y")


def test_the_documents_are_not_changed():
    documents = {A: document([{"@import": "b.jsonld", "x": EX + "x"}]), B: document({"y": EX + "y"})}
    compile_context(A, documents)
    assert documents == {A: document([{"@import": "b.jsonld", "x": EX + "x"}]), B: document({"y": EX + "y"})}
    assert core_document(CORE_URL)["@context"]["@protected"] is True


def test_4_4_includes_core_transitively():
    documents = {A: document([B]), B: document([{"x": EX}, CORE_URL])}
    assert includes_core(A, documents)
    assert includes_core(CORE_URL, {})
    assert not includes_core([{"x": EX}], {})
    assert not includes_core(A, {A: document([A])})


def test_5_5_7_scoped_contexts_are_refused_in_the_request_and_in_documents():
    scoped = {"x": {"@id": EX + "x", "@context": {"value": EX + "stolen"}}}
    for context in (scoped, [scoped], A, {"@import": A}):
        with pytest.raises(BadRequestData, match="'x' has a scoped context"):
            compile_context(context, {A: document(scoped)})


INVALID = [
    42,
    True,
    "",
    ["https://example.org/ctx.jsonld", 7],
    [[]],
    {"x": 7},
    {"x": True},
    {"x": ["a"]},
    {"x": {"@id": {"a": 1}}},
    {"x": {"@id": ["a"]}},
    {"x": {"@id": 7}},
    {"x": {"@container": "@nowhere"}},
    {"x": {"@container": ["@list", "@set"]}},
    {"x": {"@container": [["@set"]]}},
    {"x": {"@id": EX, "@type": 3}},
    {"x": {"@id": EX, "@unknown": 3}},
    {"x": {"@id": EX, "extra": 3}},
    {"x": "relative"},
    {"x": {"@type": "@id"}},
    {"": EX},
    {"@id": EX},
    {"@context": {"x": EX}},
    {"@graph": "x"},
    {"@version": 1.0},
    {"@version": "1.1"},
    {"@vocab": 3},
    {"@vocab": "relative/"},
    {"@vocab": ""},
    {"@language": 3},
    {"@direction": "up"},
    {"@base": 3},
    {"@import": 3},
    {"@import": CORE_URL, "x": 1},
    {"a": "b:x", "b": "a:x"},
    {"a": "a:x"},
    {"a": None, "a:b": {"@type": "@id"}},
    {"http://x/y": "http://x/z"},
    [{"@protected": True, "x": EX + "1"}, {"x": EX + "2"}],
    {"@propagate": 1, "x": "relative"},
]


@pytest.mark.parametrize("context", INVALID, ids=repr)
def test_5_5_6_an_invalid_context_is_bad_request_data(context):
    with pytest.raises(BadRequestData, match="@context"):
        compile_context(context, {})


@pytest.mark.parametrize(
    "context",
    [
        {"@vocab": None},
        {"@language": None, "@direction": None},
        {"@foo": EX, "x": "@bar", "y": {"@id": "@baz"}, "z": {"@reverse": "@qux"}},
        {"@version": 1.1, "@propagate": False, "@base": None},
        {"@base": "https://example.org/", "@vocab": "v#"},
        {"@type": {"@container": "@set"}},
        {"x": {"@id": EX, "@container": ["@index", "@set"]}},
    ],
    ids=repr,
)
def test_json_ld_what_is_valid_is_accepted_and_what_is_reserved_is_ignored_silently(context):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compile_context(context, {}).expand("q") == CORE.expand("q")


@pytest.mark.parametrize("value", [{"note": "none"}, [], "text", 7, None])
def test_5_5_6_a_document_without_a_context_is_bad_request_data(value):
    with pytest.raises(BadRequestData, match=A):
        compile_context(A, {A: value})


def test_a_document_that_refers_to_itself_is_bad_request_data():
    with pytest.raises(BadRequestData, match="refers to itself"):
        compile_context(A, {A: document([B]), B: document(A)})
    with pytest.raises(BadRequestData, match="refers to itself"):
        compile_context(A, {A: document({"@import": A})})


def test_limits_stop_bombs():
    chain = {f"http://x/{n}": document(f"http://x/{n + 1}") for n in range(20)}
    with pytest.raises(BadRequestData, match="deep"):
        compile_context("http://x/0", chain)
    fan = {f"http://x/{n}": document([f"http://x/{n + 1}"] * 50) for n in range(6)} | {
        "http://x/6": document({"a": EX})
    }
    with pytest.raises(BadRequestData, match="parts"):
        compile_context("http://x/0", fan)
    with pytest.raises(BadRequestData, match="array of more than"):
        compile_context([{}] * (compilation.MAX_PARTS + 1), {})
    many = {f"t{n}": EX for n in range(compilation.MAX_TERMS // 2 + 1)}
    with pytest.raises(BadRequestData, match="terms"):
        compile_context([many, many], {})
    with pytest.raises(BadRequestData, match="too long a chain"):
        compile_context({f"t{n}": f"t{n + 1}:x" for n in range(5000)}, {})


WORDS = ["a", "b", "a:b"]
WORDS += ["@id", "@type", "@vocab", "@base", "@container", "@language", "@reverse", "@import", "@prefix", "@protected"]
WORDS += ["@nest", "@index", "@version", "@direction", "@context", "@propagate"]

json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from([EX, A, CORE_URL])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(
                st.sampled_from(WORDS),
                st.text(max_size=4),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(json_values, json_values)
def test_5_5_6_whatever_a_client_sends_there_is_a_table_or_bad_request_data(context, remote):
    documents = collections.defaultdict(lambda: document(remote))
    with contextlib.suppress(BadRequestData):
        needed = referenced_urls(context)
        assert all(isinstance(url, str) for url in needed)
        names = compile_context(context, documents)
        assert ":" in names.expand("a")
