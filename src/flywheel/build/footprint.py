"""How much memory a step of training takes, part by part, counted from the model's sizes.

What is counted is what the loop keeps until the backward pass has used it (loop.py, objectives.py,
and the decoder layers of transformers): the tensors were listed with autograd's own hooks, and
tests/build/test_footprint.py lists them again and compares. Nothing is fitted to measurements.

Legend: T tokens in one batch of rows, d width, q and k widths of all query and key heads, h hidden
width of the MLP, V vocabulary, r rank of LoRA.

Not here: how long a step takes (pace.py), and what is chosen (plan.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flywheel.build.shape import Shape

Method = Literal["new", "full", "lora"]
Number = Literal["float32", "bfloat16"]

FLOAT = 4
"""Bytes of a float32, which gradients, optimizer states and norms are kept in."""
HALF = 2
"""Bytes of a bfloat16."""
NUM_MATRICES = 7
"""Of a layer: queries, keys, values, output; gate, up, down. The first three and the next two
read the same input."""
LARGEST_SCORES = 2**26
"""As outputs.py has it (a test compares): more scores are computed piece by piece."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What is done in one step of the optimizer: all that its memory and its time depend on."""

    shape: Shape
    method: Method
    context: int
    """Tokens in a row, and the longest piece of text."""
    rows: int
    """Rows that go through the model at once: `micro_rows` of the loop."""
    accumulation: int = 1
    """Batches of rows whose gradients are summed before the optimizer's step."""
    number: Number = "float32"
    """What products are computed in. Weights are float32 all the same, but for a base that
    carries an adapter."""
    recompute: bool = False
    """Activations inside a layer are computed again in the backward pass, and not kept."""
    rank: int = 0
    """Of LoRA's matrices."""
    target_share: float = 1.0
    """Of the positions, those that are learned from: only they get scores."""

    @property
    def batch_rows(self) -> int:
        """Rows of one step of the optimizer."""
        return self.rows * self.accumulation

    @property
    def num_tokens(self) -> int:
        """Of one step of the optimizer."""
        return self.batch_rows * self.context

    @property
    def is_frozen(self) -> bool:
        """Whether the model's own weights stay as they are."""
        return self.method == "lora"

    @property
    def weight_bytes(self) -> int:
        """Of one of the model's own weights."""
        return HALF if self.is_frozen and self.number == "bfloat16" else FLOAT

    @property
    def num_adapter_params(self) -> int:
        """Of LoRA on every matrix of every layer: r (inputs + outputs) for each."""
        shape = self.shape
        queries, keys = head_widths(shape)
        ends = (
            2 * (shape.width + queries)
            + 2 * (shape.width + keys)
            + 3 * (shape.width + shape.hidden)
        )
        return shape.depth * self.rank * ends if self.is_frozen else 0

    @property
    def num_trained(self) -> int:
        """Parameters that the optimizer changes."""
        return self.num_adapter_params if self.is_frozen else self.shape.num_params


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """Bytes at the moment when a step needs most. Their sum is the peak."""

    parameters: int
    gradients: int
    optimizer: int
    """Two averages for each trained parameter (AdamW)."""
    activations: int
    """Kept from the forward pass for the backward pass, and what that makes on its way."""
    logits: int
    """The scores of all tokens of the vocabulary at the learned positions, and what their loss
    makes of them."""

    @property
    def total(self) -> int:
        return self.parameters + self.gradients + self.optimizer + self.activations + self.logits


def footprint(step: Step) -> Footprint:
    """The memory of a step at its peak, which is at one of three moments.

    When the backward pass begins, with all activations and the scores; when it has passed the
    scores and is in the last layer; or when it ends, with all gradients. Gradients of earlier
    batches of the same step are there all the time.
    """
    trained = FLOAT * step.num_trained
    parameters = step.weight_bytes * step.shape.num_params
    parameters += FLOAT * step.num_adapter_params
    earlier = trained if step.accumulation > 1 else 0
    kept = _kept(step)
    output = _output_gradient(step)
    scores, late = _scores(step)
    moments = (
        (earlier + late, kept, scores),
        (earlier + output, kept + _layer_working(step), 0),
        (earlier + trained + _embedding_gradient(step), 0, 0),
    )
    gradients, activations, logits = max(moments, key=sum)
    return Footprint(
        parameters=parameters,
        gradients=gradients,
        optimizer=2 * trained,
        activations=activations,
        logits=logits,
    )


def layer_bytes(step: Step) -> int:
    """Bytes that one layer keeps of each token.

    Trained in full, in float32: three numbers of each column of each norm (its input, scaled,
    weighted), queries, keys and values, the attended parts and the row that they are joined to,
    and of the MLP the gate, its activation, the other factor and their product. A frozen matrix
    keeps no input, and a frozen norm not what it weighs; LoRA's matrices keep the inputs again,
    and their own r numbers. In bfloat16 norms stay in float32, and each of the five matrices that
    read a norm keeps a copy of its own.
    """
    shape = step.shape
    queries, keys = head_widths(shape)
    full = not step.is_frozen
    num_norms = shape.num_heads + shape.num_kv_heads if shape.family == "qwen3" else 0
    statistics = FLOAT * (shape.num_heads + 2 + num_norms)
    inner = 3 * queries + 2 * keys + 4 * shape.hidden + NUM_MATRICES * step.rank
    of_heads = queries + keys if num_norms else 0
    if step.number == "float32":
        norms = (6 if full else 4) * shape.width + (2 if full else 1) * of_heads
        return FLOAT * (norms + inner) + statistics
    norms = FLOAT * (4 if full else 2) * shape.width + (6 if full else 4) * of_heads
    return norms + HALF * (5 * shape.width + inner) + statistics


def head_widths(shape: Shape) -> tuple[int, int]:
    """Of all query heads together, and of all key heads."""
    return shape.num_heads * shape.head_dim, shape.num_kv_heads * shape.head_dim


def matrix_params(shape: Shape) -> int:
    """Of the seven matrices of one layer."""
    queries, keys = head_widths(shape)
    return 2 * shape.width * (queries + keys) + 3 * shape.width * shape.hidden


def _kept(step: Step) -> int:
    """Activations when the forward pass is through all layers."""
    shape, tokens = step.shape, step.rows * step.context
    # Rotations, positions; the last norm; the states at the targets, and their gradient.
    around = tokens * (2 * FLOAT * shape.head_dim + 8 + 2 * FLOAT * shape.width)
    around += 2 * FLOAT * _num_targets(step) * shape.width
    copies = _layer_copies(step)
    if not step.recompute:
        return around + shape.depth * (tokens * layer_bytes(step) + copies)
    inputs = step.weight_bytes * shape.width * tokens
    return around + shape.depth * inputs + tokens * layer_bytes(step) + copies


def _layer_copies(step: Step) -> int:
    """A layer's weights in bfloat16, kept beside those in float32."""
    if step.number == "float32":
        return 0
    own = matrix_params(step.shape) if step.weight_bytes == FLOAT else 0
    return HALF * (own + step.num_adapter_params // step.shape.depth)


def _layer_working(step: Step) -> int:
    """What the backward pass through one layer makes: gradients of the MLP's inner columns."""
    per_token = FLOAT if step.number == "float32" else HALF
    shape = step.shape
    return step.rows * step.context * (2 * per_token * shape.hidden + 2 * FLOAT * shape.width)


def _num_targets(step: Step) -> int:
    return round(step.rows * step.context * step.target_share)


def _scores(step: Step) -> tuple[int, int]:
    """Scores and gradients of the output matrix at the moment when both take most.

    Three times the scores of a piece: the logarithms that the loss keeps, their gradient, and the
    scores' own. Then the matrix's gradient is made; in pieces, it is summed with the last one's.
    """
    shape, targets = step.shape, _num_targets(step)
    piece = min(targets, max(LARGEST_SCORES // shape.vocab_size, 1))
    scores = FLOAT * piece * shape.vocab_size
    copy = HALF * shape.vocab_size * shape.width if step.number == "bfloat16" else 0
    matrix = 0 if step.is_frozen else FLOAT * shape.vocab_size * shape.width
    earlier = matrix if piece < targets else 0
    moments = ((3 * scores + copy, earlier), (scores + copy, earlier + matrix))
    return max(moments, key=sum)


def _output_gradient(step: Step) -> int:
    return 0 if step.is_frozen else FLOAT * step.shape.vocab_size * step.shape.width


def _embedding_gradient(step: Step) -> int:
    """Where the embeddings are the output matrix, they have a gradient from either end."""
    return _output_gradient(step) if step.shape.tied else 0
