"""LoRA: a base stays as it is, and what is learned stands in small matrices beside its own.

    W' = W + (alpha / rank) B A, where B starts at zero        (Hu et al. 2021, section 4.1)

The model without its adapter is the reference that preferences are learned against, so that no
second copy of it is held.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

Trainable = PreTrainedModel | PeftModel
"""A model all of whose weights are trained, or one that carries an adapter."""


def add_lora(
    model: PreTrainedModel,
    *,
    rank: int = 16,
    scale: float = 2.0,
    dropout: float = 0.0,
    modules: tuple[str, ...] = (),
    seed: int = 1,
) -> PeftModel:
    """The model with a new adapter, which alone is trained.

    Args:
        scale: what alpha / rank is.
        modules: the names of the layers that get one; empty: all linear ones but the output.
    """
    config = LoraConfig(
        r=rank,
        lora_alpha=round(rank * scale),
        lora_dropout=dropout,
        target_modules=list(modules) or "all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # peft asks transformers by a name that is going out of use.
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def merge(model: Trainable) -> PreTrainedModel:
    """The model with its adapter added into its own weights; one without is given back."""
    if not isinstance(model, PeftModel):
        return model
    merged = model.merge_and_unload()
    assert isinstance(merged, PreTrainedModel)
    return merged


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Writes the adapter alone, as peft and llama.cpp's converter read it."""
    model.save_pretrained(str(folder))


def unwrapped(model: Trainable) -> PreTrainedModel:
    """The model of transformers inside, with its adapter in its layers."""
    inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(inner, PreTrainedModel)
    return inner


@contextmanager
def as_reference(model: Trainable) -> Iterator[None]:
    """Within it, the model answers as it did before its adapter learned anything."""
    if not isinstance(model, PeftModel):
        yield
        return
    with model.disable_adapter():
        yield
