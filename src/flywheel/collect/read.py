"""What a source holds: files of a folder, members of archives, a named page.

`scan` only lists; the bytes are read by `File.read`, in whichever process needs them. What
cannot be read is listed beside the rest with its reason. Nothing here looks into the bytes:
that is `extract`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import Field

from flywheel.collect import archive
from flywheel.errors import ExtractError, SourceError
from flywheel.records import StageSettings

if TYPE_CHECKING:
    import pathspec

_MIB = 1 << 20
_LINK = "link to a folder: not followed"


class ReadSettings(StageSettings):
    """What is read from the sources, and the limits that keep hostile files harmless."""

    ignore: tuple[str, ...] = (
        ".*",
        "~$*",
        "*~",
        "*.tmp",
        "*.bak",
        "*.pyc",
        "Thumbs.db",
        "desktop.ini",
        "__pycache__/",
        "__MACOSX/",
        "node_modules/",
    )
    """Files and folders to leave out, as patterns like those of .gitignore."""
    max_file_mb: int = Field(default=200, ge=1)
    """A larger file is set aside as `too large` (MiB)."""
    max_archive_mb: int = Field(default=2000, ge=1)
    """An archive that unpacks to more is set aside (MiB)."""
    fetch_timeout_seconds: float = Field(default=30, gt=0)
    """How long a page named by its address may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One file to extract; small and picklable, the bytes stay where they are until `read`.

    `location` is the local path of the file, or of the archive whose `member` this is, or the
    page's address. `path` names the file within its source.
    """

    source: str
    path: str
    size: int
    modified: float
    location: str
    member: str = ""
    offset: int = 0
    media_type: str = ""
    """What the server said that a page is; empty for files."""
    content: bytes | None = field(default=None, repr=False)
    """A page's bytes, fetched with the scan, since its name alone does not tell what it is."""

    def read(self) -> bytes:
        """The bytes.

        Raises:
            ExtractError: no permission, gone since the scan, or damaged.
        """
        if self.content is not None:
            return self.content
        if self.member:
            return archive.read_member(Path(self.location), self.member, self.offset, self.size)
        try:
            return Path(self.location).read_bytes()
        except OSError as error:
            raise ExtractError(_os_reason(error)) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """An archive whose members follow, each as a file of its own."""

    source: str
    path: str
    size: int
    modified: float
    num_members: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """A file that gives no bytes, with the reason."""

    source: str
    path: str
    reason: str
    size: int = 0
    modified: float = 0.0
    hides: str | None = None
    """Of a closed folder or archive: paths that begin so may be there or not, nobody can tell."""


Scanned = File | Archive | Unreadable


def scan(source: str, settings: ReadSettings | None = None) -> Iterator[Scanned]:
    """Everything in `source`: a file, a folder (in the order of names), an archive, a page.

    An archive comes before its members, which are named `manual.zip!/chapter.md`.

    Raises:
        SourceError: there is no such source, or nothing in it.
    """
    settings = settings or ReadSettings()
    if source.startswith(("http://", "https://")):
        yield _page(source, settings)
        return
    root = absolute(source)
    if not os.path.lexists(root):
        raise SourceError(f"{source}: no such file or folder. Check the path.")
    if root.is_dir():
        yield from _folder(root, settings)
    else:
        yield from _local(root, printable(root.name), printable(root), settings)


def _folder(root: Path, settings: ReadSettings) -> Iterator[Scanned]:
    import pathspec

    ignored = pathspec.GitIgnoreSpec.from_lines(settings.ignore)
    is_empty = True
    for path, reason in _walk(root, ignored):
        is_empty = False
        name = _relative(path, root)
        if reason:
            hides = None if reason == _LINK else "" if path == root else f"{name}/"
            yield Unreadable(source=printable(root), path=name, reason=reason, hides=hides)
        else:
            yield from _local(path, name, printable(root), settings)
    if is_empty:
        raise SourceError(
            f"{root}: the folder holds no files. Put documents there, or name another."
        )


def _walk(root: Path, ignored: pathspec.GitIgnoreSpec) -> Iterator[tuple[Path, str]]:
    """Each file with an empty reason, each folder that stays closed with the reason."""
    waiting = [root]  # no recursion: folders may lie deeper than Python's stack
    while waiting:
        place = waiting.pop()
        name = _relative(place, root)
        is_folder = _is_folder(place)
        if place != root and ignored.match_file(f"{name}/" if is_folder else name):
            continue
        if not is_folder:
            yield place, ""
        elif place != root and place.is_symlink():
            yield place, _LINK
        else:
            try:
                waiting += sorted(place.iterdir(), key=lambda entry: entry.name, reverse=True)
            except OSError as error:
                yield place, _os_reason(error)


def _relative(path: Path, root: Path) -> str:
    return printable(path.relative_to(root) if path != root else path.name)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # no permission, or a link whose target no file system could hold
        return False


def absolute(source: str) -> Path:
    """The path that a user's words name. A `~name` of nobody's stays what it is."""
    try:
        return Path(source).expanduser().absolute()
    except RuntimeError:
        return Path(source).absolute()


def printable(path: Path | str) -> str:
    """A path with its bytes that are no text (another encoding) as `\\xe9`: two names stay two."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _local(path: Path, name: str, source: str, settings: ReadSettings) -> Iterator[Scanned]:
    try:
        info = path.stat()
    except OSError as error:
        is_link = path.is_symlink()
        yield Unreadable(
            source=source,
            path=name,
            reason="broken link" if is_link else _os_reason(error),
            hides=None if is_link else f"{name}/",
        )
        return
    if reason := _refusal(path, info, settings):
        yield Unreadable(
            source=source,
            path=name,
            reason=reason,
            size=info.st_size,
            modified=info.st_mtime,
            hides=f"{name}!/" if archive.is_archive(path.name) else None,
        )
        return
    file = File(
        source=source, path=name, size=info.st_size, modified=info.st_mtime, location=str(path)
    )
    if archive.is_archive(path.name):
        yield from _archive(file, settings)
    else:
        yield file


def _refusal(path: Path, info: os.stat_result, settings: ReadSettings) -> str:
    if not stat.S_ISREG(info.st_mode):
        return "not a regular file"
    if not os.access(path, os.R_OK):
        return "no permission to read"
    if info.st_size == 0:
        return "empty"
    if info.st_size > settings.max_file_mb * _MIB and not archive.is_archive(path.name):
        return "too large"
    return ""


def _archive(file: File, settings: ReadSettings) -> Iterator[Scanned]:
    """The archive's own row, then its members; a damaged one gives its reason and no members."""
    import pathspec

    ignored = pathspec.GitIgnoreSpec.from_lines(settings.ignore)
    try:
        found = [
            member
            for member in archive.members(Path(file.location), settings.max_archive_mb * _MIB)
            if member.reason or not ignored.match_file(member.name)
        ]
    except ExtractError as error:
        yield Unreadable(
            source=file.source,
            path=file.path,
            reason=str(error),
            size=file.size,
            modified=file.modified,
            hides=f"{file.path}!/",
        )
        return
    yield Archive(
        source=file.source,
        path=file.path,
        size=file.size,
        modified=file.modified,
        num_members=len(found),
    )
    for member in found:
        yield _member(file, member, settings)


def _member(file: File, member: archive.Member, settings: ReadSettings) -> Scanned:
    path = f"{file.path}!/{member.name}"
    reason = member.reason
    if not reason and member.size > settings.max_file_mb * _MIB:
        reason = "too large"
    if not reason and member.size == 0:
        reason = "empty"
    if reason:
        return Unreadable(
            source=file.source,
            path=path,
            reason=reason,
            size=member.size,
            modified=member.modified,
        )
    return File(
        source=file.source,
        path=path,
        size=member.size,
        modified=member.modified,
        location=file.location,
        member=member.key,
        offset=member.offset,
    )


def _page(url: str, settings: ReadSettings) -> Scanned:
    from flywheel.collect.fetch import fetch

    try:
        page = fetch(url, settings.max_file_mb * _MIB, settings.fetch_timeout_seconds)
    except ExtractError as error:
        raise SourceError(f"{url}: {error}. Check the address.") from error
    name = urlsplit(page.url).path.rpartition("/")[2] or "index.html"
    if archive.is_archive(name):
        reason = "archive at an address: download it and add the file"
        return Unreadable(source=url, path=name, reason=reason, size=len(page.data))
    return File(
        source=url,
        path=name,
        size=len(page.data),
        modified=page.modified,
        location=page.url,
        media_type=page.media_type,
        content=page.data,
    )


def _os_reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read"
    if isinstance(error, FileNotFoundError):
        return "gone since the scan"
    return f"not readable: {error.strerror or type(error).__name__}"
