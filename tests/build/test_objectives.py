"""Each loss against its formula, written out plainly on the whole matrix of scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from flywheel.build import outputs
from flywheel.build.adapters import add_lora
from flywheel.build.batches import Batch, collate, pack, pairs_as_rows
from flywheel.build.objectives import (
    DirectPreference,
    Distillation,
    NextToken,
    Objective,
    Supervised,
)
from flywheel.build.outputs import run
from flywheel.build.sequences import Ids, TokenPair, TokenSequence
from flywheel.errors import ModelError

MakeModel = Callable[..., PreTrainedModel]

CPU = torch.device("cpu")
SEQUENCES = ((7, 1.0), (12, 0.25), (4, 0.5))
PAIRS = ((5, 6, 9, 1.0), (3, 8, 2, 0.5), (7, 1, 4, 0.25))


def drawn(length: int) -> Ids:
    return np.random.default_rng(length).integers(384, size=length, dtype=np.int32)


def sequences() -> list[TokenSequence]:
    """Half of whose tokens are learned."""
    return [
        TokenSequence(ids=drawn(length), is_target=np.arange(length) >= length // 2, weight=weight)
        for length, weight in SEQUENCES
    ]


def pairs() -> list[TokenPair]:
    return [
        TokenPair(
            prompt=drawn(prompt), chosen=drawn(chosen), rejected=drawn(rejected), weight=weight
        )
        for prompt, chosen, rejected, weight in PAIRS
    ]


def mean_loss(objective: Objective, model: PreTrainedModel, batch: Batch) -> Tensor:
    return objective.loss(run(model, batch), batch).loss / objective.weight(batch)


def log_softmax(model: PreTrainedModel, ids: Ids) -> Tensor:
    """(n, v), of each place what it predicts."""
    scores: Tensor = model(torch.from_numpy(ids)[None].long()).logits[0].log_softmax(dim=-1)
    return scores


def reply_chance(model: PreTrainedModel, prompt: Ids, reply: Ids) -> Tensor:
    predicted = log_softmax(model, np.concatenate((prompt, reply)))[len(prompt) - 1 : -1]
    return predicted.gather(1, torch.from_numpy(reply)[:, None].long()).sum()


@pytest.mark.parametrize("objective", [NextToken(), Supervised()])
def test_next_token_is_the_weighted_cross_entropy_of_the_targets(
    make_model: MakeModel, objective: Objective
) -> None:
    model, items = make_model(), sequences()
    batch = collate(pack(items, 32, 1), [0], CPU)
    total, weight = torch.zeros(()), 0.0
    for item in items:
        predicted = log_softmax(model, item.ids)
        for place in np.flatnonzero(item.is_target).tolist():
            total -= item.weight * predicted[place - 1, item.ids[place]]
            weight += item.weight
    torch.testing.assert_close(mean_loss(objective, model, batch), total / weight)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_distillation_is_the_softened_divergence_and_the_cross_entropy(
    make_model: MakeModel, temperature: float
) -> None:
    model, teacher = make_model(), make_model("qwen3", seed=2)
    batch = collate(pack(sequences(), 32, 1), [0], CPU)
    objective = Distillation(teacher=teacher, temperature=temperature, soft_share=0.3)
    total = torch.zeros(())
    for item in sequences():
        targets = np.flatnonzero(item.is_target)
        hard = log_softmax(model, item.ids)[targets - 1]
        told = log_softmax(teacher, item.ids)[targets - 1]
        student = (hard / temperature).log_softmax(dim=-1)
        wanted = (told / temperature).softmax(dim=-1)
        soft = temperature**2 * (wanted * (wanted.log() - student)).sum(dim=-1)
        correct = -hard[range(len(targets)), item.ids[targets].tolist()]
        total += item.weight * (0.3 * soft + 0.7 * correct).sum()
    found = mean_loss(objective, model, batch)
    torch.testing.assert_close(found, total / batch.total_weight, atol=1e-5, rtol=0)


def test_model_that_is_its_own_teacher_has_nothing_to_learn(make_model: MakeModel) -> None:
    model = make_model()
    objective = Distillation(teacher=model, temperature=2.0, soft_share=1.0)
    batch = collate(pack(sequences(), 32, 1), [0], CPU)
    loss = mean_loss(objective, model, batch)
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    steepest = max(
        each.grad.abs().max().item() for each in model.parameters() if each.grad is not None
    )
    assert steepest < 1e-5
    assert all(weight.grad is None for weight in make_model().parameters())


def test_teacher_of_another_vocabulary_is_refused(make_model: MakeModel) -> None:
    from transformers import AutoModelForCausalLM

    model = make_model()
    config = make_model().config
    config.vocab_size = 400
    make: Callable[..., PreTrainedModel] = AutoModelForCausalLM.from_config
    batch = collate(pack(sequences(), 32, 1), [0], CPU)
    with pytest.raises(ModelError, match="The teacher knows 400 tokens, the model 384"):
        mean_loss(Distillation(teacher=make(config)), model, batch)


@pytest.mark.parametrize("normalise_length", [False, True])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_preference_is_the_formula_of_dpo(
    make_model: MakeModel, label_smoothing: float, normalise_length: bool
) -> None:
    model, reference = make_model(), make_model(seed=2)
    objective = DirectPreference(
        beta=0.4, label_smoothing=label_smoothing, normalise_length=normalise_length
    )
    rows = pairs_as_rows(pairs())
    rows = rows.with_notes(objective.note(reference, rows))
    batch = collate(rows, [2, 0, 1], CPU)
    total = torch.zeros(())
    for item in pairs():
        ratios = []
        for reply in (item.chosen, item.rejected):
            ratio = reply_chance(model, item.prompt, reply)
            ratio = ratio - reply_chance(reference, item.prompt, reply)
            ratios.append(ratio / len(reply) if normalise_length else ratio)
        margin = 0.4 * (ratios[0] - ratios[1])
        right, wrong = torch.sigmoid(margin).log(), torch.sigmoid(-margin).log()
        total -= item.weight * ((1 - label_smoothing) * right + label_smoothing * wrong)
    found = mean_loss(objective, model, batch)
    torch.testing.assert_close(found.float(), total / 1.75, atol=1e-5, rtol=0)


def test_before_learning_every_preference_is_a_tie(make_model: MakeModel) -> None:
    model = make_model()
    objective = DirectPreference()
    rows = pairs_as_rows(pairs())
    batch = collate(rows.with_notes(objective.note(model, rows)), [0, 1, 2], CPU)
    measured = objective.loss(run(model, batch), batch)
    weight = objective.weight(batch)
    assert measured.loss.item() / weight == pytest.approx(np.log(2), abs=1e-5)
    assert measured.measures["margin"].item() / weight == pytest.approx(0, abs=1e-5)


def test_reference_is_the_model_as_supervision_left_it(make_model: MakeModel) -> None:
    rows = pairs_as_rows(pairs())
    adapted = add_lora(make_model(), rank=4)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    objective = DirectPreference()
    noted = rows.with_notes(objective.note(adapted, rows))
    batch = collate(noted, [0, 1, 2], CPU)
    measured = objective.loss(run(adapted, batch), batch)
    assert measured.loss.item() / objective.weight(batch) == pytest.approx(np.log(2), abs=1e-5)


@pytest.mark.parametrize("is_distilled", [False, True])
def test_scores_in_pieces_give_the_same_loss_and_gradient(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, is_distilled: bool
) -> None:
    teacher = make_model(seed=2)
    objective = Distillation(teacher=teacher, temperature=2.0) if is_distilled else NextToken()
    batch = collate(pack(sequences(), 32, 1), [0], CPU)
    found = []
    for largest in (2**26, 384 * 3):
        monkeypatch.setattr(outputs, "LARGEST_SCORES", largest)
        model = make_model()
        loss = mean_loss(objective, model, batch)
        torch.autograd.backward(loss)
        found.append([loss.detach(), *(weight.grad for weight in model.parameters())])
    for whole, pieces in zip(*found, strict=True):
        torch.testing.assert_close(pieces, whole, atol=1e-6, rtol=1e-5)


def test_identity_tells_options_and_teachers_apart(make_model: MakeModel) -> None:
    objectives: list[Objective] = [
        NextToken(),
        Supervised(),
        DirectPreference(),
        DirectPreference(beta=0.2),
        Distillation(teacher=make_model()),
        Distillation(teacher=make_model(seed=2)),
    ]
    assert len({repr(each.identity()) for each in objectives}) == 6
    assert Distillation(teacher=make_model()).identity() == objectives[4].identity()
