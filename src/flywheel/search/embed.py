"""Text → vectors, by an embedding model that the settings name. Optional: nothing needs it.

Runs on onnxruntime, without torch: a model's own ONNX export, or a graph built from the weights of
an encoder of the BERT family. The heavy imports wait until a model is loaded.

Not here: training, and keeping vectors (`index.py`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from flywheel.artifacts import Artifacts
from flywheel.errors import FlywheelError, ModelError
from flywheel.search.encoder_graph import GRAPH_NAME, GRAPH_VERSION, read_encoder, write_encoder
from flywheel.search.model_folder import Kind, ModelFolder, Recipe, find_model, read_model_folder

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

Vectors = npt.NDArray[np.float32]

_EXTRA = ("onnx", "onnxruntime", "safetensors", "tokenizers")

_BATCH_TOKENS = 1024
"""Padding included. MiniLM on one core: 84, 81, 64, 55 passages/s at 512, 1,024, 2,048, 4,096, and
each doubling takes more memory."""

_TEXTS_AT_ONCE = 4096
"""Sorted by length together, so that a batch holds little padding."""

_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})


class Embedder:
    """An embedding model, loaded. Safe to use from several threads."""

    def __init__(
        self, session: InferenceSession, tokenizer: Tokenizer, recipe: Recipe, fingerprint: str
    ) -> None:
        self._session, self._tokenizer, self._recipe = session, tokenizer, recipe
        self._input_types = {put.name: _integer_type(put.type) for put in session.get_inputs()}
        self._output = _token_output(session)
        self.fingerprint = fingerprint
        """Of all that the vectors depend on: a part of the key of whatever is made from them."""
        self.dimensions = self._encode([[recipe.padding_id]]).shape[1]

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """One vector of length 1 for each text: float32 [texts, dimensions].

        A text longer than the model reads is cut. The other texts change a vector by no more than
        the rounding of float32.
        """
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            tokens = self._tokenize(texts[start : start + _TEXTS_AT_ONCE], kind)
            for batch in _batches([len(ids) for ids in tokens]):
                vectors[start + batch] = self._encode([tokens[place] for place in batch])
        return vectors

    def _tokenize(self, texts: Sequence[str], kind: Kind) -> list[list[int]]:
        prompted = [self._recipe.prompts[kind] + text for text in texts]
        if self._recipe.lower_case:
            prompted = [text.lower() for text in prompted]
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(prompted)]

    def _encode(self, tokens: Sequence[Sequence[int]]) -> Vectors:
        """Token ids of one batch → vectors of length 1."""
        shape = (len(tokens), max(1, *map(len, tokens)))
        ids = np.full(shape, self._recipe.padding_id, np.int64)
        mask = np.zeros(shape, np.int64)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        typed = {name: inputs[name].astype(type) for name, type in self._input_types.items()}
        hidden = self._session.run([self._output], typed)[0].astype(np.float32)
        return _normalise(_pool(hidden, mask, self._recipe))


def load_embedder(name: str, cache: Path, *, may_fetch: bool = False) -> Embedder:
    """Loads the model that `name` leads to: its folder, or its name on the Hugging Face hub.

    `cache` keeps the graphs that are built from weights, as artifacts. The network is used only if
    `may_fetch` and HF_HUB_OFFLINE is not set.

    Raises:
        ModelError: the model is not there, broken or not supported, or the extra is missing.
        StoreError: the graph cannot be kept.
    """
    _require_extra()
    folder = find_model(name, may_fetch=may_fetch)
    try:
        return _load(read_model_folder(folder), cache)
    except FlywheelError:
        raise
    # The libraries raise bare exceptions of their own for whatever is wrong in a file.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"The model {folder} does not load: {reason}") from error


def _load(model: ModelFolder, cache: Path) -> Embedder:
    key = _digest(f"graph {GRAPH_VERSION}", model.graph_files())
    graph = model.onnx or _build_graph(model, key, cache)
    fingerprint = _digest(f"{key} {model.recipe}", [model.tokenizer])
    return Embedder(_open_session(graph), _open_tokenizer(model), model.recipe, fingerprint)


def _require_extra() -> None:
    missing = [module for module in _EXTRA if find_spec(module) is None]
    if missing:
        raise ModelError(
            f"Embeddings need {', '.join(missing)}: pip install 'flywheel-assistant[embedding]'."
        )


def _digest(start: str, files: Sequence[Path]) -> str:
    digest = hashlib.sha256(start.encode())
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]


def _build_graph(model: ModelFolder, key: str, cache: Path) -> Path:
    encoder = read_encoder(model.config, model.path)
    folder = Artifacts(cache).build(
        "encoder", key, lambda place: write_encoder(model.weights, encoder, place)
    )
    return folder / GRAPH_NAME


def _open_tokenizer(model: ModelFolder) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model.tokenizer))
    tokenizer.no_padding()
    tokenizer.enable_truncation(model.recipe.max_tokens)
    return tokenizer


def _open_session(graph: Path) -> InferenceSession:
    # Since 1.29 the library reports its use to its maker unless this stands before its import.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if hasattr(os, "sched_getaffinity"):
        # Left to itself the library counts the machine's cores, not those that it may use.
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
    # Threads that spin while they wait cost a third of the speed on a machine that does more.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only, and those are raised as well
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _integer_type(onnx_type: str) -> type[np.signedinteger]:
    return np.int32 if onnx_type == "tensor(int32)" else np.int64


def _token_output(session: InferenceSession) -> str:
    """The output with a vector for each token."""
    unknown = {put.name for put in session.get_inputs()} - _INPUTS
    if unknown:
        raise ModelError(f"The model wants the input {min(unknown)}, which is not supported.")
    outputs = [put.name for put in session.get_outputs() if len(put.shape) == 3]
    if not outputs:
        raise ModelError("The model gives no vector for each token: export it without pooling.")
    return str(outputs[0])


def _batches(lengths: Sequence[int]) -> Iterator[npt.NDArray[np.intp]]:
    """Places of texts that are alike in length, in batches of at most _BATCH_TOKENS."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (end + 1 - start) * lengths[order[end]] > _BATCH_TOKENS:
            yield order[start:end]
            start = end


def _pool(hidden: Vectors, mask: npt.NDArray[np.int64], recipe: Recipe) -> Vectors:
    """[texts, tokens, H] → [texts, H]; a mean up to a factor, which the length 1 takes away."""
    if recipe.pooling == "cls":
        return hidden[:, 0]
    weights = mask[:, np.newaxis].astype(np.float32)
    return (weights @ hidden)[:, 0]


def _normalise(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    normalised: Vectors = vectors / np.maximum(lengths, np.float32(1e-12))
    return normalised
