"""A base is loaded as it is, or what is wrong with it is said; a new model is made from a shape."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from flywheel.build.base import (
    load_base,
    load_tokenizer,
    new_model,
    save,
)
from flywheel.build.chat_template import CHATML_TEMPLATE, PLAIN_TEMPLATE, chat_template_for
from flywheel.build.shape import FAMILIES, Family, Shape
from flywheel.errors import ModelError

VOCAB_SIZE = 384
MakeModel = Callable[..., PreTrainedModel]
MakeTokenizer = Callable[..., PreTrainedTokenizerFast]

STORIES = Path(__file__).resolve().parents[3] / "shared" / "models" / "tinystories-656k"


def change_json(file: Path, **values: Any) -> None:
    changed = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps(changed))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tied", [True, False])
def test_shape_counts_the_parameters_of_the_real_model(
    make_model: MakeModel, family: Family, tied: bool
) -> None:
    model = make_model(family, tied=tied)
    shape = Shape.of(model.config.to_dict())
    assert shape.num_params == sum(weight.numel() for weight in model.parameters())
    assert shape.num_embedding_params == (1 if tied else 2) * VOCAB_SIZE * 32
    assert (shape.family, shape.tied, shape.width) == (family, tied, 32)
    assert shape.context == 128


def test_shape_of_another_architecture_is_not_known() -> None:
    with pytest.raises(ModelError, match=r'"gpt2" cannot be a base: .* llama, qwen2, qwen3 alone'):
        Shape.of({"model_type": "gpt2"})
    with pytest.raises(ModelError, match="lacks a size"):
        Shape.of({"model_type": "llama"})


@pytest.mark.parametrize("family", FAMILIES)
def test_saved_model_loads_the_same_here_and_in_plain_transformers(
    tmp_path: Path, make_model: MakeModel, chat_tokenizer: PreTrainedTokenizerFast, family: Family
) -> None:
    model = make_model(family)
    model.train(False)
    save(model, chat_tokenizer, tmp_path / "saved")
    base = load_base("saved", tmp_path)
    ids = torch.tensor([chat_tokenizer("Check the tyres")["input_ids"]])
    expected = model(ids).logits
    assert torch.equal(base.model(ids).logits, expected)
    assert torch.equal(
        AutoModelForCausalLM.from_pretrained(tmp_path / "saved")(ids).logits, expected
    )
    assert base.notes == ()
    assert base.tokenizer.chat_template == CHATML_TEMPLATE
    assert (
        AutoTokenizer.from_pretrained(tmp_path / "saved")("收音机")["input_ids"]
        == (chat_tokenizer("收音机")["input_ids"])
    )


def test_weights_come_in_the_precision_that_is_asked_for(model_folder: Path) -> None:
    base = load_base(str(model_folder), Path("/"), dtype=torch.bfloat16)
    assert {weight.dtype for weight in base.model.parameters()} == {torch.bfloat16}


def test_new_models_of_one_seed_are_equal_and_leave_the_random_state_alone(
    make_model: MakeModel,
) -> None:
    before = torch.get_rng_state()
    first, second, other = make_model(seed=3), make_model(seed=3), make_model(seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, first.parameters(), second.parameters()))
    assert not all(map(torch.equal, first.parameters(), other.parameters()))


def test_new_model_begins_as_if_it_knew_nothing(
    make_model: MakeModel, chat_tokenizer: PreTrainedTokenizerFast
) -> None:
    ids = torch.tensor([chat_tokenizer("The radio comes on")["input_ids"]])
    loss = make_model()(ids, labels=ids).loss
    assert loss.item() == pytest.approx(torch.tensor(VOCAB_SIZE).log().item(), abs=0.2)


def test_base_that_is_not_there_says_how_to_bring_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="hf download some/model --local-dir FOLDER"):
        load_base("some/model", tmp_path)
    with pytest.raises(ModelError, match=r"There is no folder .*model:1"):
        load_base("./model:1", tmp_path)


def test_hub_name_leads_to_the_cached_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_folder: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub" / "models--some--model" / "snapshots" / "abc"
    shutil.copytree(model_folder, snapshot)
    assert load_base("some/model", tmp_path).source == snapshot


def test_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no model: config\.json is not there"):
        load_base(str(tmp_path), Path("/"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "BertForMaskedLM"),
        ({"model_type": "made-up"}, "no language model that is known here"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "of the architecture LlamaForSeq"),
        ({"architectures": []}, "of the architecture llama"),
        ({"quantization_config": {"bits": 4}}, "is quantised"),
        ({"model_type": ["llama"]}, "config.json is broken"),
        ({"hidden_size": 48}, "does not load"),
        ({"num_hidden_layers": 3}, "lacks weights that its architecture needs"),
        ({"vocab_size": 8}, "does not load"),
    ],
)
def test_unsuitable_model_says_why(
    model_folder: Path, change: dict[str, Any], message: str
) -> None:
    change_json(model_folder / "config.json", **change)
    with pytest.raises(ModelError, match=message):
        load_base(str(model_folder), Path("/"))


def test_pickled_weights_are_never_loaded(model_folder: Path) -> None:
    (model_folder / "model.safetensors").rename(model_folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled weights only"):
        load_base(str(model_folder), Path("/"))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_broken_file_is_named(model_folder: Path, name: str) -> None:
    whole = (model_folder / name).read_bytes()
    (model_folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=str(model_folder)):
        load_base(str(model_folder), Path("/"))


def test_model_without_its_weights_or_tokenizer_is_not_loaded(model_folder: Path) -> None:
    (model_folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"lacks tokenizer\.json"):
        load_base(str(model_folder), Path("/"))
    (model_folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors is not there"):
        load_base(str(model_folder), Path("/"))


def test_tokenizer_of_another_model_is_found_out(model_folder: Path) -> None:
    tokenizer = load_tokenizer(model_folder)
    tokenizer.add_tokens([f"term{number}" for number in range(20)])
    tokenizer.save_pretrained(model_folder)
    with pytest.raises(ModelError, match="its tokenizer has 404 tokens, its model only 384"):
        load_base(str(model_folder), Path("/"))


def test_tokenizer_without_an_end_of_text_is_refused(
    tmp_path: Path, make_tokenizer: MakeTokenizer
) -> None:
    make_tokenizer(eos_token=None).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no end-of-text token"):
        load_tokenizer(tmp_path)


def test_tokenizer_without_a_template_gets_ours_with_a_note(
    tmp_path: Path, make_model: MakeModel, make_tokenizer: MakeTokenizer
) -> None:
    save(make_model(), make_tokenizer(), tmp_path / "base")
    base = load_base("base", tmp_path)
    assert base.tokenizer.chat_template == CHATML_TEMPLATE
    assert base.notes == (
        "base has no chat template: it is taught ours, whose roles are ChatML's.",
    )


@pytest.mark.skipif(not STORIES.is_dir(), reason=f"{STORIES} is not there")
def test_real_base_reads_the_special_tokens_of_its_template() -> None:
    base = load_base(str(STORIES), Path("/"))
    assert chat_template_for(base.tokenizer) == PLAIN_TEMPLATE
    text = base.tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text == "<|start_story|>user:\nHi<|end_story|>\nassistant:\n"
    ids = base.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ids[0] == base.tokenizer.bos_token_id
    assert ids.count(base.tokenizer.eos_token_id) == 1
    story = base.tokenizer(
        "Once upon a time, there was a little girl named Lily.", return_tensors="pt"
    )
    loss = base.model(**story, labels=story["input_ids"]).loss
    assert loss.item() < 5  # a model that knows nothing has 7.6


def test_untested_architecture_loads_with_a_note(
    tmp_path: Path, chat_tokenizer: PreTrainedTokenizerFast
) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=VOCAB_SIZE, n_embd=16, n_layer=1, n_head=2, n_positions=64)
    save(GPT2LMHeadModel(config), chat_tokenizer, tmp_path / "gpt2")
    (note,) = load_base("gpt2", tmp_path).notes
    assert "gpt2 is not among the tested ones" in note


def test_new_model_has_room_for_the_whole_vocabulary(
    chat_tokenizer: PreTrainedTokenizerFast,
) -> None:
    shape = Shape(vocab_size=400, width=16, depth=1, num_heads=2, num_kv_heads=1, hidden=32)
    assert new_model(shape, chat_tokenizer, 1).get_input_embeddings().weight.shape == (400, 16)
