"""The merges of a BPE tokenizer: what a token is made of, by the tokenizer's own steps.

For what changes a vocabulary: a token can be kept only together with what BPE forms on the way to
it. Byte-level BPE (GPT-2, Qwen, Llama 3) and BPE over characters (Llama 2) are read alike.

Not here: splitting a text into words, and normal forms. A changed vocabulary leaves both alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from transformers import PreTrainedTokenizerBase

from flywheel.errors import ModelError

BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
"""What a character falls back to in a tokenizer over characters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Merges:
    """A BPE model: its tokens, and which two of them become one, the lowest rank first."""

    ids: Mapping[str, int]
    """Without the added tokens that are matched before BPE and are not in the model."""
    ranks: Mapping[tuple[str, str], int]
    ignore_merges: bool
    """A word that is a token is taken at once, whatever the merges would make of it (Llama 3)."""
    byte_fallback: bool
    """A character that is no token becomes those of its bytes (Llama 2)."""
    unknown: str | None = None
    """The token of a character that cannot be read."""

    def derivation(self, token: str) -> frozenset[str] | None:
        """All that BPE forms when the token's own text is its whole input, the token included.

        None where BPE does not end with the token: then no text gives it, unless it is a word by
        itself and merges are ignored, or it is matched before BPE.
        """
        symbols = list(token)
        formed = {*symbols, token}
        while len(symbols) > 1:
            place = self._next(symbols)
            if place is None:
                return None
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
            formed.add(symbols[place])
        return frozenset(formed) if formed <= self.ids.keys() else None

    def closure(self, token: str) -> frozenset[str] | None:
        """The tokens that must be kept for a text's token to stay the same; None if no text has it
        as one."""
        derivation = self.derivation(token)
        if derivation is None and self.ignore_merges:
            return frozenset({token})
        return derivation

    def alphabet(self) -> set[str]:
        """The tokens that make up any text which the tokenizer can read at all.

        The 256 bytes; or all characters that it knows, where it has no token for every byte.
        """
        alphabet = {token for token in self.ids if token == self.unknown}
        if self.byte_fallback and all(byte in self.ids for byte in BYTES):
            return alphabet | set(BYTES)
        return alphabet | {token for token in self.ids if len(token) == 1}

    def _next(self, symbols: list[str]) -> int | None:
        """Where the pair of the lowest rank stands, the leftmost of equals."""
        pairs = pairwise(symbols)
        ranked = [
            (self.ranks[pair], place) for place, pair in enumerate(pairs) if pair in self.ranks
        ]
        return min(ranked)[1] if ranked else None


def read_merges(tokenizer: PreTrainedTokenizerBase) -> Merges:
    """The merges of a tokenizer.

    Raises:
        ModelError: it is none of the `tokenizers` library, or its model is not plain BPE.
    """
    model = read_json(tokenizer)["model"]
    kind = model["type"]
    if kind != "BPE":
        raise ModelError(
            f"A vocabulary of the type {kind} cannot be changed: only BPE can, as Llama, Qwen, "
            "Mistral and GPT-2 have it. Leave build.vocabulary at 0, or choose another base."
        )
    for option in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(option):
            raise ModelError(f"A BPE vocabulary with {option} cannot be changed.")
    return Merges(
        ids=model["vocab"],
        ranks={(left, right): rank for rank, (left, right) in enumerate(model["merges"])},
        ignore_merges=bool(model.get("ignore_merges")),
        byte_fallback=bool(model.get("byte_fallback")),
        unknown=model.get("unk_token"),
    )


def read_json(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The tokenizer.json of a tokenizer as it is in memory.

    Raises:
        ModelError: it is none of the `tokenizers` library.
    """
    if not tokenizer.is_fast:
        raise ModelError(
            f"A tokenizer of the type {type(tokenizer).__name__} cannot be changed: it has no "
            "tokenizer.json."
        )
    read: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return read
