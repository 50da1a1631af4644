"""The series of what users say of answers: counted from what stands, and never by the gate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flywheel.records import Answer, Feedback, FeedbackKind, Interaction
from flywheel.store import feedback as feedback_store
from flywheel.store import interactions, ratings
from flywheel.wheel.exam import fresh_feedback
from flywheel.wheel.exam.fresh_feedback import Series

if TYPE_CHECKING:
    import pytest
    from tests.wheel.conftest import Domain

NOW = datetime(2026, 5, 6, 12, tzinfo=UTC)
"""A Wednesday."""


def answer(kind: str = "answer") -> Answer:
    return Answer(
        question="q", answer="a", draft="a", kind=kind, confidence=0.5, citations=(), passages=()  # type: ignore[arg-type]
    )  # fmt: skip


def ask(domain: Domain, id: str, at: str, version: int = 1, kind: str = "answer") -> None:
    asked = Interaction(
        id=id, question="q", candidates=(answer(kind),), version=version, user="bo", at=at
    )
    domain.workspace.database.write(lambda conn: interactions.put(conn, asked))


def say(
    domain: Domain, id: str, kind: FeedbackKind, at: str = "2026-05-06T13", **values: object
) -> None:
    said = {"user": "bo", "candidate": 0} | values
    act = Feedback(
        id=f"{id}-{kind}-{at}", kind=kind, role="asker", at=at, interaction=id,
        **said,  # type: ignore[arg-type]
    )  # fmt: skip
    domain.workspace.database.write(
        lambda conn: feedback_store.put_all(conn, [act], {act.id: "content"})
    )


def count(domain: Domain) -> Series:
    return fresh_feedback._count(domain.workspace, NOW)


def test_answers_are_counted_by_day_week_and_version(domain: Domain) -> None:
    ask(domain, "a", "2026-05-06T09:00:00+00:00", version=2)
    ask(domain, "b", "2026-05-04T09:00:00+00:00")
    ask(domain, "c", "2026-05-03T09:00:00+00:00", kind="abstain")
    ask(domain, "old", "2024-01-01T09:00:00+00:00")
    say(domain, "a", "up")
    say(domain, "b", "down")
    say(domain, "b", "up", user="kim")
    counted = count(domain)
    assert [(each.name, each.asked, each.answered) for each in counted.days] == [
        ("2026-05-03", 1, 0), ("2026-05-04", 1, 1), ("2026-05-06", 1, 1),
    ]  # fmt: skip
    assert [(each.name, each.rated, each.liked) for each in counted.weeks] == [
        ("2026-04-27", 0, 0), ("2026-05-04", 2, 1),
    ]  # fmt: skip
    assert [(each.name, each.asked) for each in counted.versions] == [("2", 1), ("1", 2)]
    week = counted.weeks[-1].share_liked
    assert week is not None and week.value == 0.5 and week.low < 0.2 < 0.8 < week.high
    assert counted.weeks[0].share_liked is None


def test_what_was_taken_back_or_said_of_another_candidate_does_not_count(domain: Domain) -> None:
    for id in ("a", "b", "c", "d"):
        ask(domain, id, "2026-05-06T09:00:00+00:00")
    say(domain, "a", "flag", at="2026-05-06T10")
    say(domain, "a", "retract", at="2026-05-06T11")
    say(domain, "b", "down", candidate=1)
    say(domain, "c", "edit", at="2026-05-06T10", candidate=None)
    say(domain, "c", "retract", at="2026-05-06T11")
    say(domain, "d", "bookmark")
    [point] = count(domain).weeks
    assert (point.asked, point.rated, point.edits, point.flags) == (4, 1, 1, 0)


def test_erased_question_is_counted_no_more(domain: Domain) -> None:
    ask(domain, "a", "2026-05-06T09:00:00+00:00")
    say(domain, "a", "up")
    assert count(domain).weeks
    from flywheel.wheel.erasure.erase import erase

    erase(domain.workspace, "interaction", "a")
    assert count(domain).weeks == ()


def test_counts_are_kept_for_whoever_looks_again(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    real = ratings.count_days

    def counting(*arguments: object) -> object:
        calls.append(arguments)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ratings, "count_days", counting)
    first = fresh_feedback.series(domain.workspace)
    assert fresh_feedback.series(domain.workspace) is first and len(calls) == 1
    monkeypatch.setattr(fresh_feedback, "KEPT_SECONDS", 0.0)
    assert fresh_feedback.series(domain.workspace) is not first
