"""Archives as folders of files, without unpacking anything to the disk.

Treated as hostile: names that climb out, encrypted members, links, bombs and cut files become
reasons in a list, and nothing is read beyond the limits. One archive stays open per process,
because members are read in the order in which they were listed: so a compressed tar is unpacked
once, not once per member. Archives inside archives are named, not opened.
"""

from __future__ import annotations

import atexit
import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, cast

from flywheel.errors import ExtractError

ZIP_SUFFIXES = (".zip",)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_NESTED = (*ZIP_SUFFIXES, *TAR_SUFFIXES, ".7z", ".rar")

_LAST_TIME = float(1 << 35)
"""About the year 3058: later times, infinities and NaN come from damaged headers."""

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    KeyError,
    IndexError,
    OverflowError,
    UnicodeError,
)
"""What the standard library raises on damaged archives; fuzzing finds each of these."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One file of an archive, or the reason why it gives none.

    `key` is the name as the archive spells it; `offset` is where a tar keeps the bytes.
    """

    name: str
    size: int
    modified: float
    key: str = ""
    offset: int = 0
    reason: str = ""


def is_archive(path: str) -> bool:
    """By its name: Office files and e-books are zip files too, and are documents here."""
    return path.lower().endswith((*ZIP_SUFFIXES, *TAR_SUFFIXES))


def members(path: Path, max_bytes: int) -> Iterator[Member]:
    """The files of an archive, in its order.

    Raises:
        ExtractError: it is damaged, or larger than `max_bytes` when unpacked.
    """
    try:
        if path.name.lower().endswith(ZIP_SUFFIXES):
            yield from _zip_members(path, max_bytes)
        else:
            yield from _tar_members(path, max_bytes)
    except PermissionError as error:
        raise ExtractError("no permission to read") from error
    except _BROKEN as error:
        raise ExtractError("corrupt archive") from error


def read_member(path: Path, key: str, offset: int, size: int) -> bytes:
    """The bytes of one member.

    Raises:
        ExtractError: the archive is damaged at this place, or gone.
    """
    try:
        archive = _OPEN.get(path)
        if isinstance(archive, zipfile.ZipFile):
            with archive.open(key) as member:
                data = member.read(size + 1)
        else:
            archive.seek(offset)
            data = archive.read(size)
    except _BROKEN as error:
        raise ExtractError("corrupt archive member") from error
    if len(data) != size:
        raise ExtractError("corrupt archive member")
    return data


def _zip_members(path: Path, max_bytes: int) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        if sum(info.file_size for info in infos) > max_bytes:
            raise ExtractError("archive too large when unpacked")
        for info in infos:
            name = _name(_zip_name(info))
            reason = _zip_refusal(info) or _refusal(name)
            yield Member(
                name=name,
                size=info.file_size,
                modified=_zip_time(info),
                key=info.filename,
                reason=reason,
            )


def _zip_refusal(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 0x1:
        return "encrypted archive member"
    return "not a regular file" if stat.S_ISLNK(info.external_attr >> 16) else ""


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Undoes the standard library's guess of code page 437 for names not marked as UTF-8."""
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    try:
        raw = info.filename.encode("cp437")
    except UnicodeEncodeError:
        return info.filename
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename


def _zip_time(info: zipfile.ZipInfo) -> float:
    try:
        return datetime(*info.date_time, tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _tar_members(path: Path, max_bytes: int) -> Iterator[Member]:
    with (
        _decompressed(path) as stream,
        tarfile.open(fileobj=cast("IO[bytes]", _Capped(stream, max_bytes)), mode="r:") as archive,
    ):
        for info in archive:
            if info.isdir():
                continue
            name = _name(info.name)
            reason = "" if info.isreg() and not info.issparse() else "not a regular file"
            yield Member(
                name=name,
                size=info.size,
                modified=float(info.mtime) if 0 <= info.mtime < _LAST_TIME else 0.0,
                key=info.name,
                offset=info.offset_data,
                reason=reason or _refusal(name),
            )


def _name(name: str) -> str:
    name = name.encode("utf-8", "replace").decode("utf-8")
    return name.replace("\\", "/").removeprefix("./")


def _refusal(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":" or not path.name:
        return "path leads out of the archive"
    if name.lower().endswith(_NESTED):
        return "archive inside an archive: unpack it first"
    return ""


def _decompressed(path: Path) -> IO[bytes]:
    name = path.name.lower()
    if name.endswith((".gz", ".tgz")):
        return cast("IO[bytes]", gzip.open(path))
    if name.endswith((".bz2", ".tbz2")):
        return cast("IO[bytes]", bz2.open(path))
    if name.endswith((".xz", ".txz")):
        return cast("IO[bytes]", lzma.open(path))
    return path.open("rb")


class _Capped:
    """A stream that refuses to go on past a number of unpacked bytes: the guard against bombs."""

    def __init__(self, stream: IO[bytes], max_bytes: int) -> None:
        self._stream, self._max_bytes = stream, max_bytes

    def read(self, size: int = -1) -> bytes:
        self._check(self._stream.tell() + max(size, 0))
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._check(offset)
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def _check(self, position: int) -> None:
        if position > self._max_bytes:
            raise ExtractError("archive too large when unpacked")


class _OpenArchive:
    """The one archive that this process has open, reopened when the file on the disk changes."""

    def __init__(self) -> None:
        self._key: tuple[str, int, int] | None = None
        self._archive: zipfile.ZipFile | IO[bytes] | None = None

    def get(self, path: Path) -> zipfile.ZipFile | IO[bytes]:
        stat = path.stat()
        key = (str(path), stat.st_mtime_ns, stat.st_size)
        if self._archive is None or key != self._key:
            self.close()
            is_zip = path.name.lower().endswith(ZIP_SUFFIXES)
            self._archive = zipfile.ZipFile(path) if is_zip else _decompressed(path)
            self._key = key
        return self._archive

    def close(self) -> None:
        if self._archive is not None:
            self._archive.close()
        self._archive = self._key = None


_OPEN = _OpenArchive()
atexit.register(_OPEN.close)
