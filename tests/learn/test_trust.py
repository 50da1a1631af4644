"""What an asker counts, and what comes faster than anybody reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flywheel.learn.objections import REJECTED, held_back
from flywheel.learn.trust import LEAST_CAP, LearnSettings, bursts, cap
from flywheel.records import Feedback, QuarantineDecision, Role

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
SETTINGS = LearnSettings()


def ups(user: str, minutes: Sequence[float], role: Role = "asker") -> list[Feedback]:
    return [
        Feedback(
            id=f"{user}-{place}",
            kind="up",
            user=user,
            role=role,
            at=(START + timedelta(minutes=each)).isoformat(),
            question="?",
        )
        for place, each in enumerate(minutes)
    ]


def test_many_acts_within_minutes_are_a_burst() -> None:
    acts = ups("mallory", [n / 10 for n in range(21)])
    assert bursts(acts, SETTINGS) == {act.id for act in acts}
    assert bursts(acts[:20], SETTINGS) == frozenset()


def test_taking_back_what_was_said_is_no_haste() -> None:
    acts = ups("a", [number / 2 for number in range(20)])
    back = [replace(act, id=f"back {act.id}", kind="retract") for act in acts]
    assert not bursts([*acts, *back], LearnSettings())
    again = [replace(act, id=f"again {act.id}") for act in acts]
    assert not {act.id for act in back} & bursts([*acts, *back, *again], LearnSettings())


def test_only_the_burst_is_held_back() -> None:
    slow = [60.0 * 24 * n for n in range(2, 30)]
    acts = ups("mallory", [n / 10 for n in range(25)] + slow)
    assert bursts(acts, SETTINGS) == {f"mallory-{n}" for n in range(25)}


def test_what_a_curator_rejected_stays_out_whatever_counts_as_a_burst_later() -> None:
    acts = ups("mallory", [n / 10 for n in range(25)])
    rejected: dict[str, QuarantineDecision] = {act.id: "rejected" for act in acts}
    assert set(held_back(acts, SETTINGS, rejected).values()) == {REJECTED}
    assert held_back(acts[:5], SETTINGS, rejected) == dict.fromkeys(
        [act.id for act in acts[:5]], REJECTED
    )
    released: dict[str, QuarantineDecision] = {act.id: "released" for act in acts}
    assert held_back(acts, SETTINGS, released) == {}


def test_the_same_acts_over_days_are_none() -> None:
    assert bursts(ups("ann", [60 * 8 * n for n in range(100)]), SETTINGS) == frozenset()


def test_day_far_above_the_usual_is_a_burst_however_it_spreads() -> None:
    others = [act for name in "abcde" for act in ups(name, [60.0 * 24 * n for n in range(9)])]
    acts = [*others, *ups("mallory", [30 * n for n in range(40)])]
    assert bursts(acts, SETTINGS) == {f"mallory-{n}" for n in range(40)}


def test_busy_day_where_all_days_are_busy_is_none() -> None:
    busy = [24 * 60 * day + 15 * n for day in range(5) for n in range(30)]
    acts = [act for name in "abcde" for act in ups(name, busy)]
    assert bursts(acts, SETTINGS) == frozenset()


@pytest.mark.parametrize("role", ["curator", "owner"])
def test_curators_may_be_quick(role: Role) -> None:
    assert bursts(ups("eve", [0.0] * 100, role), SETTINGS) == frozenset()


@given(minutes=st.lists(st.integers(0, 3000), max_size=80), data=st.data())
def test_burst_follows_from_the_times_alone(minutes: list[int], data: st.DataObject) -> None:
    acts = ups("ann", minutes)
    shuffled = data.draw(st.permutations(acts))
    found = bursts(shuffled, LearnSettings(burst_acts=5))
    assert found == bursts(acts, LearnSettings(burst_acts=5))
    times = {act.id: datetime.fromisoformat(act.at) for act in acts}
    for id in found:
        near = sum(abs(times[id] - each) <= timedelta(days=1) for each in times.values())
        assert near > 5


def test_cap_grows_with_what_curators_taught_and_never_vanishes() -> None:
    assert cap(0, SETTINGS) == LEAST_CAP
    assert cap(10_000, SETTINGS) == pytest.approx(50)


@pytest.mark.parametrize("values", [{"asker_weight": 1.1}, {"asker_share": 0}, {"burst_acts": 1}])
def test_settings_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        LearnSettings.model_validate(values)
