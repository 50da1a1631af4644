"""How things stand: the short reads tell what the long ones do, as soon as it is committed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flywheel.records import Correction
from flywheel.store import corrections, documents, erasures, standing, versions
from flywheel.store.corrections import Entry
from flywheel.store.database import Database
from flywheel.store.documents import StagedDocument
from flywheel.store.erasures import Erasure
from flywheel.store.redaction import Items
from flywheel.store.standing import Marks, ModelMarks
from flywheel.store.versions import Version

if TYPE_CHECKING:
    from tests.store.conftest import Plan

VERSION = Version(
    number=1,
    created_at="2026-01-01T00:00:00Z",
    parent=None,
    bundle={},
    bundle_hash="ab",
    decision="promoted",
)
CORRECTION = Correction(
    id="c",
    question="Where? 哪里？",
    answer="拨动",
    evidence=(),
    passages=(),
    user="ines",
    role="curator",
    at="2026-01-01",
    verified=True,
)


def marks(database: Database) -> Marks:
    with database.read() as conn:
        return standing.marks(conn)


def test_marks_of_a_blank_database(database: Database) -> None:
    assert marks(database) == Marks(champion=None, num_erasures=0, last_correction=0)


def test_each_commit_that_changes_answers_changes_a_mark(database: Database) -> None:
    def promote(number: int) -> Marks:
        version = replace(VERSION, number=number)
        database.write(lambda conn: versions.put(conn, version))
        database.write(lambda conn: versions.set_champion(conn, number))
        return marks(database)

    assert promote(1) == Marks(champion=1, num_erasures=0, last_correction=0)
    assert promote(2) == Marks(champion=2, num_erasures=0, last_correction=0)
    entry = Entry(correction=CORRECTION, key="where")
    database.write(lambda conn: corrections.put_all(conn, [entry]))
    assert marks(database).last_correction == 1
    database.write(lambda conn: corrections.mark_all(conn, [replace(entry, withdrawn="x")]))
    assert marks(database).last_correction == 2
    erasure = Erasure(id="e", kind="user", of="ines", at="2026-01-01")
    database.write(lambda conn: erasures.remember(conn, erasure, Items()))
    database.write(lambda conn: versions.set_champion(conn, None))
    assert marks(database) == Marks(champion=None, num_erasures=1, last_correction=2)


def test_another_model_may_be_the_one_to_ask_as_soon_as_a_version_came_or_was_erased(
    database: Database,
) -> None:
    def seen(number: int | None = None) -> ModelMarks:
        with database.read() as conn:
            return standing.model_marks(conn, number)

    assert seen() == seen(1) == ModelMarks(champion=None, newest=None, erased=None)
    database.write(lambda conn: versions.put(conn, VERSION))
    assert seen(1) == ModelMarks(champion=None, newest=1, erased=None)
    database.write(lambda conn: versions.put(conn, replace(VERSION, number=2, erased="e")))
    database.write(lambda conn: versions.set_champion(conn, 1))
    assert seen(1) == seen() == ModelMarks(champion=1, newest=2, erased=None)
    assert seen(2) == ModelMarks(champion=1, newest=2, erased="e")


def test_documents_that_were_deleted_or_have_other_labels_are_told(database: Database) -> None:
    staged = [
        StagedDocument(
            id=id,
            source="/handbook",
            path=f"{id}.md",
            title="车门",
            language="zh-hans",
            fate="kept",
            added_at="2026-01-01T00:00:00Z",
        )
        for id in ("as it was", "deleted", "closed", "both")
    ]
    database.write(lambda conn: documents.put_all(conn, [(each, []) for each in staged]))
    database.write(lambda conn: documents.set_access(conn, ["closed", "both"], ["人事", "hr"]))
    database.write(lambda conn: documents.mark_deleted(conn, ["deleted", "both"], "2026-01-02"))
    with database.read() as conn:
        changed = standing.changed(conn)
        assert changed.deleted == documents.hidden(conn) == {"deleted", "both"}
        assert changed.access == documents.access_of(conn)
        assert changed.access == dict.fromkeys(("closed", "both"), ("人事", "hr"))


def test_changed_documents_are_found_without_reading_the_others(plan: Plan) -> None:
    steps = [each for each in plan(standing.changed) if " documents" in each]
    assert [each.split(" (")[0] for each in steps] == [
        "SEARCH documents USING INDEX documents_deleted",
        "SEARCH documents USING INDEX documents_relabelled",
    ]
