"""kill -9 at random moments of a turn on the example: what a rerun comes to, and what is answered.

    python bench/kill.py [--kills 20] [--seed 1]

Twice: a first turn, and a turn that learns from the example's feedback and takes in one more
document, so that its version is promoted in the place of another. Every kill hits a `flywheel
turn` of its own, which starts from the same workspace. After each one the turn is run again to its
end, and compared with one that nobody disturbed: the documents, every answer to the example's exam
with its citations and the ten passages found, the versions with all that they name, the champion,
and the artifacts. Identical means equal in all of these.

Where there was a version before, another process asks all the while, before, in and after the kill
and the rerun: `in between` counts answers that neither the version before gives nor the one after.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
from corpora import EXAMPLE
from table import print_table

SETTINGS = "[exam]\nnum_synthetic = 60\n"
LATER = """# Roof tent

The roof tent may weigh 60 kg with everything in it while the car moves.

## Sleeping in it

At a standstill the roof carries 240 kg. Park on level ground and set the parking brake.
"""
NUM_ASKED = 12
ASKER = """
import json, sys, time
from flywheel.wheel.workspace import Workspace

questions = json.loads(sys.argv[2])
with Workspace.open(sys.argv[1]) as workspace:
    while True:
        for question in questions:
            answer = workspace.ask(question).answer
            cited = [each.quote for each in answer.citations]
            shown = [question, answer.version, answer.kind, answer.draft, answer.verified, cited]
            print(json.dumps(shown), flush=True)
            if sys.argv[3:]:
                time.sleep(float(sys.argv[3]))
        if not sys.argv[3:]:
            break
"""
SECONDS_BETWEEN = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What is compared; nothing in it depends on time."""

    documents: Any
    answers: str
    versions: Any
    artifacts: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A workspace that a turn is due in, and what an undisturbed turn makes of it."""

    place: Path
    """The documents and the workspace; as they were before the turn beside it."""
    seconds: float
    expected: Outcome
    answers: frozenset[str]
    """What is answered before and after, where there is a version before."""

    @property
    def workspace(self) -> Path:
        return self.place / "workspace"

    def restore(self) -> None:
        """Brings back the workspace as it was before the turn."""
        shutil.rmtree(self.place)
        shutil.copytree(_kept(self.place), self.place)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One turn, killed and run again."""

    hit: bool
    """Whether the turn was still running when it was killed."""
    is_identical: bool
    num_answers: int
    num_in_between: int


def main() -> None:
    """Kills, runs again, compares, and prints one line for each kind of turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kinds: tuple[tuple[str, Callable[[Path], None], bool], ...] = (
            ("first", add, False),
            ("learns, promoted", learn, True),
        )
        rows = [
            row(name, start(Path(folder) / str(number), prepare, is_asked), options)
            for number, (name, prepare, is_asked) in enumerate(kinds)
        ]
    print_table(
        "kill -9 at random moments of a turn",
        ("turn", "s", "kills", "hit it running", "identical", "answers meanwhile", "in between"),
        rows,
    )


def add(place: Path) -> None:
    """The example's documents, added."""
    shutil.copytree(EXAMPLE / "documents", place / "documents")
    measure.run([*measure.FLYWHEEL, "init", str(place / "workspace")])
    (place / "workspace" / "flywheel.toml").write_text(SETTINGS, encoding="utf-8")
    measure.flywheel(place / "workspace", "add", str(place / "documents"))


def learn(place: Path) -> None:
    """The same with a version that has learned from the feedback, and one more document."""
    add(place)
    workspace = place / "workspace"
    measure.flywheel(workspace, "feedback", "import", str(EXAMPLE / "feedback.jsonl"))
    measure.flywheel(workspace, "turn")
    (place / "documents" / "en" / "roof-tent.md").write_text(LATER, encoding="utf-8")
    measure.flywheel(workspace, "add", str(place / "documents"))


def start(place: Path, prepare: Callable[[Path], None], is_asked: bool) -> Start:
    """Prepares, keeps that, and turns once undisturbed."""
    prepare(place)
    workspace = place / "workspace"
    shutil.copytree(place, _kept(place))
    before = answers(workspace) if is_asked else set()
    seconds = measure.flywheel(workspace, "turn").seconds
    after = answers(workspace)
    if is_asked and before & after:
        raise SystemExit("The undisturbed turn was not promoted, so it would show nothing.")
    expected = outcome(workspace)
    return Start(place=place, seconds=seconds, expected=expected, answers=frozenset(before | after))


def _kept(place: Path) -> Path:
    return place.with_name(f"{place.name}-kept")


def row(name: str, start: Start, options: argparse.Namespace) -> list[str]:
    """All kills of one kind of turn; half of them in its last fifth, where it is promoted."""
    rng = random.Random(options.seed)
    moments = [rng.uniform(0.8 * (number % 2), 1) for number in range(options.kills)]
    trials = [trial(start, moment * start.seconds) for moment in moments]
    counts = (
        len(trials),
        sum(each.hit for each in trials),
        sum(each.is_identical for each in trials),
        sum(each.num_answers for each in trials),
        sum(each.num_in_between for each in trials),
    )
    return [name, f"{start.seconds:.1f}", *map(str, counts)]


def trial(start: Start, moment: float) -> Trial:
    """Kills a turn after so many seconds, and runs it again."""
    start.restore()
    is_asked = _has_version(start)
    given: list[str] = []
    with asking(start.workspace, given) if is_asked else _nobody():
        hit = kill_turn(start.workspace, moment)
        measure.flywheel(start.workspace, "turn")
    return Trial(
        hit=hit,
        is_identical=outcome(start.workspace) == start.expected,
        num_answers=len(given),
        num_in_between=sum(each not in start.answers for each in given),
    )


def _has_version(start: Start) -> bool:
    listed = measure.flywheel(start.workspace, "versions", "--json").stdout
    return bool(json.loads(listed)["versions"])


@contextmanager
def _nobody() -> Iterator[None]:
    yield


@contextmanager
def asking(workspace: Path, given: list[str]) -> Iterator[None]:
    """Another process asks again and again; its answers are in the list when it is ended."""
    with tempfile.TemporaryFile("w+") as out:
        command = [*_asker(workspace), str(SECONDS_BETWEEN)]
        with subprocess.Popen(command, stdout=out) as process:
            yield
            is_well = process.poll() is None
            process.kill()
        if not is_well:
            raise SystemExit("The asking process ended by itself; what it said is above.")
        out.seek(0)
        given += [line.strip() for line in out if line.endswith("\n")]


def answers(workspace: Path) -> set[str]:
    """What is answered now."""
    return set(measure.run(_asker(workspace)).stdout.splitlines())


def _asker(workspace: Path) -> list[str]:
    text = (EXAMPLE / "exam.jsonl").read_text(encoding="utf-8")
    questions = [json.loads(line)["question"] for line in text.splitlines()]
    chosen = random.Random(1).sample(questions, NUM_ASKED)
    return [sys.executable, "-c", ASKER, str(workspace), json.dumps(chosen)]


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
    answered = workspace.with_name("answers.jsonl")
    exam = str(EXAMPLE / "exam.jsonl")
    measure.flywheel(workspace, "exam", exam, "--answers", str(answered), "--json")
    documents = json.loads(measure.flywheel(workspace, "documents", "--json").stdout)
    listed = json.loads(measure.flywheel(workspace, "versions", "--json").stdout)
    found = {path.relative_to(workspace) for path in workspace.glob("artifacts/*/*")}
    return Outcome(
        documents=documents,
        answers=answered.read_text(encoding="utf-8"),
        versions=(
            listed["champion"],
            [(each["number"], each["decision"], each["bundle"]) for each in listed["versions"]],
        ),
        artifacts=frozenset(str(path) for path in found if path.suffix != ".lock"),
    )


if __name__ == "__main__":
    main()
