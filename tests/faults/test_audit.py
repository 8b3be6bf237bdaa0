"""The audit can fail: each way in which a broker could break its promises, doctored into evidence that is in order."""

from dataclasses import replace

import pytest
from faults.audit import (
    Occurrence,
    broken_log,
    delivery,
    doubled_writes,
    false_refusals,
    half_written,
    lost_writes,
    overtaken_writes,
)
from faults.evidence import Evidence, Logged
from faults.receipt import Receipt, kept_line, read_journal
from faults.report import report
from faults.watch import Watch
from faults.write import Effect, Outcome, Write

A, B = ("", "urn:ngsi-ld:Reading:a"), ("", "urn:ngsi-ld:Reading:b")
LOG = [
    Logged(1, A, None, 1),
    Logged(2, B, None, 2),
    Logged(3, A, 1, 3),
    Logged(4, A, 3, 4),
    Logged(5, B, 2, None),
]
WATCH = Watch("watch", {}, frozenset({"broker killed", "receiver frozen"}), lambda change: True)


def write(number: int | None, entity: tuple[str, str], began: float, outcome: Outcome = "acknowledged") -> Write:
    return Write("update", [Effect(entity, number, outcome)], began, ended=began + 0.5)


@pytest.fixture
def writes() -> list[Write]:
    return [write(1, A, 1), write(2, B, 2), write(3, A, 3), write(4, A, 4), write(None, B, 5)]


@pytest.fixture
def evidence() -> Evidence:
    receipts = [
        Receipt(1.0 + change.sequence, "watch", f"n{change.sequence}", change.entity[1], change.after) for change in LOG
    ]
    return Evidence(list(LOG), {A: 4}, {A: [1, 3, 4], B: [2]}, {B}, receipts)


def wrong(writes: list[Write], evidence: Evidence, faults: list[Occurrence] | None = None) -> dict[str, int]:
    """How much of what is wrong is found, without what is not."""
    found = report("test", 1.0, faults or [], writes, [], evidence, [WATCH], 0)
    assert found.is_clean == (not any(found.wrong.values()))
    assert found.table()
    return {what: len(each) for what, each in found.wrong.items() if each}


def test_what_is_in_order_has_nothing_wrong(writes: list[Write], evidence: Evidence) -> None:
    assert wrong(writes, evidence) == {}


def test_a_write_without_an_answer_may_be_there_or_not(writes: list[Write], evidence: Evidence) -> None:
    writes[2].effects[0].outcome = "unknown"
    writes.append(write(9, B, 9, "unknown"))
    assert wrong(writes, evidence) == {}


def test_an_acknowledged_write_that_is_nowhere_is_lost(writes: list[Write], evidence: Evidence) -> None:
    writes.append(write(9, A, 9))
    assert wrong(writes, evidence) == {"lost writes": 1}
    assert "9 of ('', 'urn:ngsi-ld:Reading:a'): not in the log" in lost_writes(writes, evidence)[0]


def test_an_acknowledged_deletion_that_did_not_happen_is_lost(writes: list[Write], evidence: Evidence) -> None:
    writes.append(write(None, A, 9))
    assert len(lost_writes(writes, evidence)) == 1


def test_a_change_that_is_not_in_the_history_is_lost(writes: list[Write], evidence: Evidence) -> None:
    evidence.history[A].remove(3)
    assert "not in the history" in lost_writes(writes, evidence)[0]


def test_a_deletion_that_is_not_in_the_history_is_lost(writes: list[Write], evidence: Evidence) -> None:
    evidence.deleted.clear()
    assert len(lost_writes(writes, evidence)) == 1


@pytest.mark.parametrize("states", [{A: 3}, {}, {A: 4, B: 2}, {A: 4, ("east", "urn:ngsi-ld:Reading:a"): 4}])
def test_a_state_that_is_not_the_last_of_the_log_is_lost(writes: list[Write], evidence: Evidence, states: dict) -> None:
    assert len(lost_writes(writes, replace(evidence, states=states))) == 1


def test_what_was_refused_and_is_there_is_found(writes: list[Write], evidence: Evidence) -> None:
    writes[2].effects[0].outcome = "refused"
    assert wrong(writes, evidence) == {"refused writes that are there": 1}


def test_what_nobody_has_written_is_found(writes: list[Write], evidence: Evidence) -> None:
    assert len(false_refusals(writes[:2] + writes[3:], evidence.log)) == 1


def test_a_write_that_was_to_be_whole_and_is_half_there_is_found(writes: list[Write], evidence: Evidence) -> None:
    batch = Write("upsert", [Effect(A, 3, "unknown"), Effect(B, 3, "unknown")], 3, whole=True)
    assert len(half_written([batch], evidence.log)) == 1
    batch.whole = False
    assert half_written([batch], evidence.log) == []


def test_a_write_that_had_its_effect_twice_is_found(writes: list[Write], evidence: Evidence) -> None:
    again = replace(evidence, log=[*LOG, Logged(6, A, 4, 3)])
    assert [each for each in doubled_writes(again) if "in the log" in each]
    evidence.history[A].append(4)
    assert [each for each in doubled_writes(evidence) if "in the history" in each]


def test_a_gap_in_the_log_is_found(evidence: Evidence) -> None:
    assert broken_log(replace(evidence, log=[*LOG[:4], replace(LOG[4], sequence=6)])) == ["6 follows on 4"]


def test_a_change_on_a_state_that_never_was_is_found(evidence: Evidence) -> None:
    lost_update = [*LOG[:3], Logged(4, A, 1, 4), LOG[4]]
    assert len(broken_log(replace(evidence, log=lost_update))) == 1


def test_a_history_in_another_order_is_found(writes: list[Write], evidence: Evidence) -> None:
    evidence.history[A].reverse()
    assert wrong(writes, evidence) == {"breaks of the log's order": 1}


def test_a_write_that_overtakes_an_acknowledged_one_is_found(writes: list[Write], evidence: Evidence) -> None:
    writes[2].began, writes[2].ended = 8.0, 8.5
    assert len(overtaken_writes(writes, evidence.log)) == 1
    writes[2].began = 4.2  # both were under way at the same time: then either order will do
    assert overtaken_writes(writes, evidence.log) == []


def test_a_change_of_which_nobody_was_told_is_a_lost_notification(writes: list[Write], evidence: Evidence) -> None:
    del evidence.receipts[2]
    assert wrong(writes, evidence) == {"lost notifications": 1}


def test_a_deletion_of_which_nobody_was_told_is_a_lost_notification(writes: list[Write], evidence: Evidence) -> None:
    del evidence.receipts[4]
    assert wrong(writes, evidence) == {"lost notifications": 1}


def test_a_notification_of_what_did_not_happen_is_found(writes: list[Write], evidence: Evidence) -> None:
    evidence.receipts.append(Receipt(9.0, "watch", "n9", A[1], 9))
    assert wrong(writes, evidence) == {"notifications of what did not happen": 1}


def test_a_notification_that_comes_again_under_another_id_is_no_repetition(
    writes: list[Write], evidence: Evidence
) -> None:
    evidence.receipts.append(Receipt(9.0, "watch", "n9", A[1], 4))
    assert wrong(writes, evidence) == {"notifications of what did not happen": 1}


def test_what_does_not_concern_a_subscription_is_not_owed(evidence: Evidence) -> None:
    even = replace(WATCH, concerns=lambda change: change.after == 4)
    found = delivery(even, evidence.log, [evidence.receipts[3]], [])
    assert (found.owed, found.lost, found.invented) == (1, [], [])
    assert len(delivery(even, evidence.log, evidence.receipts, []).invented) == 4


def test_a_later_change_that_comes_first_is_out_of_order(writes: list[Write], evidence: Evidence) -> None:
    receipts = evidence.receipts
    receipts[2], receipts[3] = receipts[3], receipts[2]
    assert wrong(writes, evidence) == {"notifications out of order": 1}


def test_entities_have_no_order_among_each_other(writes: list[Write], evidence: Evidence) -> None:
    receipts = evidence.receipts
    receipts[0], receipts[1] = receipts[1], receipts[0]
    assert wrong(writes, evidence) == {}


def test_a_repetition_after_a_fault_is_explained_by_the_last_one_and_is_no_disorder(
    writes: list[Write], evidence: Evidence
) -> None:
    evidence.receipts.append(evidence.receipts[2]._replace(at=30.0))
    before = Occurrence("receiver frozen", 10.0, 11.0)
    kill = Occurrence("broker killed", 20.0, 21.0)
    after = Occurrence("receiver frozen", 31.0, 32.0)
    other = Occurrence("mosquitto killed", 25.0, 26.0)
    assert wrong(writes, evidence, [before, kill, other, after]) == {}
    assert delivery(WATCH, LOG, evidence.receipts, [before, kill, other, after]).repeated == {"broker killed": 1}


def test_a_repetition_without_a_fault_is_found(writes: list[Write], evidence: Evidence) -> None:
    evidence.receipts.append(evidence.receipts[2]._replace(at=30.0))
    assert wrong(writes, evidence, [Occurrence("mosquitto killed", 20.0, 21.0)]) == {
        "repetitions that no fault explains": 1
    }


def test_a_journal_that_a_kill_has_cut_off_keeps_what_was_answered(tmp_path) -> None:
    receipt = Receipt(1.5, "watch", "n1", A[1], None)
    journal = tmp_path / "journal"
    journal.write_bytes(kept_line(receipt) + kept_line(receipt)[:20] + b"\n" + kept_line(receipt) + b'[1.5, "wat')
    assert read_journal(journal) == [receipt, receipt]
    assert read_journal(tmp_path / "none") == []
