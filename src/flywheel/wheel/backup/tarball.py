"""A .tar.gz of plain files, written whole and read with suspicion.

Any tar reads what is written here. What is read may be of anybody's making: only plain files pass,
headers have a bounded size, and nothing is put anywhere. Links, folders, devices, sparse files and
whatever else a tar can hold are refused, since no backup has them.

Not here: which names there may be, and what they mean (backup.py, unpacking.py).
"""

from __future__ import annotations

import gzip
import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from flywheel.errors import SourceError

_BLOCK = 512
_CHUNK = 1 << 20
_LEVEL = 3
"""Of gzip."""
_MAX_EXTENDED = 1 << 16
"""Bytes of an extended header: a name, and a size that the plain one cannot hold."""
_DIGITS = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """What is known of one file."""

    size: int
    sha256: str


class Writer:
    """Writes a tarball into an open file, one member after the other."""

    def __init__(self, file: BinaryIO) -> None:
        self._stream = gzip.GzipFile("", "wb", _LEVEL, file, mtime=0)
        self.members: dict[str, Member] = {}

    def add(self, name: str, size: int, source: BinaryIO) -> Member:
        """Adds a member of so many bytes.

        Raises:
            EOFError: the source has fewer. What is written is no tarball then.
        """
        digest, left = hashlib.sha256(), size
        self._stream.write(_header(name, size))
        while left:
            chunk = source.read(min(_CHUNK, left))
            if not chunk:
                raise EOFError(name)
            digest.update(chunk)
            self._stream.write(chunk)
            left -= len(chunk)
        self._stream.write(bytes(-size % _BLOCK))
        member = Member(size=size, sha256=digest.hexdigest())
        self.members[name] = member
        return member

    def close(self) -> None:
        """Writes the end; the file stays open."""
        self._stream.write(bytes(2 * _BLOCK))
        self._stream.close()


class Entry:
    """One member as it is read: its name, its size, and its bytes, once and in order."""

    def __init__(self, name: str, size: int, stream: gzip.GzipFile) -> None:
        self.name, self.size = name, size
        self._stream, self._left = stream, size

    def chunks(self) -> Iterator[bytes]:
        """What was not read yet.

        Raises:
            SourceError: the tarball is damaged or cut short.
        """
        while self._left:
            chunk = _read(self._stream, min(_CHUNK, self._left))
            self._left -= len(chunk)
            yield chunk


def entries(file: BinaryIO) -> Iterator[Entry]:
    """The members of a tarball, in its order. Each is used before the next one is asked for.

    Raises:
        SourceError: it is damaged or cut short, or holds what is no plain file.
    """
    with gzip.GzipFile(fileobj=file, mode="rb") as stream:
        while any(block := _read(stream, _BLOCK)):
            header = _parsed(block)
            name, size = header.name, header.size
            if header.type == tarfile.XHDTYPE:
                name, size, header = _extended(stream, header.size)
            if header.type != tarfile.REGTYPE or size < 0:
                raise SourceError(f"{name[:100]!r} is no plain file")
            entry = Entry(name, size, stream)
            yield entry
            for _ in entry.chunks():
                pass
            _read(stream, -size % _BLOCK)
        if any(_read(stream, _BLOCK)) or _read(stream, 1, or_less=True):
            raise SourceError("it goes on after its end")


def _extended(stream: gzip.GzipFile, size: int) -> tuple[str, int, tarfile.TarInfo]:
    """A name or a size that a plain header cannot hold, and that header."""
    if not 0 < size <= _MAX_EXTENDED:
        raise SourceError("a header is too long")
    told = _records(_read(stream, size))
    _read(stream, -size % _BLOCK)
    header = _parsed(_read(stream, _BLOCK))
    length = told.get("size", str(header.size))
    if told.keys() - {"path", "size"} or not _DIGITS.fullmatch(length):
        raise SourceError("a header says what no backup has to say")
    return told.get("path", header.name), int(length), header


def _records(data: bytes) -> dict[str, str]:
    """What an extended header says: `LENGTH NAME=VALUE`, each ending with a line."""
    found = {}
    while data:
        length = data.partition(b" ")[0].decode("ascii", "replace")
        if not _DIGITS.fullmatch(length) or not len(length) + 1 < int(length) <= len(data):
            raise SourceError("a header is damaged")
        record, data = data[len(length) + 1 : int(length)], data[int(length) :]
        name, _, value = record.removesuffix(b"\n").partition(b"=")
        found[_text(name)] = _text(value)
    return found


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise SourceError("a name is not in UTF-8") from error


def _parsed(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise SourceError("a header is damaged") from error


def _read(stream: gzip.GzipFile, size: int, *, or_less: bool = False) -> bytes:
    try:
        data = stream.read(size)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SourceError("it is damaged, or was cut short") from error
    if len(data) != size and not or_less:
        raise SourceError("it was cut short")
    return data


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.PAX_FORMAT)
