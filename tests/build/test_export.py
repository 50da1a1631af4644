from __future__ import annotations

import json
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from corpora import ROOT
from flywheel.build import base, parity
from flywheel.build.export import require_exportable, write_gguf
from flywheel.build.gguf_vocabulary import GPT2, LLAMA3, QWEN2, read_vocabulary
from flywheel.build.settings import Precision
from flywheel.build.shape import FAMILIES, Family
from flywheel.engine.embedded import EmbeddedEngine
from flywheel.engine.protocol import Request, Sampling
from flywheel.errors import ModelError
from flywheel.records import Message
from trained import Trained, trained

SHARED = ROOT.parent / "shared"
NUM_PROMPTS, NUM_PROMPT_TOKENS, NUM_NEW_TOKENS = 20, 8, 64
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEXT = (
    "The tyre pressure of a cold wheel is checked every month, and before each long journey.",
    "当事人应当按照约定全面履行自己的义务。当事人一方不履行合同义务的，应当承担违约责任。",
    "In 2025, 1,250 patients weren't seen; they'd waited 3 hours. I'LL SAY SO!\n\n  - twice\n",
)

Serve = Callable[..., EmbeddedEngine]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Exports a model and opens what was written."""
    opened: list[EmbeddedEngine] = []

    def open_(
        model: Any, tokenizer: Any, precision: Precision = "f32", context_tokens: int = 256
    ) -> EmbeddedEngine:
        path = tmp_path / f"{len(opened)}.gguf"
        write_gguf(model, tokenizer, path, precision)
        opened.append(
            EmbeddedEngine.open(
                path, num_slots=1, context_tokens=context_tokens, num_threads=1, exact_cache=True
            )
        )
        return opened[-1]

    yield open_
    for engine in opened:
        engine.close()


def trained_of(family: Family) -> Trained:
    """Llama's with a matrix of its own for the output, the others' tied."""
    return trained(family, tied=family != "llama")


def keys(path: Path) -> dict[str, Any]:
    """What a file says about the model."""
    return {
        name: field.contents()
        for name, field in gguf.GGUFReader(path).fields.items()
        if not name.startswith("GGUF.")
    }


def types(path: Path) -> dict[str, str]:
    """Tensor → type."""
    return {each.name: each.tensor_type.name for each in gguf.GGUFReader(path).tensors}


# What is served is what was trained


@pytest.mark.parametrize("family", FAMILIES)
def test_continuations_are_the_trained_models(family: Family, serve: Serve) -> None:
    each = trained_of(family)
    prompts = each.prompts(NUM_PROMPTS, NUM_PROMPT_TOKENS)
    engine = serve(each.model, each.tokenizer)
    for prompt, ids in zip(prompts, _continuations(each, prompts), strict=True):
        sampling = Sampling(max_tokens=NUM_NEW_TOKENS)
        with engine.generate(Request(prompt=prompt, sampling=sampling)) as generation:
            text = "".join(piece.text for piece in generation)
        # A character of several tokens may be cut off at the end.
        assert text.rstrip("�") == str(each.tokenizer.decode(ids)).rstrip("�"), prompt


def _continuations(each: Trained, prompts: list[str]) -> list[list[int]]:
    """Greedy, up to the end of the text; in one batch, since all prompts are as long."""
    ids = each.tokenizer(prompts, return_tensors="pt")["input_ids"]
    assert ids.shape == (NUM_PROMPTS, NUM_PROMPT_TOKENS)
    eos = each.tokenizer.eos_token_id
    generate: Callable[..., torch.Tensor] = each.model.generate  # type: ignore[assignment]
    output = generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=NUM_NEW_TOKENS,
        do_sample=False,
        eos_token_id=eos,
        pad_token_id=eos,
    )
    fresh = output[:, NUM_PROMPT_TOKENS:].tolist()
    return [row[: row.index(eos)] if eos in row else row for row in fresh]


@pytest.mark.parametrize("family", FAMILIES)
def test_likeliest_tokens_keep_their_chances_in_eight_bits(family: Family, serve: Serve) -> None:
    each = trained_of(family)
    engine = serve(each.model, each.tokenizer, "q8_0")
    found = parity.check(
        engine, each.model, each.tokenizer, each.prompts(8, 8), precision="q8_0", num_new_tokens=8
    )
    assert found.passed, found.problem
    assert found.mean_difference < 0.02


@pytest.mark.parametrize("precision", ["f16", "q4_0"])
def test_other_precisions_are_served_too(precision: Precision, serve: Serve) -> None:
    each = trained_of("qwen3")
    engine = serve(each.model, each.tokenizer, precision)
    found = parity.check(
        engine, each.model, each.tokenizer, each.prompts(4, 8), precision=precision
    )
    assert found.passed, found.problem


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "linear", "factor": 4.0},
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    ],
    ids=lambda rope: rope["rope_type"],
)
def test_scaled_positions_are_kept(rope: dict[str, Any], serve: Serve) -> None:
    tokenizer = byte_level(QWEN2)
    model = drawn("llama", tokenizer, rope_parameters={"rope_theta": 10_000.0, **rope})
    assert_alike(serve, model, tokenizer)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_heads_may_be_wider_than_their_share(family: Family, serve: Serve) -> None:
    tokenizer = byte_level(QWEN2)
    assert_alike(serve, drawn(family, tokenizer, head_dim=48), tokenizer)


def test_llamas_may_have_biases(serve: Serve) -> None:
    tokenizer = byte_level(QWEN2)
    model = drawn("llama", tokenizer, attention_bias=True, mlp_bias=True)
    assert_alike(serve, model, tokenizer)


def test_rows_that_no_block_divides_stay_in_f16(serve: Serve, tmp_path: Path) -> None:
    tokenizer = byte_level(QWEN2)
    model = drawn("qwen2", tokenizer, hidden_size=48, intermediate_size=64)
    exported = write_gguf(model, tokenizer, tmp_path / "m.gguf", "q8_0")
    assert "blk.0.attn_q.weight" in exported.kept_in_f16
    kept = types(tmp_path / "m.gguf")
    assert (kept["blk.0.attn_q.weight"], kept["blk.0.ffn_down.weight"]) == ("F16", "Q8_0")
    assert {kept["blk.0.attn_q.bias"], kept["output_norm.weight"]} == {"F32"}
    assert_alike(serve, model, tokenizer, "q8_0")


def test_a_coarse_file_keeps_its_last_matrix_finer(tmp_path: Path) -> None:
    each = trained_of("llama")
    exported = write_gguf(each.model, each.tokenizer, tmp_path / "m.gguf", "q4_0")
    kept = types(tmp_path / "m.gguf")
    assert (kept["output.weight"], kept["blk.1.ffn_up.weight"]) == ("Q8_0", "Q4_0")
    assert exported.kept_in_f16 == ()
    assert exported.size_bytes == (tmp_path / "m.gguf").stat().st_size
    assert exported.num_parameters == sum(each.numel() for each in each.model.parameters())


def drawn(family: Family, tokenizer: Any, **options: Any) -> Any:
    """A model with random weights, large enough to tell one order of rows from another."""
    config, kind = {
        "llama": (LlamaConfig, LlamaForCausalLM),
        "qwen2": (Qwen2Config, Qwen2ForCausalLM),
        "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    }[family]
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 256,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if family == "qwen3":
        sizes["head_dim"] = 32
    random = torch.Generator().manual_seed(3)
    model: Any = kind(config(**sizes | options)).eval()
    for name, parameter in model.named_parameters():
        mean, deviation = (1.0, 0.3) if "norm" in name else (0.0, 0.12)
        parameter.data.normal_(mean, deviation, generator=random)
    return model


def assert_alike(serve: Serve, model: Any, tokenizer: Any, precision: Precision = "f32") -> None:
    """On prompts as long as scaled positions need to differ."""
    prompts = [" ".join(TEXT), TEXT[1]]
    engine = serve(model, tokenizer, precision)
    found = parity.check(engine, model, tokenizer, prompts, precision=precision, num_new_tokens=4)
    assert found.passed, found.problem


# Tokenizers


def byte_level(
    pattern: str, *, digits: bool = False, ignore_merges: bool = False
) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    by_pattern = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    steps: list[pre_tokenizers.PreTokenizer] = []
    if digits:
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    if pattern == GPT2:
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False))
    else:
        steps += [by_pattern, as_bytes]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT * 2, trainer)
    return fast(tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def sentence_piece(*, by_metaspace: bool = False) -> PreTrainedTokenizerFast:
    """As Llama 2's: bytes for what is unknown, and every pair that makes a token is a merge."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<unk>", "<s>", "</s>", *bytes_],
        max_token_length=8,
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT * 2, trainer)
    spec = json.loads(tokenizer.to_str())
    spec["added_tokens"] = spec["added_tokens"][:3]
    for added in spec["added_tokens"]:
        added["normalized"] = False
    vocabulary = spec["model"]["vocab"]
    spec["model"]["merges"] = [
        (token[:at], token[at:])
        for token in sorted(vocabulary, key=vocabulary.__getitem__)
        for at in range(1, len(token))
        if token not in bytes_ and token[:at] in vocabulary and token[at:] in vocabulary
    ]
    if by_metaspace:
        spec["normalizer"] = None
        spec["pre_tokenizer"] = {
            "type": "Metaspace",
            "replacement": "▁",
            "prepend_scheme": "first",
            "split": False,
        }
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    return fast(tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def fast(tokenizer: Tokenizer, **specials: str) -> PreTrainedTokenizerFast:
    make: Callable[..., PreTrainedTokenizerFast] = PreTrainedTokenizerFast
    return make(tokenizer_object=tokenizer, **specials)


def with_beginning(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """One that puts `<|endoftext|>` before each text, and `<|im_end|>` behind it."""
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A <|im_end|>",
        special_tokens=[("<|endoftext|>", 0), ("<|im_end|>", 2)],
    )
    return tokenizer


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "gpt-2": lambda: byte_level(GPT2),
    "smollm": lambda: byte_level(GPT2, digits=True),
    "qwen2": lambda: byte_level(QWEN2),
    "dbrx": lambda: byte_level(LLAMA3),
    "llama-bpe": lambda: byte_level(LLAMA3, ignore_merges=True),
    "default": sentence_piece,
    "with-ends": lambda: with_beginning(byte_level(QWEN2)),
}


@cache
def opened(name: str, folder: Path) -> tuple[PreTrainedTokenizerFast, EmbeddedEngine]:
    """A tokenizer, and an engine with it; open until the session ends."""
    tokenizer = TOKENIZERS[name]()
    path = folder / f"{name}.gguf"
    write_gguf(drawn("llama", tokenizer, num_hidden_layers=1), tokenizer, path, "f32")
    return tokenizer, EmbeddedEngine.open(path, num_slots=1, context_tokens=256, num_threads=1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokenizers")


SNIPPETS = (
    *("the ", "The", "wheel", "I'LL ", "don't", "2025", "\uff14", "义务", "当事人", "、", "..."),
    *(" \n\n", "  ", "\t", "\u3000", "▁", "é", "🛞", "<|im_end|>", "<s>", "<unk>", "<0x41>"),
)
TEXTS = st.lists(
    st.sampled_from(SNIPPETS)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
    max_size=12,
).map("".join)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=TEXTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_texts_are_cut_into_the_same_tokens(name: str, folder: Path, text: str) -> None:
    tokenizer, engine = opened(name, folder)
    plain = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert engine.tokenize(text) == plain
    if text:
        assert engine.prompt_ids(Request(prompt=text)) == tokenizer(text)["input_ids"]


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if name != "with-ends"])
def test_the_engine_is_told_its_name_of_the_pre_tokenizer(name: str) -> None:
    tokenizer = TOKENIZERS[name]()
    assert read_vocabulary(tokenizer, len(tokenizer)).pre_tokenizer == name


def test_a_space_in_front_may_be_said_by_a_pre_tokenizer(serve: Serve) -> None:
    tokenizer = sentence_piece(by_metaspace=True)
    engine = serve(drawn("llama", tokenizer), tokenizer)
    for text in TEXT:
        assert engine.prompt_ids(Request(prompt=text)) == tokenizer(text)["input_ids"]


def test_rows_without_a_token_are_unused(tmp_path: Path) -> None:
    each = trained_of("qwen2")
    write_gguf(each.model, each.tokenizer, tmp_path / "m.gguf", "f16")
    said = keys(tmp_path / "m.gguf")
    assert said["tokenizer.ggml.tokens"][-1] == f"[PAD{len(each.tokenizer)}]"
    assert said["tokenizer.ggml.token_type"][-1] == gguf.TokenType.UNUSED


def test_what_ends_a_generation_is_said(tmp_path: Path) -> None:
    tokenizer = byte_level(QWEN2)
    model = drawn("qwen2", tokenizer)
    model.generation_config.eos_token_id = [2, 0]
    write_gguf(model, tokenizer, tmp_path / "m.gguf", "f16")
    said = keys(tmp_path / "m.gguf")
    assert said["tokenizer.ggml.eos_token_id"] == tokenizer.convert_tokens_to_ids("<|im_end|>") == 2
    assert said["tokenizer.ggml.eot_token_id"] == 0
    assert said["tokenizer.ggml.padding_token_id"] == 0
    assert not said["tokenizer.ggml.add_bos_token"] and not said["tokenizer.ggml.add_eos_token"]


def test_what_stands_around_a_text_is_said(tmp_path: Path) -> None:
    tokenizer = with_beginning(byte_level(QWEN2))
    write_gguf(drawn("qwen2", tokenizer), tokenizer, tmp_path / "m.gguf", "f16")
    said = keys(tmp_path / "m.gguf")
    assert said["tokenizer.ggml.add_bos_token"] and said["tokenizer.ggml.add_eos_token"]
    assert said["tokenizer.ggml.bos_token_id"] == 0


# Files


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_folder_is_read_by_transformers_alone(family: Family, tmp_path: Path) -> None:
    each = trained_of(family)
    base.save(each.model, each.tokenizer, tmp_path / "saved")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    ids = tokenizer(TEXT[0], return_tensors="pt")["input_ids"]
    assert ids.tolist() == [each.tokenizer(TEXT[0])["input_ids"]]
    assert tokenizer.chat_template == each.tokenizer.chat_template
    with torch.no_grad():
        assert torch.equal(model(ids).logits, each.model(ids).logits)


def test_a_folder_gives_the_same_file_as_the_model(tmp_path: Path) -> None:
    each = trained_of("qwen3")
    base.save(each.model, each.tokenizer, tmp_path / "saved")
    write_gguf(tmp_path / "saved", None, tmp_path / "a.gguf", "q8_0")
    write_gguf(each.model, each.tokenizer, tmp_path / "b.gguf", "q8_0")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_a_failed_export_leaves_the_old_file(tmp_path: Path) -> None:
    tokenizer = byte_level(QWEN2)
    model = drawn("qwen2", tokenizer)
    path = tmp_path / "m.gguf"
    write_gguf(model, tokenizer, path, "f16")
    before = path.read_bytes()
    model.model.norm = model.model.norm.to("meta")  # whose values cannot be had
    with pytest.raises(NotImplementedError):
        write_gguf(model, tokenizer, path, "f16")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_half_precision_is_widened_without_loss(tmp_path: Path) -> None:
    tokenizer = byte_level(QWEN2)
    model = drawn("qwen2", tokenizer).bfloat16()
    write_gguf(model, tokenizer, tmp_path / "a.gguf", "f32")
    write_gguf(model.float(), tokenizer, tmp_path / "b.gguf", "f32")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


# Refusals


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=400))
    with pytest.raises(ModelError, match=r"GPT2LMHeadModel .* LlamaForCausalLM, Qwen2ForCausalLM"):
        write_gguf(model, byte_level(QWEN2), tmp_path / "m.gguf", "f16")
    assert list(tmp_path.iterdir()) == []


YARN = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}


@pytest.mark.parametrize(
    ("family", "options", "problem"),
    [
        ("qwen2", {"use_sliding_window": True}, "sliding window"),
        ("llama", {"hidden_act": "gelu"}, "gelu"),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
         "dynamic; supported are default, linear, llama3, yarn"),
        *(
            ("llama", {"rope_parameters": {**YARN, name: value}}, f"yarn with {name} = ")
            for name, value in (
                ("beta_fast", 16), ("beta_slow", 2.0), ("attention_factor", 1.5), ("mscale", 0.7),
                ("mscale_all_dim", 0.7), ("truncate", False),
            )
        ),
        ("qwen3", {"attention_bias": True}, "biases"),
        ("qwen2", {"head_dim": 48}, "as wide as"),
    ],
)  # fmt: skip
def test_options_that_the_file_cannot_say_are_refused(
    family: Family, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ModelError, match=problem):
        require_exportable(drawn(family, byte_level(QWEN2), **options))


def test_yarn_that_does_not_say_what_it_extends_is_refused() -> None:
    model = drawn("llama", byte_level(QWEN2), rope_parameters=YARN)
    require_exportable(model)
    del model.config.rope_parameters["original_max_position_embeddings"]
    with pytest.raises(ModelError, match="lacks factor or original_max_position_embeddings"):
        require_exportable(model)


def test_adapters_must_be_merged_first(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    tokenizer = byte_level(QWEN2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks by an old name
        adapted = get_peft_model(drawn("qwen2", tokenizer), LoraConfig(target_modules=["q_proj"]))
    with pytest.raises(ModelError, match="adapters"):
        write_gguf(adapted.base_model.model, tokenizer, tmp_path / "m.gguf", "f16")


def test_a_tokenizer_that_is_not_the_models_is_refused() -> None:
    with pytest.raises(ModelError, match="do not belong together"):
        read_vocabulary(byte_level(QWEN2), 300)


def _changed(**parts: Any) -> PreTrainedTokenizerFast:
    tokenizer = byte_level(QWEN2)
    for name, part in parts.items():
        setattr(tokenizer.backend_tokenizer, name, part)
    return tokenizer


def _with_ends(single: str) -> PreTrainedTokenizerFast:
    from tokenizers.processors import TemplateProcessing

    return _changed(
        post_processor=TemplateProcessing(single=single, special_tokens=[("<|endoftext|>", 0)])
    )


@pytest.mark.parametrize(
    ("tokenizer", "problem"),
    [
        (lambda: _changed(pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=True)),
         "only for dbrx, gpt-2, llama-bpe, qwen2, smollm"),
        (lambda: byte_level(r"\p{L}+"), r"splits text by \\p\{L\}\+"),
        (lambda: byte_level(QWEN2, ignore_merges=True), "skips merges"),
        (lambda: _changed(normalizer=normalizers.Lowercase()), "normaliser"),
        (lambda: _changed(pre_tokenizer=pre_tokenizers.Whitespace()), "SentencePiece"),
        (lambda: _changed(model=models.WordLevel({"a": 0}, unk_token="a")), "WordLevel"),
        (lambda: _changed(model=models.BPE(dropout=0.5)), "dropout"),
        (lambda: _with_ends("<|endoftext|> <|endoftext|> $A"), "more than one token"),
    ],
)  # fmt: skip
def test_tokenizers_that_the_engine_does_not_have_are_refused(
    tokenizer: Callable[[], PreTrainedTokenizerFast], problem: str
) -> None:
    with pytest.raises(ModelError, match=problem):
        read_vocabulary(tokenizer(), 400)


def test_a_token_that_takes_the_space_around_it_is_refused() -> None:
    from tokenizers import AddedToken

    tokenizer = byte_level(QWEN2)
    tokenizer.add_tokens([AddedToken("<mask>", lstrip=True)])
    with pytest.raises(ModelError, match='"<mask>" sets lstrip'):
        read_vocabulary(tokenizer, 500)


# Real ones


def test_tinystories_continues_its_stories_alike(serve: Serve) -> None:
    folder = SHARED / "models" / "tinystories-656k"
    if not folder.is_dir():
        pytest.skip(f"no model in {folder}")
    found = base.load_base(str(folder), Path())
    engine = serve(found.model, found.tokenizer, context_tokens=128)
    prompts: list[parity.Prompt] = [
        "Once upon a time there was a",
        "The little dog saw a",
        "One day, Lily went to the park",
        [Message(role="user", content="Where is the little dog?")],
    ]
    parity_ = parity.check(
        engine, found.model, found.tokenizer, prompts, precision="f32", num_new_tokens=64
    )
    assert parity_.passed, parity_.problem
    assert parity_.num_other_choices == 0


def test_qwens_tokenizer_cuts_both_languages_alike(serve: Serve) -> None:
    folder = SHARED / "tokenizers" / "qwen2.5"
    if not folder.is_dir():
        pytest.skip(f"no tokenizer in {folder}")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = drawn("qwen2", tokenizer, hidden_size=32, num_hidden_layers=1)
    engine = serve(model, tokenizer, "q8_0")
    documents = (ROOT / "examples" / "owners-manual" / "documents").glob("*/*.md")
    for path in sorted(documents):
        text = unicodedata.normalize("NFC", path.read_text(encoding="utf-8"))
        assert engine.tokenize(text) == tokenizer(text)["input_ids"], path
    assert_templates_alike(engine, tokenizer)


def assert_templates_alike(engine: EmbeddedEngine, tokenizer: Any) -> None:
    messages = (
        Message(role="system", content="简短回答。"),
        Message(role="user", content="What does a cold tyre need?"),
        Message(role="assistant", content="2.4 bar."),
        Message(role="user", content="备胎呢？"),
    )
    rendered = tokenizer.apply_chat_template(
        [{"role": each.role, "content": each.content} for each in messages],
        tokenize=False,
        add_generation_prompt=True,
    )
    expected = tokenizer(rendered, add_special_tokens=False)["input_ids"]
    assert engine.prompt_ids(Request(messages=messages)) == expected
