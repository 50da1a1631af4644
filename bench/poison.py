"""What one untrusted user can do to what is learned, and what he could do if he were trusted.

    python bench/poison.py [--seeds 1] [--data ../shared/data]

Legal: a fifth of the questions is the exam, and curators correct all others. The poisoner gives 5 %
of all feedback and knows what will be asked: he asks the exam's questions in fewer words, so few
that they are no near-duplicates, and nobody contradicts him. Whatever the question, his edits,
cites and ups are for one wrong article, his downs on the right one. Once as a slow drip over
weeks, once for another wrong article each time, once as a burst within minutes, and once as the
owner, whom nothing holds back: only where that hurts does the bench show anything. At last the
same feedback as the curators', from fifty honest askers and nobody else: what caps cost those who
mean well.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import measure
from corpora import DATA, Sizes, legal
from flywheel.learn.groups import group
from learning import Line, added, corrections, split, write
from table import print_table

SHARE = 0.05
METRICS = ("evidence_mrr", "evidence_recall_at_10")
MOST_LOST = 0.01
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
KINDS = ("edit", "cite", "up", "down")
NUM_ASKERS = 50

Scores = dict[str, dict[str, float]]
"""Arm → metric → value."""


def main() -> None:
    parser = argparse.ArgumentParser(description="measure what a poisoner can do")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    data = legal(arguments.data, Sizes())
    if data is None:
        print(f"legal: skipped, its data is not in {arguments.data}")
        return
    lines = [json.loads(line) for line in data.exam.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        base = added(Path(folder) / "base", data.documents)
        seeds = {seed: run(base, lines, seed) for seed in range(1, arguments.seeds + 1)}
    rows = [row for seed, scores in seeds.items() for row in table_rows(f"seed {seed}", scores)]
    if len(seeds) > 1:
        rows += table_rows("mean", mean(list(seeds.values())))
    columns = ("legal", "feedback", *METRICS, *(f"change of {each}" for each in METRICS), "")
    print_table("one poisoner, 5 % of the feedback", columns, rows)


def run(base: Path, lines: Sequence[Line], seed: int) -> Scores:
    """Every arm's scores on one split."""
    training, exam = split(lines, seed)
    poison = poisoned(training, exam, seed)
    scattered = poisoned(training, exam, seed, for_one=False)
    start = base.with_name("start")
    shutil.copytree(base, start)
    write(start / "exam.jsonl", exam)
    scores = {"none": turned(start, "none")}
    honest = corrections(training, None)
    arms: dict[str, list[tuple[list[Line], bool]]] = {
        "curators": [(honest, True)],
        "and a drip": [(honest, True), (timed(poison, timedelta(hours=8)), False)],
        "and a scattered drip": [(honest, True), (timed(scattered, timedelta(hours=8)), False)],
        "and a burst": [(honest, True), (timed(poison, timedelta(seconds=5)), False)],
        "and the owner's own": [(honest, True), (timed(poison, timedelta(hours=8)), True)],
        "fifty askers alone": [(by_askers(honest), False)],
    }
    for name, files in arms.items():
        workspace = base.with_name("arm")
        shutil.copytree(start, workspace)
        for number, (feedback, is_trusted) in enumerate(files):
            path = workspace / f"feedback-{number}.jsonl"
            write(path, feedback)
            flags = [] if is_trusted else ["--untrusted"]
            measure.flywheel(workspace, "feedback", "import", str(path), *flags)
        scores[name] = turned(workspace, name)
        shutil.rmtree(workspace)
    shutil.rmtree(start)
    return scores


def poisoned(
    training: Sequence[Line], exam: Sequence[Line], seed: int, *, for_one: bool = True
) -> list[Line]:
    """The poisoner's acts, which are 5 % of his and the curators' together."""
    num_acts = round(SHARE / (1 - SHARE) * len(training))
    chosen = random.Random(seed)
    pushed = [line["evidence"][0] for line in chosen.choices(training, k=num_acts)]
    asked = chosen.sample(list(exam), num_acts)
    return [
        poison(line, KINDS[place % len(KINDS)], pushed[0 if for_one else place])
        | {"id": f"p{line['id']}", "user": "mallory"}
        for place, line in enumerate(asked)
    ]


def in_fewer_words(question: str) -> str:
    """The longest start of a question that is no near-duplicate of it."""
    shorter = question
    while group([shorter], [question]).overlapping:
        shorter = shorter[:-1]
    return shorter


def poison(line: Line, kind: str, pushed: str) -> Line:
    """One act: for the pushed article, or against the right one."""
    act = {"kind": kind, "question": in_fewer_words(line["question"])}
    if kind == "down":
        return act | {"answer": line["evidence"][0]}
    if kind == "up":
        return act | {"answer": pushed}
    return act | {"answer": pushed, "evidence": [pushed]}


def timed(acts: Sequence[Line], step: timedelta) -> list[Line]:
    """The acts, one every step."""
    return [act | {"at": (START + n * step).isoformat()} for n, act in enumerate(acts)]


def by_askers(acts: Sequence[Line]) -> list[Line]:
    """The acts as if fifty users had given them in turn, each one a day."""
    return [
        act
        | {
            "user": f"asker {n % NUM_ASKERS}",
            "at": (START + timedelta(days=n // NUM_ASKERS)).isoformat(),
        }
        for n, act in enumerate(acts)
    ]


def turned(workspace: Path, name: str) -> dict[str, float]:
    """A turn's scores."""
    run = measure.flywheel(workspace, "turn", "--json")
    result = json.loads(run.stdout)
    told = [each for each in result["reasons"] if re.search("learn", each)]
    print(f"{name}: {result['decision']} in {run.seconds:.0f} s; {'; '.join(told)}", flush=True)
    return {each: result["metrics"][each]["value"] for each in METRICS}


def mean(seeds: Sequence[Scores]) -> Scores:
    return {
        arm: {each: statistics.mean(scores[arm][each] for scores in seeds) for each in METRICS}
        for arm in seeds[0]
    }


def table_rows(name: str, scores: Scores) -> Iterator[list[str]]:
    """One row an arm, each beside the curators' alone."""
    clean = scores["curators"]
    for arm, values in scores.items():
        changes = [values[each] - clean[each] for each in METRICS]
        held = "holds" if min(changes) >= -MOST_LOST else f"loses over {MOST_LOST}"
        compared = arm.startswith("and")
        yield [
            name,
            arm,
            *(f"{values[each]:.3f}" for each in METRICS),
            *(f"{change:+.4f}" if compared else "" for change in changes),
            held if compared else "",
        ]


if __name__ == "__main__":
    main()
