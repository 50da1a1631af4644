"""A file on its way in: whatever its name, it lands where it should, and within what there is."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.errors import StoreError
from flywheel.wheel import incoming
from flywheel.wheel.incoming import (
    MAX_NAME_BYTES,
    Incoming,
    Room,
    clear_leftovers,
    files_of,
    left_out,
    safe_name,
)
from flywheel.wheel.workspace import UPLOADS

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("handbook.pdf", "handbook.pdf"),
        ("员工手册（2025）.docx", "员工手册（2025）.docx"),
        ("Price list [new] 50%.xlsx", "Price list [new] 50%.xlsx"),
        ("guides/locks.md", "guides - locks.md"),
        ("../../etc/passwd", "etc - passwd"),
        ("/etc/passwd", "etc - passwd"),
        ("C:\\Users\\eve\\a.md", "Users - eve - a.md"),
        ("..\\..\\a.md", "a.md"),
        ("a/../../b.md", "a - b.md"),
        ("http://127.0.0.1/a.md", "http: - 127.0.0.1 - a.md"),
        ("x.zip!/a.md", "x.zip! - a.md"),
        ("a\x00\n\x1b[31m.md", "a[31m.md"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\ud800.md", "a.md"),
        ("a.md. . ", "a.md"),
        (" a.md", "a.md"),
        ("Cafe\u0301.md", "Caf\u00e9.md"),
        ("नमस्\u200dते.md", "नमस्\u200dते.md"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("console.txt", "console.txt"),
        ("-rf", "-rf"),
        ("", ""),
        ("..", ""),
        ("/", ""),
        ("\x00", ""),
        (". .", ""),
    ],
)
def test_name_is_kept_as_given_but_for_what_does_harm(given: str, kept: str) -> None:
    assert safe_name(given) == kept


@given(st.text(max_size=400))
def test_name_is_one_of_a_file_in_its_folder(given: str) -> None:
    name = safe_name(given)
    if not name:
        return
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert Path("/uploads", name).resolve() == Path("/uploads") / name
    assert name.isprintable() or not name.isascii()
    assert safe_name(name) == name


@pytest.mark.parametrize("letter", ["a", "字", "𝄞"])
def test_long_names_are_cut_and_stay_two(letter: str) -> None:
    names = {safe_name(f"{letter * 300}{which}.tar.gz") for which in "ab"}
    assert len(names) == 2
    assert all(name.endswith(".tar.gz") and name.startswith(letter * 40) for name in names)
    assert len(safe_name(f"a.{letter * 300}").encode()) <= MAX_NAME_BYTES


def test_names_that_an_add_would_leave_out_are_refused_with_the_reason(blank: Domain) -> None:
    for each in (".DS_Store", "photos/.DS_Store", "~$letter.docx", "node_modules/a.md", "a.tmp"):
        assert "[read] ignore" in left_out(blank.workspace, each)
    assert left_out(blank.workspace, "///") == "it has no name"
    for each in ("a.md", "手册.docx", "a.b/c.md"):
        assert left_out(blank.workspace, each) == ""


def test_file_is_there_once_it_is_kept_and_whole(blank: Domain) -> None:
    folder = blank.workspace.root / UPLOADS / "ab"
    file = Incoming(blank.workspace, "a.md")
    for each in (b"one", b"", b" two"):
        assert file.write(each)
    assert not folder.exists()
    file.keep(folder)
    file.discard()
    assert [path.name for path in folder.iterdir()] == ["a.md"]
    assert (folder / "a.md").read_bytes() == b"one two"
    assert (folder / "a.md").stat().st_mode & 0o777 == 0o600
    assert (folder.stat().st_mode | folder.parent.stat().st_mode) & 0o777 == 0o700


def test_discarded_file_leaves_nothing(blank: Domain) -> None:
    file = Incoming(blank.workspace, "a.md")
    assert file.write(b"one")
    file.discard()
    file.discard()
    assert list(files_of(blank.workspace.root / UPLOADS)) == []


def test_room_counts_along_and_afresh_before_it_refuses(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"123")
    room = Room(tmp_path, 10)
    assert room.take(4)  # 7
    assert not room.take(8)
    room.give_back(4)
    assert room.take(7)
    assert not room.take(8)
    (tmp_path / "there").unlink()  # by another process
    assert room.take(8)


def test_all_uploads_together_stay_within_the_quota(blank: Domain) -> None:
    blank.configure("[serve]\nupload_quota_megabytes = 1\n")
    folder = blank.workspace.root / UPLOADS / "ab"
    half = b"x" * (1 << 19)
    first = Incoming(blank.workspace, "a.md")
    assert first.write(half)
    second = Incoming(blank.workspace, "b.md")
    assert second.write(half)
    assert not second.write(b"x"), "what is on its way counts"
    second.discard()
    first.keep(folder)
    third = Incoming(blank.workspace, "a.md")
    assert third.write(half)
    third.keep(folder)
    fourth = Incoming(blank.workspace, "b.md")
    assert fourth.write(half), "a replaced edition counts no more"
    assert not fourth.write(b"x")
    fourth.discard()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_full_disk_is_told_and_nothing_kept(
    blank: Domain, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: int) -> None:
        raise OSError(number, os.strerror(number))

    file = Incoming(blank.workspace, "a.md")
    assert file.write(b"one")
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StoreError, match="disk is full" if number == errno.ENOSPC else "a.md"):
        file.keep(blank.workspace.root / UPLOADS / "ab")
    file.discard()
    assert list(files_of(blank.workspace.root / UPLOADS)) == []


def test_what_a_killed_server_left_behind_is_cleared(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Incoming(blank.workspace, "a.md")
    clear_leftovers(blank.workspace)
    assert file.write(b"one"), "one that is under way stays"
    monkeypatch.setattr(incoming, "LEFTOVER_SECONDS", -1)
    clear_leftovers(blank.workspace)
    assert list(files_of(blank.workspace.root / UPLOADS)) == []
    file.discard()
