"""A question → what it asks, so that two wordings of one question can be told from two questions.

Sees one question at a time, and its words only: which corrections there are, who may read them
and how much a word weighs is the business of search/corrections.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from flywheel.search.pieces import Piece, key_of, pieces_of, without_courtesies
from flywheel.search.terms import fold
from flywheel.search.tokens import Token, tokens_of

_CAPITALISED = re.compile(r"(?<=[^\s.?!:;。？！：；][ ])[A-Z][A-Za-z0-9]*|(?<=[ /-])[A-Z0-9]{2,}\b")
_BINDS_NEXT = {"^from", "^before", "^after", "^over", "^under", "^until", "^since", "^instead"}
_BINDS_NEXT |= {"^except", "^only", "^比", "^从", "^到", "^只", "换成"}
_BINDS_LAST = {"^之前", "^之后"}
_TURNS = {
    "@once": {"@howlong": "@howoften"},
    "@way": {"@what": "@how", "@whatis": "@how"},
}
"""Words that turn the question word before them into another: 多久换一次, what way."""
_IMPLIED = {
    "^maximum": "@most",
    "^最大": "@most",
    "^最长": "@most",
    "limit": "@most",
    "^minimum": "@least",
    "^最小": "@least",
}
"""What may be at most, and must be at least, need not say so."""
_QUANTITIES = ("@what", "@whatis", "@howmany", "@count", "@howlong", "@price", "")
_YES_OR_NO = ("@may", "@must", "@should", "@need", "@whether")
_MONEY = {"学费", "押金", "定金", "房租", "物业费", "水费", "电费", "停车费", "税", "社保", "罚"}
_MONEY |= {"price"}
"""What is handed in of it is paid."""
_PAPERS = {"材料", "证明"}
_HANDED_IN = {"*带", "提交"}
"""What is done with papers need not be said where it is asked which."""
_MADE_KNOWN = {"通知", "提交", "*办"}
"""Nor what is to be done some time ahead: 提前几天."""
_TELLING = {"i", "we", "my", "our", "the", "a", "an", "it", "there", "this", "someone"}
"""What opens a sentence that tells, before one that asks: I need a room, how do I get one."""
_MODALS = ("@must", "@may", "@should", "@whether")


@dataclass(frozen=True, slots=True)
class Wording:
    """What a question asks, in tokens that are the same for many of its wordings."""

    key: str
    """The normal form: equal for the same question with other punctuation, case or courtesies."""
    kind: str
    """What is asked for (`@where`), or empty where the wording does not tell."""
    modal: str
    """`@must` or `@may` beside another kind, since when I may is not when I must; `@most` or
    `@least` where the question asks for a maximum or a minimum."""
    tokens: frozenset[str]
    names: frozenset[str]
    """Those of the tokens that name something: capitalised, single letters, with digits."""
    numbers: tuple[str, ...]
    negations: int
    bound: frozenset[tuple[str, str]]
    """What a word of direction belongs to: after *what*, from *where*."""
    pairs: frozenset[tuple[str, str]]
    """Neighbours, in either order."""


_MAX_REMEMBERED = 500
"""Characters from which a question is read again each time, so that memory has a bound."""


def wording(text: str) -> Wording:
    """Reads a question that is kept, such as a correction's. Remembered, since each new version
    reads all corrections again."""
    return _remembered(text) if len(text) <= _MAX_REMEMBERED else read(text)


@lru_cache(maxsize=50_000)
def _remembered(text: str) -> Wording:
    return read(text)


def read(text: str) -> Wording:
    """Reads a question that somebody asks, of which nothing stays in memory."""
    pieces = pieces_of(text)
    core = without_courtesies(pieces) or pieces
    stream = tokens_of(core)
    content = _without_on([token for token in stream if token.text[0] not in "@!"])
    kind, modal = _kind([token.text for token in stream], core[:1])
    content, kind = _in_general(content, kind)
    texts = [token.text for token in content]
    implied = next((_IMPLIED[each] for each in texts if each in _IMPLIED), "")
    if implied and kind in _QUANTITIES:
        modal, content = implied, [token for token in content if token.text not in _IMPLIED]
    texts = [token.text for token in content]
    if kind == "@when" and "^latest" in texts:
        modal = "@must"
    return Wording(
        key=key_of(core) or fold(text).strip(),
        kind=kind,
        modal=modal,
        tokens=frozenset(texts),
        names=frozenset(_names(text, content)),
        numbers=tuple(each for each in texts if each[0] == "#"),
        negations=sum(token.text[0] == "!" for token in stream),
        bound=frozenset(_bindings(texts)),
        pairs=frozenset((min(pair), max(pair)) for pair in pairwise(texts)),
    )


def _in_general(content: list[Token], kind: str) -> tuple[list[Token], str]:
    """Other words, or none, for those that go without saying beside what is asked for."""
    texts = {token.text for token in content}
    if kind in _QUANTITIES and "price" in texts and kind != "@howlong":
        kind = "@price"
    if kind == "@price":
        content = [token for token in content if token.text not in ("price", "*付", "提交")]
    elif any(text in _MONEY for text in texts):
        content = _exchange(content, "提交", "*付")
    if kind not in (*_YES_OR_NO, ""):
        content = _exchange(content, "申请", "*办")
    if kind == "@what" and not _PAPERS.isdisjoint(texts):
        content = [token for token in content if token.text not in _HANDED_IN]
    if kind in ("@howlong", "@howsoon") and "提前" in texts:
        content = [token for token in content if token.text not in _MADE_KNOWN]
    if kind == "@howoften":
        content = _exchange(content, "查看", "检查")
    if not kind and "~位置" in texts:
        kind = "@where"
    if not kind and content and content[-1].text == "~时间":
        kind = "@time"
    return content, kind


def _exchange(content: Sequence[Token], old: str, new: str) -> list[Token]:
    return [Token(new, each.source) if each.text == old else each for each in content]


def _without_on(content: list[Token]) -> list[Token]:
    """`on` turns a question round only where something is switched."""
    if any(token.text == "switch" for token in content):
        return content
    return [token for token in content if token.text != "^on"]


def _kind(stream: Sequence[str], opening: Sequence[Piece]) -> tuple[str, str]:
    """What is asked for, and whether of what must or of what may be.

    A modal verb that opens the question makes it one to be answered with yes or no; elsewhere
    the first question word counts, and where there is none, the strongest modal verb.
    """
    kinds = [token for token in stream if token[0] == "@"]
    modal = next((each for each in _MODALS if each in kinds), "")
    asked = next((each for each in kinds if each not in (*_MODALS, *_TURNS, "@need")), "")
    behind = kinds[kinds.index(asked) :] if asked else []
    for each, turned in _TURNS.items():
        if each in behind:
            asked = turned.get(asked, asked)
    is_told = any(piece.kind == "han" or piece.text in _TELLING for piece in opening)
    if not asked or (stream[0] in _MODALS and not is_told):
        return ("@need" if modal == "@whether" and "@need" in kinds else modal), ""
    free = asked in ("@how", "@todo", "@consequence") or modal not in ("@must", "@may")
    return asked, "" if free else modal


def _names(text: str, content: Sequence[Token]) -> Iterator[str]:
    """The tokens that name something; of a text in capitals throughout, nothing can be told."""
    plain = unicodedata.normalize("NFKC", text)
    found = {word.lower() for word in _CAPITALISED.findall(plain)}
    num_words = len(plain.split())
    shouted = len(found) > 2 and 2 * len(found) > num_words
    for token, source in content:
        single = len(source) == 1 and source.isascii() and source.isalpha()
        mixed = token[0] != "#" and any(char.isdigit() for char in source)
        if single or mixed or (not shouted and source in found):
            yield token


def _bindings(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    for this, following in pairwise(texts):
        if this in _BINDS_NEXT:
            yield this, following
        if following in _BINDS_LAST:
            yield following, this
