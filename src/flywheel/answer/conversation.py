"""A conversation → the last question, as it would be asked without what came before.

    "How do I charge at home?" · "And in winter?"  →  "How do I charge at home? And in winter?"

By rules (leaning.py), without a model: a question that leans on nothing comes back to the
character; one that leans is put behind what it leans on, in the user's own words, since search
weighs words and a wrong guess at a rewording would find something else. It is searched for, matched
with corrections and kept as what was asked.

What the assistant said is used only where it offered something to choose from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from flywheel.answer.leaning import MAX_CHARACTERS as LONGEST_LEANING
from flywheel.answer.leaning import leans
from flywheel.records import Message
from flywheel.search.terms import has_han
from flywheel.search.vocabulary import is_courtesy
from flywheel.search.wording import read

NUM_REMEMBERED = 8
"""Messages of the user that are looked back on."""

MAX_CHARACTERS = 600
"""Of what is put before a question that leans; the oldest is kept, since it names the subject."""

MAX_CHOICES = 10

_CHOICE = re.compile(r"^[ \t]{0,8}(?:[-*•]|\d{1,2}[.)、])[ \t](.{1,300})$", re.MULTILINE)
_ORDINALS = (
    (re.compile(r"\b(?:first|1st|former)\b|第[一1]|前者"), 0),
    (re.compile(r"\b(?:second|2nd)\b|第[二2]"), 1),
    (re.compile(r"\b(?:third|3rd)\b|第[三3]"), 2),
    (re.compile(r"\b(?:last|latter)\b|最后|后者"), -1),
)
_NUMBER = re.compile(r"(?:(?:the )?number|no|option|选|选项)? ?([1-9])")
_MAX_HAN, _MAX_LETTERS = 10, 30
_MORE_HAN, _MORE_LETTERS = 4, 12
"""What may be said beside a choice: I mean fast charging."""


def standalone(messages: Sequence[Message]) -> str:
    """The last message of the user as a question that stands alone.

    Args:
        messages: the conversation, oldest first; what follows the last message of the user is not
            looked at.

    Returns:
        The last message as it is where it leans on nothing, else behind what it leans on; empty
        where the user said nothing.
    """
    said = [place for place, each in enumerate(messages) if each.role == "user"]
    parts: tuple[str, ...] = ()
    for place in said[-NUM_REMEMBERED:]:
        text = messages[place].content
        if place != said[-1] and _is_courtesy(text):
            continue
        parts = _asked(text, parts, _reply_before(messages, place))
    return _joined(parts)


def _is_courtesy(text: str) -> bool:
    return len(text) <= LONGEST_LEANING and is_courtesy(text)


def _reply_before(messages: Sequence[Message], place: int) -> str:
    previous = messages[place - 1] if place else None
    return previous.content if previous and previous.role == "assistant" else ""


def _asked(text: str, before: tuple[str, ...], reply: str) -> tuple[str, ...]:
    """The parts of what is asked: the subject, what was last said of it, and the message."""
    if not before or _is_courtesy(text):
        return (text,)
    if choice := _chosen(text, reply):
        return (*_kept(before), choice)
    return (*_kept(before), text) if leans(text) else (text,)


def _kept(before: tuple[str, ...]) -> tuple[str, ...]:
    """The first part names the subject, the last is what is talked about at the moment."""
    kept = before if len(before) == 1 else (before[0], before[-1])
    return kept if sum(map(len, kept)) <= MAX_CHARACTERS else (before[0][:MAX_CHARACTERS],)


def _joined(parts: Sequence[str]) -> str:
    joined = "".join(parts[:1])
    for part in parts[1:]:
        joined = joined.rstrip()
        joined += _between(joined[-1:]) + part.lstrip()
    return joined


def _between(end: str) -> str:
    """What stands between a text that ends so and the next one."""
    if end in "。！？…":
        return ""
    return " " if end in ".!?" else "，" if has_han(end) else ", "


def _chosen(text: str, reply: str) -> str:
    """What the user chose from what the assistant offered; empty where he did not choose."""
    asked, _, offered = reply.partition("\n")
    if len(text) > LONGEST_LEANING or not asked.rstrip().endswith(("?", "？")):
        return ""
    found = islice(_CHOICE.finditer(offered), MAX_CHOICES)
    choices = [each[1].strip() for each in found]
    said = read(text).key.removesuffix("的")
    if len(choices) < 2 or not said:
        return ""
    keys = {each: read(each).key for each in choices}
    # The whole name of one may be the beginning of another's.
    named = [each for each in choices if keys[each] == said]
    named = named or [each for each in choices if _is_part(said, keys[each])]
    if len(named) == 1:
        return named[0]
    place = _place(said)
    return choices[place] if place is not None and place < len(choices) else ""


def _is_part(said: str, choice: str) -> bool:
    """Whether a choice is named, or a part of it, and next to nothing else is said."""
    if has_han(said):
        return said in choice or (choice in said and len(said) - len(choice) <= _MORE_HAN)
    is_little = len(said) - len(choice) <= _MORE_LETTERS
    said, choice = f" {said} ", f" {choice} "
    return said in choice or (choice in said and is_little)


def _place(said: str) -> int | None:
    """Which of the choices is meant by a number, if it is short enough to be nothing else."""
    if len(said) > (_MAX_HAN if has_han(said) else _MAX_LETTERS):
        return None
    if number := _NUMBER.fullmatch(said):
        return int(number[1]) - 1
    return next((place for words, place in _ORDINALS if words.search(said)), None)
