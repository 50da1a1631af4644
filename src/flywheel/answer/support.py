"""Does a passage say what a sentence says? What stands between a model's words and the reader.

A sentence is supported by the sentence of a passage that holds most of what it says, with those
beside it where they add to that: together they hold its numbers, and the first denies what it
denies. No model judges another here: terms, numbers and
negations are compared, which errs towards taking a true sentence out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from flywheel.answer.quote import Span, cite, sentences
from flywheel.records import Citation, Passage
from flywheel.search.frequencies import Frequencies
from flywheel.search.terms import HAN, fold, stem, term_ids
from flywheel.search.tokens import value_of

if TYPE_CHECKING:
    import numpy.typing as npt

LEAST = 0.6
"""The share of a sentence's weight that its support must hold. Of 1,932 sentences of the example,
each put beside a passage of another document, 2.8 % find this much: copies, with a share of 1
nearly all. Between 0.4 and 0.6 there were 0.7 %."""
LONGEST_RUN = 3
"""Sentences of one passage that may support one sentence together."""
WORTH_ANOTHER = 0.1
"""What a further sentence must add to the share to be quoted as well."""

_SPELLED = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty"
)
_WORDS = {name: str(value) for value, name in enumerate(_SPELLED.split())} | {
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "sixty": "60",
    "ninety": "90",
}
_UNITS = (
    r"years?|months?|weeks?|days?|hours?|minutes?|seconds?|times?|percent|degrees?|bar|psi|kpa"
    r"|km/h|mph|kwh|kw|km|cm|mm|kg|mg|ml|miles?|metres?|meters?|litres?|liters?|euros?|dollars?"
    r"|[%€$£]|°[cf]?|小时|分钟|公里|公斤|厘米|毫米|千米|千克|[年月日天周元角分条款项倍次岁名人米升克度秒个]"
)
_NUMBER = re.compile(
    r"(?P<digits>(?<![\w.,-])[-−]?\d+(?:[.,]\d+)*|(?<=[^\W\d_])\d+(?:[.,]\d+)*|\d+(?:[.,]\d+)*)"
    r"|(?P<han>[零〇一二三四五六七八九十百千万两]+)"
    rf"|\b(?P<word>{'|'.join(sorted(_WORDS, key=len, reverse=True))})\b"
)
_UNIT_BEHIND = re.compile(rf"\s*(?:个(?=月|小时))?(?P<unit>{_UNITS})(?![a-z])")
_COUNTLESS = {"一", "one"}
"""As often "a" or "some" as a number: counted where a unit follows."""
REACH = 3
"""Words, or Chinese characters, behind a denial: the first is denied, the others may be."""
_BETWEEN = frozenset({"a", "an", "the", "to", "be", "been", "have", "has", "any", "yet", "also"})
"""What may stand between a denial and the word that it denies."""

_WORD = re.compile(
    r"(?P<denies>\b(?:not|no|never|none|nor|neither|cannot|without|unless|except)\b|n['’]t\b"
    r"|[不没無无未勿禁非](?!同|仅|但|只|论|管|过|断))"
    rf"|[{HAN}]|[a-z0-9]+(?!['’]t\b)"
)
_UNIT = re.compile(rf"[{HAN}]|[a-z]+")
_ADDRESS = re.compile(
    r"\]\([^\s)]*"  # a link's or an image's target in Markdown
    r"|<[a-z/!?][^\s>]*"
    r"|(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}://[!-~]*"
    r"|(?<![a-z0-9+.-])(?:mailto|javascript|vbscript|data|tel|sms|file):[!-~]+"
    r"|(?<![a-z0-9/:])//[a-z0-9\[][!-~]*"
    r"|(?<![a-z0-9.@-])[a-z0-9_.+-]{1,64}@[a-z0-9-]+(?:\.[a-z0-9-]+)+"
    r"|(?<![a-z0-9.@/-])(?:[a-z0-9-]+\.)+[a-z]{2,}\b(?:[/?#:][!-~]*)?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Support:
    """What of a passage says what a sentence says."""

    citation: Citation
    share: float
    """Of the sentence's weight, that the cited run holds."""


def support(sentence: str, passages: Sequence[Passage], frequencies: Frequencies) -> Support | None:
    """The run of one passage that supports a sentence best; None where none does."""
    found = [each for passage in passages if (each := _in_passage(sentence, passage, frequencies))]
    return max(found, key=lambda each: each.share, default=None)


def _in_passage(sentence: str, passage: Passage, frequencies: Frequencies) -> Support | None:
    # Numbers are compared by value, below: 三十 and 30 share no term.
    terms = term_ids(_NUMBER.sub(_beside, fold(sentence)))
    weights = frequencies.idf(terms)
    total = float(weights.sum())
    spans = sentences(passage.text)
    if not total or not spans:
        return None
    named = np.isin(terms, term_ids(" ".join((passage.title, *passage.headings))))
    held = [np.isin(terms, term_ids(passage.text[each.start : each.end])) for each in spans]
    shares = [float(weights[named | each].sum()) / total for each in held]
    core = int(np.argmax(shares))
    if contradict(sentence, passage.text[spans[core].start : spans[core].end]):
        return None
    first, last, share = _run(core, shares[core], held, named, weights / total)
    if share < LEAST:
        return None
    span = Span(spans[first].start, spans[last].end)
    said = " ".join((passage.title, *passage.headings, passage.text[span.start : span.end]))
    if not numbers(sentence) <= numbers(said):
        return None
    if not addresses(sentence) <= addresses(said):
        return None
    subject = _heaviest(sentence, frequencies)
    if subject and not np.isin(term_ids(subject), term_ids(said)).all():
        return None
    return Support(citation=cite(passage, span), share=share)


def addresses(text: str) -> frozenset[str]:
    """What of a text leads elsewhere or is markup: addresses, targets of links and images, tags.

    A reader's program may follow or load them by itself, and what they are made of goes along.
    """
    return frozenset(match[0].rstrip(".,;:!?") for match in _ADDRESS.finditer(fold(text)))


def _heaviest(sentence: str, frequencies: Frequencies) -> str:
    """The rarest word, or Chinese character, that the documents use: mostly what a sentence is
    about. Two passages about the lamp and the horn may share all others."""
    units = {match[0] for match in _UNIT.finditer(fold(sentence))} - _BETWEEN
    known = [each for each in units if frequencies.known(term_ids(each)).all()]
    weights = {each: float(frequencies.idf(term_ids(each)).max()) for each in known}
    return max(sorted(weights), key=lambda each: weights[each], default="")


def _run(
    core: int,
    share: float,
    held: Sequence[npt.NDArray[np.bool_]],
    named: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.float64],
) -> tuple[int, int, float]:
    """The sentence that holds most, with those beside it that hold what it lacks.

    Returns its first and last sentence, and the share of the weight that it holds.
    """
    first = last = core
    together = named | held[core]
    while last - first + 1 < LONGEST_RUN:
        beside = [each for each in (first - 1, last + 1) if 0 <= each < len(held)]
        gains = {each: float(weights[held[each] & ~together].sum()) for each in beside}
        added = max(gains, key=lambda each: gains[each], default=None)
        if added is None or gains[added] < WORTH_ANOTHER:
            break
        first, last = min(first, added), max(last, added)
        together |= held[added]
        share += gains[added]
    return first, last, share


@lru_cache(maxsize=2048)
def numbers(text: str) -> frozenset[str]:
    """The numbers of a text by their value, `30`, and with the unit behind each, `30 day`:
    digits, Chinese numerals, English words up to twenty and tens."""
    folded = fold(text)
    found = set()
    for match in _NUMBER.finditer(folded):
        unit = _UNIT_BEHIND.match(folded, match.end())
        if match[0] in _COUNTLESS and not unit:
            continue
        value = _value(match)
        found.add(value)
        if unit:
            found.add(f"{value} {unit['unit'].removesuffix('s')}")
    return frozenset(found)


def _beside(match: re.Match[str]) -> str:
    """What stands for a number where words are compared: 一 and one are words as well."""
    return match[0] if match[0] in _COUNTLESS else " "


def _value(match: re.Match[str]) -> str:
    if match["han"]:
        return value_of(match["han"].replace("〇", "零"))
    if match["word"]:
        return _WORDS[match["word"]]
    digits = match["digits"].replace("−", "-")
    if re.fullmatch(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?", digits):
        digits = digits.replace(",", "")
    whole, point, rest = digits.replace(",", ".").partition(".")
    rest = rest.rstrip("0")
    return f"{whole}.{rest}" if point and rest else whole


def contradict(one: str, other: str) -> bool:
    """Whether one text denies what the other says: any denial against none, or 不予受理 against
    予以受理, a word that is denied in the one and plain in the other."""
    denied, plain = _denied(one)
    denied_there, plain_there = _denied(other)
    if bool(denied) != bool(denied_there):
        return True
    return bool((denied - denied_there) & plain_there or (denied_there - denied) & plain)


@lru_cache(maxsize=2048)
def _denied(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """The words of a text that denials deny, and those that none can."""
    denied: set[str] = set()
    plain: set[str] = set()
    left = 0
    for match in _WORD.finditer(fold(text)):
        if match.lastgroup == "denies":
            denied.add(match[0])
            left = REACH
        elif left == 0:
            plain.add(stem(match[0]))
        elif match[0] not in _BETWEEN:
            if left == REACH:
                denied.add(stem(match[0]))
            left -= 1
    return frozenset(denied), frozenset(plain - denied)
