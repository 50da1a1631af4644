"""How long a step of training takes: counted work over measured speeds, set right by a short trial.

The count alone is a lower bound: small matrices, attention and Python's own time keep a machine
from its speeds. So a model of the planned width with one layer and one with three are trained for
a few steps, by the loop's own means: their difference is what layers take beside the count, the
rest what vocabulary and optimizer take. Depth, batch and vocabulary may then change with the plan.

Not here: memory (footprint.py). Imports no torch but for the trial.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flywheel.build.footprint import FLOAT, Step, head_widths, layer_bytes, matrix_params
from flywheel.build.machine import Machine
from flywheel.build.planned import Device

if TYPE_CHECKING:
    from flywheel.build.sequences import TokenSequence

TRIAL_SECONDS = 8.0
"""All trial steps together, about."""
TRIAL_STEP_SECONDS = 0.5
"""What one of them may take by the count; fewer rows are tried where it would be more."""
TRIAL_DEPTHS = (1, 3)
MOST_ROUNDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Speeds:
    """Of the device that trains, for the numbers that it computes in."""

    flops: float
    """Operations a second."""
    bandwidth: float
    """Bytes a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How many times longer the work takes than it is counted to."""

    layers: float = 1.0
    rest: float = 1.0
    """Vocabulary, loss and optimizer."""


EVEN = Pace()


def speeds(machine: Machine, *, is_half: bool) -> Speeds:
    """The speeds of the card where there is one that works, else of the processor."""
    place = machine.usable_card or machine
    return Speeds(
        flops=place.bf16_flops if is_half else place.fp32_flops, bandwidth=place.bandwidth
    )


def step_seconds(step: Step, at: Speeds, pace: Pace = EVEN) -> float:
    """What one step of the optimizer takes."""
    batch = pace.layers * _layers_seconds(step, at) + pace.rest * _output_seconds(step, at)
    return step.accumulation * batch + pace.rest * _update_seconds(step, at)


def _layers_seconds(step: Step, at: Speeds) -> float:
    """All layers, forward and backward, for one batch of rows.

    Products: 2 operations for each parameter and token forward, 4 backward, of which frozen
    weights need 2; attention sees half of the row on average, and 2.5 times as much backward.
    What is kept is written once, read once, and its gradient written and read.
    """
    shape, tokens = step.shape, step.rows * step.context
    queries, _ = head_widths(shape)
    forward = 2 * matrix_params(shape) + 2 * step.context * queries
    backward = 2 * matrix_params(shape) * (1 if step.is_frozen else 2)
    backward += 5 * step.context * queries
    adapter = 6 * step.num_adapter_params / shape.depth
    again = forward if step.recompute else 0
    operations = tokens * (forward + backward + adapter + again)
    moved = tokens * layer_bytes(step) * (5 if step.recompute else 4)
    return shape.depth * (operations / at.flops + moved / at.bandwidth)


def _output_seconds(step: Step, at: Speeds) -> float:
    """Scores, their loss and its gradient, for one batch of rows."""
    shape = step.shape
    targets = step.rows * step.context * step.target_share
    operations = targets * shape.vocab_size * shape.width * (4 if step.is_frozen else 6)
    return operations / at.flops + targets * shape.vocab_size * 8 * FLOAT / at.bandwidth


def _update_seconds(step: Step, at: Speeds) -> float:
    """Of AdamW: weights, gradients and both averages read, all but gradients written; the norm."""
    return step.num_trained * 9 * FLOAT / at.bandwidth


def measure_pace(
    step: Step, machine: Machine, clock: Callable[[], float] = time.perf_counter
) -> Pace:
    """The pace of steps like this one, from a trial of some seconds. Needs torch.

    Args:
        clock: of seconds; a bench on a busy machine may count the processor's.
    """
    at = speeds(machine, is_half=step.number == "bfloat16")
    trial = _trial(step, at)
    shallow, deep = (replace(trial, shape=replace(trial.shape, depth=d)) for d in TRIAL_DEPTHS)
    device: Device = "cuda" if machine.usable_card else "cpu"
    low, high = _median_seconds(clock, _stepper(shallow, device), _stepper(deep, device))
    layer = max((high - low) / (TRIAL_DEPTHS[1] - TRIAL_DEPTHS[0]), 0.05 * low)
    rest = max(low - layer, 0.05 * low)
    counted = _output_seconds(shallow, at) + _update_seconds(shallow, at)
    return Pace(layers=layer / _layers_seconds(shallow, at), rest=rest / counted)


def _trial(step: Step, at: Speeds) -> Step:
    deep = replace(step.shape, depth=TRIAL_DEPTHS[1])
    one = replace(step, shape=deep, rows=1, accumulation=1)
    rows = int(TRIAL_STEP_SECONDS / step_seconds(one, at))
    return replace(one, rows=max(1, min(step.rows, rows)))


def _median_seconds(clock: Callable[[], float], *steppers: Callable[[], None]) -> list[float]:
    """What each takes, in turns, so that whatever else runs here slows all alike."""
    taken: list[list[float]] = [[] for _ in steppers]
    started = time.perf_counter()
    for number in range(MOST_ROUNDS + 1):
        for stepper, times in zip(steppers, taken, strict=True):
            before = clock()
            stepper()
            times.append(clock() - before)
        if number and time.perf_counter() - started > TRIAL_SECONDS:
            break
    # The first allocates the optimizer's state, and much else.
    return [statistics.median(times[1:]) for times in taken]


def _stepper(step: Step, device_name: Device) -> Callable[[], None]:
    """One step of training a random model of this shape on random tokens.

    Args:
        device_name: as the machine's probe found it: torch sees cards that it has no code for.
    """
    import torch

    from flywheel.build.adapters import add_lora, unwrapped
    from flywheel.build.base import new_model
    from flywheel.build.batches import collate, pack
    from flywheel.build.objectives import NextToken
    from flywheel.build.outputs import run, running
    from flywheel.build.vocabulary import FEWEST_TOKENS, train_tokenizer

    device = torch.device(device_name)
    is_half = step.number == "bfloat16"
    plain = new_model(step.shape, train_tokenizer((), FEWEST_TOKENS), seed=1)
    inner: torch.nn.Module = plain
    if step.is_frozen and is_half:
        inner.to(torch.bfloat16)
    model = add_lora(plain, rank=step.rank) if step.is_frozen else plain
    outer: torch.nn.Module = model
    outer.to(device).train()
    if step.recompute:
        enable: Callable[[], None] = unwrapped(model).activation_checkpointing_enable
        enable()
    weights = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-6, fused=True)
    texts = random_texts(step.rows, step.context, step.shape.vocab_size)
    batch = collate(pack(texts, step.context, seed=1), range(step.rows), device)
    objective = NextToken()

    def take() -> None:
        with running(model):
            with torch.autocast(device.type, torch.bfloat16, enabled=is_half):
                loss = objective.loss(run(model, batch), batch).loss / batch.total_weight
            loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        float(loss.detach())

    return take


def random_texts(count: int, length: int, vocab_size: int) -> list[TokenSequence]:
    """So many texts of random tokens, all of which are learned."""
    import numpy as np

    from flywheel.build.sequences import TokenSequence

    generator = np.random.default_rng(1)
    is_target = np.ones(length, dtype=np.bool_)
    is_target[0] = False
    return [
        TokenSequence(
            ids=generator.integers(0, vocab_size, length, dtype=np.int32), is_target=is_target
        )
        for _ in range(count)
    ]
