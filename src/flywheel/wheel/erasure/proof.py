"""The proof of an erasure: what was erased stands nowhere any more.

Looked for sentence by sentence, as bytes in every file that the workspace keeps, as text in every
row of every table and in every passage of every index, and by asking. A sentence that stands in a
document or an act that stays was not only the erased one's, and is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flywheel.records import to_json
from flywheel.search.index import every_text
from flywheel.store import redaction, versions
from flywheel.store.erasures import TargetKind
from flywheel.store.tables import (
    corrections,
    documents,
    exam_items,
    feedback,
    interactions,
    passages,
)
from flywheel.wheel import uploads

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from flywheel.wheel.workspace import Workspace

PENDING = "erasing"
"""The folder under the artifacts that holds the texts until the proof is done."""

MIN_BYTES = {"user": 12, "interaction": 12, "source": 24}
"""Shorter sentences are everybody's: four Chinese characters of a user, eight of a document."""
MAX_CHARS = 200
MAX_PIECES = 50_000
NUM_ASKED = 20

_SENTENCE = re.compile(r"[\n\r。！？；]+|(?<=[.!?;])\s+")
_CHUNK = 4 << 20
_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")
_HASH = np.uint64(0x9E3779B97F4A7C15)
_BITS = 22


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What was looked for, and where it was found."""

    num_pieces: int
    """Sentences that stood nowhere but in what was erased."""
    num_files: int
    found: tuple[str, ...]
    """Files, tables and indexes that still hold one; empty where the erasure is complete."""


class Needles:
    """Many texts, looked for at once; as bytes of any encoding that a file may have."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self.pieces = frozenset(pieces)
        self._at: dict[int, list[tuple[bytes, str]]] = {}
        for piece in self.pieces:
            for needle in _encoded(piece):
                middle = len(needle) // 2 - 4
                anchor = int.from_bytes(needle[middle : middle + 8], "little")
                self._at.setdefault(anchor, []).append((needle, piece))
        anchors = np.fromiter(self._at, np.uint64, len(self._at))
        self._may_be = np.zeros(1 << _BITS, dtype=np.bool_)
        self._may_be[_hashed(anchors)] = True
        self.longest = max((len(each) for pair in self._at.values() for each, _ in pair), default=0)

    def found_in(self, data: bytes) -> set[str]:
        """Those that stand in the data."""
        found: set[str] = set()
        for shift in range(min(8, len(data) - 7) if self._at else 0):
            words = np.frombuffer(data, "<u8", (len(data) - shift) // 8, shift)
            for word in np.unique(words[self._may_be[_hashed(words)]]).tolist():
                pairs = self._at.get(word, ())
                found |= {piece for needle, piece in pairs if piece not in found and needle in data}
        return found

    def found_in_texts(self, texts: Iterable[str]) -> set[str]:
        """Those that stand in any of the texts."""
        found: set[str] = set()
        for chunk in _joined(texts):
            found |= self.found_in(chunk)
        return found

    def found_in_file(self, path: Path) -> set[str]:
        """Those that stand in a file, whatever it is."""
        found: set[str] = set()
        rest = b""
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                found |= self.found_in(rest + chunk)
                rest = (rest + chunk)[-self.longest :] if self.longest else b""
        return found

    def without(self, pieces: Collection[str]) -> Needles:
        """The others."""
        return Needles(self.pieces - set(pieces)) if pieces else self


def pieces(texts: Iterable[str], min_bytes: int) -> set[str]:
    """The sentences of texts, long ones in parts."""
    found: set[str] = set()
    for text in texts:
        for sentence in _SENTENCE.split(text):
            num_parts = -(-len(sentence) // MAX_CHARS) or 1
            size = -(-len(sentence) // num_parts) or 1
            parts = (sentence[at : at + size].strip() for at in range(0, len(sentence), size))
            found |= {part for part in parts if len(_bytes(part)) >= min_bytes}
    if len(found) <= MAX_PIECES:
        return found
    step = len(found) / MAX_PIECES
    ordered = sorted(found)
    return {ordered[int(place * step)] for place in range(MAX_PIECES)}


def prove(
    workspace: Workspace, texts: Iterable[str], kind: TargetKind, taken: Collection[str]
) -> Proof:
    """Looks for erased texts wherever the workspace keeps anything.

    Args:
        kind: for a source's texts only documents are a place where they may stand; for a user's,
            what others said as well.
        taken: the ids of the rows that were erased, whose texts must be gone.
    """
    needles = Needles(pieces(texts, MIN_BYTES[kind]))
    with workspace.database.read() as conn:
        needles = without_others(conn, needles, kind, taken)
        if kind != "source":
            for folder in _indexes(workspace):
                needles = needles.without(needles.found_in_texts(every_text(folder)))
        found = [f"table {name}" for name in _in_tables(conn, needles)]
        left_over = list(uploads.of_nobody(workspace, conn))
    files = [*workspace.database.files(), *_artifact_files(workspace), *left_over]
    found += [str(path) for path in files if _holds(path, needles)]
    found += [
        f"index {folder}"
        for folder in _indexes(workspace)
        if needles.found_in_texts(every_text(folder))
    ]
    found += _by_asking(workspace, needles, taken)
    return Proof(num_pieces=len(needles.pieces), num_files=len(files), found=tuple(found))


def without_others(
    conn: Connection, needles: Needles, kind: TargetKind, taken: Collection[str]
) -> Needles:
    """Those that do not stand in what stays and may hold them: a user's name in the id of what
    he said, since ids stay."""
    needles = needles.without(needles.found_in_texts(taken))
    # A question that stays is the asker's own; an act on its answer repeats it.
    asked = [question for id, question, _ in redaction.shown(conn) if id not in taken]
    needles = needles.without(needles.found_in_texts(asked))
    own: Sequence[Table] = (passages, documents)
    if kind != "source":
        own = (*own, feedback, corrections, interactions, exam_items)
    for table in own:
        texts = redaction.rows(conn, table, without=taken)
        needles = needles.without(needles.found_in_texts(texts))
    return needles


def _holds(path: Path, needles: Needles) -> bool:
    try:
        return bool(needles.found_in_file(path))
    except FileNotFoundError:  # an upload that has ended meanwhile
        return False


def _in_tables(conn: Connection, needles: Needles) -> Iterator[str]:
    for table in redaction.every_table():
        if needles.found_in_texts(redaction.rows(conn, table)):
            yield table.name
    if conn.dialect.name == "postgresql":
        samples = conn.exec_driver_sql(
            "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats "
            "WHERE schemaname = current_schema()"
        )
        if needles.found_in_texts(each for row in samples for each in row if each):
            yield "pg_stats"


def _artifact_files(workspace: Workspace) -> Iterator[Path]:
    root = workspace.artifacts.root
    pending = root / PENDING
    yield from (
        path for path in sorted(root.rglob("*")) if path.is_file() and pending not in path.parents
    )


def _indexes(workspace: Workspace) -> list[Path]:
    place = workspace.artifacts.root / "index"
    return [path.parent for path in sorted(place.glob("[!.]*/manifest.json"))]


def _by_asking(workspace: Workspace, needles: Needles, taken: Collection[str]) -> Iterator[str]:
    """Whether a question in the erased words is answered with them."""
    with workspace.database.read() as conn:
        if versions.champion(conn) is None:
            return
    for piece in sorted(needles.pieces, key=lambda each: (-len(each), each))[:NUM_ASKED]:
        # What was erased is sent to nobody.
        answer, version = workspace.answer(piece, quoting_only=True)
        shown = json.dumps(to_json(replace(answer, question="")), ensure_ascii=False)
        if answer.correction in taken or needles.found_in(_bytes(shown)):
            yield f"an answer of version {version.number}"


def _encoded(piece: str) -> set[bytes]:
    """The bytes of a text as itself and as a string in JSON."""
    escaped = (json.dumps(piece, ensure_ascii=ascii)[1:-1] for ascii in (False, True))
    plain = {piece.encode(encoding, "backslashreplace") for encoding in _ENCODINGS}
    return plain | {_bytes(each) for each in escaped}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _hashed(
    words: np.ndarray[tuple[int], np.dtype[np.uint64]],
) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return (words * _HASH) >> np.uint64(64 - _BITS)


def _joined(texts: Iterable[str]) -> Iterator[bytes]:
    chunk = bytearray()
    for text in texts:
        chunk += _bytes(text) + b"\0"
        if len(chunk) >= _CHUNK:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
