"""kill -9 at random moments: after a rerun everything is there, once, and answers the same."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from flywheel.records import Passage
from flywheel.search.index import PassageIndex
from flywheel.store import documents, versions
from flywheel.wheel import ingest, stages
from flywheel.wheel.turn import turn
from flywheel.wheel.workspace import Workspace

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "owners-manual" / "documents"
PARTS = ("en/child-locks.md", "zh/直流快充.md")
QUESTIONS = ("How do I set the child lock?", "直流快充要多久？")
SETTINGS = "[exam]\nnum_synthetic = 20\n"
NUM_TRAINING_QUESTIONS = 20
"""Fewer than a real turn's, so that fitting the thresholds is not most of it."""
NUM_TURNS_KILLED = 20
NUM_ADDS_KILLED = 5
SEED = 11


@dataclass(frozen=True)
class State:
    """All that a rerun must come to, whatever happened before."""

    fates: list[tuple[str, str, str, int]]
    passages: list[Passage]
    indexed: list[Passage]
    answers: list[tuple[str, str, tuple[Any, ...]]]
    versions: list[tuple[int, str, dict[str, Any]]]
    artifacts: set[str]


class Killer:
    """Runs commands in processes of their own, and ends them with kill -9.

    All forked from one that has imported what they need, and done nothing: imports take longer
    than a small turn, and would get most of the kills.
    """

    CODE = f"""
import json, os, signal, sys, time
import lancedb, sklearn.linear_model
import flywheel.cli.documents, flywheel.cli.turn
from flywheel.cli import main
from flywheel.wheel import stages

stages.NUM_TRAINING_QUESTIONS = {NUM_TRAINING_QUESTIONS}
for line in sys.stdin:
    arguments, seconds = json.loads(line)
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        sys.argv = ["flywheel", *arguments]
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        main()
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([status, time.monotonic() - started]), flush=True)
"""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", self.CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, arguments: Sequence[str], seconds: float | None = None) -> tuple[int, float]:
        """The exit status and the seconds taken; killed after so many, if they are given."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([arguments, seconds]) + "\n")
        self._process.stdin.flush()
        status, taken = json.loads(self._process.stdout.readline())
        return status, taken

    def close(self) -> None:
        """Ends the process that the others come from."""
        with self._process as process:
            process.kill()


@dataclass(frozen=True)
class Stage:
    """A command that can be run, killed and run again, from the same start."""

    killer: Killer
    place: Path
    arguments: Sequence[str]
    undisturbed: State
    takes_seconds: float = 0.0

    def measured(self) -> Stage:
        """The same, knowing how long the command takes here."""
        restore(self.place)
        status, seconds = self.killer.run(self.arguments)
        assert status == 0
        return replace(self, takes_seconds=seconds)

    def kill_at(self, fraction: float) -> float:
        """Runs the command from the start and kills it after a fraction of its time.

        Where the machine has grown quicker and the command has ended before, once more and
        sooner.

        Returns:
            The seconds after which it was killed, running.
        """
        seconds = fraction * self.takes_seconds
        restore(self.place)
        while not self.is_killed_at(seconds):
            seconds *= 0.7
            restore(self.place)
        return seconds

    def is_killed_at(self, seconds: float) -> bool:
        """Runs the command as things are and kills it then. Whether it was still running."""
        status, _ = self.killer.run(self.arguments, seconds)
        assert status in (0, -signal.SIGKILL), "a command fails of nothing but its killer"
        return status == -signal.SIGKILL


def moments(number: int) -> list[float]:
    """Random fractions of a command's time, one in each of as many equal parts."""
    rng = random.Random(SEED)
    return [(part + rng.random()) / number for part in range(number)]


@pytest.fixture(scope="module", autouse=True)
def _few_training_questions() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stages, "NUM_TRAINING_QUESTIONS", NUM_TRAINING_QUESTIONS)
        yield


@pytest.fixture(scope="module")
def _start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with settings, before its first add; kept beside for every new start."""
    place = tmp_path_factory.mktemp("kill") / "domain"
    for part in PARTS:
        (place / "documents" / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(EXAMPLE / part, place / "documents" / part)
    Workspace.init(place / "workspace").close()
    (place / "workspace" / "flywheel.toml").write_text(SETTINGS)
    shutil.copytree(place, kept(place))
    return place


def kept(place: Path) -> Path:
    return place.with_name("kept")


def restore(place: Path) -> None:
    shutil.rmtree(place)
    shutil.copytree(kept(place), place)


def finish(place: Path) -> State:
    """Adds and turns to the end, and looks at what there is."""
    with Workspace.open(place / "workspace") as workspace:
        added = ingest.add(workspace, [str(place / "documents")])
        turn(workspace)
        assert turn(workspace).sitting is None, "nothing is left to do"
        with workspace.database.read() as conn:
            listed = list(documents.list_documents(conn))
            passages = list(documents.iterate_passages(conn))
            made = versions.list_versions(conn)
        assert [each.path for each in listed] == sorted(each.path for each in added.files)
        folder = workspace.artifacts.find("index", workspace.champion().bundle["index"])
        assert folder is not None
        workspace.artifacts.verify(folder)
        asked = [workspace.ask(question).answer for question in QUESTIONS]
        return State(
            fates=[(each.path, each.fate, each.sha256, each.num_passages) for each in listed],
            passages=passages,
            indexed=sorted(PassageIndex(folder).passages(), key=lambda each: each.id),
            answers=[(each.kind, each.draft, each.citations) for each in asked],
            versions=[(each.number, each.decision, each.bundle) for each in made],
            artifacts=artifacts(workspace.artifacts.root),
        )


def artifacts(root: Path) -> set[str]:
    """Finished and unfinished ones; the lock files stay."""
    found = {path.relative_to(root).as_posix() for path in root.glob("*/*")}
    return {name for name in found if not name.endswith(".lock")}


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    with closing(Killer()) as killer:
        yield killer


@pytest.fixture(scope="module")
def adding(killer: Killer, _start: Path) -> Stage:
    """`flywheel add` on the blank workspace."""
    restore(_start)
    arguments = ("-w", str(_start / "workspace"), "add", str(_start / "documents"))
    return Stage(killer, _start, arguments, finish(_start)).measured()


@pytest.fixture(scope="module")
def turning(adding: Stage) -> Stage:
    """`flywheel turn` on the workspace with its documents added."""
    place = adding.place
    restore(place)
    with Workspace.open(place / "workspace") as workspace:
        ingest.add(workspace, [str(place / "documents")])
    shutil.rmtree(kept(place))
    shutil.copytree(place, kept(place))
    return replace(adding, arguments=("-w", str(place / "workspace"), "turn")).measured()


def test_killed_add_goes_on_to_the_same_state(adding: Stage) -> None:
    for fraction in moments(NUM_ADDS_KILLED):
        seconds = adding.kill_at(fraction)
        assert finish(adding.place) == adding.undisturbed, f"killed after {seconds} s"


def test_killed_turn_goes_on_to_the_same_version(turning: Stage) -> None:
    for fraction in moments(NUM_TURNS_KILLED):
        seconds = turning.kill_at(fraction)
        assert finish(turning.place) == turning.undisturbed, f"killed after {seconds} s"


def test_turns_killed_one_after_the_other_come_to_an_end(turning: Stage) -> None:
    """Each goes on from what the ones before have finished."""
    restore(turning.place)
    for fraction in moments(5):
        turning.is_killed_at(fraction * turning.takes_seconds)
    assert finish(turning.place) == turning.undisturbed
