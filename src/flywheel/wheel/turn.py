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


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenger:
    """A version to be: ready to answer, and not written yet."""

    bundle: dict[str, Any]
    assistant: Assistant
    learnable: Learnable
    """What it was built from."""

    @property
    def hash(self) -> str:
        """The same for the same bundle."""
        return hash_of(self.bundle)

    @property
    def learned(self) -> frozenset[str]:
        """The ids of the feedback that it learned from."""
        return self.learnable.feedback if self.bundle["ranker"] else frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A challenger, how it sat the exam, and what the gate said."""

    challenger: Challenger
    sitting: Sitting
    decision: gate.Decision


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
        champion = _champion(workspace)
        index = stages.index(workspace, progress)
        growth.draw(workspace, examination.own(workspace))
        exam = examination.questions(workspace, stages.opened(workspace, index))
        learnable = stages.learnable(workspace, exam)
        challenger = _challenger(workspace, index, learnable, progress)
        if champion and (known := _judged_before(workspace, champion, challenger, exam)):
            return _nothing_new(known, champion, time.perf_counter() - started)
        judged = [judge(workspace, champion, challenger, exam, progress)]
        if not judged[0].decision.promote:
            assert champion is not None, "the first version has no contest"
            # What feedback could not show to be better keeps no newer document from being read.
            if held_back := _without_newer_feedback(workspace, champion, challenger, progress):
                judged.append(judge(workspace, champion, held_back, exam, progress))
        version = keep(workspace, champion, exam, judged)
    return Turned(
        version=version.number,
        decision=version.decision,
        reasons=version.reasons,
        champion=workspace.champion().number,
        metrics=version.metrics,
        sitting=judged[-1].sitting,
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
        "embedding": settings.search.embedding,
        "calibration": to_json(calibration),
        "quote": settings.quote.model_dump(mode="json"),
        "decide": settings.decide.model_dump(mode="json"),
    }


def judge(
    workspace: Workspace,
    champion: Version | None,
    challenger: Challenger,
    exam: Sequence[ExamQuestion],
    progress: Progress,
) -> Judged:
    """STEPS 3 and 4: the challenger sits the exam, and the gate decides."""
    sitting = evaluate(exam, challenger.assistant, workspace, progress)
    decision = decide(workspace, champion, challenger, exam, sitting, progress)
    decision = _with_learned(decision, challenger)
    return Judged(challenger=challenger, sitting=sitting, decision=decision)


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
    challenger: Challenger,
    exam: Sequence[ExamQuestion],
    sitting: Sitting,
    progress: Progress,
) -> gate.Decision:
    """The gate's decision; the champion sits the same questions first."""
    if champion is None:
        return examination.with_notes(gate.FIRST, exam)
    newer_documents = _is_newer_alone(workspace, champion, challenger)
    if newer_documents and examination.is_too_small(exam):
        return gate.UNEXAMINED
    serving, num_switched_off = examination.unprepared(workspace, champion, exam)
    before = evaluate(exam, serving, workspace, progress)
    stale: frozenset[str] = frozenset()
    if champion.bundle["index"] != challenger.bundle["index"]:
        stale = examination.stale(before, sitting, challenger.assistant.index)
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
            workspace, champion, challenger, exam, stale, sitting, decision, progress
        )
    return examination.with_notes(decision, exam, stale, num_switched_off)


def _against_best(
    workspace: Workspace,
    champion: Version,
    challenger: Challenger,
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
            (challenger.bundle, challenger.assistant),
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
    exam: Sequence[ExamQuestion],
    judged: Sequence[Judged],
) -> Version:
    """Writes the versions, what each learned from and, if one won, the champion: all or nothing.

    Returns:
        The last of them.
    """
    waiting = _waiting(workspace)

    def write(conn: Connection) -> Version:
        standing = versions.champion(conn)
        # Promoting and rolling back wait for no turn.
        has_moved = _number(standing) != _number(champion)
        if has_moved:
            examination.forget(conn)
        else:
            examination.remember(conn, exam, workspace.settings.gate, judged[0].challenger.hash)
        notes = (*waiting, *((MOVED,) if has_moved else ()))
        for each in judged:
            version = _write(conn, champion, each, notes, wins=not has_moved)
            if each.decision.tested_gain:
                examination.count_decision(conn, exam)
            notes = (
                f"version {version.number}, which learned from newer feedback too, was kept back",
                *notes,
            )
        return version

    return workspace.database.write(write)


def _write(
    conn: Connection,
    champion: Version | None,
    judged: Judged,
    notes: Sequence[str],
    *,
    wins: bool,
) -> Version:
    challenger, decision = judged.challenger, judged.decision
    wins = wins and decision.promote
    version = Version(
        number=versions.next_number(conn),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        parent=_number(champion),
        bundle=challenger.bundle,
        bundle_hash=challenger.hash,
        metrics=dict(judged.sitting.metrics),
        decision="promoted" if wins else "kept",
        reasons=(*decision.reasons, *notes),
    )
    versions.put(conn, version)
    versions.put_lineage(conn, version, challenger.learned, documents.shown(conn))
    if wins:
        versions.set_champion(conn, version.number, reason="; ".join(version.reasons[:1]))
    if wins and decision.sets_bar:
        versions.set_best(conn, version.number)
    return version


def _challenger(
    workspace: Workspace, index: str, learnable: Learnable, progress: Progress
) -> Challenger:
    bundle = build(workspace, index, learnable, progress)
    assistant = workspace.assemble(bundle, number=0)
    return Challenger(bundle=bundle, assistant=assistant, learnable=learnable)


def _without_newer_feedback(
    workspace: Workspace, champion: Version, challenger: Challenger, progress: Progress
) -> Challenger | None:
    """The champion on the challenger's newer documents; None where they are not all that is new."""
    with workspace.database.read() as conn:
        known = versions.learned_from(conn, champion.number)
    index = challenger.bundle["index"]
    if index == champion.bundle["index"] or challenger.learned <= known:
        return None
    built = _challenger(workspace, index, challenger.learnable.only(known), progress)
    return built if _is_newer_alone(workspace, champion, built) else None


def _is_newer_alone(workspace: Workspace, champion: Version, challenger: Challenger) -> bool:
    """Whether newer documents are all that sets a challenger apart from the champion.

    Its ranker and its thresholds are fitted anew to them, and what feedback spoke of may be gone.
    """
    follows = dict.fromkeys(("index", "ranker", "calibration"))
    if {**champion.bundle, **follows} != {**challenger.bundle, **follows}:
        return False
    with workspace.database.read() as conn:
        known = versions.learned_from(conn, champion.number)
    return champion.bundle["index"] != challenger.bundle["index"] and challenger.learned <= known


def _champion(workspace: Workspace) -> Version | None:
    with workspace.database.read() as conn:
        return versions.champion(conn)


def _judged_before(
    workspace: Workspace, champion: Version, challenger: Challenger, exam: Sequence[ExamQuestion]
) -> Version | None:
    """The version that the challenger is already, where there is nothing new to examine."""
    if champion.bundle_hash == challenger.hash:
        return champion
    if not examination.was_judged(workspace, exam, challenger.hash):
        return None
    with workspace.database.read() as conn:
        left = [each for each in versions.list_versions(conn) if not each.erased]
    return next((each for each in reversed(left) if each.bundle_hash == challenger.hash), None)


def _number(version: Version | None) -> int | None:
    return None if version is None else version.number


def _nothing_new(earlier: Version, champion: Version, seconds: float) -> Turned:
    return Turned(
        version=earlier.number,
        decision=earlier.decision,
        reasons=(f"nothing is new since version {earlier.number}",),
        champion=champion.number,
        metrics=earlier.metrics,
        sitting=None,
        seconds=seconds,
    )


def _with_learned(decision: gate.Decision, challenger: Challenger) -> gate.Decision:
    """The decision, saying what the version learned from."""
    notes = []
    if challenger.bundle["ranker"]:
        number = len(challenger.learnable.examples)
        notes.append(f"its order is learned from {number} acts of feedback")
    left_out = Counter(challenger.learnable.left_out.values())
    counts = [f"{num} {reason}" for reason, num in left_out.items()]
    if counts:
        notes.append(f"left out of the learning: {', '.join(counts)}")
    return replace(decision, reasons=(*decision.reasons, *notes))


def _waiting(workspace: Workspace) -> tuple[str, ...]:
    """What would make the next decision surer."""
    waiting = len(growth.waiting(workspace))
    if not waiting:
        return ()
    questions = "1 question waits" if waiting == 1 else f"{waiting} questions wait"
    return (f"{questions} for an answer to join the exam: flywheel exam --waiting",)
