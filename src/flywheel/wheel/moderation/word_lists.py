"""Word lists as owners edit them: phrase by phrase, with all other lines left as they are.

A list that somebody broke in an editor is shown, too, so that it can be mended; what is written is
checked (moderation.py). Not here: what a phrase finds, which is moderation/words.py's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flywheel.errors import FlywheelError, UsageError
from flywheel.moderation.words import Objection, objection, read_phrase
from flywheel.store import audit
from flywheel.wheel.moderation.judging import (
    WORDS_ACTION,
    digest_of,
    read_word_list,
    word_lists,
    write_word_list,
)
from flywheel.wheel.moderation.rules import Outdated

if TYPE_CHECKING:
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace

PhraseKind = Literal["phrase", "open", "exception"]
"""A phrase as it stands, one whose last word may go on, or what is no find after all."""

PhraseProblem = Objection | Literal["line", "comment", "twice", "gone"]


class PhraseError(UsageError):
    """A phrase cannot be put into a list."""

    def __init__(self, problem: PhraseProblem, line: int = 0) -> None:
        """
        Args:
            line: of the list, from 1, where it is told.
        """
        super().__init__(_PROBLEMS[problem])
        self.problem, self.line = problem, line


_PROBLEMS: dict[PhraseProblem, str] = {
    "empty": "A phrase has a letter or a digit to look for.",
    "long": "The phrase is too long.",
    "letter": "One letter alone stands in too many texts.",
    "line": "A phrase is one line of visible characters.",
    "comment": "A phrase does not begin with #: that would be a comment.",
    "twice": "The list has this phrase already.",
    "gone": "The list has no such phrase any more.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One phrase of a list."""

    line: int
    """From 1."""
    text: str
    """Without its marks."""
    kind: PhraseKind


@dataclass(frozen=True, kw_only=True, slots=True)
class WordList:
    """A category's list, as it was read."""

    category: str
    text: str
    entries: tuple[Entry, ...]

    @property
    def digest(self) -> str:
        """What tells it from others."""
        return digest_of(self.text)

    @property
    def num_exceptions(self) -> int:
        """Of its entries."""
        return sum(each.kind == "exception" for each in self.entries)

    def with_phrase(self, text: str, kind: PhraseKind, line: int = 0) -> str:
        """Its text with a phrase at its end, or in the place of the one in a line.

        Raises:
            PhraseError: it is no phrase, stands there already, or the line holds none.
        """
        written = _written(self.category, text, kind)
        if line:
            self._check_line(line)
        told = _told(text, kind)
        if any(_told(each.text, each.kind) == told for each in self.entries if each.line != line):
            raise PhraseError("twice")
        lines = self.text.splitlines()
        if line:
            lines[line - 1] = written
        else:
            lines.append(written)
        return "\n".join(lines) + "\n"

    def without(self, line: int) -> str:
        """Its text without the phrase in a line; empty where nothing is left.

        Raises:
            PhraseError: the line holds none.
        """
        self._check_line(line)
        lines = self.text.splitlines()
        del lines[line - 1]
        return "\n".join(lines) + "\n" if lines else ""

    def _check_line(self, line: int) -> None:
        if line not in {each.line for each in self.entries}:
            raise PhraseError("gone")


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What there is to say of a list without showing it."""

    category: str
    num_phrases: int
    num_exceptions: int


def read(workspace: Workspace, category: str) -> WordList:
    """A category's list; an empty one where it has none.

    Raises:
        UsageError: the category's name cannot be one.
        SourceError: it cannot be read.
    """
    text = read_word_list(workspace, category)
    return WordList(category=category, text=text, entries=tuple(_entries(text)))


def summaries(workspace: Workspace) -> list[Summary]:
    """All lists, by category. Those that cannot be read are left out: moderation tells of them."""
    try:
        texts = word_lists(workspace)
    except FlywheelError:
        return []
    found = {category: list(_entries(text)) for category, text in texts.items()}
    return [
        Summary(
            category=category,
            num_phrases=sum(each.kind != "exception" for each in entries),
            num_exceptions=sum(each.kind == "exception" for each in entries),
        )
        for category, entries in found.items()
    ]


def check(category: str, text: str) -> None:
    """Lets a list's text pass that can be looked for.

    Raises:
        PhraseError: a line of it cannot; it says which.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        phrase = read_phrase(category, line)
        if phrase is not None and (problem := objection(phrase)):
            raise PhraseError(problem, number)


def write(workspace: Workspace, category: str, text: str, *, seen: str, by: Caller) -> None:
    """Puts a list in place of the one that was seen; an empty text takes it away.

    Raises:
        UsageError: the category's name cannot be one.
        PhraseError: a line of it can be looked for nowhere, or everywhere.
        Outdated: it is another one by now than that of the digest `seen`.
    """
    check(category, text)
    write_word_list(workspace, category, text, by, seen=seen)


def outdated(workspace: Workspace, category: str) -> Outdated:
    """That a list is not the one that was seen any more, with who changed it."""
    with workspace.database.read() as conn:
        return Outdated(audit.latest(conn, WORDS_ACTION, category))


def _entries(text: str) -> Iterator[Entry]:
    for number, line in enumerate(text.splitlines(), start=1):
        phrase = read_phrase("", line)
        if phrase is None:
            continue
        if phrase.is_exception:
            # One whose last word may go on is rare: its mark is part of what is edited.
            text_of = phrase.text + "*" * phrase.is_open
            yield Entry(line=number, text=text_of, kind="exception")
        else:
            yield Entry(line=number, text=phrase.text, kind="open" if phrase.is_open else "phrase")


def _written(category: str, text: str, kind: PhraseKind) -> str:
    """A phrase as a line says it.

    Raises:
        PhraseError: it is none.
    """
    text = text.strip()
    if not text.isprintable():
        raise PhraseError("line")
    if text.startswith("#"):
        raise PhraseError("comment")
    line = {"phrase": text, "open": f"{text}*", "exception": f"!{text}"}[kind]
    check(category, line if text else "*")
    return line


def _told(text: str, kind: PhraseKind) -> tuple[str, bool, bool]:
    return text.strip().casefold(), kind == "open", kind == "exception"
