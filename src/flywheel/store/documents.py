"""Documents and their passages: values ↔ rows, on the connection that the caller holds.

A document stays listed whatever its fate; a deleted one stays too, as a tombstone.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Protocol

from sqlalchemy import (
    BindParameter,
    Connection,
    Row,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    intersect,
    select,
    tuple_,
    update,
)

from flywheel.records import PUBLIC, Fate, Language, Passage
from flywheel.store import state
from flywheel.store.engines import dump_json
from flywheel.store.groups import MAX_IDS, in_groups
from flywheel.store.tables import documents, passages

AnyRow = Row[*tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedDocument:
    """What collecting found out about one file, without its text. Also of files that gave none."""

    id: str
    source: str
    path: str
    title: str
    language: Language
    fate: Fate
    added_at: str
    """UTC, ISO 8601."""
    date: str = ""
    modified: float = 0.0
    access: tuple[str, ...] = (PUBLIC,)
    size: int = 0
    """Bytes of the file."""
    sha256: str = ""
    """Of the file."""
    reason: str = ""
    other: str = ""
    """The id of the document that won over a duplicate or superseded one."""
    num_passages: int = 0
    """Set by the store."""
    quality: dict[str, float] = field(default_factory=dict)
    findings: dict[str, int] = field(default_factory=dict)
    """Personal data: how many of each kind."""
    text_hash: str = ""
    num_shingles: int = 0
    signature: bytes = b""
    deleted_at: str | None = None
    revision: int = 0
    """Set by the store: grows with every change of content, fate, access or deletion."""


class Stamp(NamedTuple):
    """What tells whether a file is still the one that was staged."""

    size: int
    modified: float
    sha256: str
    fate: Fate


class Verdict(Protocol):
    """What deduplication decided on a document."""

    @property
    def fate(self) -> Fate: ...
    @property
    def reason(self) -> str: ...
    @property
    def other(self) -> str: ...


_CHANGE = "documents_change"

_COLUMNS = [documents.c[each.name] for each in fields(StagedDocument)]
_CONTENT = ("sha256", "text_hash", "passages_hash", "path", "fate", "access", "deleted_at")
"""A document with another value in one of these has another revision."""

_shown = and_(documents.c.fate == "kept", documents.c.deleted_at.is_(None))


def put(conn: Connection, document: StagedDocument, its_passages: Sequence[Passage]) -> None:
    """Stages a document, in place of the one with its id and that one's passages."""
    put_all(conn, [(document, its_passages)])


def put_all(conn: Connection, staged: Iterable[tuple[StagedDocument, Sequence[Passage]]]) -> None:
    """Stages many documents, each once; four times as quick as one by one."""
    for group in in_groups(staged):
        ids = [document.id for document, _ in group]
        earlier = {row.id: row for row in conn.execute(_earlier(ids))}
        conn.execute(delete(documents).where(documents.c.id.in_(ids)))  # and their passages
        rows = [_document_row(*each, earlier.get(each[0].id)) for each in group]
        conn.execute(insert(documents), rows)
        passage_rows = [_passage_row(passage) for _, each in group for passage in each]
        if passage_rows:
            conn.execute(insert(passages), passage_rows)
    mark_changed(conn)


def mark_changed(conn: Connection) -> None:
    """Lets `change` give another mark; all that changes documents does."""
    state.put(conn, _CHANGE, uuid.uuid4().hex)


def change(conn: Connection) -> str:
    """Another mark than before, where anything about any document was written since."""
    return state.get(conn, _CHANGE) or ""


def list_documents(
    conn: Connection, *, deleted: bool = False, after: tuple[str, str] | None = None
) -> Iterator[StagedDocument]:
    """Every document by source and path, the deleted ones only if asked for.

    Streams: use it while the connection is open.

    Args:
        after: goes on behind this source and path.
    """
    query = select(*_COLUMNS).execution_options(yield_per=1000)
    if not deleted:
        query = query.where(documents.c.deleted_at.is_(None))
    if after:
        query = query.where(tuple_(documents.c.source, documents.c.path) > after)
    for row in conn.execute(query.order_by(documents.c.source, documents.c.path)):
        yield _staged(row)


def get_all(conn: Connection, ids: Iterable[str]) -> dict[str, StagedDocument]:
    """The documents of these ids, the deleted ones too, by id."""
    found: dict[str, StagedDocument] = {}
    for group in in_groups(ids):
        for row in conn.execute(select(*_COLUMNS).where(documents.c.id.in_(group))):
            found[row.id] = _staged(row)
    return found


def with_members(conn: Connection, document: StagedDocument) -> list[str]:
    """The ids of a document and, where it is an archive, of its members that are not deleted."""
    columns = documents.c
    is_part = columns.path.startswith(f"{document.path}!/", autoescape=True)
    query = select(columns.id).where(
        columns.source == document.source, columns.deleted_at.is_(None)
    )
    return list(conn.scalars(query.where((columns.path == document.path) | is_part)))


def stamps(conn: Connection, source: str) -> dict[str, Stamp]:
    """The stamp of each path of a source, deleted documents left out."""
    columns = documents.c
    query = select(columns.path, columns.size, columns.modified, columns.sha256, columns.fate)
    rows = conn.execute(query.where(columns.source == source, columns.deleted_at.is_(None)))
    return {path: Stamp(*stamp) for path, *stamp in rows}


def mark_deleted(conn: Connection, ids: Iterable[str], at: str) -> None:
    """Deletes documents at a time (UTC, ISO 8601); those deleted before keep their time."""
    for group in in_groups(ids):
        conn.execute(
            update(documents)
            .where(documents.c.id.in_(group), documents.c.deleted_at.is_(None))
            .values(deleted_at=at, revision=documents.c.revision + 1)
        )
    mark_changed(conn)


def set_fates(conn: Connection, verdicts: Mapping[str, Verdict]) -> None:
    """Writes what deduplication decided, by document id."""
    new_fate: BindParameter[str] = bindparam("new_fate")
    statement = (
        update(documents)
        .where(documents.c.id == bindparam("of"))
        .values(
            fate=new_fate,
            reason=bindparam("new_reason"),
            other=bindparam("new_other"),
            revision=documents.c.revision + case((documents.c.fate != new_fate, 1), else_=0),
        )
    )
    rows = [
        {"of": id, "new_fate": each.fate, "new_reason": each.reason, "new_other": each.other}
        for id, each in verdicts.items()
    ]
    if rows:
        conn.execute(statement, rows)
        mark_changed(conn)


def set_access(conn: Connection, ids: Iterable[str], labels: Sequence[str]) -> None:
    """Changes who may read these documents, for queries from now on."""
    differs = cast(documents.c.access, Text) != dump_json(list(labels))
    for group in in_groups(ids):
        conn.execute(
            update(documents)
            .where(documents.c.id.in_(group), differs)
            .values(access=list(labels), access_changed=True, revision=documents.c.revision + 1)
        )
    mark_changed(conn)


def iterate_passages(conn: Connection, batch: int = 2000) -> Iterator[Passage]:
    """The passages of kept documents by path and position, with the documents' current access.

    Streams about `batch` passages at a time: use it while the connection is open.
    """
    columns = documents.c
    query = select(columns.id, columns.path, columns.access, columns.num_passages).where(_shown)
    rows = conn.execute(query.order_by(columns.path, columns.id)).all()
    for group in _groups_of_passages(rows, batch):
        yield from _passages_of(conn, group)


def passages_with(
    conn: Connection, texts: Iterable[Sequence[str]], *, in_one: bool
) -> Iterator[Passage]:
    """All passages of the kept documents that hold all words of one of the texts.

    Args:
        texts: words without signs, the rarest first; case is not looked at.
        in_one: one passage holds the words, or else the document does anywhere.
    """
    ids: set[str] = set()
    for words in texts:
        held = [passages.c.text.ilike(f"%{word}%") for word in words]
        every = [and_(*held)] if in_one else held
        ids |= set(
            conn.scalars(intersect(*(select(passages.c.document).where(each) for each in every)))
        )
    columns = documents.c
    for group in in_groups(sorted(ids)):
        query = select(columns.id, columns.path, columns.access).where(
            columns.id.in_(group), _shown
        )
        yield from _passages_of(conn, list(conn.execute(query)))


def passages_digest(conn: Connection) -> str:
    """A hash of what `iterate_passages` gives, without reading the passages."""
    columns = documents.c
    query = select(columns.id, columns.path, columns.access, columns.passages_hash).where(_shown)
    rows = [list(row) for row in conn.execute(query.order_by(columns.id))]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def digest_of(its_passages: Iterable[Passage]) -> str:
    """The same hash of passages that come from elsewhere, in any order.

    So an index that is made from another one has the key that the turn would give it.
    """
    by_document: dict[str, list[Passage]] = {}
    for each in its_passages:
        by_document.setdefault(each.document, []).append(each)
    rows = []
    for id, own in sorted(by_document.items()):
        own.sort(key=lambda each: each.position)
        rows.append([id, own[0].path, list(own[0].access), _hash(own)])
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def shown(conn: Connection) -> set[str]:
    """The ids of the documents whose passages `iterate_passages` gives."""
    return set(conn.scalars(select(documents.c.id).where(_shown)))


def hidden(conn: Connection) -> set[str]:
    """The ids of deleted documents, which no version may show."""
    query = select(documents.c.id).where(documents.c.deleted_at.is_not(None))
    return set(conn.scalars(query))


def access_of(conn: Connection) -> dict[str, tuple[str, ...]]:
    """The current labels of documents whose labels have ever changed.

    An older version's index may hold other labels for these, and for these only.
    """
    query = select(documents.c.id, documents.c.access).where(documents.c.access_changed)
    return {row.id: tuple(row.access) for row in conn.execute(query)}


def access_of_passages(conn: Connection, ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Who may read these passages' documents now, by passage; those that are gone are left out."""
    found: dict[str, tuple[str, ...]] = {}
    query = select(passages.c.id, documents.c.access).join_from(passages, documents)
    for group in in_groups(ids):
        for row in conn.execute(query.where(passages.c.id.in_(group))):
            found[row.id] = tuple(row.access)
    return found


def labels(conn: Connection) -> set[str]:
    """Every access label that a document carries."""
    # PostgreSQL compares no JSON.
    query = select(cast(documents.c.access, Text)).distinct()
    return {label for access in conn.scalars(query) for label in json.loads(access)}


def num_passages(conn: Connection) -> int:
    """How many passages `iterate_passages` gives."""
    return (
        conn.scalar(select(func.coalesce(func.sum(documents.c.num_passages), 0)).where(_shown)) or 0
    )


def _staged(row: AnyRow) -> StagedDocument:
    values = dict(row._mapping)
    return StagedDocument(**{**values, "access": tuple(values["access"])})


def _earlier(ids: list[str]) -> Any:
    columns = [documents.c[name] for name in ("id", "revision", "access_changed", *_CONTENT)]
    return select(*columns).where(documents.c.id.in_(ids))


def _document_row(
    document: StagedDocument, its_passages: Sequence[Passage], earlier: AnyRow | None
) -> dict[str, Any]:
    row = {each.name: getattr(document, each.name) for each in fields(document)}
    row["access"] = list(document.access)
    row["num_passages"] = len(its_passages)
    row["passages_hash"] = _hash(its_passages)
    row["revision"], row["access_changed"] = 1, False
    if earlier is not None:
        changed = any(row[name] != getattr(earlier, name) for name in _CONTENT)
        row["revision"] = earlier.revision + changed
        row["access_changed"] = earlier.access_changed or row["access"] != earlier.access
    return row


def _passage_row(passage: Passage) -> dict[str, Any]:
    return {
        "id": passage.id,
        "document": passage.document,
        "position": passage.position,
        "title": passage.title,
        "headings": passage.headings,
        "text": passage.text,
        "language": passage.language,
    }


def _hash(its_passages: Sequence[Passage]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for each in its_passages:
        content = (each.id, each.position, each.title, each.headings, each.text, each.language)
        digest.update(json.dumps(content).encode())
    return digest.hexdigest()


def _passages_of(conn: Connection, group: list[AnyRow]) -> Iterator[Passage]:
    owners = {row.id: (place, row) for place, row in enumerate(group)}
    query = select(passages).where(passages.c.document.in_(list(owners)))
    rows = conn.execute(query).all()
    for row in sorted(rows, key=lambda row: (owners[row.document][0], row.position)):
        owner = owners[row.document][1]
        yield Passage(
            id=row.id,
            document=row.document,
            title=row.title,
            headings=tuple(row.headings),
            text=row.text,
            language=row.language,
            position=row.position,
            path=owner.path,
            access=tuple(owner.access),
        )


def _groups_of_passages(rows: Iterable[AnyRow], batch: int) -> Iterator[list[AnyRow]]:
    """Documents in groups that have about `batch` passages together."""
    group: list[AnyRow] = []
    size = 0
    for row in rows:
        group.append(row)
        size += row.num_passages
        if size >= batch or len(group) == MAX_IDS:
            yield group
            group, size = [], 0
    if group:
        yield group
