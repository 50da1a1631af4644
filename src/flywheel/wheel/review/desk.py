"""What curators are at while the server runs: who looks at what, what was put off, what was last.

In memory only, since nothing of it is missed after a restart: what was decided is in the store.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from flywheel.wheel.review.queue import Queue
from flywheel.wheel.review.waiting import Item, ItemKind

if TYPE_CHECKING:
    from flywheel.wheel.review.decisions import Done
    from flywheel.wheel.workspace import Workspace

LOOKS_SECONDS = 60.0
"""How long somebody looks at an item of whom nothing is heard; a page asks every twenty seconds."""

_MAX_PUT_OFF = 1000


class Desk:
    """One workspace's. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._looking: dict[str, tuple[str, float]] = {}
        self._put_off: dict[str, dict[str, None]] = {}
        self._last: dict[str, Done] = {}

    def look(self, user: str, name: str) -> None:
        """Somebody looks at an item, and at no other; an empty name is none."""
        with self._lock:
            self._looking[user] = (name, self._clock())

    def others(self, user: str, name: str) -> tuple[str, ...]:
        """Who else looks at an item."""
        return tuple(each for each, at in self._looked_at(user) if at == name)

    def put_off(self, user: str, name: str) -> None:
        """An item comes again at the end."""
        with self._lock:
            names = self._put_off.setdefault(user, {})
            names.pop(name, None)
            names[name] = None
            while len(names) > _MAX_PUT_OFF:
                del names[next(iter(names))]

    def next(self, queue: Queue, user: str, kind: ItemKind | None = None) -> Item | None:
        """The item to decide on next: what nobody else looks at, and what was put off at the end.

        Args:
            kind: of this kind only.
        """
        taken = {name for _, name in self._looked_at(user)}
        with self._lock:
            later = {name: place for place, name in enumerate(self._put_off.get(user, {}), 1)}
        mine = [each for each in queue.items if kind is None or each.kind == kind]
        return min(
            mine, key=lambda each: (later.get(each.name, 0), each.name in taken), default=None
        )

    def remember(self, user: str, done: Done) -> None:
        """What a user has decided last."""
        with self._lock:
            self._last[user] = done

    def last(self, user: str) -> Done | None:
        """It, as long as it was not taken back."""
        with self._lock:
            return self._last.get(user)

    def forget(self, user: str) -> None:
        """It was taken back, or cannot be."""
        with self._lock:
            self._last.pop(user, None)

    def _looked_at(self, user: str) -> list[tuple[str, str]]:
        """Who else looks at what."""
        since = self._clock() - LOOKS_SECONDS
        with self._lock:
            return [
                (each, name)
                for each, (name, at) in self._looking.items()
                if each != user and at >= since and name
            ]


_desks: WeakKeyDictionary[Workspace, Desk] = WeakKeyDictionary()
_making = threading.Lock()


def desk_of(workspace: Workspace) -> Desk:
    """The desk of an open workspace."""
    with _making:
        if workspace not in _desks:
            _desks[workspace] = Desk()
        return _desks[workspace]
