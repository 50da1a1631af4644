"""Who serves a workspace holds its `server.lock` together; who replaces it holds it alone.

The system lets go when the holder dies. Light to import, since a server takes it when it starts.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flywheel.errors import WorkspaceBusy
from flywheel.wheel.workspace import SERVER_LOCK, WORKER_LOCK


@contextmanager
def shared(root: Path) -> Iterator[None]:
    """Holds a workspace as one of those that serve it, for as long as they do.

    Raises:
        WorkspaceBusy: a restore is replacing it.
    """
    with (root / SERVER_LOCK).open("a") as file:
        if not _locked(file.fileno(), fcntl.LOCK_SH):
            raise WorkspaceBusy(f"{root} is being restored from a backup. Start again afterwards.")
        yield


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Holds a workspace that nobody serves or works for.

    Raises:
        WorkspaceBusy: somebody does.
    """
    with (root / SERVER_LOCK).open("a") as served, (root / WORKER_LOCK).open("a") as worked:
        if not all(_locked(each.fileno(), fcntl.LOCK_EX) for each in (served, worked)):
            raise WorkspaceBusy(
                f"`flywheel serve` runs on {root}, and would go on with what it knows. Stop it "
                "first, or restore into another folder, which it is no obstacle to."
            )
        yield


def is_held_alone(lock: Path) -> bool:
    """Whether a process holds a lock alone. Asks with a shared one, and gives that back at once."""
    if not lock.is_file():
        return False
    with lock.open() as file:
        return not _locked(file.fileno(), fcntl.LOCK_SH)


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
