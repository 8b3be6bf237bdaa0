"""Entity tags and the conditions that clients make of them (RFC 9110, 8.8.3 and 13.1): writes that lose no other's update.

The standard has no such thing: it is an extension, and who sends no condition meets none (docs/extensions.md).

A tag begins with the state that it stands for, `3.20261122213408123456`: the entity's version and the instant of its
creation, so that an entity which was deleted and created again never gets an old tag back. What shows an entity adds a
digest of its body (`broker.http.conditions`), as a strong tag has to differ wherever the bytes do. A write compares
the part that both have: whatever the form in which a client read a state, it is that state which the client means.
"""

from dataclasses import dataclass
from typing import Final

from broker.errors import PreconditionFailed
from broker.model.entity import Entity

SEPARATOR: Final = "."
_NO_DIGITS: Final = str.maketrans("", "", "-:.TZ")


@dataclass(frozen=True, slots=True)
class EntityTag:
    """One tag as a client sent it, without its quotes."""

    text: str
    weak: bool = False

    def means(self, state: str) -> bool:
        """Whether this is a tag of a state, in whatever form that was shown."""
        return self.text == state or self.text.startswith(state + SEPARATOR)


@dataclass(frozen=True, slots=True)
class Condition:
    """The value of If-Match or If-None-Match: some tags, or (`*`) anything that exists."""

    tags: tuple[EntityTag, ...] = ()
    anything: bool = False


@dataclass(frozen=True, slots=True)
class Precondition:
    """What must be true of an entity for a request to be carried out; neither part: nothing."""

    if_match: Condition | None = None
    if_none_match: Condition | None = None

    def check(self, entity_id: str, current: Entity | None) -> None:
        """Compare with the current state, None where there is no such entity (13.2.2). Raises PreconditionFailed.

        If-Match takes no weak tag: those compare strongly (8.8.3.2).
        """
        state = None if current is None else state_tag(current)
        if self.if_match is not None and not _matches(self.if_match, state, weak=False):
            raise _failed("If-Match", entity_id, state)
        if self.if_none_match is not None and _matches(self.if_none_match, state, weak=True):
            raise _failed("If-None-Match", entity_id, state)


NO_PRECONDITION: Final = Precondition()


def state_tag(entity: Entity) -> str:
    """The part of a tag that stands for a stored state, without quotes."""
    return f"{entity['version']}{SEPARATOR}{entity['createdAt'].translate(_NO_DIGITS)}"


def _matches(condition: Condition, state: str | None, *, weak: bool) -> bool:
    if state is None:
        return False
    return condition.anything or any(tag.means(state) for tag in condition.tags if weak or not tag.weak)


def _failed(header: str, entity_id: str, state: str | None) -> PreconditionFailed:
    tag = None if state is None else f'"{state}"'
    found = "there is no such entity" if tag is None else f"its tag is {tag}"
    return PreconditionFailed(f"{header} does not hold for {entity_id}: {found}", instance=entity_id, etag=tag)
