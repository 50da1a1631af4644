"""Populations that are known to be well or ill, and what the table says of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from flywheel.learn.health import Measure, measure
from flywheel.records import Feedback

USERS = ("ann", "bo", "chen", "dora")


def act(number: int, kind: str, user: str, **values: Any) -> Feedback:
    said: dict[str, Any] = {"question": f"question {number}", "answer": f"answer {number}"}
    fixed: dict[str, Any] = {"role": "asker", "at": "2026-01-01T00:00:00+00:00"}
    return Feedback(
        **{**fixed, **said, **values, "id": f"{kind}-{number}-{user}", "user": user, "kind": kind}
    )


def judged(says: Callable[[int, str], bool], number: int = 60) -> list[Feedback]:
    return [
        act(each, "up" if says(each, user) else "down", user)
        for each in range(number)
        for user in USERS
    ]


def ranked(orders: Sequence[Sequence[int]], *candidates: str) -> list[Feedback]:
    return [
        act(number, "rank", USERS[number % 4], candidates=candidates, order=tuple(order))
        for number, order in enumerate(orders)
    ]


def line(acts: Sequence[Feedback], name: str) -> Measure:
    (found,) = [each for each in measure(acts) if each.name == name]
    return found


def test_users_who_agree() -> None:
    found = line(judged(lambda number, user: number % 3 > 0), "agreement on answers")
    assert (found.value, found.count, found.verdict) == (1.0, 60, "good")


def test_users_who_toss_coins() -> None:
    coin = random.Random(1)
    found = line(judged(lambda number, user: coin.random() < 0.6), "agreement on answers")
    assert found.verdict == "look"
    assert found.value == pytest.approx(0, abs=0.15)


def test_users_who_like_everything_tell_nothing() -> None:
    found = line(judged(lambda number, user: True), "agreement on answers")
    assert (found.value, found.verdict) == (None, "too few")
    assert found.words == "all say the same of everything"


def test_last_word_of_a_user_counts_once() -> None:
    acts = judged(lambda number, user: number % 2 > 0)
    again = [
        act(1, "down", "ann", at="2025-12-31T00:00:00+00:00", question="Question 1?"),
        *acts,
    ]
    assert line(again, "agreement on answers") == line(acts, "agreement on answers")


def test_users_who_rank_alike_and_users_who_do_not() -> None:
    texts = ("in the boot", "under the front seat", "on the door")
    alike = [
        act(number, "rank", user, candidates=texts, order=(2, 0, 1))
        for number in range(10)
        for user in USERS
    ]
    found = line(alike, "agreement on ranks")
    assert (found.value, found.count, found.verdict) == (1.0, 30, "good")
    shuffled = random.Random(1)
    apart = [
        act(number, "rank", user, candidates=texts, order=tuple(shuffled.sample(range(3), 3)))
        for number in range(40)
        for user in USERS
    ]
    found = line(apart, "agreement on ranks")
    assert found.verdict == "look"
    assert found.value == pytest.approx(0, abs=0.15)


def test_same_candidates_shown_in_another_order_are_the_same_pair() -> None:
    one = [act(n, "rank", "ann", candidates=("left", "right"), order=(0, 1)) for n in range(25)]
    other = [act(n, "rank", "bo", candidates=("right", "left"), order=(1, 0)) for n in range(25)]
    assert line([*one, *other], "agreement on ranks").value == 1.0


def test_one_user_who_outvotes_the_others() -> None:
    acts = [act(n, "up", "mallory") for n in range(80)] + [act(n, "up", "ann") for n in range(20)]
    largest = line(acts, "largest share of one user")
    assert (largest.value, largest.verdict) == (0.8, "look")
    assert "mallory outvotes all others" in largest.words
    effective = line(acts, "effective number of users")
    assert effective.value == pytest.approx(1 / (0.8**2 + 0.2**2))
    assert effective.verdict == "look"


def test_users_who_say_equally_much() -> None:
    acts = judged(lambda number, user: True)
    assert line(acts, "effective number of users").value == pytest.approx(4)
    assert line(acts, "largest share of one user").verdict == "good"


SHORT, LONG = "on the door", "on the door, at the rear edge, below the lock, where the key goes in"


def test_longer_answers_that_always_win() -> None:
    acts = ranked([(1, 0)] * 30, SHORT, LONG)
    found = line(acts, "longer answer wins")
    assert (found.value, found.count, found.verdict) == (1.0, 30, "look")
    assert "the longer answers win" in found.words


def test_length_that_decides_nothing() -> None:
    acts = ranked([(1, 0), (0, 1)] * 15, SHORT, LONG)
    found = line(acts, "longer answer wins")
    assert (found.value, found.verdict) == (0.5, "good")


def test_first_candidate_that_always_wins() -> None:
    found = line(ranked([(0, 1, 2)] * 30, "left", "right", "above"), "first candidate wins")
    assert (found.value, found.verdict) == (1.0, "look")
    assert "by chance, 0.33" in found.words


def test_first_candidate_that_wins_by_chance() -> None:
    orders = [(0, 1, 2), (1, 0, 2), (2, 1, 0)] * 10
    found = line(ranked(orders, "left", "right", "above"), "first candidate wins")
    assert found.value == pytest.approx(1 / 3)
    assert found.verdict == "good"


def test_candidates_that_say_the_same() -> None:
    found = line(
        ranked([(0, 1)] * 30, "On the door.", "on the door"), "ranked pairs that say the same"
    )
    assert (found.value, found.verdict) == (1.0, "look")
    found = line(ranked([(0, 1)] * 30, "left", "right"), "ranked pairs that say the same")
    assert (found.value, found.verdict) == (0.0, "good")


def test_language_that_is_liked_less() -> None:
    english = [act(n, "up", "ann") for n in range(40)]
    chinese = [act(n, "down", "ann", question=f"问题{n}", answer=f"答案{n}") for n in range(30)]
    found = line([*english, *chinese], "Chinese answers liked more")
    assert (found.value, found.count, found.verdict) == (-1.0, 30, "look")
    liked = [act(n, "up", "bo", question=f"问题{n}", answer=f"答案{n}") for n in range(30)]
    assert line([*english, *liked], "Chinese answers liked more").verdict == "good"


def test_what_was_taken_back_counts_nowhere() -> None:
    acts = [act(n, "up", f"u{n % 5}", question=f"q{n}", answer="门。" if n % 2 else "A door.")
            for n in range(60)]  # fmt: skip
    taken = [
        act(100 + 2 * n + back, "retract" if back else "down", "u0", question=f"q{n}", answer=text)
        for n in range(60)
        for back, text in ((0, "门。"), (1, "门。"))
    ]
    for name in ("Chinese answers liked more", "effective number of users"):
        assert line([*acts, *taken], name) == line(acts, name)


def test_nothing_and_little_are_too_few_for_any_verdict() -> None:
    for acts in ([], judged(lambda number, user: number > 0, number=2)):
        for each in measure(acts):
            assert each.verdict == "too few"
            assert each.words == "20 are needed to tell"


def test_order_in_which_acts_come_changes_nothing() -> None:
    coin = random.Random(2)
    acts = judged(lambda number, user: coin.random() < 0.5, number=20)
    acts += ranked([(0, 1), (1, 0)] * 12, SHORT, LONG)
    shuffled = random.Random(3).sample(acts, len(acts))
    assert measure(shuffled) == measure(acts)
