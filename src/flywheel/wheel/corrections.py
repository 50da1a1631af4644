"""The corrections in force, matched against questions as soon as they are committed."""

from __future__ import annotations

import threading

from flywheel.search.corrections import CorrectionIndex, Match
from flywheel.search.index import Reader
from flywheel.store import corrections
from flywheel.store.database import Database


class LiveCorrections:
    """A workspace's corrections; each look takes in what changed since the last one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._index = CorrectionIndex()
        self._change = 0
        self._refreshing = threading.Lock()

    def match(
        self, question: str, user: str, reader: Reader, last_change: int | None = None
    ) -> Match | None:
        """The correction that answers this user's question, if there is one.

        Args:
            last_change: the number of the last change, where the caller has read it.
        """
        if last_change is None or last_change > self._change:
            self._refresh()
        return self._index.match(question, user, reader.access)

    def _refresh(self) -> None:
        # One at a time: of two threads the one that had read less could else have the last word.
        with self._refreshing:
            with self._database.read() as conn:
                entries = corrections.changed_since(conn, self._change)
            for entry in entries:
                if entry.withdrawn:
                    self._index.remove(entry.correction.id)
                else:
                    self._index.add(entry.correction)
            # Last, since whoever sees this number looks no further.
            self._change = max((self._change, *(entry.change for entry in entries)))
