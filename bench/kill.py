"""kill -9 at random moments of a turn on the example: what a rerun comes to.

    python bench/kill.py [--kills 20] [--seed 1]

Every kill hits a `flywheel turn` of its own, which starts from the same added documents. After
each one the turn is run again to its end, and compared with one that nobody disturbed: the
documents, every answer to the example's exam with its citations and the ten passages found,
the versions with all that they name, and the artifacts. Identical means equal in all of these.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
from corpora import EXAMPLE
from table import print_table


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What is compared; nothing in it depends on time."""

    documents: Any
    answers: str
    versions: Any
    artifacts: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One turn, killed and run again."""

    hit: bool
    """Whether the turn was still running when it was killed."""
    is_identical: bool


def main() -> None:
    """Kills, runs again, compares, and prints one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        added, workspace = Path(folder) / "added", Path(folder) / "workspace"
        measure.run([*measure.FLYWHEEL, "init", str(added)])
        measure.flywheel(added, "add", str(EXAMPLE / "documents"))
        shutil.copytree(added, workspace)
        seconds = measure.flywheel(workspace, "turn").seconds
        expected = outcome(workspace)
        rng = random.Random(options.seed)
        moments = [rng.uniform(0, seconds) for _ in range(options.kills)]
        trials = [trial(added, workspace, moment, expected) for moment in moments]
    hits = sum(each.hit for each in trials)
    identical = sum(each.is_identical for each in trials)
    print_table(
        "kill -9 at random moments of a turn",
        ("turn, s", "kills", "hit it running", "reruns", "identical"),
        [(f"{seconds:.1f}", *map(str, (len(trials), hits, len(trials), identical)))],
    )


def trial(added: Path, workspace: Path, moment: float, expected: Outcome) -> Trial:
    """Kills a turn after so many seconds, and runs it again."""
    shutil.rmtree(workspace)
    shutil.copytree(added, workspace)
    hit = kill_turn(workspace, moment)
    measure.flywheel(workspace, "turn")
    return Trial(hit=hit, is_identical=outcome(workspace) == expected)


def kill_turn(workspace: Path, moment: float) -> bool:
    """Starts a turn and kills it after so many seconds. Whether it was still running."""
    process = subprocess.Popen(
        [*measure.FLYWHEEL, "-w", str(workspace), "turn"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(moment)
    process.kill()
    return process.wait() != 0


def outcome(workspace: Path) -> Outcome:
    """What the workspace has come to."""
    answers = workspace.with_suffix(".jsonl")
    exam = str(EXAMPLE / "exam.jsonl")
    measure.flywheel(workspace, "exam", exam, "--answers", str(answers), "--json")
    documents = json.loads(measure.flywheel(workspace, "documents", "--json").stdout)
    versions = json.loads(measure.flywheel(workspace, "versions", "--json").stdout)["versions"]
    found = {path.relative_to(workspace) for path in workspace.glob("artifacts/*/*")}
    return Outcome(
        documents=documents,
        answers=answers.read_text(encoding="utf-8"),
        versions=[(each["number"], each["decision"], each["bundle"]) for each in versions],
        artifacts=frozenset(str(path) for path in found if path.suffix != ".lock"),
    )


if __name__ == "__main__":
    main()
