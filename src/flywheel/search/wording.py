"""A question → what it asks, so that two wordings of one question can be told from two questions.

Sees one question at a time, and its words only: which corrections there are, who may read them
and how much a word weighs is the business of search/corrections.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise, zip_longest
from typing import NamedTuple

from flywheel.search.terms import HAN_RUN, fold, stem
from flywheel.search.vocabulary import (
    Courtesies,
    chinese,
    chinese_events,
    courtesies,
    english,
    function_words,
)

_HAN = HAN_RUN.pattern.removesuffix("+")
_PIECE = re.compile(
    rf"(?P<number>(?:(?<![^\s(])-)?\d+(?:[.,:/]\d+)*)|(?P<han>{_HAN}+)"
    rf"|(?P<word>(?!\d)(?:(?!{_HAN})[^\W_])+)|(?P<sign>°[cf]?|[%$€£¥+#<>=&])"
)
_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")
_HALF_HOUR = re.compile("(?:30|三十) ?分钟|半个?(?:小时|钟头)")
_MINUS = re.compile(r"(?:\bminus |零下 ?|\u2212)(?=\d)")
_NOT = re.compile(
    r"\b(ca|wo|sha|could|would|should|must|need|do|does|did|is|are|was|were|has|have|had)n"
    r"(?:['’`]t|t)\b"
)
_WHOLE = {"ca": "can", "wo": "will", "sha": "shall"}
_ENDING = re.compile(r"(?<=\w)['’`](?:s|m|re|ve|d|ll)\b")
_CAPITALISED = re.compile(r"(?<=[^\s.?!:;。？！：；][ ])[A-Z][A-Za-z0-9]*|(?<=[ /-])[A-Z0-9]{2,}\b")
_NUMERALS = re.compile("[零一二两三四五六七八九十百千万]+")
_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"两": 2}
_POWERS = {"十": 10, "百": 100, "千": 1_000, "万": 10_000}
_NUMBER_WORDS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "fifteen": "15", "twenty": "20",
    "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "ninety": "90", "hundred": "100",
}  # fmt: skip
"""Without `one`, which seldom counts."""
_UNITS = {"m", "l", "v", "h", "s"}
"""Letters that are a unit behind a number and a name elsewhere."""

_SIGNS = {"%": "^percent", "°": "^degree", "°c": "^degree"}

_BINDS_NEXT = {"^from", "^before", "^after", "^over", "^under", "^until", "^since", "^instead"}
_BINDS_NEXT |= {"^except", "^only", "^比", "^从", "^到", "^只", "换成"}
_BINDS_LAST = {"^之前", "^之后"}
_IN_TIME = {"^前": "^之前", "^后": "^之后"}
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
_MAX_BETWEEN = 5
"""Words between the halves of a wording."""
_WHY = re.compile(
    "怎么(?:就|老|总|总是|还|又|突然|一直)?(?="
    "[不没]|[^不没]{1,2}不(?:了|上|下|出|进|掉|动|着|开|到|住|起|来|去|亮|好|干净))"
)
"""How come: 怎么关不掉, 怎么不亮."""
_EITHER = re.compile("([^有可能会要是行让准好需应该用许允支对必贵])[不没]\\1")
"""Whether or not: 退不退."""
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


class _Piece(NamedTuple):
    text: str
    kind: str
    """number, han, word, sign, or token for what is read already"""


class _Token(NamedTuple):
    text: str
    source: str
    """The word that it stands for, where it stands for one."""


@lru_cache(maxsize=50_000)
def wording(text: str) -> Wording:
    """Reads a question. Remembered, since each new version reads all corrections again."""
    pieces = _pieces(text)
    core = _without_courtesies(pieces) or pieces
    stream = _in_time(list(_tokens(core)))
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
        key=_key(core) or fold(text).strip(),
        kind=kind,
        modal=modal,
        tokens=frozenset(texts),
        names=frozenset(_names(text, content)),
        numbers=tuple(each for each in texts if each[0] == "#"),
        negations=sum(token.text[0] == "!" for token in stream),
        bound=frozenset(_bindings(texts)),
        pairs=frozenset((min(pair), max(pair)) for pair in pairwise(texts)),
    )


def _in_general(content: list[_Token], kind: str) -> tuple[list[_Token], str]:
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


def _exchange(content: Sequence[_Token], old: str, new: str) -> list[_Token]:
    return [_Token(new, each.source) if each.text == old else each for each in content]


def _key(core: Sequence[_Piece]) -> str:
    """The pieces as they are, but for the particle that only makes them a question."""
    joined = " ".join(piece.text for piece in core)
    return joined.rstrip("吗") or joined


def _pieces(text: str) -> list[_Piece]:
    folded = _HALF_HOUR.sub("半小时", _MINUS.sub("-", fold(text)))
    folded = _NOT.sub(lambda found: f"{_WHOLE.get(found[1], found[1])} not", folded)
    folded = _ENDING.sub("", folded.replace("cannot", "can not").replace("what's", "what is"))
    found = (_piece_in_chinese() if HAN_RUN.search(folded) else _PIECE).finditer(folded)
    return [_Piece(_plain(each[0]), each.lastgroup or "") for each in found]


@cache
def _piece_in_chinese() -> re.Pattern[str]:
    """As `_PIECE`, with the Latin wordings of the Chinese lists in the run: 连wifi."""
    latin = "|".join(
        re.escape(each)
        for each in sorted(chinese().table, key=len, reverse=True)
        if re.search("[a-z]", each)
    )
    run = rf"(?P<han>(?:(?<![a-z0-9])(?:{latin})(?![a-z])|{_HAN})+)"
    return re.compile(f"{run}|{_PIECE.pattern.replace('han>', '_>')}")


def _plain(piece: str) -> str:
    return _THOUSANDS.sub("", piece)


def _without_courtesies(pieces: list[_Piece]) -> list[_Piece]:
    """Cuts off greetings before and thanks behind, as often as they come."""
    before, after = courtesies("before"), courtesies("after")
    pieces = list(pieces)
    while pieces and (count := _courtesy(before, pieces, from_end=False)):
        del pieces[:count]
    while pieces and (count := _courtesy(after, pieces, from_end=True)):
        del pieces[-count:]
    if pieces and pieces[0].kind == "han":
        pieces[0] = _Piece(before.leading.sub("", pieces[0].text), "han")
    if pieces and pieces[-1].kind == "han":
        pieces[-1] = _Piece(after.trailing.sub("", pieces[-1].text), "han")
    return [piece for piece in pieces if piece.text]


def _courtesy(known: Courtesies, pieces: Sequence[_Piece], *, from_end: bool) -> int:
    """How many pieces the longest courtesy takes at an end."""
    for count in range(min(6, len(pieces)), 0, -1):
        part = pieces[-count:] if from_end else pieces[:count]
        if part[0].kind == "han":
            bare = (known.trailing if from_end else known.leading).sub("", part[0].text)
            if count == 1 and not bare:
                return 1
        elif tuple(piece.text for piece in part) in known.phrases:
            return count
    return 0


def _tokens(pieces: Sequence[_Piece]) -> Iterator[_Token]:
    """The pieces in general words; what a list drops is left out."""
    pieces, position = list(pieces), 0
    while position < len(pieces):
        piece = pieces[position]
        taken = 1
        if piece.kind == "number":
            yield _Token("#" + piece.text, piece.text)
        elif piece.kind == "sign":
            yield _Token(_SIGNS.get(piece.text, "^" + piece.text), "")
        elif piece.kind == "han":
            yield from _han_tokens(piece.text)
        elif apart := _apart(pieces, position):
            first, *rest = apart.tokens
            pieces[apart.start : apart.end] = [_Piece(token, "token") for token in rest]
            yield _Token(first, "")
        elif piece.kind == "token":
            yield _Token(piece.text, "")
        elif found := _phrase(pieces, position):
            taken = found.length
            source = piece.text if taken == 1 else ""
            yield from (_Token(token, source) for token in found.tokens)
        elif piece.text in _NUMBER_WORDS:
            yield _Token("#" + _NUMBER_WORDS[piece.text], "")
        elif piece.text not in function_words():
            yield _Token(stem(piece.text), piece.text)
        position += taken


def _in_time(stream: Sequence[_Token]) -> list[_Token]:
    """前 and 后 are of time behind an event, and where they could be the front or back of nothing.

    What has happened stays so, and after it need not be said.
    """
    placed: list[_Token] = []
    for token, behind in zip_longest(stream, stream[1:]):
        of_event = bool(placed) and placed[-1].text in chinese_events()
        in_time = of_event or behind is None or behind.text[0] in "@#!"
        text = _IN_TIME.get(token.text, token.text) if in_time else token.text
        if not (of_event and text == "^之后"):
            placed.append(_Token(text, token.source))
    return placed


def _without_on(content: list[_Token]) -> list[_Token]:
    """`on` turns a question round only where something is switched."""
    if any(token.text == "switch" for token in content):
        return content
    return [token for token in content if token.text != "^on"]


class _Apart(NamedTuple):
    start: int
    end: int
    """Where the second half stands."""
    tokens: tuple[str, ...]


def _apart(pieces: Sequence[_Piece], position: int) -> _Apart | None:
    """The wording in two halves that starts here: get … off."""
    halves = english().halves.get(stem(pieces[position].text))
    if not halves:
        return None
    for start in range(position + 2, min(position + _MAX_BETWEEN + 2, len(pieces))):
        for second, tokens in halves.items():
            end = start + len(second)
            if tuple(stem(piece.text) for piece in pieces[start:end]) == second:
                if _spans(pieces, position + 1, start):
                    continue
                return _Apart(start, end, tokens)
    return None


def _spans(pieces: Sequence[_Piece], first: int, end: int) -> bool:
    """Whether a wording from before goes on at the end: get a day off."""
    found = ((at, _phrase(pieces, at)) for at in range(first, end) if pieces[at].kind == "word")
    return any(phrase and at + phrase.length > end for at, phrase in found)


class _Phrase(NamedTuple):
    length: int
    tokens: tuple[str, ...]


def _phrase(pieces: Sequence[_Piece], position: int) -> _Phrase | None:
    """The longest wording of the English tables that starts here."""
    first = pieces[position].text
    counted = position > 0 and pieces[position - 1].kind == "number"
    if len(first) == 1 and first in _UNITS and not counted:
        return None
    exact, table, lengths, _ = english()
    for length in lengths.get(stem(first), ()):
        words = tuple(piece.text for piece in pieces[position : position + length])
        tokens = exact.get(words, table.get(tuple(map(stem, words))))
        if tokens is not None:
            return _Phrase(length, tokens)
    return None


@lru_cache(maxsize=50_000)
def _han_tokens(run: str) -> tuple[_Token, ...]:
    """A run of Chinese: the wordings of the lists, numbers, and single characters."""
    table, lengths = chinese()
    run = _EITHER.sub(r"是否\1", _WHY.sub("为什么", run))
    tokens: list[_Token] = []
    position = 0
    while position < len(run):
        parts = (run[position : position + each] for each in lengths.get(run[position], ()))
        text = next((part for part in parts if part in table), "")
        if text:
            tokens.extend(_Token(token, text) for token in table[text])
        elif numerals := _NUMERALS.match(run, position):
            text = numerals[0]
            tokens.append(_Token("#" + _value(text), text))
        else:
            text = run[position]
            tokens.append(_Token(text, text))
        position += len(text)
    return tuple(tokens)


def _value(numerals: str) -> str:
    """一百二十 → 120; 二零二五 → 2025."""
    if not any(char in _POWERS for char in numerals):
        return "".join(str(_DIGITS[char]) for char in numerals)
    total = section = digit = 0
    for char in numerals:
        if char in _DIGITS:
            digit = _DIGITS[char]
        elif char == "万":
            total, section, digit = (total + section + digit) * 10_000, 0, 0
        else:
            section, digit = section + (digit or 1) * _POWERS[char], 0
    return str(total + section + digit)


def _kind(stream: Sequence[str], opening: Sequence[_Piece]) -> tuple[str, str]:
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


def _names(text: str, content: Sequence[_Token]) -> Iterator[str]:
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
