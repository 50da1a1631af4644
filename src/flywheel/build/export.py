"""A trained model as the file that the engine serves: GGUF, in the precision that the owner set.

    exported = write_gguf("folder/of/the/model", None, Path("model.gguf"), "q8_0")

Not here: a folder in Hugging Face's layout (base.py), and whether the file says what the trained
model says (parity.py).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from flywheel.build import gguf_file
from flywheel.build.base import load_base
from flywheel.build.gguf_vocabulary import read_vocabulary
from flywheel.build.settings import Precision
from flywheel.errors import ModelError

CODE_VERSION = 1

_ROTARY = frozenset({"default", "linear", "llama3", "yarn"})
_YARN: Mapping[str, object] = {
    "beta_fast": 32,
    "beta_slow": 1,
    "attention_factor": None,
    "mscale": None,
    "mscale_all_dim": None,
    "truncate": True,
}
"""YaRN's options → their defaults. llama.cpp works out the same attention factor by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What was written."""

    architecture: str
    precision: Precision
    size_bytes: int
    num_parameters: int
    """Counted once where matrices are tied."""
    kept_in_f16: tuple[str, ...]
    """Tensors whose rows do not divide into blocks of 32, so that they are not quantised."""


def write_gguf(model: Any, tokenizer: Any, path: Path, precision: Precision) -> Exported:
    """Writes a model with its tokenizer; whatever stands at `path` is replaced at once.

    Args:
        model: a causal language model of transformers with adapters merged, or its folder.
        tokenizer: its fast tokenizer; None where the folder holds it.

    Raises:
        ModelError: the architecture, one of its options or the tokenizer is not supported, or the
            folder holds no model.
    """
    if isinstance(model, (str, Path)):
        base = load_base(str(model), Path())
        model, tokenizer = base.model, tokenizer or base.tokenizer
    require_exportable(model)
    vocabulary = read_vocabulary(
        tokenizer,
        model.get_input_embeddings().weight.shape[0],
        ends=_ends(model),
        beginning=model.config.bos_token_id,
    )
    parts = gguf_file.tensors(model, precision)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        gguf_file.write(unfinished, model, vocabulary, parts, precision)
        _fsync(unfinished)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    _fsync(path.parent)
    return Exported(
        architecture=gguf_file.ARCHITECTURES[type(model).__name__],
        precision=precision,
        size_bytes=path.stat().st_size,
        num_parameters=sum(part.source.numel() for part in parts),
        kept_in_f16=tuple(
            part.name
            for part in parts
            if precision in ("q8_0", "q4_0") and part.type == gguf.GGMLQuantizationType.F16
        ),
    )


def require_exportable(model: Any) -> None:
    """Refuses a model that the file could not say everything of: before it is trained, best.

    Raises:
        ModelError: the architecture, or one of its options, is not supported.
    """
    architecture = type(model).__name__
    if architecture not in gguf_file.ARCHITECTURES:
        known = ", ".join(gguf_file.ARCHITECTURES)
        raise ModelError(
            f"A model of the architecture {architecture} cannot be exported to GGUF. Supported "
            f"are {known}."
        )
    config = model.config
    rope = config.rope_parameters
    if rope["rope_type"] not in _ROTARY:
        raise _unsupported(
            f"its positions are scaled by {rope['rope_type']}; supported are "
            f"{', '.join(sorted(_ROTARY))}"
        )
    if rope["rope_type"] == "yarn":
        _require_plain_yarn(rope)
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise _unsupported("only a part of each head is rotated")
    if config.hidden_act != "silu":
        raise _unsupported(f"its activation is {config.hidden_act}, not silu")
    if getattr(config, "use_sliding_window", False):
        raise _unsupported("it attends within a sliding window")
    if architecture == "Qwen3ForCausalLM" and config.attention_bias:
        raise _unsupported("its attention has biases, which llama.cpp's qwen3 has not")
    share = config.hidden_size // config.num_attention_heads
    if architecture == "Qwen2ForCausalLM" and gguf_file.head_dim(config) != share:
        raise _unsupported("its heads are not as wide as llama.cpp's qwen2 takes them to be")


def _require_plain_yarn(rope: Mapping[str, Any]) -> None:
    """Refuses YaRN with other options than its paper's: only those are tested in the engine.

    Raises:
        ModelError: one of its options is another, or the length that it extends is not stated.
    """
    for name, default in _YARN.items():
        if rope.get(name) not in (None, default):
            raise _unsupported(f"its positions are scaled by yarn with {name} = {rope[name]}")
    if not rope.get("factor") or not rope.get("original_max_position_embeddings"):
        raise _unsupported(
            "its positions are scaled by yarn, and its config.json lacks factor or "
            "original_max_position_embeddings"
        )


def _unsupported(problem: str) -> ModelError:
    return ModelError(f"The model cannot be exported to GGUF: {problem}.")


def _ends(model: Any) -> list[int]:
    """The tokens that end a generation, by the generation's configuration or the model's."""
    generation = getattr(model, "generation_config", None)
    stated = getattr(generation, "eos_token_id", None)
    stated = stated if stated is not None else model.config.eos_token_id
    if stated is None:
        return []
    return list(stated) if isinstance(stated, (list, tuple)) else [stated]


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
