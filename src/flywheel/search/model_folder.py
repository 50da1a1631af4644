"""A sentence-transformers model on disk: where its name leads, and how its folder says to use it.

A name is a folder, or a name on the Hugging Face hub that is looked up in the local cache. The
network is used only where the caller allows it.

Not here: running the model (`embed.py`). Pickled weights and a model's own code are never read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flywheel.errors import ModelError
from flywheel.search.encoder_graph import first_position
from flywheel.search.hub_cache import find_snapshot, hub_cache, is_hub_name

Kind = Literal["passage", "question"]
Pooling = Literal["mean", "cls"]

_ONNX_NAMES = ("onnx/model.onnx", "model.onnx")
_WEIGHTS_NAME = "model.safetensors"

_FETCHES = (("*.json", "onnx/model.onnx", "onnx/model.onnx_data"), (_WEIGHTS_NAME,))
"""An export first: it runs whatever the architecture, and spares building the graph."""

_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})

_POOLINGS: Mapping[str, Pooling] = {
    "mean": "mean",
    "mean_tokens": "mean",
    "cls": "cls",
    "cls_token": "cls",
    # Differs from the mean by a factor only, and all vectors are brought to length 1.
    "mean_sqrt_len_tokens": "mean",
}

_PROMPT_NAMES: Mapping[Kind, tuple[str, ...]] = {
    "question": ("query", "question"),
    "passage": ("document", "passage", "corpus"),
}
"""As sentence-transformers looks them up for a query and for a document."""

_MAX_TOKENS = 8192
"""Whatever a folder says: attention's memory grows with the square, and passages are short."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How a text becomes a vector, besides the weights."""

    max_tokens: int
    """A longer text is cut; counts the special tokens."""
    pooling: Pooling
    prompts: Mapping[Kind, str]
    """Put before each text."""
    lower_case: bool
    padding_id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFolder:
    """The files of one model. Either `onnx` or `weights` is used, `onnx` first."""

    path: Path
    onnx: Path | None
    weights: Path
    tokenizer: Path
    config: Mapping[str, Any]
    recipe: Recipe

    def graph_files(self) -> list[Path]:
        """The files that the graph depends on."""
        if self.onnx is None:
            return [self.weights, self.path / "config.json"]
        # The weights of an export of over 2 GiB lie beside it.
        return sorted(self.onnx.parent.glob("model.onnx*"))


def find_model(name: str, *, may_fetch: bool = False) -> Path:
    """The folder that a name leads to: itself, or the hub's model in the local cache.

    Raises:
        ModelError: it is not on this machine, and may not or cannot be fetched.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not is_hub_name(name):
        raise ModelError(
            f"There is no folder {name}. Name the folder of a sentence-transformers model."
        )
    snapshot = find_snapshot(name, _holds_model)
    if snapshot is not None:
        return snapshot
    if may_fetch and not _is_offline():
        return _fetch(name)
    raise ModelError(
        f"There is no folder {name}, and no such model in {hub_cache()}. Where there is a "
        f"network, run `hf download {name} --local-dir FOLDER`; copy FOLDER here and name it."
    )


def read_model_folder(path: Path) -> ModelFolder:
    """What a model's folder holds.

    Raises:
        ModelError: it holds no model, a broken file, or a step that is not supported.
    """
    modules = _read_modules(path)
    encoder = path / modules.get("Transformer", "")
    config = _read_object(encoder / "config.json")
    return ModelFolder(
        path=encoder,
        onnx=_find_onnx(path, encoder),
        weights=encoder / _WEIGHTS_NAME,
        tokenizer=_require_file(encoder / "tokenizer.json"),
        config=config,
        recipe=Recipe(
            max_tokens=_max_tokens(encoder, config),
            pooling=_read_pooling(path, modules),
            prompts=_read_prompts(path / "config_sentence_transformers.json"),
            lower_case=bool(_read_sentence_config(encoder).get("do_lower_case", False)),
            padding_id=int(config.get("pad_token_id") or 0),
        ),
    )


def _holds_model(folder: Path) -> bool:
    return any(
        path.is_file()
        for name in (*_ONNX_NAMES, _WEIGHTS_NAME)
        for path in (folder / name, folder / "0_Transformer" / name)
    )


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _fetch(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ModelError(
            f"Fetching {name} needs huggingface_hub: pip install 'flywheel-assistant[embedding]'."
        ) from error
    for patterns in _FETCHES:
        try:
            folder = Path(snapshot_download(name, allow_patterns=list(patterns)))
        # The hub's client lets out errors of its own, of httpx and of the system.
        except Exception as error:
            raise ModelError(f"{name} could not be fetched: {_first_line(error)}") from error
        if _holds_model(folder):
            return folder
    raise ModelError(f"{name} on the hub has neither {_ONNX_NAMES[0]} nor {_WEIGHTS_NAME}.")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _read_modules(path: Path) -> dict[str, str]:
    """The model's steps → their folders; empty for a bare encoder."""
    file = path / "modules.json"
    if not file.is_file():
        return {}
    try:
        steps = {step["type"].rpartition(".")[2]: step["path"] for step in _read_json(file)}
    except (KeyError, TypeError, AttributeError) as error:
        raise _broken(file, "not a list of modules") from error
    unknown = sorted(steps.keys() - _MODULES)
    if unknown:
        raise ModelError(f"{path}: a model with the step {unknown[0]} is not supported.")
    return steps


def _find_onnx(path: Path, encoder: Path) -> Path | None:
    for file in (folder / name for folder in (encoder, path) for name in _ONNX_NAMES):
        if file.is_file():
            return file
    if (encoder / _WEIGHTS_NAME).is_file():
        return None
    if any(encoder.glob("pytorch_model*.bin")):
        raise ModelError(
            f"{encoder} holds pickled weights only, which are never loaded. Save the model again "
            f"as {_WEIGHTS_NAME}, or export it to {_ONNX_NAMES[0]}."
        )
    raise ModelError(
        f"{encoder} holds no model: neither {_WEIGHTS_NAME} nor {_ONNX_NAMES[0]} is there."
    )


def _max_tokens(encoder: Path, config: Mapping[str, Any]) -> int:
    tokenizer = encoder / "tokenizer_config.json"
    stated = _read_sentence_config(encoder).get("max_seq_length")
    if stated is None and tokenizer.is_file():
        stated = _read_object(tokenizer).get("model_max_length")
    positions = config.get("max_position_embeddings")
    available = positions - first_position(config) if positions else None
    # A tokenizer without a limit says 1e30.
    return int(min(limit for limit in (stated, available, _MAX_TOKENS) if limit))


def _read_sentence_config(encoder: Path) -> Mapping[str, Any]:
    """sentence_bert_config.json, which is named after the encoder in some models."""
    files = sorted(encoder.glob("sentence_*_config.json"))
    return _read_object(files[0]) if files else {}


def _read_pooling(path: Path, modules: Mapping[str, str]) -> Pooling:
    """A bare encoder gets the mean, as sentence-transformers does."""
    if "Pooling" not in modules:
        return "mean"
    config = _read_object(path / modules["Pooling"] / "config.json")
    names = _pooling_names(config)
    if len(names) != 1 or names[0] not in _POOLINGS or not config.get("include_prompt", True):
        raise ModelError(
            f"{path}: only pooling by the mean or the first token of the whole text is "
            f"supported, not {' and '.join(names)}."
        )
    return _POOLINGS[names[0]]


def _pooling_names(config: Mapping[str, Any]) -> list[str]:
    """`pooling_mode` is a name or several; older files have one `pooling_mode_*` flag each."""
    named = config.get("pooling_mode")
    if named is not None:
        return [named] if isinstance(named, str) else list(named)
    prefix = "pooling_mode_"
    flags = [
        key.removeprefix(prefix) for key, on in config.items() if key.startswith(prefix) and on
    ]
    return flags or ["mean"]


def _read_prompts(file: Path) -> dict[Kind, str]:
    config = _read_object(file) if file.is_file() else {}
    prompts: Mapping[str, str] = config.get("prompts") or {}
    return {
        kind: next((prompts[name] for name in names if name in prompts), "")
        for kind, names in _PROMPT_NAMES.items()
    }


def _require_file(file: Path) -> Path:
    if not file.is_file():
        raise ModelError(
            f"{file.parent} lacks {file.name}. Copy the whole model, or save it again with a "
            "recent release of sentence-transformers."
        )
    return file


def _read_object(file: Path) -> dict[str, Any]:
    value = _read_json(_require_file(file))
    if not isinstance(value, dict):
        raise _broken(file, "not a JSON object")
    return value


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _broken(file, str(error)) from error


def _broken(file: Path, problem: str) -> ModelError:
    return ModelError(f"{file} is broken: {problem}. Copy the model again.")
