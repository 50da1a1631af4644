"""A tiny model with random weights, as a GGUF file: what the engines' tests generate with.

Written by hand with `gguf`, so that the engine is tested apart from the export.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
import pytest
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from flywheel.engine.embedded import EmbeddedEngine

Tensors = Mapping[str, npt.NDArray[np.float32]]

WIDTH, NUM_LAYERS, NUM_HEADS, HIDDEN = 64, 2, 4, 128
NUM_POSITIONS = 8192
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = (
    "The tyre pressure of a cold wheel is checked every month, and before each long journey.",
    "当事人应当按照约定全面履行自己的义务。当事人一方不履行合同义务的，应当承担违约责任。",
    "A patient who has taken too much should be seen by a doctor at once, even without symptoms.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tiny:
    """The files of the tiny model."""

    model: Path
    narrow: Path
    """The same with a vocabulary that lacks most characters."""
    adapter: Path
    tokenizer: Tokenizer


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = train_tokenizer(TEXT, pre_tokenizers.ByteLevel.alphabet())
    narrow = train_tokenizer(["some words"], [])
    made = Tiny(
        model=folder / "tiny.gguf",
        narrow=folder / "narrow.gguf",
        adapter=folder / "adapter.gguf",
        tokenizer=tokenizer,
    )
    for path, each in ((made.model, tokenizer), (made.narrow, narrow)):
        write_model(path, each, random_tensors(each.get_vocab_size(), seed=1))
    write_adapter(made.adapter, seed=2)
    return made


@pytest.fixture(scope="session")
def engine(tiny: Tiny) -> Iterator[EmbeddedEngine]:
    """Four slots, and one adapter. With keys and values in f32, so that who else is in the batch
    changes no answer. One thread, since two wait for each other where the cores are busy."""
    engine = EmbeddedEngine.open(
        tiny.model,
        context_tokens=512,
        adapters={"other": tiny.adapter},
        exact_cache=True,
        num_threads=1,
    )
    yield engine
    engine.close()


def train_tokenizer(texts: Sequence[str], alphabet: Sequence[str]) -> Tokenizer:
    """A byte-level BPE tokenizer of at most 512 tokens."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=512,
        special_tokens=list(SPECIALS),
        initial_alphabet=list(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*texts] * 2, trainer)
    return tokenizer


def random_tensors(vocabulary: int, *, seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """Weights large enough that the likeliest token depends on all that stands before it. It is
    never a special one, so that no greedy answer ends by itself."""
    random = np.random.default_rng(seed)

    def drawn(*shape: int, scale: float) -> npt.NDArray[np.float32]:
        return random.normal(0, scale, shape).astype(np.float32)

    tensors = {
        "token_embd.weight": drawn(vocabulary, WIDTH, scale=1.0),
        "output.weight": drawn(vocabulary, WIDTH, scale=0.5),
        "output_norm.weight": np.ones(WIDTH, dtype=np.float32),
    }
    tensors["output.weight"][: len(SPECIALS)] = 0
    for layer in range(NUM_LAYERS):
        block = f"blk.{layer}."
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"{block}{name}.weight"] = np.ones(WIDTH, dtype=np.float32)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors[f"{block}{name}.weight"] = drawn(WIDTH, WIDTH, scale=0.3)
        for name in ("ffn_gate", "ffn_up"):
            tensors[f"{block}{name}.weight"] = drawn(HIDDEN, WIDTH, scale=0.2)
        tensors[f"{block}ffn_down.weight"] = drawn(WIDTH, HIDDEN, scale=0.2)
    return tensors


def write_model(path: Path, tokenizer: Tokenizer, tensors: Tensors) -> None:
    """A llama in f32 with its tokenizer and a chat template."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(NUM_POSITIONS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(NUM_LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(NUM_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(tokenizer.get_vocab_size())
    _add_tokenizer(writer, tokenizer)
    _write(writer, tensors)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    vocabulary = tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    kinds = gguf.TokenType
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.CONTROL if each in SPECIALS else kinds.NORMAL for each in tokens])
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _write(writer: gguf.GGUFWriter, tensors: Tensors) -> None:
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_adapter(path: Path, *, seed: int) -> None:
    """A LoRA adapter of rank 4 on every layer's query and output projections."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 4.0)
    tensors = {
        f"blk.{layer}.{name}.weight.{part}": random.normal(
            0, 0.5, (4, WIDTH) if part == "lora_a" else (WIDTH, 4)
        ).astype(np.float32)
        for layer in range(NUM_LAYERS)
        for name in ("attn_v", "attn_output")
        for part in ("lora_a", "lora_b")
    }
    _write(writer, tensors)
