"""Term to URI expansion and compaction (5.5.7), alone and against PyLD."""

import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyld import jsonld

from broker.errors import BadRequestData
from broker.jsonld import terms
from broker.jsonld.compilation import compile_context
from broker.jsonld.core import CORE_URL, core_context
from broker.jsonld.terms import CORE, CORE_TERMS
from broker.model.terms import DEFAULT_VOCAB, NGSI_LD

EX = "https://example.org/"


def table(context):
    return compile_context(context, {})


def test_5_5_5_without_a_user_context_names_fall_to_the_default_vocabulary():
    assert CORE.expand("Vehicle") == DEFAULT_VOCAB + "Vehicle"
    assert CORE.compact(DEFAULT_VOCAB + "Vehicle") == "Vehicle"


def test_5_5_7_core_terms_expand_and_compact():
    assert CORE.expand("location") == NGSI_LD + "location"
    assert CORE.compact(NGSI_LD + "location") == "location"
    assert CORE.expand("description") == "http://purl.org/dc/terms/description"
    assert CORE.compact("https://purl.org/geojson/vocab#Point") == "Point"


def test_5_5_7_a_user_term_expands_and_compacts():
    names = table({"speed": EX + "speed"})
    assert names.expand("speed") == EX + "speed"
    assert names.compact(EX + "speed") == "speed"


def test_5_5_7_an_iri_without_a_term_stays_fully_qualified():
    assert table({"speed": EX + "speed"}).compact(EX + "height") == EX + "height"


@pytest.mark.parametrize("iri", ["urn:ngsi-ld:x", "https://example.org/a", "http://x/y:z", "a.b+c-d:e"])
def test_5_5_7_an_absolute_iri_comes_back_as_it_is(iri: str):
    assert CORE.expand(iri) == iri
    assert CORE.compact(iri) == iri


def test_5_5_7_core_terms_win_over_the_users_in_any_position():
    mine = {"location": EX + "place", "Property": EX + "P", "createdAt": EX + "made"}
    for context in (mine, [mine, CORE_URL], [CORE_URL, mine], [CORE_URL, mine, CORE_URL]):
        names = table(context)
        assert names.expand("location") == NGSI_LD + "location"
        assert names.expand("Property") == NGSI_LD + "Property"
        assert names.compact(EX + "place") == EX + "place"


def test_5_5_7_core_terms_win_over_protected_user_terms():
    assert table({"@protected": True, "location": EX + "l", "x": EX + "x"}).expand("location") == NGSI_LD + "location"


def test_4_4_a_users_alias_of_a_core_term_expands_but_never_compacts():
    names = table({"loc": NGSI_LD + "location"})
    assert names.expand("loc") == NGSI_LD + "location"
    assert names.compact(NGSI_LD + "location") == "location"


def test_5_5_7_the_users_vocab_counts_for_its_own_terms_and_the_cores_for_unknown_names():
    names = table({"@vocab": EX, "speed": {"@type": "@id"}})
    assert names.expand("speed") == EX + "speed"
    assert names.expand("height") == DEFAULT_VOCAB + "height"


def test_5_5_7_prefixes_make_compact_iris():
    names = table({"ex": EX, "speed": "ex:speed"})
    assert names.expand("speed") == EX + "speed"
    assert names.expand("ex:height") == EX + "height"
    assert names.compact(EX + "height") == "ex:height"
    assert names.compact(EX + "speed") == "speed"
    assert names.expand("ex://host") == "ex://host"


def test_5_5_7_a_compact_iri_of_an_unknown_prefix_is_an_absolute_iri():
    assert table({"ex": EX}).expand("foo:bar") == "foo:bar"


@pytest.mark.parametrize(
    "context", [{"gone": None}, {"gone": "@id"}, {"gone": "@type"}, {"gone": {"@reverse": EX + "parent"}}]
)
def test_5_5_7_a_term_that_names_nothing_loses_no_data(context):
    names = table(context)
    assert names.expand("gone") == DEFAULT_VOCAB + "gone"
    assert names.expand(names.compact(DEFAULT_VOCAB + "gone")) == DEFAULT_VOCAB + "gone"
    assert names.compact(EX + "parent") == EX + "parent"


def test_4_4_a_term_is_chosen_whatever_its_coercion():
    names = table({"observed": {"@id": EX + "observed", "@type": "http://www.w3.org/2001/XMLSchema#date"}})
    assert names.compact(EX + "observed") == "observed"
    assert names.coercion("observed") == "http://www.w3.org/2001/XMLSchema#date"
    assert names.coercion("unknown") is None
    assert names.coercion("object") == "@id"
    assert names.coercion("json") == "@json"


def test_json_ld_of_several_terms_the_shortest_then_the_first_by_code_point_is_chosen():
    names = table({"bbb": EX + "x", "ab": EX + "x", "aa": EX + "x"})
    assert names.compact(EX + "x") == "aa"


def test_5_5_7_a_compacted_name_is_never_one_that_expands_to_something_else():
    names = table({"foo": EX, "bar": EX + "bar"})
    assert names.compact(DEFAULT_VOCAB + "foo:x") != "foo:x"
    assert names.compact(DEFAULT_VOCAB + "bar") != "bar"
    assert names.compact(DEFAULT_VOCAB + "@type") != "@type"
    assert names.compact(DEFAULT_VOCAB) in (DEFAULT_VOCAB, "ngsi-ld:default-context/")


def test_a_table_remembers_a_bounded_number_of_answers():
    names = table({"x": EX + "x"})
    for number in range(terms.LEARNED_LIMIT * 2):
        names.expand(f"name{number}")
        names.compact(f"{EX}{number}")
    names.expand("n" * 10_000)
    assert len(names._expanded) <= terms.LEARNED_LIMIT
    assert len(names._compacted) <= terms.LEARNED_LIMIT
    assert all(len(name) <= terms.LEARNED_LENGTH for name in names._expanded)
    assert names.expand("x") == EX + "x"


# --- PyLD as the oracle ----------------------------------------------------------------------------------------------

CORE_CONTEXT = core_context(CORE_URL)
CORE_SAMPLE = [
    "location",
    "Property",
    "createdAt",
    "name",
    "value",
    "id",
    "type",
    "ngsi-ld",
    "geojson",
    "attributeCount",
]
short = st.sampled_from(["a", "b", "c", "ab", "ba", "p", "q", "pre", *CORE_SAMPLE])
suffix = st.text(string.ascii_letters + "/#:.-", max_size=6)
iris = st.one_of(
    st.builds(
        lambda stem, tail: stem + tail,
        st.sampled_from([EX, "https://example.org/v#", "urn:x:", "http://b.c/d"]),
        suffix,
    ),
    st.builds(lambda tail: DEFAULT_VOCAB + tail, suffix),
    st.builds(lambda name: DEFAULT_VOCAB + name, short),
    st.builds(lambda tail: NGSI_LD + tail, st.sampled_from(["zz", "q2/x"])),
)
references = st.one_of(
    iris, st.builds(lambda prefix, tail: f"{prefix}:{tail}", st.sampled_from(["p", "q", "pre"]), suffix)
)
definitions = st.one_of(
    references,
    st.none(),
    st.sampled_from(["@id", "@type"]),
    st.builds(
        lambda iri, coercion: {"@id": iri, **coercion},
        references,
        st.sampled_from(
            [
                {},
                {"@type": "@id"},
                {"@type": "@vocab"},
                {"@type": EX + "Type"},
                {"@prefix": True},
                {"@container": "@set"},
            ]
        ),
    ),
)
contexts = st.builds(
    lambda prefixes, words, vocab: {**prefixes, **words, **vocab},
    st.dictionaries(
        st.sampled_from(["p", "q", "pre"]), st.sampled_from([EX, "https://example.org/v#", "urn:x:"]), max_size=3
    ),
    st.dictionaries(short, definitions, max_size=5),
    st.sampled_from([{}, {"@vocab": EX}, {"@vocab": "urn:v:"}]),
)
names = st.one_of(short, suffix.filter(bool), references)


def compiled(user):
    try:
        return compile_context(user, {})
    except BadRequestData:
        with pytest.raises((jsonld.JsonLdError, TypeError)):
            jsonld.expand({"@context": [user, CORE_CONTEXT], "@type": "x"})
        return None


@settings(max_examples=400, deadline=None)
@given(contexts, names)
def test_5_5_7_expansion_agrees_with_json_ld(user, name):
    ours = compiled(user)
    assume(ours is not None and "::" not in name)
    expanded = jsonld.expand({"@context": [user, CORE_CONTEXT], "@id": "urn:x:1", "@type": [name, EX + "Kept"]})
    expected = expanded[0]["@type"][0]
    nothing = expected is None or expected.startswith("@")
    assert ours.expand(name) == (DEFAULT_VOCAB + name if nothing else expected)


@settings(max_examples=400, deadline=None)
@given(contexts, iris)
def test_5_5_7_compaction_agrees_with_json_ld_and_expansion_takes_it_back(user, iri):
    ours = compiled(user)
    assume(ours is not None)
    name = ours.compact(iri)
    if ours.expand(iri) == iri:
        assert ours.expand(name) == iri
    context = [user, CORE_CONTEXT]
    try:
        kept = {"@id": "urn:x:1", "@type": [iri], iri: [{EX + "inner": [{"@value": 1}]}]}
        compacted = jsonld.compact(kept, context)
    except jsonld.JsonLdError:
        assert name == iri  # JSON-LD has no way to write this IRI: it would be taken for a compact one
        return
    own = {term: definition for term, definition in user.items() if term not in CORE_TERMS}
    aliases = {"type", *(term for term, definition in own.items() if definition == "@type")}
    ids = {"id", *(term for term, definition in own.items() if definition == "@id")}
    (as_type,) = (value for key, value in compacted.items() if key in aliases)
    (as_attribute,) = (key for key in compacted.keys() - aliases - ids - {"@context"})
    for expected in (as_type, as_attribute):
        leads_back = jsonld.expand({"@context": context, "@type": [expected, EX + "Kept"]})[0]["@type"][0] == iri
        if expected != iri and leads_back:
            # The core's own term for an IRI comes first, also for the few that lie in the default vocabulary.
            assert name == expected or ours.coercion(name) not in (None, "@id") or name in CORE_TERMS
        elif expected != iri:
            assert name != expected
        else:
            assert name == iri or ours.coercion(name) not in (None, "@id")


@given(st.sampled_from(sorted(name for name, term in CORE_TERMS.items() if term.iri)), contexts)
@settings(max_examples=200, deadline=None)
def test_4_4_every_core_term_survives_every_user_context(term, user):
    ours = compiled(user)
    assume(ours is not None)
    assert ours.expand(term) == CORE.expand(term)
    assert ours.compact(CORE.expand(term)) == CORE.compact(CORE.expand(term))


@given(contexts, st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_5_5_7_every_name_has_an_iri_and_every_compacted_name_leads_back(user, name):
    ours = compiled(user)
    assume(ours is not None)
    iri = ours.expand(name)
    assert ":" in iri
    back = ours.expand(ours.compact(iri))
    assert back == iri or ours.compact(iri) == iri
