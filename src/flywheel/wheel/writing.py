"""How a model earns the right to write: beside the champion on the exam, language by language.

A model writes only where the champion answers; the passages, their order and the decision to
answer stay as they are. So the two differ in the words alone, and a language is won where the
gate finds the model's words to be better answers. docs/models.md tells it to owners.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from flywheel.answer.assistant import Assistant
from flywheel.answer.prompt import language_of
from flywheel.answer.write import WrittenLanguage
from flywheel.evaluate.exam import Sitting, scored
from flywheel.records import ExamQuestion, to_json
from flywheel.store import state, versions
from flywheel.store.versions import Version
from flywheel.wheel import examination, gate
from flywheel.wheel.challengers import Challenger
from flywheel.wheel.reasons import say
from flywheel.wheel.settings import GateSettings
from flywheel.wheel.stages import Learnable, Progress
from flywheel.wheel.workspace import Workspace

LANGUAGES: dict[WrittenLanguage, str] = {"en": "English", "zh": "Chinese"}

UNHEARD = gate.Decision(promote=False, rule="no gain", reasons=(say("unheard"),))
"""No answer is another one, so that there is nothing to compare."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A writer and the champion, after the exam."""

    writer: Mapping[str, Any]
    """As a bundle has it."""
    languages: tuple[WrittenLanguage, ...]
    """Those in which it wrote."""
    exam: Sequence[ExamQuestion]
    before: Sitting
    """The champion's."""
    after: Sitting
    assistant: Assistant
    num_switched_off: int
    """What the champion learned from near-duplicates of the exam."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """In which languages the writer won."""

    won: tuple[WrittenLanguage, ...]
    of_all: gate.Decision
    remember: Callable[[Connection], None]
    """Keeps what was decided on, in the transaction that keeps the version."""


def trial(
    workspace: Workspace,
    champion: Version,
    writer: Mapping[str, Any],
    exam: Sequence[ExamQuestion],
    progress: Progress,
) -> Trial | None:
    """Both sit the exam; None where the same exam has decided on the writer already.

    Raises:
        FlywheelError: an engine failed, which says nothing of the model; nothing is remembered.
    """
    writes = champion.bundle.get("writers", {})
    asked = {language_of(each.question) for each in exam}
    with workspace.database.read() as conn:
        tried = set(state.get(conn, examination.TRIED) or ())
    rules = workspace.settings.gate.of_writing
    languages = tuple(
        language
        for language in LANGUAGES
        if language in asked
        and writes.get(language) != writer
        and _digest(writer, _asked_in(language, exam), rules) not in tried
    )
    if not languages:
        return None
    serving, num_switched_off = examination.unprepared(workspace, champion, exam)
    one = workspace.writer(dict(writer), serving.index)
    writing = serving.with_writers(serving.writers | dict.fromkeys(languages, one))
    return Trial(
        writer=writer,
        languages=languages,
        exam=exam,
        before=examination.evaluate(exam, serving, workspace, progress),
        after=examination.evaluate(exam, writing, workspace, progress),
        assistant=writing,
        num_switched_off=num_switched_off,
    )


def decide(workspace: Workspace, tried: Trial) -> Decided:
    """The gate's decision on each language, on that language's questions alone."""
    rules = workspace.settings.gate.of_writing
    each = {language: _decide(workspace, tried, language, rules) for language in tried.languages}
    won = tuple(language for language, decision in each.items() if decision.promote)
    of_all = gate.Decision(
        promote=bool(won),
        rule="gain" if won else "no gain",
        reasons=tuple(
            say(
                "writes" if decision.promote else "quotes",
                language=LANGUAGES[language],
                reason=reason,
            )
            for language, decision in each.items()
            for reason in _telling(decision)
        ),
        sets_bar=bool(won) and _is_best(workspace),
    )

    def remember(conn: Connection) -> None:
        for language, decision in each.items():
            asked = _asked_in(language, tried.exam)
            if decision.tested_gain:
                examination.count_decision(conn, asked)
            known = state.get(conn, examination.TRIED) or []
            state.put(conn, examination.TRIED, [*known, _digest(tried.writer, asked, rules)])

    of_all = examination.with_notes(of_all, tried.exam, num_switched_off=tried.num_switched_off)
    return Decided(
        won=won,
        of_all=replace(of_all, reasons=(*of_all.reasons, *_written(tried))),
        remember=remember,
    )


def challenger(
    workspace: Workspace, champion: Version, tried: Trial, decided: Decided
) -> Challenger:
    """The champion with the writer in the languages that it won; in all it tried, if in none."""
    languages = decided.won or tried.languages
    writers = champion.bundle.get("writers", {}) | {each: dict(tried.writer) for each in languages}
    with workspace.database.read() as conn:
        learned = versions.learned_from(conn, champion.number)
    return Challenger(
        bundle=champion.bundle | {"writers": writers},
        assistant=tried.assistant,
        learnable=Learnable(examples=(), left_out={}),
        inherited=frozenset(learned),
    )


def sitting(tried: Trial, decided: Decided) -> Sitting:
    """How the version that was kept sat the exam: written where it may write."""
    languages = decided.won or tried.languages
    rows = [
        after if language_of(after.question.question) in languages else before
        for before, after in zip(tried.before.rows, tried.after.rows, strict=True)
    ]
    return scored(rows, tried.after.seconds)


def _telling(decision: gate.Decision) -> tuple[str, ...]:
    """All that blocked, or the gain."""
    return decision.reasons if decision.rule == "guard" else decision.reasons[:1]


def _is_best(workspace: Workspace) -> bool:
    """Whether the champion is the best version ever promoted on a gain: then who gains on it is."""
    with workspace.database.read() as conn:
        best, champion = versions.best(conn), versions.champion(conn)
    return best == champion


def _decide(
    workspace: Workspace, tried: Trial, language: WrittenLanguage, rules: GateSettings
) -> gate.Decision:
    asked = _asked_in(language, tried.exam)
    before, after = _in(language, tried.before), _in(language, tried.after)
    pairs = zip(before.rows, after.rows, strict=True)
    if all(one.answer.answer == other.answer.answer for one, other in pairs):
        return UNHEARD
    return gate.decide(
        before,
        after,
        rules,
        k=examination.num_decisions(workspace, asked) + 1,
        newer_documents=False,
    )


def _written(tried: Trial) -> list[str]:
    """How often the model's words stood the check."""
    answers = [row.answer for row in tried.after.rows]
    answers = [each for each in answers if language_of(each.question) in tried.languages]
    worded = sum(each.is_written for each in answers)
    short = [each.shortfall for each in answers if each.shortfall]
    untold = sum(
        before.answer.kind == "answer" and after.answer.kind == "abstain"
        for before, after in zip(tried.before.rows, tried.after.rows, strict=True)
    )
    total = worded + len(short) + untold
    notes = [say("worded", total=total, count=worded, short=len(short), untold=untold)]
    if short:
        notes.append(say("most_often", shortfall=max(sorted(set(short)), key=short.count)))
    took = sorted(each.timings_ms["write"] for each in answers if "write" in each.timings_ms)
    if took:
        notes.append(say("wording_takes", seconds=f"{took[len(took) // 2] / 1000:.1f}"))
    return notes


def _asked_in(language: WrittenLanguage, exam: Sequence[ExamQuestion]) -> list[ExamQuestion]:
    return [each for each in exam if language_of(each.question) == language]


def _in(language: WrittenLanguage, sat: Sitting) -> Sitting:
    rows = [row for row in sat.rows if language_of(row.question.question) == language]
    return scored(rows, sat.seconds)


def _digest(writer: Mapping[str, Any], asked: Sequence[ExamQuestion], rules: GateSettings) -> str:
    content = [dict(writer), rules.model_dump(mode="json"), *map(to_json, asked)]
    canonical = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()
