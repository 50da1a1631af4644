"""Attention in a row of several texts that do not see each other.

All the tokens of a batch stand in one row, without padding. A segment of it is attended to alone,
by one call of PyTorch's fused attention each, which on a CPU takes a third of the time of one
call with a block-diagonal mask (4,096 tokens in texts of 128, 8 heads of 64, forward and backward:
33 ms against 90; of 512: as long).

Legend: n tokens of a row, h heads, k key heads, d width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from flywheel.build.shape import FAMILIES

_NAME = "flywheel_segments"


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Tokens that follow each other in a row and see each other, causally.

    With a prefix, they also see the first tokens of the segment before them: two replies to one
    prompt are a segment of prompt and first reply, and one of the second reply with that prompt as
    its prefix, so that the prompt is computed once.
    """

    length: int
    num_prefix: int = 0


def is_packable(model: PreTrainedModel) -> bool:
    """Whether a model's attention is known to be the plain one that `segmented` stands in for."""
    config = model.config
    layers = getattr(config, "layer_types", None) or ["full_attention"]
    return config.model_type in FAMILIES and set(layers) == {"full_attention"}


@contextmanager
def segmented(model: PreTrainedModel) -> Iterator[None]:
    """Within it, the model's layers attend by the `segments` that its forward pass is given."""
    before = model.config._attn_implementation
    model.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Sequence[Segment],
    *,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Attention of each segment to itself and its prefix.

    Args:
        query: (1, h, n, d).
        key: (1, k, n, d), where k divides h; `value` likewise.

    Returns:
        (1, n, h, d).
    """
    if query.device.type != "cpu" and key.shape[1] != query.shape[1]:
        # Not all cards have a fused kernel for fewer key heads.
        key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
        value = value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)
    # Not slices: the gradient of each slice would be as long as the whole row.
    lengths = [segment.length for segment in segments]
    parts = zip(*(torch.split(each, lengths, dim=2) for each in (query, key, value)), strict=True)
    attended = []
    before: tuple[Tensor, Tensor] | None = None
    for segment, (q, k, v) in zip(segments, parts, strict=True):
        own = (k, v)
        if segment.num_prefix:
            assert before is not None
            prefix = [each[:, :, : segment.num_prefix] for each in before]
            k, v = torch.cat((prefix[0], k), dim=2), torch.cat((prefix[1], v), dim=2)
        attended.append(_attend_to_end(q, k, v, scale, dropout).transpose(1, 2))
        before = own
    return torch.cat(attended, dim=1)


def _attend_to_end(
    query: Tensor, key: Tensor, value: Tensor, scale: float | None, dropout: float
) -> Tensor:
    """Causal attention where the queries, (1, h, q, d), stand at the end of the keys."""
    num_queries, num_keys = query.shape[2], key.shape[2]
    skipped = num_keys - num_queries
    mask: Tensor | None = None
    if skipped > num_queries:
        mask = query.new_ones(num_queries, num_keys, dtype=torch.bool).tril(skipped)
        skipped = 0
    elif skipped:
        # Made-up queries for the prefix: the causal kernel computes only half of the square.
        query = functional.pad(query, (0, 0, skipped, 0))
    attended = functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=mask is None,
        scale=scale,
        dropout_p=dropout,
        enable_gqa=key.shape[1] != query.shape[1],
    )
    return attended[:, :, skipped:]


def _attention_of_layer(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    segments: Sequence[Segment],
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """`attend` as the layers of transformers call it."""
    del module, attention_mask
    return attend(query, key, value, segments, scale=scaling, dropout=dropout), None


ALL_ATTENTION_FUNCTIONS.register(_NAME, _attention_of_layer)
