"""Files go through the steps in processes of their own, and none takes another with it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flywheel.collect import pipeline
from flywheel.collect.pipeline import (
    SMALL_BYTES,
    Collected,
    CollectSettings,
    collect,
    document_id,
)
from flywheel.collect.privacy import PrivacySettings
from flywheel.collect.quality import QualitySettings
from flywheel.collect.read import File, Scanned, scan

SETTINGS = CollectSettings()


class Deadly(File):
    """A file that kills the process that is to read it, as a crash in a parser would."""

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return os._exit, (1,)


def deadly(file: Scanned) -> Scanned:
    assert isinstance(file, File)
    return Deadly(
        source=file.source,
        path=file.path,
        size=file.size,
        modified=file.modified,
        location=file.location,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine files, more than are read in this process."""
    for number in range(9):
        (tmp_path / f"{number}.md").write_text(f"# Chapter {number}\n\nIt has number {number}.\n")
    return tmp_path


def test_document_comes_out_with_its_passages_and_their_headings(tmp_path: Path) -> None:
    text = "# Doors\n\nThey open.\n\n## Child lock\n\nTurn it with the key of the car.\n"
    (tmp_path / "doors.md").write_text(text)
    (outcome,) = collect(scan(str(tmp_path)), SETTINGS)
    assert outcome.fate == "kept" and outcome.document is not None
    assert outcome.document.title == "Doors"
    assert outcome.document.language == "en"
    assert [passage.headings for passage in outcome.passages] == [(), ("Child lock",)]
    assert {passage.document for passage in outcome.passages} == {outcome.document.id}
    assert outcome.document.text == "", "the passages hold it"


def test_file_in_gb18030_is_read_as_chinese(tmp_path: Path) -> None:
    text = (
        "儿童锁在后车门的边缘，用钥匙转动它即可锁上。上锁以后从车内打不开后车门，但从车外可以打开。"
    )
    (tmp_path / "锁.txt").write_bytes(text.encode("gb18030"))
    (outcome,) = collect(scan(str(tmp_path)), SETTINGS)
    assert outcome.passages[0].text == text
    assert outcome.passages[0].language == "zh-hans"


def test_file_that_is_not_kept_says_why(tmp_path: Path) -> None:
    (tmp_path / "a-short.txt").write_text("x")
    (tmp_path / "b-empty.txt").write_text("")
    (tmp_path / "c-cut.docx").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "d-picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    found = [(each.fate, each.reason) for each in collect(scan(str(tmp_path)), SETTINGS)]
    assert found == [
        ("dropped", "too short"),
        ("failed", "empty"),
        ("failed", "corrupt: the file is cut off or damaged"),
        ("failed", "needs OCR"),
    ]


def test_personal_data_are_counted_and_left_in_place(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The workshop answers at service@example.com every day.\n")
    (outcome,) = collect(scan(str(tmp_path)), SETTINGS)
    assert outcome.findings == {"email": 1}
    assert "service@example.com" in outcome.passages[0].text


def test_personal_data_are_masked_where_the_settings_ask(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Write to jo@example.com, or look at https://example.com/x.\n")
    settings = CollectSettings(privacy=PrivacySettings(mask_documents=("email",)))
    (outcome,) = collect(scan(str(tmp_path)), settings)
    assert "jo@example.com" not in outcome.passages[0].text
    assert "https://example.com/x" in outcome.passages[0].text


def test_settings_decide_what_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Turn the key twice.\n")
    settings = CollectSettings(quality=QualitySettings(min_chars=100))
    (outcome,) = collect(scan(str(tmp_path)), settings)
    assert (outcome.fate, outcome.reason) == ("dropped", "too short")


def test_many_files_come_out_in_the_order_of_the_scan(folder: Path) -> None:
    outcomes = list(collect(scan(str(folder)), SETTINGS, num_processes=2))
    assert [each.path for each in outcomes] == [f"{number}.md" for number in range(9)]
    assert {each.fate for each in outcomes} == {"kept"}


def test_processes_change_nothing_about_the_outcome(folder: Path) -> None:
    def in_this_process(files: list[Scanned]) -> list[Collected]:
        return [outcome for file in files for outcome in collect([file], SETTINGS)]

    files = list(scan(str(folder)))
    assert list(collect(files, SETTINGS, num_processes=1)) == in_this_process(files)


def test_file_that_kills_its_reader_takes_nothing_with_it(folder: Path) -> None:
    files = list(scan(str(folder)))
    files[4] = deadly(files[4])
    outcomes = list(collect(files, SETTINGS, num_processes=1))
    assert [each.path for each in outcomes] == [f"{number}.md" for number in range(9)]
    assert [each.path for each in outcomes if each.fate != "kept"] == ["4.md"]
    assert (outcomes[4].fate, outcomes[4].reason) == ("failed", "crashes its reader")


def test_one_file_that_kills_its_reader_leaves_this_process_alive(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    (outcome,) = collect([deadly(file) for file in scan(str(tmp_path))], SETTINGS)
    assert (outcome.fate, outcome.reason) == ("failed", "crashes its reader")


def zipped(name: str) -> bytes:
    """An archive with one empty member."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(name, "")
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manual", b"%PDF-1.7"),
        ("manual.txt", b"\n\n%PDF-1.7"),
        ("manual.md", zipped("word/document.xml")),
        ("page.txt", b"<!DOCTYPE html><p>Doors</p>"),
        ("feed.txt", b"<?xml version='1.0'?><rss/>"),
        ("long.txt", b"." * (SMALL_BYTES + 1)),
    ],
)
def test_what_is_no_plain_text_is_not_read_here_whatever_its_name(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    (outcome,) = collect([deadly(file) for file in scan(str(tmp_path))], SETTINGS)
    assert (outcome.fate, outcome.reason) == ("failed", "crashes its reader")


@pytest.mark.parametrize(
    "step", ["extract", "clean", "detect_language", "assess", "find", "split", "fingerprint"]
)
def test_error_that_nobody_foresaw_ends_its_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def broken(first: Any, *rest: Any) -> Any:
        if "wrong" in repr(first):  # no word that the hex digits of an id can make
            raise RecursionError
        return works(first, *rest)

    works = getattr(pipeline, step)
    monkeypatch.setattr(pipeline, step, broken)
    for name in ("sound", "wrong"):
        (tmp_path / f"{name}.md").write_text(f"# {name}\n\nThis chapter is a {name} one.\n")
    sound, wrong = collect(scan(str(tmp_path)), SETTINGS)
    told = (wrong.fate, wrong.reason, wrong.passages)
    assert told == ("failed", "cannot be read: RecursionError", ())
    assert wrong.sha256 and sound.fate == "kept"


def test_document_id_follows_source_and_path_alone() -> None:
    assert document_id("/a", "b.md") == document_id("/a", "b.md")
    ids = {document_id("/a", "b.md"), document_id("/a", "c.md"), document_id("/ab", ".md")}
    assert len(ids) == 3


WAITING = """
import os, time
from flywheel.collect import pipeline
with pipeline._pool(1) as pool:
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 60).result()
"""


@pytest.fixture
def collecting() -> Any:
    """A process whose worker is busy for a minute; ended with its session at last."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    with process:
        yield process
        process.kill()


def test_worker_ends_with_a_killed_parent(collecting: subprocess.Popen[str]) -> None:
    assert collecting.stdout is not None
    worker = int(collecting.stdout.readline())
    collecting.kill()
    assert _is_gone(worker)


def test_interrupt_ends_the_work_at_once_and_workers_are_silent(
    collecting: subprocess.Popen[str],
) -> None:
    assert collecting.stdout is not None and collecting.stderr is not None
    worker = int(collecting.stdout.readline())
    os.killpg(collecting.pid, signal.SIGINT)
    _, told = collecting.communicate(timeout=20)
    assert _is_gone(worker)
    assert told.count("Traceback") == 1, "the caller's own"


def _is_gone(pid: int) -> bool:
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        state = Path(f"/proc/{pid}/stat")
        if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False
