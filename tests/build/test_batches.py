"""Rows are packed tightly and in one order; texts that share a row do not see each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from transformers import PreTrainedModel

from flywheel.build.attention import SIMILAR, Layout, Segment, attend
from flywheel.build.batches import collate, pack, pairs_as_rows, row_numbers
from flywheel.build.outputs import run
from flywheel.build.sequences import TokenPair, TokenSequence
from flywheel.build.shape import FAMILIES, Family

MakeModel = Callable[..., PreTrainedModel]

CPU = torch.device("cpu")
VOCAB_SIZE = 384


def sequence(length: int, seed: int = 0, *, weight: float = 1.0) -> TokenSequence:
    ids = np.random.default_rng((seed, length)).integers(VOCAB_SIZE, size=length, dtype=np.int32)
    is_target = np.ones(length, dtype=np.bool_)
    is_target[0] = False
    return TokenSequence(ids=ids, is_target=is_target, weight=weight)


def pair(num_prompt: int, num_chosen: int, num_rejected: int, seed: int = 0) -> TokenPair:
    ids = sequence(num_prompt + num_chosen + num_rejected, seed).ids
    prompt, chosen, rejected = np.split(ids, [num_prompt, num_prompt + num_chosen])
    return TokenPair(prompt=prompt, chosen=chosen, rejected=rejected)


def log_chances_alone(model: PreTrainedModel, ids: Sequence[int]) -> torch.Tensor:
    """Of each token but the first, with nothing else in the row."""
    whole = torch.tensor([list(ids)])
    scores: torch.Tensor = model(whole).logits[0].log_softmax(dim=-1)
    return scores[:-1].gather(1, whole[0, 1:, None])[:, 0]


@given(lengths=st.lists(st.integers(2, 32), min_size=1, max_size=60), seed=st.integers(0, 9))
def test_every_sequence_is_in_one_row_and_no_row_is_too_long(lengths: list[int], seed: int) -> None:
    rows = pack([sequence(length) for length in lengths], 32, seed)
    assert sorted(chain.from_iterable(rows.rows)) == list(range(len(lengths)))
    used = [sum(lengths[place] for place in row) for row in rows.rows]
    assert max(used) <= 32
    # Best fit leaves no two rows that would fit into one.
    assert len(used) < 2 or sum(sorted(used)[:2]) > 31


def test_rows_of_real_lengths_are_nearly_full() -> None:
    lengths = np.random.default_rng(1).lognormal(4, 0.8, size=2000).astype(int).clip(2, 512)
    rows = pack([sequence(length) for length in lengths.tolist()], 512, 1)
    assert rows.num_tokens / (512 * len(rows)) > 0.99


def test_order_depends_on_seed_and_epoch_alone() -> None:
    rows = pack([sequence(20, seed) for seed in range(10)], 20, 1)
    stream = row_numbers(rows, 0, 30, seed=1)
    epochs = [tuple(stream[start : start + 10]) for start in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len(set(epochs)) == 3
    assert row_numbers(rows, 7, 9, seed=1) == stream[7:16]
    assert row_numbers(rows, 0, 30, seed=2) != stream


def test_digest_tells_what_is_learned_and_how_it_is_packed() -> None:
    items = [sequence(8), sequence(9)]
    digests = {
        pack(items, 32, 1).digest(),
        pack(items, 10, 1).digest(),
        pack([sequence(8, weight=0.5), sequence(9)], 32, 1).digest(),
        pack([sequence(8, 1), sequence(9)], 32, 1).digest(),
        pairs_as_rows([pair(4, 2, 2)]).digest(),
        pairs_as_rows([pair(3, 3, 2)]).digest(),
    }
    assert len(digests) == 6
    assert pack(items, 32, 1).digest() in digests


@pytest.mark.parametrize("family", FAMILIES)
def test_text_in_a_packed_row_is_predicted_as_alone(make_model: MakeModel, family: Family) -> None:
    model = make_model(family)
    items = [sequence(length, seed) for seed, length in enumerate((5, 9, 2, 14, 30))]
    rows = pack(items, 30, 1)
    batch = collate(rows, range(len(rows)), CPU)
    with torch.no_grad():
        found = run(model, batch).log_chances(batch.labels)
        order = chain.from_iterable(rows.rows)
        alone = torch.cat([log_chances_alone(model, items[place].ids.tolist()) for place in order])
    assert (batch.num_tokens, len(rows)) == (60, 2)
    torch.testing.assert_close(found, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("num_prompt", [1, 6, 25])
def test_both_replies_see_the_prompt_and_not_each_other(
    make_model: MakeModel, family: Family, num_prompt: int
) -> None:
    model = make_model(family)
    items = [pair(num_prompt, 5, 8), pair(num_prompt, 9, 1, seed=1)]
    batch = collate(pairs_as_rows(items), [0, 1], CPU)
    with torch.no_grad():
        found = run(model, batch).log_chances(batch.labels)
        alone = [
            log_chances_alone(model, [*item.prompt, *reply])[num_prompt - 1 :]
            for item in items
            for reply in (item.chosen, item.rejected)
        ]
    assert batch.replies.tolist() == [0] * 5 + [1] * 8 + [2] * 9 + [3]
    torch.testing.assert_close(found, torch.cat(alone), atol=1e-5, rtol=0)


def test_gradients_of_a_packed_row_are_those_of_its_texts(make_model: MakeModel) -> None:
    items = [sequence(5), sequence(9), sequence(12)]
    gradients = []
    for rows in (pack(items, 64, 1), pack(items, 12, 1)):
        model = make_model()
        for number in range(len(rows)):
            batch = collate(rows, [number], CPU)
            chances = run(model, batch).log_chances(batch.labels)
            torch.autograd.backward(-chances.sum())
        gradients.append([weight.grad for weight in model.parameters()])
    for packed, apart in zip(*gradients, strict=True):
        torch.testing.assert_close(packed, apart, atol=1e-4, rtol=1e-4)


def test_attention_and_its_gradient_equal_the_formula_with_a_mask() -> None:
    segments = [Segment(length=4), Segment(length=7), Segment(length=3, num_prefix=5)]
    query, key, value = (torch.randn(1, heads, 14, 8, requires_grad=True) for heads in (4, 2, 2))
    mask = torch.zeros(14, 14, dtype=torch.bool)
    mask[:4, :4] = torch.ones(4, 4).tril()
    mask[4:11, 4:11] = torch.ones(7, 7).tril()
    mask[11:, 11:] = torch.ones(3, 3).tril()
    mask[11:, 4:9] = True
    expected = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, enable_gqa=True, scale=0.3
    ).transpose(1, 2)
    found = attend(query, key, value, Layout.of(segments, CPU), scale=0.3)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    upstream = torch.randn_like(expected)
    for mine, plain in zip(
        torch.autograd.grad(found, (query, key, value), upstream),
        torch.autograd.grad(expected, (query, key, value), upstream),
        strict=True,
    ):
        torch.testing.assert_close(mine, plain, atol=1e-5, rtol=0)


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_blocks_hold_every_token_once_and_little_else(lengths: list[int]) -> None:
    layout = Layout.of([Segment(length=length) for length in lengths], CPU)
    places = layout.places.tolist()
    assert len(set(places)) == sum(lengths)
    assert layout.tokens[layout.places].tolist() == list(range(sum(lengths)))
    assert sum(layout.sizes()) == len(layout.tokens) <= sum(lengths) / SIMILAR


def test_weights_and_notes_come_with_their_items() -> None:
    items = [sequence(3, weight=0.5), sequence(4), sequence(4, 1, weight=0.25)]
    noted = np.array([[1], [2], [3]], dtype=np.float64)
    rows = pack(items, 7, 1).with_notes({"told": noted})
    batch = collate(rows, range(len(rows)), CPU)
    order = list(chain.from_iterable(rows.rows))
    assert batch.notes["told"][:, 0].tolist() == [place + 1 for place in order]
    assert batch.item_weights.tolist() == [items[place].weight for place in order]
    assert batch.total_weight == 2 * 0.5 + 3 + 3 * 0.25
    assert batch.total_item_weight == 1.75


def test_model_is_left_as_it_was(make_model: MakeModel) -> None:
    model = make_model()
    ids = torch.arange(6)[None]
    before = model(ids).logits
    batch = collate(pack([sequence(5)], 8, 1), [0], CPU)
    run(model, batch)
    assert torch.equal(model(ids).logits, before)


def test_model_of_another_architecture_reads_text_by_text() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(1)
    config = GPT2Config(vocab_size=VOCAB_SIZE, n_embd=16, n_layer=2, n_head=2, n_positions=64)
    model = GPT2LMHeadModel(config)
    model.train(False)
    items = [sequence(5), sequence(9)]
    batch = collate(pack(items, 32, 1), [0], CPU)
    preferences = [pair(6, 3, 4), pair(1, 2, 5, seed=1)]
    pairs = collate(pairs_as_rows(preferences), [0, 1], CPU)
    with torch.no_grad():
        found = run(model, batch).log_chances(batch.labels)
        replies = run(model, pairs).log_chances(pairs.labels)
        alone = [log_chances_alone(model, item.ids.tolist()) for item in (items[1], items[0])]
        expected = [
            log_chances_alone(model, [*item.prompt, *reply])[len(item.prompt) - 1 :]
            for item in preferences
            for reply in (item.chosen, item.rejected)
        ]
    torch.testing.assert_close(found, torch.cat(alone), atol=1e-5, rtol=0)
    torch.testing.assert_close(replies, torch.cat(expected), atol=1e-5, rtol=0)
