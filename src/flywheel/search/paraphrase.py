"""Whether two wordings ask the same: guards that no likeness outweighs, and how alike the rest is.

The same both ways round. Sees two questions and what their words weigh; which corrections there
are and who may read them is the business of search/corrections.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable

from flywheel.search.wording import Wording

Weigh = Callable[[str], float]

FEATURES = ("similarity", "shared", "largest", "exchanged", "both sides")
"""`likeness` is a logistic model of these; each can only speak for or only against it."""
_COEFFICIENTS = (1.14, 0.98, -2.96, -2.11, -1.18)
_INTERCEPT = 2.18
"""Fitted by `bench/corrections.py --fit` on the pairs that are not for the test."""
_ENOUGH_SHARED = 4.0
_CLASSES = "@!^+~#"

_ALIKE = (
    {"", "@what"},
    {"", "@whatis"},
    {"", "@howmany"},
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
)
"""Kinds that one question can be asked as. `@whatis` is what is the *fee*; `@what` has its noun
beside it, and what *fee* is none of how much."""

_MODALS_ALIKE = (
    {"", "@may"},
    {"", "@must"},
    {"@may", "@most"},
    {"@must", "@least"},
)


def same_kind(one: Wording, other: Wording) -> bool:
    """Whether both ask for the same thing, as far as their question words tell."""
    return _alike(one.modal, other.modal, _MODALS_ALIKE) and _alike(one.kind, other.kind, _ALIKE)


def _alike(one: str, other: str, groups: Iterable[set[str]]) -> bool:
    return one == other or any({one, other} <= each for each in groups)


def objection(one: Wording, other: Wording) -> str:
    """Why two wordings cannot ask the same, or empty: what no likeness outweighs."""
    apart = one.tokens ^ other.tokens
    for reason, objects in _GUARDS:
        if objects(one, other, apart):
            return reason
    return ""


def _misplaced(one: Wording, other: Wording) -> bool:
    """Whether a word of direction that both have belongs to something else there."""
    both = {this for this, _ in one.bound} & {this for this, _ in other.bound}
    return any(this in both for this, _ in one.bound ^ other.bound)


_Guard = Callable[[Wording, Wording, frozenset[str]], bool]

_GUARDS: tuple[tuple[str, _Guard], ...] = (
    ("number", lambda one, other, apart: one.numbers != other.numbers),
    ("negation", lambda one, other, apart: one.negations != other.negations),
    ("kind", lambda one, other, apart: not same_kind(one, other)),
    ("direction", lambda one, other, apart: any(token[0] == "^" for token in apart)),
    ("name", lambda one, other, apart: bool(apart & (one.names | other.names))),
    ("order", lambda one, other, apart: _misplaced(one, other)),
)


def likeness(one: Wording, other: Wording, weigh: Weigh) -> float:
    """How likely two wordings without an objection ask the same, from 0 to 1."""
    values = zip(_COEFFICIENTS, features(one, other, weigh), strict=True)
    return 1 / (1 + math.exp(-_INTERCEPT - sum(each * value for each, value in values)))


def features(one: Wording, other: Wording, weigh: Weigh) -> tuple[float, ...]:
    """What the likeness of two wordings is told by.

    `similarity` is the share of weight that is on both sides, words written as one or as two alike;
    `largest` the heaviest word that one side lacks; `exchanged` the heaviest that is on the
    lighter side of two, so that a word stands in the place of another.
    """
    compounds = _compounds(one, other)
    alone = (one.tokens - other.tokens - compounds, other.tokens - one.tokens - compounds)
    shared = _sum(one.tokens & other.tokens, weigh)
    left = _sum(alone[0] | alone[1], weigh)
    heaviest = [
        max((weigh(each) for each in side if each[0] not in _CLASSES), default=0.0)
        for side in alone
    ]
    return (
        shared / (shared + left) if shared else 0.0,
        min(shared / _ENOUGH_SHARED, 1.0),
        max(heaviest),
        min(heaviest),
        float(all(alone)),
    )


def _sum(tokens: Collection[str], weigh: Weigh) -> float:
    return sum(map(weigh, sorted(tokens)))


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
