"""Adding: every file has its fate; deletions and access act at once, the rest at the next turn."""

from __future__ import annotations

import errno
import io
import os
import shutil
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flywheel.collect import pipeline
from flywheel.collect.read import File, ReadSettings, Scanned, scan
from flywheel.errors import SourceError, WorkspaceBusy
from flywheel.wheel import ingest
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

OLD_CHARGING = "How long does a full charge at the wallbox take?"


def read_again(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are collected from now on."""
    paths: list[str] = []
    collect_file = pipeline.collect_file

    def counted(file: Scanned, *rest: Any) -> pipeline.Collected:
        paths.append(file.path)
        return collect_file(file, *rest)

    monkeypatch.setattr(pipeline, "collect_file", counted)
    return paths


def test_every_file_is_listed_once_with_its_fate_and_the_reason(domain: Domain) -> None:
    domain.write("copy of doors.md", (domain.documents / "doors.md").read_bytes())
    domain.write("note.txt", "x")
    domain.write("cut.docx", b"PK\x03\x04 and no more")
    rows = {each.path: (each.fate, each.reason) for each in domain.add()}
    assert rows == {
        "charging-2023.md": ("unchanged", "superseded: newer edition: charging-2025.md"),
        "charging-2025.md": ("unchanged", "kept"),
        "copy of doors.md": ("kept", ""),
        "cut.docx": ("failed", "corrupt: the file is cut off or damaged"),
        "doors.md": ("unchanged", "duplicate: same text as copy of doors.md"),
        "note.txt": ("dropped", "too short"),
        "车窗.md": ("unchanged", "kept"),
    }
    listed = {each.path: (each.fate, each.reason) for each in ingest.staged(domain.workspace)}
    assert listed["doors.md"] == ("duplicate", "same text as copy of doors.md")
    assert listed["charging-2023.md"] == ("superseded", "newer edition: charging-2025.md")
    assert listed.keys() == rows.keys()


def test_adding_again_reads_nothing(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = read_again(monkeypatch)
    assert set(domain.fates().values()) == {"unchanged"}
    assert paths == []


def test_touched_file_with_the_same_bytes_is_unchanged(domain: Domain) -> None:
    os.utime(domain.documents / "doors.md")
    assert domain.fates()["doors.md"] == "unchanged"
    assert domain.turn().reasons == ("nothing is new since version 1",)


def test_changed_file_answers_anew_from_the_next_version_on(domain: Domain) -> None:
    question = "Where is the child lock?"
    text = (domain.documents / "doors.md").read_text()
    domain.write("doors.md", text.replace("on the edge of each rear door", "under a yellow cap"))
    assert domain.fates()["doors.md"] == "kept"
    assert "on the edge" in domain.ask(question).draft
    domain.turn()
    assert "under a yellow cap" in domain.ask(question).draft
    assert "on the edge" not in domain.found(question)


def test_deleted_file_stops_showing_at_once(domain: Domain) -> None:
    assert "crossed window" in domain.found("How do I block the rear windows?")
    (domain.documents / "doors.md").unlink()
    assert "doors.md" not in domain.fates()
    assert "crossed window" not in domain.found("How do I block the rear windows?")
    assert "doors.md" not in {each.path for each in ingest.staged(domain.workspace)}
    domain.turn()
    assert "crossed window" not in domain.found("How do I block the rear windows?")


def test_deleted_file_that_is_back_shows_again(domain: Domain) -> None:
    (domain.documents / "doors.md").rename(domain.root / "aside")
    domain.add()
    (domain.root / "aside").rename(domain.documents / "doors.md")
    assert domain.fates()["doors.md"] == "kept"
    assert "crossed window" in domain.found("How do I block the rear windows?")


def test_older_edition_is_not_shown(domain: Domain) -> None:
    assert "six hours" in domain.ask(OLD_CHARGING).draft
    assert "nine hours" not in domain.found(OLD_CHARGING)


def test_older_edition_resurfaces_when_the_newer_one_is_deleted(domain: Domain) -> None:
    (domain.documents / "charging-2025.md").unlink()
    left = ("charging-2023.md", "doors.md", "车窗.md")
    assert domain.fates() == dict.fromkeys(left, "unchanged")
    assert "hours" not in domain.found(OLD_CHARGING)
    domain.turn()
    assert "nine hours" in domain.ask(OLD_CHARGING).draft


def test_new_edition_supersedes_the_one_before(domain: Domain) -> None:
    text = (domain.documents / "charging-2025.md").read_text()
    domain.write("charging-2026.md", text.replace("2025", "2026").replace("six", "four"))
    assert domain.fates()["charging-2026.md"] == "kept"
    domain.turn()
    assert "four hours" in domain.ask(OLD_CHARGING).draft
    assert "six hours" not in domain.found(OLD_CHARGING)


def test_archive_has_a_row_and_each_of_its_members(blank: Domain) -> None:
    with zipfile.ZipFile(blank.documents / "manual.zip", "w") as archive:
        archive.writestr("doors.md", "# Doors\n\nPull the handle twice to open.\n")
        archive.writestr("empty.md", "")
    rows = {each.path: (each.fate, each.reason, each.passages) for each in blank.add()}
    assert rows == {
        "manual.zip": ("kept", "archive of 2 files", 0),
        "manual.zip!/doors.md": ("kept", "", 1),
        "manual.zip!/empty.md": ("failed", "empty", 0),
    }
    assert set(blank.fates().values()) == {"unchanged"}


def test_member_that_an_archive_no_longer_holds_is_deleted(blank: Domain) -> None:
    place = blank.documents / "manual.zip"
    for names in (("doors.md", "lamps.md"), ("doors.md",)):
        with zipfile.ZipFile(place, "w") as archive:
            for name in names:
                archive.writestr(name, f"# {name}\n\nHow {name} work, in many words.\n")
        fates = blank.fates()
    assert fates == {"manual.zip": "kept", "manual.zip!/doors.md": "unchanged"}
    assert len(ingest.staged(blank.workspace)) == 2


def test_member_that_stands_twice_in_an_archive_counts_as_its_last(blank: Domain) -> None:
    with tarfile.open(blank.documents / "manual.tar", "w") as archive:
        for text in (b"# Doors\n\nThe first wording of it.\n", b"# Doors\n\nThe last wording.\n"):
            member = tarfile.TarInfo("doors.md")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    assert [each.path for each in blank.add()] == ["manual.tar", "manual.tar!/doors.md"]
    blank.turn()
    assert "last wording" in blank.found("Which wording do the doors have?")


def test_file_in_gb18030_is_quoted_as_it_reads(blank: Domain) -> None:
    text = (
        "儿童锁在后车门的边缘，用钥匙转动它即可锁上。上锁以后从车内打不开后车门，但从车外可以打开。"
    )
    blank.write("锁.txt", text.encode("gb18030"))
    blank.add()
    blank.turn()
    assert "用钥匙转动它即可锁上" in blank.ask("儿童锁怎么锁上？").draft


def test_labelled_documents_show_to_their_readers_alone(domain: Domain) -> None:
    pay = domain.root.parent / "pay"
    shutil.rmtree(pay, ignore_errors=True)
    pay.mkdir()
    (pay / "pay.md").write_text("# Pay\n\nThe bonus of a workshop manager is 4,000 a year.\n")
    domain.add(pay, access=["hr"])
    domain.turn()
    question = "How high is the bonus of a workshop manager?"
    assert "4,000" in domain.ask(question, ["hr"]).draft
    assert "4,000" in domain.ask(question).draft, "the owner sees all"
    assert "4,000" not in domain.found(question, ["public"])
    assert "4,000" not in domain.found(question, ["sales"])
    assert "4,000" not in domain.found(question, [])


def test_narrowed_access_acts_at_once(domain: Domain) -> None:
    question = "Where is the child lock?"
    assert "rear door" in domain.found(question, ["public"])
    assert set(domain.fates(access=["workshop"]).values()) == {"unchanged"}
    assert "rear door" not in domain.found(question, ["public"])
    assert "rear door" in domain.found(question, ["workshop"])
    domain.turn()
    assert "rear door" not in domain.found(question, ["public"])


def test_widened_access_acts_at_once(domain: Domain) -> None:
    question = "Where is the child lock?"
    domain.add(access=["workshop"])
    domain.turn()
    assert "rear door" not in domain.found(question, ["public"])
    domain.add(access=["workshop", "public"])
    assert "rear door" in domain.found(question, ["public"])
    assert "rear door" in domain.found(question, ["workshop"])


def test_access_stays_with_the_source(domain: Domain) -> None:
    """Also for files that come later, and when every file was gone for a while."""
    question = "Where is the spare wheel?"
    domain.add(access=["workshop"])
    for path in domain.documents.iterdir():
        path.unlink()
    domain.add()
    domain.write("spare.md", "# Spare wheel\n\nThe spare wheel hangs below the boot floor.\n")
    domain.add()
    domain.turn()
    assert "boot floor" in domain.found(question, ["workshop"])
    assert "boot floor" not in domain.found(question, ["public"])


def test_files_of_the_workspace_are_no_documents(domain: Domain) -> None:
    (domain.root / "exam.jsonl").write_text('{"id": 1, "question": "Where?"}\n')
    (domain.root / "notes.md").write_text("# Notes\n\nThe keys hang behind the door.\n")
    assert domain.fates(domain.root) == {"notes.md": "kept"}
    above = domain.fates(domain.root.parent)
    assert [path for path in above if path.startswith("workspace/")] == ["workspace/notes.md"]


def test_exam_under_another_name_is_no_document_either(blank: Domain) -> None:
    blank.configure('[exam]\nfile = "questions.jsonl"\n[store]\nurl = "sqlite:///facts.db"\n')
    (blank.root / "flywheel.db").unlink()
    (blank.root / "questions.jsonl").write_text('{"id": 1, "question": "Where?"}\n')
    with pytest.raises(SourceError, match="nothing but the workspace itself"):
        blank.add(blank.root)


def test_workspace_named_through_a_link_is_recognised(blank: Domain) -> None:
    link = blank.root.parent / "link"
    link.symlink_to(blank.root)
    with pytest.raises(SourceError, match="nothing but the workspace itself"):
        blank.add(link)


def test_changed_settings_collect_every_file_afresh(domain: Domain) -> None:
    domain.configure("[quality]\nmin_chars = 5000\n")
    assert set(domain.fates().values()) == {"dropped"}
    domain.configure("")
    assert domain.fates()["doors.md"] == "kept"


def test_settings_that_do_not_touch_documents_leave_them_alone(domain: Domain) -> None:
    domain.configure("[gate]\nmargin = 0.1\n")
    assert set(domain.fates().values()) == {"unchanged"}


def test_personal_data_are_masked_where_the_settings_ask(blank: Domain) -> None:
    blank.write("hotline.md", "# Hotline\n\nThe hotline reads mail at help@example.com daily.\n")
    blank.add()
    blank.turn()
    question = "At which address does the hotline read mail?"
    assert "help@example.com" in blank.found(question)
    blank.configure('[privacy]\nmask_documents = ["email"]\n')
    blank.add()
    blank.turn()
    assert "hotline reads mail" in blank.found(question)
    assert "help@example.com" not in blank.found(question)


class Deadly(File):
    """A file that kills the process that is to read it."""

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return os._exit, (1,)


def test_file_that_kills_its_reader_takes_nothing_with_it(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan_deadly(source: str, settings: ReadSettings) -> Iterator[Scanned]:
        for file in scan(source, settings):
            assert isinstance(file, File)
            values = {name: getattr(file, name) for name in ("source", "path", "size", "modified")}
            kind = Deadly if file.path == "b.pdf" else File
            yield kind(**values, location=file.location)

    monkeypatch.setattr(ingest, "scan", scan_deadly)
    for name in ("a.md", "b.pdf", "c.md"):
        blank.write(name, f"# {name}\n\nWhat there is to say about {name}.\n")
    rows = [(each.path, each.fate, each.reason) for each in blank.add()]
    assert rows == [
        ("a.md", "kept", ""),
        ("b.pdf", "failed", "crashes its reader"),
        ("c.md", "kept", ""),
    ]


def test_interrupted_add_goes_on_where_it_stopped(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        blank.write(f"{number}.md", f"# Chapter {number}\n\nIt is about the number {number}.\n")
    monkeypatch.setattr(ingest, "FILES_PER_COMMIT", 1)

    def interrupt(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest.add(blank.workspace, [str(blank.documents)], progress=interrupt)
    paths = read_again(monkeypatch)
    fates = Counter(blank.fates().values())
    assert paths == ["3.md"]
    assert fates == {"unchanged": 3, "kept": 1}


def test_progress_names_files_done_and_files_there(blank: Domain) -> None:
    blank.write("a.md", "# Doors\n\nPull the handle twice to open.\n")
    told: list[tuple[str, int, int]] = []
    ingest.add(blank.workspace, [str(blank.documents)], progress=lambda *now: told.append(now))
    assert told == [("collect", 1, 1)]


def test_emptied_folder_shows_nothing_any_more(domain: Domain) -> None:
    for path in domain.documents.iterdir():
        path.unlink()
    added = ingest.add(domain.workspace, [str(domain.documents)])
    assert (added.files, added.num_deleted) == ((), 4)
    assert domain.ask("Where is the child lock?").passages == ()


def test_deleted_single_file_shows_no_more(blank: Domain) -> None:
    place = blank.write("doors.md", "# Doors\n\nPull the handle twice to open the door.\n")
    blank.add(place)
    blank.turn()
    place.unlink()
    assert blank.add(place) == []
    assert blank.ask("How do I open the door?").passages == ()


def test_source_that_cannot_be_reached_keeps_its_documents(blank: Domain) -> None:
    """A share that is not mounted is no deletion."""
    share = blank.root.parent / "share" / "manuals"
    share.mkdir(parents=True)
    (share / "doors.md").write_text("# Doors\n\nPull the handle twice to open the door.\n")
    blank.add(share)
    shutil.rmtree(share.parent)
    with pytest.raises(SourceError, match="no such file or folder"):
        blank.add(share)
    assert [each.path for each in ingest.staged(blank.workspace)] == ["doors.md"]


def close_folder(monkeypatch: pytest.MonkeyPatch, closed: Path) -> None:
    """Nobody may look into a folder; root could, whatever its mode."""
    iterdir = Path.iterdir

    def refused(folder: Path) -> Iterator[Path]:
        if folder == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refused)


@pytest.mark.parametrize("closed", ["service", "."])
def test_folder_that_is_closed_for_a_moment_keeps_its_documents(
    blank: Domain, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    for path in ("doors.md", "service/oil.md", "service/more/tyres.md"):
        blank.write(path, f"# {path}\n\nWhat there is to say about {path}.\n")
    blank.add()
    with monkeypatch.context() as patched:
        close_folder(patched, blank.documents / closed)
        added = ingest.add(blank.workspace, [str(blank.documents)])
    assert added.num_deleted == 0
    name = (blank.documents / closed).name
    assert {each.path: each.reason for each in added.files}[name] == "no permission to read"
    listed = {each.path: each.fate for each in ingest.staged(blank.workspace)}
    kept = dict.fromkeys(("doors.md", "service/oil.md", "service/more/tyres.md"), "kept")
    assert listed == {**kept, name: "failed"}
    assert blank.fates() == dict.fromkeys(kept, "unchanged")


def test_closed_folder_is_collected_with_the_new_settings_once_it_opens(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("doors.md", "service/oil.md"):
        blank.write(path, f"# {path}\n\nWhat there is to say about {path}.\n")
    blank.add()
    blank.configure("[quality]\nmin_chars = 5000\n")
    with monkeypatch.context() as patched:
        close_folder(patched, blank.documents / "service")
        blank.add()
    assert blank.fates()["service/oil.md"] == "dropped"


def test_documents_beside_a_closed_folder_are_deleted_all_the_same(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("service/oil.md", "service.md"):
        blank.write(path, f"# {path}\n\nWhat there is to say about {path}.\n")
    blank.add()
    (blank.documents / "service.md").unlink()
    close_folder(monkeypatch, blank.documents / "service")
    assert ingest.add(blank.workspace, [str(blank.documents)]).num_deleted == 1


def test_damaged_archive_keeps_the_members_it_had(blank: Domain) -> None:
    """It may be half copied."""
    place = blank.documents / "manual.zip"
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("doors.md", "# Doors\n\nPull the handle twice to open.\n")
    blank.add()
    place.write_bytes(place.read_bytes()[:60])
    assert blank.fates() == {"manual.zip": "failed"}
    assert len(ingest.staged(blank.workspace)) == 2


@pytest.mark.parametrize("is_mount_point_left", [True, False])
def test_share_that_is_not_mounted_keeps_its_documents(
    blank: Domain, monkeypatch: pytest.MonkeyPatch, is_mount_point_left: bool
) -> None:
    """Its place is empty or gone. So many files are hardly deleted all at once."""
    monkeypatch.setattr(ingest, "MAX_CLEARED", 2)
    for name in ("doors.md", "lamps.md", "tyres.md"):
        blank.write(name, f"# {name}\n\nWhat there is to say about {name}.\n")
    blank.add()
    away = blank.documents.rename(blank.root.parent / "away")
    if is_mount_point_left:
        blank.documents.mkdir()
    with pytest.raises(SourceError, match="nothing is left of 3 files, which are kept"):
        blank.add()
    assert len(ingest.staged(blank.workspace)) == 3
    shutil.rmtree(blank.documents, ignore_errors=True)
    away.rename(blank.documents)
    assert set(blank.fates().values()) == {"unchanged"}


@pytest.mark.parametrize("problem", ["no such file or folder", "holds no files"])
def test_source_without_files_is_refused_and_nothing_is_staged(blank: Domain, problem: str) -> None:
    place = blank.write("doors.md", "# Doors\n\nPull the handle twice to open.\n")
    wrong = blank.root.parent / "wrong"
    if problem == "holds no files":
        wrong.mkdir()
    with pytest.raises(SourceError, match=problem):
        blank.add(place, wrong)
    assert ingest.staged(blank.workspace) == []


def test_folder_under_two_names_is_one_source(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    blank.write("doors.md", "# Doors\n\nPull the handle twice to open.\n")
    monkeypatch.chdir(blank.documents)
    here: list[Path | str] = [
        ".",
        str(blank.documents),
        f"{blank.documents}/",
        "../documents",
        Path("..") / "documents",
    ]
    assert len(blank.add(*here)) == 1
    assert len(ingest.staged(blank.workspace)) == 1


def test_add_waits_for_no_other_add(blank: Domain) -> None:
    blank.write("doors.md", "# Doors\n\nPull the handle twice to open.\n")
    with (
        blank.workspace.exclusive(),
        pytest.raises(WorkspaceBusy, match="Another add, turn or erase"),
    ):
        blank.add()


def test_database_lies_in_the_workspace_whatever_its_name(tmp_path: Path) -> None:
    root = tmp_path / "what?x=1 p%41q #é"
    with Workspace.init(root) as workspace:
        assert workspace.owns(root / "flywheel.db")
    assert (root / "flywheel.db").is_file()
    assert list(tmp_path.iterdir()) == [root]
