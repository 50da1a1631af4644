"""The queue of what waits for a curator (review_waiting.py): what teaches most comes first.

Remembered, since a page asks again and again, and reading it takes a tenth of a second beside
50,000 interactions.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from flywheel.store import erasures
from flywheel.wheel import bursts as burst_memory
from flywheel.wheel.held_out import held_out
from flywheel.wheel.review_waiting import KINDS, Item, ItemKind, Waiting

if TYPE_CHECKING:
    from flywheel.wheel.bursts import Burst
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace

MOMENT_SECONDS = 10.0
"""How old a queue may be that the next item is taken from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """All that waits, as far as one curator may read it."""

    items: tuple[Item, ...]
    """What teaches most first."""
    num_held_out: int
    """Questions that are left out, since the exam asks nearly the same."""

    @property
    def counts(self) -> dict[ItemKind, int]:
        """How many of each kind."""
        found = Counter(each.kind for each in self.items)
        return {kind: found[kind] for kind in KINDS}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """A queue, and what it was read after: the last commit, and the bursts that were known."""

    commits: int | None
    bursts: tuple[Burst, ...]
    num_erasures: int
    queue: Queue
    at: float


_memory: WeakKeyDictionary[Workspace, dict[str, _Known]] = WeakKeyDictionary()
_clock = time.monotonic
_MAX_REMEMBERED = 20
"""Curators whose queues are remembered: each takes a megabyte at most."""


def queue(workspace: Workspace, caller: Caller) -> Queue:
    """What waits for a curator. Read once, as long as nothing is committed."""
    commits, bursts = workspace.database.commits(), burst_memory.bursts(workspace)
    known = _memory.setdefault(workspace, {}).get(caller.key)
    if known and commits is not None and known.commits == commits and known.bursts is bursts:
        return known.queue
    return _read(workspace, caller, commits, bursts)


def queue_without(workspace: Workspace, caller: Caller, name: str) -> Queue:
    """The queue as it was read a moment ago, without the item that was just decided on: whoever
    decides on one after the other does not wait for all the rest to be read again.

    Not where something was erased since, or may have been closed to the curator.
    """
    known = _memory.get(workspace, {}).get(caller.key)
    if known is None or caller.access is not None or _clock() - known.at > MOMENT_SECONDS:
        return queue(workspace, caller)
    with workspace.database.read() as conn:
        if erasures.count(conn) != known.num_erasures:
            return queue(workspace, caller)
    left = tuple(each for each in known.queue.items if each.name != name)
    found = replace(known.queue, items=left)
    # As of no commit, so that a look at the page reads all.
    _remember(workspace, caller, replace(known, commits=None, queue=found))
    return found


def _remember(workspace: Workspace, caller: Caller, known: _Known) -> None:
    remembered = _memory.setdefault(workspace, {})
    if len(remembered) >= _MAX_REMEMBERED and caller.key not in remembered:
        remembered.clear()
    remembered[caller.key] = known


def _read(
    workspace: Workspace, caller: Caller, commits: int | None, bursts: tuple[Burst, ...]
) -> Queue:
    held = held_out(workspace)
    with workspace.database.read() as conn:
        num_erasures = erasures.count(conn)
        waiting = Waiting(conn, caller, held)
        items = [
            *waiting.corrections(),
            *waiting.flagged(),
            *waiting.questions(),
            *waiting.exam(),
            *waiting.quarantine(bursts),
        ]
    items.sort(key=lambda each: (-each.score, each.at, each.name))
    found = Queue(items=tuple(items), num_held_out=waiting.num_held_out)
    known = _Known(
        commits=commits, bursts=bursts, num_erasures=num_erasures, queue=found, at=_clock()
    )
    _remember(workspace, caller, known)
    return found
