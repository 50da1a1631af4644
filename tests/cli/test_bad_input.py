"""What a user does wrong, or the machine lacks, gets a line or two and an exit code."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flywheel.collect import pipeline
from flywheel.wheel import ingest
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from tests.cli.conftest import Ended, Run


def assert_told(ended: Ended, *parts: str, code: int = 1) -> None:
    """It ended with the code and said all this on stderr, in one or two lines."""
    assert ended.code == code
    assert ended.out == ""
    for part in parts:
        assert part in ended.err
    assert len(ended.err.splitlines()) <= 2
    assert "Traceback" not in ended.err


def assert_wrong_usage(ended: Ended, *parts: str) -> None:
    """It ended with 2, the usage, and what is wrong with it."""
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("Usage: flywheel ")
    for part in parts:
        assert part in ended.err
    assert "Traceback" not in ended.err


def test_source_that_is_not_there(flywheel: Run, ready: Path) -> None:
    assert_told(flywheel("add", "/no/such/folder"), "/no/such/folder: no such file or folder.")


def test_folder_without_files(flywheel: Run, ready: Path) -> None:
    (ready / "empty").mkdir()
    assert_told(flywheel("add", "empty"), "empty: the folder holds no files. Put documents there")


@pytest.mark.parametrize(
    "command",
    ["-w ~no-one ask Where?", "-w ~no-one up documents", "init ~no-one", "documents"],
)
def test_workspace_in_a_home_that_there_is_not(
    flywheel: Run, empty: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    if command == "documents":
        monkeypatch.setenv("FLYWHEEL_WORKSPACE", "~no-one")
    told = "~no-one: there is no such home. Write the path in full."
    assert_told(flywheel(*command.split()), told)
    assert list(empty.iterdir()) == []


def test_file_that_may_not_be_read(
    flywheel: Run, ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ready.parent / "documents" / "doors.md"
    path.chmod(0)
    if os.geteuid() == 0:  # who may read everything
        monkeypatch.setattr(os, "access", lambda asked, mode: asked != path)
    os.utime(path)
    ended = flywheel("add", "../documents")
    assert ended.code == 0
    assert "  failed     doors.md: no permission to read" in ended.out


def test_workspace_that_may_not_be_written(
    flywheel: Run, ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "artifacts")

    monkeypatch.setattr(ingest, "_stage", refused)
    (ready.parent / "documents" / "new.md").write_text("# Lamps\n\nThe lamps switch themselves.\n")
    told = "artifacts: Permission denied. See who may read and write there."
    assert_told(flywheel("add", "../documents"), told)


def test_misspelt_setting_names_the_nearest(flywheel: Run, ready: Path) -> None:
    (ready / "flywheel.toml").write_text('[exam]\nfiel = "q.jsonl"\n')
    told = "flywheel.toml: there is no setting exam.fiel. Did you mean exam.file?"
    assert_told(flywheel("turn"), told)


def test_misspelt_section_names_the_nearest(flywheel: Run, ready: Path) -> None:
    (ready / "flywheel.toml").write_text('[exams]\nfile = "q.jsonl"\n')
    assert_told(flywheel("turn"), "there is no setting exams. Did you mean exam?")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[gate\n", "flywheel.toml is not valid TOML: "),
        ("[gate]\nmargin = 3\n", "gate.margin: Input should be less than or equal to 0.5"),
        ("gate = 3\n", "gate is a section: write [gate] on a line of its own"),
        ('[gate]\nprimary = "luck"\n', "gate.primary: luck is no metric; there are evidence_"),
        ('[store]\nurl = "mysql://x/y"\n', "store.url names mysql://x/y: write sqlite:///PATH or"),
        ('[search]\nembedding = "no/such"\n', "There is no folder no/such, and no such model"),
    ],
)
def test_wrong_setting(flywheel: Run, ready: Path, text: str, told: str) -> None:
    (ready / "flywheel.toml").write_text(text)
    assert_told(flywheel("turn"), told)


def test_wrong_line_of_an_exam(flywheel: Run, ready: Path) -> None:
    good = '{"id": 1, "question": "Where is the child lock?"}\n'
    (ready / "q.jsonl").write_text(good + '{"id": 2, "qestion": "Where?"}\n')
    told = 'q.jsonl, line 2: unknown key "qestion"; did you mean "question"?'
    assert_told(flywheel("exam", "q.jsonl"), told)


def test_exam_that_is_not_there(flywheel: Run, ready: Path) -> None:
    assert_told(flywheel("exam", "q.jsonl"), "q.jsonl cannot be read: No such file")


def test_answers_that_cannot_be_written(flywheel: Run, ready: Path) -> None:
    (ready / "q.jsonl").write_text('{"id": 1, "question": "Where is the child lock?"}\n')
    for place in ("/no/such/out.jsonl", "."):
        ended = flywheel("exam", "q.jsonl", "--answers", place)
        assert_wrong_usage(ended, f"{place} cannot be a file")


def test_workspace_of_a_newer_release(flywheel: Run, ready: Path) -> None:
    with sqlite3.connect(ready / "flywheel.db") as database:
        database.execute("UPDATE flywheel_schema SET version_num = '9999'")
    database.close()
    told = "This workspace was made by a newer release (schema 9999"
    assert_told(flywheel("versions"), told, "pip install -U flywheel-assistant")


def test_two_turns_at_once(flywheel: Run, ready: Path) -> None:
    with Workspace.open(ready) as workspace, workspace.exclusive():
        told = f"Another add, turn or erase is running in {ready}. Wait for it to end"
        assert_told(flywheel("turn"), told)
        assert_told(flywheel("add", "../documents"), told)


def test_no_workspace(flywheel: Run, empty: Path) -> None:
    for command in (("documents",), ("add", "."), ("turn",), ("ask", "Where?"), ("versions",)):
        told = f"There is no workspace in {empty} or above it. Make one with `flywheel init`"
        assert_told(flywheel(*command), told, "flywheel up DOCUMENTS")


def test_named_workspace_that_is_none(flywheel: Run, empty: Path) -> None:
    told = "is no workspace. Make one with `flywheel init elsewhere`."
    assert_told(flywheel("-w", "elsewhere", "documents"), told)


def test_no_version_yet(flywheel: Run, empty: Path) -> None:
    flywheel("init")
    assert_told(flywheel("ask", "Where?"), "There is no version yet. Run `flywheel turn` first.")
    (empty / "q.jsonl").write_text('{"id": 1, "question": "Where?"}\n')
    assert_told(flywheel("exam", "q.jsonl"), "There is no version yet.")
    assert_told(flywheel("turn"), "Nothing is staged. Add documents first: `flywheel add FOLDER`.")
    assert (
        flywheel("versions").out == "No version yet. Make one from what is staged: flywheel turn\n"
    )
    assert flywheel("documents").out == "No documents yet. Add some: flywheel add DOCUMENTS\n"
    assert flywheel("versions", "--json").data == {
        "versions": [],
        "champion": None,
        "history": [],
    }
    assert flywheel("documents", "--json").data == {"documents": []}


def test_init_twice(flywheel: Run, empty: Path) -> None:
    assert flywheel("init").code == 0
    (empty / "flywheel.toml").write_text("[gate]\nmargin = 0.1\n")
    assert_told(flywheel("init"), f"{empty} is a workspace already. Go on with `flywheel add`.")
    assert (empty / "flywheel.toml").read_text() == "[gate]\nmargin = 0.1\n"


def test_init_where_a_file_is(flywheel: Run, empty: Path) -> None:
    (empty / "taken").write_text("")
    assert_told(flywheel("init", "taken"), "taken cannot be made a workspace: ")


def test_question_without_words(flywheel: Run, ready: Path) -> None:
    assert_wrong_usage(flywheel("ask", "  "), "The question is empty.")
    assert_wrong_usage(flywheel("ask"), "Missing argument 'TEXT'")


def test_command_that_does_not_exist(flywheel: Run) -> None:
    assert_wrong_usage(flywheel("vers"), "No such command 'vers'.", "'versions'?")
    assert_wrong_usage(flywheel("ask", "x", "--acces", "hr"), "Did you mean '--access'?")


def test_full_disk_while_collecting(
    flywheel: Run, ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ingest, "_stage", full)
    (ready.parent / "documents" / "new.md").write_text("# Lamps\n\nThe lamps switch themselves.\n")
    told = "The disk is full. Free some space and run the same command again."
    assert_told(flywheel("add", "../documents"), told)


def test_full_disk_while_building(
    flywheel: Run, ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (ready.parent / "documents" / "new.md").write_text("# Lamps\n\nThe lamps switch themselves.\n")
    flywheel("add", "../documents")
    with monkeypatch.context() as patched:
        patched.setattr("flywheel.wheel.stages.build_index", full)
        assert_told(flywheel("turn"), "is full. Free some space and run the same command again")
    assert flywheel("turn", "--json").data["version"] == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk takes the right to mount one")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_small_disk_fills_and_what_was_acknowledged_stays(
    flywheel: Run, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "IN_PROCESS", 100)
    monkeypatch.setattr(ingest, "FILES_PER_COMMIT", 2)
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(20):
        lines = "\n\n".join(f"Bolt {number}-{line} takes {line} Nm." for line in range(6000))
        (documents / f"{number:02}.md").write_text(f"# Bolts {number}\n\n{lines}\n")
    assert flywheel("init", small_disk).code == 0
    ended = flywheel("-w", small_disk, "add", documents)
    assert_told(ended, "full. Free some space")
    rows = flywheel("-w", small_disk, "documents", "--json").data["documents"]
    assert [row["path"] for row in rows] == [f"{number:02}.md" for number in range(len(rows))]
    assert {row["fate"] for row in rows} == {"kept"}


def flywheel_process(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    code = "from flywheel.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def test_reader_that_has_seen_enough(ready: Path) -> None:
    with flywheel_process("documents", "--json", folder=ready) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        told = process.stderr.read()
    assert process.returncode == 1
    assert told == ""


def test_interrupt_says_that_the_same_command_goes_on(ready: Path) -> None:
    for number in range(300):
        path = ready.parent / "documents" / f"{number}.html"
        path.write_text(f"<h1>Bolt {number}</h1><p>It takes {number} Nm, as do its neighbours.</p>")
    with flywheel_process("add", "../documents", folder=ready) as process:
        assert process.stderr is not None
        _wait_for_a_write(ready / "flywheel.db-wal", process)
        os.killpg(process.pid, signal.SIGINT)
        told = process.stderr.read()
    assert process.returncode == 1
    assert told.strip() == (
        "Stopped. What is finished is kept; the same command goes on from there."
    )


def _wait_for_a_write(log: Path, process: subprocess.Popen[str]) -> None:
    while process.poll() is None and not (log.exists() and log.stat().st_size):
        time.sleep(0.01)


@pytest.mark.parametrize("source", ["http://[bad", "//[bad", "~nobody-of-this-name/x"])
def test_source_that_is_no_name_of_anything(flywheel: Run, ready: Path, source: str) -> None:
    assert_told(flywheel("add", source), source)


def test_empty_name_does_not_add_the_folder_that_one_is_in(flywheel: Run, ready: Path) -> None:
    assert_told(flywheel("add", ""), "An empty name is no source.")


def test_answers_do_not_replace_the_exam(flywheel: Run, ready: Path) -> None:
    (ready / "questions.jsonl").write_text('{"id": 1, "question": "Where?"}\n')
    ended = flywheel("exam", "questions.jsonl", "--answers", "./questions.jsonl")
    assert_wrong_usage(ended, "is the exam itself")
    assert (ready / "questions.jsonl").read_text() == '{"id": 1, "question": "Where?"}\n'
