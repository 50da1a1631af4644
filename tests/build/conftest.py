"""A tiny tokenizer and tiny models of each family, real ones, made in the test session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `model` is not installed")

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402
from transformers import PreTrainedModel, PreTrainedTokenizerFast  # noqa: E402

from flywheel.build.base import new_model  # noqa: E402
from flywheel.build.chat_template import CHATML_TEMPLATE  # noqa: E402
from flywheel.build.shape import Family, Shape  # noqa: E402

TEXTS = (
    "The tyre pressure is 2.3 bar. Check it when the tyres are cold.",
    "Turn the key to the first position, and the radio comes on.",
    "The child lock is on the rear doors: move the lever down.",
    "轮胎气压为2.3巴。请在轮胎冷却时检查。",
    "将钥匙转到第一档,收音机就会打开。",
)
VOCAB_SIZE = 384


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Tiny matrices are not worth the waiting of threads for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny_tokenizer(**options: Any) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS, trainer)
    named = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    make: Callable[..., PreTrainedTokenizerFast] = PreTrainedTokenizerFast
    tokenizer = make(tokenizer_object=backend, **{**named, **options})
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    return tokenizer


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., PreTrainedTokenizerFast]:
    """Byte-level BPE of 384 tokens, with ChatML's special ones, and without a template."""
    return tiny_tokenizer


@pytest.fixture(scope="session")
def chat_tokenizer() -> PreTrainedTokenizerFast:
    """With ChatML as its template."""
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = CHATML_TEMPLATE
    return tokenizer


@pytest.fixture(scope="session")
def make_model(chat_tokenizer: PreTrainedTokenizerFast) -> Callable[..., PreTrainedModel]:
    """A new model of two layers: `make_model("qwen3", seed=2)`."""

    def make(family: Family = "llama", *, seed: int = 1, **sizes: Any) -> PreTrainedModel:
        shape = {"width": 32, "depth": 2, "num_heads": 4, "num_kv_heads": 2, "hidden": 64}
        return new_model(
            Shape(vocab_size=VOCAB_SIZE, family=family, **{**shape, **sizes}),
            chat_tokenizer,
            seed,
            context=128,
        )

    return make


@pytest.fixture
def model_folder(
    tmp_path: Path,
    make_model: Callable[..., PreTrainedModel],
    chat_tokenizer: PreTrainedTokenizerFast,
) -> Path:
    """A llama on disk, in Hugging Face's layout."""
    from flywheel.build.base import save

    save(make_model(), chat_tokenizer, tmp_path / "model")
    return tmp_path / "model"
