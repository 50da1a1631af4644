"""What a checkup finds, and what is known of the workspace that is examined.

Everything is looked at without writing: the database is not upgraded, and no log is turned on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flywheel.store.engines import SQLITE, parse_url, reading_engine, writing_engine
from flywheel.store.failures import explained
from flywheel.wheel.settings import FILE, Settings
from flywheel.wheel.versions import parts_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from flywheel.store.versions import Version
    from flywheel.wheel.workspace import Workspace

Status = Literal["ok", "warn", "fail"]

WAIT_SECONDS = 2.0
"""For a lock of the database, or for an engine elsewhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at."""

    status: Status
    """`warn`: it works, and may not for long; `fail`: something does not work."""
    what: str
    advice: str = ""
    """What to do; empty where it is ok."""


def ok(what: str) -> Finding:
    """Nothing to do."""
    return Finding(status="ok", what=what)


def warn(what: str, advice: str) -> Finding:
    """It works, and may not for long."""
    return Finding(status="warn", what=what, advice=advice)


def fail(what: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(status="fail", what=what, advice=advice)


@dataclass(kw_only=True, slots=True)
class Patient:
    """The workspace that is examined. Each check adds what the later ones build upon."""

    root: Path
    settings: Settings | None = None
    url: str = ""
    """Of its database; empty until the settings are read."""
    is_current: bool = False
    """Whether the database opens, and is of this release's schema."""
    workspace: Workspace | None = None
    """Open, where that changes nothing."""
    champion: Version | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def file(self) -> Path | None:
        """The database's file; None where a server keeps it."""
        parsed = parse_url(self.url)
        return Path(str(parsed.database)) if parsed.drivername == SQLITE else None

    @property
    def settings_file(self) -> Path:
        """What is said of it."""
        return self.root / FILE

    def champion_bytes(self) -> int:
        """Of all that the champion is made of."""
        if self.workspace is None or self.champion is None:
            return 0
        parts = parts_of(self.champion.bundle)
        folders = [self.workspace.artifacts.find(stage, key) for stage, key in parts]
        files = (file for folder in folders if folder for file in folder.rglob("*"))
        return sum(file.stat().st_size for file in files if file.is_file())

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that cannot write. A file that is not there is not made.

        Raises:
            StoreError: the database does not answer.
        """
        with self._connected(reading_engine(parse_url(self.url), WAIT_SECONDS)) as conn:
            yield conn

    @contextmanager
    def trying(self) -> Iterator[Connection]:
        """A connection whose writes are all undone.

        Raises:
            StoreError: the database does not answer, or cannot be written.
        """
        with self._connected(writing_engine(parse_url(self.url), WAIT_SECONDS)) as conn:
            try:
                yield conn
            finally:
                conn.rollback()

    @contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        try:
            with explained(self.name), engine.connect() as conn:
                yield conn
        finally:
            engine.dispose()

    @property
    def name(self) -> str:
        """The database's, without a password."""
        return str(self.file or f"The database {parse_url(self.url)!r}")


Check = Callable[[Patient], Iterable[Finding]]
"""Looks at one thing; yields nothing where there is nothing to look at."""
