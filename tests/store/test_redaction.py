"""What erasure takes from each table, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, Table, insert, select

from flywheel.records import Answer, Correction, Feedback, Interaction, Passage
from flywheel.store import (
    corrections,
    documents,
    erasures,
    feedback,
    interactions,
    redaction,
    state,
    tables,
    versions,
)
from flywheel.store.corrections import Entry
from flywheel.store.database import Database
from flywheel.store.documents import StagedDocument
from flywheel.store.erasures import Erasure
from flywheel.store.redaction import Items
from flywheel.store.versions import Version

SECRET = "my neighbour's name is Bartholomew"
AT = "2026-01-01T00:00:00.000+00:00"
ERASURE = Erasure(id="e1", kind="user", of=erasures.hash_of("user", "bart"), at=AT)


def _interaction(id: str, user: str, answer: str = "") -> Interaction:
    given = Answer(
        question=SECRET, answer=answer, draft=answer, kind="answer", confidence=1.0,
        citations=(), passages=(),
    )  # fmt: skip
    return Interaction(
        id=id, question=SECRET, candidates=(given,), version=1, user=user, at=AT
    )  # fmt: skip


def _act(id: str, user: str, interaction: str = "") -> Feedback:
    return Feedback(
        id=id, kind="edit", user=user, role="curator", at=AT, question=SECRET, answer=SECRET,
        evidence=(SECRET,), candidates=(SECRET,), order=(0,), reason=SECRET,
        interaction=interaction,
    )  # fmt: skip


def _entry(id: str, user: str) -> Entry:
    correction = Correction(
        id=id, question=SECRET, answer=SECRET, evidence=(SECRET,), passages=("p1",), user=user,
        role="curator", at=AT, verified=True, review=SECRET,
    )  # fmt: skip
    return Entry(correction=correction, key=SECRET, readable=(SECRET,), decided_by="bart")


def _version(number: int, ranker: str = "", index: str = "x") -> Version:
    return Version(
        number=number, created_at=AT, parent=None, bundle={"index": index, "ranker": ranker},
        bundle_hash="", decision="kept",
    )  # fmt: skip


def _put(conn: Connection, table: Table, **values: object) -> None:
    conn.execute(insert(table), values)


def fill(database: Database) -> None:
    document = StagedDocument(
        id="d1", source="/s", path="p.md", title=SECRET, language="en", fate="kept", added_at=AT
    )
    passage = Passage(
        id="p1", document="d1", title=SECRET, headings=(SECRET,), text=SECRET, language="en",
        position=0,
    )  # fmt: skip

    def write(conn: Connection) -> None:
        documents.put(conn, document, [passage])
        interactions.put(conn, _interaction("i1", "bart", SECRET), SECRET)
        interactions.put(conn, _interaction("i2", "ann", SECRET), "another key")
        versions.put(conn, _version(9))
        _put(conn, tables.exam_rows, version=9, question="asked-i1", row={"hit": True})
        _put(conn, tables.exam_rows, version=9, question="asked-i2", row={"hit": True})
        for item, user in ((f"abstained:{SECRET}", "ann"), ("abstained:another key", "bart")):
            _put(conn, tables.reviews, item=item, decision="skipped", user=user, at=AT, change=1)
        acts = [_act("f1", "bart"), _act("f2", "ann", "i1"), _act("f3", "ann")]
        feedback.put_all(conn, acts, {each.id: "hash" for each in acts})
        entries = [_entry(each.id, each.user) for each in acts]
        corrections.put_all(conn, entries)
        state.put(conn, "access:/s", ["hr"])
        state.put(conn, "collected_with:/s", "x")

    database.write(write)


def test_user_takes_his_acts_and_what_was_said_about_his_questions(database: Database) -> None:
    fill(database)
    with database.read() as conn:
        items = redaction.of_user(conn, "bart")
        nobody = redaction.of_user(conn, "cid")
    assert items == Items(
        interactions=frozenset({"i1"}), feedback=frozenset({"f1", "f2"}), user="bart"
    )
    assert not nobody


def test_redacted_rows_hold_no_word_and_give_what_they_held(database: Database) -> None:
    fill(database)
    everything = Items(
        interactions=frozenset({"i1"}),
        shown=frozenset({"i2"}),
        feedback=frozenset({"f1", "f2", "f3"}),
        documents=frozenset({"d1"}),
        sources=frozenset({"/s"}),
        user="bart",
    )
    texts = database.write(lambda conn: redaction.redact(conn, everything))
    assert {SECRET, "bart", "ann"} <= texts
    with database.read() as conn:
        for table in redaction.every_table():
            left = " ".join(redaction.rows(conn, table))
            assert ("Bartholomew" in left) == (table.name == "interactions"), table.name
            assert "bart" not in left.replace("Bartholomew", "")
        kept = interactions.get(conn, "i2")
        assert kept is not None and (kept.question, kept.candidates) == (SECRET, ())
        assert _lists(conn) == {"i1": ("", "", None), "i2": ("another key", "", None)}
        assert documents.hidden(conn) == {"d1"}
        assert list(documents.iterate_passages(conn)) == []
        assert state.get(conn, "access:/s") is None
        assert list(feedback.list_feedback(conn)) == []
        assert feedback.contents(conn, ["f1"]) == {"f1": ""}, "it cannot come in again"


def _lists(conn: Connection) -> dict[str, tuple[object, ...]]:
    columns = tables.interactions.c
    query = select(columns.id, columns.key, columns.kind, columns.confidence)
    return {id: tuple(values) for id, *values in conn.execute(query)}


def test_what_was_decided_on_an_erased_question_goes_and_on_anothers_stays(
    database: Database,
) -> None:
    fill(database)
    with database.read() as conn:
        items = redaction.of_user(conn, "bart")
    database.write(lambda conn: redaction.redact(conn, items))
    with database.read() as conn:
        left = conn.execute(select(tables.reviews.c.item, tables.reviews.c.user)).all()
        rows = list(conn.scalars(select(tables.exam_rows.c.question)))
        lists = _lists(conn)
    assert [tuple(each) for each in left] == [("abstained:another key", "")]
    assert rows == ["asked-i2"]
    assert lists == {"i1": ("", "", None), "i2": ("another key", "answer", 1.0)}


def test_name_of_a_curator_who_only_reviewed_is_found(database: Database) -> None:
    database.write(
        lambda conn: _put(
            conn,
            tables.reviews,
            item="abstained:k",
            decision="skipped",
            user="cid",
            at=AT,
            change=1,
        )
    )
    with database.read() as conn:
        assert redaction.of_user(conn, "cid") == Items(user="cid")


def test_erased_correction_is_a_change_that_an_open_workspace_sees(database: Database) -> None:
    fill(database)
    with database.read() as conn:
        before = corrections.latest_change(conn)
    database.write(lambda conn: redaction.redact(conn, Items(feedback=frozenset({"f1"}))))
    with database.read() as conn:
        [changed] = corrections.changed_since(conn, before)
        left = {each.id for each in corrections.in_force(conn)}
    assert (changed.correction.id, changed.withdrawn) == ("f1", redaction.ERASED)
    assert left == {"f2", "f3"}


def test_erasing_twice_finds_nothing_the_second_time(database: Database) -> None:
    fill(database)
    with database.read() as conn:
        items = redaction.of_user(conn, "bart")
    database.write(lambda conn: redaction.redact(conn, items))
    with database.read() as conn:
        assert not redaction.of_user(conn, "bart")
        assert not redaction.of_interaction(conn, "i1")


def test_versions_that_learned_or_held_are_marked_and_others_are_not(database: Database) -> None:
    def write(conn: Connection) -> None:
        for version, learned, held in (
            (_version(1), (), ("d1", "d2")),
            (_version(2, ranker="yes", index="y"), ("f1", "f2"), ("d2",)),
            (_version(3, ranker="yes", index="y"), ("f2",), ("d2",)),
        ):
            versions.put(conn, version)
            versions.put_lineage(conn, version, learned, held)
        versions.put(conn, _version(4, ranker="unknown", index="z"))
        items = Items(feedback=frozenset({"f1"}), documents=frozenset({"d1"}))
        erasures.remember(conn, ERASURE, items)
        erasures.remember(conn, ERASURE, replace(items, interactions=frozenset({"i9"})))
        erasures.mark_versions(conn, "e1")

    database.write(write)
    with database.read() as conn:
        marked = [each.number for each in versions.list_versions(conn) if each.erased == "e1"]
        assert versions.held_by(conn, "y") == {"d2"}
        assert versions.that_learned(conn, "f2") == [2, 3]
        assert erasures.taken_by(conn, "e1") == {"f1", "d1", "i9"}
        of_item = erasures.of_item(conn, "f1")
    assert marked == [1, 2, 4], "what an older release learned from is not known"
    assert of_item == ERASURE


def test_erasure_is_known_by_its_target_and_says_nothing_of_it(database: Database) -> None:
    database.write(lambda conn: erasures.remember(conn, ERASURE, Items()))
    with database.read() as conn:
        assert erasures.of_target(conn, "user", "bart") == [ERASURE]
        assert erasures.of_target(conn, "source", "bart") == []
        assert erasures.unfinished_ids(conn) == {"e1"}
    database.write(lambda conn: erasures.finish(conn, "e1"))
    with database.read() as conn:
        [done] = erasures.of_target(conn, "user", "bart")
        assert done.done_at and erasures.unfinished_ids(conn) == set()
        text = " ".join(redaction.rows(conn, tables.erasures))
    assert "bart" not in text


def test_compacting_leaves_nothing_in_the_files(database: Database) -> None:
    fill(database)
    database.write(
        lambda conn: redaction.redact(
            conn,
            Items(
                interactions=frozenset({"i1", "i2"}),
                feedback=frozenset({"f1", "f2", "f3"}),
                documents=frozenset({"d1"}),
            ),
        )
    )
    database.compact([table.name for table in redaction.every_table()])
    held = [path.name for path in database.files() if b"Bartholomew" in path.read_bytes()]
    assert held == []
    with database.read() as conn:
        assert redaction.of_user(conn, "bart").user == "", "his name stands nowhere else"
