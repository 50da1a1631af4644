"""Passages that were found lately, kept as they were read: the same ones are found again and again.

An index never changes, so neither does a row of it. Reading a hundred rows takes Lance as long as
searching does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from flywheel.records import Passage

NUM_KEPT = 20_000
"""About 1 to 3 kB each, so at most some 50 MB."""

Read = Callable[[Sequence[int]], Iterable[tuple[int, Passage]]]
"""Rows → each with its passage, in any order."""


class RecentPassages:
    """The passages of rows, those that were asked for last from memory. Safe for threads."""

    def __init__(self, read: Read, num_kept: int = NUM_KEPT) -> None:
        self._read, self._num_kept = read, num_kept
        self._lock = threading.Lock()
        self._kept: dict[int, Passage] = {}
        """From the one that was asked for longest ago to the one that was asked for last."""

    def of(self, rows: Sequence[int]) -> dict[int, Passage]:
        """The passages of these rows, by row."""
        found: dict[int, Passage] = {}
        kept = self._kept
        with self._lock:
            for row in rows:
                passage = kept.pop(row, None)
                if passage is not None:
                    kept[row] = found[row] = passage
        missing = [row for row in rows if row not in found]
        if missing:
            read = dict(self._read(missing))
            found |= read
            self._keep(read)
        return found

    def _keep(self, read: dict[int, Passage]) -> None:
        with self._lock:
            self._kept |= read
            excess = max(len(self._kept) - self._num_kept, 0)
            for oldest in list(islice(self._kept, excess)):
                del self._kept[oldest]
