"""Near-duplicate questions are one group, in both languages."""

from __future__ import annotations

from flywheel.learn.groups import group


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
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    chain = [" ".join(words), " ".join([*words, "eleven"]), " ".join([*words, "eleven", "twelve"])]
    assert len(set(group(chain, []).training)) == 1


def test_nothing_to_group() -> None:
    assert group([], []).training == ()
    assert group(["？"], ["！"]).overlapping == frozenset()
