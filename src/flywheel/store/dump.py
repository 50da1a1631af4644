"""A database as lines of JSON, one a row, and back: the same for SQLite and PostgreSQL.

Written as of one moment, on the connection that the caller reads with. Read back at the schema that
they were written at; the migrations do the rest. Lines that come back are of anybody's making: each
is checked against its table before it is put there. Sessions are left out, since a browser that
signed out must not be signed in again by an older copy.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    func,
    insert,
    inspect,
    literal,
    select,
)
from sqlalchemy.exc import IntegrityError

from flywheel.errors import SourceError, WorkspaceError
from flywheel.store import schema
from flywheel.store.database import Database
from flywheel.store.engines import dump_json, parse_url, writing_engine
from flywheel.store.tables import SCHEMA, SafeText, metadata, sessions

NEVER = frozenset({schema.VERSION_TABLE, sessions.name})
"""Tables that no dump has."""

_BATCH = 500
_LARGEST, _LARGEST_BIG = 2**31, 2**63
"""What an Integer and a BigInteger of PostgreSQL stay below."""


def tables() -> list[Table]:
    """What is dumped of this release's schema; a table stands behind those that it refers to."""
    return [table for table in metadata.sorted_tables if table is not sessions]


def counts(conn: Connection) -> dict[str, int]:
    """How many rows each of them has."""
    return {
        table.name: conn.scalar(select(func.count()).select_from(table)) or 0 for table in tables()
    }


def lines(conn: Connection, table: Table) -> Iterator[bytes]:
    """Every row of a table as a JSON object, in the order of its key.

    Streams: use it while the connection is open.
    """
    query = select(table).order_by(*table.primary_key).execution_options(yield_per=_BATCH)
    for row in conn.execute(query):
        yield dump_json({name: _plain(value) for name, value in row._mapping.items()}).encode()


def load(url: str, revision: str, dumped: Mapping[str, Iterable[bytes]]) -> Database:
    """Makes a new SQLite database of each table's lines, and opens it at this release's schema.

    Args:
        revision: the schema that they were written at.

    Raises:
        WorkspaceError: that schema is one of a newer release.
        SourceError: a line is none of such a table.
    """
    refuse_newer(revision)
    engine = writing_engine(parse_url(url), 30, foreign_keys=False)
    try:
        with engine.begin() as conn:
            schema.upgrade(conn, revision)
    finally:
        engine.dispose()
    engine = writing_engine(parse_url(url), 30)
    try:
        with engine.begin() as conn:
            for table, rows in _in_order(conn, dumped):
                _insert(conn, table, rows)
    finally:
        engine.dispose()
    return Database.open(url)


def refuse_newer(revision: str) -> None:
    """Lets the schemas pass that this release knows.

    Raises:
        WorkspaceError: it is another one.
    """
    known = len(revision) == len(SCHEMA) and revision.isascii() and revision.isdecimal()
    if not known or not 1 <= int(revision) <= int(SCHEMA):
        raise WorkspaceError(
            f"It was made by a newer release (schema {revision[:20]}, this one knows {SCHEMA}): "
            "upgrade flywheel, pip install -U flywheel-assistant"
        )


def replace(conn: Connection, source: Connection) -> None:
    """Puts all rows of one database into another one, in place of its own, sessions included."""
    for table in reversed(metadata.sorted_tables):
        conn.execute(delete(table))
    for table in tables():
        query = select(table).order_by(*table.primary_key).execution_options(yield_per=_BATCH)
        for rows in source.execute(query).mappings().partitions(_BATCH):
            conn.execute(insert(table), [dict(row) for row in rows])


def is_blank(conn: Connection) -> bool:
    """Whether a database, of whatever schema, holds no rows of ours, and no tables of others that
    have the names of ours."""
    there = set(inspect(conn).get_table_names())
    named = [table for table in metadata.sorted_tables if table.name in there]
    if named and schema.VERSION_TABLE not in there:
        return False
    counted = (select(literal(1)).select_from(table).limit(1) for table in named)
    return all(conn.scalar(query) is None for query in counted)


def _in_order(
    conn: Connection, dumped: Mapping[str, Iterable[bytes]]
) -> list[tuple[Table, Iterable[bytes]]]:
    """The tables of the database as it is now, each with its lines."""
    there = MetaData()
    there.reflect(conn)
    unknown = sorted(dumped.keys() - there.tables.keys() | dumped.keys() & NEVER)
    if unknown:
        raise SourceError(f"There is no table {unknown[0]!r} in a backup.")
    return [(table, dumped[table.name]) for table in there.sorted_tables if table.name in dumped]


def _insert(conn: Connection, table: Table, rows: Iterable[bytes]) -> None:
    for column in table.c:
        # As in tables.py: where a column may be empty, None is that and no null of JSON.
        if isinstance(column.type, JSON):
            column.type = JSON(none_as_null=bool(column.nullable))
        elif isinstance(column.type, String):
            column.type = SafeText()
    values = (_row(table, number, line) for number, line in enumerate(rows, start=1))
    try:
        while batch := list(islice(values, _BATCH)):
            conn.execute(insert(table), batch)
    except IntegrityError as error:
        raise SourceError(
            f"Table {table.name}: a row has the key of another one, or refers to none."
        ) from error


def _row(table: Table, number: int, line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line, parse_float=_finite, parse_constant=_finite)
        if not isinstance(values, dict) or values.keys() != set(table.c.keys()):
            raise ValueError("it has other columns")
        return {column.name: _checked(column, values[column.name]) for column in table.c}
    except (ValueError, RecursionError) as error:
        raise SourceError(f"Table {table.name}, row {number}: {error}.") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number of JSON")
    return number


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _checked(column: Column[Any], value: Any) -> Any:
    """A value as its column takes it.

    Raises:
        ValueError: the column takes none of that kind.
    """
    kind = column.type
    if isinstance(kind, JSON):
        return value
    if value is None and column.nullable:
        return None
    if isinstance(kind, LargeBinary) and isinstance(value, str):
        return base64.b64decode(value, validate=True)
    if isinstance(kind, Boolean) and isinstance(value, bool):
        return value
    if isinstance(kind, Integer) and isinstance(value, int) and not isinstance(value, bool):
        largest = _LARGEST_BIG if isinstance(kind, BigInteger) else _LARGEST
        if -largest <= value < largest:
            return value
    if isinstance(kind, Float) and isinstance(value, float):
        return value
    if isinstance(kind, SafeText) and isinstance(value, str):
        return value
    raise ValueError(f"{column.name} is of another kind")
