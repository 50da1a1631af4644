"""Artifacts: whole or not there, whoever is killed."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flywheel.artifacts import MANIFEST, Artifacts
from flywheel.errors import StoreError

MAKES_AND_HANGS = """
import sys, time
from pathlib import Path
from flywheel.artifacts import Artifacts

def make(folder):
    (folder / "half").write_text("half of it")
    print("making", flush=True)
    time.sleep(60)

Artifacts(Path(sys.argv[1])).build("index", sys.argv[2], make)
"""

MAKES_SLOWLY = """
import os, sys, time
from pathlib import Path
from flywheel.artifacts import Artifacts

def make(folder):
    print("making", flush=True)
    time.sleep(0.2)
    (folder / "by").write_text(str(os.getpid()))

built = Artifacts(Path(sys.argv[1])).build("index", "k", make)
print((built / "by").read_text())
"""


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


def make(folder: Path) -> None:
    (folder / "rows").mkdir()
    (folder / "rows" / "一.txt").write_text("one")
    (folder / "two.txt").write_text("two")


def refuse(folder: Path) -> None:
    raise AssertionError("there already")


def names(folder: Path) -> list[str]:
    """All but the empty lock files."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_key_depends_on_everything_but_the_order() -> None:
    key = Artifacts.key("index", 1, {"passages": "abc", "settings": {"k": 1, "b": 0.5}})
    assert key == Artifacts.key("index", 1, {"settings": {"b": 0.5, "k": 1}, "passages": "abc"})
    others = {
        Artifacts.key("index", 2, {"passages": "abc", "settings": {"k": 1, "b": 0.5}}),
        Artifacts.key("ranker", 1, {"passages": "abc", "settings": {"k": 1, "b": 0.5}}),
        Artifacts.key("index", 1, {"passages": "abd", "settings": {"k": 1, "b": 0.5}}),
        Artifacts.key("index", 1, {"passages": "abc", "settings": {"k": 2, "b": 0.5}}),
    }
    assert len(others | {key}) == 5


def test_finished_artifact_is_found_and_not_made_again(artifacts: Artifacts) -> None:
    assert artifacts.find("index", "k") is None
    built = artifacts.build("index", "k", make)
    assert (built / "rows" / "一.txt").read_text() == "one"
    assert artifacts.build("index", "k", refuse) == built == artifacts.find("index", "k")
    artifacts.verify(built)


def test_failing_maker_leaves_nothing(artifacts: Artifacts) -> None:
    def fail(folder: Path) -> None:
        make(folder)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        artifacts.build("index", "k", fail)
    assert names(artifacts.root / "index") == []


@pytest.mark.parametrize(
    "full", [OSError(errno.ENOSPC, "x"), OSError("LanceError: No space left on device (os error)")]
)
def test_full_disk_says_what_to_do(artifacts: Artifacts, full: OSError) -> None:
    def fill(folder: Path) -> None:
        raise full

    with pytest.raises(StoreError, match="Free some space"):
        artifacts.build("index", "k", fill)
    artifacts.build("index", "k", make)


def test_other_errors_of_a_maker_stay_its_own(artifacts: Artifacts) -> None:
    with pytest.raises(FileNotFoundError):
        artifacts.build("index", "k", lambda folder: (folder / "absent").unlink())


@pytest.mark.parametrize("killed_key", ["k", "another"])
def test_leftovers_of_a_killed_run_are_cleared(artifacts: Artifacts, killed_key: str) -> None:
    command = [sys.executable, "-c", MAKES_AND_HANGS, str(artifacts.root), killed_key]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert artifacts.find("index", killed_key) is None
    assert names(artifacts.root / "index") == [f".{killed_key}.unfinished"]
    artifacts.verify(artifacts.build("index", "k", make))
    assert names(artifacts.root / "index") == ["k"]


def test_what_another_process_is_making_is_not_a_leftover(artifacts: Artifacts) -> None:
    started, go_on = threading.Event(), threading.Event()

    def make_slowly(folder: Path) -> None:
        started.set()
        go_on.wait()
        make(folder)

    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(artifacts.build, "index", "slow", make_slowly)
        started.wait()
        artifacts.build("index", "quick", make)
        go_on.set()
        artifacts.verify(slow.result())


def test_two_processes_that_race_end_with_one(artifacts: Artifacts) -> None:
    command = [sys.executable, "-c", MAKES_SLOWLY, str(artifacts.root)]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [racer.communicate()[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert printed[0][-1] == printed[1][-1]
    assert sum(lines.count("making") for lines in printed) == 1
    assert names(artifacts.root / "index") == ["k"]


def test_folder_without_its_manifest_is_made_again(artifacts: Artifacts) -> None:
    built = artifacts.build("index", "k", make)
    (built / MANIFEST).unlink()
    with pytest.raises(StoreError, match="damaged"):
        artifacts.verify(built)
    artifacts.verify(artifacts.build("index", "k", make))


def test_damage_is_named(artifacts: Artifacts) -> None:
    built = artifacts.build("index", "k", make)
    (built / "two.txt").write_text("2wo")
    with pytest.raises(StoreError, match=r"two\.txt has changed"):
        artifacts.verify(built)
    (built / "extra.txt").touch()
    with pytest.raises(StoreError, match=r"extra\.txt does not belong"):
        artifacts.verify(built)
    (built / "rows" / "一.txt").unlink()
    with pytest.raises(StoreError, match=r"一\.txt is missing"):
        artifacts.verify(built)


def test_removed_artifact_is_gone(artifacts: Artifacts) -> None:
    artifacts.build("index", "k", make)
    artifacts.remove("index", "k")
    artifacts.remove("index", "k")
    assert artifacts.find("index", "k") is None
    assert names(artifacts.root / "index") == []
