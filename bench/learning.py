"""What a turn learns from corrections: the wheel before and after, with the gate's decision.

    python bench/learning.py [--seeds 5] [--data ../shared/data]

Legal: each seed imports four fifths of the questions as corrections, by group of near-duplicates,
and sits an exam of the rest; once more with the corrections' answers and evidence permuted among
the questions, which must not be promoted. The example: its own feedback and exam.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import measure
from corpora import DATA, EXAMPLE, Sizes, legal
from flywheel.learn.groups import group
from table import print_table

METRICS = ("evidence_recall_at_10", "evidence_mrr", "evidence_quoted", "answer_rouge_l")
Line = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description="measure what a turn learns")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = list(example_rows(Path(folder)))
        data = legal(arguments.data, Sizes())
        if data is None:
            print(f"legal: skipped, its data is not in {arguments.data}")
        else:
            rows += legal_rows(Path(folder), data.documents, data.exam, arguments.seeds)
    columns = ("exam", "version", *METRICS, "p50 ms", "turn s", "peak MiB", "decision")
    print_table("learning from corrections", columns, rows)


def example_rows(folder: Path) -> Iterable[list[str]]:
    """The example, with the feedback that ships with it."""
    base = added(folder / "example", EXAMPLE / "documents")
    shutil.copy(EXAMPLE / "exam.jsonl", base / "exam.jsonl")
    return before_and_after("example", base, EXAMPLE / "feedback.jsonl")


def legal_rows(folder: Path, documents: Path, exam: Path, num_seeds: int) -> list[list[str]]:
    """Every seed's split, and the first one's permuted."""
    lines = [json.loads(line) for line in exam.read_text(encoding="utf-8").splitlines()]
    base = added(folder / "legal", documents)
    rows: list[list[str]] = []
    for seed in range(1, num_seeds + 1):
        training, held_out = split(lines, seed)
        for permuted in (False, True):
            workspace = folder / f"legal-{seed}-{permuted}"
            shutil.copytree(base, workspace)
            write(workspace / "exam.jsonl", held_out)
            feedback = corrections(training, seed if permuted else None)
            write(workspace / "feedback.jsonl", feedback)
            name = f"legal, seed {seed}{', permuted' if permuted else ''}"
            printed = before_and_after(name, workspace, workspace / "feedback.jsonl")
            rows.extend(printed[1:] if permuted else printed)
            shutil.rmtree(workspace)
    return rows


def split(lines: Sequence[Line], seed: int) -> tuple[list[Line], list[Line]]:
    """Four fifths to learn from and a fifth to be examined on; a group stays together."""
    groups: dict[int, list[Line]] = defaultdict(list)
    for line, number in zip(
        lines, group([each["question"] for each in lines], []).training, strict=True
    ):
        groups[number].append(line)
    shuffled = sorted(groups)
    random.Random(seed).shuffle(shuffled)
    cut = len(shuffled) // 5
    held_out = [line for number in shuffled[:cut] for line in groups[number]]
    training = [line for number in shuffled[cut:] for line in groups[number]]
    return training, held_out


def corrections(lines: Sequence[Line], permute_by: int | None) -> list[Line]:
    """The lines as feedback; with a seed, each with another one's answer and evidence."""
    told = list(lines)
    if permute_by is not None:
        random.Random(permute_by).shuffle(told)
    return [
        {
            "id": f"c{line['id']}",
            "kind": "edit",
            "question": line["question"],
            "answer": other["answer"],
            "evidence": other["evidence"],
            "user": "expert",
        }
        for line, other in zip(lines, told, strict=True)
    ]


def added(workspace: Path, documents: Path) -> Path:
    """A workspace with the documents staged."""
    measure.run([*measure.FLYWHEEL, "init", str(workspace)])
    measure.flywheel(workspace, "add", str(documents))
    return workspace


def before_and_after(name: str, workspace: Path, feedback: Path) -> list[list[str]]:
    """A turn, the feedback, another turn: one row each."""
    rows = []
    for step in ("before", "after"):
        if step == "after":
            measure.flywheel(workspace, "feedback", "import", str(feedback))
        run = measure.flywheel(workspace, "turn", "--json")
        turned = json.loads(run.stdout)
        metrics = {each: score["value"] for each, score in turned["metrics"].items()}
        print(f"{name}, {step}: {turned['decision']}; {'; '.join(turned['reasons'])}", flush=True)
        rows.append(
            [
                name,
                str(turned["version"]),
                *(f"{metrics[each]:.3f}" for each in METRICS),
                f"{metrics['latency_p50_ms']:.0f}",
                f"{run.seconds:.0f}",
                f"{run.peak_bytes / 2**20:.0f}",
                turned["decision"],
            ]
        )
    return rows


def write(path: Path, lines: Iterable[Line]) -> None:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
