"""The attribute projection language (4.21)."""

import pytest
from strategies_entities import NAMES

from broker.errors import BadRequestData
from broker.model.projection import parse_projection
from broker.model.terms import DEFAULT_VOCAB

NAME = DEFAULT_VOCAB + "name"
OWNER = DEFAULT_VOCAB + "owner"
CITY = DEFAULT_VOCAB + "city"


@pytest.mark.parametrize("terms", [["id,name|owner"], ["id", "name", "owner"], ["id , name", "owner"]])
def test_4_21_pick_keeps_what_it_lists(terms: list[str]) -> None:
    projection = parse_projection(NAMES, pick=terms)
    assert projection.keeps(NAME)
    assert projection.keeps(OWNER)
    assert not projection.keeps(CITY)
    assert projection.keeps_member("id")
    assert not projection.keeps_member("type")
    assert projection.depth == 0


def test_4_21_omit_removes_what_it_lists_but_not_what_it_only_enters() -> None:
    projection = parse_projection(NAMES, omit=["type,name,owner{name}"])
    assert not projection.keeps_member("type")
    assert not projection.keeps(NAME)
    assert projection.keeps(OWNER)
    assert projection.keeps(CITY)
    below = projection.linked(OWNER)
    assert below is not None
    assert not below.keeps(NAME)
    assert below.keeps_member("type")


def test_4_21_braces_nest_also_where_the_terms_were_cut_at_commas() -> None:
    for terms in (["id,owner{id,city{name|id}},name"], ["id", "owner{id", "city{name|id}}", "name"]):
        projection = parse_projection(NAMES, pick=terms)
        assert projection.depth == 2
        owner = projection.linked(OWNER)
        assert owner is not None
        city = owner.linked(CITY)
        assert city is not None
        assert city.keeps(NAME)
        assert not city.keeps(OWNER)
        assert projection.linked(NAME) is None


def test_5_7_1_5_without_braces_a_projection_applies_to_linked_entities_too() -> None:
    projection = parse_projection(NAMES, pick=["id,owner"])
    assert projection.linked(OWNER) is projection


def test_6_5_3_1_attrs_keeps_the_entity_members() -> None:
    projection = parse_projection(NAMES, attrs=["name"])
    assert projection.keeps_member("id")
    assert projection.keeps_member("type")
    assert projection.keeps(NAME)
    assert not projection.keeps(CITY)


@pytest.mark.parametrize(
    "terms",
    [
        *("", "id;name", "id,owner{name", "id,owner{{name}", "id,,name", "id,owner{,name}", "id,owner{}", "name||city"),
        *("name}", "name{city}}", "{name}", "id{name}", ",name", "name,", "my attr", "observedAt", "name{city}name"),
        "a{" * 500 + "a" + "}" * 500,
    ],
)
def test_4_21_bad_syntax_is_refused(terms: str) -> None:
    for parameter in ("pick", "omit", "attrs"):
        with pytest.raises(BadRequestData):
            parse_projection(NAMES, **{parameter: [terms]})  # type: ignore[arg-type]


def test_5_7_1_contradictory_projections_are_refused() -> None:
    for parameters in (
        {"pick": ["name"], "omit": ["name"]},
        {"pick": ["owner{name}"], "omit": ["owner{name}"]},
        {"pick": ["name"], "attrs": ["city"]},
        {"omit": ["name"], "attrs": ["city"]},
        {"attrs": ["id"]},
    ):
        with pytest.raises(BadRequestData):
            parse_projection(NAMES, **parameters)
    assert parse_projection(NAMES, pick=["owner{name,city}"], omit=["owner{city{id}}"]).depth == 2
