"""What waits for the next turn is what came since the last one began."""

from __future__ import annotations

from tests.wheel.conftest import Domain

from flywheel.learn.feedback import FeedbackLine
from flywheel.wheel import feedback, turn
from flywheel.wheel.pending import Pending, pending


def edit(domain: Domain, question: str, answer: str, evidence: str) -> None:
    line = FeedbackLine(kind="edit", question=question, answer=answer, evidence=[evidence])
    feedback.accept(domain.workspace, [line.to_feedback("owner", "ines")])


def test_all_waits_before_the_first_turn(blank: Domain) -> None:
    assert pending(blank.workspace).is_empty
    blank.write("doors.md", "# Doors\n\nThe child lock sits on the edge of each rear door.\n")
    blank.write("车窗.md", "# 车窗\n\n儿童锁在后车门的边缘。用钥匙转动它即可锁上。\n")
    blank.add()
    found = pending(blank.workspace)
    assert (found.since, found.num_added, found.num_documents) == (None, 2, 2)
    assert not found.is_empty


def test_nothing_waits_after_a_turn(domain: Domain) -> None:
    found = pending(domain.workspace)
    assert found.is_empty and found.since is not None and found.num_documents == 4


def test_documents_wait_by_what_became_of_them(domain: Domain) -> None:
    domain.write("tyres.md", "# Tyres\n\nThe tyre pressure is 2.4 bar in front.\n")
    domain.write("车窗.md", "# 车窗\n\n## 儿童锁\n\n儿童锁在前车门的边缘。用钥匙转动它即可锁上。\n")
    (domain.documents / "doors.md").unlink()
    domain.add()
    found = pending(domain.workspace)
    assert (found.num_added, found.num_changed, found.num_deleted) == (1, 1, 1)
    domain.turn()
    assert pending(domain.workspace).is_empty


def test_feedback_and_corrections_wait(domain: Domain) -> None:
    edit(
        domain,
        "Where is the child lock?",
        "On the edge of each rear door.",
        "The child lock sits on the edge of each rear door.",
    )
    edit(domain, "儿童锁在哪里？", "在后车门的边缘。", "儿童锁在后车门的边缘。")
    found = pending(domain.workspace)
    assert (found.num_acts, found.num_corrections) == (2, 2)
    domain.turn()
    assert pending(domain.workspace).is_empty


def test_what_comes_while_a_turn_runs_waits_for_the_next(domain: Domain) -> None:
    has_come = False

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal has_come
        if not has_come:
            has_come = True
            edit(domain, "儿童锁在哪里？", "在后车门的边缘。", "儿童锁在后车门的边缘。")

    domain.write("tyres.md", "# Tyres\n\nThe tyre pressure is 2.4 bar in front.\n")
    domain.add()
    turn.turn(domain.workspace, progress)
    found = pending(domain.workspace)
    assert has_come
    assert (found.num_added, found.num_acts, found.num_corrections) == (0, 1, 1)


def test_counts_of_what_is_gone_are_never_below_zero(domain: Domain) -> None:
    (domain.documents / "doors.md").unlink()
    domain.add()
    domain.turn()
    domain.write("doors.md", "# Doors\n\nThe child lock sits on the edge of each rear door.\n")
    domain.add()
    found: Pending = pending(domain.workspace)
    assert min(found.num_added, found.num_changed, found.num_deleted) >= 0
    assert not found.is_empty
