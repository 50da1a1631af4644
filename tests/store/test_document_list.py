"""Documents as they are looked through, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.store.test_documents import make_document, make_passages

from flywheel.records import Fate, Language
from flywheel.store import document_list, documents
from flywheel.store.database import Database
from flywheel.store.document_list import Wanted
from flywheel.store.documents import StagedDocument


def stage(
    database: Database,
    id: str,
    path: str,
    fate: Fate = "kept",
    *,
    source: str = "/handbook",
    title: str = "",
    language: Language = "en",
    access: tuple[str, ...] = ("public",),
    texts: Sequence[str] = (),
    reason: str = "",
) -> None:
    document = replace(
        make_document(id, path),
        fate=fate,
        source=source,
        title=title,
        language=language,
        access=access,
        reason=reason,
        other="a" if fate == "superseded" else "",
    )
    its = [
        replace(each, text=text, language=language)
        for each, text in zip(make_passages(document, len(texts)), texts, strict=True)
    ]
    database.write(lambda conn: documents.put(conn, document, its))


@pytest.fixture
def filled(database: Database) -> Database:
    stage(database, "a", "doors.md", title="Doors 100%", texts=["one two three", "x " * 60])
    stage(database, "b", "车窗.md", title="车窗", language="zh-hans", texts=["窗" * 150])
    stage(database, "c", "old.md", "superseded", texts=["left"], reason="newer edition: doors.md")
    stage(database, "d", "pay.md", source="/staff", access=("staff", "员工"), texts=["pay"])
    stage(database, "e", "x.pdf", "failed", source="/staff", access=("staff",), reason="encrypted")
    return database


def found(
    database: Database, wanted: Wanted | None = None, labels: Sequence[str] | None = None
) -> list[str]:
    with database.read() as conn:
        return [
            each.id for each in document_list.page(conn, wanted or Wanted(), 100, labels=labels)
        ]


def test_documents_are_found_by_each_filter(filled: Database) -> None:
    assert found(filled) == ["a", "c", "b", "d", "e"]
    assert found(filled, Wanted(fate="failed")) == ["e"]
    assert found(filled, Wanted(source="/staff")) == ["d", "e"]
    assert found(filled, Wanted(label="员工")) == ["d"]
    assert found(filled, Wanted(other="a")) == ["c"]
    assert found(filled, Wanted(words="DOORS")) == ["a"]
    assert found(filled, Wanted(words="车")) == ["b"]
    assert found(filled, Wanted(words="doors 100%")) == ["a"]
    assert found(filled, Wanted(words="_oors")) == []


def test_what_labels_do_not_open_is_neither_listed_nor_counted(filled: Database) -> None:
    assert found(filled, labels=()) == ["a", "c", "b"]
    assert found(filled, Wanted(source="/staff"), ["staff"]) == ["d", "e"]
    with filled.read() as conn:
        everybody = document_list.tally(conn, ())
        assert sum(each.num_documents for each in everybody) == 3
        assert {each.source for each in everybody} == {"/handbook"}
        assert document_list.count_unheld(conn, "", ()) == 2
        assert len(document_list.findings(conn, ())) == 3
        assert sum(each.count for each in document_list.lengths(conn, ())) == 3
        assert sum(each.count for each in document_list.lengths(conn)) == 4


def test_pages_go_on_behind_a_document(filled: Database) -> None:
    with filled.read() as conn:
        first = document_list.page(conn, Wanted(), 2)
        last = first[-1]
        rest = document_list.page(conn, Wanted(), 9, (last.source, last.path))
    assert [each.id for each in (*first, *rest)] == ["a", "c", "b", "d", "e"]


def test_documents_are_counted_with_their_passages(filled: Database) -> None:
    with filled.read() as conn:
        kept = [each for each in document_list.tally(conn) if each.fate == "kept"]
    assert {each.language: each.num_passages for each in kept if each.source == "/handbook"} == {
        "en": 2,
        "zh-hans": 1,
    }
    assert {each.access for each in kept} == {("public",), ("staff", "员工")}


def test_lengths_are_characters_in_chinese_and_words_else(filled: Database) -> None:
    with filled.read() as conn:
        bins = document_list.lengths(conn)
    assert [(each.chinese, each.number, each.count) for each in bins] == [
        (False, 0, 2),
        (False, 1, 1),
        (True, 1, 1),
    ]


def test_passages_of_a_superseded_document_are_kept(filled: Database) -> None:
    with filled.read() as conn:
        assert [each.text for each in document_list.passages_of(conn, "c")] == ["left"]
        second = document_list.passages_of(conn, "a", after=0, limit=1)
    assert [each.position for each in second] == [1]
    assert second[0].path == "doors.md"


def test_sources_are_told_with_their_labels(filled: Database) -> None:
    with filled.read() as conn:
        assert document_list.sources(conn) == {
            "/handbook": frozenset({("public",)}),
            "/staff": frozenset({("staff", "员工"), ("staff",)}),
        }


def test_every_change_of_a_document_gives_another_mark(filled: Database) -> None:
    def mark() -> str:
        with filled.read() as conn:
            return documents.change(conn)

    marks = [mark()]
    for act in (
        lambda conn: documents.set_access(conn, ["a"], ["hr"]),
        lambda conn: documents.mark_deleted(conn, ["a"], "2026-01-02T00:00:00+00:00"),
        lambda conn: documents.put(conn, make_document("f", "f.md"), []),
    ):
        filled.write(act)
        marks.append(mark())
    assert len(set(marks)) == 4
    assert mark() == marks[-1]


def test_archive_is_taken_with_its_members(database: Database) -> None:
    for id, path in (("a", "x.zip"), ("b", "x.zip!/1.md"), ("c", "x.zip!/2.md"), ("d", "x.zip2")):
        stage(database, id, path)
    archive: StagedDocument = make_document("a", "x.zip")
    with database.read() as conn:
        assert sorted(documents.with_members(conn, archive)) == ["a", "b", "c"]
