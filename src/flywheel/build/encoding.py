"""Texts → token ids, many at a time.

For counting and comparing. Not here: the batches that a model is trained on (batches.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from transformers import PreTrainedTokenizerBase

BATCH_TEXTS = 1000


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """The token ids of each text, without the special tokens that a model would see around it."""
    if not texts:
        return []
    encoded = tokenizer(
        list(texts),
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def batched(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in lists that are quick to encode and small to hold."""
    stream = iter(texts)
    while batch := list(islice(stream, BATCH_TEXTS)):
        yield batch
