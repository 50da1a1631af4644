"""How much there is to learn from: bytes, and the tokens that they make for each vocabulary.

For planning. One byte-level BPE is trained on a sample; its merges come in the order of their
worth, so that the first of them are the smaller vocabularies, and one training tells of them all.

Not here: the vocabulary that a model gets (vocabulary.py).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flywheel.records import Language

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SIZES = (1024, 2048, 4096, 8192, 16384, 32768)
"""The vocabularies that are counted: powers of two, between which nothing is gained by a finer
choice, and multiples of 256, the rows that a quantised matrix is cut into."""

SAMPLE_BYTES = 4 * 2**20
"""What the sample's BPE is trained on; 4 MiB of statutes take 3 s on two cores."""
COUNTED_BYTES = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """What a workspace holds for a model to learn from."""

    num_bytes: int
    """Of the passages, in UTF-8."""
    bytes_per_token: dict[int, float]
    """By the size of the vocabulary; one entry where there is a base, of its own tokenizer."""
    num_conversations: int = 0
    num_pairs: int = 0
    conversation_bytes: int = 0
    """Of all messages of all conversations."""
    pair_bytes: int = 0
    """Of all prompts, each once, and both replies to them."""
    languages: tuple[Language, ...] = ()
    """From the one with the most bytes to the one with the fewest."""

    def num_tokens(self, vocab_size: int) -> int:
        """Of the passages, with a vocabulary of this size."""
        return math.ceil(self.num_bytes / self.bytes_per_token_at(vocab_size))

    def bytes_per_token_at(self, vocab_size: int) -> float:
        """For any size: between two counted ones along the logarithm, beyond them as at the end.

        Bytes per token grow nearly evenly with the logarithm of the vocabulary.
        """
        sizes = sorted(self.bytes_per_token)
        if vocab_size <= sizes[0]:
            return self.bytes_per_token[sizes[0]]
        for low, high in pairwise(sizes):
            if vocab_size <= high:
                share = math.log(vocab_size / low) / math.log(high / low)
                at_low, at_high = self.bytes_per_token[low], self.bytes_per_token[high]
                return at_low + share * (at_high - at_low)
        return self.bytes_per_token[sizes[-1]]


class Sample:
    """Texts evenly spread over all that come, of at most so many bytes; and all bytes counted."""

    def __init__(self, limit_bytes: int = SAMPLE_BYTES) -> None:
        self.num_bytes = 0
        self.texts: list[str] = []
        self._limit, self._kept, self._every, self._seen = limit_bytes, 0, 1, 0

    def add(self, text: str) -> int:
        """Counts a text, keeps it where it is its turn, and gives its bytes."""
        size = len(text.encode())
        self.num_bytes += size
        if self._seen % self._every == 0:
            self.texts.append(text)
            self._kept += size
        self._seen += 1
        while self._kept > self._limit and len(self.texts) > 1:
            self.texts = self.texts[::2]
            self._every *= 2
            self._kept = sum(len(each.encode()) for each in self.texts)
        return size


def count(texts: Iterable[str]) -> dict[int, float]:
    """Bytes per token for each of SIZES that the texts give merges for.

    Texts without any merge, such as none at all, have a token for each byte.
    """
    every = list(texts)
    trained = _train(every)
    counted = _first(every, COUNTED_BYTES)
    largest = trained.get_vocab_size()
    sizes = [size for size in SIZES if size <= largest] or [largest]
    return {size: per_token(counted, _encoder(_cut(trained, size))) for size in sizes}


def per_token(texts: Iterable[str], num_tokens: Callable[[str], int]) -> float:
    """Bytes per token of texts, by whatever counts a text's tokens."""
    every = _first(list(texts), COUNTED_BYTES)
    num_bytes = sum(len(text.encode()) for text in every)
    return num_bytes / max(1, sum(map(num_tokens, every))) if num_bytes else 1.0


def _train(texts: list[str]) -> Tokenizer:
    from flywheel.build.vocabulary import train_tokenizer

    return train_tokenizer(texts, SIZES[-1]).backend_tokenizer


def _cut(tokenizer: Tokenizer, size: int) -> Tokenizer:
    """The same tokenizer with its first `size` tokens, and the merges that make them."""
    from tokenizers import Tokenizer

    data = json.loads(tokenizer.to_str())
    model = data["model"]
    model["vocab"] = {token: id for token, id in model["vocab"].items() if id < size}
    model["merges"] = [pair for pair in model["merges"] if "".join(pair) in model["vocab"]]
    return Tokenizer.from_str(json.dumps(data))


def _encoder(tokenizer: Tokenizer) -> Callable[[str], int]:
    return lambda text: len(tokenizer.encode(text).ids)


def _first(texts: list[str], limit_bytes: int) -> list[str]:
    """As many of the texts as have so many bytes, and one at least, evenly spread."""
    sample = Sample(limit_bytes)
    for text in texts:
        sample.add(text)
    return sample.texts
