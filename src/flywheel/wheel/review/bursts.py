"""Which of the askers' acts came in a burst, for pages that ask again and again.

The same as learn/trust.py says of all acts; remembered, since it follows from their times alone,
and reading 50,000 of those takes a fifth of a second.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from flywheel.learn import trust
from flywheel.records import Feedback
from flywheel.store import erasures, review_lists

if TYPE_CHECKING:
    from flywheel.wheel.workspace import Workspace

FEW = 5000
"""Acts that are looked through at once; with more, a page shows those of a moment ago meanwhile."""


REST_SECONDS = 5.0
"""How long they are not looked through again then: who rates meanwhile would keep a core busy."""

_clock = time.monotonic


@dataclass(frozen=True, kw_only=True, slots=True)
class Burst:
    """One user's acts that came in bursts, the first one first."""

    user: str
    acts: tuple[str, ...]
    at: str
    """When the last of them came."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What was found, and when: by how many acts and erasures there were."""

    stamp: tuple[int, int]
    bursts: tuple[Burst, ...]
    at: float


_memory: WeakKeyDictionary[Workspace, _Known] = WeakKeyDictionary()
_at_work: WeakKeyDictionary[Workspace, threading.Thread] = WeakKeyDictionary()
_lock = threading.Lock()


def bursts(workspace: Workspace) -> tuple[Burst, ...]:
    """Every user's acts that came in bursts, those decided on too."""
    with workspace.database.read() as conn:
        stamp = review_lists.num_acts(conn), erasures.count(conn)
    known = _memory.get(workspace)
    if known is None or known.stamp[1] != stamp[1] or (known.stamp != stamp and stamp[0] <= FEW):
        known = _memory[workspace] = _find(workspace, stamp)
    elif known.stamp != stamp and _clock() - known.at > REST_SECONDS:
        _find_meanwhile(workspace, stamp)
    return known.bursts


def _find_meanwhile(workspace: Workspace, stamp: tuple[int, int]) -> None:
    def find() -> None:
        _memory[workspace] = _find(workspace, stamp)

    with _lock:
        thread = _at_work.get(workspace)
        if thread is None or not thread.is_alive():
            thread = threading.Thread(target=find, name="flywheel-bursts", daemon=True)
            _at_work[workspace] = thread
            thread.start()


def _find(workspace: Workspace, stamp: tuple[int, int]) -> _Known:
    with workspace.database.read() as conn:
        times = review_lists.times_of_askers(conn)
    acts = [
        Feedback(id=id, kind="up", user=user, role="asker", at=at)
        for id, user, at in sorted(times, key=lambda each: (each[2], each[0]))
    ]
    held = trust.bursts(acts, workspace.settings.learn)
    of_user: dict[str, list[Feedback]] = {}
    for act in acts:
        if act.id in held:
            of_user.setdefault(act.user, []).append(act)
    found = tuple(
        Burst(user=user, acts=tuple(each.id for each in of_one), at=of_one[-1].at)
        for user, of_one in of_user.items()
    )
    return _Known(stamp=stamp, bursts=found, at=_clock())
