"""What two editions differ in, as it is shown."""

from __future__ import annotations

from collections.abc import Sequence

from flywheel.records import Passage
from flywheel.wheel.documents import editions
from flywheel.wheel.documents.editions import Piece, difference, paragraphs


def passage(text: str, *headings: str) -> Passage:
    return Passage(
        id=text[:8],
        document="d",
        title="T",
        headings=headings,
        text=text,
        language="en",
        position=0,
    )


def marked(pieces: Sequence[Piece]) -> str:
    return "".join(f"[{each.text}]" if each.differs else each.text for each in pieces)


def test_wording_is_compared_word_by_word() -> None:
    found = difference(["The wallbox charges with at most 7 kilowatts."],
                       ["The wallbox charges with at most 11 kilowatts."])  # fmt: skip
    assert found.num_changed == 1
    [row] = found.rows
    assert marked(row.older) == "The wallbox charges with at most [7] kilowatts."
    assert marked(row.newer) == "The wallbox charges with at most [11] kilowatts."


def test_chinese_is_compared_character_by_character() -> None:
    [row] = difference(["充电功率最高为七千瓦。"], ["充电功率最高为十一千瓦。"]).rows
    assert marked(row.older) == "充电功率最高为[七]千瓦。"
    assert marked(row.newer) == "充电功率最高为[十一]千瓦。"


def test_unrelated_paragraphs_are_taken_out_and_put_in() -> None:
    found = difference(
        ["Same.", "Every door opens from inside.", "End."], ["Same.", "车窗会自动停下。", "End."]
    )
    assert [each.kind for each in found.rows] == ["same", "removed", "added", "same"]
    assert (found.num_changed, found.num_removed, found.num_added) == (0, 1, 1)


def test_equal_paragraphs_far_from_a_difference_are_counted_only() -> None:
    older = [f"Paragraph {number} of many." for number in range(20)]
    newer = [*older[:10], "Put in between.", *older[10:]]
    found = difference(older, newer)
    assert [(each.kind, each.count) for each in found.rows] == [
        ("left_out", 9),
        ("same", 0),
        ("added", 0),
        ("same", 0),
        ("left_out", 9),
    ]


def test_equal_editions_differ_in_nothing() -> None:
    found = difference(["a", "b"], ["a", "b"])
    assert [(each.kind, each.count) for each in found.rows] == [("left_out", 2)]


def test_headings_are_part_of_what_is_compared() -> None:
    found = paragraphs(
        [
            passage("One.", "Doors", "Lock"),
            passage("Two.\n\nThree.", "Doors", "Lock"),
            passage("Four.", "Doors", "Key"),
        ]
    )
    assert found == ["Doors", "Lock", "One.", "Two.", "Three.", "Key", "Four."]


def test_large_editions_are_cut_and_say_so() -> None:
    many = [f"line {number}" for number in range(editions.MAX_PARAGRAPHS + 1)]
    assert difference(many, many).is_cut
    assert not difference(many[:-1], many[:-1]).is_cut


def test_rewritten_book_is_not_searched_for_wordings() -> None:
    older = [f"old {number} words here" for number in range(60)]
    newer = [f"new {number} words here" for number in range(60)]
    found = difference(older, newer)
    assert (found.num_changed, found.num_removed, found.num_added) == (0, 60, 60)
