"""`flywheel backup`, `restore` and `doctor`: for people and as JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from flywheel.cli import COMMANDS
from flywheel.wheel.backup import server_lock
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def _commands(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in (("backup", "backup"), ("restore", "backup"), ("doctor", "doctor")):
        if name not in COMMANDS:
            monkeypatch.setitem(COMMANDS, name, (module, ""))


@pytest.fixture
def file(ready: Path, flywheel: Run, tmp_path: Path) -> Path:
    assert flywheel("backup", tmp_path / "made.tar.gz").code == 0
    return tmp_path / "made.tar.gz"


def test_backup_says_what_is_in_it(ready: Path, flywheel: Run, tmp_path: Path) -> None:
    told = flywheel("backup", tmp_path / "a.tar.gz")
    assert (told.code, told.err) == (0, "")
    assert f"{tmp_path}/a.tar.gz: " in told.out and " rows and " in told.out
    data = flywheel("backup", tmp_path, "--json").data
    assert Path(data["file"]).stat().st_size == data["bytes"]
    assert (data["champion"], data["notes"]) == (1, [])
    again = flywheel("backup", tmp_path / "a.tar.gz")
    assert (again.code, again.out) == (2, "") and "there already" in again.err


def test_backup_names_what_is_missing(ready: Path, flywheel: Run, tmp_path: Path) -> None:
    (ready / "uploads").mkdir()
    (ready / "uploads" / "a\x1b[2Jb").symlink_to("/etc/passwd")
    told = flywheel("backup", tmp_path / "a.tar.gz")
    assert "is not in it" in told.out and "\x1b" not in told.out


def test_restore_makes_a_workspace_of_a_new_folder(
    file: Path, flywheel: Run, tmp_path: Path
) -> None:
    told = flywheel("restore", file, tmp_path / "new")
    assert told.code == 0 and "version 1 serves" in told.out
    assert flywheel("-w", tmp_path / "new", "ask", "车窗遇到阻力会怎样？", "--json").data["version"]
    data = flywheel("restore", file, tmp_path / "other", "--json").data
    assert (data["folder"], data["champion"]) == (str(tmp_path / "other"), 1)
    assert (data["erased_again"], data["notes"]) == (0, [])


def test_workspace_is_replaced_only_if_its_owner_says_so(
    ready: Path, file: Path, flywheel: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    flywheel("ask", "How does a door open?")
    refused = flywheel("restore", file)
    assert refused.code == 2 and "--yes" in refused.err

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    asked: list[str] = []

    def confirm(text: str, **_: object) -> None:
        asked.append(text)
        raise click.Abort

    monkeypatch.setattr(click, "confirm", confirm)
    stopped = flywheel("restore", file)
    assert stopped.code == 1 and asked == ["Replace it?"]
    assert "is lost" in stopped.err
    assert (ready / "flywheel.toml").exists()

    assert flywheel("restore", file, "--yes", "--json").data["folder"] == str(ready)
    assert flywheel("versions", "--json").data["versions"][0]["asked"] == 0


def test_erased_user_does_not_come_back(ready: Path, file: Path, flywheel: Run) -> None:
    with Workspace.open(ready) as workspace:
        workspace.ask("How does a door open?", user="Bob Miller of Ohio")
    made = file.with_name("later.tar.gz")
    flywheel("backup", made)
    flywheel("erase", "--user", "Bob Miller of Ohio", "--yes")
    told = flywheel("restore", made, "--yes")
    assert told.code == 0 and "1 erasure done again" in told.out
    assert "Nothing is kept" not in flywheel("erase", "--user", "Bob Miller of Ohio", "--yes").err
    found = [
        path for path in ready.rglob("*") if path.is_file() and b"Bob Miller" in path.read_bytes()
    ]
    assert found == []


def test_served_workspace_is_left_alone_and_told_why(
    ready: Path, file: Path, flywheel: Run, tmp_path: Path
) -> None:
    with server_lock.shared(ready):
        told = flywheel("restore", file, "--yes")
        assert told.code == 1 and "Stop it first" in told.err and len(told.err.splitlines()) <= 2
        assert flywheel("restore", file, tmp_path / "beside").code == 0
        assert flywheel("backup", tmp_path / "b.tar.gz").code == 0


def test_file_that_is_no_backup_is_one_line(ready: Path, flywheel: Run, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"PK")
    for name in ("a.tar.gz", "none.tar.gz"):
        told = flywheel("restore", tmp_path / name, tmp_path / "new")
        assert told.code == 1 and len(told.err.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_doctor_ends_with_one_where_something_fails(ready: Path, flywheel: Run) -> None:
    ready.chmod(0o700)
    well = flywheel("doctor")
    assert well.code == 0
    assert all(line.startswith("ok    ") for line in well.out.splitlines())
    assert flywheel("doctor", "--json").data["ok"] is True

    (ready / "exam.jsonl").write_text("{\n")
    ill = flywheel("doctor")
    assert ill.code == 1 and ill.err == ""
    [line] = [each for each in ill.out.splitlines() if not each.startswith("ok")]
    assert line.startswith("fail  exam: ") and "  — mend" in line
    data = flywheel("doctor", "--json")
    assert (data.code, data.data["ok"]) == (1, False)
    assert {each["status"] for each in data.data["checks"]} == {"ok", "fail"}


def test_doctor_finds_no_workspace(empty: Path, flywheel: Run) -> None:
    assert flywheel("doctor").code == 1
