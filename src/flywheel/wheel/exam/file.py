"""The workspace's exam file, line by line: read as it lies, and one line changed at a time.

It is the owner's own file, so that all other lines stay as he wrote them, to the byte. A new state
of it is written beside it and renamed. Not here: who may read a question, and what it must hold
(exam/questions.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flywheel.errors import FlywheelError, UsageError
from flywheel.evaluate.exam import read_exam
from flywheel.records import ExamQuestion
from flywheel.wheel.incoming import explained, sync
from flywheel.wheel.settings import ExamSettings

if TYPE_CHECKING:
    from flywheel.wheel.workspace import Workspace

_MARK = b"\xef\xbb\xbf"
_MAX_KEPT = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class ExamLine:
    """A line of the file."""

    question: ExamQuestion
    place: int
    """Its place among the file's lines, from 0."""
    digest: str
    """Of the line as it is written: whoever changes it says which he saw."""


class Changed(FlywheelError):
    """A line is not the one that was seen."""


_read: dict[tuple[Path, int, int, int], tuple[ExamLine, ...]] = {}
"""The latest states of files, since checking a thousand lines takes longer than a page may."""


def path_of(workspace: Workspace) -> Path:
    """Where the file is, or would be."""
    return workspace.root / workspace.settings.exam.file


def lines(workspace: Workspace) -> tuple[ExamLine, ...]:
    """Every question of the file; none where there is no file.

    Raises:
        FileFormatError: a line is not valid.
        SourceError: the file holds no question, or cannot be read.
    """
    path = path_of(workspace)
    try:
        found = path.stat()
    except OSError:
        return ()
    state = (path, found.st_mtime_ns, found.st_size, found.st_ino)
    if state not in _read:
        while len(_read) >= _MAX_KEPT:
            _read.pop(next(iter(_read)), None)
        _read[state] = _lines(path)
    return _read[state]


def put(workspace: Workspace, question: ExamQuestion, at: ExamLine | None) -> None:
    """Writes a question: in the place of a line, or behind the last one.

    Raises:
        Changed: the file was changed since, and the line is another one.
        StoreError: the disk does not take it.
    """
    path = path_of(workspace)
    parts = _parts(path) if path.is_file() else [b""]
    if at is None:
        line = _written(question, {})
        # Behind the last line, whether or not that one has an end.
        parts[-1:] = [*filter(bytes.strip, parts[-1:]), line, b""]
    else:
        _check(parts, at)
        before = parts[at.place]
        mark = _MARK if before.startswith(_MARK) else b""
        end = b"\r" if before.endswith(b"\r") else b""
        known = json.loads(before.removeprefix(_MARK))
        parts[at.place] = mark + _written(question, known) + end
    _replace(path, b"\n".join(parts))


def remove(workspace: Workspace, at: ExamLine) -> None:
    """Takes a line out of the file; the last one goes with the file, so that the workspace has an
    exam made from its documents again.

    Raises:
        Changed: the file was changed since, and the line is another one.
        UsageError: it is the last one of a file that the settings name.
        StoreError: the disk does not take it.
    """
    path = path_of(workspace)
    parts = _parts(path)
    _check(parts, at)
    if sum(bool(each.removeprefix(_MARK).strip()) for each in parts) > 1:
        mark = _MARK if parts[at.place].startswith(_MARK) else b""
        del parts[at.place]
        _replace(path, mark + b"\n".join(parts))
        return
    if workspace.settings.exam.file != ExamSettings().file:
        raise UsageError(
            f"This is the last question of {path}, which [exam] file in flywheel.toml names. Take "
            "the name out first."
        )
    with explained(path):
        path.unlink()
        sync(path.parent)


def data_of(question: ExamQuestion) -> dict[str, Any]:
    """A question as a line of an exam file has it."""
    said = {
        "id": question.id,
        "question": question.question,
        "answer": question.answer,
        "evidence": list(question.evidence) or None,
        "answerable": None if question.answerable else False,
        "tags": list(question.tags) or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _lines(path: Path) -> tuple[ExamLine, ...]:
    questions = read_exam(path)
    told = zip(questions, _places(path.read_bytes()), strict=True)
    return tuple(
        ExamLine(question=question, place=place, digest=_digest(line))
        for question, (place, line) in told
    )


def _places(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines that hold anything, as `read_exam` sees them."""
    for place, line in enumerate(data.removeprefix(_MARK).split(b"\n")):
        if line.strip():
            yield place, line.strip()


def _check(parts: list[bytes], at: ExamLine) -> None:
    """Lets a line pass that is still the one that was seen: an editor knows nothing of locks."""
    held = parts[at.place : at.place + 1]
    if not held or _digest(held[0].removeprefix(_MARK).strip()) != at.digest:
        raise Changed


def _parts(path: Path) -> list[bytes]:
    with explained(path):
        return path.read_bytes().split(b"\n")


def _digest(line: bytes) -> str:
    return hashlib.blake2b(line, digest_size=12).hexdigest()


def _written(question: ExamQuestion, known: dict[str, Any]) -> bytes:
    """The question as a line, its keys in the order of the line before."""
    said = data_of(question) | ({"id": known["id"]} if "id" in known else {})
    ordered = {name: said[name] for name in known if name in said} | said
    return json.dumps(ordered, ensure_ascii=False).encode()


def _replace(path: Path, data: bytes) -> None:
    """Lets the file hold this from now on, or, whatever happens, what it held before."""
    place = Path(os.path.realpath(path))  # a link stays one
    part = place.with_name(f".{place.name}.part")
    with explained(place):
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if place.exists():
            shutil.copymode(place, part)
        part.replace(place)
        sync(place.parent)
