"""Two versions on the workspace's exam: what one gains over the other, metric by metric.

To look at, not to decide by: it promotes nothing and spends none of the error that the gate's
decisions share. Either both sit the exam now, or what is kept of their sittings is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from flywheel.errors import UsageError
from flywheel.evaluate import metrics
from flywheel.evaluate.compare import Comparison, compare
from flywheel.evaluate.exam import SPLITS, Sitting, split_of
from flywheel.evaluate.metrics import Row
from flywheel.records import Answer, Citation, ExamQuestion
from flywheel.store import exam_rows
from flywheel.store import versions as version_store
from flywheel.store.exam_rows import ExamRow
from flywheel.store.versions import Version
from flywheel.wheel import examination
from flywheel.wheel.stages import Progress
from flywheel.wheel.versions import problem_of
from flywheel.wheel.workspace import Workspace

SEED = 1
EVERYTHING = "all"

_CITATION = Citation(document="", title="", headings=(), passage="", quote="", start=0, end=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """The paired gains of the second version over the first, with 95 % intervals."""

    first: int
    second: int
    num_questions: int
    synthetic: bool
    """Whether the exam was made from the documents."""
    gains: Mapping[str, tuple[Comparison, ...]]
    """Of all questions, and of each language apart where there are several."""
    num_left_out: int = 0
    """Questions that only one of them was asked, or that were changed in between."""


def compare_versions(
    workspace: Workspace, first: int, second: int, progress: Progress = lambda *_: None
) -> Compared:
    """Lets both versions sit the workspace's exam, and compares them question by question.

    Metrics of time are left out: the second to sit finds the machine warm.

    Raises:
        UsageError: there is no such version, or it cannot answer any more.
    """
    before, after = (_able(workspace, number) for number in (first, second))
    exam = examination.questions(workspace, workspace.assistant(after).index)
    sat = [
        examination.evaluate(
            exam, examination.unprepared(workspace, version, exam)[0], workspace, progress
        )
        for version in (before, after)
    ]
    parts = _parts(sat, [split_of(row.question) for row in sat[0].rows])
    return Compared(
        first=first,
        second=second,
        num_questions=len(exam),
        synthetic=examination.is_synthetic(exam),
        gains={name: tuple(_gains(*part)) for name, part in parts.items()},
    )


def compare_kept(workspace: Workspace, first: int, second: int) -> Compared | None:
    """The same from what is kept of their sittings, on the questions that both were asked; None
    where of one of them nothing is kept, or they share none.

    Takes about 10 ms a metric and 160 questions.

    Raises:
        UsageError: there is no such version.
    """
    with workspace.database.read() as conn:
        for number in (first, second):
            version_store.require(conn, number)
        before, after = (
            {(each.question, each.digest): each for each in exam_rows.list_rows(conn, number)}
            for number in (first, second)
        )
    shared = sorted(before.keys() & after.keys())
    if not shared:
        return None
    # Near-duplicates as of the second's sitting, for both: a group is one item.
    sat = [_sitting([(rows[key], after[key].group) for key in shared]) for rows in (before, after)]
    parts = _parts(sat, [after[key].language for key in shared])
    return Compared(
        first=first,
        second=second,
        num_questions=len(shared),
        synthetic=any(after[key].made for key in shared),
        gains={name: tuple(_gains(*part)) for name, part in parts.items()},
        num_left_out=len(before.keys() ^ after.keys()),
    )


def _sitting(rows: Sequence[tuple[ExamRow, str]]) -> Sitting:
    marked = tuple(_row(each, group) for each, group in rows)
    return Sitting(rows=marked, metrics=metrics.score(marked), metrics_by={}, seconds=0.0)


def _row(each: ExamRow, group: str) -> Row:
    """What is kept of a question, as the statistics take it: without words."""
    answer = Answer(
        question="",
        answer="",
        draft="",
        kind=each.kind,
        confidence=each.confidence,
        citations=(_CITATION,) * each.num_citations,
        passages=(),
    )
    return Row(
        question=ExamQuestion(id=each.question, question="", answerable=each.answerable),
        answer=answer,
        latency_ms=each.latency_ms,
        group=group or each.question,
        hit=each.hit,
        values=each.values,
    )


def _able(workspace: Workspace, number: int) -> Version:
    with workspace.database.read() as conn:
        version = version_store.require(conn, number)
    if problem := problem_of(workspace, version, contents=False):
        raise UsageError(problem)
    return version


def _parts(sat: Sequence[Sitting], languages: Sequence[str]) -> dict[str, list[Sitting]]:
    """Both sittings as a whole, and of each language where there are several.

    Args:
        languages: of each row of both.
    """
    splits = [split for split in SPLITS if split in languages]
    parts = {EVERYTHING: list(sat)}
    if len(splits) > 1:
        parts |= {split: [_of(each, split, languages) for each in sat] for split in splits}
    return parts


def _of(sitting: Sitting, split: str, languages: Sequence[str]) -> Sitting:
    pairs = zip(sitting.rows, languages, strict=True)
    rows = tuple(row for row, language in pairs if language == split)
    return replace(sitting, rows=rows, metrics=metrics.score(rows))


def _gains(before: Sitting, after: Sitting) -> Iterator[Comparison]:
    for metric in metrics.METRICS:
        shared = metric in before.metrics and metric in after.metrics
        if shared and not metric.startswith("latency_"):
            # As a first decision would see it: an interval of 95 %.
            yield compare(before, after, metric, k=1, seed=SEED)
