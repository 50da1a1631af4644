"""Documents and passages, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flywheel.records import Fate, Passage
from flywheel.store import documents
from flywheel.store.database import Database
from flywheel.store.documents import StagedDocument, Stamp


@dataclass(frozen=True)
class Decided:
    fate: Fate
    reason: str = ""
    other: str = ""


def make_document(id: str = "d1", path: str = "doors.md") -> StagedDocument:
    return StagedDocument(
        id=id,
        source="/handbook",
        path=path,
        title="车门与钥匙",
        language="zh-hans",
        fate="kept",
        added_at="2026-01-01T00:00:00Z",
        date="2025-09",
        modified=1767225600.123456,
        access=("public",),
        size=4_000_000_000,
        sha256="aa",
        quality={"mean_line_length": 31.5},
        findings={"email": 2},
        text_hash="bb",
        num_shingles=12,
        signature=bytes(range(256)),
    )


def make_passages(document: StagedDocument, number: int = 2) -> list[Passage]:
    return [
        Passage(
            id=f"{document.id}-{position}",
            document=document.id,
            title=document.title,
            headings=("儿童锁", f"Step {position}"),
            text=f"按下按钮。Press button {position}.",
            language="mixed",
            position=position,
            path=document.path,
            access=document.access,
        )
        for position in range(number)
    ]


def stage(database: Database, document: StagedDocument, number: int = 2) -> None:
    passages = make_passages(document, number)
    database.write(lambda conn: documents.put(conn, document, passages))


def only_document(database: Database) -> StagedDocument:
    with database.read() as conn:
        [document] = documents.list_documents(conn, deleted=True)
    return document


def shown_passages(database: Database, batch: int = 2000) -> list[Passage]:
    with database.read() as conn:
        return list(documents.iterate_passages(conn, batch))


def digest(database: Database) -> str:
    with database.read() as conn:
        return documents.passages_digest(conn)


def test_staged_document_comes_back_as_it_was(database: Database) -> None:
    stage(database, make_document())
    assert only_document(database) == replace(make_document(), num_passages=2, revision=1)
    assert shown_passages(database) == make_passages(make_document())


def test_staging_again_replaces_the_passages(database: Database) -> None:
    stage(database, make_document(), 3)
    stage(database, replace(make_document(), text_hash="cc"), 1)
    assert len(shown_passages(database)) == 1
    assert only_document(database).num_passages == 1


def test_revision_grows_only_with_a_change(database: Database) -> None:
    stage(database, make_document())
    stage(database, replace(make_document(), modified=5.0, added_at="2026-02-01T00:00:00Z"))
    assert only_document(database).revision == 1
    stage(database, make_document(), 3)
    assert only_document(database).revision == 2
    database.write(lambda conn: documents.set_fates(conn, {"d1": Decided("kept")}))
    assert only_document(database).revision == 2
    database.write(lambda conn: documents.set_fates(conn, {"d1": Decided("duplicate")}))
    database.write(lambda conn: documents.set_access(conn, ["d1"], ["staff"]))
    database.write(lambda conn: documents.mark_deleted(conn, ["d1"], "2026-03-01T00:00:00Z"))
    assert only_document(database).revision == 5


def test_many_documents_at_once_stream_by_path_and_position(database: Database) -> None:
    staged = [make_document(f"d{n}", f"chapter {n:04d}.md") for n in range(1100)]
    pairs = [(document, make_passages(document)) for document in reversed(staged)]
    database.write(lambda conn: documents.put_all(conn, pairs))
    expected = [passage for document in staged for passage in make_passages(document)]
    assert shown_passages(database, batch=7) == expected
    assert shown_passages(database) == expected


def test_paths_are_ordered_by_code_point(database: Database) -> None:
    paths = ["Z.md", "a.md", "b/c.md", "b.md", "é.md", "车.md"]
    for number, path in enumerate(paths):
        stage(database, make_document(f"d{number}", path), 1)
    with database.read() as conn:
        listed = [document.path for document in documents.list_documents(conn)]
    assert listed == sorted(paths)
    assert [passage.path for passage in shown_passages(database)] == sorted(paths)


def test_stamps_are_of_one_source_and_not_of_deleted_files(database: Database) -> None:
    stage(database, make_document())
    stage(database, replace(make_document("d2"), source="/elsewhere"))
    stage(database, make_document("d3", "gone.md"))
    database.write(lambda conn: documents.mark_deleted(conn, ["d3"], "2026-03-01T00:00:00Z"))
    with database.read() as conn:
        stamps = documents.stamps(conn, "/handbook")
    assert stamps == {"doors.md": Stamp(4_000_000_000, 1767225600.123456, "aa", "kept")}


def test_deleted_document_is_hidden_and_not_indexed_until_staged_again(
    database: Database,
) -> None:
    stage(database, make_document())
    database.write(lambda conn: documents.mark_deleted(conn, ["d1"], "2026-03-01T00:00:00Z"))
    database.write(lambda conn: documents.mark_deleted(conn, ["d1"], "2026-04-01T00:00:00Z"))
    assert only_document(database).deleted_at == "2026-03-01T00:00:00Z"
    with database.read() as conn:
        assert documents.hidden(conn) == {"d1"}
        assert list(documents.list_documents(conn)) == []
    assert shown_passages(database) == []
    stage(database, make_document())
    with database.read() as conn:
        assert documents.hidden(conn) == set()
    assert len(shown_passages(database)) == 2


def test_verdicts_take_documents_out_and_bring_them_back(database: Database) -> None:
    stage(database, make_document())
    stage(database, make_document("d2", "print.md"))
    verdict = Decided("duplicate", "same text", "d1")
    database.write(lambda conn: documents.set_fates(conn, {"d2": verdict}))
    with database.read() as conn:
        winner, loser = documents.list_documents(conn)
    assert winner.fate == "kept"
    assert (loser.fate, loser.reason, loser.other) == ("duplicate", "same text", "d1")
    assert {passage.document for passage in shown_passages(database)} == {"d1"}
    database.write(lambda conn: documents.set_fates(conn, {"d2": Decided("kept")}))
    assert len(shown_passages(database)) == 4


def test_changed_access_shows_in_passages_and_for_older_indexes(database: Database) -> None:
    stage(database, make_document())
    stage(database, make_document("d2", "print.md"))
    database.write(lambda conn: documents.set_access(conn, ["d1", "d2"], ["public"]))
    with database.read() as conn:
        assert documents.access_of(conn) == {}
    database.write(lambda conn: documents.set_access(conn, ["d1"], ["staff", "客服"]))
    with database.read() as conn:
        assert documents.access_of(conn) == {"d1": ("staff", "客服")}
    assert shown_passages(database)[0].access == ("staff", "客服")


def test_access_that_changed_back_is_still_told_to_older_indexes(database: Database) -> None:
    stage(database, make_document())
    stage(database, replace(make_document(), access=("staff",)))
    stage(database, make_document())
    with database.read() as conn:
        assert documents.access_of(conn) == {"d1": ("public",)}


def test_digest_follows_what_is_indexed_and_nothing_else(database: Database) -> None:
    stage(database, make_document())
    before = digest(database)
    stage(database, replace(make_document(), modified=7.0))
    stage(database, replace(make_document("d2", "broken.pdf"), fate="failed"), 0)
    assert digest(database) == before

    database.write(lambda conn: documents.set_access(conn, ["d1"], ["staff"]))
    changed = {before, digest(database)}
    stage(database, make_document(), 3)
    changed.add(digest(database))
    database.write(lambda conn: documents.set_fates(conn, {"d1": Decided("dropped")}))
    changed.add(digest(database))
    assert len(changed) == 4


def test_text_that_no_database_takes_is_escaped(database: Database) -> None:
    document = replace(make_document(path="caf\udce9.md"), title="a\x00b")
    passage = replace(make_passages(document)[0], text="x\x00y", headings=("\ud800\x00",))
    database.write(lambda conn: documents.put(conn, document, [passage]))
    assert only_document(database).path == "caf\\udce9.md"
    assert only_document(database).title == "a\\x00b"
    [shown] = shown_passages(database)
    assert (shown.text, shown.headings) == ("x\\x00y", ("\ud800\x00",))
