"""What training makes small: each objective is a frozen value with its options.

An objective says what a batch weighs, and its loss on what the model says of it. The loop knows
no more, so a reward model's or a policy's objective joins by the same four methods. What has to be
known of the data before training (of a preference, how likely the reference finds each reply) is
noted once, kept with the checkpoint, and comes with each batch.

All losses are sums, in float32 or better: the loop divides by the weight of a whole step, so that
gradients that are accumulated are those of one large batch.

Legend: m targets of a batch, v vocabulary, p preferences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from flywheel.build.adapters import Trainable, unwrapped
from flywheel.build.batches import Batch, Notes, Rows, collate
from flywheel.build.checkpoints import weights_digest
from flywheel.build.outputs import Outputs, run
from flywheel.errors import ModelError

REFERENCE = "reference"
"""The note that holds the log-probabilities of a preference's replies: (items, 2)."""

_NUM_NOTED = 8
"""Preferences whose reference is computed at once."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Measured:
    """The loss of a batch, and what else is worth seeing: sums, to be divided by the weight."""

    loss: Tensor
    measures: Mapping[str, Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """What the loop asks of one."""

    @property
    def name(self) -> str: ...

    def identity(self) -> Mapping[str, Any]:
        """All that the loss depends on, JSON-ready: a run is resumed only under the same."""
        ...

    def weight(self, batch: Batch) -> float:
        """What the batch's sums are divided by."""
        ...

    def note(self, model: Trainable, rows: Rows) -> Notes:
        """What has to be known of each item before training: (items, …) each; often nothing."""
        ...

    def loss(self, outputs: Outputs, batch: Batch) -> Measured:
        """The loss of what the model says of a batch."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class NextToken:
    """Cross-entropy of the targets, each weighed as its text: pre-training, in full or continued.

    L = - sum_i w_i log P(x_i | x_<i) / sum_i w_i
    """

    @property
    def name(self) -> str:
        return "next token"

    def identity(self) -> Mapping[str, Any]:
        return {"name": self.name}

    def weight(self, batch: Batch) -> float:
        return batch.total_weight

    def note(self, model: Trainable, rows: Rows) -> Notes:
        del model, rows
        return {}

    def loss(self, outputs: Outputs, batch: Batch) -> Measured:
        return Measured(loss=-(outputs.log_chances(batch.labels) * batch.weights).sum())


@dataclass(frozen=True, kw_only=True, slots=True)
class Supervised(NextToken):
    """The same, of conversations, where only the replies are targets."""

    @property
    def name(self) -> str:
        return "supervised"


@dataclass(frozen=True, kw_only=True, slots=True)
class Distillation(NextToken):
    """Learns a teacher's whole distribution at each target (Hinton et al. 2015, section 2).

        L = s T^2 KL(P_teacher^(1/T) || P_student^(1/T)) + (1 - s) cross-entropy

    T^2 keeps the gradients of the soft part as large whatever the temperature. What a teacher
    wrote, as text, is learned by `Supervised`.
    """

    teacher: Trainable = field(repr=False)
    """Of the same vocabulary, and on the same device."""
    temperature: float = 1.0
    soft_share: float = 0.5

    @property
    def name(self) -> str:
        return "distillation"

    def identity(self) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "teacher": weights_digest(self.teacher),
            "temperature": self.temperature,
            "soft_share": self.soft_share,
        }

    def loss(self, outputs: Outputs, batch: Batch) -> Measured:
        vocab_size = unwrapped(self.teacher).config.vocab_size
        if vocab_size != outputs.vocab_size:
            raise ModelError(
                f"The teacher knows {vocab_size} tokens, the model {outputs.vocab_size}. Soft "
                "targets need one vocabulary; let the teacher write texts instead."
            )
        with torch.no_grad():
            taught = run(self.teacher, batch)

        def compute(scores: Tensor, hidden: Tensor, labels: Tensor) -> Tensor:
            with torch.no_grad():
                wanted = taught.head(hidden).float()
            said = scores.float()
            hard = functional.cross_entropy(said, labels, reduction="none")
            return torch.stack((_divergence(said, wanted, self.temperature), hard), dim=1)

        soft, hard = outputs.in_pieces(compute, taught.hidden, batch.labels).unbind(dim=1)
        mixed = self.soft_share * soft + (1 - self.soft_share) * hard
        return Measured(
            loss=(mixed * batch.weights).sum(),
            measures={
                "cross_entropy": (hard.detach() * batch.weights).sum(),
                "divergence": (soft.detach() * batch.weights).sum(),
            },
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectPreference:
    """Makes the better reply likelier beside the worse, as the reference saw them (DPO).

        d = beta (log P(c)/R(c) - log P(r)/R(r))
        L = - (1 - e) log sigmoid(d) - e log sigmoid(-d)

    Rafailov et al. 2023, equation 7, for e = 0; e as in their note on conservative DPO. R is the
    model as it was when training began.
    """

    beta: float = 0.1
    """How much it costs to leave the reference."""
    label_smoothing: float = 0.0
    """e: the share of preferences that are taken to be the wrong way round."""
    normalise_length: bool = False
    """Divides each log-ratio by the tokens of its reply, so that long ones do not win by length;
    beta is then some ten times larger."""

    @property
    def name(self) -> str:
        return "direct preference"

    def identity(self) -> Mapping[str, Any]:
        return {"name": self.name, **asdict(self)}

    def weight(self, batch: Batch) -> float:
        return batch.total_item_weight

    def note(self, model: Trainable, rows: Rows) -> Notes:
        return {REFERENCE: _reference(model, rows)}

    def loss(self, outputs: Outputs, batch: Batch) -> Measured:
        gains = _replies(outputs, batch) - batch.notes[REFERENCE]
        if self.normalise_length:
            lengths = torch.bincount(batch.replies, minlength=batch.num_replies)
            gains = gains / lengths.reshape(gains.shape)
        margins = self.beta * (gains[:, 0] - gains[:, 1])
        losses = -(1 - self.label_smoothing) * functional.logsigmoid(margins)
        losses = losses - self.label_smoothing * functional.logsigmoid(-margins)
        # A tie is a preference that nothing was learned of: half right.
        right = (margins.detach().sign() + 1) / 2
        return Measured(
            loss=(losses * batch.item_weights).sum(),
            measures={
                "accuracy": (right * batch.item_weights).sum(),
                "margin": (margins.detach() * batch.item_weights).sum(),
            },
        )


def _replies(outputs: Outputs, batch: Batch) -> Tensor:
    """The log-probability of each whole reply: (p, 2), chosen and rejected, in float64.

    A reply of 300 tokens may have one of -1,500, of which float32 knows the fourth digit behind
    the point, and the loss is made of differences.
    """
    chances = outputs.log_chances(batch.labels).double()
    sums = chances.new_zeros(batch.num_replies).index_add(0, batch.replies, chances)
    return sums.reshape(-1, 2)


def _reference(model: Trainable, rows: Rows) -> npt.NDArray[np.float64]:
    """What the model says of each preference's replies before it learns any: (items, 2).

    With the adapter that it has: it holds what was learned before, by text and by supervision.
    """
    plain = unwrapped(model)
    noted = np.zeros((len(rows.items), 2), dtype=np.float64)
    with torch.no_grad():
        for first in range(0, len(rows), _NUM_NOTED):
            numbers = range(first, min(first + _NUM_NOTED, len(rows)))
            batch = collate(rows, numbers, plain.device)
            places = [place for number in numbers for place in rows.rows[number]]
            noted[places] = _replies(run(model, batch), batch).cpu().numpy()
    return noted


def _divergence(scores: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """T^2 KL(wanted || scores), both softened: (k, v) twice → (k,)."""
    target = functional.log_softmax(wanted / temperature, dim=-1)
    said = functional.log_softmax(scores / temperature, dim=-1)
    divergence = functional.kl_div(said, target, reduction="none", log_target=True)
    return temperature**2 * divergence.sum(dim=-1)
