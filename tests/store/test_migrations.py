"""Migrations: from blank, and from every earlier schema with rows in it."""

from __future__ import annotations

from pathlib import Path

import alembic.op
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, inspect, select, text

from flywheel.errors import WorkspaceError
from flywheel.records import Feedback
from flywheel.store import (
    corrections,
    documents,
    exam_items,
    feedback,
    interactions,
    schema,
    versions,
)
from flywheel.store.database import Database
from flywheel.store.engines import parse_url, writing_engine
from flywheel.store.tables import SCHEMA, metadata
from flywheel.store.tables import interactions as interactions_table

ROWS = {
    "0001": [
        """INSERT INTO documents VALUES ('d1', '/handbook', 'doors.md', '车门', 'zh-hans', '2025',
        1.5, '["staff"]', 10, 'aa', 'kept', '', '', 1, '{"lines": 2.0}', '{"email": 1}', 'bb', 3,
        '', '2026-01-01T00:00:00Z', NULL, 4, 'cc', TRUE)""",
        """INSERT INTO passages
        VALUES ('p1', 'd1', 0, '车门', '["儿童锁"]', '拨动。', 'zh-hans')""",
        """INSERT INTO interactions VALUES ('i1', '2026-01-01T00:00:00Z', 'u', 1, '?', '[]')""",
        """INSERT INTO versions VALUES (1, '2026-01-01T00:00:00Z', NULL, '{"index": "x"}', 'dd',
        '{"mrr": {"value": 0.5, "low": 0.4, "high": 0.6, "count": 9}}', 'promoted', '["first"]')""",
        """INSERT INTO state VALUES ('champion', '1')""",
    ],
}
ROWS["0002"] = [
    *ROWS["0001"],
    """INSERT INTO feedback VALUES ('f1', 'edit', 'u', 'curator', '2026-01-01T00:00:00Z', '?', '',
    NULL, '拨动。', '["拨"]', '[]', '[]', '', 'ee')""",
    """INSERT INTO corrections VALUES ('f1', '?', '?', '拨动。', '["拨"]', 'u', 'curator',
    '2026-01-01T00:00:00Z', 1, NULL, '["p1"]', TRUE, FALSE, '', '["public"]', '', '', 1)""",
]
ROWS["0003"] = [
    *(row.replace("'[\"first\"]')", "'[\"first\"]', NULL)") for row in ROWS["0002"]),
    """INSERT INTO promotions VALUES (1, 1, 'gate', '', 'first', '2026-01-01T00:00:00Z')""",
    """INSERT INTO version_feedback VALUES (1, 'f1')""",
    """INSERT INTO index_documents VALUES ('x', 'd1')""",
    """INSERT INTO erasures VALUES ('e1', 'user', 'ab', '2026-01-01T00:00:00Z', NULL)""",
    """INSERT INTO erased VALUES ('e1', 'feedback', 'f0')""",
]
ROWS["0004"] = [
    *ROWS["0003"],
    """INSERT INTO quarantine VALUES ('f1', 'released', 'eve', '2026-01-01T00:00:00Z')""",
]
ROWS["0005"] = [
    *ROWS["0004"],
    """INSERT INTO exam_items VALUES ('e1', '?', 'i1', 'u', '2026-01-01T00:00:00Z', 'gold',
    '拨动。', '["拨"]', TRUE, 'curator')""",
]
ROWS["0006"] = [
    *ROWS["0005"],
    """INSERT INTO keys VALUES ('k1', 'desk', 'aa', 'asker', '["public"]', '2026-01-01T00:00:00Z',
    NULL, NULL)""",
    """INSERT INTO sessions VALUES ('bb', 'k1', 'cc', '2026-01-02T00:00:00Z')""",
    """INSERT INTO audit VALUES (1, '2026-01-01T00:00:00Z', 'u', 'owner', 'keys.add', 'k1')""",
    """INSERT INTO jobs VALUES ('j1', 1, 'turn', '{}', 'u', 'done', '2026-01-01T00:00:00Z', NULL,
    NULL, '{}', '{}', '')""",
]
# In PostgreSQL the new columns stand behind the candidates, in SQLite before them.
ROWS["0007"] = [
    *(row for row in ROWS["0006"] if "INTO interactions" not in row),
    """INSERT INTO interactions
    (id, at, "user", version, question, key, kind, confidence, candidates)
    VALUES ('i1', '2026-01-01T00:00:00Z', 'u', 1, '?', '?', 'abstain', 0.5, '[]')""",
    """INSERT INTO reviews VALUES ('abstained:?', 'skip', 'u', '2026-01-01T00:00:00Z', 1)""",
    """INSERT INTO exam_rows VALUES (1, 'q1', '{"evidence_mrr": 0.5}')""",
]
"""Rows of every schema there has been, as its own release would have written them."""


def make_earlier(url: str, revision: str) -> None:
    """A database as the release with that schema left it."""
    Database.open(url).close() if revision == SCHEMA else upgrade_to(url, revision)
    engine = writing_engine(parse_url(url), 5)
    with engine.begin() as conn:
        for row in ROWS[revision]:
            conn.execute(text(row.replace(":", r"\:")))
    engine.dispose()


def upgrade_to(url: str, revision: str) -> None:
    engine = writing_engine(parse_url(url), 5, foreign_keys=False)
    with engine.begin() as conn:
        schema.upgrade(conn, revision)
    engine.dispose()


def revisions() -> list[str]:
    scripts = ScriptDirectory.from_config(schema.alembic_config()).walk_revisions()
    return sorted(script.revision for script in scripts)


def differences(conn: Connection) -> list[object]:
    options = {"version_table": schema.VERSION_TABLE, "compare_type": True}
    return list(compare_metadata(MigrationContext.configure(conn, opts=options), metadata))


def test_every_schema_has_its_rows_here_and_the_newest_is_named() -> None:
    assert revisions() == sorted(ROWS)
    assert revisions()[-1] == SCHEMA


def test_migrations_from_blank_give_the_tables(database: Database) -> None:
    with database.read() as conn:
        assert differences(conn) == []


@pytest.mark.parametrize("revision", sorted(ROWS))
def test_rows_of_every_schema_are_read_by_this_release(url: str, revision: str) -> None:
    make_earlier(url, revision)
    with Database.open(url) as database, database.read() as conn:
        [passage] = documents.iterate_passages(conn)
        [document] = documents.list_documents(conn)
        interaction = interactions.get(conn, "i1")
        champion = versions.champion(conn)
        assert differences(conn) == []
    assert (passage.text, passage.path, passage.access) == ("拨动。", "doors.md", ("staff",))
    assert (document.title, document.revision) == ("车门", 4)
    assert interaction is not None and interaction.question == "?"
    assert champion is not None
    assert champion.metrics["mrr"].count == 9


def test_feedback_and_corrections_of_their_first_schema_are_read(url: str) -> None:
    make_earlier(url, "0002")
    with Database.open(url) as database, database.read() as conn:
        [act] = feedback.list_feedback(conn)
        [correction] = corrections.in_force(conn)
    assert (act.kind, act.evidence, act.candidate) == ("edit", ("拨",), None)
    assert (correction.passages, correction.verified) == (("p1",), True)


@pytest.mark.parametrize("revision", ["0001", "0006"])
def test_kind_and_confidence_are_taken_from_what_was_shown(url: str, revision: str) -> None:
    make_earlier(url, revision)
    shown = """[{"kind": "abstain", "confidence": 0.25, "answer": "\\ud800"}, {"kind": "answer"}]"""
    engine = writing_engine(parse_url(url), 5)
    with engine.begin() as conn:
        # More than one batch, and ids that sort as text.
        conn.execute(
            text("INSERT INTO interactions VALUES (:id, '2026', 'u', 1, '?', :candidates)"),
            [{"id": f"n{number}", "candidates": shown} for number in range(1100)],
        )
    engine.dispose()
    with Database.open(url) as database, database.read() as conn:
        columns = interactions_table.c
        query = select(columns.kind, columns.confidence, columns.key, func.count())
        found = conn.execute(query.group_by(columns.kind, columns.confidence, columns.key)).all()
    assert sorted(map(tuple, found)) == [("", None, "", 1), ("abstain", 0.25, "", 1100)]


@pytest.mark.parametrize("at", ["create_index", "create_table"])
def test_migration_that_breaks_off_leaves_all_as_it_was_and_goes_through_later(
    url: str, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_earlier(url, "0006")

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(alembic.op, at, die)
        with pytest.raises(Killed):
            Database.open(url)
    engine = writing_engine(parse_url(url), 5)
    with engine.begin() as conn:
        found = inspect(conn)
        columns = [each["name"] for each in found.get_columns("interactions")]
        assert columns == ["id", "at", "user", "version", "question", "candidates"]
        assert not {"reviews", "exam_rows", "_alembic_tmp_interactions"} & {
            *found.get_table_names()
        }
        assert conn.scalar(text("SELECT count(*) FROM interactions")) == 1
    engine.dispose()
    with Database.open(url) as database, database.read() as conn:
        assert differences(conn) == []
        assert interactions.get(conn, "i1") is not None


def test_sqlite_need_not_read_through_candidates_to_list_what_was_asked(tmp_path: Path) -> None:
    make_earlier(f"sqlite:///{tmp_path}/x.db", "0006")
    with Database.open(f"sqlite:///{tmp_path}/x.db") as database, database.read() as conn:
        columns = [each["name"] for each in inspect(conn).get_columns("interactions")]
    assert columns[-4:] == ["key", "kind", "confidence", "candidates"]


def test_exam_items_of_their_first_schema_are_read(url: str) -> None:
    make_earlier(url, "0005")
    with Database.open(url) as database, database.read() as conn:
        [item] = exam_items.list_items(conn)
    assert (item.state, item.evidence, item.answerable) == ("gold", ("拨",), True)


def test_database_of_the_first_schema_takes_feedback(url: str) -> None:
    make_earlier(url, "0001")
    act = Feedback(id="f1", kind="up", user="u", role="asker", at="2026-01-01", question="?")
    with Database.open(url) as database:
        database.write(lambda conn: feedback.put_all(conn, [act], {"f1": "aa"}))
        with database.read() as conn:
            assert list(feedback.list_feedback(conn)) == [act]


@pytest.mark.parametrize("revision", ["0001", "0003"])
def test_promotion_of_every_schema_is_in_the_history(url: str, revision: str) -> None:
    make_earlier(url, revision)
    with Database.open(url) as database, database.read() as conn:
        [promotion] = versions.history(conn)
    assert (promotion.version, promotion.by) == (1, "gate")


def test_newer_schema_is_refused_and_left_alone(url: str) -> None:
    Database.open(url).close()
    engine = writing_engine(parse_url(url), 5)
    with engine.begin() as conn:
        conn.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(WorkspaceError, match="upgrade flywheel"):
        Database.open(url)
    with engine.begin() as conn:
        assert conn.scalar(text(f"SELECT version_num FROM {schema.VERSION_TABLE}")) == "9999"
    engine.dispose()


def test_failing_migration_leaves_nothing_behind(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("alembic.runtime.migration.HeadMaintainer.update_to_step", fail)
    with pytest.raises(ZeroDivisionError):
        Database.open(url)
    monkeypatch.undo()
    with Database.open(url) as database, database.read() as conn:
        assert differences(conn) == []
