"""Weights of the BERT family → an ONNX graph that onnxruntime runs, without torch.

For a model that ships as `model.safetensors` only. The graph is BERT's encoder (Devlin et al.
2018, section 3) from token ids to one vector a token; RoBERTa and XLM-R differ from it in nothing
but where their positions start. Standard operators only, since onnxruntime fuses them itself:
on MiniLM its own attention operators were no faster.

Not here: pooling and tokens (`embed.py`), other architectures, and models that bring own code.

Axes: B texts, T tokens, H hidden, A heads, D = H / A.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from flywheel.errors import ModelError

if TYPE_CHECKING:
    import onnx
    from safetensors import safe_open

GRAPH_VERSION = 1
"""Of the graph that this module writes: a part of what its outputs are cached under."""

GRAPH_NAME = "model.onnx"
_WEIGHTS_NAME = "weights"

_OPSET, _IR_VERSION = 20, 9
"""The first with Gelu as one operator; onnxruntime reads them since 1.17."""

_MASKED = -1e9
"""Added to the score of a padding token, so that its share of the attention is 0."""

_FIRST_FAMILY = frozenset({"bert"})
_OFFSET_FAMILY = frozenset({"camembert", "roberta", "xlm-roberta"})
"""Whose positions start after the padding token's id, as fairseq numbered them."""

FAMILIES = _FIRST_FAMILY | _OFFSET_FAMILY

_GELU = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
"""The name of an activation in config.json → the `approximate` of ONNX's Gelu."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """The measures of an encoder, from its config.json."""

    num_layers: int
    num_heads: int
    hidden_size: int
    epsilon: float
    gelu: str
    first_position: int

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_heads


def read_encoder(config: Mapping[str, Any], folder: Path) -> Encoder:
    """The encoder that config.json describes.

    Raises:
        ModelError: an architecture of which no graph is built here, or a key is missing.
    """
    _refuse_unsupported(config, folder)
    try:
        return Encoder(
            num_layers=int(config["num_hidden_layers"]),
            num_heads=int(config["num_attention_heads"]),
            hidden_size=int(config["hidden_size"]),
            epsilon=float(config.get("layer_norm_eps", 1e-12)),
            gelu=_GELU[config.get("hidden_act", "gelu")],
            first_position=first_position(config),
        )
    except KeyError as error:
        raise ModelError(f"{folder / 'config.json'} lacks the key {error}.") from error


def first_position(config: Mapping[str, Any]) -> int:
    """The row of the position table that the first token uses."""
    if config.get("model_type") not in _OFFSET_FAMILY:
        return 0
    return int(config.get("pad_token_id", 1)) + 1


def _refuse_unsupported(config: Mapping[str, Any], folder: Path) -> None:
    problems = {
        f"model_type {config.get('model_type')!r}": config.get("model_type") not in FAMILIES,
        "code of its own": "auto_map" in config,
        f"hidden_act {config.get('hidden_act')!r}": config.get("hidden_act", "gelu") not in _GELU,
        f"{config.get('position_embedding_type')!r} positions": (
            config.get("position_embedding_type", "absolute") != "absolute"
        ),
    }
    for name, applies in problems.items():
        if applies:
            raise ModelError(
                f"{folder}: a model with {name} runs only from an ONNX file. Put its export at "
                f"{folder / 'onnx' / GRAPH_NAME}, or name a model of the BERT family."
            )


def write_encoder(weights: Path, encoder: Encoder, folder: Path) -> None:
    """Writes the graph as `folder/model.onnx` and its weights beside it.

    Inputs `input_ids`, `attention_mask` (int64 [B, T], padding on the right); output
    `last_hidden_state` (float32 [B, T, H]). One tensor at a time is in memory.

    Raises:
        ModelError: the weights are broken, or not those of such an encoder.
    """
    import onnx
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, "numpy") as file, (folder / _WEIGHTS_NAME).open("wb") as values:
            graph = _Graph(values)
            _Builder(graph, _Checkpoint(file, weights), encoder).add_encoder()
    except SafetensorError as error:
        raise ModelError(f"{weights} is broken: {error}. Copy the model again.") from error
    onnx.save(graph.finish(encoder.hidden_size), folder / GRAPH_NAME)


class _Checkpoint:
    """The tensors of a safetensors file, by the names that BertModel gives them."""

    def __init__(self, file: safe_open, path: Path) -> None:
        self._file, self._path = file, path
        self._names = {_plain_name(name): name for name in file.keys()}  # type: ignore[no-untyped-call]  # noqa: SIM118

    def read(self, name: str) -> npt.NDArray[np.float32]:
        if name not in self._names:
            raise ModelError(f"{self._path} lacks the tensor {name}: it is no encoder's weights.")
        tensor: npt.NDArray[Any] = self._file.get_tensor(self._names[name])  # type: ignore[no-untyped-call]
        return tensor.astype(np.float32)


def _plain_name(name: str) -> str:
    """Without the prefix of a model with a head, and with the names of today."""
    name = re.sub(r"^(bert|roberta)\.", "", name)
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


class _Graph:
    """An ONNX graph being written; its weights go to `values` as they come."""

    def __init__(self, values: BinaryIO) -> None:
        self._values = values
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[onnx.TensorProto] = []

    def apply(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Adds an operator and returns the name of what it gives."""
        from onnx import helper

        output = output or f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        """A small value, kept in the graph itself."""
        from onnx import numpy_helper

        self._tensors.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, name: str, value: npt.NDArray[np.float32]) -> str:
        """A value in the file beside the graph, since a graph may not pass 2 GiB."""
        import onnx
        from onnx.external_data_helper import set_external_data

        tensor = onnx.TensorProto(
            name=name, data_type=onnx.TensorProto.FLOAT, dims=value.shape, raw_data=b""
        )
        set_external_data(tensor, _WEIGHTS_NAME, offset=self._values.tell(), length=value.nbytes)
        tensor.ClearField("raw_data")
        self._values.write(value.tobytes())
        self._tensors.append(tensor)
        return name

    def finish(self, hidden_size: int) -> onnx.ModelProto:
        from onnx import TensorProto, helper

        tokens = ["texts", "tokens"]
        graph = helper.make_graph(
            self._nodes,
            "encoder",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, tokens)
                for name in ("input_ids", "attention_mask")
            ],
            [
                helper.make_tensor_value_info(
                    "last_hidden_state", TensorProto.FLOAT, [*tokens, hidden_size]
                )
            ],
            self._tensors,
        )
        opset = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)


@dataclass(frozen=True, slots=True)
class _Builder:
    """Adds an encoder's parts to a graph; each method gives the name of its result."""

    graph: _Graph
    checkpoint: _Checkpoint
    encoder: Encoder

    def add_encoder(self) -> None:
        self.graph.constant("scale", np.float32(self.encoder.head_size**-0.5))
        self.graph.constant("split", [0, 0, self.encoder.num_heads, self.encoder.head_size])
        self.graph.constant("join", [0, 0, self.encoder.hidden_size])
        self.add_mask()
        hidden = self.add_embeddings()
        for layer in range(self.encoder.num_layers):
            hidden = self.add_layer(f"encoder.layer.{layer}", hidden)
        self.graph.apply("Identity", hidden, output="last_hidden_state")

    def add_mask(self) -> None:
        """`attention_mask` → 0 for a token, _MASKED for padding: float32 [B, 1, 1, T]."""
        self.graph.constant("one", np.float32(1))
        self.graph.constant("masked", np.float32(_MASKED))
        self.graph.constant("head_and_query", [1, 2])
        kept = self.graph.apply("CastLike", "attention_mask", "one")
        scores = self.graph.apply("Mul", self.graph.apply("Sub", "one", kept), "masked")
        self.graph.apply("Unsqueeze", scores, "head_and_query", output="mask")

    def add_embeddings(self) -> str:
        """Words + positions + the first segment, normalised: [B, T, H]."""
        positions = self.checkpoint.read("embeddings.position_embeddings.weight")
        segments = self.checkpoint.read("embeddings.token_type_embeddings.weight")
        # Texts are embedded one by one, not in pairs: all tokens are of the first segment.
        self.graph.weight("positions", positions[self.encoder.first_position :] + segments[0])
        self.graph.weight("words", self.checkpoint.read("embeddings.word_embeddings.weight"))
        self.graph.constant("zero", [0])
        length = self.graph.apply("Shape", "input_ids", start=1, end=2)
        places = self.graph.apply("Slice", "positions", "zero", length, "zero")
        words = self.graph.apply("Gather", "words", "input_ids")
        return self.add_norm("embeddings.LayerNorm", self.graph.apply("Add", words, places))

    def add_layer(self, prefix: str, hidden: str) -> str:
        attended = self.add_attention(f"{prefix}.attention.self", hidden)
        mixed = self.add_linear(f"{prefix}.attention.output.dense", attended)
        mixed = self.graph.apply("Add", mixed, hidden)
        mixed = self.add_norm(f"{prefix}.attention.output.LayerNorm", mixed)
        inner = self.add_linear(f"{prefix}.intermediate.dense", mixed)
        inner = self.graph.apply("Gelu", inner, approximate=self.encoder.gelu)
        outer = self.add_linear(f"{prefix}.output.dense", inner)
        return self.add_norm(f"{prefix}.output.LayerNorm", self.graph.apply("Add", outer, mixed))

    def add_attention(self, prefix: str, hidden: str) -> str:
        """softmax(Q Kᵀ / √D + mask) V, all heads at once: [B, T, H] → [B, T, H]."""
        query = self.add_heads(f"{prefix}.query", hidden, order=(0, 2, 1, 3))
        key = self.add_heads(f"{prefix}.key", hidden, order=(0, 2, 3, 1))
        value = self.add_heads(f"{prefix}.value", hidden, order=(0, 2, 1, 3))
        scores = self.graph.apply("Mul", self.graph.apply("MatMul", query, key), "scale")
        shares = self.graph.apply("Softmax", self.graph.apply("Add", scores, "mask"), axis=-1)
        mixed = self.graph.apply("MatMul", shares, value)
        mixed = self.graph.apply("Transpose", mixed, perm=(0, 2, 1, 3))
        return self.graph.apply("Reshape", mixed, "join")

    def add_heads(self, name: str, hidden: str, order: tuple[int, ...]) -> str:
        """[B, T, H] → [B, T, A, D] → its axes in the given order."""
        split = self.graph.apply("Reshape", self.add_linear(name, hidden), "split")
        return self.graph.apply("Transpose", split, perm=order)

    def add_linear(self, name: str, hidden: str) -> str:
        matrix = self.checkpoint.read(f"{name}.weight").T
        bias = self.add_parameter(f"{name}.bias")
        product = self.graph.apply("MatMul", hidden, self.graph.weight(f"{name}.weight", matrix))
        return self.graph.apply("Add", product, bias)

    def add_norm(self, name: str, hidden: str) -> str:
        scale, bias = (self.add_parameter(f"{name}.{part}") for part in ("weight", "bias"))
        epsilon = self.encoder.epsilon
        return self.graph.apply("LayerNormalization", hidden, scale, bias, axis=-1, epsilon=epsilon)

    def add_parameter(self, name: str) -> str:
        return self.graph.weight(name, self.checkpoint.read(name))
