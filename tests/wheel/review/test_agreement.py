"""How far curators agree, by what several of them have said of one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.wheel.reviewing import OLAF, at, correct, suggest

from flywheel.records import Feedback, Role
from flywheel.wheel import feedback
from flywheel.wheel.review import agreement as curator_agreement
from flywheel.wheel.review.agreement import Agreement, agreement, measure

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

    from flywheel.wheel.workspace import Workspace

QUESTION = "Where is the jack?"


@pytest.fixture
def workspace(blank: Domain) -> Workspace:
    return blank.workspace


def rate(
    workspace: Workspace, user: str, kind: str, role: Role = "curator", second: int = 5
) -> None:
    act = Feedback(
        id=f"{user}{second}", kind=kind, user=user, role=role, at=at(second),  # type: ignore[arg-type]
        question=QUESTION, answer="In the boot.",
    )  # fmt: skip
    feedback.accept(workspace, [act])


def pairs(found: Agreement) -> list[tuple[str, str, int, float]]:
    return [(each.one, each.other, each.num, each.agreed.value) for each in found.pairs]


def test_nobody_has_judged_anything_yet(workspace: Workspace) -> None:
    found = agreement(workspace)
    assert (found.alpha, found.num, found.verdict, found.pairs) == (None, 0, "too few", ())


def test_curators_who_give_different_answers_disagree_on_both(workspace: Workspace) -> None:
    correct(workspace, "c1", QUESTION, "In the boot.", "ines")
    correct(workspace, "c2", QUESTION, "Under the seat.", "olaf")
    assert pairs(agreement(workspace)) == [("ines", "olaf", 2, 0.0)]


def test_curators_who_give_the_same_answer_in_other_spelling_agree(workspace: Workspace) -> None:
    correct(workspace, "c1", QUESTION, "In the boot.", "ines")
    correct(workspace, "c2", QUESTION, "in the BOOT", "olaf")
    assert pairs(agreement(workspace)) == [("ines", "olaf", 1, 1.0)]


def test_confirming_and_withdrawing_says_right_and_wrong(workspace: Workspace) -> None:
    correct(workspace, "c1", QUESTION, "In the boot.", "ines")
    feedback.withdraw(workspace, "c1", by=OLAF)
    suggest(workspace, "s1", "Where is the fuse?", "Behind the lid.")
    feedback.confirm(workspace, "s1", by=OLAF)
    assert pairs(agreement(workspace)) == [("ines", "olaf", 1, 0.0)]


def test_latest_rating_counts_and_askers_do_not(workspace: Workspace) -> None:
    rate(workspace, "ines", "down")
    rate(workspace, "ines", "up", second=6)
    rate(workspace, "olaf", "bookmark")
    rate(workspace, "ada", "down", role="asker")
    assert pairs(agreement(workspace)) == [("ines", "olaf", 1, 1.0)]


@pytest.mark.parametrize(("num_apart", "verdict"), [(0, "good"), (15, "look")])
def test_verdict_is_that_of_preference_health(num_apart: int, verdict: str) -> None:
    units = {
        ("q", str(number)): {
            "ines": number % 2 == 0,
            "olaf": (number % 2 == 0) != (number < num_apart),
        }
        for number in range(30)
    }
    found = measure(units)
    assert (found.num, found.verdict) == (30, verdict)
    assert found.alpha is not None


def test_beside_many_acts_ratings_are_counted_a_minute_later(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(curator_agreement, "FEW", 0)
    monkeypatch.setattr(curator_agreement, "_clock", lambda: now)
    correct(workspace, "c1", QUESTION, "In the boot.", "ines")
    assert agreement(workspace).num == 0
    rate(workspace, "olaf", "up")
    assert agreement(workspace).num == 0
    now += curator_agreement.STANDS_SECONDS + 1
    assert agreement(workspace).num == 1
    correct(workspace, "c2", QUESTION, "Under the seat.", "olaf")
    assert agreement(workspace).num == 2, "a correction counts at once"


def test_pairs_that_judged_most_are_listed() -> None:
    users = [f"u{number:02}" for number in range(9)]
    units = {("q", "a"): dict.fromkeys(users, True), ("q", "b"): {"u07": True, "u08": False}}
    found = measure(units)
    assert len(found.pairs) == curator_agreement.MOST_PAIRS < 9 * 8 // 2
    assert (found.pairs[0].one, found.pairs[0].other, found.pairs[0].num) == ("u07", "u08", 2)
    assert [each.one for each in found.pairs[1:9]] == ["u00"] * 8
