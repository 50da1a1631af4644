"""The queue of what waits for a curator (review/waiting.py): what teaches most comes first.

Remembered, since a page asks again and again, and reading it takes a tenth of a second beside
50,000 interactions.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from flywheel.store import audit, corrections, erasures, review_lists
from flywheel.wheel.review import bursts as burst_memory
from flywheel.wheel.review.held_out import held_out
from flywheel.wheel.review.waiting import KINDS, Item, ItemKind, Waiting

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.wheel.keys import Caller
    from flywheel.wheel.review.bursts import Burst
    from flywheel.wheel.workspace import Workspace

STANDS_SECONDS = 2.0
"""How old a queue may be that is shown, as long as nobody corrected, flagged, decided or erased
anything: beside users who ask and rate at every moment, it would be read anew for each page."""

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
class _Marks:
    """What is another as soon as somebody corrected, flagged, decided or erased anything."""

    num_erasures: int
    last_change: int
    """Of a correction."""
    last_flag: str
    last_act: int
    """Of a curator or an owner: whatever he decides is written down with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """A queue, and what it was read after: the last commit, and the bursts that were known."""

    commits: int | None
    bursts: tuple[Burst, ...]
    marks: _Marks
    queue: Queue
    at: float
    is_whole: bool = True
    """As it was read: nothing was taken out of it since."""


_memory: WeakKeyDictionary[Workspace, dict[str, _Known]] = WeakKeyDictionary()
_clock = time.monotonic
_MAX_REMEMBERED = 20
"""Curators whose queues are remembered: each takes a megabyte at most."""


def queue(workspace: Workspace, caller: Caller) -> Queue:
    """What waits for a curator. Read once, as long as nothing is committed; what others ask and
    rate may be missing for a moment, what anybody decides is not."""
    commits, bursts = workspace.database.commits(), burst_memory.bursts(workspace)
    known = _memory.setdefault(workspace, {}).get(caller.key)
    if known and known.bursts == bursts:
        if commits is not None and known.commits == commits:
            return known.queue
        if known.is_whole and _stands(workspace, caller, known):
            return known.queue
    return _read(workspace, caller, commits, bursts)


def _stands(workspace: Workspace, caller: Caller, known: _Known) -> bool:
    """Whether a queue can be shown although something was committed since. Never to a curator who
    may not read everything: a document may have been closed to him."""
    if caller.access is not None or _clock() - known.at > STANDS_SECONDS:
        return False
    with workspace.database.read() as conn:
        return _marks(conn) == known.marks


def _marks(conn: Connection) -> _Marks:
    return _Marks(
        num_erasures=erasures.count(conn),
        last_change=corrections.latest_change(conn),
        last_flag=review_lists.last_flag(conn),
        last_act=audit.last_number(conn),
    )


def queue_without(workspace: Workspace, caller: Caller, name: str) -> Queue:
    """The queue as it was read a moment ago, without the item that was just decided on: whoever
    decides on one after the other does not wait for all the rest to be read again.

    Not where something was erased since, or may have been closed to the curator.
    """
    known = _memory.get(workspace, {}).get(caller.key)
    if known is None or caller.access is not None or _clock() - known.at > MOMENT_SECONDS:
        return queue(workspace, caller)
    with workspace.database.read() as conn:
        if erasures.count(conn) != known.marks.num_erasures:
            return queue(workspace, caller)
    left = tuple(each for each in known.queue.items if each.name != name)
    found = replace(known.queue, items=left)
    # As of no commit, so that a look at the page reads all.
    _remember(workspace, caller, replace(known, commits=None, is_whole=False, queue=found))
    return found


def _remember(workspace: Workspace, caller: Caller, known: _Known) -> None:
    remembered = _memory.setdefault(workspace, {})
    if len(remembered) >= _MAX_REMEMBERED and caller.key not in remembered:
        remembered.clear()
    remembered[caller.key] = known


def _read(
    workspace: Workspace, caller: Caller, commits: int | None, bursts: tuple[Burst, ...]
) -> Queue:
    held, began = held_out(workspace), _clock()
    with workspace.database.read() as conn:
        marks = _marks(conn)
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
    known = _Known(commits=commits, bursts=bursts, marks=marks, queue=found, at=began)
    _remember(workspace, caller, known)
    return found
