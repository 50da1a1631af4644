"""Trimming: covered text is split alike and gets the same predictions; all other text still works.

On tokenizers of every kind that is read, trained here, and on tiny models of the tested families.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    PhiConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from flywheel.build.merges import BYTES, read_json
from flywheel.build.trimming import compare, named_ids, set_rows, trim_model, trim_tokenizer
from flywheel.build.vocabulary import Kept, Needs, choose, needs, train_tokenizer
from flywheel.errors import ModelError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "owners-manual" / "documents"
STORIES = ROOT.parent / "shared" / "models" / "tinystories-656k"
SIZE = 900
PADDED_ROWS = 920
"""More rows than tokens, as Qwen's models have."""


def corpus() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(EXAMPLE.rglob("*.md"))]


def paragraphs() -> list[str]:
    return [line for text in corpus() for line in text.splitlines() if line.strip()]


def wrapped(tokenizer: Tokenizer, **settings: Any) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **settings)  # type: ignore[no-untyped-call]


def byte_level() -> PreTrainedTokenizerFast:
    return train_tokenizer(corpus(), SIZE)


def ignoring_merges() -> PreTrainedTokenizerFast:
    """Words that are tokens are taken whole, one of them beside what the merges would make."""
    trained = byte_level()
    state = read_json(trained)
    state["model"]["ignore_merges"] = True
    vocabulary = state["model"]["vocab"]
    whole = next(
        word for word in ("Ġcharging", "Ġpassenger", "Ġwarranty") if word not in vocabulary
    )
    vocabulary[whole] = len(vocabulary)
    return wrapped(
        Tokenizer.from_str(json.dumps(state)),
        eos_token=trained.eos_token,
        pad_token=trained.pad_token,
        chat_template=trained.chat_template,
    )


def over_characters(special: list[str]) -> PreTrainedTokenizerFast:
    """As Llama 2 and the stories have it; with the bytes where they are among the special."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE, special_tokens=special, limit_alphabet=300, show_progress=False
    )
    tokenizer.train_from_iterator(paragraphs(), trainer)
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [each for each in state["added_tokens"] if each["id"] < 3]
    state["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "</s>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}},
    }
    return wrapped(
        Tokenizer.from_str(json.dumps(state)), unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


KINDS: Mapping[str, Callable[[], PreTrainedTokenizerFast]] = {
    "byte-level": byte_level,
    "ignoring merges": ignoring_merges,
    "characters": lambda: over_characters(["<unk>", "<s>", "</s>"]),
    "characters and bytes": lambda: over_characters(["<unk>", "<s>", "</s>", *BYTES]),
}

Given = tuple[PreTrainedTokenizerFast, Needs]


@pytest.fixture(scope="session", params=KINDS)
def base(request: pytest.FixtureRequest) -> Given:
    tokenizer = KINDS[request.param]()
    return tokenizer, needs(tokenizer, paragraphs())


def text_ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def prompted(tokenizer: PreTrainedTokenizerFast, content: str) -> list[int]:
    chat = [{"role": "user", "content": content}]
    encoded: Any = tokenizer.apply_chat_template(chat, add_generation_prompt=True)
    ids: list[int] = encoded["input_ids"]
    return ids


def texts_of(tokenizer: PreTrainedTokenizerFast) -> st.SearchStrategy[str]:
    """Any text, and text of what the vocabulary holds, special tokens among it."""
    tokens = [
        str(tokenizer.decode([id])) for id in sorted(tokenizer.get_vocab().values()) if id % 3 == 0
    ]
    joined = st.lists(st.sampled_from([*tokens, *tokenizer.all_special_tokens]), max_size=12)
    return st.text() | joined.map("".join) | st.sampled_from(paragraphs())


@given(data=st.data())
def test_covered_text_is_split_alike_and_any_other_reads_the_same(
    base: Given, data: st.DataObject
) -> None:
    tokenizer, needed = base
    counts = data.draw(
        st.dictionaries(st.integers(0, len(tokenizer) - 1), st.integers(1, 9), max_size=60)
    )
    fewest = 620
    kept = choose(
        replace(needed, counts=counts),
        data.draw(st.integers(fewest, len(tokenizer))),
        general=data.draw(st.sampled_from([0.0, 0.1, 0.3])),
    )
    trimmed = trim_tokenizer(tokenizer, kept)
    assert len(trimmed) == len(kept.ids)
    for text in data.draw(st.lists(texts_of(tokenizer), min_size=1, max_size=20)):
        before, after = text_ids(tokenizer, text), text_ids(trimmed, text)
        if set(before) <= set(kept.ids):
            assert [kept.ids[id] for id in after] == before
        assert trimmed.decode(after) == tokenizer.decode(before)


def test_covered_paragraphs_are_all_split_alike_and_counted(base: Given) -> None:
    tokenizer, needed = base
    kept = choose(needed, SIZE - 150)
    compared = compare(tokenizer, trim_tokenizer(tokenizer, kept), kept, paragraphs())
    assert 0 < compared.num_covered < compared.num_texts == needed.num_texts
    assert compared.num_identical == compared.num_covered
    assert compared.covered == needed.covered(kept) < 1.0
    assert compared.num_tokens_after > compared.num_tokens_before == needed.num_tokens
    assert compared.bytes_per_token_after < compared.bytes_per_token_before


def test_merges_that_lead_elsewhere_do_not_survive() -> None:
    tokenizer = byte_level()
    needed = needs(tokenizer, ["key"])
    trimmed = trim_tokenizer(tokenizer, choose(needed, 400, general=0))
    model = read_json(trimmed)["model"]
    assert all(left + right in model["vocab"] for left, right in model["merges"])
    assert all({left, right} <= model["vocab"].keys() for left, right in model["merges"])


def test_special_tokens_template_and_limits_survive() -> None:
    tokenizer = byte_level()
    tokenizer.model_max_length = 77
    trimmed = trim_tokenizer(tokenizer, choose(needs(tokenizer, ["门锁"]), 450))
    before, after = prompted(tokenizer, "门锁 <|im_end|>"), prompted(trimmed, "门锁 <|im_end|>")
    assert trimmed.decode(after) == tokenizer.decode(before)
    assert trimmed.decode(after, skip_special_tokens=True) == "user\n门锁 \nassistant\n"
    assert (trimmed.eos_token, trimmed.pad_token) == (tokenizer.eos_token, tokenizer.pad_token)
    assert trimmed.model_max_length == 77


def test_what_is_put_around_a_text_has_its_new_id() -> None:
    tokenizer = KINDS["characters"]()
    state = read_json(tokenizer)
    kept = choose(needs(tokenizer, ["a door"]), 620)
    trimmed = trim_tokenizer(tokenizer, Kept(ids=tuple(reversed(kept.ids))))
    assert state["post_processor"]["special_tokens"]["</s>"]["ids"] == [2]
    assert trimmed("a")["input_ids"][0] == trimmed.eos_token_id == len(kept.ids) - 3


def tiny(config: type[Any], **settings: Any) -> PreTrainedModel:
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    ids = {"bos_token_id": None, "eos_token_id": [2, 0], "pad_token_id": 0}
    configured = config(**{"vocab_size": PADDED_ROWS, **sizes, **heads, **ids, **settings})
    model: Any = AutoModelForCausalLM.from_config(configured)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    made: PreTrainedModel = model.eval()
    return made


FAMILIES = {
    f"{config.model_type}{', tied' if tied else ''}": (config, {"tie_word_embeddings": tied})
    for config in (LlamaConfig, Qwen2Config, Qwen3Config)
    for tied in (False, True)
} | {"an output with a bias": (PhiConfig, {"tie_word_embeddings": False})}


@pytest.mark.parametrize(("config", "settings"), FAMILIES.values(), ids=FAMILIES)
def test_predictions_of_covered_text_are_the_base_s_over_the_kept_rows(
    config: type[Any], settings: dict[str, Any]
) -> None:
    tokenizer, model = byte_level(), tiny(config, **settings)
    kept = choose(needs(tokenizer, paragraphs()), 700, also=named_ids(model))
    covered = [
        ids for line in paragraphs() if set(ids := text_ids(tokenizer, line)) <= set(kept.ids)
    ]
    with torch.no_grad():
        before = [model(torch.tensor([ids])).logits[0][:, list(kept.ids)] for ids in covered[:20]]
    trim_model(model, kept)
    trimmed = trim_tokenizer(tokenizer, kept)
    assert len(before) == 20
    for logits, ids in zip(before, covered, strict=False):
        after = model(torch.tensor([text_ids(trimmed, str(tokenizer.decode(ids)))])).logits[0]
        assert torch.equal(after, logits)


def test_trimmed_model_saves_and_loads_in_plain_transformers(tmp_path: Path) -> None:
    tokenizer, model = byte_level(), tiny(LlamaConfig, tie_word_embeddings=True)
    kept = choose(needs(tokenizer, ["一把钥匙"]), 500, also=named_ids(model))
    trim_model(model, kept)
    trim_tokenizer(tokenizer, kept).save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    words = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.config.vocab_size == len(words) == 500
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    assert words.decode(words("钥匙 key 👍")["input_ids"]) == "钥匙 key 👍"
    ids = words("一把钥匙", return_tensors="pt")
    assert torch.equal(loaded(**ids).logits, model(**ids).logits)
    written = loaded.generate(**ids, max_new_tokens=5, do_sample=False)
    assert written.shape[1] <= ids["input_ids"].shape[1] + 5


def test_ids_in_the_configs_follow_their_tokens() -> None:
    model = tiny(LlamaConfig)
    model.generation_config.suppress_tokens = [5, 7]
    set_rows(model, [(7,), (2,), (0,)])
    assert model.config.eos_token_id == [1, 2]
    assert model.config.pad_token_id == model.generation_config.pad_token_id == 2
    assert model.generation_config.eos_token_id == [1, 2]
    assert model.generation_config.suppress_tokens == [0]
    assert model.get_input_embeddings().padding_idx == 2
    set_rows(model, [(0,)])
    assert model.config.eos_token_id is model.config.pad_token_id is None


def test_row_of_several_is_their_mean_in_the_embeddings_and_in_the_output() -> None:
    model = tiny(LlamaConfig, tie_word_embeddings=False)
    tables: list[Any] = [model.get_submodule("model.embed_tokens"), model.get_submodule("lm_head")]
    before = [table.weight.detach().clone() for table in tables]
    set_rows(model, [(3,), (4, 5, 6)])
    for table, old in zip(tables, before, strict=True):
        assert torch.equal(table.weight[0], old[3])
        assert torch.allclose(table.weight[1], old[4:7].mean(dim=0))


def test_tokenizer_of_another_model_is_refused() -> None:
    with pytest.raises(ModelError, match="do not belong together"):
        trim_model(tiny(LlamaConfig), Kept(ids=(0, PADDED_ROWS)))


@pytest.mark.skipif(not STORIES.is_dir(), reason=f"there is no {STORIES}")
def test_real_model_goes_on_alike_where_its_words_are_kept() -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(STORIES)
    model = AutoModelForCausalLM.from_pretrained(STORIES)
    start = "Once upon a time there was a little dog."
    told = go_on(model, tokenizer, start)
    needed = needs(tokenizer, [str(tokenizer.decode(told, skip_special_tokens=True))])
    kept = choose(needed, 1024, also={*told, *named_ids(model)})
    trim_model(model, kept)
    trimmed = trim_tokenizer(tokenizer, kept)
    again = go_on(model, trimmed, start)
    assert [kept.ids[id] for id in again] == told
    assert trimmed.decode(again) == tokenizer.decode(told)


def go_on(model: Any, tokenizer: PreTrainedTokenizerFast, start: str) -> list[int]:
    ids = torch.tensor([tokenizer(start)["input_ids"]])
    written: list[int] = model.generate(ids, max_new_tokens=30, do_sample=False)[0].tolist()
    return written
