"""Whether two wordings ask the same: nothing that matters may be on one side alone.

A wrong answer marked as verified is worse than a search, so that a paraphrase has to say the same
in general words (search/vocabulary.py), and a single word that it does not account for speaks
against it. The same both ways round.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from flywheel.search.terms import HAN
from flywheel.search.vocabulary import alike
from flywheel.search.wording import Wording

_KINDS_ALIKE = (
    {"", "@what"},
    {"", "@whatis"},
    {"", "@howmany"},
    {"", "@count"},
    {"@count", "@howmany"},
    {"", "@whether", "@may"},
    {"@what", "@whatis"},
    {"@whatis", "@howmany"},
    {"@whatis", "@howlong"},
    {"@whatis", "@price"},
    {"@howmany", "@price"},
    {"@howmany", "@howlong"},
    {"@howsoon", "@howlong"},
    {"@howsoon", "@when"},
    {"@how", "@todo"},
    {"@must", "@should"},
    {"@need", "@must"},
    {"@need", "@whether"},
    {"@time", "@when"},
    {"@time", "@howlong"},
)
"""Kinds that one question can be asked as. `@whatis` is what is the *fee*; `@what` has its noun
beside it, and what *fee* is none of how much. `@count` is 几个, of things and never of time; 要
is `@need`; a time without a question word, as in 开会的时间, is `@time`."""

_MODALS_ALIKE = (
    {"", "@may"},
    {"", "@must"},
    {"@may", "@most"},
    {"@must", "@least"},
)

_WEIGHT = {"#": 0.5, "^": 0.35, "*": 0.1, "~": 0.05}
"""Of the classes of search/vocabulary.py; content weighs 1."""

_PLACES = {"~公司", "~家里", "~车", "~里面"}

_GIVEN = {"*get", "*give"}
"""What comes of a need, and so is another question than the need."""

_DURATIONS = ("@howlong", "@howsoon")
_ASKED_FOR: dict[str, tuple[str, ...]]
_ASKED_FOR = {"~period": _DURATIONS, "~long": _DURATIONS, "~day": _DURATIONS}
_ASKED_FOR |= dict.fromkeys(("~rule", "~place", "~symbol", "~kind", "~process", "~item"), ())
"""Nouns that add little, but for behind *what is the*: what the rules are is not how much it is.
With the other kinds that ask for the same."""

_ROOT_LETTERS = 4
_FAMILY = re.compile(
    "|".join(("", "e", "y", "ment", "ation", "ition", "tion", "ion", "al", "ance", "ence", "anc",
              "enc", "ur", "ure", "age", "ag", "ity", "iti", "ness", "ly", "ive", "iv", "th",
              "at", "abl", "ing"))
)  # fmt: skip
"""Endings that make another word of the same: install, installation. None that makes another
thing, as in heat, heater."""

_WORD = re.compile(rf"[{HAN}]|[^\s{HAN}]+")


def weight(token: str) -> float:
    """What a token counts beside others."""
    return _WEIGHT.get(token[0], 1.0)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How two wordings compare."""

    objection: str
    """Why they cannot be taken to ask the same, or empty."""
    similarity: float = 0.0
    """The share of weight that is on both sides, from 0 to 1; 0 where there is an objection."""


def likeness(one: Wording, other: Wording) -> Likeness:
    """Whether two wordings ask the same, and how much of them is the same."""
    one, other = _after_what_is_done(one, other), _after_what_is_done(other, one)
    for reason, objects in _GUARDS:
        if objects(one, other):
            return Likeness(reason)
    apart = _Apart.of(one, other)
    for reason, objects_to in _GUARDS_APART:
        if objects_to(one, other, apart):
            return Likeness(reason)
    shared = _weight((one.tokens | other.tokens) - apart.tokens)
    return Likeness("", shared / (shared + _weight(apart.one | apart.other)))


def _after_what_is_done(one: Wording, other: Wording) -> Wording:
    """Without 之后, where the other says that it is done: 检查之后, 检查完."""
    if "^之后" not in one.tokens or not other.tokens.isdisjoint({"^之后", "^之前"}):
        return one
    if "~完" not in other.tokens:
        return one
    bound = frozenset(pair for pair in one.bound if pair[0] != "^之后")
    return replace(one, tokens=one.tokens - {"^之后"}, bound=bound)


@dataclass(frozen=True, slots=True)
class _Apart:
    """The tokens that one side has and the other has in no form."""

    one: frozenset[str]
    other: frozenset[str]
    """As plain verbs, where they go without saying."""
    tokens: frozenset[str]
    """Those of both, as they are."""

    @classmethod
    def of(cls, one: Wording, other: Wording) -> _Apart:
        same = _compounds(one, other) | _families(one, other)
        beside = one.tokens & other.tokens | same
        if _same_kind(one, other):
            beside |= {one.kind, other.kind}
        same |= _exchangeable(one, other, beside)
        sides = (one.tokens - other.tokens - same, other.tokens - one.tokens - same)
        mine, theirs = (frozenset(_said(side, beside)) for side in sides)
        return cls(mine, theirs, tokens=sides[0] | sides[1])


def _weight(tokens: Collection[str]) -> float:
    return sum(map(weight, sorted(tokens)))


def _same_kind(one: Wording, other: Wording) -> bool:
    """Whether both ask for the same thing, as far as their question words tell."""
    modals_agree = _alike(one.modal, other.modal, _MODALS_ALIKE)
    kinds_agree = _alike(one.kind, other.kind, _KINDS_ALIKE)
    return modals_agree and (kinds_agree or _kinds_beside(one, other))


def _kinds_beside(one: Wording, other: Wording) -> bool:
    """Whether both kinds ask the same beside a word of both: when, how often an oil is changed."""
    where = alike().pairs.get(frozenset((one.kind, other.kind)), frozenset())
    return not where.isdisjoint(one.tokens & other.tokens)


def _alike(one: str, other: str, groups: Iterable[set[str]]) -> bool:
    return one == other or any({one, other} <= each for each in groups)


def _exchanged(apart: _Apart) -> bool:
    """Whether a plain verb stands in the place of another: where I get it, where I put it; what I
    need, what I get. Or a place that goes without saying: at work, at home."""
    sides = ((apart.one, apart.other), (apart.other, apart.one))
    if all(any(token[0] == "*" for token in side) for side, _ in sides):
        return True
    if all(not _PLACES.isdisjoint(side) for side, _ in sides):
        return True
    return any("~need" in one and not other.isdisjoint(_GIVEN) for one, other in sides)


def _asks_for_other(one: Wording, other: Wording, apart: _Apart) -> bool:
    """Whether *what is the* has a noun that the other question does not ask for."""
    sides = ((one.kind, other.kind, apart.one), (other.kind, one.kind, apart.other))
    return any(
        kind == "@whatis" != asked and asked not in ("", "@what", *_ASKED_FOR[token])
        for kind, asked, tokens in sides
        for token in tokens & _ASKED_FOR.keys()
    )


def _compounds(one: Wording, other: Wording) -> frozenset[str]:
    """Tokens that are two words here and one there: dash cam, dashcam."""
    found: set[str] = set()
    for whole, parts in ((one, other), (other, one)):
        alone = whole.tokens - parts.tokens
        for first, second in parts.pairs:
            for together in (first + second, second + first):
                if together in alone:
                    found |= {first, second, together}
    return frozenset(found)


def _families(one: Wording, other: Wording) -> frozenset[str]:
    """Tokens that are another form of one on the other side: install, installation."""
    found: set[str] = set()
    for this in one.tokens - other.tokens:
        for that in other.tokens - one.tokens:
            if _related(this, that):
                found |= {this, that}
    return frozenset(found)


def _related(this: str, that: str) -> bool:
    pairs = zip(this, that, strict=False)
    root = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(this), len(that)))
    is_root = root >= _ROOT_LETTERS and this[:root].isascii() and this[:root].isalpha()
    return is_root and all(_FAMILY.fullmatch(each[root:]) for each in (this, that))


def _exchangeable(one: Wording, other: Wording, beside: frozenset[str]) -> frozenset[str]:
    """Tokens that can stand for one on the other side, beside what both have."""
    found: set[str] = set()
    for this in one.tokens - other.tokens:
        for that in other.tokens - one.tokens:
            where = alike().pairs.get(frozenset((this, that)))
            if where is not None and (not where or where & beside):
                found |= {this, that}
    return frozenset(found)


def _said(tokens: frozenset[str], beside: frozenset[str]) -> Iterator[str]:
    """The tokens; what goes without saying beside what both have, as a plain verb would."""
    unsaid = alike().unsaid
    for token in tokens:
        yield f"*{token}" if unsaid.get(token, frozenset()) & beside else token


def _misnamed(one: Wording, other: Wording) -> bool:
    """Whether a name is on one side alone, in whatever form."""
    return bool((one.tokens ^ other.tokens) & (one.names | other.names))


def _in_other_order(one: Wording, other: Wording) -> bool:
    """Whether who does it to whom may differ: the bank sues the client, the client the bank.

    The very same words in another order, unless it is only their end that has come to the front:
    if it rains, what do I do; what do I do if it rains.
    """
    if one.bound != other.bound:
        return True
    if one.key == other.key or sorted(one.key) != sorted(other.key):
        return False
    words, others = (_WORD.findall(each.key) for each in (one, other))
    has_come_round = f" {' '.join(others)} " in f" {' '.join(words + words)} "
    return sorted(words) == sorted(others) and not has_come_round


def _says(wording: Wording) -> bool:
    """Whether there is a word of weight at all."""
    return any(map(_is_heavy, wording.tokens))


def _is_heavy(token: str) -> bool:
    return token[0] not in "*~"


_GUARDS: tuple[tuple[str, Callable[[Wording, Wording], bool]], ...] = (
    ("number", lambda one, other: one.numbers != other.numbers),
    ("negation", lambda one, other: one.negations != other.negations),
    ("kind", lambda one, other: not _same_kind(one, other)),
    ("name", _misnamed),
    ("order", _in_other_order),
    ("nothing shared", lambda one, other: not (_says(one) and _says(other))),
)

_GUARDS_APART: tuple[tuple[str, Callable[[Wording, Wording, _Apart], bool]], ...] = (
    ("left over", lambda one, other, apart: any(map(_is_heavy, apart.one | apart.other))),
    ("exchange", lambda one, other, apart: _exchanged(apart)),
    ("asked for", _asks_for_other),
)
"""These cost more, so they come last."""
