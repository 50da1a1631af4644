"""Small models that have learned the example's text by heart: for the export's bench and tests.

Their log-probabilities are as sharp as those of a real model, and a second or two makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from corpora import EXAMPLE
from flywheel.build.base import new_model
from flywheel.build.shape import Family, Shape
from flywheel.build.vocabulary import train_tokenizer

_SEED = 7
_BATCH, _LENGTH = 8, 64
_HEAD_WIDTH = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A model, its tokenizer, and the text that it knows as tokens."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    ids: tuple[int, ...]

    def prompts(self, num: int, num_tokens: int) -> list[str]:
        """Pieces of the text, all over it, that have just so many tokens."""
        found = []
        step = max(1, len(self.ids) // (4 * num))
        for start in range(0, len(self.ids) - num_tokens, step):
            ids = list(self.ids[start : start + num_tokens])
            text = str(self.tokenizer.decode(ids))
            if self.tokenizer(text)["input_ids"] == ids:
                found.append(text)
        assert len(found) >= num
        return found[:: len(found) // num][:num]


@cache
def trained(
    family: Family,
    *,
    tied: bool = True,
    width: int = 64,
    depth: int = 2,
    num_texts: int = 1,
    max_characters: int = 600,
    num_steps: int = 60,
    learning_rate: float = 5e-3,
) -> Trained:
    """A model that was trained on some of the example's documents.

    Args:
        num_texts: documents of each language.
        max_characters: of each document, from its start.
    """
    texts = _texts(num_texts, max_characters)
    tokenizer = train_tokenizer(texts, min(2000, 400 * num_texts))
    # A token more than the tokenizer has, as many a base has some.
    shape = Shape(
        vocab_size=len(tokenizer) + 1,
        width=width,
        depth=depth,
        num_heads=width // _HEAD_WIDTH,
        num_kv_heads=max(1, width // _HEAD_WIDTH // 2),
        hidden=3 * width,
        tied=tied,
        family=family,
        head_width=_HEAD_WIDTH if family != "qwen3" else 2 * _HEAD_WIDTH,
    )
    model = new_model(shape, tokenizer, _SEED, context=512)
    ids = [id for text in texts for id in (*tokenizer(text)["input_ids"], tokenizer.eos_token_id)]
    _train(model, torch.tensor(ids), num_steps, learning_rate)
    return Trained(model=model, tokenizer=tokenizer, ids=tuple(ids))


def _texts(num: int, max_characters: int) -> Sequence[str]:
    return [
        path.read_text(encoding="utf-8")[:max_characters]
        for language in ("en", "zh")
        for path in sorted((EXAMPLE / "documents" / language).glob("*.md"))[:num]
    ]


def _train(model: PreTrainedModel, ids: torch.Tensor, num_steps: int, learning_rate: float) -> None:
    random = torch.Generator().manual_seed(_SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    model.train()
    for _ in range(num_steps):
        starts = torch.randint(0, len(ids) - _LENGTH, (_BATCH,), generator=random)
        batch = torch.stack([ids[start : start + _LENGTH] for start in starts.tolist()])
        model(input_ids=batch, labels=batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.train(False)
