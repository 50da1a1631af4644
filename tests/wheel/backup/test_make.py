"""Backup: one moment of a workspace that goes on, whole or not there at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flywheel.errors import StoreError, UsageError, WorkspaceBusy
from flywheel.records import Feedback
from flywheel.store import audit
from flywheel.wheel import keys
from flywheel.wheel.backup import make as wheel
from flywheel.wheel.backup.make import Manifest, backup
from flywheel.wheel.backup.tarball import Writer
from flywheel.wheel.erasure.erase import erase
from flywheel.wheel.feedback import accept
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain


def held(file: Path) -> dict[str, bytes]:
    """The members of a backup, as any tar reads them."""
    with tarfile.open(file) as archive:
        return {each.name: archive.extractfile(each).read() for each in archive}  # type: ignore[union-attr]


def rows(members: dict[str, bytes], table: str) -> list[dict[str, Any]]:
    found = [data for name, data in members.items() if name.startswith(f"database/{table}-")]
    return [json.loads(line) for data in found for line in data.splitlines()]


def edit(id: str, user: str = "ann") -> Feedback:
    return Feedback(
        id=id, kind="edit", user=user, role="curator", at="2026-01-01T00:00:00Z",
        question=f"What is {id}?", answer=f"It is {id}.",
    )  # fmt: skip


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder


def test_backup_holds_everything_and_says_so_last(domain: Domain, out: Path) -> None:
    workspace = domain.workspace
    made = keys.add(workspace.database, "desk", "asker")
    (workspace.root / "owner.key").write_text("fw-secret")
    (workspace.root / "exam.jsonl").write_text('{"id": 1, "question": "车门怎么开？"}\n')
    for place in ("uploads/ab/车主手册.md", "moderation/words/rude.txt", "uploads/.incoming/x"):
        (workspace.root / place).parent.mkdir(parents=True, exist_ok=True)
        (workspace.root / place).write_text(place)
    domain.ask("How does a door open?")

    told = backup(workspace, out / "a.tar.gz")

    members = held(told.file)
    assert [*members][-1] == "manifest.json"
    manifest = Manifest.model_validate_json(members.pop("manifest.json"))
    assert {name: (each.size, each.sha256) for name, each in manifest.members.items()} == {
        name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in members.items()
    }
    assert (manifest.champion, manifest.root) == (1, str(workspace.root))
    assert manifest.rows["interactions"] == len(rows(members, "interactions")) == 1
    assert rows(members, "keys")[0]["id"] == made.key.id
    assert members["uploads/ab/车主手册.md"].decode() == "uploads/ab/车主手册.md"
    assert {"flywheel.toml", "exam.jsonl", "moderation/words/rude.txt"} < members.keys()
    assert not any(
        made.secret.encode() in data or b"fw-secret" in data for data in members.values()
    )
    assert not any(".incoming" in name or "owner.key" in name for name in members)
    assert told.num_rows == sum(manifest.rows.values())
    assert told.notes == ()
    assert stat.S_IMODE(told.file.stat().st_mode) == 0o600
    assert [each.name for each in out.iterdir()] == ["a.tar.gz"]
    with workspace.database.read() as conn:
        assert audit.list_acts(conn)[0].action == "workspace.backup"


def test_folder_takes_a_backup_named_after_the_time(domain: Domain, out: Path) -> None:
    told = backup(domain.workspace, out)
    assert told.file.parent == out
    assert told.file.name.startswith("flywheel-20") and told.file.name.endswith("Z.tar.gz")


def test_members_that_a_plain_header_cannot_name_are_read_by_any_tar(tmp_path: Path) -> None:
    names = ("a/" * 120 + "b", "车" * 60, "x" * 100, "x" * 101)
    with (tmp_path / "a.tar.gz").open("wb") as file:
        writer = Writer(file)
        for name in names:
            wheel._add(writer, name, name.encode())
        writer.close()
    assert held(tmp_path / "a.tar.gz") == {name: name.encode() for name in names}


def test_backup_of_a_workspace_that_is_written_meanwhile_is_one_moment(
    domain: Domain, out: Path
) -> None:
    workspace = domain.workspace
    stop, acknowledged = threading.Event(), list[str]()

    def write() -> None:
        while not stop.is_set():
            accept(workspace, [edit(f"f{len(acknowledged)}")])
            acknowledged.append(f"f{len(acknowledged)}")

    writing = threading.Thread(target=write)
    writing.start()
    try:
        taken = []
        for number in range(3):
            before = len(acknowledged)
            members = held(backup(workspace, out / f"{number}.tar.gz").file)
            taken.append((before, members))
    finally:
        stop.set()
        writing.join()
    for before, members in taken:
        acts = {each["id"] for each in rows(members, "feedback")}
        assert acts == {each["id"] for each in rows(members, "corrections")}
        assert acts == {f"f{number}" for number in range(len(acts))}, "no hole, nothing later"
        assert len(acts) >= before, "what was acknowledged is in it"


def test_backup_goes_on_while_an_add_or_turn_holds_the_workspace(domain: Domain, out: Path) -> None:
    with domain.workspace.exclusive(), Workspace.open(domain.root) as other:
        assert backup(other, out).champion == 1


def test_what_is_erased_while_a_backup_is_made_is_not_in_it(
    domain: Domain, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = domain.workspace
    files = wheel._files

    def erasing(workspace: Workspace, snapshot: Any) -> Iterator[tuple[str, Path]]:
        found = list(files(workspace, snapshot))
        monkeypatch.setattr(wheel, "_files", files)
        with Workspace.open(workspace.root) as other:
            erase(other, "source", str(domain.documents / "doors.md"))
        return iter(found)

    monkeypatch.setattr(wheel, "_files", erasing)
    members = held(backup(workspace, out).file)
    text = "pulling the handle twice"
    assert not any(text in row["text"] for row in rows(members, "passages"))
    assert not any(text.encode() in data for data in members.values())
    assert Manifest.model_validate_json(members["manifest.json"]).champion == 2


def test_file_that_goes_away_is_tried_again_and_not_for_ever(
    domain: Domain, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = domain.workspace.root / "uploads" / "gone"
    files = wheel._files
    tries = []

    def vanishing(workspace: Workspace, snapshot: Any) -> Iterator[tuple[str, Path]]:
        tries.append(1)
        yield from files(workspace, snapshot)
        yield "uploads/gone", gone

    monkeypatch.setattr(wheel, "_files", vanishing)
    with pytest.raises(WorkspaceBusy, match="went away"):
        backup(domain.workspace, out)
    assert len(tries) == wheel._MAX_ATTEMPTS
    assert list(out.iterdir()) == []


def test_damaged_and_missing_artifacts_are_told_and_the_rest_is_kept(
    domain: Domain, out: Path
) -> None:
    [index] = (domain.root / "artifacts" / "index").glob("[!.]*")
    (index / "terms.npy").write_bytes(b"changed")
    told = backup(domain.workspace, out / "damaged.tar.gz")
    assert "the index of version 1 is damaged" in told.notes[0]
    shutil.rmtree(index)
    told = backup(domain.workspace, out / "missing.tar.gz")
    assert "the index of version 1 is missing" in told.notes[0]
    assert rows(held(told.file), "passages")


def test_exam_elsewhere_and_links_are_named_and_left_out(domain: Domain, out: Path) -> None:
    domain.configure('[exam]\nfile = "../exam.jsonl"\n')
    (domain.root.parent / "exam.jsonl").write_text('{"id": 1, "question": "?"}\n')
    (domain.root / "uploads").mkdir()
    (domain.root / "uploads" / "passwd").symlink_to("/etc/passwd")
    odd = os.fsdecode(bytes(domain.root / "uploads") + b"/\xff")
    Path(odd).touch()
    told = backup(domain.workspace, out)
    assert len(told.notes) == 3
    assert not any("passwd" in name or "exam.jsonl" in name for name in held(told.file))


def test_model_that_no_version_names_yet_is_kept(domain: Domain, out: Path) -> None:
    key = "0" * 32

    def make(place: Path) -> None:
        (place / "model.gguf").write_bytes(b"weights")

    domain.workspace.artifacts.build("model", key, make)
    told = backup(domain.workspace, out)
    assert held(told.file)[f"artifacts/model/{key}/model.gguf"] == b"weights"
    assert told.notes == ()


def test_unfinished_backup_leaves_no_file(
    domain: Domain, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wheel, "_copy", fail)
    with pytest.raises(OSError, match="No space"):
        backup(domain.workspace, out)
    assert list(out.iterdir()) == []


def test_what_a_killed_backup_left_is_written_over(domain: Domain, out: Path) -> None:
    (out / ".a.tar.gz.part").write_bytes(b"x" * 10_000_000)
    (out / ".a.tar.gz.part").chmod(0o644)
    told = backup(domain.workspace, out / "a.tar.gz")
    assert stat.S_IMODE(told.file.stat().st_mode) == 0o600
    assert held(told.file)


def test_two_backups_do_not_write_one_file(domain: Domain, out: Path) -> None:
    with (
        wheel._exclusively(out / ".a.tar.gz.part"),
        pytest.raises(WorkspaceBusy, match="Another backup"),
    ):
        backup(domain.workspace, out / "a.tar.gz")


def test_place_that_is_taken_missing_or_backed_up_itself_is_refused(
    domain: Domain, out: Path
) -> None:
    (out / "there.tar.gz").touch()
    (domain.root / "uploads").mkdir()
    for place, told in (
        (out / "there.tar.gz", "there already"),
        (out / "nowhere" / "a.tar.gz", "no folder"),
        (domain.root / "uploads" / "a.tar.gz", "among what is backed up"),
        (domain.root / "artifacts" / "index", "among what is backed up"),
    ):
        with pytest.raises(UsageError, match=told):
            backup(domain.workspace, place)
    assert (out / "there.tar.gz").stat().st_size == 0


def test_database_that_cannot_be_written_is_backed_up(
    domain: Domain, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise StoreError("read-only")

    monkeypatch.setattr(domain.workspace.database, "write", fail)
    assert rows(held(backup(domain.workspace, out).file), "passages")


def test_rows_beyond_one_member_are_all_there(
    domain: Domain, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel, "_ROWS_BYTES", 300)
    told: list[tuple[str, int, int]] = []
    members = held(backup(domain.workspace, out, lambda *each: told.append(each)).file)
    assert "database/passages-000002.jsonl" in members
    manifest = Manifest.model_validate_json(members["manifest.json"])
    assert len(rows(members, "passages")) == manifest.rows["passages"]
    assert told[-1][0] == "files" and told[-1][1] == told[-1][2]
