"""Two versions on the workspace's exam: what one gains over the other, metric by metric.

To look at, not to decide by: it promotes nothing and spends none of the error that the gate's
decisions share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from flywheel.errors import UsageError
from flywheel.evaluate import metrics
from flywheel.evaluate.compare import Comparison, compare
from flywheel.evaluate.exam import SPLITS, Sitting, split_of
from flywheel.store import versions as version_store
from flywheel.store.versions import Version
from flywheel.wheel import examination
from flywheel.wheel.stages import Progress
from flywheel.wheel.versions import problem_of
from flywheel.wheel.workspace import Workspace

SEED = 1
EVERYTHING = "all"


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
    return Compared(
        first=first,
        second=second,
        num_questions=len(exam),
        synthetic=examination.is_synthetic(exam),
        gains={name: tuple(_gains(*parts)) for name, parts in _parts(sat).items()},
    )


def _able(workspace: Workspace, number: int) -> Version:
    with workspace.database.read() as conn:
        version = version_store.require(conn, number)
    if problem := problem_of(workspace, version, contents=False):
        raise UsageError(problem)
    return version


def _parts(sat: Sequence[Sitting]) -> dict[str, list[Sitting]]:
    """Both sittings as a whole, and of each language where there are several."""
    splits = [split for split in SPLITS if split in sat[0].metrics_by]
    parts = {EVERYTHING: list(sat)}
    if len(splits) > 1:
        parts |= {split: [_of(each, split) for each in sat] for split in splits}
    return parts


def _of(sitting: Sitting, split: str) -> Sitting:
    rows = tuple(row for row in sitting.rows if split_of(row.question) == split)
    return replace(sitting, rows=rows, metrics=metrics.score(rows))


def _gains(before: Sitting, after: Sitting) -> Iterator[Comparison]:
    for metric in metrics.METRICS:
        shared = metric in before.metrics and metric in after.metrics
        if shared and not metric.startswith("latency_"):
            # As a first decision would see it: an interval of 95 %.
            yield compare(before, after, metric, k=1, seed=SEED)
