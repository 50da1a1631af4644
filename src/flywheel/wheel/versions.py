"""Which version serves: promoting one, and going back to the champion before.

Both are the owner's acts: they need no gate, only a version that is whole and was not erased. Kept
light, since going back should take no second: no index is opened. Not here: how versions compare
(comparison.py), and how they come to be (turn.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flywheel.errors import StoreError, UsageError
from flywheel.store import feedback, interactions
from flywheel.store import versions as version_store
from flywheel.store.corrections import lock
from flywheel.store.versions import Promotion, Version
from flywheel.wheel.keys import record

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace

PARTS = ("index", "ranker")
"""The stages whose artifacts a bundle names, under the same names."""


def parts_of(bundle: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The artifacts that a bundle names: stage and key, each once."""
    named = [(stage, bundle.get(stage)) for stage in PARTS]
    named += [("model", each["model"]) for each in bundle.get("writers", {}).values()]
    return list(dict.fromkeys((stage, key) for stage, key in named if key))


@dataclass(frozen=True, kw_only=True, slots=True)
class Promoted:
    """What promoting or rolling back came to."""

    champion: int
    before: int | None
    """The version that served until now."""
    passed: tuple[str, ...] = ()
    """Why champions that come earlier in the way back could not serve."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """Every version, and how they came to serve."""

    versions: tuple[Version, ...]
    champion: int | None
    history: tuple[Promotion, ...]
    asked: Mapping[int, int]
    """How many questions each version was asked."""
    rated: Mapping[int, Mapping[str, int]]
    """On how many of its answers there was feedback of each kind: a series to look at. The gate
    never sees it, since users rate what they happen to ask."""


def list_versions(workspace: Workspace) -> Listed:
    """The versions, the first one first."""
    with workspace.database.read() as conn:
        champion = version_store.champion(conn)
        return Listed(
            versions=tuple(version_store.list_versions(conn)),
            champion=champion.number if champion else None,
            history=tuple(version_store.history(conn)),
            asked=interactions.count_versions(conn),
            rated=feedback.count_rated(conn),
        )


def is_there(workspace: Workspace, number: int) -> bool:
    """Whether there is a version of that number."""
    with workspace.database.read() as conn:
        return version_store.get(conn, number) is not None


def promote(
    workspace: Workspace,
    number: int,
    user: str = "owner",
    reason: str = "",
    by: Caller | None = None,
    first: Callable[[Connection], None] | None = None,
) -> Promoted:
    """Lets a version serve from the next question on, whatever the gate said of it.

    Args:
        by: whose key it was; None is the command line's owner.
        first: done in the same write before anything else; what it raises undoes all.

    Raises:
        UsageError: there is no such version, it serves already, or it cannot serve any more.
    """
    with workspace.database.read() as conn:
        version = version_store.require(conn, number)
    if problem := problem_of(workspace, version):
        raise UsageError(problem)

    def write(conn: Connection) -> Promoted:
        lock(conn)
        if first:
            first(conn)
        before = version_store.champion(conn)
        if before and before.number == number:
            raise UsageError(f"Version {number} serves already.")
        _refuse_erased(version_store.require(conn, number))
        version_store.set_champion(conn, number, "owner", user, reason)
        record(conn, by, "versions.promote", str(number))
        return Promoted(champion=number, before=before.number if before else None)

    return workspace.database.write(write)


def rollback(
    workspace: Workspace,
    user: str = "owner",
    reason: str = "",
    by: Caller | None = None,
    first: Callable[[Connection], None] | None = None,
) -> Promoted:
    """Goes back to the champion before; again, to the one before that.

    A champion that cannot serve any more is passed over.

    Args:
        by: whose key it was; None is the command line's owner.
        first: done in the same write before anything else; what it raises undoes all.

    Raises:
        UsageError: there is none to go back to.
    """

    def write(conn: Connection) -> Promoted:
        lock(conn)
        if first:
            first(conn)
        before = version_store.champion(conn)
        passed: list[str] = []
        for number in way_back(version_store.history(conn)):
            version = version_store.require(conn, number)
            problem = problem_of(workspace, version, contents=False)
            if not problem:
                version_store.set_champion(conn, number, "rollback", user, reason)
                record(conn, by, "versions.rollback", str(number))
                serving = before.number if before else None
                return Promoted(champion=number, before=serving, passed=tuple(passed))
            passed.append(problem)
        raise UsageError("\n".join((*passed, "There is no earlier champion to go back to.")))

    return workspace.database.write(write)


def way_back(history: Sequence[Promotion]) -> Iterator[int]:
    """The champions before the one that serves, the latest first, each once.

    Going back takes what came after out of the way, as undoing does: from 1, 2, 3 back to 2, and
    then to 1, not to 3 again.
    """
    stack: list[int] = []
    for each in history:
        if each.by == "rollback":
            while stack and stack[-1] != each.version:
                stack.pop()
        elif each.version is not None:
            stack.append(each.version)
    standing = history[-1].version if history else None
    yield from dict.fromkeys(each for each in reversed(stack) if each != standing)


def problem_of(workspace: Workspace, version: Version, *, contents: bool = True) -> str:
    """Why a version cannot serve; empty where it can.

    Args:
        contents: reads every byte of its artifacts; else only the files' names and sizes.
    """
    try:
        _refuse_erased(version)
        _verify(workspace, version, contents=contents)
    except (UsageError, StoreError) as error:
        return str(error)
    return ""


def _refuse_erased(version: Version) -> None:
    if version.erased:
        raise UsageError(
            f"Version {version.number} held or learned from what was erased, and serves never "
            "again. `flywheel versions` lists those that can."
        )


def _verify(workspace: Workspace, version: Version, *, contents: bool) -> None:
    """Compares a version with its hash, and its artifacts with their manifests."""
    number = version.number
    if hash_of(version.bundle) != version.bundle_hash:
        raise StoreError(f"Version {number} is damaged: its bundle is not what was hashed.")
    for stage, key in parts_of(version.bundle):
        artifact = workspace.artifacts.find(stage, key)
        if artifact is None:
            raise StoreError(
                f"Version {number} cannot serve: its {stage} is missing from "
                f"{workspace.artifacts.root / stage}. Restore {key} there, or choose another."
            )
        try:
            workspace.artifacts.verify(artifact, contents=contents)
        except StoreError as error:
            raise StoreError(f"Version {number} cannot serve: {error}") from error


def hash_of(bundle: dict[str, Any]) -> str:
    """What tells whether a bundle is the one that was made."""
    return hashlib.sha256(json.dumps(bundle, sort_keys=True).encode()).hexdigest()
