"""The shape of a decoder of the llama family: its sizes, and how many parameters they come to.

Apart from what makes or loads such a model, so that planning one imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from flywheel.errors import ModelError

Family = Literal["llama", "qwen2", "qwen3"]

FAMILIES: tuple[Family, ...] = ("llama", "qwen2", "qwen3")
"""The architectures that a turn builds from, by `model_type` of their config.json."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Sizes of one model: attention with grouped keys, a gated MLP of three matrices, RMS norms."""

    vocab_size: int
    width: int
    """Of the residual stream."""
    depth: int
    """Layers."""
    num_heads: int
    num_kv_heads: int
    hidden: int
    """The width inside an MLP."""
    tied: bool = True
    """The output matrix is the embedding matrix."""
    family: Family = "llama"
    head_width: int = 0
    """Of one head; 0: width / num_heads."""
    context: int = 0
    """The longest text in tokens that it is made for; 0: not stated."""

    @property
    def head_dim(self) -> int:
        """The width of one head, whether it is stated or follows from the others."""
        return self.head_width or self.width // self.num_heads

    @property
    def num_params(self) -> int:
        return self.num_embedding_params + self.num_body_params

    @property
    def num_embedding_params(self) -> int:
        """Of the vocabulary: its embeddings, and the output matrix where that is not the same."""
        return self.vocab_size * self.width * (1 if self.tied else 2)

    @property
    def num_body_params(self) -> int:
        """Of all layers and the norm behind them."""
        return self.depth * self._num_layer_params() + self.width

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """The shape that a Hugging Face config.json states.

        Raises:
            ModelError: it is of another architecture, or lacks a size.
        """
        family = config.get("model_type")
        if family not in FAMILIES:
            raise ModelError(
                f'A model of type "{family}" cannot be a base: models of one\'s own are planned, '
                f"trained and served from {', '.join(FAMILIES)} alone. Name one of those."
            )
        try:
            return cls._of(config, family)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"config.json lacks a size of the model: {error}.") from error

    @classmethod
    def _of(cls, config: Mapping[str, Any], family: Family) -> Self:
        num_heads = int(config["num_attention_heads"])
        head_dim = config.get("head_dim") or (128 if family == "qwen3" else 0)
        return cls(
            vocab_size=int(config["vocab_size"]),
            width=int(config["hidden_size"]),
            depth=int(config["num_hidden_layers"]),
            num_heads=num_heads,
            num_kv_heads=int(config.get("num_key_value_heads") or num_heads),
            hidden=int(config["intermediate_size"]),
            tied=bool(config.get("tie_word_embeddings", False)),
            family=family,
            head_width=int(head_dim),
            context=int(config.get("max_position_embeddings") or 0),
        )

    def _num_layer_params(self) -> int:
        queries = self.num_heads * self.head_dim
        keys = self.num_kv_heads * self.head_dim
        attention = self.width * (queries + 2 * keys) + queries * self.width
        # Qwen2 has biases on queries, keys and values; Qwen3 a norm on queries and on keys.
        extra = {"llama": 0, "qwen2": queries + 2 * keys, "qwen3": 2 * self.head_dim}[self.family]
        mlp = 3 * self.width * self.hidden
        norms = 2 * self.width
        return attention + extra + mlp + norms
