from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from flywheel.build import parity
from flywheel.build.export import write_gguf
from flywheel.build.gguf_file import permute
from flywheel.build.parity import ALLOWANCES, Allowance, Parity, Prompt
from flywheel.build.settings import Precision
from flywheel.build.shape import FAMILIES, Family
from flywheel.engine.embedded import EmbeddedEngine
from flywheel.engine.protocol import Request, TokenChance
from flywheel.errors import EngineError, ModelError
from flywheel.records import Message, from_json, to_json
from trained import Trained, trained

CONVERSATION = (
    Message(role="system", content="简短回答。"),
    Message(role="user", content="What does a cold tyre need? <|im_end|> 多少钱？"),
)

Check = Callable[..., Parity]


@pytest.fixture
def compare(tmp_path: Path) -> Iterator[Check]:
    """Exports a model, as it is or spoilt on the way, and compares what is served."""
    opened: list[EmbeddedEngine] = []

    def check(
        each: Trained,
        *,
        precision: Precision = "q8_0",
        prompts: Sequence[Prompt] = (),
        spoilt_model: Any = None,
        spoilt_tokenizer: Any = None,
        **options: Any,
    ) -> Parity:
        path = tmp_path / f"{len(opened)}.gguf"
        write_gguf(spoilt_model or each.model, spoilt_tokenizer or each.tokenizer, path, precision)
        engine = EmbeddedEngine.open(path, num_slots=1, context_tokens=128, num_threads=1)
        opened.append(engine)
        return parity.check(
            engine,
            each.model,
            each.tokenizer,
            prompts or each.prompts(6, 8),
            precision=precision,
            **{"num_new_tokens": 6, **options},
        )

    yield check
    for engine in opened:
        engine.close()


@pytest.mark.parametrize("precision", ALLOWANCES)
def test_a_right_file_passes(precision: Precision, compare: Check) -> None:
    each = trained("qwen3")
    found = compare(each, precision=precision, prompts=[*each.prompts(6, 8), CONVERSATION])
    assert found.passed, found.problem
    assert (found.num_prompts, found.num_tokens) == (7, 42)
    assert 0 < found.mean_difference < found.worst_difference
    parity.require(found)


def test_finer_precisions_lie_closer(compare: Check) -> None:
    each = trained("llama", tied=False)
    precisions: list[Precision] = ["f32", "f16", "q8_0", "q4_0"]
    means = [compare(each, precision=precision).mean_difference for precision in precisions]
    assert means == sorted(means)


def _spoil_matrix(model: Any) -> None:
    weight = model.model.layers[1].mlp.down_proj.weight.data
    weight += weight.std() * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))


def _spoil_norm(model: Any) -> None:
    model.model.layers[0].input_layernorm.weight.data *= 3


def _spoil_order(model: Any) -> None:
    """As if queries had been permuted that must not be, or the other way round."""
    for layer in model.model.layers:
        weight = layer.self_attn.q_proj.weight
        num_heads = model.config.num_attention_heads
        weight.data = torch.from_numpy(permute(weight.data.numpy(), num_heads).copy())


def _spoil_row(model: Any) -> None:
    """One token's embedding, of the last text."""
    model.get_input_embeddings().weight.data[-40:-20] *= -1


@pytest.mark.parametrize(
    ("family", "spoil"),
    [
        *((family, _spoil_order) for family in FAMILIES),
        ("llama", _spoil_matrix),
        ("qwen2", _spoil_norm),
        ("qwen3", _spoil_row),
    ],
)
def test_a_spoilt_tensor_blocks(
    family: Family, spoil: Callable[[Any], None], compare: Check
) -> None:
    each = trained(family, tied=family != "llama")
    spoilt = copy.deepcopy(each.model)
    spoil(spoilt)
    found = compare(each, spoilt_model=spoilt, prompts=each.prompts(20, 8))
    assert not found.passed
    assert found.prompt in each.prompts(20, 8)
    with pytest.raises(ModelError) as raised:
        parity.require(found)
    assert " ".join(found.prompt.split())[:20] in str(raised.value)
    assert found.token and found.token in str(raised.value)
    assert "log-probability" in str(raised.value)


def test_a_missing_merge_blocks_and_names_the_first_token_that_differs(compare: Check) -> None:
    each = trained("qwen2")
    text = "Please check the cable, 充电。"
    tokens = each.tokenizer.tokenize(text)
    place = next(at for at, token in enumerate(tokens) if len(token) > 3)
    found = compare(
        each, prompts=[text], spoilt_tokenizer=_without_merge(each.tokenizer, tokens[place])
    )
    assert not found.passed
    assert found.prompt == text
    assert f"token {place + 1} of it is " in found.problem
    assert f"({each.tokenizer(text)['input_ids'][place]})" in found.token
    assert found.num_tokens == 0


def _without_merge(tokenizer: Any, token: str) -> Any:
    """The tokenizer, which cannot make one of its tokens any more."""
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    merges = described["model"]["merges"]
    described["model"]["merges"] = [pair for pair in merges if "".join(pair) != token]
    assert len(described["model"]["merges"]) < len(merges)
    spoilt = copy.deepcopy(tokenizer)
    spoilt._tokenizer = Tokenizer.from_str(json.dumps(described))
    return spoilt


def test_another_chat_template_blocks(compare: Check) -> None:
    each = trained("qwen3")
    spoilt = copy.deepcopy(each.tokenizer)
    spoilt.chat_template = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
    found = compare(each, prompts=[CONVERSATION], spoilt_tokenizer=spoilt)
    assert not found.passed
    assert "token 1 of it is" in found.problem
    assert "<|im_start|>" in found.token


def test_a_template_that_names_a_first_token_is_kept(compare: Check) -> None:
    """Where the tokenizer has none, llama.cpp would write one of its own choice."""
    each = trained("qwen3")
    changed = copy.deepcopy(each.tokenizer)
    changed.chat_template = "{{ bos_token }}" + changed.chat_template
    found = compare(
        Trained(model=each.model, tokenizer=changed, ids=each.ids), prompts=[CONVERSATION]
    )
    assert found.passed, found.problem


def test_a_reference_in_half_precision_is_widened(compare: Check) -> None:
    each = trained("qwen3")
    half = copy.deepcopy(each.model).bfloat16()
    found = compare(Trained(model=half, tokenizer=each.tokenizer, ids=each.ids), precision="f32")
    assert found.passed, found.problem
    assert half.dtype == torch.bfloat16


def test_small_differences_everywhere_block_too(compare: Check) -> None:
    each = trained("qwen3")
    found = compare(each, allowance=Allowance(worst=10, mean=1e-5))
    assert not found.passed
    assert "the mean over all is 0.0" in found.problem


def test_it_is_kept_as_json(compare: Check) -> None:
    found = compare(trained("qwen3"), allowance=Allowance(worst=1e-6, mean=1))
    assert from_json(Parity, json.loads(json.dumps(to_json(found)))) == found
    assert found.problem


def test_a_prompt_longer_than_the_context_is_refused(compare: Check) -> None:
    each = trained("qwen3")
    with pytest.raises(EngineError):
        compare(each, prompts=["The cable is plugged in. " * 60])


class _Reader:
    """An engine that reads as the tokenizer does, and tells what it is given."""

    def __init__(self, tokenizer: Any, told: Callable[[Sequence[int]], dict[int, float]]) -> None:
        self._tokenizer, self._told = tokenizer, told

    def prompt_ids(self, request: Request) -> list[int]:
        return list(self._tokenizer(request.prompt)["input_ids"])

    def next_tokens(self, ids: Sequence[int], num: int) -> tuple[TokenChance, ...]:
        told = sorted(self._told(ids).items(), key=lambda item: -item[1])[:num]
        return tuple(TokenChance(token="", id=id, logprob=logprob) for id, logprob in told)


def _logprobs(each: Trained, ids: Sequence[int]) -> dict[int, float]:
    with torch.no_grad():
        logits = each.model(torch.tensor([list(ids)])).logits[0, -1]
    return dict(enumerate(logits.log_softmax(-1).tolist()))


def test_an_engine_that_says_the_same_differs_by_nothing() -> None:
    each = trained("qwen3")
    engine = _Reader(each.tokenizer, lambda ids: _logprobs(each, ids))
    found = parity.check(
        engine, each.model, each.tokenizer, each.prompts(3, 8), precision="f32", num_new_tokens=8
    )
    assert found.passed and found.worst_difference < 1e-4
    assert found.num_other_choices == 0


def test_a_likely_token_that_the_engine_leaves_out_is_found() -> None:
    each = trained("qwen3")

    def without_best(ids: Sequence[int]) -> dict[int, float]:
        logprobs = _logprobs(each, ids)
        del logprobs[max(logprobs, key=logprobs.__getitem__)]
        return logprobs

    found = parity.check(
        _Reader(each.tokenizer, without_best),
        each.model,
        each.tokenizer,
        each.prompts(3, 8),
        precision="f32",
        num_new_tokens=1,
    )
    assert not found.passed
    assert found.num_other_choices == 3
    first = each.prompts(3, 8)[0]
    logprobs = _logprobs(each, each.tokenizer(first)["input_ids"])
    assert found.prompt == first
    assert f"({max(logprobs, key=logprobs.__getitem__)})" in found.token


def test_no_prompt_at_all_does_not_pass() -> None:
    each = trained("qwen3")
    engine = _Reader(each.tokenizer, lambda ids: _logprobs(each, ids))
    found = parity.check(engine, each.model, each.tokenizer, [], precision="f32")
    assert (found.passed, found.num_prompts) == (False, 0)
    with pytest.raises(ModelError, match="no prompt to compare"):
        parity.require(found)
