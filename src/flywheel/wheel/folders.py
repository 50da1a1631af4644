"""Which files and folders of this machine an owner may let the server read, by their name.

What was added before, and whatever lies in the folders that `[serve] folders` names: whoever has
the machine says so in its settings. An owner who may not read everything opens no folder that
holds, or lies in, what he may not read: he could add it anew under labels of his own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from flywheel.collect.read import printable
from flywheel.errors import UsageError
from flywheel.store import document_list
from flywheel.wheel import ingest, uploads
from flywheel.wheel.workspace import Workspace

_ADDRESS = ("http://", "https://")


def allowed(workspace: Workspace, name: str, labels: Sequence[str] | None = None) -> str | None:
    """The full name of the source that is named so; None where it may not be read from here.

    Not there and not allowed are the same, so that nobody learns what a machine holds.

    Args:
        labels: those whose documents whoever names it may read; None is all.
    """
    with workspace.database.read() as conn:
        known = document_list.sources(conn)
    source: str | None = name.strip()
    if not source:
        return None
    if source not in known and not uploads.is_uploaded(source):
        source = ingest.full_name(source)
    if source not in known:
        source = _within_folders(workspace, source)
    if source is None or not _is_open(source, known, labels):
        return None
    return source


def check(workspace: Workspace, source: str) -> None:
    """Lets a source pass that may still be read.

    Raises:
        UsageError: it may not.
    """
    if allowed(workspace, source) is None:
        raise UsageError(
            f"{source} may not be read from here. Name its folder in [serve] folders of "
            "flywheel.toml, or add it on the machine: `flywheel add`."
        )


def _within_folders(workspace: Workspace, source: str) -> str | None:
    """Where the name leads, its links followed, if a folder of the settings holds that."""
    if source.startswith((*_ADDRESS, uploads.PREFIX)):
        return None
    try:
        place = Path(source).resolve(strict=True)
        roots = [Path(each).expanduser().resolve() for each in workspace.settings.serve.folders]
    except (OSError, RuntimeError, ValueError):
        return None
    is_within = any(place == root or root in place.parents for root in roots)
    return printable(place) if is_within else None


def _is_open(
    source: str,
    known: Mapping[str, Iterable[tuple[str, ...]]],
    labels: Sequence[str] | None,
) -> bool:
    """Whether nothing that is known of this place is closed to who may read these labels."""
    if labels is None:
        return True
    near = [every for other, every in known.items() if _touch(source, other)]
    return all(uploads.is_readable(access, labels) for every in near for access in every)


def _touch(one: str, two: str) -> bool:
    if one == two:
        return True
    if not (one.startswith("/") and two.startswith("/")):
        return False
    return PurePath(one) in PurePath(two).parents or PurePath(two) in PurePath(one).parents
