"""The state machine of commands under any sequence of requests, polls, answers, faults, restarts and time."""

import asyncio
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.actuation import record
from adapters.actuation.asking import Asked, instant_text
from adapters.actuation.contract import Carried, CommandTarget, Outcome, TryLater, Undeliverable
from adapters.actuation.deciding import Submission
from adapters.actuation.desk import Desk
from adapters.actuation.interlock import Interlocks
from adapters.actuation.policy import parse_policy
from adapters.actuation.problem import Refused
from adapters.actuation.record import FINAL, State
from adapters.journal import Journal

TOKEN = "a-token-of-the-office"
POLICY = parse_policy(
    {
        "expires": 10.0,
        "answer_within": 5.0,
        "principals": {"office": {"tokens": [TOKEN]}},
        "allow": [{"principals": ["office"], "groups": ["g"], "commands": ["*"]}],
    },
    "here",
)
TARGET = CommandTarget("", "urn:ngsi-ld:Gate:1", "Gate", "gate1", "g", ("open", "close"), "fake")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(["open", "close"]), st.integers(0, 4)),
        st.tuples(st.just("behave"), st.sampled_from([*Outcome, "away", "no", "broken"])),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 3.0, 11.0])),
        st.tuples(st.just("answer"), st.sampled_from(["open", "close"]), st.booleans()),
        st.tuples(st.just("poll")),
        st.tuples(st.just("restart")),
        st.tuples(st.just("withdraw")),
    ),
    max_size=14,
)


class World:
    """A device and a clock of the test's own."""

    def __init__(self):
        self.seconds = 1_800_000_000.0
        self.behaviour = Outcome.DELIVERED
        self.carried = []
        self.polled = []

    def now(self):
        self.seconds += 0.001
        return instant_text(datetime.fromtimestamp(self.seconds, UTC))

    async def carry(self, command):
        self.carried.append((command, self.now()))
        match self.behaviour:
            case "away":
                raise TryLater("away")
            case "no":
                raise Undeliverable("no")
            case "broken":
                raise ConnectionResetError("broken")
        if self.behaviour is Outcome.WAITING:
            self.carried.pop()
        return Carried(self.behaviour, "said")


async def live(folder, world, steps):
    journal = await Journal.open(folder)
    interlocks = Interlocks("http://127.0.0.1:9", "")
    desk = await opened(journal, interlocks, world)
    for step in steps:
        match step:
            case ("ask", name, key):
                asked = Submission("", TARGET.entity_id, (Asked(name, key, f"k{key}"),), f"Bearer {TOKEN}")
                try:
                    await desk.deciding.submit(asked)
                except Refused as refusal:
                    assert refusal.status == 404  # noqa: PT017 - withdrawn
            case ("behave", behaviour):
                world.behaviour = behaviour
            case ("wait", seconds):
                world.seconds += seconds
            case ("answer", name, error):
                await desk.answered("", "gate1", name, "said", error=error)
            case ("poll",):
                handed = await desk.waiting("", "gate1")
                world.polled += [(command, world.now()) for command in handed]
            case ("restart",):
                await desk.close()
                await journal.close()
                journal = await Journal.open(folder)
                desk = await opened(journal, interlocks, world)
            case ("withdraw",):
                await desk.withdraw("", ["gate1"])
        await settle(desk)
    world.seconds += 3600
    for _ in range(3):
        await settle(desk)
    events = await journal.perform(
        lambda c: c.execute("SELECT command, state FROM command_event ORDER BY number").fetchall()
    )
    entries = await journal.perform(lambda connection: record.last(connection, 1000))
    await desk.close()
    await journal.close()
    return entries, events


async def opened(journal, interlocks, world):
    desk = Desk(journal, POLICY, interlocks, world.now)
    await desk.open()
    await desk.announce([TARGET])
    desk.carriers({"fake": world})
    return desk


async def settle(desk):
    """Let what can be carried be carried, and end what has come to its time."""
    for _ in range(3):
        tasks = list(desk.carrying._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=0.01)
    for entry in await desk._overdue():
        await desk._expire(entry)


@settings(max_examples=12, deadline=None)
@given(STEPS)
def test_any_sequence_ends_every_command_and_carries_each_at_most_once_and_never_late(steps):
    world = World()
    with tempfile.TemporaryDirectory() as folder:
        entries, events = asyncio.run(live(Path(folder), world, steps))
    assert all(entry.state in FINAL and entry.deadline is None for entry in entries)
    assert all(at < command.expires_at for command, at in world.polled)
    assert all(at <= command.expires_at for command, at in world.carried)
    reached = [command.id for command, _ in world.polled]
    assert len(set(reached)) == len(reached)
    for entry in entries:
        states = [state for command, state in events if command == entry.command.id]
        assert states[0] == State.QUEUED
        assert any(state in FINAL for state in states)
        tries = sum(command.id == entry.command.id for command, _ in world.carried)
        assert tries <= 1 + states.count(State.QUEUED) - 1, "carried again without having been put back"
    keys = [(entry.command.name, entry.command.key) for entry in entries]
    assert len(set(keys)) == len(keys)
