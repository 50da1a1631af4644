"""Places for generations that run at once, handed out in the order of asking.

llama.cpp would queue on its own, but could not be asked to forget one that still waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Slots:
    """A fixed number of places. First come, first served, also where one needs several."""

    def __init__(self, num_slots: int) -> None:
        self.num_slots = num_slots
        self._num_free = num_slots
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def taken(self, num: int, is_cancelled: Callable[[], bool]) -> Iterator[bool]:
        """Holds `num` places, waiting for them; false where it was cancelled before its turn."""
        got = self._take(num, is_cancelled)
        try:
            yield got
        finally:
            if got:
                with self._changed:
                    self._num_free += num
                    self._changed.notify_all()

    def wake(self) -> None:
        """Lets those that wait see whether they were cancelled."""
        with self._changed:
            self._changed.notify_all()

    def _take(self, num: int, is_cancelled: Callable[[], bool]) -> bool:
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            try:
                self._changed.wait_for(
                    lambda: is_cancelled() or (self._waiting[0] is turn and self._num_free >= num)
                )
            finally:  # an interrupt, too, must not leave it in the way of the others
                self._waiting.remove(turn)
                self._changed.notify_all()
            if is_cancelled():
                return False
            self._num_free -= num
            return True
