"""Two versions are timed in turn, and the slower machine of the second half changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flywheel.evaluate.pace import pace

QUESTIONS = [f"{place}?" for place in range(60)]


class Clock:
    """Time that passes only while somebody answers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now

    def answers(self, name: str, seconds: Callable[[str], float]) -> Callable[[str], None]:
        def ask(question: str) -> None:
            self.now += seconds(question)
            self.order.append(name)

        return ask


def test_half_the_time_is_seen_though_the_machine_slows_down() -> None:
    clock = Clock()

    def load(question: str) -> float:
        return 1.0 if int(question[:-1]) < 30 else 5.0

    champion = clock.answers("champion", lambda question: 2 * load(question))
    timed = pace(QUESTIONS, champion, clock.answers("challenger", load), 1, clock)
    assert timed.share == pytest.approx(0.5)
    assert timed.high == pytest.approx(0.5)
    assert timed.num_questions == 59
    assert clock.order[:4] == ["challenger", "champion", "champion", "challenger"]


def test_times_that_vary_as_much_as_they_differ_show_nothing() -> None:
    clock = Clock()
    champion = clock.answers("champion", lambda question: 1.0)
    challenger = clock.answers("challenger", lambda question: 9.0 if question[0] == "5" else 0.6)
    timed = pace(QUESTIONS, champion, challenger, 1, clock)
    assert timed.share < 1.1
    assert timed.high > timed.share
    assert timed.high > 0.9


def test_one_question_cannot_be_timed() -> None:
    with pytest.raises(ValueError, match="one question cannot be timed"):
        pace(["?"], print, print, 1)
