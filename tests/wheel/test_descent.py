"""The line of descent is drawn so that each line leads from a version down to its parent."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.store.versions import By, Promotion, Version
from flywheel.wheel.descent import Descent, drawn


def version(number: int, parent: int | None, erased: str | None = None) -> Version:
    return Version(
        number=number,
        created_at="2026-05-04T09:30:00+00:00",
        parent=parent,
        bundle={},
        bundle_hash="",
        decision="kept",
        erased=erased,
    )


def step(number: int | None, by: By = "gate") -> Promotion:
    return Promotion(version=number, by=by, user="", reason="", at="2026-05-04T09:30:00+00:00")


def made(parents: Mapping[int, int | None], *serving: int) -> Descent:
    """Of versions by their parents, of which these served one after the other."""
    every = [version(number, parent) for number, parent in sorted(parents.items())]
    return drawn(every, serving[-1] if serving else None, [step(each) for each in serving])


def lanes(found: Descent) -> dict[int, int]:
    return {each.version.number: each.lane for each in found.rows}


def test_blank_workspace_has_no_line() -> None:
    found = made({})
    assert (found.rows, found.champion, found.history) == ((), None, ())


def test_newest_version_comes_first_and_who_serves_is_marked() -> None:
    found = made({1: None, 2: 1, 3: 2}, 1, 2)
    assert [(each.version.number, each.standing) for each in found.rows] == [
        (3, "kept"),
        (2, "serves"),
        (1, "served"),
    ]
    assert [len(each.promotions) for each in found.rows] == [0, 1, 1]


def test_what_was_kept_back_stands_beside_the_line() -> None:
    found = made({1: None, 2: 1, 3: 1, 4: 1}, 1, 4)
    assert lanes(found) == {1: 0, 2: 1, 3: 1, 4: 0}
    assert found.num_lanes == 2


def test_what_was_gone_back_from_is_a_branch() -> None:
    found = made({1: None, 2: 1, 3: 2, 4: 3, 5: 2}, 1, 2, 3, 2, 5)
    assert lanes(found) == {1: 0, 2: 0, 3: 1, 4: 2, 5: 0}


def test_nothing_else_stands_in_the_lane_of_what_serves() -> None:
    assert lanes(made({1: None, 2: 1, 3: 1, 4: 2}, 1, 3, 2, 3)) == {1: 0, 2: 1, 3: 0, 4: 2}


def test_erased_version_is_marked_whatever_it_was() -> None:
    every = [version(1, None, erased="e1"), version(2, 1)]
    found = drawn(every, 2, [step(1), step(2, "erasure")])
    assert [each.standing for each in found.rows] == ["serves", "erased"]


def test_nothing_serves_where_an_erasure_left_nothing() -> None:
    found = drawn([version(1, None, erased="e1")], None, [step(1), step(None, "erasure")])
    assert (found.champion, lanes(found)) == (None, {1: 0})


def follow(found: Descent, place: int) -> int | None:
    """The version that the line from a row's version leads down to."""
    rows = found.rows
    starts = [line for line in rows[place].lines if line.part == "lower"]
    own = [line for line in starts if line.lane == rows[place].lane]
    if not own:
        return None
    assert len(own) == 1
    lane = own[0].to
    for row in rows[place + 1 :]:
        ends = [line for line in row.lines if line.part == "upper" and line.lane == lane]
        if ends and row.lane == lane:
            return row.version.number
        passing = [line for line in row.lines if line.part == "whole" and line.lane == lane]
        assert passing, "the line breaks off"
        lane = passing[0].to
    raise AssertionError("the line ends nowhere")


def check(found: Descent) -> None:
    for place, row in enumerate(found.rows):
        assert follow(found, place) == row.version.parent
        # No line of another version runs through this one's mark.
        assert not [each for each in row.lines if each.part == "whole" and each.lane == row.lane]


@pytest.mark.parametrize(
    ("parents", "serving"),
    [
        ({1: None}, (1,)),
        ({1: None, 2: 1, 3: 1, 4: 1}, (1, 4)),
        ({1: None, 2: 1, 3: 2, 4: 2}, (1, 2, 3, 2, 3)),
        ({1: None, 2: 1, 3: 2, 4: 3, 5: 2, 6: 5}, (1, 2, 3, 2, 5)),
        ({1: None, 2: None, 3: 2}, (1, 2)),
    ],
)
def test_each_line_leads_to_the_parent(
    parents: Mapping[int, int | None], serving: tuple[int, ...]
) -> None:
    check(made(parents, *serving))


@given(st.data())
def test_lines_lead_to_the_parent_in_whatever_history(data: st.DataObject) -> None:
    parents: dict[int, int | None] = {1: None}
    serving = [1]
    for number in range(2, data.draw(st.integers(2, 14))):
        parents[number] = serving[-1]
        serving += data.draw(st.lists(st.integers(1, number), max_size=2))
    check(made(parents, *serving))
