"""Rows as lines and back: the same on SQLite and PostgreSQL, of every schema, and from anybody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, create_engine, select, text
from tests.store.test_migrations import ROWS, make_earlier
from tests.store.test_redaction import fill

from flywheel.errors import SourceError, WorkspaceBusy, WorkspaceError
from flywheel.store import dump, integrity, keys, state
from flywheel.store.database import Database
from flywheel.store.keys import Key, Session
from flywheel.store.tables import SCHEMA, metadata

ODD = "NUL \x00, half a pair \udce9, 车窗, 𠮷, </script>, \u2028"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Names a new SQLite file each time."""
    names = iter(range(100))
    yield lambda: f"sqlite:///{tmp_path}/fresh-{next(names)}.db"


def dumped(conn: Connection) -> dict[str, list[bytes]]:
    return {table.name: list(dump.lines(conn, table)) for table in dump.tables()}


def filled(database: Database) -> dict[str, list[bytes]]:
    """A database with rows of all kinds, and its lines."""
    fill(database)
    key = Key(id="k1", name="desk", role="owner", access=None, created_at="2026")
    narrow = Key(id="k2", name="桌", role="asker", access=("public", "x"), created_at="2026")

    def write(conn: Connection) -> None:
        keys.put(conn, key, "aa")
        keys.put(conn, narrow, "bb")
        keys.put_session(conn, Session(key=key, csrf="c", expires_at="2027"), "cc")
        state.put(conn, "nothing", None)
        state.put(conn, "odd", {ODD: [1, 2.5, True, None, ODD]})
        conn.execute(text("UPDATE documents SET signature = :data"), {"data": bytes(range(256))})

    database.write(write)
    with database.read() as conn:
        return dumped(conn)


def test_lines_give_the_same_rows_in_either_database(
    database: Database, fresh: Callable[[], str]
) -> None:
    lines = filled(database)
    with dump.load(fresh(), SCHEMA, lines) as loaded, loaded.read() as conn:
        assert dumped(conn) == lines
        assert state.get(conn, "odd")[ODD][-1] == ODD
        empty = "SELECT count(*) FROM keys WHERE access IS NULL"
        null = "SELECT count(*) FROM state WHERE value = 'null'"
        assert (conn.scalar(text(empty)), conn.scalar(text(null))) == (1, 1), "they stay apart"


def test_rows_of_one_database_take_the_place_of_another_ones(
    database: Database, fresh: Callable[[], str]
) -> None:
    filled(database)
    with Database.open(fresh()) as source:
        source.write(lambda conn: state.put(conn, "only", ODD))
        lines = filled(source)
        with source.read() as reading:
            database.write(lambda conn: dump.replace(conn, reading))
    with database.read() as conn:
        assert dumped(conn) == lines
        assert conn.execute(select(metadata.tables["sessions"])).all() == [], "nobody is signed in"


def test_failing_replacement_leaves_the_rows_that_were_there(
    database: Database, fresh: Callable[[], str]
) -> None:
    lines = filled(database)

    def write(conn: Connection) -> None:
        dump.replace(conn, reading)
        raise ZeroDivisionError

    with (
        Database.open(fresh()) as source,
        source.read() as reading,
        pytest.raises(ZeroDivisionError),
    ):
        database.write(write)
    with database.read() as conn:
        assert dumped(conn) == lines


def test_sessions_are_not_dumped(database: Database) -> None:
    assert "sessions" not in filled(database)
    with database.read() as conn:
        assert "sessions" not in dump.counts(conn)
        assert dump.counts(conn)["keys"] == 2


@pytest.mark.parametrize("revision", sorted(ROWS))
def test_lines_of_every_schema_are_upgraded(revision: str, fresh: Callable[[], str]) -> None:
    url = fresh()
    make_earlier(url, revision)
    engine = create_engine(url)
    with engine.connect() as conn:
        there = MetaData()
        there.reflect(conn)
        old = {table.name: list(dump.lines(conn, table)) for table in there.sorted_tables}
    engine.dispose()
    old = {name: lines for name, lines in old.items() if name not in dump.NEVER}
    with dump.load(fresh(), revision, old) as loaded, loaded.read() as conn:
        found = dumped(conn)
    with Database.open(url) as upgraded, upgraded.read() as conn:
        assert found == dumped(conn)
    assert found["passages"]


@pytest.mark.parametrize("revision", ["0008", "9999", "", "0000", "6", "../x", "00006", "٠٠٠٦"])
def test_schema_that_is_not_known_is_refused(revision: str, fresh: Callable[[], str]) -> None:
    with pytest.raises(WorkspaceError, match="upgrade flywheel"):
        dump.load(fresh(), revision, {})


STATE = {"key": "a", "value": 1}
AUDIT = {"number": 1, "at": "", "user": "", "role": "", "action": "", "target": ""}
SIGNED: dict[str, Any] = {"hash": "a", "key": "k1", "csrf": "", "expires_at": ""}


@pytest.mark.parametrize(
    ("table", "lines", "told"),
    [
        ("state", [b"{"], "Table state, row 1"),
        ("state", [b"[]"], "other columns"),
        ("state", [STATE, {"key": "b"}], "row 2: it has other columns"),
        ("state", [STATE | {"more": 1}], "other columns"),
        ("state", [STATE, STATE], "the key of another one"),
        ("state", [STATE | {"key": None}], "key is of another kind"),
        ("state", [STATE | {"key": 1}], "key is of another kind"),
        ("state", [b'{"key": "a", "value": NaN}'], "no number"),
        ("state", [b'{"key": "a", "value": 1e999}'], "no number"),
        ("state", [b'{"key": "a", "value": ' + b"[" * 100_000], "row 1"),
        ("state", [b'{"key": "\xff", "value": 1}'], "row 1"),
        ("audit", [AUDIT | {"number": True}], "another kind"),
        ("audit", [AUDIT | {"number": 2**31}], "another kind"),
        ("audit", [AUDIT | {"number": "1"}], "another kind"),
        ("erased", [{"erasure": "none", "kind": "", "id": ""}], "refers to none"),
        ("sessions", [SIGNED], "no table 'sessions'"),
        ("flywheel_schema", [{"version_num": "9999"}], "no table"),
        ("sqlite_master", [], "no table"),
    ],
)
def test_line_that_is_no_row_is_refused(
    table: str, lines: list[Any], told: str, fresh: Callable[[], str]
) -> None:
    written = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines]
    with pytest.raises(SourceError, match=told):
        dump.load(fresh(), SCHEMA, {table: written})


def test_database_is_blank_until_a_row_is_in_it(url: str) -> None:
    def is_blank() -> bool:
        engine = create_engine(url)
        with engine.connect() as conn:
            blank = dump.is_blank(conn)
        engine.dispose()
        return blank

    assert is_blank()
    with Database.open(url) as database:
        assert is_blank()
        database.write(lambda conn: state.put(conn, "a", 1))
    assert not is_blank()


def test_tables_of_another_program_are_not_blank(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as conn:
        conn.execute(text("CREATE TABLE documents (id INTEGER)"))
        assert not dump.is_blank(conn)
    engine.dispose()


def test_database_that_somebody_has_open_is_told(url: str) -> None:
    integrity.refuse_others(url)
    with Database.open(url) as database, database.read() as conn:
        assert integrity.problem_of(conn) == ""
        with pytest.raises(WorkspaceBusy, match="is open in"):
            integrity.refuse_others(url)
    integrity.refuse_others(url)
