"""THE PLOT: one revolution of the wheel.

    build what is staged and corrected → evaluate it → let the gate decide → the champion serves

Every stage's output is an artifact under the hash of all that it depends on, and the version is
written last, in one transaction with the champion. Killed anywhere, the next turn takes up the
finished stages and comes to the same version.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from flywheel.answer.assistant import Assistant
from flywheel.errors import WorkspaceError
from flywheel.evaluate.exam import Sitting, sit
from flywheel.records import ExamQuestion, Score, to_json
from flywheel.store import versions
from flywheel.store.versions import Version
from flywheel.wheel import cost, examination, feedback, gate, growth, ingest, stages
from flywheel.wheel.stages import Learnable, Progress
from flywheel.wheel.workspace import Workspace


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
        if champion and champion.bundle_hash == _hash(bundle):
            return _nothing_new(champion, champion, time.perf_counter() - started)
        challenger = workspace.assemble(bundle, number=0)
        known = latest and latest.bundle_hash == _hash(bundle)
        if latest and known and examination.was_latest(workspace, exam):
            return _nothing_new(latest, champion, time.perf_counter() - started)
        sitting = evaluate(exam, challenger, workspace, progress)
        decision = decide(workspace, champion, bundle, exam, sitting, progress)
        decision = _with_learned(decision, learnable, bundle)
        decision = _with_waiting(decision, workspace)
        version = keep(workspace, champion, bundle, exam, sitting, decision)
    serving = version.number if decision.promote or champion is None else champion.number
    return Turned(
        version=version.number,
        decision=version.decision,
        reasons=version.reasons,
        champion=serving,
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
        return gate.as_good_and_cheaper(decision, at_best, sitting, rules, saving, best.number)
    return replace(decision, sets_bar=gate.takes_over(at_best, sitting, rules))


def keep(
    workspace: Workspace,
    champion: Version | None,
    bundle: dict[str, Any],
    exam: Sequence[ExamQuestion],
    sitting: Sitting,
    decision: gate.Decision,
) -> Version:
    """Writes the version and, if it won, the champion: both or neither."""

    def write(conn: Connection) -> Version:
        version = Version(
            number=versions.next_number(conn),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            parent=champion.number if champion else None,
            bundle=bundle,
            bundle_hash=_hash(bundle),
            metrics=dict(sitting.metrics),
            decision="promoted" if decision.promote else "kept",
            reasons=decision.reasons,
        )
        versions.put(conn, version)
        examination.remember(conn, exam, workspace.settings.gate)
        if decision.tested_gain:
            examination.count_decision(conn, exam)
        if decision.promote:
            versions.set_champion(conn, version.number)
        if decision.sets_bar:
            versions.set_best(conn, version.number)
        return version

    return workspace.database.write(write)


def _standing(workspace: Workspace) -> tuple[Version | None, Version | None]:
    """The champion and the newest version."""
    with workspace.database.read() as conn:
        every = versions.list_versions(conn)
        return versions.champion(conn), every[-1] if every else None


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
        notes.append(f"its order is learned from {len(learnable.examples)} corrected questions")
    if learnable.num_examined:
        notes.append(
            f"{learnable.num_examined} corrections left out, since the exam asks nearly the same"
        )
    if learnable.num_between:
        notes.append(
            f"{learnable.num_between} corrections left out, since they stand between the exam's "
            "questions and those learned from"
        )
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
    """Whether the documents are all that two bundles differ in.

    The ranker and the thresholds are fitted anew where the documents change.
    """
    follows = {"index": "", "calibration": "", "ranker": ""}
    return {**champion, **follows} == {**challenger, **follows}


def _hash(bundle: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(bundle, sort_keys=True).encode()).hexdigest()
