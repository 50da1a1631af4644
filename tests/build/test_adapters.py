"""An adapter learns, the model under it does not; merged, both say the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from flywheel.build.adapters import add_lora, as_reference, merge, save_adapter, unwrapped
from flywheel.build.shape import FAMILIES, Family

MakeModel = Callable[..., PreTrainedModel]

IDS = torch.arange(12)[None]


def learned(model: PeftModel) -> PeftModel:
    """As if it had been trained."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    return model


def scores(model: PreTrainedModel | PeftModel) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(input_ids=IDS).logits
    return found


def test_new_adapter_changes_nothing_and_is_all_that_is_trained(make_model: MakeModel) -> None:
    model = make_model()
    expected = scores(model)
    adapted = add_lora(model, rank=4)
    assert torch.equal(scores(adapted), expected)
    trained = {name for name, weight in adapted.named_parameters() if weight.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    assert not any("lm_head" in name or "embed" in name for name in trained)


def test_adapters_of_one_seed_are_equal(make_model: MakeModel) -> None:
    first, second, other = (add_lora(make_model(), seed=seed) for seed in (1, 1, 2))
    assert all(map(torch.equal, first.parameters(), second.parameters()))
    assert not all(map(torch.equal, first.parameters(), other.parameters()))


def test_only_the_layers_that_are_named_get_one(make_model: MakeModel) -> None:
    adapted = add_lora(make_model(), modules=("q_proj", "v_proj"))
    trained = [name for name, weight in adapted.named_parameters() if weight.requires_grad]
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in trained} == {"q_proj", "v_proj"}


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_model_says_what_the_adapted_one_said(make_model: MakeModel, family: Family) -> None:
    adapted = learned(add_lora(make_model(family)))
    expected = scores(adapted)
    assert not torch.allclose(expected, scores(make_model(family)), atol=1e-3)
    merged = merge(adapted)
    torch.testing.assert_close(scores(merged), expected, atol=1e-5, rtol=0)
    assert merged.state_dict().keys() == make_model(family).state_dict().keys()
    assert merge(merged) is merged


def test_reference_is_the_base_to_the_bit_and_the_adapter_comes_back(
    make_model: MakeModel,
) -> None:
    expected = scores(make_model())
    adapted = learned(add_lora(make_model()))
    said = scores(adapted)
    with as_reference(adapted):
        assert torch.equal(scores(adapted), expected)
    assert torch.equal(scores(adapted), said)
    assert any(weight.requires_grad for weight in adapted.parameters())


# peft asks transformers by a name that is going out of use.
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_saved_adapter_is_read_by_peft(tmp_path: Path, make_model: MakeModel) -> None:
    adapted = learned(add_lora(make_model(), rank=4))
    save_adapter(adapted, tmp_path)
    assert (tmp_path / "adapter_model.safetensors").is_file()
    read = PeftModel.from_pretrained(make_model(), str(tmp_path))
    assert torch.equal(scores(read), scores(adapted))


def test_model_inside_is_the_one_of_transformers(make_model: MakeModel) -> None:
    model = make_model()
    assert unwrapped(model) is model
    assert unwrapped(add_lora(model)) is model
