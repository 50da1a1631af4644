"""Sources of every kind, and hostile archives: a reason in the list, never an error."""

from __future__ import annotations

import io
import os
import pickle
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flywheel.collect import fetch
from flywheel.collect.read import Archive, File, ReadSettings, Scanned, Unreadable, scan
from flywheel.errors import ExtractError, SourceError


def rows(source: Path | str, **limits: int) -> list[Scanned]:
    return list(scan(str(source), ReadSettings(**limits)))  # type: ignore[arg-type]


def reasons(found: list[Scanned]) -> dict[str, str]:
    return {row.path: row.reason for row in found if isinstance(row, Unreadable)}


def contents(found: list[Scanned]) -> dict[str, bytes]:
    return {row.path: row.read() for row in found if isinstance(row, File)}


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: dict[str, bytes], mode: str) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000
            archive.addfile(info, io.BytesIO(data))
    return path


def test_folder_is_listed_in_the_order_of_names_without_what_is_ignored(tmp_path: Path) -> None:
    for name in ("b.md", "a/c.md", ".git/config", "~$letter.docx", "node_modules/x.md", "手册.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    found = rows(tmp_path)
    assert [row.path for row in found] == ["a/c.md", "b.md", "手册.md"]
    assert all(isinstance(row, File) and row.source == str(tmp_path) for row in found)
    assert all(row.size == 4 and row.modified > 0 for row in found)


def test_ignore_patterns_are_those_of_gitignore(tmp_path: Path) -> None:
    for name in ("keep.md", "drafts/a.md", "x.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    found = scan(str(tmp_path), ReadSettings(ignore=("drafts/", "*.log")))
    assert [row.path for row in found] == ["keep.md"]


def test_single_file_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"text")
    assert contents(rows(tmp_path / "a.md")) == {"a.md": b"text"}


def test_file_travels_to_another_process(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"text")
    (row,) = rows(tmp_path)
    copy = pickle.loads(pickle.dumps(row))
    assert isinstance(copy, File) and copy.read() == b"text"


def test_missing_and_empty_sources_say_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file or folder"):
        rows(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="holds no files"):
        rows(tmp_path)


def test_what_cannot_be_read_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.md").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.md").write_text("text")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "empty.md").touch()
    (tmp_path / "large.md").write_bytes(b"x" * (1 << 20) + b"x")
    os.mkfifo(tmp_path / "pipe.md")
    assert reasons(rows(tmp_path, max_file_mb=1)) == {
        "broken.md": "broken link",
        "loop": "link to a folder: not followed",
        "empty.md": "empty",
        "large.md": "too large",
        "pipe.md": "not a regular file",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("text")
    (tmp_path / "secret.md").chmod(0)
    assert reasons(rows(tmp_path)) == {"secret.md": "no permission to read"}


def test_file_that_goes_after_the_scan_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("text")
    (row,) = rows(tmp_path)
    (tmp_path / "a.md").unlink()
    with pytest.raises(ExtractError, match="gone since the scan"):
        assert isinstance(row, File)
        row.read()


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [("tar", "w"), ("tar.gz", "w:gz"), ("tgz", "w:gz"), ("tar.bz2", "w:bz2"), ("tar.xz", "w:xz")],
)
def test_tar_members_are_files_of_their_own(tmp_path: Path, suffix: str, mode: str) -> None:
    path = make_tar(tmp_path / f"m.{suffix}", {"a.md": b"one", "b/c.md": b"two"}, mode)
    found = rows(path)
    assert isinstance(found[0], Archive) and found[0].num_members == 2
    assert contents(found) == {f"{path.name}!/a.md": b"one", f"{path.name}!/b/c.md": b"two"}
    backwards = [row.read() for row in reversed(found) if isinstance(row, File)]
    assert backwards == [b"two", b"one"]


def test_zip_members_named_in_chinese_windows_are_readable(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "m.zip", {"aaaa.md": b"text"})
    path.write_bytes(path.read_bytes().replace(b"aaaa", "手册".encode("gb18030")))
    assert contents(rows(path)) == {"m.zip!/手册.md": b"text"}


def test_members_that_are_no_plain_files_have_reasons(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "m.tar", "w") as archive:
        link = tarfile.TarInfo("link.md")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
        for name in ("../escape.md", "/absolute.md", "inner.zip", "ok.md", "empty.md"):
            info = tarfile.TarInfo(name)
            info.size = 0 if name == "empty.md" else 4
            archive.addfile(info, io.BytesIO(b"text"))
    found = rows(tmp_path / "m.tar")
    assert reasons(found) == {
        "m.tar!/link.md": "not a regular file",
        "m.tar!/../escape.md": "path leads out of the archive",
        "m.tar!//absolute.md": "path leads out of the archive",
        "m.tar!/inner.zip": "archive inside an archive: unpack it first",
        "m.tar!/empty.md": "empty",
    }
    assert contents(found) == {"m.tar!/ok.md": b"text"}


def test_encrypted_zip_member_has_a_reason(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "m.zip", {"a.md": b"text"})
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)
    assert reasons(rows(path)) == {"m.zip!/a.md": "encrypted archive member"}


@pytest.mark.parametrize("name", ["bomb.zip", "bomb.tar.gz", "bomb.tar.xz"])
def test_bomb_is_refused(tmp_path: Path, name: str) -> None:
    members = {"a.txt": b"\0" * (3 << 20)}
    if name.endswith(".zip"):
        make_zip(tmp_path / name, members)
    else:
        make_tar(tmp_path / name, members | {"b.txt": b"x"}, "w:" + name.rpartition(".")[2])
    assert reasons(rows(tmp_path, max_archive_mb=1)) == {name: "archive too large when unpacked"}


def test_damaged_archive_does_not_stop_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 this is none")
    (tmp_path / "b.tar.gz").write_bytes(b"neither is this")
    (tmp_path / "c.md").write_text("text")
    found = rows(tmp_path)
    assert reasons(found) == {"a.zip": "corrupt archive", "b.tar.gz": "corrupt archive"}
    assert contents(found) == {"c.md": b"text"}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_to_an_archive_raises_anything_but_a_reason(
    tmp_path: Path, data: st.DataObject
) -> None:
    suffix, mode = data.draw(
        st.sampled_from([("zip", ""), ("tar", "w"), ("tar.gz", "w:gz"), ("tar.xz", "w:xz")])
    )
    path = tmp_path / f"m.{suffix}"
    members = {"a.md": b"one" * 50, "b/手册.md": "二".encode() * 90}
    if suffix == "zip":
        make_zip(path, members)
    else:
        make_tar(path, members, mode)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(1, len(raw)))])
    for row in rows(path, max_archive_mb=1):
        if isinstance(row, File):
            try:
                row.read()
            except ExtractError as error:
                assert str(error)


Pages = dict[str, tuple[int, dict[str, str], bytes]]
"""By path the status, the headers and the body."""


@contextmanager
def serving(pages: Pages) -> Iterator[str]:
    """A web server on a loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = pages.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_page_that_the_owner_names_is_read_even_on_a_private_host() -> None:
    headers = {
        "content-type": "text/html; charset=utf-8",
        "last-modified": "Wed, 21 Oct 2015 07:28:00 GMT",
    }
    pages = {
        "/old": (302, {"location": "/manual.html"}, b""),
        "/manual.html": (200, headers, b"<p>text</p>"),
    }
    with serving(pages) as address:
        (row,) = rows(f"{address}/old")
    assert isinstance(row, File)
    assert (row.path, row.read(), row.modified) == ("manual.html", b"<p>text</p>", 1445412480.0)
    assert row.media_type == "text/html"
    assert row.source == f"{address}/old"


def test_page_that_is_not_there_is_named() -> None:
    with serving({}) as address, pytest.raises(SourceError, match="answers with 404"):
        rows(f"{address}/none")


def test_page_may_not_be_larger_than_a_file() -> None:
    pages: Pages = {"/": (200, {}, b"x" * (2 << 20))}
    with serving(pages) as address, pytest.raises(SourceError, match="too large"):
        rows(f"{address}/", max_file_mb=1)


def test_page_may_not_lead_away_from_the_web() -> None:
    pages = {"/": (302, {"location": "file:///etc/hostname"}, b"")}
    with serving(pages) as address, pytest.raises(SourceError):
        rows(f"{address}/")


def test_public_page_may_not_lead_to_a_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def public_name(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        address = "93.184.216.34" if host == "public.example" else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", public_name)
    assert not fetch._is_private_host("http://public.example/")
    assert fetch._is_private_host("http://intranet.example/")


def test_redirect_from_a_public_page_to_a_private_one_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetch, "_is_private_host", lambda url: url.endswith("/intranet"))
    monkeypatch.setattr(fetch, "_check_peer", lambda response: None)
    pages = {"/": (302, {"location": "/intranet"}, b""), "/intranet": (200, {}, b"secret")}
    with serving(pages) as address, pytest.raises(SourceError, match="private address"):
        rows(f"{address}/")


def test_public_name_that_turns_out_to_be_private_when_connected_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetch, "_is_private_host", lambda url: False)
    with (
        serving({"/": (200, {}, b"secret")}) as address,
        pytest.raises(SourceError, match="private address"),
    ):
        rows(f"{address}/")


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("169.254.169.254", True),
        ("::1", True),
        ("::ffff:192.168.0.1", True),
        ("fe80::1%eth0", True),
        ("93.184.216.34", False),
        ("2606:2800:220:1:248:1893:25c8:1946", False),
    ],
)
def test_private_addresses_are_known(address: str, private: bool) -> None:
    assert fetch._is_private(address) is private


def test_folder_that_lies_deeper_than_pythons_stack_is_read(tmp_path: Path) -> None:
    folders = [tmp_path / "d"]
    while len(folders) < 1100:
        folders.append(folders[-1] / "d")
    for folder in folders:
        folder.mkdir()
    leaf = folders[-1] / "leaf.md"
    leaf.write_text("text")
    assert [row.path for row in rows(tmp_path)] == ["d/" * 1100 + "leaf.md"]
    leaf.unlink()
    for folder in reversed(folders):  # shutil.rmtree recurses
        folder.rmdir()


def test_link_that_no_file_system_could_hold_is_a_broken_link(tmp_path: Path) -> None:
    (tmp_path / "link.md").symlink_to("a" * 300)
    (tmp_path / "loop.md").symlink_to("loop.md")
    assert reasons(rows(tmp_path)) == {"link.md": "broken link", "loop.md": "broken link"}


def test_names_in_another_encoding_stay_apart(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    try:
        Path(os.fsdecode(folder)).mkdir()
    except OSError as error:
        pytest.skip(f"this file system takes UTF-8 names alone: {error}")
    for name in (b"/th\xe9.md", b"/th\xe8.md"):
        Path(os.fsdecode(folder + name)).write_text("text")
    found = rows(os.fsdecode(folder))
    assert {(row.source, row.path) for row in found} == {
        (f"{tmp_path}/caf\\xe9", "th\\xe8.md"),
        (f"{tmp_path}/caf\\xe9", "th\\xe9.md"),
    }
    assert set(contents(found).values()) == {b"text"}
