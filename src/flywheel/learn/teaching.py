"""How much a curator's decision teaches: the order in which questions are put to him.

Pure arithmetic on what is known of a question: how often it was asked, how sure the answer was, and
how far people disagree on it. What the items are and who may read them is the wheel's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log2
from typing import Literal

Served = Literal["nothing", "answer", "objected"]
"""What askers get as things stand: no answer; one; or one that somebody objects to."""

_MOST_CERTAIN = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Stakes:
    """What is known of a question before a curator decides on it."""

    served: Served
    num_asked: int = 1
    """How often it was asked."""
    confidence: float = 0.0
    """P(the answer's first citation is right), calibrated."""
    votes: Sequence[int] = ()
    """How many people say each of the different things that are said to it."""


def teaches(stakes: Stakes) -> float:
    """How much deciding on a question is worth, beside others; 0 is nothing.

    Expected error reduction (Settles, "Active Learning Literature Survey", 2009) would retrain for
    every label that a question may get. Its three proxies from there multiply instead:

        density × uncertainty × (1 + disagreement)

    - density (density-weighted methods): log2(1 + how often it was asked). The logarithm, since one
      user's script may ask ten thousand times;
    - uncertainty (uncertainty sampling): the entropy of the confidence in bits, but at least the
      share of askers who are served wrongly, since a correction is served at once and not only
      learned from: all where nothing is answered, 1 − confidence where something is, and half or
      more where somebody objects to it;
    - disagreement (query by committee): the entropy of what people say to it, over its most.

    No figure of any exam is in it, and none of its constants was fitted.
    """
    density = log2(1 + max(stakes.num_asked, 0))
    return (
        density * _uncertainty(stakes.served, stakes.confidence) * (1 + disagreement(stakes.votes))
    )


def disagreement(votes: Sequence[int]) -> float:
    """Vote entropy (Dagan and Engelson, 1995) from 0, all say the same, to 1, all otherwise."""
    if len(votes) < 2:
        return 0.0
    counts = [each for each in votes if each > 0]
    num_votes = sum(counts)
    if len(counts) < 2:
        return 0.0
    return _entropy([each / num_votes for each in counts]) / log2(num_votes)


@lru_cache(maxsize=1024)
def _uncertainty(served: Served, confidence: float) -> float:
    sure = min(max(confidence, 0.0), 1.0)
    wrong = {"nothing": 1.0, "answer": 1 - sure, "objected": max(0.5, 1 - sure)}[served]
    return max(wrong, _entropy([sure, 1 - sure]))


def _entropy(shares: Sequence[float]) -> float:
    """In bits."""
    return -sum(each * log2(each) for each in shares if each > _MOST_CERTAIN)
