"""What was taken back since a backup was made, taken back again from what came with it.

Erasures know their target by a hash: a name of the older state that has this hash is that target.
The ids of what they took are known, too. Everything happens to the restored state before it serves.
Not here: what an erasure takes and how that is proven (erasable.py, erasure.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from flywheel.errors import UsageError
from flywheel.store import audit as audit_store
from flywheel.store import documents, erasures, keys, redaction
from flywheel.store.audit import Act
from flywheel.store.erasures import Erasure
from flywheel.store.keys import Key
from flywheel.store.redaction import Items
from flywheel.store.tables import interactions, metadata
from flywheel.store.tables import keys as key_table

if TYPE_CHECKING:
    from flywheel.wheel.stages import Progress
    from flywheel.wheel.workspace import Workspace

_OF_USERS = ("user", "decided_by")
"""The columns that hold a user's name, in whatever table; a key has its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """An erasure, and the ids that it took."""

    erasure: Erasure
    taken: Items


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What a workspace knows of keys and acts that an older state does not."""

    revoked: tuple[Key, ...]
    valid: frozenset[str]
    """The ids of the other keys."""
    acts: Sequence[Act]
    """All of the audit, the first one first."""


def erasures_of(conn: Connection) -> list[Past]:
    """What was erased in a workspace, the first erasure first."""
    return [_past(conn, each) for each in erasures.list_erasures(conn)]


def erase_again(workspace: Workspace, since: Sequence[Past], progress: Progress) -> list[str]:
    """Erases from a restored state what was erased after it, or was still being erased then.

    Args:
        since: all erasures of the workspace that it takes the place of.

    Returns:
        The ids of the erasures that had to be done again.

    Raises:
        StoreError: what was erased still stands somewhere.
    """
    with workspace.database.read() as conn:
        told = erasures.list_erasures(conn)
        unfinished = [_past(conn, each) for each in told if each.done_at is None]
    done = {each.id for each in told if each.done_at}
    later = [each for each in since if each.erasure.id not in done]
    listed = {each.erasure.id for each in later}
    todo = [*later, *(each for each in unfinished if each.erasure.id not in listed)]
    if todo:
        _erase(workspace, todo, progress)
    return [each.erasure.id for each in todo]


def kept_of(conn: Connection) -> Kept:
    """The keys and acts of a workspace that is about to be replaced."""
    every = keys.list_keys(conn)
    acts = audit_store.list_acts(conn, limit=2**31 - 1)
    return Kept(
        revoked=tuple(each for each in every if each.revoked_at),
        valid=frozenset(each.id for each in every if not each.revoked_at),
        acts=tuple(reversed(acts)),
    )


def keep(conn: Connection, kept: Kept) -> None:
    """Lets no key in that was revoked meanwhile, and goes on with the audit that grew meanwhile."""
    for key in kept.revoked:
        assert key.revoked_at is not None
        keys.revoke(conn, key.id, key.revoked_at)
    known = tuple(reversed(audit_store.list_acts(conn, limit=2**31 - 1)))
    if known == kept.acts[: len(known)]:  # else it is the backup of another workspace
        for act in kept.acts[len(known) :]:
            audit_store.put(conn, act)


def _erase(workspace: Workspace, todo: Sequence[Past], progress: Progress) -> None:
    from flywheel.wheel.erasure import erase as erasure

    for each in todo:
        with workspace.database.read() as conn:
            items = _items(conn, each)
        erasure.take(workspace, replace(each.erasure, done_at=None), items)
    cached = workspace.artifacts.keys()
    erasure.replace_champion(workspace, todo[-1].erasure, progress)
    erasure.delete_artifacts(workspace, made=workspace.artifacts.keys() - cached)
    workspace.database.compact([table.name for table in redaction.every_table()])
    for done, each in enumerate(todo, start=1):
        erasure.check(workspace, each.erasure)
        erasure.finish(workspace, each.erasure)
        progress("erase again", done, len(todo))


def _past(conn: Connection, each: Erasure) -> Past:
    files = erasures.taken_by(conn, each.id, "file")
    taken = Items(
        interactions=frozenset(erasures.taken_by(conn, each.id, "interaction")),
        feedback=frozenset(erasures.taken_by(conn, each.id, "feedback")),
        documents=frozenset(erasures.taken_by(conn, each.id, "document") | files),
        files=frozenset(files),
    )
    return Past(erasure=each, taken=taken)


def _items(conn: Connection, past: Past) -> Items:
    """What an erasure takes from this state: by its target's name, where it is found, and by id."""
    from flywheel.wheel.erasure.erasable import items_of

    kind, taken = past.erasure.kind, past.taken
    name = _name_of(conn, past.erasure)
    if name is None:
        return taken
    try:
        found = items_of(conn, kind, name)
    except UsageError:
        # An uploaded archive that still held it then: it goes as a whole.
        found = items_of(conn, kind, name.partition("!/")[0])
    return replace(
        found,
        interactions=found.interactions | taken.interactions,
        feedback=found.feedback | taken.feedback,
        documents=found.documents | taken.documents,
        files=found.files | taken.files,
    )


def _name_of(conn: Connection, erasure: Erasure) -> str | None:
    """The name that an erasure's hash was made of, where this state has it."""
    names = {
        "user": _users,
        "interaction": lambda conn: conn.scalars(select(interactions.c.id)),
        "source": _places,
    }[erasure.kind](conn)
    kind, of = erasure.kind, erasure.of
    return next((name for name in names if erasures.hash_of(kind, name) == of), None)


def _users(conn: Connection) -> Iterator[str]:
    columns = [
        table.c[name] for table in metadata.sorted_tables for name in _OF_USERS if name in table.c
    ]
    for column in [*columns, key_table.c.name]:
        yield from conn.scalars(select(column).distinct())


def _places(conn: Connection) -> Iterator[str]:
    """Every file, folder and address that a document was added from or lies in."""
    seen: set[str] = set()
    for each in documents.list_documents(conn, deleted=True):
        parent = PurePosixPath(each.source).parent
        source = each.source.rstrip("/")
        for place in (each.source, f"{source}/{each.path}", f"{parent}/{each.path}"):
            for name in _above(place):
                if name not in seen:
                    seen.add(name)
                    yield name


def _above(place: str) -> Iterator[str]:
    """A place and all that it lies in: `/a/b.zip!/c` in `/a/b.zip`, `/a` and `/`."""
    yield place
    for at, character in enumerate(place):
        if character == "/":
            yield place[:at].removesuffix("!")
            yield place[: at + 1]  # addresses may end so
