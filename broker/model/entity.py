"""The one representation of an entity inside the broker (design: normalized, names expanded, core terms short).

    {
      "id": "urn:ngsi-ld:Device:1",
      "type": ["https://example.org/Device"],                 # always a list, order of arrival, no duplicates
      "scope": ["/Madrid/Gardens"],                           # only where there is one, always a list
      "expiresAt": "2026-01-01T00:00:00Z",                    # only where given (4.22)
      "createdAt": "...", "modifiedAt": "...",                # canonical instants (broker.model.instants)
      "version": 3,                                           # 1 at creation, +1 for each committed change
      "attrs": {
        "https://example.org/level": [                        # always a list, one instance for each datasetId
          {"type": "Property", "value": 1.4, "unitCode": "MTR", "observedAt": "...",
           "createdAt": "...", "modifiedAt": "...",
           "https://example.org/accuracy": [{"type": "Property", "value": 0.1}]}      # sub-attribute: the same shape
        ]
      }
    }

Members of an instance: `type` (always present), the value member of its kind (`broker.model.terms.KINDS`), and where
given `datasetId` (never "@none"), `observedAt`, `unitCode`, `valueType`, `objectType` (list), `expiresAt`;
everything with a colon in its name is a sub-attribute (list of instances). `vocab`, `objectType`, `valueType` hold IRIs.
`objectList` holds plain URIs. `createdAt`/`modifiedAt` are kept on the entity and on its own attributes only.

States are never changed in place once they are shared: a patch builds new dicts along the path it changes.
"""

from typing import Any, NotRequired, Protocol, TypeAlias, TypedDict

JsonObject: TypeAlias = dict[str, Any]
Instance: TypeAlias = dict[str, Any]
"""One instance of an attribute, as above."""


class Entity(TypedDict):
    """An entity's complete state, as above."""

    id: str
    type: list[str]
    attrs: dict[str, list[Instance]]
    createdAt: str
    modifiedAt: str
    version: int
    scope: NotRequired[list[str]]
    expiresAt: NotRequired[str]
    deletedAt: NotRequired[str]
    """Only in what a notification shows of a deleted entity (5.8.6), never in a stored state."""


class Names(Protocol):
    """The two directions of an @context (5.5.7), all that the model needs of JSON-LD."""

    def expand(self, name: str) -> str:
        """The IRI of an entity type, attribute or vocabulary name; an absolute IRI comes back as it is."""
        ...

    def compact(self, iri: str) -> str:
        """The shortest name of an IRI in this @context, or the IRI itself."""
        ...


def by_dataset(entity: Entity | None, attribute: str) -> dict[str | None, Instance]:
    """The instances of an attribute by their datasetId, none if there is no such entity or attribute."""
    return {} if entity is None else {dataset_of(each): each for each in entity["attrs"].get(attribute, ())}


def dataset_of(instance: Instance) -> str | None:
    """The datasetId of an instance, None for the default instance (4.5.5)."""
    dataset: str | None = instance.get("datasetId")
    return dataset
