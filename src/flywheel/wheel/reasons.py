"""Why a version was promoted or kept: every sentence that the wheel says of it, written and read.

A reason is kept as an English sentence, which the command line and JSON show as it is. Each is
made from a form with a name here; so the sentence leads back to its name and its values, and the
console says the same in another language. Not here: what decides (gate.py), and the other
languages' words (serve/console).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

FORMS: Mapping[str, str] = {
    # gate.py
    "first": "the first version is promoted without a contest",
    "unexamined": (
        "it carries newer documents, too few to make an exam of; write one in exam.jsonl"
    ),
    "gains": (
        "{metric} gains: {before} → {after}, lower bound {low} at α = {alpha}; {smallest} is the "
        "smallest gain this exam could see"
    ),
    "no_gain": (
        "{metric} shows no gain: {before} → {after}, lower bound {low} at α = {alpha}; {smallest} "
        "is the smallest gain this exam could see"
    ),
    "guarded": "{metric} does not fall: {before} → {after}, change at least {low}",
    "may_fall": (
        "{metric} may fall by more than {margin}: {before} → {after}, change at least {low}"
    ),
    "too_few": (
        "{metric}: {questions} too few to rule out a loss of {margin}: {before} → {after}, change "
        "at least {low}; add more to the exam"
    ),
    "newer": "it carries newer documents and {metric} does not fall: {before} → {after}",
    "unseen": "{questions} too few to rule out that {metric} falls by up to {loss}",
    "unmeasured": "the exam has no question that measures {metric}",
    "lost": "{metric} may have fallen: no answer of the challenger can be measured by it",
    "unguarded": "{metric} is not guarded: no answer of the champion can be measured by it",
    "incomparable": "{metric} cannot be compared: it measures no answer of that one",
    "cheaper": (
        "it costs {share} of the champion's {saving} and is as good as version {number}, the "
        "best: {as_good}"
    ),
    "not_as_good": (
        "it costs {share} of the champion's {saving}, but against version {number}, the best: "
        "{falls}"
    ),
    # cost.py
    "of_bytes": "{count} bytes",
    "of_time": "time an answer (at most {high} at 0.05, {count} questions)",
    # examination.py
    "stale": "{count} of {total} questions left out: the documents no longer hold their evidence",
    "switched_off": (
        "{count} questions that the champion learned from were switched off: the exam asks nearly "
        "the same"
    ),
    "synthetic": (
        "the exam is synthetic: {count} questions made from the documents; exam.jsonl would ask "
        "what users ask"
    ),
    "partly_synthetic": (
        "the exam is synthetic to {percent}: {count} questions made from the documents; "
        "exam.jsonl would ask what users ask"
    ),
    # writing.py
    "unheard": "none of its words stood the check",
    "writes": "in {language} the model writes: {reason}",
    "quotes": "in {language} the documents are quoted: {reason}",
    "worded": (
        "of {total} answers it worded {count}; {short} fell short and were quoted, at {untold} it "
        "said that the passages do not tell"
    ),
    "most_often": "most often: {shortfall}",
    "wording_takes": "wording an answer takes {seconds} s in the median",
    # answer/write.py, for a model that mostly fell short
    "wrote_nothing": "the model wrote nothing",
    "unsupported": "no passage supports what the model wrote",
    "mostly_unsupported": (
        "{count} of {total} sentences that the model wrote have no support in the passages"
    ),
    # turn.py
    "moved": "the owner promoted another version meanwhile; turn again to compare with that one",
    "nothing_new": "nothing is new since version {number}",
    "tried": "this model was tried on this exam before, or writes already",
    "before_that": "before that, version {number} was {decision}: {reason}",
    "learned": "its order is learned from {count} acts of feedback",
    "left_out": "left out of the learning: {counts}",
    "waits": "{wait} for an answer to join the exam: flywheel exam --waiting",
    # erasure.py
    "nothing_left": "erasure: no document is left",
    "without_erased": "erasure: it is version {number} without what was erased",
}
"""Every reason by its name. A value stands in braces; what it looks like is said below."""

_INTEGER, _DECIMAL = r"\d+", r"[+-]?(?:\d[\d.]*(?:e[+-]?\d+)?|inf|nan)"

_PATTERNS: Mapping[str, str] = {
    "metric": "[a-z0-9_]+",
    "number": _INTEGER,
    "count": _INTEGER,
    "total": _INTEGER,
    "short": _INTEGER,
    "untold": _INTEGER,
    "percent": r"\d+%",
    "language": "English|Chinese",
    "decision": "promoted|kept",
    "questions": r"\d+ questions? (?:is|are)",
    "wait": r"\d+ questions? waits?",
    "reason": ".+",
    "shortfall": ".+",
    "saving": ".+?",
    "as_good": ".+",
    "falls": ".+",
    "counts": ".+",
}
"""What each value looks like; what is not named is a decimal number."""

_SEPARATORS: Mapping[str, str] = {
    # A sentence may hold the sign that parts it from the next: only where that begins it parts.
    "as_good": r", (?=[a-z0-9_]+ does not fall: )",
    "falls": r"; (?=[a-z0-9_]+(?:: | may | cannot be compared: ))",
    "counts": r", (?=\d+ )",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """A sentence with its form and its values."""

    text: str
    """As it was kept."""
    form: str = ""
    """The name of its form; empty where it is of none, as what an owner wrote himself."""
    values: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, tuple[Reason, ...]] = field(default_factory=dict)
    """The sentences in it, under the name that they have in the form."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How many acts taught nothing for one reason."""

    count: int
    why: str


def say(form: str, **values: Any) -> str:
    """The sentence of a form."""
    return FORMS[form].format_map(values)


def read(text: str) -> Reason:
    """A sentence that `say` made, with what it was made from; any other one as it is."""
    for form, pattern in _compiled():
        if found := pattern.fullmatch(text):
            return _of(text, form, found.groupdict())
    return Reason(text=text)


def counts(reason: Reason) -> tuple[Count, ...]:
    """What was left out of the learning, of a reason that says so."""
    pieces = re.split(_SEPARATORS["counts"], reason.values.get("counts", ""))
    told = [piece.partition(" ") for piece in pieces if piece]
    return tuple(Count(count=int(count), why=why) for count, _, why in told)


def _of(text: str, form: str, values: dict[str, str]) -> Reason:
    parts: dict[str, tuple[Reason, ...]] = {}
    for name in ("reason", "shortfall", "saving", "as_good", "falls"):
        if name in values:
            whole = values.pop(name)
            separator = _SEPARATORS.get(name)
            pieces = re.split(separator, whole) if separator else [whole]
            parts[name] = tuple(read(each) for each in pieces)
    for name in ("questions", "wait"):
        if name in values:
            values[name] = values[name].partition(" ")[0]
    return Reason(text=text, form=form, values=values, parts=parts)


@cache
def _compiled() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((form, _pattern(text)) for form, text in FORMS.items())


def _pattern(text: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", text)
    return re.compile(
        "".join(
            f"(?P<{piece}>{_PATTERNS.get(piece, _DECIMAL)})" if place % 2 else re.escape(piece)
            for place, piece in enumerate(pieces)
        ),
        re.DOTALL,
    )
