"""How well a language model knows a kind of text: bits for each byte, beside plain compressors.

A model that gives a text the probability P can write it in -log2 P bits; whichever needs fewer has
learned more of the language. Bits per byte compare models of any vocabulary, and models with
compressors that have read the same training text.

Not here: perplexity, which changes with the vocabulary.
"""

from __future__ import annotations

import lzma
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import pyppmd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from flywheel.build.token_bytes import token_bytes

MAX_BYTES = 64 * 1024
"""Of held-out text that is scored."""
CONTEXT_TOKENS = 1024
"""Window that a text is scored in, where the model takes as many."""
LOGIT_BYTES = 128 * 1024 * 1024
"""Of logits at once: a window of 512 with a vocabulary of 64,000."""
PRIME_BYTES = 8 * 2**20
"""Of training text that the compressors read first, of all texts alike; xz takes 5 s for it."""
PPMD_MEMORY_PER_BYTE = 250
"""Of text, at most 2 GiB. At order 16 statutes take between 20 and 30, letters drawn by chance over
100; what is not used costs nothing."""
PPMD_LEAST_MEMORY = 16 * 2**20
PPMD_ORDERS = (4, 6, 8, 12, 16)
"""Longest contexts that PPMd is tried with; the best counts, so that no rival is held down."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BitsPerByte:
    """What the same text costs each."""

    model: float
    xz: float
    ppmd: float
    num_bytes: int
    """Of the text that was scored."""


def compare(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    held_out: Iterable[str],
    training: Iterable[str],
    max_bytes: int = MAX_BYTES,
) -> BitsPerByte:
    """Bits per byte of held-out texts by a model, and by compressors primed with `training`.

    The compressors read the held-out texts as one, and so learn from the first of them for the
    next; the model reads each alone. Nothing is to its favour.
    """
    texts = first_bytes(held_out, max_bytes)
    data = "\n".join(texts).encode()
    prime = "\n".join(first_bytes(training, PRIME_BYTES)).encode()
    return BitsPerByte(
        model=bits_per_byte(model, tokenizer, texts),
        xz=primed_bits_per_byte(_xz_size, prime, data),
        ppmd=min(
            primed_bits_per_byte(partial(_ppmd_size, order), prime, data) for order in PPMD_ORDERS
        ),
        num_bytes=len(data),
    )


def first_bytes(texts: Iterable[str], max_bytes: int) -> list[str]:
    """The beginnings of the texts, of all alike, up to so many bytes together."""
    every = [text for text in texts if text]
    kept: list[str] = []
    for num_left, text in zip(range(len(every), 0, -1), sorted(every, key=len), strict=True):
        share = max_bytes // num_left
        data = text.encode()[:share]
        max_bytes -= len(data)
        kept.append(data.decode(errors="ignore"))
    return [text for text in kept if text]


def bits_per_byte(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]
) -> float:
    """-log2 P(texts) / bytes, each text by itself.

    A long text is scored in windows that overlap by half, so that each token but the first ones has
    at least half a window before it. A first token that nothing predicts costs log2 of the
    vocabulary; what of a text the tokenizer cannot write, or leaves out, costs 8 bits a byte.
    """
    num_bytes = sum(len(text.encode()) for text in texts)
    if not num_bytes:
        return math.nan
    written = token_bytes(tokenizer, model.config.vocab_size)
    return sum(_bits(model, tokenizer, text, written) for text in texts) / num_bytes


@torch.inference_mode()
def _bits(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, text: str, written: Sequence[bytes]
) -> float:
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    start = begin(tokenizer)
    bits = 8.0 * _num_unwritten(text, b"".join(written[id] for id in ids))
    if ids and not start:
        bits += math.log2(model.config.vocab_size)
    return bits + _sequence_bits(model, torch.tensor([*start, *ids], device=model.device))


def _num_unwritten(text: str, written: bytes) -> int:
    """How many bytes of the text no token writes; the space that some put before it is not its."""
    is_put = written[:1] == b" " and not text.startswith(" ")
    return max(0, len(text.encode()) - len(written) + is_put)


def begin(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The token that the tokenizer puts before a text, if it does."""
    bos = tokenizer.bos_token_id
    return [bos] if bos is not None and tokenizer("a")["input_ids"][0] == bos else []


def context_tokens(model: PreTrainedModel, most: int) -> int:
    """How many tokens the model reads at once, at most so many."""
    limit = getattr(model.config, "max_position_embeddings", None) or most
    return min(int(limit), getattr(model.config, "sliding_window", None) or most, most)


def _sequence_bits(model: PreTrainedModel, sequence: torch.Tensor) -> float:
    """-log2 P of all tokens but the first, int64 [T] → bits."""
    window = context_tokens(model, CONTEXT_TOKENS)
    window = max(2, min(window, LOGIT_BYTES // (4 * model.config.vocab_size)))
    bits, scored = 0.0, 1
    while scored < len(sequence):
        start = max(0, scored - window // 2) if scored > 1 else 0
        part = sequence[start : start + window]
        logits = model(input_ids=part[None], use_cache=False).logits[0, :-1].float()
        losses = torch.nn.functional.cross_entropy(logits, part[1:], reduction="none")
        # losses[i] is that of token start + 1 + i; those before `scored` have been counted.
        bits += float(losses[scored - start - 1 :].double().sum()) / math.log(2)
        scored = start + len(part)
    return bits


def primed_bits_per_byte(size: Callable[..., int], prime: bytes, data: bytes) -> float:
    """What the data adds to the compressed size of the text before it, in bits per byte."""
    return 8 * (size(prime, data) - size(prime)) / len(data) if data else math.nan


def _xz_size(*parts: bytes) -> int:
    """Of a stream without container, whose dictionary holds all of it."""
    data = b"".join(parts)
    size = max(4096, min(len(data), 2**30))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": size}]
    return len(lzma.compress(data, format=lzma.FORMAT_RAW, filters=filters))


def _ppmd_size(order: int, *parts: bytes) -> int:
    """By PPMd variant H, with memory enough that it never starts over and forgets the prime."""
    memory = min(max(PPMD_LEAST_MEMORY, PPMD_MEMORY_PER_BYTE * sum(map(len, parts))), 2**31 - 2**20)
    encoder = pyppmd.Ppmd7Encoder(order, memory)
    return sum(len(encoder.encode(part)) for part in parts) + len(encoder.flush())
