"""The journal: what is claimed stays claimed, what is finished is finished at once, and what somebody may need is kept."""

import sqlite3

import pytest

from adapters.contract import Quarantined
from adapters.journal import FILE, Intake, Journal, JournalFailed
from adapters.quarantine import drop, held, original

AT = "2026-06-30T05:20:00.000Z"


def intake(data, **members):
    return Intake(data, "x", AT, **members)


def bad(line):
    return Quarantined(1, "", "no-reading", "It is none.", {"line": line})


async def claim(journal, *, most=10, lasting=False):
    return await journal.claim("feed", AT, most=most, most_bytes=1000, lasting=lasting)


async def finish(journal, group, *quarantined, state=None, lasting=False):
    records = [(group.inputs[0].id, each) for each in quarantined]
    await journal.finish("feed", group, AT, state, {"records": 1}, records, lasting=lasting)


async def test_a_group_that_was_claimed_is_the_same_in_the_next_life(tmp_path):
    async with await Journal.open(tmp_path) as journal:
        await journal.take_in("feed", [intake(b"1"), intake(b"2"), intake(b"3")])
        group = await claim(journal, most=2)
        await journal.advance("feed", 7, {"counts": {"created": 700}})
        await journal.take_in("feed", [intake(b"4")])
        identity = journal.identity
    async with await Journal.open(tmp_path) as journal:
        assert journal.identity == identity
        again = await claim(journal)
        assert (again.key, again.run, again.progress) == (group.key, group.run, 7)
        assert again.partial == {"counts": {"created": 700}}
        assert [each.data for each in again.inputs] == [b"1", b"2"]
        await finish(journal, again, state={"seen": 2})
        following = await claim(journal)
        assert following.key != group.key
        assert (following.progress, following.state) == (0, {"seen": 2})
        assert [each.data for each in following.inputs] == [b"3", b"4"]
        await finish(journal, following)
        assert await claim(journal) is None
        assert await journal.waiting("feed") == (0, 0)


async def test_a_group_is_bounded_in_bytes_but_has_one_input_at_least(tmp_path):
    async with await Journal.open(tmp_path) as journal:
        await journal.take_in("feed", [intake(b"x" * 2000), intake(b"1"), intake(b"y" * 999), intake(b"2")])
        sizes = []
        while (group := await claim(journal)) is not None:
            sizes.append([len(each.data) for each in group.inputs])
            await finish(journal, group)
        assert sizes == [[2000], [1, 999], [1]]


async def test_an_input_that_comes_again_is_known_by_its_name_among_the_last_ones(tmp_path):
    async with await Journal.open(tmp_path) as journal:
        assert await journal.take_in("feed", [intake(b"1", name="a"), intake(b"1", name="a")]) == 2
        assert await journal.take_in("feed", [intake(b"1", name="a", unless_among=10)]) == 0
        assert await journal.take_in("other", [intake(b"1", name="a", unless_among=10)]) == 1
        await journal.take_in("feed", [intake(b"2") for _ in range(10)])
        assert await journal.take_in("feed", [intake(b"1", name="a", unless_among=10)]) == 1


async def test_marks_are_kept_with_their_input_or_not_at_all(tmp_path):
    async with await Journal.open(tmp_path) as journal:
        await journal.take_in("feed", [intake(b"1", marks={"a": [1, "x"]})])
        broken = [intake(b"2", marks={"a": "later"}), intake("no bytes", marks={"b": 1})]
        with pytest.raises(TypeError):
            await journal.take_in("feed", broken)
        assert await journal.marks("feed") == {"a": [1, "x"]}
        assert (await journal.waiting("feed"))[0] == 1
        await journal.set_marks("feed", {"c": None}, ["a"])
        assert await journal.marks("feed") == {"c": None}


async def test_inputs_of_records_in_the_quarantine_are_kept_until_they_are_settled(tmp_path):
    async with await Journal.open(tmp_path) as journal:
        for number in range(6):
            await journal.take_in("feed", [intake(b"%d" % number)])
            group = await claim(journal)
            await finish(journal, group, *([bad("x")] if number == 0 else []))
        (record,) = await held(journal)
        assert await journal.trim("feed", keep_runs=2, keep_inputs=2) == [4, 3, 2, 1]
        assert (await original(journal, record.input)).data == b"0"
        await drop(journal, [record.id])
        await journal.trim("feed", keep_runs=2, keep_inputs=2)
        rows = await journal.perform(lambda c: c.execute("SELECT data FROM input ORDER BY id").fetchall())
        assert rows == [(b"4",), (b"5",)]


async def test_the_last_inputs_of_a_feed_are_kept_however_much_other_feeds_took_in(tmp_path):
    async with await Journal.open(tmp_path) as journal:
        for number in range(4):
            await journal.take_in("feed", [intake(b"%d" % number)])
            await finish(journal, await claim(journal))
            await journal.take_in("other", [intake(b"x")] * 20)
        await journal.take_in("feed", [intake(b"4")])
        await journal.trim("feed", keep_runs=2, keep_inputs=2)
        rows = await journal.perform(
            lambda c: c.execute("SELECT data FROM input WHERE feed = 'feed' ORDER BY id").fetchall()
        )
        assert rows == [(b"2",), (b"3",), (b"4",)], "what waits, and the last two that are done"


async def test_runs_that_last_take_up_group_after_group_until_they_are_closed(tmp_path):
    async with await Journal.open(tmp_path) as journal:
        seen = []
        for closing in (False, True, False):
            await journal.take_in("feed", [intake(b"1")])
            group = await claim(journal, lasting=True)
            seen.append(group.run)
            await journal.close_run("feed", AT, started_before="9999")  # not while a group is under way
            await finish(journal, group, lasting=True)
            if closing:
                await journal.close_run("feed", AT, started_before="9999")
        assert seen == [1, 1, 2]
        first, second = await journal.unpublished()
        assert (first.status, first.counts, second.status) == ("finished", {"records": 2}, "running")
        await journal.published([first, second])
        assert await journal.unpublished() == []


async def test_a_journal_that_cannot_be_opened_is_one_sentence(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(JournalFailed, match="cannot be opened"):
        await Journal.open(tmp_path)
    with pytest.raises(JournalFailed, match="cannot be opened"):
        await Journal.open(tmp_path / FILE)


async def test_the_journal_is_a_file_that_other_processes_may_read_meanwhile(tmp_path):
    async with await Journal.open(tmp_path) as journal:
        await journal.take_in("feed", [intake(b"1")])
        with sqlite3.connect(tmp_path / FILE) as other:
            assert other.execute("SELECT count(*) FROM input").fetchone() == (1,)
        other.close()


async def test_what_comes_again_is_known_however_much_other_feeds_took_in_meanwhile(tmp_path):
    async with await Journal.open(tmp_path) as journal:
        assert await journal.take_in("feed", [intake(b"1", name="a")]) == 1
        await journal.take_in("other", [intake(b"2")] * 20)
        assert await journal.take_in("feed", [intake(b"3", name="b")]) == 1
        assert await journal.take_in("feed", [intake(b"1", name="a", unless_among=2)]) == 0
        assert await journal.take_in("feed", [intake(b"1", name="a", unless_among=1)]) == 1


async def test_a_record_with_bytes_that_are_no_text_is_kept(tmp_path):
    async with await Journal.open(tmp_path) as journal:
        await journal.take_in("feed", [intake(b"1")])
        await finish(journal, await claim(journal), bad("a\udc80"))
        assert [each.record for each in await held(journal)] == [{"line": "a?"}]


async def test_a_journal_is_for_its_own_user_as_devices_keys_are_in_it(tmp_path):
    async with await Journal.open(tmp_path / "state"):
        assert (tmp_path / "state").stat().st_mode & 0o077 == 0
