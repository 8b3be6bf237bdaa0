"""What happened to an entity: the record that the change log keeps and everything else is derived from (design §4)."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from broker.model.entity import Entity

EntityTrigger: TypeAlias = Literal["entityCreated", "entityUpdated", "entityDeleted"]
ChangeKind: TypeAlias = EntityTrigger | Literal["entityLoaded"]
"""`entityLoaded`: a state that was copied into a snapshot (5.16.1, 5.16.2). It did not come to be there and then, so nobody is
notified of it and it is no part of the temporal evolution."""
AttributeTrigger: TypeAlias = Literal["attributeCreated", "attributeUpdated", "attributeDeleted"]


class Touch(NamedTuple):
    """One attribute instance that a change created, updated with a different value (5.8.6), or deleted."""

    attribute: str
    dataset_id: str | None
    trigger: AttributeTrigger


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one entity.

    `after` is the complete state after it, None for a deletion. `before` is None for a creation, the complete state for
    a deletion, and otherwise an entity of which `attrs` holds only the touched attributes' previous instances. What is loaded
    touches nothing and has no state before it.
    `at` is the canonical instant at which the change was made. `sequence` is given by the store at commit: it grows with
    every change of the whole log, so it orders the changes of one tenant totally; 0 means not committed yet.
    """

    tenant: str
    entity_id: str
    kind: ChangeKind
    at: str
    touched: tuple[Touch, ...]
    before: Entity | None
    after: Entity | None
    sequence: int = 0

    def committed(self, sequence: int) -> "Change":
        """The same change with its place in the log."""
        return Change(self.tenant, self.entity_id, self.kind, self.at, self.touched, self.before, self.after, sequence)
