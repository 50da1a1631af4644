"""Text → the terms by which it is found, weighed and compared; English and Chinese alike.

Three granularities, each measured to add to the others on Chinese questions: words (segmented by
the index's `icu` tokenizer), Han characters and Han character pairs (`grams`). Folding is for
matching only: what is quoted is always the documents' own text.
"""

from __future__ import annotations

import re
import threading
import unicodedata
import zlib
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    TermIds = npt.NDArray[np.int64]

HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
HAN_RUN = re.compile(rf"[{HAN}]+")
LATIN_WORD = re.compile(rf"[^\W_{HAN}]+")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")

_SPACE = ord(" ")

NUM_BUCKETS = 1 << 21
"""Terms are counted by hash: 2 million buckets of 4 bytes bound the memory for any corpus."""

_STEMMING = threading.Lock()


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...


@cache
def _english_stemmer() -> _Stemmer:
    import snowballstemmer

    stemmer: _Stemmer = snowballstemmer.stemmer("english")
    return stemmer


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """An English word without its endings; other words as they are."""
    # It keeps the word that it is at in itself, so two threads would cut each other's.
    with _STEMMING:
        return _english_stemmer().stemWord(word)


@cache
def _simplifier() -> object:
    import opencc

    return opencc.OpenCC("t2s")


def fold(text: str) -> str:
    """NFKC, lower case, traditional characters as simplified: what two spellings share.

    Half of a surrogate pair, which an escape in JSON can carry and no UTF-8 holds, is a space.
    """
    folded = unicodedata.normalize("NFKC", _LONE_SURROGATE.sub(" ", text)).lower()
    if HAN_RUN.search(folded):
        folded = str(_simplifier().convert(folded))  # type: ignore[attr-defined]
    return folded


def grams(folded: str) -> str:
    """Han characters and pairs of neighbours, space-separated: a field that Lance can search."""
    tokens: list[str] = []
    for run in HAN_RUN.findall(folded):
        tokens.extend(run)
        tokens.extend(run[i : i + 2] for i in range(len(run) - 1))
    return " ".join(tokens)


def has_han(text: str) -> bool:
    """Whether the text holds a Chinese character."""
    return HAN_RUN.search(text) is not None


def term_ids(text: str) -> TermIds:
    """The distinct terms of a text, hashed: stems, numbers, Han characters and pairs; sorted."""
    import numpy as np  # here, since most of what reads settings only folds

    folded = fold(text)
    ids = [np.array([_bucket(stem(word)) for word in LATIN_WORD.findall(folded)], dtype=np.int64)]
    if runs := HAN_RUN.findall(folded):
        # All runs in one pass, three times as quick as one by one.
        joined = " ".join(runs).encode("utf-32-le")
        points = np.frombuffer(joined, dtype=np.uint32).astype(np.int64)
        is_han = points != _SPACE
        pairs = (points[:-1] * 40_503 + points[1:])[is_han[:-1] & is_han[1:]]
        ids.append(points[is_han] * 2_654_435_761 % NUM_BUCKETS)
        ids.append(pairs * 2_246_822_519 % NUM_BUCKETS)
    return _distinct(np.concatenate(ids))


def _distinct(ids: TermIds) -> TermIds:
    """As `numpy.unique`, which takes longer than all the rest of a short text."""
    import numpy as np

    ids.sort()
    is_new = np.ones(len(ids), dtype=np.bool_)
    np.not_equal(ids[1:], ids[:-1], out=is_new[1:])
    return ids[is_new]


def _bucket(word: str) -> int:
    return zlib.crc32(word.encode()) % NUM_BUCKETS
