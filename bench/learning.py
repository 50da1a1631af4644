"""What a turn learns from corrections: the wheel before and after, with the gate's decision.

    python bench/learning.py [--seeds 5] [--curve] [--data ../shared/data]

Legal: each seed imports four fifths of the questions as corrections, by group of near-duplicates,
and sits an exam of the rest; once more with the corrections' answers and evidence permuted among
the questions, which must not be promoted. The exams hold none of the questions that features and
settings were chosen on, half of all (`is_development`). Medical: of each topic one question is
examined and the others are corrections. The example: its own feedback and exam.

`--curve` learns from 0, 100, 300, 600 and all of the first seed's corrections instead, and draws
docs/learning.svg.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import measure
from corpora import DATA, EXAMPLE, ROOT, Sizes, legal, medical, medical_feedback
from curve import draw
from flywheel.learn.groups import group
from table import print_table

METRICS = ("evidence_recall_at_10", "evidence_mrr", "evidence_quoted", "answer_rouge_l")
CURVE = (0, 100, 300, 600)
TOPICS = Sizes(num_topics=1000, num_medical_questions=300)
Line = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description="measure what a turn learns")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--curve", action="store_true", help="the learning curve alone")
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    data = legal(arguments.data, Sizes())
    with tempfile.TemporaryDirectory() as folder:
        if arguments.curve:
            assert data is not None, f"the legal questions are not in {arguments.data}"
            rows = curve_rows(Path(folder), data.documents, data.exam)
        else:
            rows = list(example_rows(Path(folder)))
            rows += medical_rows(Path(folder), arguments.data)
            if data is None:
                print(f"legal: skipped, its data is not in {arguments.data}")
            else:
                rows += legal_rows(Path(folder), data.documents, data.exam, arguments.seeds)
    columns = ("exam", "version", *METRICS, "p50 ms", "turn s", "peak MiB", "decision")
    print_table("learning from corrections", columns, rows)


def curve_rows(folder: Path, documents: Path, exam: Path) -> list[list[str]]:
    """The first seed's exam after more and more of its corrections, and the picture of it."""
    training, held_out = split(read(exam), seed=1)
    base = added(folder / "legal", documents)
    write(base / "exam.jsonl", held_out)
    rows, points = [], []
    for number in (*CURVE, len(training)):
        workspace = folder / f"curve-{number}"
        shutil.copytree(base, workspace)
        if number:
            write(workspace / "feedback.jsonl", corrections(training[:number], None))
            measure.flywheel(workspace, "feedback", "import", str(workspace / "feedback.jsonl"))
        row, turned = turn(f"legal, {number} corrections", workspace)
        rows.append(row)
        points.append((number, {each: turned["metrics"][each] for each in METRICS}))
        shutil.rmtree(workspace)
    (ROOT / "docs" / "learning.svg").write_text(draw(points), encoding="utf-8")
    return rows


def medical_rows(folder: Path, data: Path) -> Iterable[list[str]]:
    """English topics: one question of each is examined, the others are corrected."""
    topics = medical(data, TOPICS)
    if topics is None:
        print(f"medical: skipped, its data is not in {data}")
        return []
    base = added(folder / "medical", topics.documents)
    shutil.copy(topics.exam, base / "exam.jsonl")
    write(base / "feedback.jsonl", medical_feedback(data, TOPICS))
    return before_and_after("medical-en", base, base / "feedback.jsonl")


def example_rows(folder: Path) -> Iterable[list[str]]:
    """The example, with the feedback that ships with it."""
    base = added(folder / "example", EXAMPLE / "documents")
    shutil.copy(EXAMPLE / "exam.jsonl", base / "exam.jsonl")
    return before_and_after("example", base, EXAMPLE / "feedback.jsonl")


def legal_rows(folder: Path, documents: Path, exam: Path, num_seeds: int) -> list[list[str]]:
    """Every seed's split, and the first one's permuted."""
    lines = read(exam)
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
    unseen = [number for number in shuffled if not is_development(groups[number])]
    examined = set(unseen[: len(shuffled) // 5])
    held_out = [line for number in shuffled if number in examined for line in groups[number]]
    training = [line for number in shuffled if number not in examined for line in groups[number]]
    return training, held_out


def is_development(group: Sequence[Line]) -> bool:
    """Whether a group of questions is of the half that features and settings were chosen on."""
    return zlib.crc32(group[0]["question"].encode()) % 2 == 0


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
    before, _ = turn(f"{name}, before", workspace)
    measure.flywheel(workspace, "feedback", "import", str(feedback))
    after, _ = turn(f"{name}, after", workspace)
    return [[name, *before[1:]], [name, *after[1:]]]


def turn(name: str, workspace: Path) -> tuple[list[str], dict[str, Any]]:
    """One turn as a row, and what it printed."""
    run = measure.flywheel(workspace, "turn", "--json")
    turned = json.loads(run.stdout)
    metrics = {each: score["value"] for each, score in turned["metrics"].items()}
    print(f"{name}: {turned['decision']}; {'; '.join(turned['reasons'])}", flush=True)
    row = [
        name,
        str(turned["version"]),
        *(f"{metrics[each]:.3f}" for each in METRICS),
        f"{metrics['latency_p50_ms']:.0f}",
        f"{run.seconds:.0f}",
        f"{run.peak_bytes / 2**20:.0f}",
        turned["decision"],
    ]
    return row, turned


def read(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, lines: Iterable[Line]) -> None:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
