"""What tests of context source registrations (5.9 to 5.12) build theirs from, and how they read what was found."""

from typing import Any, Final

from conformance.exchanges import Answer
from conformance.samples import Document

SOURCE: Final = "http://127.0.0.1:9/source"
"""The endpoint of sources that nobody has to reach."""


def registration(registration_id: str | None, *information: Document, **members: Any) -> Document:
    """A CSourceRegistration (5.2.9) with these RegistrationInfo elements; without id where there is to be none."""
    whole = {
        "id": registration_id,
        "type": "ContextSourceRegistration",
        "endpoint": SOURCE,
        "information": list(information),
        **members,
    }
    return {member: value for member, value in whole.items() if value is not None}


def about(entity_type: str, *, id: str | None = None, idPattern: str | None = None, **names: list[str]) -> Document:
    """A RegistrationInfo (5.2.10) about entities of one type, and propertyNames and relationshipNames where given."""
    entity = {"type": entity_type, "id": id, "idPattern": idPattern}
    return {"entities": [{member: value for member, value in entity.items() if value is not None}], **names}


def found(answer: Answer, *among: Document) -> list[bool]:
    """Which of these registrations an answer has. Others may be there: a source of attributes may have any entity."""
    ids = {each["id"] for each in answer.expect(200).json}
    return [each["id"] in ids for each in among]
