"""A model run on a batch: what it says at the targets, and nothing else.

The largest matrix of a small model is its output's, and of a prompt nothing is learned: the
hidden states become scores of the vocabulary only where a target is predicted, and where these
would take much memory, piece by piece.

Legend: n tokens of a batch, m targets, w width, v vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from flywheel.build.adapters import Trainable, unwrapped
from flywheel.build.attention import is_packable, segmented
from flywheel.build.batches import Batch

LARGEST_SCORES = 2**26
"""Scores that are held at once: 256 MiB in float32, and as much again twice for the gradient.
Beyond it they are computed piece by piece, and once more for the gradient."""

_FEW_SCORES = 2**20


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outputs:
    """What a model says where it predicts the targets of a batch."""

    hidden: Tensor
    """(m, w), or (m, v) from a model of an untested architecture."""
    head: Callable[[Tensor], Tensor]
    """Hidden states → scores of the vocabulary: (k, w) → (k, v)."""
    vocab_size: int

    def in_pieces(self, compute: Callable[..., Tensor], *rest: Tensor) -> Tensor:
        """`compute(scores, *rest)` for each target, without holding all scores at once.

        Args:
            compute: (k, v), as the head gives them, and k of each of the rest → (k, …).
            rest: (m, …) each.

        Returns:
            (m, …).
        """
        size = max(LARGEST_SCORES // self.vocab_size, 1)
        if len(self.hidden) <= size:
            return self._piece(compute, self.hidden, *rest)
        pieces = zip(*(torch.split(each, size) for each in (self.hidden, *rest)), strict=True)
        computed = [
            checkpoint(self._piece, compute, *piece, use_reentrant=False) for piece in pieces
        ]
        return torch.cat(computed)

    def _piece(self, compute: Callable[..., Tensor], hidden: Tensor, *rest: Tensor) -> Tensor:
        return compute(self.head(hidden), *rest)

    def log_chances(self, labels: Tensor) -> Tensor:
        """The logarithm of each target's chance: (m,) → (m,) in float32."""
        log_chances: Callable[..., Tensor] = _LogChances.apply
        return self.in_pieces(log_chances, labels)


def run(model: Trainable, batch: Batch) -> Outputs:
    """The model's outputs at the targets of a batch."""
    plain = unwrapped(model)
    if not is_packable(plain):
        return _run_apart(plain, batch)
    with running(model):
        return _run_packed(plain, batch)


def running(model: Trainable) -> AbstractContextManager[None]:
    """What has to hold while gradients are computed, too, where activations are computed again."""
    plain = unwrapped(model)
    return segmented(plain) if is_packable(plain) else nullcontext()


def _run_packed(model: PreTrainedModel, batch: Batch) -> Outputs:
    body = model.base_model(
        input_ids=batch.ids[None],
        position_ids=batch.positions[None],
        use_cache=False,
        layout=batch.layout,
    )
    get_head: Callable[[], Callable[[Tensor], Tensor]] = model.get_output_embeddings
    return Outputs(
        hidden=body.last_hidden_state[0][batch.sources],
        head=get_head(),
        vocab_size=model.config.vocab_size,
    )


def _run_apart(model: PreTrainedModel, batch: Batch) -> Outputs:
    """Text by text, by the model's own forward pass: slower, and right whatever it does inside."""
    scores = []
    start = before = 0
    sources = batch.sources.tolist()
    targets: dict[int, list[int]] = {}
    ends = torch.tensor([segment.length for segment in batch.segments]).cumsum(0)
    for target, reply in enumerate(batch.replies.tolist()):
        targets.setdefault(reply, []).append(target)
    for reply, (segment, end) in enumerate(zip(batch.segments, ends.tolist(), strict=True)):
        ids = batch.ids[start:end]
        if segment.num_prefix:
            ids = torch.cat((batch.ids[before : before + segment.num_prefix], ids))
        # A reply's first target is predicted by the prompt, which may lie before the segment.
        origin = start - segment.num_prefix
        places = [
            sources[t] - origin if sources[t] >= start else sources[t] - before
            for t in targets.get(reply, [])
        ]
        if places:
            out: Any = model(
                input_ids=ids[None], use_cache=False, logits_to_keep=ids.new_tensor(places)
            )
            scores.append(out.logits[0])
        before, start = start, end
    return Outputs(hidden=torch.cat(scores), head=_same, vocab_size=scores[0].shape[-1])


def _same(scores: Tensor) -> Tensor:
    return scores


class _LogChances(torch.autograd.Function):
    """Scores (k, v) and labels (k,) → the logarithms of the labels' chances, (k,) in float32.

    As cross-entropy, with the same gradient. A few rows are computed at a time, so that what is
    held for the gradient is the scores alone, in their own precision, and not their logarithms in
    float32 as well: of a small model on a CPU that takes a tenth off a step.
    """

    @staticmethod
    def forward(context: Any, scores: Tensor, labels: Tensor) -> Tensor:
        sums = scores.new_empty(len(scores), dtype=torch.float32)
        said = torch.empty_like(sums)
        for rows in _few(scores):
            piece = scores[rows].float()
            torch.logsumexp(piece, dim=-1, out=sums[rows])
            said[rows] = piece.gather(1, labels[rows, None])[:, 0]
        context.save_for_backward(scores, labels, sums)
        return said - sums

    @staticmethod
    def backward(context: Any, upstream: Tensor) -> tuple[Tensor, None]:
        scores, labels, sums = context.saved_tensors
        gradient = torch.empty_like(scores)
        for rows in _few(scores):
            # d log P(y) / d s = [y] - P
            piece = (scores[rows].float() - sums[rows, None]).exp_()
            piece.mul_(-upstream[rows, None])
            piece.scatter_add_(1, labels[rows, None], upstream[rows, None])
            gradient[rows] = piece
        return gradient, None


def _few(scores: Tensor) -> list[slice]:
    """Rows whose scores stay in the processor's cache; on a card all of them."""
    if scores.device.type != "cpu":
        return [slice(None)]
    size = max(_FEW_SCORES // scores.shape[1], 1)
    return [slice(start, start + size) for start in range(0, len(scores), size)]
