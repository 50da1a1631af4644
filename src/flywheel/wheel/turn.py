"""THE PLOT: one revolution of the wheel.

    build what is staged and corrected → evaluate it → let the gate decide → the champion serves

Every stage's output is an artifact under the hash of all that it depends on, and the version is
written last, in one transaction with the champion. Killed anywhere, the next turn takes up the
finished stages and comes to the same versions.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from flywheel.errors import WorkspaceError
from flywheel.evaluate.exam import Sitting
from flywheel.records import ExamQuestion, Score, to_json
from flywheel.store import documents, versions
from flywheel.store.versions import Version
from flywheel.wheel import (
    challengers,
    cost,
    examination,
    feedback,
    gate,
    growth,
    ingest,
    modelling,
    pending,
    stages,
    writing,
)
from flywheel.wheel.challengers import Challenger, Revolution
from flywheel.wheel.exam import card as exam_card
from flywheel.wheel.reasons import say
from flywheel.wheel.stages import Learnable, Progress
from flywheel.wheel.workspace import Workspace

MOVED = say("moved")


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
    model: Mapping[str, Any] | None = None
    """How the model was built and what it is worth, where one was (`specialist.Made` in JSON)."""


def turn(
    workspace: Workspace, progress: Progress = lambda *_: None, *, model: bool = False
) -> Turned:
    """Builds a challenger from what is staged and corrected, examines it, and lets the gate decide.

    Twice where there are newer documents and newer feedback: the documents first, so that they do
    not wait until the feedback shows a gain. Once more with a model, whose words must be better
    answers than the documents' own.

    Args:
        model: builds a language model too, as `[build]` says, or tries the one that `[engine]`
            names.

    Raises:
        WorkspaceError: nothing is staged.
        WorkspaceBusy: another add or turn is running.
        SettingsError: a model is asked for, and the settings name none.
        ModelError: it cannot be built or served here, or failed the comparison with what was
            trained.
    """
    started = time.perf_counter()
    with workspace.exclusive():
        if model:
            modelling.check(workspace)
        ingest.resolve(workspace)
        feedback.recheck(workspace)
        stood = pending.stand(workspace)
        index = stages.index(workspace, progress)
        growth.draw(workspace, examination.own(workspace))
        exam = examination.questions(workspace, stages.opened(workspace, index))
        learnable = stages.learnable(workspace, exam)
        revolutions = [
            revolve(workspace, index, each, exam, progress)
            for each in challengers.one_by_one(workspace, index, learnable)
        ]
        if model:
            revolutions.append(revolve_model(workspace, index, learnable, exam, progress))
            workspace.engines.close()  # the one that did not win is of no more use
        workspace.database.write(lambda conn: pending.remember(conn, stood))
    made = [each for each in revolutions if each.sitting]
    last = made[-1] if made else revolutions[-1]
    return Turned(
        version=last.version.number,
        decision=last.version.decision,
        reasons=(*last.reasons, *map(_in_a_line, made[:-1])),
        champion=workspace.champion().number,
        metrics=last.version.metrics,
        sitting=last.sitting,
        seconds=time.perf_counter() - started,
        model=revolutions[-1].model,
    )


def revolve(
    workspace: Workspace,
    index: str,
    learnable: Learnable,
    exam: Sequence[ExamQuestion],
    progress: Progress,
) -> Revolution:
    """One challenger, from its bundle to its version."""
    with workspace.database.read() as conn:
        champion = versions.champion(conn)
    if champion and (
        known := challengers.tried_before(workspace, champion, index, learnable, exam)
    ):
        return _nothing_new(known)
    writers = champion.bundle.get("writers") if champion else None
    bundle = build(workspace, index, learnable, progress, writers)
    assistant = workspace.assemble(bundle, number=0)
    challenger = Challenger(bundle=bundle, assistant=assistant, learnable=learnable)
    if champion and (known := challengers.judged_before(workspace, champion, challenger, exam)):
        return _nothing_new(known)
    sitting = examination.evaluate(exam, challenger.assistant, workspace, progress)
    decision = decide(workspace, champion, challenger, exam, sitting, progress)
    decision = _with_learned(decision, challenger)
    decision = _with_waiting(decision, workspace)
    version = keep(workspace, champion, challenger, exam, sitting, decision)
    return Revolution(version, version.reasons, sitting)


def revolve_model(
    workspace: Workspace,
    index: str,
    learnable: Learnable,
    exam: Sequence[ExamQuestion],
    progress: Progress,
) -> Revolution:
    """The champion with a model that words its answers, language by language."""
    champion = workspace.champion()
    writer = modelling.writer(workspace, index, learnable, exam, progress)
    made = modelling.report(workspace, writer["model"]) if writer["model"] else None
    trial = writing.trial(workspace, champion, writer, exam, progress)
    if trial is None:
        return Revolution(champion, (say("tried"),), None, made)
    decision = writing.decide(workspace, trial)
    challenger = writing.challenger(workspace, champion, trial, decision)
    sitting = writing.sitting(trial, decision)
    version = keep(
        workspace, champion, challenger, exam, sitting, decision.of_all, decision.remember
    )
    return Revolution(version, version.reasons, sitting, made)


def build(
    workspace: Workspace,
    index: str,
    learnable: Learnable,
    progress: Progress,
    writers: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """STEP 2: the challenger's bundle, which names all that answers; who words it stays."""
    ranker = stages.ranker(workspace, index, learnable, progress)
    calibration = stages.thresholds(workspace, index, ranker, progress)
    answering = {"index": index, "ranker": ranker, "calibration": to_json(calibration)}
    answering |= challengers.answer_settings(workspace)
    return answering | {"writers": writers} if writers else answering


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
    newer_documents = challengers.is_newer_alone(workspace, champion, challenger)
    if newer_documents and examination.is_too_small(exam):
        return gate.UNEXAMINED
    serving, num_switched_off = examination.unprepared(workspace, champion, exam)
    before = examination.evaluate(exam, serving, workspace, progress)
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
    at_best = examination.without(examination.evaluate(exam, assistant, workspace, progress), stale)
    rules = workspace.settings.gate
    if saving:
        k = examination.num_decisions(workspace, exam) + 1
        return gate.as_good_and_cheaper(decision, at_best, sitting, rules, saving, best.number, k=k)
    return replace(decision, sets_bar=gate.takes_over(at_best, sitting, rules))


def keep(
    workspace: Workspace,
    champion: Version | None,
    challenger: Challenger,
    exam: Sequence[ExamQuestion],
    sitting: Sitting,
    decision: gate.Decision,
    also: Callable[[Connection], None] = lambda _: None,
) -> Version:
    """Writes the version, what it learned from, how it sat the exam and, if it won, the champion:
    all or nothing.

    Args:
        also: what else is written in the same transaction.
    """
    keep_rows = exam_card.kept(workspace, challenger.bundle["index"], sitting)

    def write(conn: Connection) -> Version:
        standing = versions.champion(conn)
        # Promoting and rolling back wait for no turn.
        has_moved = _number(standing) != _number(champion)
        won = decision.promote and not has_moved
        version = Version(
            number=versions.next_number(conn),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            parent=_number(champion),
            bundle=challenger.bundle,
            bundle_hash=challenger.hash,
            metrics=dict(sitting.metrics),
            decision="promoted" if won else "kept",
            reasons=(*decision.reasons, *((MOVED,) if has_moved else ())),
        )
        versions.put(conn, version)
        versions.put_lineage(conn, version, challenger.learned, documents.shown(conn))
        modelling.put_lineage(conn, workspace, version)
        keep_rows(conn, version.number)
        if not has_moved:
            examination.remember(conn, version.number, exam, workspace.settings.gate)
        if decision.tested_gain:
            examination.count_decision(conn, exam)
        if not has_moved:
            also(conn)
        if won:
            versions.set_champion(conn, version.number, reason="; ".join(version.reasons[:1]))
        if won and decision.sets_bar:
            versions.set_best(conn, version.number)
        return version

    return workspace.database.write(write)


def _number(version: Version | None) -> int | None:
    return None if version is None else version.number


def _nothing_new(known: Version) -> Revolution:
    return Revolution(known, (say("nothing_new", number=known.number),), None)


def _in_a_line(revolution: Revolution) -> str:
    version = revolution.version
    return say(
        "before_that",
        number=version.number,
        decision=version.decision,
        reason=version.reasons[0],
    )


def _with_learned(decision: gate.Decision, challenger: Challenger) -> gate.Decision:
    """The decision, saying what the version learned from."""
    notes = []
    if challenger.bundle["ranker"]:
        number = len(challenger.learnable.examples)
        notes.append(say("learned", count=number))
    left_out = Counter(challenger.learnable.left_out.values())
    counts = [f"{num} {reason}" for reason, num in left_out.items()]
    if counts:
        notes.append(say("left_out", counts=", ".join(counts)))
    return replace(decision, reasons=(*decision.reasons, *notes))


def _with_waiting(decision: gate.Decision, workspace: Workspace) -> gate.Decision:
    """The decision, saying what would make the next one surer."""
    waiting = len(growth.waiting(workspace))
    if not waiting:
        return decision
    questions = "1 question waits" if waiting == 1 else f"{waiting} questions wait"
    return replace(decision, reasons=(*decision.reasons, say("waits", wait=questions)))
