"""A text as hashed n-grams of characters: what the classifier sees.

    B buckets · T texts · N distinct buckets of each text, those of all texts in one row

Runs of one to five characters of the normal form, in small letters, each stretch of a letter cut
to two: neither words nor a dictionary are needed, and Chinese is as good as English. Hashing
bounds the size for any text, and keeps no word of those that were learned from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from flywheel.moderation.normal import EITHER, UNSPACED, normal_form

if TYPE_CHECKING:
    import numpy.typing as npt

    Integers: TypeAlias = npt.NDArray[np.int64]
    Floats: TypeAlias = npt.NDArray[np.float64]

LONGEST = 5
NUM_BUCKETS = 1 << 18
"""Four hundred short texts fill a quarter of them; a category takes 1 MB."""

MOST_CHARS = 200
"""Longer sentences are cut."""
LEAST_COLUMNS = 12
"""Shorter sentences join the next one: "Yes." alone means nothing. A Chinese character has two."""

_SPACE = re.compile(r"\s+")
_WIDE = re.compile(f"[{UNSPACED}\u3001-\u303f\uff01-\uff60]")
_STRETCH = re.compile(r"(.)\1{2,}")
_SENTENCE_END = re.compile(r"(?<=[.!?;。！？；\n])")

# Odd 64-bit constants; what they are matters less than that they stay.
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(64 - (NUM_BUCKETS.bit_length() - 1))


@dataclass(frozen=True, slots=True)
class Grams:
    """What several texts hold, text by text and bucket by bucket."""

    texts: Integers
    """[N]: which text, from 0."""
    buckets: Integers
    """[N]."""
    values: Floats
    """[N]: what it counts. How often it occurs, damped; those of a text have length one."""


def grams(texts: Sequence[str]) -> Grams:
    """The n-grams of texts. One with nothing visible has none."""
    # The spaces at both ends say where a text begins and ends.
    lines = [f" {squeezed} " if (squeezed := _squeezed(text)) else "" for text in texts]
    codes = np.frombuffer("".join(lines).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    text_of = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    found, rolling = [], np.zeros(len(codes) + 1, np.uint64)
    for length in range(1, min(LONGEST, len(codes)) + 1):
        rolling = (rolling[:-1] + codes[length - 1 :] + np.uint64(1)) * _STEP
        rolling ^= rolling >> np.uint64(29)
        within = text_of[: len(rolling)] == text_of[length - 1 :]
        buckets = (rolling * _MIX >> _SHIFT).astype(np.int64)
        found.append((text_of[: len(rolling)] * NUM_BUCKETS + buckets)[within])
    together, counts = np.unique(
        np.concatenate([np.zeros(0, np.int64), *found]), return_counts=True
    )
    of, values = together // NUM_BUCKETS, 1 + np.log(counts)
    lengths = np.sqrt(np.bincount(of, values**2, len(texts)))
    return Grams(of, together % NUM_BUCKETS, values / lengths[of])


def _squeezed(text: str) -> str:
    normal = normal_form(text).replace(EITHER, "i")
    return _STRETCH.sub(r"\1\1", _SPACE.sub(" ", normal)).strip()


def parts(text: str) -> list[str]:
    """A text in its sentences, each of which is looked at alone.

    Bad lines that were learned are all found again amid harmless sentences; where sentences are
    joined up to 200 characters, half of them drown.
    """
    if len(text) < LEAST_COLUMNS:
        return [text]
    found = [""]
    for sentence in _SENTENCE_END.split(text):
        for start in range(0, len(sentence), MOST_CHARS):
            piece = sentence[start : start + MOST_CHARS]
            is_short = min(_num_columns(found[-1]), _num_columns(piece)) < LEAST_COLUMNS
            if is_short and len(found[-1]) + len(piece) <= MOST_CHARS:
                found[-1] += piece
            else:
                found.append(piece)
    return found


def _num_columns(text: str) -> int:
    return len(text) + len(_WIDE.findall(text))
