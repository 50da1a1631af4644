"""The optimizer, and its state as tensors that a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.optim import AdamW

_BETAS = (0.9, 0.95)
"""Brown et al. 2020, appendix B."""


def make(weights: Mapping[str, Tensor], learning_rate: float, weight_decay: float) -> AdamW:
    """The optimizer of these weights. Matrices decay, norms and biases do not."""
    matrices = [weight for weight in weights.values() if weight.ndim >= 2]
    others = [weight for weight in weights.values() if weight.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=learning_rate, betas=_BETAS, fused=True)


def tensors(optimizer: AdamW, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of each weight, `NAME/KEY`; none before the first step."""
    return {
        f"{name}/{key}": value
        for name, weight in weights.items()
        for key, value in optimizer.state[weight].items()
    }


def restore(optimizer: AdamW, weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        optimizer.state[weights[name]][key] = value.to(weights[name].device)
