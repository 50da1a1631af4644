"""Erase: a user, a source or an interaction goes from everything that the workspace keeps.

    take its rows → replace the champion → delete old artifacts → clear the database's files → prove

What is erased stops showing with the first step, which is one transaction. Killed at any moment,
the same command completes the rest: until the proof is done the texts to look for lie in a file of
their own, which goes last.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from flywheel.answer.settings import DecideSettings, QuoteSettings
from flywheel.errors import StoreError
from flywheel.store import corrections, documents, erasures, redaction, state, versions
from flywheel.store.erasures import Erasure, TargetKind
from flywheel.store.redaction import Items
from flywheel.store.versions import Version
from flywheel.wheel import examination, feedback, ingest, stages, turn, uploads
from flywheel.wheel.erasure import proof
from flywheel.wheel.erasure.erasable import find, full_name, items_of, items_since
from flywheel.wheel.erasure.proof import MIN_BYTES, Needles, Proof, pieces, without_others
from flywheel.wheel.incoming import clear_leftovers
from flywheel.wheel.moderation.judging import forget_erased
from flywheel.wheel.reasons import say
from flywheel.wheel.stages import Progress
from flywheel.wheel.versions import hash_of
from flywheel.wheel.workspace import Workspace

_UNTRAINED = (
    "the moderation classifier had learned from it and is deleted: `flywheel moderation train` "
    "makes it again"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Erased:
    """What an erase did."""

    erasure: str
    items: Items
    """What it took; nothing, where an earlier one had taken it all."""
    versions: tuple[int, ...]
    """Those that held or learned from it, and serve never again."""
    version: int | None
    """The new one, without it; None where the champion held nothing of it."""
    champion: int | None
    proof: Proof
    notes: tuple[str, ...]
    """What the owner should look at."""
    seconds: float


def erase(
    workspace: Workspace, kind: TargetKind, name: str, progress: Progress = lambda *_: None
) -> Erased:
    """Erases, and proves it. What is erased is in no later version.

    Raises:
        UsageError: nothing is kept of it, and never was any.
        StoreError: it was found somewhere afterwards; the same command tries again.
        WorkspaceBusy: an add, a turn or another erase is running.
    """
    started = time.perf_counter()
    with workspace.exclusive():
        items = find(workspace, kind, name)
        full = full_name(workspace, kind, name)
        erasure = _begin(workspace, kind, full)
        if items:
            take(workspace, erasure, items)
        while late := _come_since(workspace, erasure, full):
            take(workspace, erasure, late)
        cached = workspace.artifacts.keys()
        version = replace_champion(workspace, erasure, progress)
        delete_artifacts(workspace, made=workspace.artifacts.keys() - cached)
        clear_leftovers(workspace)
        is_moderated_without = forget_erased(workspace)
        workspace.database.compact([table.name for table in redaction.every_table()])
        proven = check(workspace, erasure)
        is_uploaded = uploads.is_uploaded(full)
        notes = tuple(_notes(workspace, erasure, is_uploaded))
        if is_moderated_without:
            notes += (_UNTRAINED,)
        finish(workspace, erasure)
    with workspace.database.read() as conn:
        champion = versions.champion(conn)
        marked = [each.number for each in versions.list_versions(conn) if each.erased == erasure.id]
    return Erased(
        erasure=erasure.id,
        items=items,
        versions=tuple(marked),
        version=version.number if version else None,
        champion=champion.number if champion else None,
        proof=proven,
        notes=notes,
        seconds=time.perf_counter() - started,
    )


def take(workspace: Workspace, erasure: Erasure, items: Items) -> None:
    """Empties the rows and marks the versions, in one transaction. From now on nothing shows.

    Uploaded files go before, since it is their rows that name them.
    """
    uploads.erase_files(workspace, items.documents)

    def write(conn: Connection) -> None:
        corrections.lock(conn)
        erasures.remember(conn, erasure, items)
        erasures.mark_versions(conn, erasure.id)
        keys = redaction.correction_keys(conn, items.feedback)
        texts = redaction.redact(conn, items)
        # Who was contradicted by an erased correction alone is contradicted no more.
        feedback.settle(conn, keys - {""})
        if items.documents:
            state.put(conn, ingest.UNRESOLVED, True)
            state.put(conn, feedback.LOCATED_IN, None)
        # Before the commit: what is redacted and not written down could never be looked for.
        _write_down(workspace, erasure, texts)

    workspace.database.write(write)


def _come_since(workspace: Workspace, erasure: Erasure, name: str) -> Items:
    """What there is of it since it was taken; also where an earlier try did not see it."""
    with workspace.database.read() as conn:
        taken = Items(
            interactions=frozenset(erasures.taken_by(conn, erasure.id, "interaction")),
            feedback=frozenset(erasures.taken_by(conn, erasure.id, "feedback")),
            documents=frozenset(erasures.taken_by(conn, erasure.id, "document", "file")),
        )
        texts = _written_down(workspace, erasure)
        return items_since(conn, erasure.kind, name, taken, texts)


def replace_champion(workspace: Workspace, erasure: Erasure, progress: Progress) -> Version | None:
    """Lets the champion without what was erased serve, where the champion held any of it."""
    ingest.resolve(workspace)
    feedback.recheck(workspace)
    with workspace.database.read() as conn:
        champion = versions.champion(conn)
        if champion is None or not champion.erased:
            return None
        gone = erasures.unfinished(conn, "document", "file")
        learned = versions.learned_from(conn, champion.number)
    view = _as_built(workspace, champion)
    index = _index_without(view, champion, gone, progress)
    if not index:
        reason = say("nothing_left")
        workspace.database.write(
            lambda conn: versions.set_champion(conn, None, "erasure", reason=reason)
        )
        return None
    exam = examination.questions(view, stages.opened(view, index))
    learnable = stages.learnable(view, exam)
    if learned or not champion.bundle["ranker"]:
        learnable = learnable.only(learned)
    writers = _writers_without(workspace, champion)
    bundle = turn.build(view, index, learnable, progress, writers)

    def write(conn: Connection) -> Version | None:
        standing = versions.champion(conn)
        if standing is None or not standing.erased:
            return None  # the owner went back to another one meanwhile
        reason = say("without_erased", number=champion.number)
        version = Version(
            number=versions.next_number(conn),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            parent=champion.number,
            bundle=bundle,
            bundle_hash=hash_of(bundle),
            decision="promoted",
            reasons=(reason,),
        )
        versions.put(conn, version)
        held = versions.held_by(conn, champion.bundle["index"]) - gone
        versions.put_lineage(conn, version, learnable.feedback if bundle["ranker"] else (), held)
        versions.set_champion(conn, version.number, "erasure", reason=reason)
        examination.forget(conn)
        return version

    return workspace.database.write(write)


def _writers_without(workspace: Workspace, champion: Version) -> dict[str, Any]:
    """The champion's writers whose models learned from nothing that is being erased.

    Where one did, the documents are quoted until `flywheel turn --model` builds another.
    """
    with workspace.database.read() as conn:
        gone = erasures.unfinished(conn, "document", "file", "feedback")
        return {
            language: writer
            for language, writer in champion.bundle.get("writers", {}).items()
            if gone.isdisjoint(versions.held_by(conn, writer["model"]))
        }


def delete_artifacts(workspace: Workspace, made: set[str]) -> None:
    """Deletes the artifacts that no version names which can serve, caches and leftovers too."""
    with workspace.database.read() as conn:
        clean = [each for each in versions.list_versions(conn) if not each.erased]
    named = {text for each in clean for text in redaction.strings(each.bundle)}
    workspace.artifacts.clear(keep=named | made)


def check(workspace: Workspace, erasure: Erasure) -> Proof:
    """Proves that what an erasure took stands nowhere any more.

    Raises:
        StoreError: it does, with the places.
    """
    with workspace.database.read() as conn:
        taken = erasures.taken_by(conn, erasure.id)
    proven = proof.prove(workspace, _written_down(workspace, erasure), erasure.kind, taken)
    if proven.found:
        raise StoreError(
            f"Erased text still stands in {', '.join(proven.found)}. Nothing shows it; run the "
            "same command again, and see who else uses these files."
        )
    return proven


def finish(workspace: Workspace, erasure: Erasure) -> None:
    """Forgets what was looked for, also by an erase that was killed before it took anything."""
    workspace.database.write(lambda conn: erasures.finish(conn, erasure.id))
    with workspace.database.read() as conn:
        open_ones = erasures.unfinished_ids(conn)
    for place in _place(workspace, erasure).parent.glob("*"):
        if place.suffix != ".json" or place.stem not in open_ones:
            place.unlink()


def _begin(workspace: Workspace, kind: TargetKind, name: str) -> Erasure:
    """The erasure that was interrupted, or that has done all there was to do; or a new one."""
    with workspace.database.read() as conn:
        earlier = erasures.of_target(conn, kind, name)
        unfinished = [each for each in earlier if each.done_at is None]
        if unfinished or (earlier and not items_of(conn, kind, name)):
            return (unfinished or earlier)[-1]
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Erasure(id=uuid.uuid4().hex, kind=kind, of=erasures.hash_of(kind, name), at=now)


def _as_built(workspace: Workspace, version: Version) -> Workspace:
    """The workspace with the settings that a version was built with."""
    settings = workspace.settings.model_copy(
        update={
            "search": workspace.settings.search.model_copy(
                update={"embedding": version.bundle["embedding"]}
            ),
            "quote": QuoteSettings.model_validate(version.bundle["quote"]),
            "decide": DecideSettings.model_validate(version.bundle["decide"]),
        }
    )
    return Workspace(workspace.root, settings, workspace.database)


def _index_without(
    workspace: Workspace, champion: Version, gone: set[str], progress: Progress
) -> str:
    key: str = champion.bundle["index"]
    with workspace.database.read() as conn:
        held = versions.held_by(conn, key)
        staged = documents.num_passages(conn)
    if workspace.artifacts.find("index", key) is None:
        # Lost otherwise: what is staged now is all that there is to build from.
        return stages.index(workspace, progress) if staged else ""
    if held and held.isdisjoint(gone):
        return key
    return stages.index_without(workspace, key, gone, progress)


def _place(workspace: Workspace, erasure: Erasure) -> Path:
    return workspace.artifacts.root / proof.PENDING / f"{erasure.id}.json"


def _write_down(workspace: Workspace, erasure: Erasure, texts: set[str]) -> None:
    place = _place(workspace, erasure)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    every = sorted(texts.union(_written_down(workspace, erasure)))
    part = place.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(every, file)  # as ASCII: it may hold half of a surrogate pair
        file.flush()
        os.fsync(file.fileno())
    part.replace(place)


def _written_down(workspace: Workspace, erasure: Erasure) -> list[str]:
    place = _place(workspace, erasure)
    texts: list[str] = json.loads(place.read_text()) if place.is_file() else []
    return texts


def _notes(workspace: Workspace, erasure: Erasure, is_uploaded: bool) -> Iterator[str]:
    """What an erase leaves to the owner: his own files."""
    exam = workspace.root / workspace.settings.exam.file
    needles = Needles(pieces(_written_down(workspace, erasure), MIN_BYTES[erasure.kind]))
    with workspace.database.read() as conn:
        needles = without_others(conn, needles, erasure.kind, erasures.taken_by(conn, erasure.id))
    if exam.is_file() and needles.found_in_file(exam):
        yield f"{exam} still holds some of it: it is your own file, so edit it"
    if erasure.kind == "source" and not is_uploaded:
        yield "the files themselves are not touched: delete them where they lie"
