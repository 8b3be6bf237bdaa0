"""What a ledger puts on record, and when: whatever its watermark has passed is done or on record, at every moment.

The model does to courses and their ledger what may happen to them in any order: changes are matched, notifications arrive or
fail, courses fall behind and read the log again, drafts are written, refused by the store, or sent off without an answer. After
each save the process may be killed: what another one then finds in the store must contain everything that has not arrived.
"""

import random
from typing import Any, Final

import pytest
from delivery_samples import NOW, subscription_document

from broker.delivery.course import Course
from broker.delivery.ledger import PATIENCE, Draft, Ledger
from broker.delivery.record import restored_course
from broker.delivery.subscription import compile_subscription
from broker.delivery.takeover import Estate, _resume
from broker.delivery.tally import Tally
from broker.store.protocol import Lease

IDS: Final = ("urn:s:1", "urn:s:2")
ENTITIES: Final = ("a", "b", "c")
NAME: Final = "delivery/1"


def course_of(identifier: str) -> Course:
    return Course(compile_subscription("", subscription_document(identifier)), Tally(), 0)


def test_a_course_that_is_owed_more_while_it_is_put_on_record_stays_on_record() -> None:
    """It was counted among those that only hold the watermark back, though that had passed it: nobody knew of `b` any more."""
    now = [0.0]
    course = course_of(IDS[0])
    ledger = Ledger(NAME, 0, [], lambda: now[0])
    for position, entity in ((1, "a"), (2, "b")):
        course.push(position, entity)
        ledger.owed(course)
        assert course.take(0.0) == (position,)
    course.failed((1,), 0.0, unanswered=True)
    ledger.attempted(course)
    first = ledger.draft(2, counts=False)
    assert first.watermark == 2
    assert [document.body["lag"]["pending"] for document in first.documents] == [[(1, "a"), (2, "b")]]
    course.delivered((1,))  # while the draft is written
    ledger.attempted(course)
    course.push(3, "c")
    ledger.owed(course)
    ledger.written(first)
    now[0] = PATIENCE / 2
    (document,) = ledger.draft(3, counts=True).documents
    assert document.body["lag"]["pending"] == [(2, "b")], "the watermark is at 2"


def test_a_course_that_has_nothing_outstanding_keeps_no_ledger_busy() -> None:
    """It was owed more while it was put on record, so it was there twice, and left one of the two for ever."""
    course = course_of(IDS[0])
    ledger = Ledger(NAME, 0, [], lambda: 0.0)
    course.push(1, "a")
    ledger.owed(course)
    course.failed((1,), 0.0, unanswered=True)
    ledger.attempted(course)
    first = ledger.draft(1, counts=False)
    course.push(2, "b")  # while the draft is written
    ledger.owed(course)
    ledger.written(first)
    course.delivered((1, 2))
    ledger.attempted(course)
    ledger.written(ledger.draft(2, counts=True))
    assert not ledger.is_busy


def test_a_watermark_that_may_have_been_moved_counts_as_moved_and_is_written_again() -> None:
    course = course_of(IDS[0])
    ledger = Ledger(NAME, 0, [], lambda: 0.0)
    ledger.failed(ledger.draft(2, counts=True))
    course.push(2, "a")  # it had been behind, and reads on
    ledger.owed(course)
    draft = ledger.draft(2, counts=False)
    assert draft.cursors[NAME] == 2
    assert [document.body["lag"]["pending"] for document in draft.documents] == [[]], "never sent: to be matched again"
    ledger.written(draft)
    assert ledger.draft(2, counts=False).is_empty


class Model:
    """`matches` is what the log holds for each course, `head` how far it was matched. `rows` and `cursors` are the store's."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.now = 0.0
        self.head = 0
        self.matches: dict[str, dict[int, str]] = {each: {} for each in IDS}
        self.arrived: dict[str, set[int]] = {each: set() for each in IDS}
        self.rows: dict[str, dict[str, Any]] = {}
        self.cursors = {NAME: 0}
        self.draft: Draft | None = None
        self.courses = {each: course_of(each) for each in IDS}
        self.ledger = Ledger(NAME, 0, [], lambda: self.now)

    def step(self) -> None:
        """Let anything happen."""
        actions = (
            self.match,
            self.match,
            self.read_on,
            self.send,
            self.send,
            self.land,
            self.land,
            self.wait,
            self.save,
        )
        self.chance.choice(actions)()
        if self.chance.random() < 0.01:
            self.die()

    def match(self) -> None:
        """Live matching meets one more change."""
        self.head += 1
        entity = self.chance.choice(ENTITIES)
        for identifier in self.chance.sample(IDS, self.chance.randint(0, 2)):
            self.matches[identifier][self.head] = entity
            course = self.courses[identifier]
            if course.behind is None:
                if not course.push(self.head, entity):
                    course.behind = self.head
                self.ledger.owed(course)

    def read_on(self) -> None:
        """A course that is behind reads some of the log, as broker.delivery.replay does."""
        identifier = self.chance.choice(IDS)
        course = self.courses[identifier]
        for _ in range(self.chance.randint(1, 4)):
            if course.behind is None:
                return
            entity = self.matches[identifier].get(course.behind)
            if entity is not None and not course.push(course.behind, entity):
                return
            course.behind += 1
            if course.behind > self.head:
                course.through = max(course.through, course.behind - 1)
                course.behind = None
            self.ledger.owed(course)

    def send(self) -> None:
        self.courses[self.chance.choice(IDS)].take(self.now)

    def land(self) -> None:
        """Something that is under way arrives, or fails."""
        identifier = self.chance.choice(IDS)
        course = self.courses[identifier]
        if not course.flying:
            return
        position = self.chance.choice(sorted(course.flying))
        if self.chance.random() < 0.7:
            self.arrived[identifier].add(position)
            course.delivered((position,))
        else:
            course.failed((position,), self.now, unanswered=True)
        self.ledger.attempted(course)

    def wait(self) -> None:
        self.now += self.chance.choice((0.03, PATIENCE))

    def save(self) -> None:
        """Begin to write a draft, or end that; what was to be written may be there or not where it failed."""
        if self.draft is None:
            self.draft = self.ledger.draft(
                self.head, counts=self.chance.random() < 0.5, final=self.chance.random() < 0.1
            )
            return
        draft, self.draft = self.draft, None
        result = self.chance.choice(("written", "written", "written", "failed", "unknown", "refused"))
        keys = {("", self.chance.choice(IDS))} & draft.keys if result == "refused" else set()
        if result != "failed":
            cursors, drops = draft.without(keys)
            self.rows |= {each.id: each.body for each in draft.documents if ("", each.id) not in keys}
            self.cursors = {name: at for name, at in (self.cursors | cursors).items() if name not in drops}
        if result in ("failed", "unknown"):
            self.ledger.failed(draft)
        else:
            self.ledger.written(draft, keys)
        self.check()

    def die(self) -> None:
        """Another process takes over, and matches again behind the watermark."""
        self.courses = self.found()
        self.draft = None
        self.ledger = Ledger(NAME, self.cursors[NAME], self.courses.values(), lambda: self.now)
        for course in self.courses.values():
            if course.behind is not None:
                self.ledger.owed(course)
            for position in range(self.cursors[NAME] + 1, self.head + 1):
                entity = self.matches[course.subscription.id].get(position)
                if entity is not None and course.behind is None and position > course.through:
                    if not course.push(position, entity):
                        course.behind = position
                    self.ledger.owed(course)

    def found(self) -> dict[str, Course]:
        """The courses as another process would have them."""
        estate = Estate(1, Lease(NAME, "another", 2), self.cursors[NAME], self.cursors[NAME], 0)
        courses = {}
        for identifier in IDS:
            course = restored_course("", subscription_document(identifier), self.rows.get(identifier, {}), NOW)
            assert course is not None
            _resume(course, estate, is_new=False)
            courses[identifier] = course
        return courses

    def check(self) -> None:
        """What has not arrived is found again."""
        for identifier, course in self.found().items():
            from_log = course.through + 1 if course.behind is None else course.behind
            for position in self.matches[identifier].keys() - self.arrived[identifier]:
                assert position in course.pending or position >= from_log, (identifier, position, self.cursors)


def test_whatever_happens_in_whichever_order_what_has_not_arrived_is_found_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("broker.delivery.course.ROOM", 3)
    monkeypatch.setattr("broker.delivery.course.pause_after", lambda failures: 0.05)
    for seed in range(200):  # 182 is one in which a course was fresh and on record at the same time
        model = Model(random.Random(seed))
        for _ in range(150):
            model.step()
