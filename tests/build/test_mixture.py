"""The mixture: documents as texts, a part of everything held out, general language at its share."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.build import mixture
from flywheel.build.conversations import EMPTY, TOOLS, Skipped, Training
from flywheel.build.exercises import IN_EXAM, Library
from flywheel.build.mixture import (
    GENERAL_SHARE,
    Mixture,
    Parts,
    general_texts,
    joined,
    mix,
    parted,
    split_documents,
    texts,
)
from flywheel.build.overlap import Overlap
from flywheel.errors import FileFormatError, SourceError
from flywheel.records import (
    Conversation,
    ConversationPair,
    Example,
    ExamQuestion,
    Hit,
    Message,
    Passage,
    Preference,
)
from flywheel.search.frequencies import Frequencies
from flywheel.search.terms import term_ids

MADE_UP = random.Random(7)
WORDS = ["".join(MADE_UP.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(900)]


def passage(document: int, position: int, *headings: str, text: str = "") -> Passage:
    words = " ".join(WORDS[(7 * document + 3 * position + n) % len(WORDS)] for n in range(12))
    return Passage(
        id=f"{document}/{position}",
        document=f"document {document:03}",
        title=f"Title {document}",
        headings=headings,
        text=text or f"The {words} is a thing.",
        language="en",
        position=position,
    )


PASSAGES = tuple(
    passage(document, position, f"About {WORDS[document]}")
    for document in range(60)
    for position in range(3)
)


def library(**changes: object) -> Library:
    counted = Frequencies.empty()
    for each in PASSAGES:
        counted.add(term_ids(each.text))

    def search(question: str) -> list[Hit]:
        asked = set(question.lower().rstrip("?").split())
        found = [(len(asked & set(each.text.split())), each) for each in PASSAGES]
        best = sorted(found, key=lambda each: (-each[0], each[1].id))[:6]
        return [Hit(passage=each, score=float(score)) for score, each in best]

    made = Library(
        passages=PASSAGES,
        search=search,
        frequencies=counted,
        context_tokens=600,
        count_tokens=lambda text: len(text) // 4 + 1,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_title_and_headings_stand_once() -> None:
    text = joined(
        [
            passage(1, 0, text="Opening."),
            passage(1, 1, "Doors", text="All doors."),
            passage(1, 2, "Doors", "Locks", text="First."),
            passage(1, 3, "Doors", "Locks", text="Second."),
            passage(1, 4, "Doors", "Keys", text="Third."),
        ]
    )
    paragraphs = "Title 1|Opening.|Doors|All doors.|Locks|First.|Second.|Keys|Third."
    assert text == paragraphs.replace("|", "\n\n") + "\n"


def test_passages_are_put_in_order_document_by_document() -> None:
    shuffled = random.Random(1).sample(PASSAGES, len(PASSAGES))
    assert texts(shuffled) == texts(PASSAGES)
    first = texts(PASSAGES).train[0]
    assert first.index(PASSAGES[0].text) < first.index(PASSAGES[1].text)


@given(st.integers(2, 60))
def test_a_document_of_several_is_held_out_and_never_all(num_documents: int) -> None:
    parts = split_documents(each for each in PASSAGES if int(each.document[-3:]) < num_documents)
    assert 1 <= len(parts.held_out) <= max(1, num_documents // 4)
    assert len(parts.train) + len(parts.held_out) == num_documents


def test_where_documents_lie_does_not_decide_what_is_held_out() -> None:
    moved = [replace(each, id=f"m{each.id}", document=f"m{each.document}") for each in PASSAGES]
    assert texts(moved) == texts(PASSAGES)
    more = texts([*PASSAGES, *(passage(900, n) for n in range(3))])
    assert set(texts(PASSAGES).held_out) <= set(more.held_out)


def test_single_document_is_all_learned() -> None:
    parts = texts(PASSAGES[:3])
    assert (len(parts.train), len(parts.held_out)) == (1, 0)


def test_few_items_are_all_learned_and_of_many_one_at_least_is_held_out() -> None:
    assert parted(["a"] * 3, str) == Parts(train=("a",) * 3)
    for start in range(40):
        items = [str(number) for number in range(start, start + 25)]
        parts = parted(items, str)
        assert 1 <= len(parts.held_out) <= 6
        assert sorted((*parts.train, *parts.held_out)) == sorted(items)


def general_file(tmp_path: Path, num_lines: int = 3000) -> Path:
    path = tmp_path / "general.txt"
    lines = (f"Line {n} of {' '.join(WORDS[n % 800 : n % 800 + 20])}\n" for n in range(num_lines))
    path.write_text("".join(lines), encoding="utf-8")
    return path


def num_bytes(texts: tuple[str, ...]) -> int:
    return sum(len(each.encode()) for each in texts)


def test_general_language_has_its_share_and_a_part_apart(tmp_path: Path) -> None:
    path = general_file(tmp_path)
    parts = general_texts([path], 20_000, Overlap())
    assert 20_000 <= num_bytes(parts.train) < 25_000
    assert 64_000 <= num_bytes(parts.held_out) < 72_000
    assert not set(parts.train) & set(parts.held_out)
    whole = path.read_text(encoding="utf-8")
    assert all(each in whole for each in (*parts.train, *parts.held_out))
    assert general_texts([path], 40_000, Overlap()).held_out == parts.held_out


def test_little_general_language_is_mostly_learned(tmp_path: Path) -> None:
    parts = general_texts([general_file(tmp_path, 200)], 10**6, Overlap())
    assert 0 < num_bytes(parts.held_out) < 0.5 * num_bytes(parts.train)
    (tmp_path / "line.txt").write_text("字" * 30_000, encoding="utf-8")
    (line,) = set(general_texts([tmp_path / "line.txt"], 10**6, Overlap()).train[:-1])
    assert line == "字" * 4000


def test_general_files_that_are_wrong_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        general_texts([tmp_path / "none.txt"], 10, Overlap())
    (tmp_path / "bad.txt").write_bytes(b"one\ntwo \xff\n")
    with pytest.raises(FileFormatError, match="not UTF-8"):
        general_texts([tmp_path / "bad.txt"], 10, Overlap())


EXAMINED = "Shall I leave the windows open when the car stands in the sun for many hours?"


def test_everything_is_mixed_and_what_the_exam_asks_is_left_out(tmp_path: Path) -> None:
    exam = Overlap([ExamQuestion(id="e", question=EXAMINED)])
    asked, told = Message(role="user", content=EXAMINED), Message(role="assistant", content="Yes.")
    other = replace(asked, content="And the doors?")
    held = mixture.split_documents(PASSAGES).held_out[0].document
    mixed = mix(
        library(exam=exam),
        num_made=80,
        examples=[
            Example(id="1", question=EXAMINED, answer="Yes.", passages=("1/0",)),
            Example(
                id="2",
                question="And doors?",
                answer="Leave them.",
                passages=(f"{int(held[-3:])}/0",),
            ),
        ],
        preferences=[Preference(id="3", question="Which?", chosen="This.", rejected="That.")],
        files=[
            Training(
                conversations=(
                    Conversation(messages=(asked, told)),
                    Conversation(messages=(other, told), weight=0.5),
                ),
                pairs=(
                    ConversationPair(prompt=(asked,), chosen="a", rejected="b"),
                    ConversationPair(prompt=(other,), chosen="a", rejected="b"),
                ),
            )
        ],
        general=[general_file(tmp_path)],
    )
    every = (*mixed.conversations.train, *mixed.conversations.held_out)
    assert Conversation(messages=(other, told), weight=0.5) in every
    assert any("And doors?" in each.messages[0].content for each in every)
    assert len(mixed.pairs.train) == 2
    assert [each.reason for each in mixed.dropped] == [IN_EXAM] * 3
    assert len(mixed.conversations.held_out) >= 1
    assert not any(EXAMINED in message.content for each in every for message in each.messages)
    learned = num_bytes(mixed.documents.train)
    share = num_bytes(mixed.general.train) / (learned + num_bytes(mixed.general.train))
    assert GENERAL_SHARE <= share < GENERAL_SHARE + 0.15  # to whole pieces


def test_documents_that_are_held_out_are_quoted_in_no_made_answer() -> None:
    mixed = mix(library(), num_made=150)
    every = (*mixed.conversations.train, *mixed.conversations.held_out)
    assert len(every) > 60
    told = " ".join(each.messages[-1].content for each in every)
    held_out = {each.document for each in split_documents(PASSAGES).held_out}
    assert held_out
    for each in PASSAGES:
        if each.document in held_out:
            assert each.text not in told
    assert mix(library(), num_made=150) == mixed


def test_what_a_file_holds_that_cannot_be_learned_is_told_with_its_reason() -> None:
    skipped = (Skipped(number=2, line=2, reason=TOOLS), Skipped(number=5, line=9, reason=EMPTY))
    mixed = mix(library(), num_made=0, files=[Training(skipped=skipped)])
    assert [each.reason for each in mixed.dropped] == [TOOLS, EMPTY]


def test_a_mixture_may_be_of_documents_alone() -> None:
    mixed = Mixture(documents=Parts(train=("a text",)))
    assert mixed.general.train + mixed.conversations.train + mixed.pairs.train == ()
