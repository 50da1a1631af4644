"""Lists are edited phrase by phrase; what else stands in them stays, and nothing is overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flywheel.errors import SourceError, UsageError
from flywheel.wheel.keys import Caller
from flywheel.wheel.moderation import judging as moderation
from flywheel.wheel.moderation import word_lists
from flywheel.wheel.moderation.judging import moderation_of
from flywheel.wheel.moderation.rules import Outdated
from flywheel.wheel.moderation.word_lists import Entry, PhraseError, PhraseKind, WordList

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

INES = Caller(key="5f0c2a9be1d4", name="Inés", role="owner", access=None)
TEXT = "# What the desk must not be told.\nkill you\nidiot*\n\n炸弹\n!kill switch*\n"


def parsed(domain: Domain, text: str = TEXT) -> WordList:
    moderation.write_word_list(domain.workspace, "threats", text)
    return word_lists.read(domain.workspace, "threats")


def test_a_list_is_read_as_phrases_with_what_they_mean(blank: Domain) -> None:
    found = parsed(blank)
    assert found.entries == (
        Entry(line=2, text="kill you", kind="phrase"),
        Entry(line=3, text="idiot", kind="open"),
        Entry(line=5, text="炸弹", kind="phrase"),
        Entry(line=6, text="kill switch*", kind="exception"),
    )
    assert found.num_exceptions == 1
    (summary,) = word_lists.summaries(blank.workspace)
    assert (summary.category, summary.num_phrases, summary.num_exceptions) == ("threats", 3, 1)
    assert word_lists.read(blank.workspace, "insults").entries == ()


@pytest.mark.parametrize(
    ("text", "kind", "line", "written"),
    [
        ("杀了你", "phrase", 0, TEXT + "杀了你\n"),
        ("  stupid ", "open", 0, TEXT + "stupid*\n"),
        ("杀毒", "exception", 0, TEXT + "!杀毒\n"),
        ("kill ya", "phrase", 2, TEXT.replace("kill you", "kill ya")),
        ("idiot", "phrase", 3, TEXT.replace("idiot*", "idiot")),
        ("kill switch*", "exception", 6, TEXT),
    ],
)
def test_phrases_are_added_and_replaced(
    blank: Domain, text: str, kind: PhraseKind, line: int, written: str
) -> None:
    assert parsed(blank).with_phrase(text, kind, line) == written


def test_a_phrase_is_taken_away_and_the_last_one_takes_the_list(blank: Domain) -> None:
    found = parsed(blank)
    assert found.without(3) == TEXT.replace("idiot*\n", "")
    assert parsed(blank, "only\n").without(1) == ""


@pytest.mark.parametrize(
    ("text", "kind", "line", "problem"),
    [
        ("", "phrase", 0, "empty"),
        (" !? ", "phrase", 0, "empty"),
        ("x", "phrase", 0, "letter"),
        ("x" * 201, "phrase", 0, "long"),
        ("a\nb", "phrase", 0, "line"),
        ("kill\u202eyou", "phrase", 0, "line"),
        ("#kill", "phrase", 0, "comment"),
        ("KILL you", "phrase", 0, "twice"),
        ("炸弹", "phrase", 2, "twice"),
        ("kill", "phrase", 1, "gone"),
        ("kill", "phrase", 99, "gone"),
    ],
)
def test_what_is_no_phrase_is_refused_with_its_reason(
    blank: Domain, text: str, kind: PhraseKind, line: int, problem: str
) -> None:
    with pytest.raises(PhraseError) as caught:
        parsed(blank).with_phrase(text, kind, line)
    assert caught.value.problem == problem


def test_a_comment_is_no_phrase_to_take_away(blank: Domain) -> None:
    for line in (0, 1, 4, 99, -1):
        with pytest.raises(PhraseError):
            parsed(blank).without(line)


def test_a_whole_list_is_checked_line_by_line(blank: Domain) -> None:
    found = parsed(blank)
    with pytest.raises(PhraseError) as caught:
        word_lists.write(blank.workspace, "threats", "fine\n# so\n?!\n", seen=found.digest, by=INES)
    assert (caught.value.problem, caught.value.line) == ("empty", 3)
    assert word_lists.read(blank.workspace, "threats") == found


def test_a_written_list_counts_and_the_second_of_two_overwrites_nothing(blank: Domain) -> None:
    before = parsed(blank)
    moderated = moderation_of(blank.workspace)
    changed = before.with_phrase("杀了你", "phrase")
    word_lists.write(blank.workspace, "threats", changed, seen=before.digest, by=INES)
    assert moderated.check("我要杀了你", "input").flagged
    with pytest.raises(Outdated) as caught:
        word_lists.write(blank.workspace, "threats", "other\n", seen=before.digest, by=INES)
    assert caught.value.act is not None and caught.value.act.user == "Inés"
    assert word_lists.read(blank.workspace, "threats").text == changed


def test_two_who_begin_the_same_list_do_not_both_get_it(blank: Domain) -> None:
    nothing = word_lists.read(blank.workspace, "spam")
    word_lists.write(blank.workspace, "spam", "buy\n", seen=nothing.digest, by=INES)
    with pytest.raises(Outdated):
        word_lists.write(blank.workspace, "spam", "sell\n", seen=nothing.digest, by=INES)


def test_a_list_that_was_broken_in_an_editor_is_shown_to_be_mended(blank: Domain) -> None:
    folder = blank.root / "moderation" / "words"
    folder.mkdir(parents=True)
    (folder / "threats.txt").write_text("\ufeffx\r\nkill you\r\n", encoding="utf-8")
    found = word_lists.read(blank.workspace, "threats")
    assert [each.text for each in found.entries] == ["x", "kill you"]
    mended = found.without(1)
    word_lists.write(blank.workspace, "threats", mended, seen=found.digest, by=INES)
    assert moderation_of(blank.workspace).check("kill you", "input").flagged
    (folder / "spam.txt").write_bytes(b"\xff\xfe")
    assert word_lists.summaries(blank.workspace) == []
    with pytest.raises(SourceError):
        word_lists.read(blank.workspace, "spam")


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b/c", "A", "x.txt", "a b", "x\x00"])
def test_what_is_no_category_is_no_list(blank: Domain, name: str) -> None:
    with pytest.raises(UsageError):
        word_lists.read(blank.workspace, name)
    with pytest.raises(UsageError):
        word_lists.write(blank.workspace, name, "kill\n", seen="", by=INES)
