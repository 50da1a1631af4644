from __future__ import annotations

import threading

from flywheel.engine.slots import Slots


def never() -> bool:
    return False


def test_places_are_given_in_the_order_of_asking() -> None:
    """One that needs two is not overtaken by those that need one."""
    slots, order = Slots(2), list[str]()

    def use(name: str, num: int) -> None:
        with slots.taken(num, never):
            order.append(name)

    threads = [
        threading.Thread(target=use, args=given) for given in (("two", 2), ("one", 1), ("all", 2))
    ]
    with slots.taken(1, never):
        for place, thread in enumerate(threads):
            thread.start()
            while len(slots._waiting) <= place:
                pass
        assert order == []
    for thread in threads:
        thread.join()

    assert order == ["two", "one", "all"]


def test_cancelled_gets_no_place_and_stands_in_nobodys_way() -> None:
    slots, cancelled, got = Slots(1), threading.Event(), list[bool]()

    def use() -> None:
        with slots.taken(1, cancelled.is_set) as taken:
            got.append(taken)

    with slots.taken(1, never):
        thread = threading.Thread(target=use)
        thread.start()
        cancelled.set()
        slots.wake()
        thread.join()

    assert got == [False]
    with slots.taken(1, never) as taken:
        assert taken
