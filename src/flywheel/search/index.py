"""One index: full text over title, headings and text, and vectors where a model is named.

Immutable once built: a new set of passages is a new index, so that a version answers the same
for ever. What must act at once (deleted documents, changed access) is a filter of each query.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from flywheel.records import PUBLIC, Hit, Passage
from flywheel.search.frequencies import Frequencies
from flywheel.search.recent import RecentPassages
from flywheel.search.terms import fold, grams, has_han, term_ids
from flywheel.search.vectors import TermVectors, VectorWriter

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa
    from lancedb import AsyncTable
    from lancedb.query import MatchQuery

K = TypeVar("K")
T = TypeVar("T")
V = TypeVar("V")

# Lance's own log speaks of folders that it creates; a user has no use for it.
os.environ.setdefault("LANCE_LOG", "error")

CODE_VERSION = 3
"""Part of an index's content hash: raise it when the same passages would be indexed otherwise."""

BATCH = 2_000
TABLE = "passages"
VECTOR_INDEX_FROM = 20_000
"""Passages from which a vector index pays; below it an exact scan is as quick."""


class Embedder(Protocol):
    """What the index needs of an embedding model (search/embed.py)."""

    @property
    def dimensions(self) -> int: ...

    def embed(
        self, texts: Sequence[str], kind: Literal["passage", "question"]
    ) -> npt.NDArray[Any]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Who asks: what may be seen, enforced inside the query."""

    access: tuple[str, ...] = (PUBLIC,)
    hidden: tuple[str, ...] = ()
    """Documents that must not show: deleted, or no longer readable by this reader."""
    widened: tuple[str, ...] = ()
    """Documents that this reader may read although the index was built before that."""

    def sees(self, passage: Passage) -> bool:
        """Whether this reader may see a passage; the same as `condition` says."""
        if passage.document in self.hidden:
            return False
        return passage.document in self.widened or not set(self.access).isdisjoint(passage.access)

    def condition(self) -> str:
        """The filter as SQL."""
        readable = f"array_has_any(access, [{_quoted(self.access)}])"
        if self.widened:
            readable = f"({readable} OR document IN ({_quoted(self.widened)}))"
        if self.hidden:
            readable += f" AND document NOT IN ({_quoted(self.hidden)})"
        return readable


def _quoted(values: Iterable[str]) -> str:
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


def searched_text(passage: Passage) -> str:
    """What a passage is found by: its title, headings and text, folded."""
    return fold("\n".join((passage.title, *passage.headings, passage.text)))


def build_index(
    folder: Path, passages: Iterable[Passage], embedder: Embedder | None = None
) -> Frequencies:
    """Writes the index of the passages into an empty folder, streaming.

    Returns:
        The passages' term frequencies, as saved beside the table.
    """
    import lancedb
    from lancedb.index import FTS, BTree

    frequencies = Frequencies.empty()
    schema = _schema(embedder.dimensions if embedder else None)
    vectors = VectorWriter()
    batches = _record_batches(passages, schema, embedder, frequencies, vectors)
    table = lancedb.connect(folder).create_table(TABLE, data=batches, schema=schema)
    table.create_index("body", config=FTS(base_tokenizer="icu", remove_stop_words=True))
    table.create_index(
        "grams", config=FTS(base_tokenizer="whitespace", stem=False, remove_stop_words=False)
    )
    if embedder and frequencies.num_passages >= VECTOR_INDEX_FROM:
        from lancedb.index import HnswSq

        table.create_index("vector", config=HnswSq(distance_type="dot"))
    table.create_index("id", config=BTree())
    frequencies.save(folder)
    vectors.save(folder)
    return frequencies


def _schema(dimensions: int | None) -> pa.Schema:
    import pyarrow as pa

    strings = pa.list_(pa.string())
    fields = [
        ("id", pa.string()),
        ("document", pa.string()),
        ("title", pa.string()),
        ("headings", strings),
        ("text", pa.string()),
        ("language", pa.string()),
        ("position", pa.int32()),
        ("path", pa.string()),
        ("access", strings),
        ("body", pa.string()),
        ("grams", pa.string()),
    ]
    if dimensions:
        fields.append(("vector", pa.list_(pa.float32(), dimensions)))
    return pa.schema(fields)


def _record_batches(
    passages: Iterable[Passage],
    schema: pa.Schema,
    embedder: Embedder | None,
    frequencies: Frequencies,
    vectors: VectorWriter,
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    stream = iter(passages)
    while batch := list(islice(stream, BATCH)):
        rows = [_row(passage) for passage in batch]
        for row in rows:
            terms = term_ids(row["body"])
            frequencies.add(terms)
            vectors.add(row["id"], terms)
        if embedder:
            embedded = embedder.embed([row["body"] for row in rows], "passage")
            for row, vector in zip(rows, embedded, strict=True):
                row["vector"] = vector
        yield pa.RecordBatch.from_pylist(rows, schema=schema)


def _row(passage: Passage) -> dict[str, Any]:
    body = searched_text(passage)
    return {
        "id": passage.id,
        "document": passage.document,
        "title": passage.title,
        "headings": list(passage.headings),
        "text": passage.text,
        "language": passage.language,
        "position": passage.position,
        "path": passage.path,
        "access": list(passage.access),
        "body": body,
        "grams": grams(body),
    }


_COLUMNS = ["id", "document", "title", "headings", "text", "language", "position", "path", "access"]


_Part = tuple[str, tuple[str, ...]]
"""The passages of a document that carry the same labels."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What decides which passages of an index a reader may see."""

    access: frozenset[tuple[str, ...]]
    """The different labels of passages."""
    documents: frozenset[str]
    parts: frozenset[_Part]

    def is_open_to(self, reader: Reader) -> bool:
        """Whether no passage is hidden from this reader."""
        readable = set(reader.access)
        return self.documents.isdisjoint(reader.hidden) and not any(
            readable.isdisjoint(labels) for labels in self.access
        )

    def hidden_from(self, reader: Reader) -> frozenset[_Part]:
        """What this reader may not see; the same as `Reader.sees` says."""
        readable, hidden, widened = set(reader.access), set(reader.hidden), set(reader.widened)
        closed = {labels for labels in self.access if readable.isdisjoint(labels)}
        return frozenset(
            (document, labels)
            for document, labels in self.parts
            if document in hidden or (labels in closed and document not in widened)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """How rare each term is among some passages, and these as vectors of it."""

    frequencies: Frequencies
    vectors: TermVectors


MOST_STATISTICS = 16
"""Of readers who see different documents; each takes a few bytes for each term that is hidden."""
MOST_READERS = 1_000
"""Readers of whom is remembered what is hidden from them."""


class PassageIndex:
    """An index opened for searching; cheap to open, safe to share between threads."""

    def __init__(self, folder: Path, embedder: Embedder | None = None) -> None:
        import lancedb

        self._table = lancedb.connect(folder).open_table(TABLE)
        self._asked = _await(_opened(folder))
        self._embedder = embedder if embedder and "vector" in self._table.schema.names else None
        # Without a way back to the index: what nobody holds any more goes at once, with its texts.
        self._recent = RecentPassages(partial(_read, self._asked))
        self.frequencies = Frequencies.load(folder)
        self.vectors = TermVectors(folder, self.frequencies)
        self.statistics = Statistics(self.frequencies, self.vectors)
        self._hidden: dict[Reader, frozenset[_Part]] = {}
        self._statistics: dict[frozenset[_Part], Statistics] = {}

    def of(self, reader: Reader) -> Statistics:
        """The statistics of what this reader may see, as if the index held nothing else: whether
        and how often a word stands in what is hidden from him would tell him of it."""
        if self._held.is_open_to(reader):
            return self.statistics
        hidden = remembered(self._hidden, reader, self._held.hidden_from, MOST_READERS)
        if not hidden:
            return self.statistics
        return remembered(self._statistics, hidden, self._without, MOST_STATISTICS)

    def _without(self, hidden: frozenset[_Part]) -> Statistics:
        left_out = [self.vectors.terms_of(id) for id, part in self._parts() if part in hidden]
        frequencies = self.frequencies.without(left_out)
        return Statistics(frequencies, self.vectors.weighed_by(frequencies))

    def _parts(self) -> Iterator[tuple[str, _Part]]:
        """Each passage's id, with what it is a part of."""
        for batch in self._scan(["id", "document", "access"]):
            ids, documents, access = (column.to_pylist() for column in batch.columns[:3])
            for id, document, labels in zip(ids, documents, access, strict=True):
                yield id, (document, tuple(labels))

    def search(self, question: str, reader: Reader, limit: int = 100) -> list[Hit]:
        """The passages that match, with a score for each field, in no particular order.

        Args:
            limit: how many to take from each field.
        """
        folded = fold(question)
        fields = [("words", _matching(folded, "body"))]
        if has_han(folded):
            fields.append(("characters", _matching(grams(folded), "grams")))
        # A filter that lets everything through would be asked of every row, by each field.
        condition = "" if self._held.is_open_to(reader) else reader.condition()
        tables = _await(self._matches([query for _, query in fields], condition, limit))
        scores: dict[int, dict[str, float]] = {}
        for (name, _), table in zip(fields, tables, strict=True):
            rows = table.column("_rowid").to_pylist()
            for row, score in zip(rows, table.column("_score").to_pylist(), strict=True):
                scores.setdefault(row, {})[name] = score
        passages = self._recent.of(list(scores))
        found = {passages[row].id: (passages[row], each) for row, each in scores.items()}
        if self._embedder:
            for near in self._nearest(folded, reader, limit):
                features = found.setdefault(near["id"], (_passage(near), {}))[1]
                features["similarity"] = 1 - near["_distance"]
        return [
            Hit(passage=passage, score=sum(features.values()), features=features)
            for passage, features in found.values()
        ]

    async def _matches(
        self, queries: Sequence[MatchQuery], condition: str, limit: int
    ) -> list[pa.Table]:
        """The rows that match each, with their scores. At once: Lance waits more than it works."""
        query = self._asked.query().select(["_score"]).with_row_id().limit(limit)
        if condition:
            query = query.where(condition)
        asked = [query.nearest_to_text(each).to_arrow() for each in queries]
        return await asyncio.gather(*asked)

    def _nearest(self, folded: str, reader: Reader, limit: int) -> list[dict[str, Any]]:
        """By meaning; the question is embedded as the passages were, folded."""
        assert self._embedder is not None
        vector = self._embedder.embed([folded], "question")[0]
        builder: Any = self._table.search(vector, vector_column_name="vector")
        builder = builder.distance_type("dot").refine_factor(5)
        builder = builder.where(reader.condition(), prefilter=True)
        rows: list[dict[str, Any]] = (
            builder.select([*_COLUMNS, "_distance"]).limit(limit).to_arrow().to_pylist()
        )
        return rows

    def fetch(self, ids: Sequence[str]) -> list[Passage]:
        """The passages of these ids, whoever may see them, ordered by id."""
        found: list[Passage] = []
        for start in range(0, len(ids), BATCH):
            condition = f"id IN ({_quoted(ids[start : start + BATCH])})"
            builder = self._table.search().where(condition).select(_COLUMNS).limit(BATCH)
            found.extend(map(_passage, builder.to_arrow().to_pylist()))
        return sorted(found, key=lambda each: each.id)

    def of_document(self, document: str) -> list[Passage]:
        """A document's passages in their order, whoever may see them."""
        builder = self._table.search().where(f"document IN ({_quoted([document])})")
        rows = builder.select(_COLUMNS).to_arrow().to_pylist()
        return sorted(map(_passage, rows), key=lambda each: each.position)

    def passages(self) -> Iterator[Passage]:
        """Every passage, in batches from the disk."""
        for batch in self._scan(_COLUMNS):
            for row in batch.to_pylist():
                yield _passage(row)

    @cached_property
    def everyone(self) -> Reader:
        """Who sees all that it holds."""
        return Reader(access=tuple(sorted(self.labels())))

    @cached_property
    def _held(self) -> _Held:
        parts = frozenset(part for _, part in self._parts())
        return _Held(
            access=frozenset(labels for _, labels in parts),
            documents=frozenset(document for document, _ in parts),
            parts=parts,
        )

    def labels(self) -> set[str]:
        """Every access label that a passage carries."""
        labels: set[str] = set()
        for batch in self._scan(["access"]):
            labels.update(batch.column("access").flatten().to_pylist())
        return labels

    def _scan(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        yield from self._table.search().select(columns).to_batches(BATCH)


def remembered(cache: dict[K, V], key: K, make: Callable[[K], V], most: int) -> V:
    """As `lru_cache`, which would hold an old version's questions until a collection."""
    value = cache.pop(key, None)
    value = make(key) if value is None else value
    cache[key] = value
    for oldest in list(cache)[:-most]:
        cache.pop(oldest, None)
    return value


def every_text(folder: Path) -> Iterator[str]:
    """All that an index can show of its passages, in every state that its table ever had."""
    import lancedb

    table = lancedb.connect(folder).open_table(TABLE)
    for version in table.list_versions():
        table.checkout(version["version"])
        for batch in table.search().select(["title", "path", "headings", "text"]).to_batches(BATCH):
            for row in batch.to_pylist():
                yield from (row["title"], row["path"], *row["headings"], row["text"])


async def _opened(folder: Path) -> AsyncTable:
    import lancedb

    return await (await lancedb.connect_async(folder)).open_table(TABLE)


def _read(table: AsyncTable, rows: Sequence[int]) -> Iterator[tuple[int, Passage]]:
    for row in _await(_taken(table, rows)).to_pylist():
        yield row["_rowid"], _passage(row)


async def _taken(table: AsyncTable, rows: Sequence[int]) -> pa.Table:
    return await table.take_row_ids(list(rows)).select(_COLUMNS).with_row_id().to_arrow()


def _await(awaited: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, run in the thread that the library has for it."""
    from lancedb.background_loop import LOOP

    result: T = LOOP.run(awaited)  # type: ignore[no-untyped-call]
    return result


def _matching(text: str, column: str) -> MatchQuery:
    from lancedb.query import MatchQuery

    # Its fields have defaults, in a form that type checkers do not read.
    return MatchQuery(text, column)  # type: ignore[call-arg]


def _passage(row: dict[str, Any]) -> Passage:
    values = {name: row[name] for name in _COLUMNS}
    values["headings"] = tuple(values["headings"])
    values["access"] = tuple(values["access"])
    return Passage(**values)
