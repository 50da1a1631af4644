"""What a model of one's own starts from: a Hugging Face base that is loaded, or a small new one.

A base is a folder, or a hub's name that is in the local cache: nothing is fetched here, a model's
own code is never run, and pickled weights are never read. Its tokenizer is what tokenizer.json
says, since that is what an export carries too: the classes that transformers derives from it cut
some texts otherwise.

Not here: training (loop.py), adapters (adapters.py), the served file (export.py).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from flywheel.build.chat_template import CHATML_TEMPLATE, chat_template_for
from flywheel.build.shape import FAMILIES, Family, Shape
from flywheel.errors import ModelError
from flywheel.search.hub_cache import find_snapshot, hub_cache, is_hub_name

_CONFIGS: Mapping[Family, Callable[..., Any]] = {
    "llama": LlamaConfig,
    "qwen2": Qwen2Config,
    "qwen3": Qwen3Config,
}

_INITIAL_DEVIATION = 0.02
"""Of a new model's weights (GPT-2, Radford et al. 2019)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A model with its tokenizer, as it was found."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    """Always with a chat template."""
    source: Path
    notes: tuple[str, ...] = ()
    """What its owner should know, a line each: an untested architecture, a template of ours."""


def load_base(name: str, root: Path, *, dtype: torch.dtype = torch.float32) -> Base:
    """The base that a folder or a hub's name leads to.

    Args:
        root: what a relative folder is relative to.
        dtype: of the weights; bfloat16 halves the memory of a base that only carries an adapter.

    Raises:
        ModelError: it is not on this machine, is no model, is pickled or quantised, or of an
            architecture that is not known.
    """
    folder = find_base(name, root)
    family = _read_family(folder)
    notes = [] if family in FAMILIES else [_untested(family)]
    tokenizer = load_tokenizer(folder)
    if not tokenizer.chat_template:
        tokenizer.chat_template = chat_template_for(tokenizer)
        notes.append(
            f"{folder.name} has no chat template: it is taught ours, whose roles are "
            + ("ChatML's." if tokenizer.chat_template == CHATML_TEMPLATE else "plain text.")
        )
    model = _load_model(folder, dtype)
    if len(tokenizer) > model.config.vocab_size:
        raise ModelError(
            f"{folder}: its tokenizer has {len(tokenizer)} tokens, its model only "
            f"{model.config.vocab_size}. Copy both from the same model."
        )
    return Base(model=model, tokenizer=tokenizer, source=folder, notes=tuple(notes))


def find_base(name: str, root: Path) -> Path:
    """The folder that a name leads to: relative to `root`, else the hub's model in the cache.

    Raises:
        ModelError: it is not on this machine.
    """
    folder = root / Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not is_hub_name(name):
        raise ModelError(f"There is no folder {folder}. Name the folder of a model.")
    snapshot = find_snapshot(name, lambda place: _weights_problem(place) is None)
    if snapshot is None:
        raise ModelError(
            f"There is no folder {folder}, and no such model in {hub_cache()}. Where there is a "
            f"network, run `hf download {name} --local-dir FOLDER`; copy FOLDER here and name it."
        )
    return snapshot


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a model's folder, as its tokenizer.json says.

    Raises:
        ModelError: there is none, it is broken, or it has no end-of-text token.
    """
    if not (folder / "tokenizer.json").is_file():
        raise ModelError(
            f"{folder} lacks tokenizer.json. Copy the whole model; one with tokenizer.model alone "
            "has to be saved again by transformers first."
        )
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    # tokenizers lets out bare Exceptions on a file that it cannot read.
    except Exception as error:
        raise ModelError(f"{folder}: its tokenizer is broken: {_first_line(error)}") from error
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"{folder}: its tokenizer has no end-of-text token. Name one as eos_token in its "
            "tokenizer_config.json."
        )
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    return _with_literal_specials(tokenizer)


def new_model(
    shape: Shape, tokenizer: PreTrainedTokenizerFast, seed: int, *, context: int = 2048
) -> PreTrainedModel:
    """A model with random weights, in float32; the same ones for the same seed.

    What writes into the residual stream is scaled by 1/sqrt(2 depth), as in GPT-2 (Radford et al.
    2019, section 2.3), so that its variance does not grow with the depth.

    Args:
        context: the longest text in tokens that it will be made for.
    """
    assert len(tokenizer) <= shape.vocab_size
    config = _CONFIGS[shape.family](
        vocab_size=shape.vocab_size,
        hidden_size=shape.width,
        num_hidden_layers=shape.depth,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_kv_heads,
        head_dim=shape.head_dim,
        intermediate_size=shape.hidden,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=context,
        initializer_range=_INITIAL_DEVIATION,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        # Its embedding would get no gradient, and it is often the end-of-text token.
        pad_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        make: Callable[..., PreTrainedModel] = AutoModelForCausalLM.from_config
        model = make(config, dtype=torch.float32)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.mul_(1 / math.sqrt(2 * shape.depth))
    return model


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes a model in Hugging Face's layout: safetensors, configuration, tokenizer, template.

    Args:
        folder: made if it is not there; the caller sees to it that a kill leaves no half of one.
    """
    with _without_bars():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # The name that releases 4 and 5 of transformers both know.
    config = folder / "tokenizer_config.json"
    named = json.loads(config.read_text(encoding="utf-8"))
    named["tokenizer_class"] = "PreTrainedTokenizerFast"
    config.write_text(json.dumps(named, ensure_ascii=False, indent=2), encoding="utf-8")


def _with_literal_specials(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Special tokens are found in a text as they are written, as llama.cpp finds them.

    Some old tokenizers bring them into their normal form first (with a mark of a space in front),
    in which they are found at the start of a text only, and no chat template can use them.
    """
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    changed = [each for each in described["added_tokens"] if each["special"] and each["normalized"]]
    if changed:
        for each in changed:
            each["normalized"] = False
        # There is no public way to change it that also keeps the rest of the configuration.
        tokenizer._tokenizer = Tokenizer.from_str(json.dumps(described))
    return tokenizer


def _load_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    load: Callable[..., tuple[PreTrainedModel, dict[str, Any]]]
    load = AutoModelForCausalLM.from_pretrained  # type: ignore[assignment]
    try:
        with _without_bars():
            model, told = load(
                folder,
                dtype=dtype,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
    # Whatever a broken file makes of transformers, safetensors and the architecture's code.
    except Exception as error:
        raise ModelError(f"{folder}: its model does not load: {_first_line(error)}") from error
    if told["missing_keys"]:
        raise ModelError(
            f"{folder} lacks weights that its architecture needs, the first "
            f"{sorted(told['missing_keys'])[0]}. Copy the whole model again."
        )
    return model


@contextmanager
def _without_bars() -> Iterator[None]:
    """Loading and saving draw progress bars of their own, which fall into ours."""
    if not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _read_family(folder: Path) -> str:
    """The architecture that config.json names, once it is sure that there is a model of it."""
    file = folder / "config.json"
    if not file.is_file():
        raise ModelError(f"{folder} holds no model: config.json is not there.")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        known = _is_language_model(config)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file} is broken, or no model's. Copy the model again.") from error
    if not known:
        raise ModelError(
            f"{folder} is no language model that is known here, but of the architecture "
            f"{(config.get('architectures') or [config['model_type']])[0]}. "
            f"{', '.join(FAMILIES)} are tested."
        )
    if config.get("quantization_config"):
        raise ModelError(f"{folder} is quantised, and cannot be trained. Name the unquantised one.")
    problem = _weights_problem(folder)
    if problem is not None:
        raise ModelError(problem)
    try:
        AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"{file} is broken: {_first_line(error)}") from error
    family: str = config["model_type"]
    return family


def _is_language_model(config: Mapping[str, Any]) -> bool:
    """Whether it predicts the next token; an encoder, or a classifier on a model, does not."""
    architecture = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config["model_type"])
    return architecture is not None and architecture in config.get("architectures", [architecture])


def _weights_problem(folder: Path) -> str | None:
    """Why a folder's weights cannot be read; None where they can."""
    if (folder / "model.safetensors").is_file():
        return None
    if (folder / "model.safetensors.index.json").is_file():
        return None
    if any(folder.glob("pytorch_model*.bin")):
        return (
            f"{folder} holds pickled weights only, which are never loaded. Save the model again "
            "as model.safetensors."
        )
    return f"{folder} holds no model: model.safetensors is not there."


def _untested(family: str) -> str:
    return (
        f"The architecture {family} is not among the tested ones ({', '.join(FAMILIES)}): it is "
        "trained text by text, which is slower, and may not export."
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
