"""A language model as a GGUF file: what llama.cpp must know of its shape, and its tensors.

Tensors are converted and written one after the other, so that a model takes little more memory
than it does already.

Sources: the GGUF specification (ggml, docs/gguf.md) for keys and names; the rotary embedding's
pairing of llama.cpp for the permutation of llama's query and key rows.

Not here: the tokenizer's part (gguf_vocabulary.py), who may be exported, and the file's place
(export.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf.quants import quantize

from flywheel.build.gguf_vocabulary import Vocabulary
from flywheel.build.settings import Precision
from flywheel.errors import ModelError

Array = np.ndarray[Any, np.dtype[Any]]

ARCHITECTURES: Mapping[str, str] = {
    "LlamaForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
"""Classes of transformers → architectures of llama.cpp."""

_TYPES: Mapping[Precision, gguf.GGMLQuantizationType] = {
    "f32": gguf.GGMLQuantizationType.F32,
    "f16": gguf.GGMLQuantizationType.F16,
    "q8_0": gguf.GGMLQuantizationType.Q8_0,
    "q4_0": gguf.GGMLQuantizationType.Q4_0,
}
_FILE_TYPES: Mapping[Precision, gguf.LlamaFileType] = {
    "f32": gguf.LlamaFileType.ALL_F32,
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "q4_0": gguf.LlamaFileType.MOSTLY_Q4_0,
}

_NAMES: Mapping[str, str] = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}
_LAYER_NAMES: Mapping[str, str] = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}

_FINE_IN_Q4 = frozenset({"token_embd.weight", "output.weight"})
"""Kept in q8_0 in a q4_0 file, as llama.cpp's own quantiser gives its last matrix a finer type:
every logit comes straight from it."""

_QUANTISED_ROWS = 1 << 14
"""Rows that are quantised at once: the quantiser's intermediate values take five times a row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """One tensor of the file: its name there, its shape [rows, columns] or [columns], its type."""

    name: str
    source: torch.Tensor
    type: gguf.GGMLQuantizationType
    num_heads: int = 0
    """Heads whose rows are permuted; 0 where they stay."""


def tensors(model: Any, precision: Precision) -> list[Tensor]:
    """The tensors of a model, in the order of the file.

    Raises:
        ModelError: there is one that the architecture does not have.
    """
    config = model.config
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    permuted = heads if ARCHITECTURES[type(model).__name__] == "llama" else {}
    found = [
        Tensor(
            name=_name(name),
            source=source,
            type=_type(_name(name), source, precision),
            num_heads=permuted.get(_name(name).split(".")[-2], 0),
        )
        for name, source in _parameters(model)
    ]
    return [*_frequency_factors(config), *found]


def _parameters(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Each parameter once: where the output shares the embedding's, the embedding stands alone."""
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if not (tied and name == "lm_head.weight"):
            yield name, parameter.detach()


def _name(name: str) -> str:
    """The name in the file of a parameter of transformers."""
    module, _, kind = name.rpartition(".")
    if module in _NAMES:
        return f"{_NAMES[module]}.{kind}"
    parts = module.split(".", 3)
    if parts[:2] == ["model", "layers"] and parts[-1] in _LAYER_NAMES:
        return f"blk.{parts[2]}.{_LAYER_NAMES[parts[-1]]}.{kind}"
    raise ModelError(
        f"The model has a tensor {name}, which its architecture does not have in GGUF. Merge "
        "adapters into it first."
    )


def _type(name: str, source: torch.Tensor, precision: Precision) -> gguf.GGMLQuantizationType:
    """Norms and biases stay f32; rows that no block of 32 divides stay f16."""
    if source.ndim == 1:
        return gguf.GGMLQuantizationType.F32
    wanted = _TYPES[precision]
    if precision == "q4_0" and name in _FINE_IN_Q4:
        wanted = gguf.GGMLQuantizationType.Q8_0
    block_size, _ = gguf.GGML_QUANT_SIZES[wanted]
    return wanted if source.shape[-1] % block_size == 0 else gguf.GGMLQuantizationType.F16


def _frequency_factors(config: Any) -> list[Tensor]:
    """Llama 3's scaling: by how much each frequency of the rotary embedding is divided."""
    if config.rope_parameters["rope_type"] != "llama3":
        return []
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    steps = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    factors = config.rope_parameters["rope_theta"] ** -steps / scaled
    return [Tensor(name="rope_freqs.weight", source=factors, type=gguf.GGMLQuantizationType.F32)]


def values(tensor: Tensor) -> Array:
    """The tensor as the file holds it: float32, float16, or bytes of blocks."""
    array = tensor.source.to(device="cpu", dtype=torch.float32).numpy()
    if tensor.num_heads:
        array = permute(array, tensor.num_heads)
    if array.ndim == 1:
        return np.ascontiguousarray(quantize(array, tensor.type))
    pieces = [
        quantize(array[start : start + _QUANTISED_ROWS], tensor.type)
        for start in range(0, len(array), _QUANTISED_ROWS)
    ]
    return np.ascontiguousarray(np.concatenate(pieces))


def permute(array: Array, num_heads: int) -> Array:
    """Rows of a query or key projection in llama.cpp's order for the llama architecture.

    transformers turns row i of a head together with row i + d/2 (d rows a head), llama.cpp rows
    2i and 2i + 1; so within each head [2, d/2] becomes [d/2, 2].

    Args:
        array: [num_heads · d, columns], or a bias of [num_heads · d].
    """
    halves = array.reshape(num_heads, 2, array.shape[0] // num_heads // 2, *array.shape[1:])
    return halves.swapaxes(1, 2).reshape(array.shape)


def write(
    path: Path, model: Any, vocabulary: Vocabulary, parts: list[Tensor], precision: Precision
) -> None:
    """Writes the file. It must not be there yet."""
    architecture = ARCHITECTURES[type(model).__name__]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("flywheel")
    writer.add_file_type(_FILE_TYPES[precision])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_shape(writer, model.config)
    _add_rotary(writer, model.config)
    _add_vocabulary(writer, vocabulary)
    for part in parts:
        shape = tuple(part.source.shape)
        writer.add_tensor_info(
            part.name, shape, np.dtype(np.float32), _num_bytes(part), raw_dtype=part.type
        )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for part in parts:
            writer.write_tensor_data(values(part))
    finally:
        writer.close()


def _num_bytes(part: Tensor) -> int:
    block_size, block_bytes = gguf.GGML_QUANT_SIZES[part.type]
    return part.source.numel() // block_size * block_bytes


def _add_shape(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim(config))
    writer.add_value_length(head_dim(config))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def head_dim(config: Any) -> int:
    """Columns of one attention head."""
    stated = getattr(config, "head_dim", None)
    return int(stated or config.hidden_size // config.num_attention_heads)


def _add_rotary(writer: gguf.GGUFWriter, config: Any) -> None:
    rope = config.rope_parameters
    writer.add_rope_dimension_count(head_dim(config))
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])


def _add_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre_tokenizer)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    writer.add_token_scores(vocabulary.scores)
    writer.add_add_bos_token(vocabulary.adds_beginning)
    writer.add_add_eos_token(vocabulary.adds_end)
    writer.add_add_space_prefix(vocabulary.adds_space)
    for id, add in (
        (vocabulary.beginning, writer.add_bos_token_id),
        (vocabulary.end, writer.add_eos_token_id),
        (vocabulary.end_of_turn, writer.add_eot_token_id),
        (vocabulary.padding, writer.add_pad_token_id),
        (vocabulary.unknown, writer.add_unk_token_id),
    ):
        if id is not None:
            add(id)
    if vocabulary.chat_template:
        writer.add_chat_template(vocabulary.chat_template)
