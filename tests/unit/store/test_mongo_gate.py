"""A gate: many go through it side by side, or one alone."""

import asyncio

from broker.store.mongo.gate import Gate


async def test_who_wants_to_be_alone_waits_for_those_inside_and_later_ones_wait_for_him() -> None:
    gate, seen = Gate(), list[str]()
    go = asyncio.Event()

    async def together(name: str, until: asyncio.Event | None = None) -> None:
        async with gate.together():
            seen.append(name)
            if until is not None:
                await until.wait()

    async def alone() -> None:
        async with gate.alone():
            seen.append("alone")
            await asyncio.sleep(0)

    first = [asyncio.create_task(together(name, go)) for name in ("a", "b")]
    await asyncio.sleep(0)
    rest = [asyncio.create_task(alone()), asyncio.create_task(together("c"))]
    await asyncio.sleep(0.01)
    assert seen == ["a", "b"]
    go.set()
    await asyncio.gather(*first, *rest)
    assert seen == ["a", "b", "alone", "c"]


async def test_who_is_cancelled_while_he_waits_leaves_the_gate_open() -> None:
    gate = Gate()

    async def alone() -> None:
        async with gate.alone():
            raise AssertionError("there was somebody inside")

    async with gate.together():
        waiting = asyncio.create_task(alone())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        async with gate.together():
            pass
    async with gate.alone():
        pass
