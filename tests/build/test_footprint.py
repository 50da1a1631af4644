"""What is counted of a model is compared with a model that is really made and run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from flywheel.build import outputs
from flywheel.build.adapters import Trainable, add_lora
from flywheel.build.base import new_model
from flywheel.build.batches import collate, pack
from flywheel.build.footprint import LARGEST_SCORES, Method, Number, Step, layer_bytes
from flywheel.build.machine import Card, Machine
from flywheel.build.pace import measure_pace, random_texts
from flywheel.build.shape import FAMILIES, Family, Shape
from flywheel.build.vocabulary import FEWEST_TOKENS, train_tokenizer


def shape_of(family: Family, *, tied: bool = True, depth: int = 2) -> Shape:
    return Shape(
        vocab_size=512,
        width=64,
        depth=depth,
        num_heads=4,
        num_kv_heads=2,
        hidden=160,
        tied=tied,
        family=family,
        head_width=32 if family == "qwen3" else 0,
    )


def made(step: Step) -> Trainable:
    plain = new_model(step.shape, train_tokenizer((), FEWEST_TOKENS), seed=1)
    inner: torch.nn.Module = plain
    if step.weight_bytes == 2:
        inner.to(torch.bfloat16)
    return add_lora(plain, rank=step.rank) if step.is_frozen else plain


def steps(family: Family, method: Method, number: Number) -> Iterator[Step]:
    """The same with one layer and with two."""
    for depth in (1, 2):
        rank = 8 if method == "lora" else 0
        yield Step(
            shape=shape_of(family, depth=depth),
            method=method,
            context=72,
            rows=3,  # 216 tokens: no matrix has such a side
            number=number,
            rank=rank,
        )


def kept_bytes(step: Step) -> int:
    """What autograd keeps of the forward pass besides parameters and copies of them."""
    model = made(step)
    parameters = {each.untyped_storage().data_ptr() for each in model.parameters()}
    sizes = {tuple(each.shape) for each in model.parameters() if each.ndim == 2}
    sizes |= {size[::-1] for size in sizes}
    kept: dict[int, torch.Tensor] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in parameters and tuple(tensor.shape) not in sizes:
            kept[place] = tensor
        return tensor

    texts = random_texts(step.rows, step.context, step.shape.vocab_size)
    batch = collate(pack(texts, step.context, seed=1), range(step.rows), torch.device("cpu"))
    is_half = step.number == "bfloat16"
    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=is_half),
    ):
        outputs.run(model, batch)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_those_of_a_model_that_is_made(family: Family, tied: bool) -> None:
    shape = shape_of(family, tied=tied)
    step = Step(shape=shape, method="full", context=64, rows=1)
    assert shape.num_params == sum(each.numel() for each in made(step).parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_adapter_has_the_parameters_that_are_counted(family: Family) -> None:
    step = Step(shape=shape_of(family), method="lora", context=64, rows=1, rank=8)
    trained = [each.numel() for each in made(step).parameters() if each.requires_grad]
    assert step.num_adapter_params == step.num_trained == sum(trained)


@pytest.mark.parametrize("number", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_layer_keeps_what_is_counted(family: Family, method: Method, number: Number) -> None:
    one, two = steps(family, method, number)
    measured = (kept_bytes(two) - kept_bytes(one)) / one.num_tokens
    assert measured == pytest.approx(layer_bytes(one), rel=0.03)


def test_scores_are_cut_into_pieces_as_the_loop_does() -> None:
    assert LARGEST_SCORES == outputs.LARGEST_SCORES


MACHINE = Machine(
    num_cores=1,
    memory_bytes=2**33,
    available_bytes=2**33,
    fp32_flops=1e10,
    bf16_flops=1e10,
    bandwidth=1e9,
)


def test_trial_runs_on_the_processor_where_the_card_does_not_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As with a card that torch sees and has no code for.
    monkeypatch.setattr("flywheel.build.pace.MOST_ROUNDS", 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    card = Card(
        name="a card",
        memory_bytes=2**33,
        free_bytes=0,
        capability="6.1",
        fp32_flops=0.0,
        bf16_flops=0.0,
        bandwidth=0.0,
        problem="no kernel image is available",
    )
    step = Step(shape=shape_of("qwen2"), method="new", context=32, rows=2)
    assert measure_pace(step, replace(MACHINE, card=card)).layers > 0


@pytest.mark.parametrize("method", ["new", "lora"])
def test_trial_tells_a_pace(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flywheel.build.pace.MOST_ROUNDS", 1)
    machine = MACHINE
    rank = 4 if method == "lora" else 0
    step = Step(shape=shape_of("qwen2"), method=method, context=32, rows=2, rank=rank)
    for each in (step, replace(step, recompute=True)):
        pace = measure_pace(each, machine)
        assert pace.layers > 0
        assert pace.rest > 0
