"""Who looks at what, what comes next, and what was put off."""

from __future__ import annotations

import pytest

from flywheel.wheel.review.desk import LOOKS_SECONDS, Desk
from flywheel.wheel.review.queue import Queue
from flywheel.wheel.review.waiting import Item, ItemKind


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(clock: Clock) -> Desk:
    return Desk(clock)


def items(*names: str, kind: ItemKind = "abstained") -> list[Item]:
    return [
        Item(kind=kind, id=name, name=name, question=name, at="", score=-float(place))
        for place, name in enumerate(names)
    ]


def following(desk: Desk, queue: Queue, user: str = "ines", kind: ItemKind | None = None) -> str:
    found = desk.next(queue, user, kind)
    return found.name if found else ""


ABC = Queue(items=tuple(items("a", "b", "c")), num_held_out=0)


def test_what_was_put_off_comes_at_the_end_in_that_order(desk: Desk) -> None:
    for name in ("a", "b", "a"):
        desk.put_off("ines", name)
    assert following(desk, ABC) == "c"
    assert following(desk, Queue(items=ABC.items[:2], num_held_out=0)) == "b"
    assert following(desk, ABC, "olaf") == "a"


def test_item_that_another_looks_at_is_left_to_him(desk: Desk, clock: Clock) -> None:
    desk.look("olaf", "a")
    assert desk.others("ines", "a") == ("olaf",)
    assert desk.others("olaf", "a") == ()
    assert following(desk, ABC) == "b"
    assert following(desk, ABC, "olaf") == "a"
    assert following(desk, Queue(items=ABC.items[:1], num_held_out=0)) == "a"
    clock.now = LOOKS_SECONDS + 1
    assert desk.others("ines", "a") == ()


def test_next_item_is_of_the_kind_that_is_asked_for(desk: Desk) -> None:
    queue = Queue(items=(*ABC.items, *items("x", kind="exam")), num_held_out=0)
    assert following(desk, queue, kind="exam") == "x"
    assert following(desk, queue, kind="flagged") == ""
