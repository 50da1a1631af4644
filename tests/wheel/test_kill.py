"""kill -9 at random moments: after a rerun everything is there, once, and answers the same."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flywheel.records import Passage
from flywheel.search.index import PassageIndex
from flywheel.store import documents, versions
from flywheel.wheel import ingest
from flywheel.wheel.turn import turn
from flywheel.wheel.workspace import Workspace

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "owners-manual" / "documents"
PARTS = ("en/child-locks.md", "zh/行驶模式与旋钮.html")
QUESTIONS = ("How do I set the child lock?", "怎样切换行驶模式？")
SETTINGS = "[exam]\nnum_synthetic = 20\n"
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


@dataclass(frozen=True)
class Stage:
    """A place where a command can be run, killed and run again, from the same start."""

    place: Path
    arguments: Sequence[str]
    begins_seconds: float
    """When the command takes the workspace, after the start of its process."""
    ends_seconds: float
    undisturbed: State

    def kill_at(self, seconds: float) -> bool:
        """Runs the command on a fresh copy and kills it then. Whether it was still running."""
        restore(self.place)
        with start(self.place, self.arguments) as process:
            time.sleep(seconds)
            process.kill()
        return process.returncode == -signal.SIGKILL


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


def start(place: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    code = "from flywheel.cli import main; main()"
    command = [sys.executable, "-c", code, "-w", str(place / "workspace"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measured(place: Path, arguments: Sequence[str], undisturbed: State) -> Stage:
    """A stage, with how long its command takes here."""
    restore(place)
    started = time.monotonic()
    begins: float | None = None
    with start(place, arguments) as process:
        while process.poll() is None:
            if begins is None and (place / "workspace" / "flywheel.lock").exists():
                begins = time.monotonic() - started
            time.sleep(0.005)
    assert process.returncode == 0 and begins is not None
    return Stage(place, arguments, begins, time.monotonic() - started, undisturbed)


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
def adding(_start: Path) -> Stage:
    """`flywheel add` on the blank workspace."""
    restore(_start)
    undisturbed = finish(_start)
    return measured(_start, ("add", str(_start / "documents")), undisturbed)


@pytest.fixture(scope="module")
def turning(adding: Stage) -> Stage:
    """`flywheel turn` on the workspace with its documents added."""
    place = adding.place
    restore(place)
    with Workspace.open(place / "workspace") as workspace:
        ingest.add(workspace, [str(place / "documents")])
    (place / "workspace" / "flywheel.lock").unlink()
    shutil.rmtree(kept(place))
    shutil.copytree(place, kept(place))
    return measured(place, ("turn",), adding.undisturbed)


def moments(stage: Stage, number: int) -> list[float]:
    rng = random.Random(SEED)
    return [rng.uniform(stage.begins_seconds, stage.ends_seconds) for _ in range(number)]


def test_killed_add_goes_on_to_the_same_state(adding: Stage) -> None:
    killed = 0
    for seconds in moments(adding, NUM_ADDS_KILLED):
        killed += adding.kill_at(seconds)
        assert finish(adding.place) == adding.undisturbed, f"killed after {seconds} s"
    assert killed


def test_killed_turn_goes_on_to_the_same_version(turning: Stage) -> None:
    killed = 0
    for seconds in moments(turning, NUM_TURNS_KILLED):
        killed += turning.kill_at(seconds)
        assert finish(turning.place) == turning.undisturbed, f"killed after {seconds} s"
    assert killed > NUM_TURNS_KILLED // 2, "the kills came in time"


def test_turns_killed_one_after_the_other_come_to_an_end(turning: Stage) -> None:
    """Each goes on from what the ones before have finished."""
    restore(turning.place)
    for seconds in sorted(moments(turning, 4)):
        with start(turning.place, ("turn",)) as process:
            time.sleep(seconds)
            process.kill()
    assert finish(turning.place) == turning.undisturbed
