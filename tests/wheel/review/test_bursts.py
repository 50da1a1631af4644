"""Bursts are those of learn/trust.py, and known at once where there are few acts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from flywheel.records import Feedback, Role
from flywheel.wheel import quarantine
from flywheel.wheel.erasure.erase import erase
from flywheel.wheel.feedback import accept
from flywheel.wheel.review import bursts as module
from flywheel.wheel.review.bursts import bursts

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def acts(user: str, num: int, role: Role = "asker") -> list[Feedback]:
    return [
        Feedback(
            id=f"{user}{number:02}",
            kind="down",
            user=user,
            role=role,
            at=(BEGAN + timedelta(seconds=number)).isoformat(),
            question=f"Where is part {number}?",
            answer="Here.",
        )
        for number in range(num)
    ]


def test_bursts_are_those_that_wait_in_quarantine(blank: Domain) -> None:
    assert bursts(blank.workspace) == ()
    accept(blank.workspace, [*acts("ada", 22), *acts("bo", 3), *acts("ines", 30, "curator")])
    (burst,) = bursts(blank.workspace)
    held = [each.act.id for each in quarantine.quarantined(blank.workspace)]
    assert (burst.user, list(burst.acts)) == ("ada", held)
    assert len(held) == 22


def test_many_acts_are_looked_through_meanwhile(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(module, "FEW", 5)
    monkeypatch.setattr(module, "_clock", lambda: now)
    accept(blank.workspace, acts("bo", 6))
    assert bursts(blank.workspace) == ()
    accept(blank.workspace, acts("ada", 22))
    assert bursts(blank.workspace) == ()
    assert blank.workspace not in module._at_work, "it was looked through a moment ago"
    now += module.REST_SECONDS + 1
    assert bursts(blank.workspace) == ()
    module._at_work[blank.workspace].join()
    assert [each.user for each in bursts(blank.workspace)] == ["ada"]


def test_what_is_erased_is_in_no_burst_of_a_moment_ago(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW", 5)
    accept(blank.workspace, acts("ada", 22))
    assert len(bursts(blank.workspace)) == 1
    erase(blank.workspace, "user", "ada")
    assert bursts(blank.workspace) == ()
