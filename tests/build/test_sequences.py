"""What is learned of a conversation is what the assistant said, and its end, by any template."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from flywheel.build.base import load_base
from flywheel.build.chat_template import PLAIN_TEMPLATE
from flywheel.build.sequences import (
    NO_REPLY,
    REFUSED,
    TOO_LONG,
    TokenSequence,
    tokenise,
    tokenise_conversations,
    tokenise_pairs,
    tokenise_texts,
)
from flywheel.errors import ModelError
from flywheel.records import Conversation, ConversationPair, Message

MakeTokenizer = Callable[..., PreTrainedTokenizerFast]

STORIES = Path(__file__).resolve().parents[3] / "shared" / "models" / "tinystories-656k"

THINKING_TEMPLATE = (
    "{%- set ns = namespace(last=-1) -%}"
    "{%- for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
    "{%- endfor -%}"
    "{%- for m in messages -%}"
    "{{ '<|im_start|>' + m.role + '\n' }}"
    "{%- if m.role == 'assistant' and loop.index0 > ns.last %}{{ '<think>\n\n</think>\n\n' }}"
    "{%- endif -%}"
    "{{ m.content.split('</think>')[-1].lstrip('\n') if m.role == 'assistant' else m.content }}"
    "{{ '<|im_end|>\n' }}"
    "{%- endfor -%}"
)
"""Like Qwen3's: only the last reply has a place for thoughts, and thoughts are taken out."""
TRIMMING_TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content | trim }} {{ eos_token }}{% endfor %}"
)
"""Like Llama 2's: strips the content, and puts a space before the end."""
STRICT_TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{{ m.content }}{{ eos_token }}{% endfor %}"
)
ENDLESS_TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(
    lambda value: "<|" not in value
)


def said(*contents: str, weight: float = 1.0) -> Conversation:
    """User and assistant in turn."""
    roles = ("user", "assistant")
    messages = [
        Message(role=roles[place % 2], content=content)  # type: ignore[arg-type]
        for place, content in enumerate(contents)
    ]
    return Conversation(messages=tuple(messages), weight=weight)


def learned(item: TokenSequence, tokenizer: PreTrainedTokenizerFast) -> str:
    return str(tokenizer.decode(item.ids[item.is_target].tolist()))


def with_template(make_tokenizer: MakeTokenizer, template: str) -> PreTrainedTokenizerFast:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


@given(contents=st.lists(text, min_size=2, max_size=6))
def test_what_is_learned_is_the_replies_each_with_its_end(
    chat_tokenizer: PreTrainedTokenizerFast, contents: list[str]
) -> None:
    item = tokenise(said(*contents), chat_tokenizer)
    replies = contents[1::2]
    assert learned(item, chat_tokenizer) == "".join(reply + "<|im_end|>" for reply in replies)


@given(contents=st.lists(text, min_size=2, max_size=4))
def test_tokens_are_those_of_the_rendered_conversation(
    chat_tokenizer: PreTrainedTokenizerFast, contents: list[str]
) -> None:
    conversation = said(*contents)
    messages = [{"role": each.role, "content": each.content} for each in conversation.messages]
    rendered = chat_tokenizer.apply_chat_template(messages, tokenize=False)
    item = tokenise(conversation, chat_tokenizer)
    assert chat_tokenizer.decode(item.ids.tolist()) == rendered


@given(contents=st.lists(text.map(str.strip), min_size=2, max_size=4))
def test_template_that_writes_the_last_reply_differently_is_followed(
    make_tokenizer: MakeTokenizer, contents: list[str]
) -> None:
    tokenizer = with_template(make_tokenizer, THINKING_TEMPLATE)
    item = tokenise(said(*contents), tokenizer)
    assert learned(item, tokenizer) == "".join(reply + "<|im_end|>" for reply in contents[1::2])


def test_content_that_the_template_changes_is_learned_as_it_is_written(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = with_template(make_tokenizer, THINKING_TEMPLATE)
    item = tokenise(said("Tyres?", "<think>hm</think>\n\n2.3 bar", "And?", "No more"), tokenizer)
    assert learned(item, tokenizer) == "2.3 bar<|im_end|>No more<|im_end|>"


@given(contents=st.lists(text, min_size=2, max_size=4))
def test_template_that_strips_is_followed(
    make_tokenizer: MakeTokenizer, contents: list[str]
) -> None:
    tokenizer = with_template(make_tokenizer, TRIMMING_TEMPLATE)
    item = tokenise(said(*contents), tokenizer)
    replies = [reply.strip() for reply in contents[1::2]]
    assert learned(item, tokenizer) == "".join(reply + " <|im_end|>" for reply in replies)


def test_reply_without_an_end_in_its_template_is_learned_alone(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = with_template(make_tokenizer, ENDLESS_TEMPLATE)
    assert learned(tokenise(said("Tyres?", "2.3 bar"), tokenizer), tokenizer) == "2.3 bar"


def test_token_never_reaches_across_the_border_of_a_reply(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = with_template(make_tokenizer, "{{ messages[0].content }}{{ messages[1].content }}")
    whole = tokenizer("The tyre pressure", add_special_tokens=False)["input_ids"]
    item = tokenise(said("The tyre pre", "ssure"), tokenizer)
    assert learned(item, tokenizer) == "ssure"
    assert len(item.ids) > len(whole)


special = st.lists(
    st.one_of(st.sampled_from(("<|im_end|>", "<|im_start|>", "<|endoftext|>", " ", "\n")), text),
    max_size=4,
).map("".join)


@given(contents=st.lists(special, min_size=2, max_size=4))
def test_names_of_special_tokens_in_what_is_said_are_text(
    chat_tokenizer: PreTrainedTokenizerFast, contents: list[str]
) -> None:
    item = tokenise(said(*contents), chat_tokenizer)
    pieces = ["<|im_start|>user\n", "<|im_start|>assistant\n"]
    expected: list[int] = []
    for place, content in enumerate(contents):
        for piece, is_plain in ((pieces[place % 2], False), (content, True), ("<|im_end|>", False)):
            expected += chat_tokenizer(
                piece, add_special_tokens=False, split_special_tokens=is_plain
            )["input_ids"]
        expected += chat_tokenizer("\n", add_special_tokens=False)["input_ids"]
    assert item.ids.tolist() == expected
    replies = contents[1::2]
    assert learned(item, chat_tokenizer) == "".join(reply + "<|im_end|>" for reply in replies)


@given(chosen=special, rejected=special, prompt=special)
def test_names_of_special_tokens_in_a_preference_are_text(
    chat_tokenizer: PreTrainedTokenizerFast, chosen: str, rejected: str, prompt: str
) -> None:
    pair = ConversationPair(prompt=said(prompt).messages, chosen=chosen, rejected=rejected)
    (item,) = tokenise_pairs([pair], chat_tokenizer, 4096).items
    (end,) = chat_tokenizer("<|im_end|>", add_special_tokens=False)["input_ids"]
    for ids, content in ((item.chosen, chosen), (item.rejected, rejected)):
        assert chat_tokenizer.decode(ids) == content + "<|im_end|>"
        assert [id for id in ids.tolist() if id in chat_tokenizer.all_special_ids] == [end]
    assert [id for id in item.prompt.tolist() if id == end] == [end]


@given(text=special)
def test_names_of_special_tokens_in_a_text_are_text(
    chat_tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    ids = [id for each in tokenise_texts([text], chat_tokenizer, 4096) for id in each.ids.tolist()]
    assert [id for id in ids if id in chat_tokenizer.all_special_ids] == ids[-1:]
    assert chat_tokenizer.decode(ids[:-1]) == text


def test_texts_of_which_the_tokenizer_leaves_nothing_are_left_out(
    make_tokenizer: MakeTokenizer,
) -> None:
    from tokenizers import normalizers, processors

    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Strip()
    assert tokenise_texts(["  ", "", "\n"], tokenizer, 32) == ()
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", end)]
    )
    kept = tokenise_texts(["  ", "tyres", "\n"], tokenizer, 32)
    assert len(kept) == 1 and kept[0].is_target.any()


def test_spans_keep_white_space_that_a_post_processor_takes_off(
    make_tokenizer: MakeTokenizer,
) -> None:
    from tokenizers import processors

    tokenizer = with_template(make_tokenizer, "{{ messages[0].content }}|{{ messages[1].content }}")
    trimming = processors.ByteLevel(trim_offsets=True)
    tokenizer.backend_tokenizer.post_processor = trimming
    item = tokenise(said("Tyres?", "   2.3 bar  "), tokenizer)
    assert learned(item, tokenizer) == "   2.3 bar  "
    assert tokenizer.backend_tokenizer.post_processor is not None


def test_content_that_looks_like_the_template_or_our_mark_is_learned_as_text(
    chat_tokenizer: PreTrainedTokenizerFast,
) -> None:
    reply = "\ue000mark1\ue001 assistant\n user\n"
    item = tokenise(said("\ue000mark3\ue001", reply), chat_tokenizer)
    assert learned(item, chat_tokenizer) == reply + "<|im_end|>"


@pytest.mark.skipif(not STORIES.is_dir(), reason=f"{STORIES} is not there")
def test_real_tokenizer_that_puts_a_mark_before_a_text_learns_the_reply() -> None:
    tokenizer = load_base(str(STORIES), Path("/")).tokenizer
    assert tokenizer.chat_template == PLAIN_TEMPLATE
    item = tokenise(said("Who was Lily?", "A girl who loved to play."), tokenizer)
    assert learned(item, tokenizer).strip() == "A girl who loved to play.<|end_story|>"


def test_what_cannot_be_learned_is_left_out_and_counted(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = with_template(make_tokenizer, STRICT_TEMPLATE)
    system = Conversation(
        messages=(Message(role="system", content="Be kind"), *said("Tyres?", "2.3").messages)
    )
    question = Conversation(messages=(Message(role="user", content="Tyres?"),))
    long = said("Tyres? " * 50, "2.3 bar")
    kept = said("Tyres?", "2.3 bar", weight=0.5)
    found = tokenise_conversations([system, question, long, kept], tokenizer, 32)
    assert [item.weight for item in found.items] == [0.5]
    assert found.num_left_out == {REFUSED: 1, NO_REPLY: 1, TOO_LONG: 1}
    with pytest.raises(ModelError, match="System role not supported"):
        tokenise(system, tokenizer)


def test_long_conversation_loses_its_end(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    conversation = said("Tyres?", "2.3 bar, " * 30)
    (cut,) = tokenise_conversations([conversation], chat_tokenizer, 40).items
    whole = tokenise(conversation, chat_tokenizer)
    assert len(cut) == 40
    assert np.array_equal(cut.ids, whole.ids[:40])


def test_texts_end_with_the_end_of_text_and_each_token_is_predicted_once(
    chat_tokenizer: PreTrainedTokenizerFast,
) -> None:
    text = "The child lock is on the rear doors: move the lever down. " * 10
    ids = [*chat_tokenizer(text)["input_ids"], chat_tokenizer.pad_token_id]
    pieces = tokenise_texts([text, "", "轮胎"], chat_tokenizer, 32)
    long = [piece for piece in pieces if len(piece) > 3]
    assert all(len(piece) <= 32 for piece in pieces)
    assert [ids[0], *(id for piece in long for id in piece.ids[piece.is_target])] == ids
    assert pieces[-1].ids[-1] == chat_tokenizer.convert_tokens_to_ids("<|endoftext|>")


def test_pair_is_a_prompt_and_two_replies_with_their_ends(
    chat_tokenizer: PreTrainedTokenizerFast,
) -> None:
    prompt = said("Tyres?", "Which?", "The front ones").messages
    pair = ConversationPair(prompt=prompt, chosen="2.3 bar", rejected="\n\nPerhaps", weight=0.5)
    (item,) = tokenise_pairs([pair], chat_tokenizer, 128).items
    decoded = [chat_tokenizer.decode(each) for each in (item.prompt, item.chosen, item.rejected)]
    asked = [{"role": each.role, "content": each.content} for each in prompt]
    assert decoded[0] == chat_tokenizer.apply_chat_template(
        asked, tokenize=False, add_generation_prompt=True
    )
    assert decoded[1:] == ["2.3 bar<|im_end|>", "\n\nPerhaps<|im_end|>"]
    assert item.weight == 0.5


def test_replies_are_cut_to_the_context_and_a_prompt_that_fills_it_is_left_out(
    chat_tokenizer: PreTrainedTokenizerFast,
) -> None:
    prompt = said("Tyres?").messages
    pair = ConversationPair(prompt=prompt, chosen="2.3 bar " * 40, rejected="No")
    (item,) = tokenise_pairs([pair], chat_tokenizer, 48).items
    assert len(item.prompt) + len(item.chosen) == 48
    assert chat_tokenizer.decode(item.rejected) == "No<|im_end|>"
    none = tokenise_pairs([pair], chat_tokenizer, len(item.prompt))
    assert (none.items, none.num_left_out) == ((), {TOO_LONG: 1})
