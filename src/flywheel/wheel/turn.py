"""THE PLOT: one revolution of the wheel.

    build what is staged and corrected → evaluate it → let the gate decide → the champion serves

Every stage's output is an artifact under the hash of all that it depends on, and the version is
written last, in one transaction with the champion. Killed anywhere, the next turn takes up the
finished stages and comes to the same version.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from flywheel.answer.assistant import Assistant
from flywheel.errors import WorkspaceError
from flywheel.evaluate.exam import Sitting, sit
from flywheel.records import ExamQuestion, Score, to_json
from flywheel.store import documents, versions
from flywheel.store.versions import Version
from flywheel.wheel import cost, examination, feedback, gate, growth, ingest, stages
from flywheel.wheel.stages import Learnable, Progress
from flywheel.wheel.versions import hash_of
from flywheel.wheel.workspace import Workspace

MOVED = "the owner promoted another version meanwhile; turn again to compare with that one"


@dataclass(frozen=True, kw_only=True, slots=True)
class Turned:
    """What a turn came to."""

    version: int
    decision: versions.Decision
    reasons: tuple[str, ...]
    champion: int
    metrics: dict[str, Score]
    sitting: Sitting | None
    """None where nothing was new, so that nothing was examined."""
    seconds: float


def turn(workspace: Workspace, progress: Progress = lambda *_: None) -> Turned:
    """Builds a challenger from what is staged and corrected, examines it, and lets the gate decide.

    Raises:
        WorkspaceError: nothing is staged.
        WorkspaceBusy: another add or turn is running.
    """
    started = time.perf_counter()
    with workspace.exclusive():
        ingest.resolve(workspace)
        feedback.recheck(workspace)
        champion, latest = _standing(workspace)
        index = stages.index(workspace, progress)
        growth.draw(workspace, examination.own(workspace))
        exam = examination.questions(workspace, stages.opened(workspace, index))
        learnable = stages.learnable(workspace, exam)
        bundle = build(workspace, index, learnable, progress)
        if champion and champion.bundle_hash == hash_of(bundle):
            return _nothing_new(champion, champion, time.perf_counter() - started)
        challenger = workspace.assemble(bundle, number=0)
        known = latest and latest.bundle_hash == hash_of(bundle)
        if champion and latest and known and examination.was_latest(workspace, exam):
            return _nothing_new(latest, champion, time.perf_counter() - started)
        sitting = evaluate(exam, challenger, workspace, progress)
        decision = decide(workspace, champion, bundle, exam, sitting, progress)
        decision = _with_learned(decision, learnable, bundle)
        decision = _with_waiting(decision, workspace)
        version = keep(workspace, champion, bundle, exam, sitting, decision, learnable)
    return Turned(
        version=version.number,
        decision=version.decision,
        reasons=version.reasons,
        champion=workspace.champion().number,
        metrics=dict(sitting.metrics),
        sitting=sitting,
        seconds=time.perf_counter() - started,
    )


def build(
    workspace: Workspace, index: str, learnable: Learnable, progress: Progress
) -> dict[str, Any]:
    """STEP 2: the challenger's bundle, which names all that answers."""
    settings = workspace.settings
    ranker = stages.ranker(workspace, index, learnable, progress)
    calibration = stages.thresholds(workspace, index, ranker, progress)
    return {
        "index": index,
        "ranker": ranker,
        "learned": learnable.digest if ranker else "",
        "embedding": settings.search.embedding,
        "calibration": to_json(calibration),
        "quote": settings.quote.model_dump(mode="json"),
        "decide": settings.decide.model_dump(mode="json"),
    }


def evaluate(
    exam: Sequence[ExamQuestion], assistant: Assistant, workspace: Workspace, progress: Progress
) -> Sitting:
    """One version sits the exam, as a reader who sees everything; no correction answers for it."""
    reader = workspace.reader()
    return sit(
        exam,
        lambda question: assistant.ask(question, reader),
        groups=examination.groups(exam),
        progress=lambda done, of: progress("exam", done, of),
    )


def decide(
    workspace: Workspace,
    champion: Version | None,
    bundle: dict[str, Any],
    exam: Sequence[ExamQuestion],
    sitting: Sitting,
    progress: Progress,
) -> gate.Decision:
    """The gate's decision; the champion sits the same questions first."""
    if champion is None:
        return examination.with_notes(gate.FIRST, exam)
    newer_documents = _is_learned_alike(champion.bundle, bundle)
    if newer_documents and examination.is_too_small(exam):
        return gate.UNEXAMINED
    serving, num_switched_off = examination.unprepared(workspace, champion, exam)
    before = evaluate(exam, serving, workspace, progress)
    stale: frozenset[str] = frozenset()
    if champion.bundle["index"] != bundle["index"]:
        stale = examination.stale(before, sitting, workspace.assemble(bundle, number=0).index)
    sitting = examination.without(sitting, stale)
    decision = gate.decide(
        examination.without(before, stale),
        sitting,
        workspace.settings.gate,
        k=examination.num_decisions(workspace, exam) + 1,
        newer_documents=newer_documents,
    )
    if decision.rule in ("gain", "no gain", "newer documents"):
        decision = _against_best(
            workspace, champion, bundle, exam, stale, sitting, decision, progress
        )
    return examination.with_notes(decision, exam, stale, num_switched_off)


def _against_best(
    workspace: Workspace,
    champion: Version,
    bundle: dict[str, Any],
    exam: Sequence[ExamQuestion],
    stale: frozenset[str],
    sitting: Sitting,
    decision: gate.Decision,
    progress: Progress,
) -> gate.Decision:
    """The decision in view of the best version ever promoted on a gain.

    That one sits the exam only where it matters: it is not the champion, and the challenger
    gained or is cheaper.
    """
    with workspace.database.read() as conn:
        best = versions.best(conn) or champion
    if decision.rule == "newer documents":
        return replace(decision, sets_bar=decision.promote and best.number == champion.number)
    saving = None
    if not decision.promote:
        saving = cost.saving(
            workspace,
            (champion.bundle, workspace.assistant(champion)),
            (bundle, workspace.assemble(bundle, number=0)),
            exam,
        )
        if saving is None:
            return decision
    elif best.number == champion.number:
        return decision
    try:
        assistant, _ = examination.unprepared(workspace, best, exam)
    except WorkspaceError:
        # Its parts are gone: what cannot be asked can neither be matched nor defended.
        return decision
    at_best = examination.without(evaluate(exam, assistant, workspace, progress), stale)
    rules = workspace.settings.gate
    if saving:
        k = examination.num_decisions(workspace, exam) + 1
        return gate.as_good_and_cheaper(decision, at_best, sitting, rules, saving, best.number, k=k)
    return replace(decision, sets_bar=gate.takes_over(at_best, sitting, rules))


def keep(
    workspace: Workspace,
    champion: Version | None,
    bundle: dict[str, Any],
    exam: Sequence[ExamQuestion],
    sitting: Sitting,
    decision: gate.Decision,
    learnable: Learnable,
) -> Version:
    """Writes the version, what it learned from and, if it won, the champion: all or nothing."""

    def write(conn: Connection) -> Version:
        standing = versions.champion(conn)
        # Promoting and rolling back wait for no turn.
        has_moved = _number(standing) != _number(champion)
        won = decision.promote and not has_moved
        version = Version(
            number=versions.next_number(conn),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            parent=champion.number if champion else None,
            bundle=bundle,
            bundle_hash=hash_of(bundle),
            metrics=dict(sitting.metrics),
            decision="promoted" if won else "kept",
            reasons=(*decision.reasons, *((MOVED,) if has_moved else ())),
        )
        versions.put(conn, version)
        learned = learnable.feedback if bundle["learned"] else ()
        versions.put_lineage(conn, version, learned, documents.shown(conn))
        if has_moved:
            examination.forget(conn)
        else:
            examination.remember(conn, exam, workspace.settings.gate)
        if decision.tested_gain:
            examination.count_decision(conn, exam)
        if won:
            versions.set_champion(conn, version.number, reason="; ".join(version.reasons[:1]))
        if won and decision.sets_bar:
            versions.set_best(conn, version.number)
        return version

    return workspace.database.write(write)


def _standing(workspace: Workspace) -> tuple[Version | None, Version | None]:
    """The champion and the newest version, of those that an erasure left."""
    with workspace.database.read() as conn:
        every = [each for each in versions.list_versions(conn) if not each.erased]
        return versions.champion(conn), every[-1] if every else None


def _number(version: Version | None) -> int | None:
    return None if version is None else version.number


def _nothing_new(earlier: Version, champion: Version | None, seconds: float) -> Turned:
    assert champion is not None
    return Turned(
        version=earlier.number,
        decision=earlier.decision,
        reasons=(f"nothing is new since version {earlier.number}",),
        champion=champion.number,
        metrics=earlier.metrics,
        sitting=None,
        seconds=seconds,
    )


def _with_learned(
    decision: gate.Decision, learnable: Learnable, bundle: dict[str, Any]
) -> gate.Decision:
    """The decision, saying what the version learned from."""
    notes = []
    if bundle["ranker"]:
        notes.append(f"its order is learned from {len(learnable.examples)} acts of feedback")
    left_out = Counter(learnable.left_out.values())
    counts = [f"{num} {reason}" for reason, num in left_out.items()]
    if counts:
        notes.append(f"left out of the learning: {', '.join(counts)}")
    return replace(decision, reasons=(*decision.reasons, *notes))


def _with_waiting(decision: gate.Decision, workspace: Workspace) -> gate.Decision:
    """The decision, saying what would make the next one surer."""
    waiting = len(growth.waiting(workspace))
    if not waiting:
        return decision
    questions = "1 question waits" if waiting == 1 else f"{waiting} questions wait"
    note = f"{questions} for an answer to join the exam: flywheel exam --waiting"
    return replace(decision, reasons=(*decision.reasons, note))


def _is_learned_alike(champion: dict[str, Any], challenger: dict[str, Any]) -> bool:
    """Whether two bundles differ in their documents, and in nothing but what follows from them.

    The ranker and the thresholds are fitted anew where the documents change.
    """
    follows = {"index": "", "calibration": "", "ranker": ""}
    alike = {**champion, **follows} == {**challenger, **follows}
    return alike and champion["index"] != challenger["index"]
