"""Uploads: sources of the workspace's own, which fetch nothing, hurt nothing and can be erased."""

from __future__ import annotations

import io
import socket
import stat
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from flywheel.errors import SourceError, StoreError, UsageError
from flywheel.store import redaction
from flywheel.store.documents import StagedDocument
from flywheel.store.jobs import AddArguments
from flywheel.wheel import incoming, ingest, jobs, uploads
from flywheel.wheel.erasure.erase import erase
from flywheel.wheel.incoming import Incoming
from flywheel.wheel.workspace import UPLOADS, Workspace

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

DOORS = "# Doors\n\nEvery door opens from inside by pulling the handle twice.\n"
SECRET = "Bob Miller buried the golden teapot under the old oak tree in his garden."
DIARY = f"# Diary\n\n{SECRET}\n\n## Winter\n\n他在漫长的冬夜里最喜欢吃杏仁糖和烤栗子。\n"
PUBLIC = ("public",)


def keep(
    workspace: Workspace, files: dict[str, str | bytes], access: Sequence[str] = PUBLIC
) -> tuple[str, ...]:
    """Uploads files by their names."""
    every = []
    for name, content in files.items():
        every.append(Incoming(workspace, name))
        assert every[-1].write(content.encode() if isinstance(content, str) else content)
    return uploads.keep(workspace, every, access)


def fates(workspace: Workspace, access: Sequence[str] = PUBLIC) -> dict[str, str]:
    return {each.path: each.fate for each in uploads.add(workspace, access).files}


def documents(workspace: Workspace) -> dict[str, StagedDocument]:
    """What is staged, by path."""
    found = {}
    for each in uploads.list_documents(workspace, 1000):
        document = uploads.find(workspace, each.id)
        assert document is not None
        found[document.path] = document
    return found


def place(workspace: Workspace, name: str, access: Sequence[str] = PUBLIC) -> Path:
    return uploads.folder_of(workspace, uploads.source_of(access)) / name


def zipped(**members: str | bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        ([], ("public",)),
        (["hr", " hr ", "员工"], ("hr", "员工")),
        (["b", "a"], ("a", "b")),
    ],
)
def test_labels_are_lines_each_once(given: list[str], labels: tuple[str, ...]) -> None:
    assert uploads.labels_of(given) == labels


@pytest.mark.parametrize("given", [[""], [" "], ["a\nb"], ["\x00"], ["\ud800"], ["a" * 101]])
def test_label_that_is_no_line_is_refused(given: list[str]) -> None:
    with pytest.raises(UsageError, match="access label"):
        uploads.labels_of(given)


def test_too_many_labels_are_refused() -> None:
    with pytest.raises(UsageError, match="at most 100"):
        uploads.labels_of([f"label {number}" for number in range(101)])


def test_file_of_a_name_that_is_there_is_its_next_edition(blank: Domain) -> None:
    workspace = blank.workspace
    assert keep(workspace, {"doors.md": DOORS, "车门.md": DOORS}) == ("doors.md", "车门.md")
    assert fates(workspace) == {"doors.md": "kept", "车门.md": "duplicate"}
    before = documents(workspace)["doors.md"]
    assert fates(workspace) == {"doors.md": "unchanged", "车门.md": "unchanged"}
    keep(workspace, {"doors.md": DOORS.replace("twice", "three times")})
    assert fates(workspace)["doors.md"] == "kept"
    after = documents(workspace)["doors.md"]
    assert (before.id, before.sha256) == (after.id, before.sha256) != (after.id, after.sha256)


def test_files_of_one_name_under_other_labels_are_others(blank: Domain) -> None:
    workspace = blank.workspace
    keep(workspace, {"pay.md": DOORS}, ("hr",))
    keep(workspace, {"pay.md": DIARY}, ("board", "hr"))
    fates(workspace, ("hr",)), fates(workspace, ("board", "hr"))
    every = uploads.list_documents(workspace, 10)
    assert {each.access for each in every} == {("hr",), ("board", "hr")}
    assert len({each.file.source for each in every}) == 2
    assert [each.access for each in uploads.list_documents(workspace, 10, labels=("board",))] == [
        ("board", "hr")
    ]
    hidden = next(each.id for each in every if each.access == ("hr",))
    assert uploads.find(workspace, hidden, ("board",)) is None


def test_documents_are_listed_in_pages(blank: Domain) -> None:
    workspace = blank.workspace
    keep(workspace, {f"{name}.md": f"{DOORS} {name * 40}" for name in "abc字"})
    blank.write("a.md", DIARY)
    blank.add()
    fates(workspace)
    whole = [each.id for each in uploads.list_documents(workspace, 10)]
    pages: list[str] = []
    while page := uploads.list_documents(
        workspace, 2, uploads.find(workspace, pages[-1]) if pages else None
    ):
        pages += [each.id for each in page]
    assert pages == whole and len(whole) == 5


@pytest.mark.parametrize("id", ["", "x", "\x00", "a" * 21, "\ud800" * 20, "0" * 20])
def test_id_of_no_document_finds_none(blank: Domain, id: str) -> None:
    assert uploads.find(blank.workspace, id) is None


def test_uploads_are_documents_once(blank: Domain, tmp_path: Path) -> None:
    workspace = blank.workspace
    keep(workspace, {"doors.md": DOORS}, ("hr",))
    fates(workspace, ("hr",))
    file = place(workspace, "doors.md", ("hr",))
    link = tmp_path / "link"
    link.symlink_to(file.parent)
    for each in (workspace.root, workspace.root / UPLOADS, file.parent, file, link):
        with pytest.raises(SourceError, match="nothing but the workspace itself"):
            blank.add(each)
    assert [each.access for each in uploads.list_documents(workspace, 9)] == [("hr",)]


def test_documents_stay_the_same_where_the_workspace_is_moved(
    blank: Domain, tmp_path: Path
) -> None:
    keep(blank.workspace, {"doors.md": DOORS})
    fates(blank.workspace)
    before = documents(blank.workspace)
    blank.close()
    moved = blank.root.rename(tmp_path / "moved")
    with Workspace.open(moved) as workspace:
        assert fates(workspace) == {"doors.md": "unchanged"}
        assert documents(workspace) == before


def test_removed_files_act_with_the_next_add_however_many(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "MAX_CLEARED", 1)
    workspace = blank.workspace
    names = [f"{number}.md" for number in range(3)]
    keep(workspace, {name: f"{DOORS} {name * 20}" for name in names})
    fates(workspace)
    for each in documents(workspace).values():
        uploads.remove(workspace, each)
        uploads.remove(workspace, each)
    added = uploads.add(workspace, PUBLIC)
    assert (added.files, added.num_deleted) == ((), len(names))
    assert documents(workspace) == {}


def test_folder_that_is_gone_deletes_nothing(blank: Domain) -> None:
    workspace = blank.workspace
    keep(workspace, {"doors.md": DOORS})
    fates(workspace)
    place(workspace, "doors.md").parent.rename(workspace.root / "elsewhere")
    with pytest.raises(SourceError):
        uploads.add(workspace, PUBLIC)
    assert documents(workspace).keys() == {"doors.md"}


def test_only_whole_uploads_are_removed(blank: Domain) -> None:
    workspace = blank.workspace
    keep(workspace, {"all.zip": zipped(**{"doors.md": DOORS})})
    fates(workspace)
    own = blank.write("notes.md", DIARY)
    blank.add()
    staged = documents(workspace)
    with pytest.raises(UsageError, match="part of an archive"):
        uploads.remove(workspace, staged["all.zip!/doors.md"])
    with pytest.raises(UsageError, match="not uploaded"):
        uploads.remove(workspace, staged["notes.md"])
    assert own.exists() and place(workspace, "all.zip").exists()
    uploads.remove(workspace, staged["all.zip"])
    fates(workspace)
    assert documents(workspace).keys() == {"notes.md"}


def holding(root: Path, *texts: str) -> list[Path]:
    files = [each for each in root.rglob("*") if each.is_file()]
    return [each for each in files if any(text.encode() in each.read_bytes() for text in texts)]


def test_erased_upload_is_gone_from_the_disk_and_from_every_version(domain: Domain) -> None:
    workspace = domain.workspace
    names = keep(workspace, {"Bob's diary.md": DIARY, "garden.md": DOORS})
    job = jobs.submit(workspace, AddArguments(access=PUBLIC, files=names))
    fates(workspace)
    domain.turn()
    assert "golden teapot" in domain.found("What is buried under the old oak tree?")
    file = place(workspace, "Bob's diary.md")

    erased = erase(workspace, "source", f"{uploads.source_of(PUBLIC)}/Bob's diary.md")

    assert not file.exists() and place(workspace, "garden.md").exists()
    assert erased.proof.num_pieces >= 2 and erased.version is not None
    assert not any("not touched" in note for note in erased.notes)
    assert holding(workspace.root, "golden teapot", "杏仁糖", "Bob's diary") == []
    with workspace.database.read() as conn:
        for table in redaction.every_table():
            assert not any("Bob's diary" in text for text in redaction.rows(conn, table))
    left = jobs.get(workspace, job.id)
    assert left is not None and left.arguments == AddArguments(access=PUBLIC)
    assert "golden teapot" not in domain.found("What is buried under the old oak tree?")

    keep(workspace, {"Bob's diary.md": DIARY})
    assert fates(workspace)["Bob's diary.md"] == "kept", "one that comes in again was meant to"


def test_erase_takes_the_path_where_an_upload_lies(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = blank.workspace
    keep(workspace, {"diary.md": DIARY, "doors.md": DOORS})
    keep(workspace, {"diary.md": DIARY}, ("hr",))
    fates(workspace), fates(workspace, ("hr",))
    monkeypatch.chdir(place(workspace, "").parent)
    erase(workspace, "source", f"{place(workspace, '').name}/diary.md")
    assert documents(workspace).keys() == {"doors.md", "diary.md"}
    assert not place(workspace, "diary.md").exists()
    erase(workspace, "source", str(place(workspace, "", ("hr",))))
    assert not place(workspace, "diary.md", ("hr",)).exists()
    assert holding(workspace.root, "golden teapot") == []
    keep(workspace, {"diary.md": DIARY})
    assert fates(workspace)["diary.md"] == "kept"


def test_part_of_an_uploaded_archive_is_erased_only_where_it_no_longer_stands(
    blank: Domain,
) -> None:
    workspace = blank.workspace
    keep(workspace, {"all.zip": zipped(**{"diary.md": DIARY, "doors.md": DOORS})})
    fates(workspace)
    part = f"{uploads.source_of(PUBLIC)}/all.zip!/diary.md"
    with pytest.raises(UsageError, match=r"all\.zip still holds it"):
        erase(workspace, "source", part)
    assert "all.zip!/diary.md" in documents(workspace)
    keep(workspace, {"all.zip": zipped(**{"doors.md": DOORS})})
    fates(workspace)
    erase(workspace, "source", part)
    assert documents(workspace).keys() == {"all.zip", "all.zip!/doors.md"}
    erase(workspace, "source", f"{uploads.source_of(PUBLIC)}/all.zip")
    assert documents(workspace) == {}
    assert not place(workspace, "all.zip").exists()


def test_proof_looks_into_what_uploads_left_behind(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = blank.workspace
    keep(workspace, {"diary.md": DIARY})
    fates(workspace)
    half = Incoming(workspace, "diary.md")
    assert half.write(DIARY.encode())
    name = f"{uploads.source_of(PUBLIC)}/diary.md"
    with pytest.raises(StoreError, match="Erased text still stands in"):
        erase(workspace, "source", name)
    monkeypatch.setattr(incoming, "LEFTOVER_SECONDS", -1)
    assert erase(workspace, "source", name).proof.found == ()
    assert holding(workspace.root, "golden teapot") == []
    half.discard()


def test_what_another_upload_says_too_stays(blank: Domain) -> None:
    workspace = blank.workspace
    keep(workspace, {"diary.md": DIARY, "copy.md": f"{DOORS}\n{SECRET}\n"})
    fates(workspace)
    erase(workspace, "source", f"{uploads.source_of(PUBLIC)}/diary.md")
    assert place(workspace, "copy.md").exists()


def hostile_tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, kind, target in (
            ("../../escaped.md", tarfile.REGTYPE, ""),
            ("passwd.md", tarfile.SYMTYPE, "/etc/passwd"),
            ("hosts.md", tarfile.LNKTYPE, "/etc/hosts"),
            ("null.md", tarfile.CHRTYPE, ""),
            ("doors.md", tarfile.REGTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = len(DOORS.encode()) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(DOORS.encode()))
    return file.getvalue()


def hostile_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("../../escaped.md", "/etc/escaped.md", "C:\\escaped.md", "inner.zip"):
            archive.writestr(name, DIARY)
        link = zipfile.ZipInfo("link.md")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("车门.md", "# 车门\n\n每扇车门都可以从里面拉两次把手打开。\n")
    return file.getvalue()


def test_hostile_archives_are_set_aside_with_their_reasons(blank: Domain) -> None:
    blank.configure("[read]\nmax_archive_mb = 1\n")
    workspace = blank.workspace
    tar_bomb = io.BytesIO()
    with tarfile.open(fileobj=tar_bomb, mode="w:xz") as archive:
        info = tarfile.TarInfo("zeros.md")
        info.size = 3 << 20
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    before = {each for each in blank.root.parent.rglob("*") if UPLOADS not in each.parts}
    keep(
        workspace,
        {
            "hostile.zip": hostile_zip(),
            "hostile.tar.gz": hostile_tar(),
            "bomb.zip": zipped(**{"zeros.md": bytes(3 << 20)}),
            "bomb.tar.xz": tar_bomb.getvalue(),
            "cut.zip": zipped(**{"doors.md": DOORS})[:40],
            "no.tar": b"\x00" * 10_000,
        },
    )
    found = {each.path: (each.fate, each.reason) for each in uploads.add(workspace, PUBLIC).files}
    out, irregular = "path leads out of the archive", "not a regular file"
    for name in ("../../escaped.md", "/etc/escaped.md", "C:/escaped.md"):
        assert found[f"hostile.zip!/{name}"] == ("failed", out)
    assert found["hostile.zip!/inner.zip"][1].startswith("archive inside an archive")
    assert found["hostile.zip!/link.md"] == ("failed", irregular)
    assert found["hostile.zip!/车门.md"][0] == "kept"
    assert found["hostile.tar.gz!/../../escaped.md"] == ("failed", out)
    for name in ("passwd.md", "hosts.md", "null.md"):
        assert found[f"hostile.tar.gz!/{name}"] == ("failed", irregular)
    assert found["hostile.tar.gz!/doors.md"][0] == "kept"
    for name in ("bomb.zip", "bomb.tar.xz"):
        assert found[name] == ("failed", "archive too large when unpacked")
    assert found["cut.zip"] == ("failed", "corrupt archive")
    after = {each for each in blank.root.parent.rglob("*") if UPLOADS not in each.parts}
    assert {each.name for each in after - before} <= {"flywheel.lock"}


@contextmanager
def listening() -> Iterator[tuple[str, list[bytes]]]:
    """An address, and what comes in there."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                connection, _ = server.accept()
                with connection:
                    said = connection.recv(1000)
                if said == b"end":
                    return
                heard.append(said)

        thread = Thread(target=listen)
        thread.start()
        port = server.getsockname()[1]
        yield f"http://127.0.0.1:{port}", heard
        with socket.create_connection(("127.0.0.1", port)) as last:
            last.sendall(b"end")
        thread.join()


def test_uploads_fetch_nothing(blank: Domain) -> None:
    workspace = blank.workspace
    with listening() as (address, heard):
        pages: dict[str, str | bytes] = {
            f"{address}/name.md": DOORS,
            "link.url": f"[InternetShortcut]\nURL={address}/url\n",
            "source.txt": f"{address}/source\n",
            "page.html": (
                f'<html><head><meta http-equiv="refresh" content="0;url={address}/refresh">'
                f'<base href="{address}/"><link rel="stylesheet" href="{address}/css">'
                f'<script src="{address}/js"></script></head><body><p>{DOORS}</p>'
                f'<img src="{address}/img"><iframe src="{address}/frame"></iframe></body></html>'
            ),
            "notes.md": f"# Doors\n\n![door]({address}/image) [more]({address}/more)\n\n{DOORS}",
            "entity.xml": (
                f'<?xml version="1.0"?><!DOCTYPE a SYSTEM "{address}/dtd" '
                f'[<!ENTITY b SYSTEM "{address}/entity">]><a>&b; {DOORS}</a>'
            ),
            "drawing.svg": (
                f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{address}/svg"/>'
                f"<text>{DOORS}</text></svg>"
            ),
            "letter.docx": zipped(
                **{
                    "[Content_Types].xml": f'<!DOCTYPE a SYSTEM "{address}/types"><Types/>',
                    "word/document.xml": (
                        f'<!DOCTYPE a [<!ENTITY b SYSTEM "{address}/word">]>'
                        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml'
                        f'/2006/main"><w:body><w:p><w:r><w:t>&b; {DOORS}</w:t></w:r></w:p>'
                        "</w:body></w:document>"
                    ),
                    "word/_rels/document.xml.rels": (
                        f'<Relationships><Relationship Id="r" Target="{address}/template" '
                        'TargetMode="External"/></Relationships>'
                    ),
                }
            ),
            "all.zip": zipped(**{f"{address}/member.md": DOORS, "http:/x.md": DOORS}),
        }
        keep(workspace, pages)
        found = fates(workspace)
    assert heard == []
    assert {each.rpartition(" - ")[2] for each in found} >= {"name.md", "link.url", "page.html"}
    assert not any(
        each.file.source.startswith("http") for each in uploads.list_documents(workspace, 100)
    )


def test_file_that_links_out_of_the_uploads_is_not_made(blank: Domain) -> None:
    """An upload over a link replaces the link, and writes nothing behind it."""
    workspace = blank.workspace
    outside = blank.write("outside.md", "untouched")
    keep(workspace, {"a.md": DOORS})
    file = place(workspace, "a.md")
    file.unlink()
    file.symlink_to(outside)
    keep(workspace, {"a.md": DIARY})
    assert outside.read_text() == "untouched"
    assert not file.is_symlink() and file.read_text() == DIARY
