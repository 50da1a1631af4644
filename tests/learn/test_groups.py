"""Near-duplicate questions are one group, in both languages; the first decides for all."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from flywheel.learn.groups import Asked, Origin, divide, group, is_drawn
from flywheel.search.terms import term_ids

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
TEN, ELEVEN = " ".join(WORDS), " ".join([*WORDS, "eleven"])

questions = st.lists(
    st.lists(st.sampled_from([*WORDS, "儿童锁", "车门"]), max_size=8).map(" ".join), max_size=14
)


def asked(texts: Sequence[str], origin: Origin = "open") -> list[Asked]:
    return [Asked(question=each, origin=origin) for each in texts]


def near(one: str, other: str) -> bool:
    first, second = set(term_ids(one).tolist()), set(term_ids(other).tolist())
    return bool(first) and 5 * len(first & second) >= 4 * len(first | second)


def members(texts: Sequence[str]) -> set[frozenset[str]]:
    found: dict[int, set[str]] = {}
    for text, number in zip(texts, group(texts, []).training, strict=True):
        found.setdefault(number, set()).add(text)
    return set(map(frozenset, found.values()))


def a_question(drawn: bool) -> str:
    """One that the hash draws, or does not."""
    made = (f"What about the {a} {b} valve?" for a in "abcdefgh" for b in map(str, range(99)))
    return next(each for each in made if is_drawn(each) == drawn)


def test_copies_of_exam_questions_are_found() -> None:
    groups = group(
        ["Where is the child lock?", "儿童锁在哪里？", "How do I charge at home?"],
        ["where is the Child Lock", "兒童鎖在哪裡", "How long does charging take?"],
    )
    assert groups.training[0] == groups.exam[0]
    assert groups.training[1] == groups.exam[1]
    assert groups.training[2] != groups.exam[2]
    assert groups.overlapping == {groups.training[0], groups.training[1]}


def test_groups_are_joined_through_others() -> None:
    far = " ".join([*WORDS, "eleven", "twelve", "thirteen"])
    assert not near(TEN, far)
    assert len(set(group([TEN, far], []).training)) == 2
    assert len(set(group([TEN, far, ELEVEN], []).training)) == 1


def test_nothing_to_group() -> None:
    assert group([], []).training == ()
    assert group(["？"], ["！"]).overlapping == frozenset()


@given(questions)
def test_near_duplicates_are_one_group_and_groups_are_transitive(texts: list[str]) -> None:
    numbers = group(texts, []).training
    for one, first in zip(texts, numbers, strict=True):
        for other, second in zip(texts, numbers, strict=True):
            assert not near(one, other) or first == second


@given(questions)
def test_every_group_is_connected_by_near_duplicates(texts: list[str]) -> None:
    numbers = group(texts, []).training
    for number in set(numbers):
        left = {place for place, each in enumerate(numbers) if each == number}
        reached = {left.pop()}
        while more := {b for b in left if any(near(texts[a], texts[b]) for a in reached)}:
            reached |= more
            left -= more
        assert not left


@given(questions, st.integers(0, 99))
def test_groups_do_not_depend_on_the_order(texts: list[str], seed: int) -> None:
    shuffled = list(texts)
    random.Random(seed).shuffle(shuffled)
    with_terms = [each for each in texts if each]
    assert members(with_terms) == members([each for each in shuffled if each])


@given(questions, questions, st.integers(0, 5))
def test_newcomers_change_nothing_of_what_was_decided(
    first: list[str], later: list[str], room: int
) -> None:
    before = [(each.part, each.drawn) for each in divide(asked(first), room)]
    after = [(each.part, each.drawn) for each in divide(asked([*first, *later]), room)]
    assert after[: len(first)] == before


@given(questions, st.integers(0, 5))
def test_no_near_duplicate_of_an_exam_question_is_trained_on(texts: list[str], room: int) -> None:
    places = divide(asked(texts), room)
    for one, its in zip(texts, places, strict=True):
        for other, others in zip(texts, places, strict=True):
            if near(one, other):
                assert {its.part, others.part} != {"exam", "training"}


@given(questions, st.integers(0, 3))
def test_no_more_are_drawn_than_there_is_room_for(texts: list[str], room: int) -> None:
    assert sum(each.drawn for each in divide(asked(texts), room)) <= room


def test_the_first_decides_and_newcomers_inherit() -> None:
    yes, no = a_question(drawn=True), a_question(drawn=False)
    places = divide(asked([yes, no, yes.upper(), no.upper()]), room=9)
    assert [each.part for each in places] == ["exam", "training", "exam", "training"]
    assert [each.drawn for each in places] == [True, False, False, False]
    assert places[0].group == places[2].group != places[1].group == places[3].group


def test_what_was_sent_in_unasked_only_trains_and_so_do_its_newcomers() -> None:
    question = a_question(drawn=True)
    places = divide([*asked([question], "training"), *asked([question])], room=9)
    assert [each.part for each in places] == ["training", "training"]


def test_what_stands_between_exam_and_training_is_in_neither() -> None:
    between = "a b c d e f g h i"
    exam, training = f"{between} exam only", f"{between} other thing"
    places = divide([*asked([exam], "exam"), *asked([training, between, between], "training")])
    assert [each.part for each in places] == ["exam", "training", "neither", "neither"]
    assert places[0].group != places[1].group


def test_question_of_the_exam_stays_there_beside_training_questions_like_it() -> None:
    places = divide([*asked([TEN], "training"), *asked([TEN], "exam")])
    assert [each.part for each in places] == ["training", "exam"]


def test_a_tenth_is_drawn_whatever_the_case_and_the_commas() -> None:
    texts = [f"What does lamp {number} say" for number in range(2000)]
    drawn = [is_drawn(each) for each in texts]
    assert 160 <= sum(drawn) <= 240  # 200 ± 3 standard deviations
    assert drawn == [is_drawn(each.upper() + "?") for each in texts]
