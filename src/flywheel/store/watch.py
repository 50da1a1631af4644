"""Whether anything was committed to an SQLite file, asked a hundred times as quickly as by reading.

PostgreSQL has nothing of the kind; whoever asks does without there.
"""

from __future__ import annotations

import sqlite3
import threading


class Watch:
    """A connection that looks at nothing else. Safe to use from several threads."""

    def __init__(self, path: str, timeout_seconds: float) -> None:
        self._path, self._timeout_seconds = path, timeout_seconds
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def number(self) -> int:
        """Another one than before, where anything was committed since, by whomever."""
        with self._lock:
            if self._connection is None:
                self._connection = sqlite3.connect(
                    self._path, timeout=self._timeout_seconds, check_same_thread=False
                )
            # All rows, so that no statement is left open: that would keep the log from shrinking.
            rows = self._connection.execute("PRAGMA data_version").fetchall()
        number: int = rows[0][0]
        return number

    def close(self) -> None:
        """Closes the connection; asked again, it opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
