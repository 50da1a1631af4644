"""Finds personal data in a text, and masks it where the owner asks.

Only what has a form of its own is found: addresses, numbers with a checksum or a numbering
plan. Names of persons and streets are not, since telling them takes a model.

Precedence: where findings overlap, the kind that comes first in `KINDS` keeps the characters.
A link thus covers the email address inside it; who masks emails but not links asks `find` for
emails only, and gets it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from flywheel.collect.personal.addresses import emails, ips, macs, urls
from flywheel.collect.personal.kinds import KINDS, PersonalKind, Span
from flywheel.collect.personal.numbers import cards, ibans, resident_ids, ssns
from flywheel.collect.personal.phones import phones
from flywheel.records import StageSettings


class PrivacySettings(StageSettings):
    """What happens to personal data in documents; it is always counted and reported."""

    mask_documents: tuple[PersonalKind, ...] = ()
    """Kinds to replace before indexing, so that no answer shows them: url, email, iban,
    resident_id, card, ssn, mac, ip, phone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One piece of personal data, at the code points [start, end) of the text."""

    kind: PersonalKind
    start: int
    end: int


def find(text: str, kinds: Iterable[PersonalKind] = KINDS) -> tuple[Finding, ...]:
    """Personal data of these kinds, in order, none overlapping.

    Looks again at what `mask` would leave until nothing is found there, because a number may
    come to stand free once its neighbour is masked.
    """
    wanted = frozenset(kinds)
    findings = _find_once(text, wanted)
    latest = findings
    while latest:
        masked, positions = _masked_with_positions(text, findings)
        latest = [
            Finding(
                kind=found.kind,
                start=positions.original(found.start),
                end=positions.original(found.end - 1) + 1,
            )
            for found in _find_once(masked, wanted)
        ]
        findings = sorted([*findings, *latest], key=lambda found: found.start)
    return tuple(findings)


def mask(text: str, findings: Iterable[Finding]) -> str:
    """The text with each finding replaced by its kind, as in `[EMAIL]`."""
    return _masked_with_positions(text, findings)[0]


@dataclass(frozen=True, slots=True)
class _Positions:
    """Leads from a masked text back to its original."""

    starts: list[int]
    """Where each stretch that was not masked begins in the masked text."""
    shifts: list[int]

    def original(self, position: int) -> int:
        return position + self.shifts[bisect_right(self.starts, position) - 1]


def _masked_with_positions(text: str, findings: Iterable[Finding]) -> tuple[str, _Positions]:
    parts: list[str] = []
    length, end = 0, 0
    positions = _Positions([0], [0])
    for found in findings:
        parts += [text[end : found.start], f"[{found.kind.upper()}]"]
        length += len(parts[-2]) + len(parts[-1])
        end = found.end
        positions.starts.append(length)
        positions.shifts.append(end - length)
    return "".join([*parts, text[end:]]), positions


# Full-width forms are read as their ASCII twins; both are one code point, so spans hold.
_FULL_WIDTH = re.compile("[０-９＋－（）．：＠Ａ-Ｚａ-ｚ]")
_TO_ASCII = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x2011: 0x2D}


def _find_once(text: str, wanted: frozenset[PersonalKind]) -> list[Finding]:
    if _FULL_WIDTH.search(text):
        text = text.translate(_TO_ASCII)
    taken: list[Finding] = []
    for kind in KINDS:
        if kind in wanted and (kind not in _LONG_NUMBERS or _LONG_NUMBER.search(text)):
            spans = _FINDERS[kind](text)
            taken += [
                Finding(kind=kind, start=start, end=end) for start, end in _free(spans, taken)
            ]
            taken.sort(key=lambda found: found.start)
    return taken


# Most documents hold no number of seven digits, and skip the four slowest searches at this price.
_LONG_NUMBER = re.compile(r"[0-9](?:[ .()-]{0,3}[0-9]){6}")
_LONG_NUMBERS: frozenset[PersonalKind] = frozenset(("resident_id", "card", "ssn", "phone"))


def _free(spans: Iterable[Span], taken: list[Finding]) -> Iterator[Span]:
    """The spans that overlap nothing taken, nor an earlier one of theirs; `taken` is in order."""
    starts = [found.start for found in taken]
    latest_end = 0
    for start, end in sorted(spans):
        before = bisect_left(starts, end) - 1
        if start >= latest_end and (before < 0 or taken[before].end <= start):
            yield start, end
            latest_end = end


_FINDERS: dict[PersonalKind, Callable[[str], Iterator[Span]]] = {
    "url": urls,
    "email": emails,
    "iban": ibans,
    "resident_id": resident_ids,
    "card": cards,
    "ssn": ssns,
    "mac": macs,
    "ip": ips,
    "phone": phones,
}
