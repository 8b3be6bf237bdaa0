"""The contract test kit: derive a test class from AdapterContract, name the adapter and some samples, and pytest checks the rest.

    class TestTide(AdapterContract):
        adapter = TIDE
        samples = (Sample(Path("tide.csv").read_bytes(), records=144, options={"station": "QS"}),)

`violations` is the same without pytest. hypothesis, from the extra `conformance`, must be installed.
"""

import copy
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, Final

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.contract import Adapter, Decoded, Entity, Origin, State
from adapters.errors import Undecodable
from adapters.options import read_options
from adapters.provenance import PROVENANCE, with_provenance
from datamodels import Model, models
from datamodels.model import VALUE_MEMBER
from datamodels.units import UNITS

EXAMPLES: Final = 60
"""How many mutilated inputs are tried for each adapter."""

_URN: Final = re.compile(r"urn:ngsi-ld:[A-Za-z][A-Za-z0-9_]*:(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})+")
_UTC: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z")
_NOT_ATTRIBUTES: Final = frozenset(["id", "type", "scope", "@context"])
_MEMBERS: Final = frozenset(
    ["type", "value", "object", "json", "languageMap", "vocab", "unitCode", "observedAt", "datasetId"]
)

_VALUE_MEMBER: Final = {**VALUE_MEMBER, "VocabProperty": "vocab"}

SOMEWHERE: Final = Origin("https://data.city.example/sample", "2026-06-30T05:20:00.000Z", licence="CC-BY-4.0")
"""The origin of samples that do not give one."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An input to check an adapter with, and what is known of it apart from the adapter.

    `records` is how many it has, counted by somebody else. `absent` are (entity id, attribute) pairs that the source does not
    know, however it spells that (0 with a code, "-", "***"), and that must therefore not be there.
    """

    data: bytes = field(repr=False)
    records: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin = field(default_factory=lambda: SOMEWHERE)
    state: State = None
    absent: Sequence[tuple[str, str]] = ()


class AdapterContract:
    """The rules that every adapter obeys, as tests; a class of yours gives `adapter` and `samples`."""

    adapter: ClassVar[Adapter[Any]]
    samples: ClassVar[Sequence[Sample]]

    def test_samples_obey_the_contract(self) -> None:
        """Every rule of `violations`, for every sample."""
        assert self.samples, "an adapter without samples proves nothing"
        for sample in self.samples:
            assert violations(self.adapter, sample) == []

    def test_any_bytes_are_decoded_or_refused(self) -> None:
        """Mutilated samples and arbitrary bytes raise nothing but Undecodable, and what they give is well-formed."""
        adapter, samples = self.adapter, self.samples

        @settings(max_examples=EXAMPLES, deadline=None, database=None)
        @given(st.data())
        def check(data: st.DataObject) -> None:
            sample = data.draw(st.sampled_from(samples))
            bad = data.draw(st.one_of(st.binary(max_size=200), mutilated(sample.data)))
            options = read_options(adapter.options, sample.options)
            try:
                decoded = adapter.decode(bad, sample.origin, options, copy.deepcopy(sample.state))
            except Undecodable as refusal:
                assert str(refusal), "a refusal says why"  # noqa: PT017
                return
            assert list(shape_violations(decoded)) == []

        check()


@st.composite
def mutilated(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes that were an input once: cut, with some replaced, inserted or repeated."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(changed)))
        end = min(len(changed), start + draw(st.integers(0, 40)))
        changed[start:end] = draw(st.one_of(st.binary(max_size=8), st.just(bytes(changed[start:end]) * 2)))
    return bytes(changed[: draw(st.integers(0, len(changed)))] if draw(st.booleans()) else changed)


def violations(adapter: Adapter[Any], sample: Sample) -> list[str]:
    """What an adapter breaks with a sample, a sentence each; none is good. A sample must be decodable."""
    options = read_options(adapter.options, sample.options)

    def decode(data: bytes, origin: Origin, state: State) -> Decoded:
        return adapter.decode(data, origin, options, state)

    given_state = copy.deepcopy(sample.state)
    decoded = decode(sample.data, sample.origin, given_state)
    found = list(shape_violations(decoded))
    if given_state != sample.state:
        found.append("the decoder changed the state that it was given")
    again = decode(sample.data, sample.origin, copy.deepcopy(sample.state))
    if again != decoded:
        found.append("the same input gave something else the second time")
    later = _later(sample.origin)
    for where, other in (
        ("at another time", decode(sample.data, later, copy.deepcopy(sample.state))),
        ("after itself", decode(sample.data, later, copy.deepcopy(decoded.state))),
    ):
        if new := _ids(other) - _ids(decoded):
            found.append(f"the same input {where} names other things: {', '.join(sorted(new)[:3])}")
    if sample.records is not None and decoded.records != sample.records:
        found.append(f"the sample has {sample.records} records, and {decoded.records} were counted")
    if not adapter.stateful and decoded.state is not None:
        found.append("the decoder gives state, and the adapter is not declared `stateful`")
    for entity_id, name in sample.absent:
        if any(name in entity for entity in decoded.entities if entity.get("id") == entity_id):
            found.append(f"{entity_id} has {name}, which the source does not know")
    found += _provenance_violations(decoded, sample.origin)
    if adapter.excerpt is not None:
        for quarantined in decoded.quarantine:
            alone = decode(adapter.excerpt(sample.data, quarantined.record), sample.origin, copy.deepcopy(sample.state))
            if alone.records != 1:
                found.append(f"the excerpt of record {quarantined.row} has {alone.records} records")
    return found


def shape_violations(decoded: Decoded) -> Iterator[str]:
    """What is wrong with a decoder's answer, whatever the input was."""
    rows = [each.row for each in decoded.quarantine]
    if len(set(rows)) != len(rows):
        yield "a record is in the quarantine more than once"
    if decoded.records < 0 or decoded.accepted < 0:
        yield f"{decoded.repaired} repaired and {decoded.quarantined} quarantined of {decoded.records} records"
    for each in decoded.quarantine:
        if not (each.rule and each.reason):
            yield f"record {each.row} is in the quarantine without rule or reason"
    for repair in decoded.repairs:
        if repair.row in rows:
            yield f"record {repair.row} is in the quarantine and has repairs"
        if not repair.rule:
            yield f"a repair of record {repair.row} has no rule"
    try:
        orjson.dumps([decoded.state, dict(decoded.notes), [dict(each.record) for each in decoded.quarantine]])
    except TypeError as error:
        yield f"state, notes and quarantined records must be JSON values: {error}"
    for entity in decoded.entities:
        yield from entity_violations(entity)
    for entity_id in decoded.deleted:
        if _URN.fullmatch(entity_id) is None:
            yield f"{entity_id!r} is no URN in percent-encoded ASCII"


def entity_violations(entity: Entity) -> Iterator[str]:
    """What is wrong with an entity."""
    entity_id, kind = entity.get("id"), entity.get("type")
    if not isinstance(entity_id, str) or _URN.fullmatch(entity_id) is None:
        yield f"{entity_id!r} is no URN in percent-encoded ASCII"
    if not isinstance(kind, str) or not kind:
        yield f"{entity_id}: {kind!r} is no type"
        return
    model = models().get(kind)
    for name, attribute in entity.items():
        if name not in _NOT_ATTRIBUTES:
            for each in attribute if isinstance(attribute, list) else [attribute]:
                yield from _attribute_violations(f"{entity_id}: {name}", each)
                yield from _model_violations(f"{entity_id}: {name}", name, each, model)


def _attribute_violations(where: str, attribute: Any) -> Iterator[str]:
    if not isinstance(attribute, dict) or attribute.get("type") not in _VALUE_MEMBER:
        yield f"{where} is no attribute of a known kind"
        return
    member = _VALUE_MEMBER[attribute["type"]]
    if member not in attribute:
        yield f"{where} has no {member}"
    elif attribute[member] in ("", [], {}) or not _stated(attribute[member]):
        yield f"{where} says nothing with {attribute[member]!r}: what is missing is absent"
    observed_at = attribute.get("observedAt")
    if observed_at is not None and not _is_utc(observed_at):
        yield f"{where}: observedAt {observed_at!r} is no UTC instant"
    if "unitCode" in attribute and attribute["unitCode"] not in UNITS:
        yield f"{where}: the unit {attribute['unitCode']!r} is not in the list of units"
    for name, value in attribute.items():
        if name not in _MEMBERS:
            yield from _attribute_violations(f"{where}.{name}", value)


def _model_violations(where: str, name: str, attribute: Any, model: Model | None) -> Iterator[str]:
    if model is None or not isinstance(attribute, dict) or name in PROVENANCE:
        return
    known = model.attributes.get(name)
    if known is None:
        yield f"{where} is not in the model {model.type}"
    elif attribute.get("type") != known.kind:
        yield f"{where} is a {attribute.get('type')}, and in the model a {known.kind}"
    elif attribute.get("unitCode") != known.unit:
        yield f"{where} has the unit {attribute.get('unitCode')}, and in the model {known.unit}"


def _provenance_violations(decoded: Decoded, origin: Origin) -> Iterator[str]:
    for entity in decoded.entities:
        told = with_provenance(entity, origin)
        for name, wanted in (("source", origin.source), ("license", origin.licence)):
            said = told.get(name, {}).get("value")
            if wanted and not said:
                yield f"{entity.get('id')} loses its {name}"


def _stated(value: Any) -> bool:
    """Whether a JSON value has no null and no number that is none in it."""
    if isinstance(value, dict):
        return all(_stated(each) for each in value.values())
    if isinstance(value, list | tuple):
        return all(_stated(each) for each in value)
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _is_utc(text: object) -> bool:
    if not isinstance(text, str) or _UTC.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _later(origin: Origin) -> Origin:
    return replace(origin, received_at="2031-01-01T00:00:00.000Z")


def _ids(decoded: Decoded) -> set[str]:
    return {str(entity.get("id")) for entity in decoded.entities}
