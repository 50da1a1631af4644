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

from flywheel.answer.leaning import leans
from flywheel.records import Message
from flywheel.search.terms import fold, has_han
from flywheel.search.vocabulary import is_courtesy

NUM_REMEMBERED = 8
"""Messages of the user that are looked back on."""

MAX_CHARACTERS = 600
"""Of what is put before a question that leans; the oldest is kept, since it names the subject."""

_CHOICE = re.compile(r"^\s*(?:[-*•]|\d+[.)、])\s+(.+)$", re.MULTILINE)
_FIRST = ("first", "1st", "former", "第一", "第1", "前者", "前一", "前面")
_SECOND = ("second", "2nd", "第二", "第2")
_THIRD = ("third", "3rd", "第三", "第3")
_LAST = ("last", "latter", "最后", "后者", "后一", "后面")
_ORDINALS = ((_FIRST, 0), (_SECOND, 1), (_THIRD, 2), (_LAST, -1))
_NUMBER = re.compile(r"(?:number|no\.?|option|选|选项)?\s*([1-9])[.)]?")
_MAX_WORDS_OF_CHOICE = 6
_MAX_HAN_OF_CHOICE = 12
_NO_LETTERS = re.compile(r"[\W_]+")


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
        if place != said[-1] and is_courtesy(text):
            continue
        parts = _asked(text, parts, _reply_before(messages, place))
    return _joined(parts)


def _reply_before(messages: Sequence[Message], place: int) -> str:
    previous = messages[place - 1] if place else None
    return previous.content if previous and previous.role == "assistant" else ""


def _asked(text: str, before: tuple[str, ...], reply: str) -> tuple[str, ...]:
    """The parts of what is asked: the subject, what was last said of it, and the message."""
    if not before or is_courtesy(text):
        return (text,)
    if choice := _chosen(text, reply):
        return (*_kept(before), choice)
    return (*_kept(before), text) if leans(text) else (text,)


def _kept(before: tuple[str, ...]) -> tuple[str, ...]:
    """The first part names the subject, the last is what is talked about at the moment."""
    kept = before if len(before) == 1 else (before[0], before[-1])
    return kept if sum(map(len, kept)) <= MAX_CHARACTERS else (before[0][:MAX_CHARACTERS],)


def _joined(parts: Sequence[str]) -> str:
    joined = ""
    for part in parts:
        if joined:
            joined = joined.rstrip()
            joined += "" if joined[-1:] in "。！？…" else " " if joined[-1:] in ".!?" else ", "
        joined += part.lstrip() if joined else part
    return joined


def _chosen(text: str, reply: str) -> str:
    """What the user chose from what the assistant offered; empty where he did not choose."""
    choices = _CHOICE.findall(reply)
    if len(choices) < 2:
        return ""
    folded = fold(text).strip(" .,!?。，！？")
    is_short = (
        len(folded) <= _MAX_HAN_OF_CHOICE
        if has_han(folded)
        else (len(folded.split()) <= _MAX_WORDS_OF_CHOICE)
    )
    if is_short and (number := _NUMBER.fullmatch(folded)):
        return choices[int(number[1]) - 1] if int(number[1]) <= len(choices) else ""
    if is_short:
        for words, place in _ORDINALS:
            if any(word in folded for word in words) and place < len(choices):
                return str(choices[place])
    named = [each for each in choices if _names(folded, each)]
    return named[0] if len(named) == 1 else ""


def _names(folded: str, choice: str) -> bool:
    """Whether a message says one of the choices, or a part of it that tells it."""
    said, offered = (_NO_LETTERS.sub("", each) for each in (folded, fold(choice)))
    said = said.removesuffix("的")
    return bool(said) and (said in offered or offered in said)
