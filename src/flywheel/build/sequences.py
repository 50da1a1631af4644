"""Values → tokens: texts, conversations and preferences as a model is trained on them.

What is learned of a conversation is the content of the assistant's messages and the token that
ends each. Where these stand is found through the tokenizer's own chat template: it is rendered
once more with a mark in place of each such content, and what lies between the marks is the
template's. So no template needs `{% generation %}`, and one that adds or strips around a content
is followed.

A text, and what a message says, is text throughout, as when the model is asked: the name of a
special token in it (`<|im_end|>`) is spelled, and never the token. Only what the template writes is
special.

What is too long: a text is cut into pieces; a conversation and a reply lose their end; one whose
prompt alone fills the context is left out and counted.

Not here: how sequences share rows and batches (batches.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import jinja2
import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerFast

from flywheel.errors import ModelError
from flywheel.records import Conversation, ConversationPair, Message

Ids = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

TOO_LONG = "longer than the context before the first reply"
NO_REPLY = "no reply to learn"
REFUSED = "refused by the chat template"

_TEXT_ENDS = ("<|endoftext|>", "<|end_of_text|>")
"""What ends a text in the pre-training of Qwen and of Llama 3, whose chat models have another
end-of-text token: the end of a message."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TokenSequence:
    """One text or conversation."""

    ids: Ids
    is_target: Flags
    """Which tokens are learned; never the first, which nothing predicts."""
    weight: float = 1.0

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TokenPair:
    """A prompt with the better and the worse reply to it; both replies are learned from whole."""

    prompt: Ids
    chosen: Ids
    rejected: Ids
    weight: float = 1.0

    def __len__(self) -> int:
        return len(self.prompt) + len(self.chosen) + len(self.rejected)


Item = TypeVar("Item", TokenSequence, TokenPair)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokenised(Generic[Item]):
    """What can be learned from, and how much was left out, by the reason."""

    items: tuple[Item, ...]
    num_left_out: Mapping[str, int]


def tokenise_texts(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerFast, context: int
) -> tuple[TokenSequence, ...]:
    """Texts with what the tokenizer puts around them, and the token that ends a text.

    One longer than `context` is cut into pieces of that many tokens; a piece begins with the
    last token of the one before, so that each token is predicted once. One of which the tokenizer
    leaves nothing is left out.
    """
    end = end_of_text(tokenizer)
    num_around = len(tokenizer("")["input_ids"])
    found: list[TokenSequence] = []
    for text in texts:
        ids = tokenizer(text, split_special_tokens=True, verbose=False)["input_ids"]
        if len(ids) <= num_around:
            continue
        if ids[-1] != end:
            ids = [*ids, end]
        starts = range(0, len(ids) - 1, context - 1)
        found.extend(_all_learned(ids[start : start + context]) for start in starts)
    return tuple(found)


def end_of_text(tokenizer: PreTrainedTokenizerFast) -> int:
    """The token that ends a text, as the base was pre-trained."""
    known = tokenizer.get_added_vocab()
    named = (known[name] for name in _TEXT_ENDS if name in known)
    end = next(named, tokenizer.eos_token_id)
    assert isinstance(end, int)
    return end


def tokenise_conversations(
    conversations: Iterable[Conversation], tokenizer: PreTrainedTokenizerFast, context: int
) -> Tokenised[TokenSequence]:
    """Conversations that fit: what is beyond `context` tokens is cut off."""
    items, left_out = [], Counter[str]()
    for conversation in conversations:
        try:
            whole = tokenise(conversation, tokenizer)
        except ModelError:
            left_out[REFUSED] += 1
            continue
        if not whole.is_target.any():
            left_out[NO_REPLY] += 1
        elif not whole.is_target[:context].any():
            left_out[TOO_LONG] += 1
        else:
            items.append(
                TokenSequence(
                    ids=whole.ids[:context],
                    is_target=whole.is_target[:context],
                    weight=whole.weight,
                )
            )
    return Tokenised(items=tuple(items), num_left_out=left_out)


def tokenise(conversation: Conversation, tokenizer: PreTrainedTokenizerFast) -> TokenSequence:
    """A conversation of any length, with what is learned of it.

    Raises:
        ModelError: the chat template refuses it, or rewrites it past recognition.
    """
    names_special = _names_special([conversation], tokenizer)
    return _tokenise(conversation, tokenizer, names_special=names_special)


def _names_special(
    conversations: Iterable[Conversation], tokenizer: PreTrainedTokenizerFast
) -> bool:
    """Whether something that is said has the name of a special token in it."""
    contents = (message.content for each in conversations for message in each.messages)
    return any(
        _part_ids(content, tokenizer) != _part_ids(content, tokenizer, is_plain=True)
        for content in contents
    )


def _part_ids(
    text: str, tokenizer: PreTrainedTokenizerFast, *, is_plain: bool = False
) -> list[int]:
    ids: list[int] = tokenizer(
        text, add_special_tokens=False, split_special_tokens=is_plain, verbose=False
    )["input_ids"]
    return ids


def _tokenise(
    conversation: Conversation, tokenizer: PreTrainedTokenizerFast, *, names_special: bool
) -> TokenSequence:
    """A conversation as tokens.

    Args:
        names_special: each content is tokenised apart then, as the engine does with such a prompt.
    """
    messages = conversation.messages
    if names_special:
        text, every = _render(messages, tokenizer, range(len(messages)))
        spans = [every[place] for place in _replies(messages)]
        tokens = _encode_apart(text, every, tokenizer)
    else:
        text, spans = _render(messages, tokenizer, _replies(messages))
        tokens = _encode(text, spans, tokenizer)
    is_target = np.zeros(len(tokens.ids), dtype=np.bool_)
    for start, end in spans:
        inside = (tokens.starts >= start) & (tokens.ends <= end)
        is_target |= inside & (tokens.starts < end)
        is_target[_end_of_reply(text, end, tokens, tokenizer)] = True
    is_target[:1] = False
    return TokenSequence(ids=tokens.ids, is_target=is_target, weight=conversation.weight)


def tokenise_pairs(
    pairs: Iterable[ConversationPair], tokenizer: PreTrainedTokenizerFast, context: int
) -> Tokenised[TokenPair]:
    """Preferences that fit: replies are cut off where the prompt and they exceed `context`."""
    items, left_out = [], Counter[str]()
    for pair in pairs:
        try:
            prompt, chosen, rejected = _pair_ids(pair, tokenizer)
        except ModelError:
            left_out[REFUSED] += 1
            continue
        room = context - len(prompt)
        if room <= 0:
            left_out[TOO_LONG] += 1
            continue
        items.append(
            TokenPair(
                prompt=prompt,
                chosen=chosen[:room],
                rejected=rejected[:room],
                weight=pair.weight,
            )
        )
    return Tokenised(items=tuple(items), num_left_out=left_out)


def _end_of_reply(
    text: str, end: int, tokens: _Tokens, tokenizer: PreTrainedTokenizerFast
) -> slice:
    """The special token behind a content that ends there, with white space before it; or none."""
    first = int(np.searchsorted(tokens.starts, end))
    for place in range(first, len(tokens.ids)):
        if tokens.ids[place] in tokenizer.all_special_ids:
            return slice(first, place + 1)
        if text[tokens.starts[place] : tokens.ends[place]].strip():
            break
    return slice(first, first)


def _all_learned(ids: Sequence[int]) -> TokenSequence:
    is_target = np.ones(len(ids), dtype=np.bool_)
    is_target[0] = False
    return TokenSequence(ids=np.array(ids, dtype=np.int32), is_target=is_target)


def _pair_ids(pair: ConversationPair, tokenizer: PreTrainedTokenizerFast) -> tuple[Ids, Ids, Ids]:
    """The prompt's tokens up to where both replies begin, and each reply's with its end."""
    both = [
        Conversation(messages=(*pair.prompt, Message(role="assistant", content=reply)))
        for reply in (pair.chosen, pair.rejected)
    ]
    names_special = _names_special(both, tokenizer)
    chosen, rejected = (_tokenise(each, tokenizer, names_special=names_special) for each in both)
    starts, ends = zip(*(_last_run(each.is_target) for each in (chosen, rejected)), strict=True)
    prompt = chosen.ids[: starts[0]]
    if not np.array_equal(prompt, rejected.ids[: starts[1]]):
        raise ModelError("The chat template writes a prompt differently for another reply.")
    return prompt, chosen.ids[starts[0] : ends[0]], rejected.ids[starts[1] : ends[1]]


def _last_run(flags: Flags) -> tuple[int, int]:
    """Where the last run of true values starts and ends."""
    places = np.flatnonzero(flags)
    if not len(places):
        raise ModelError("The chat template leaves nothing of a reply.")
    gaps = np.flatnonzero(np.diff(places) > 1)
    first = places[gaps[-1] + 1] if len(gaps) else places[0]
    return int(first), int(places[-1]) + 1


def _replies(messages: Sequence[Message]) -> list[int]:
    """The places of the assistant's messages."""
    return [place for place, message in enumerate(messages) if message.role == "assistant"]


def _render(
    messages: Sequence[Message], tokenizer: PreTrainedTokenizerFast, places: Sequence[int]
) -> tuple[str, list[tuple[int, int]]]:
    """The conversation as text, and the spans in it of the contents at those places."""
    text = _apply(messages, tokenizer)
    marks = _marks(messages, places)
    marked = _apply(
        [
            Message(role=message.role, content=marks.get(place, message.content))
            for place, message in enumerate(messages)
        ],
        tokenizer,
    )
    between: list[str] = []
    for mark in marks.values():
        piece, found, marked = marked.partition(mark)
        if not found:
            raise ModelError("The chat template leaves out a message.")
        between.append(piece)
    contents = [messages[place].content for place in marks]
    return text, _spans(text, [*between, marked], contents)


def _spans(text: str, between: Sequence[str], contents: Sequence[str]) -> list[tuple[int, int]]:
    """Where the contents stand in `text`, given what the template wrote around them."""
    start = 0
    spans: list[tuple[int, int]] = []
    for place, content in enumerate(contents):
        if not text.startswith(between[place], start):
            raise ModelError("The chat template rewrites what it puts around a message.")
        start += len(between[place])
        after = between[place + 1]
        is_last = place + 1 == len(contents)
        for written in (content, content.strip()):
            end = start + len(written)
            if text.startswith(written + after, start) and (not is_last or text[end:] == after):
                break
        else:
            # It changed the content itself: what it made of it is learned.
            end = len(text) - len(after) if is_last else text.find(after, start)
        if end < start or not text.startswith(after, end):
            raise ModelError("The chat template rewrites a message past recognition.")
        spans.append((start, end))
        start = end
    return spans


def _marks(messages: Sequence[Message], places: Sequence[int]) -> dict[int, str]:
    """The place of each of those messages → a text that stands in none of them."""
    everything = "".join(message.content for message in messages)
    stem = "\ue000mark"
    while stem in everything:
        stem += "x"
    return {place: f"{stem}{place}\ue001" for place in places}


def _apply(messages: Sequence[Message], tokenizer: PreTrainedTokenizerFast) -> str:
    try:
        text = tokenizer.apply_chat_template(
            [{"role": message.role, "content": message.content} for message in messages],
            tokenize=False,
        )
    except (jinja2.TemplateError, ValueError, TypeError) as error:
        raise ModelError(f"The chat template refuses a conversation: {error}") from error
    assert isinstance(text, str)
    return text


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Tokens:
    """The tokens of a text, and the span of it that each one stands for."""

    ids: Ids
    starts: Places
    ends: Places


def _encode(
    text: str, spans: Sequence[tuple[int, int]], tokenizer: PreTrainedTokenizerFast
) -> _Tokens:
    """The tokens of a rendered conversation.

    Where a token would reach across the border of a content, the text is cut there first: when
    the model answers, its prompt ends there too.
    """
    with _untrimmed(tokenizer):
        tokens = _encode_piece(text, 0, tokenizer)
        borders = sorted({border for span in spans for border in span})
        crossed = [b for b in borders if np.any((tokens.starts < b) & (tokens.ends > b))]
        if not crossed:
            return tokens
        pieces = [
            _encode_piece(text[start:end], start, tokenizer)
            for start, end in zip([0, *crossed], [*crossed, len(text)], strict=True)
        ]
    return _joined(pieces)


def _encode_apart(
    text: str, spans: Sequence[tuple[int, int]], tokenizer: PreTrainedTokenizerFast
) -> _Tokens:
    """The tokens of a rendered conversation whose contents, at the spans, are text alone."""
    borders = [border for span in spans for border in span]
    with _untrimmed(tokenizer):
        pieces = [
            _encode_piece(text[start:end], start, tokenizer, is_plain=bool(number % 2))
            for number, (start, end) in enumerate(pairwise([0, *borders, len(text)]))
        ]
    return _joined(pieces)


def _joined(pieces: Sequence[_Tokens]) -> _Tokens:
    return _Tokens(
        ids=np.concatenate([piece.ids for piece in pieces]),
        starts=np.concatenate([piece.starts for piece in pieces]),
        ends=np.concatenate([piece.ends for piece in pieces]),
    )


def _encode_piece(
    piece: str, offset: int, tokenizer: PreTrainedTokenizerFast, *, is_plain: bool = False
) -> _Tokens:
    encoded = tokenizer(
        piece,
        add_special_tokens=False,
        split_special_tokens=is_plain,
        return_offsets_mapping=True,
        verbose=False,
    )
    offsets = np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2) + offset
    ids = np.array(encoded["input_ids"], dtype=np.int32)
    return _Tokens(ids=ids, starts=offsets[:, 0], ends=offsets[:, 1])


@contextmanager
def _untrimmed(tokenizer: PreTrainedTokenizerFast) -> Iterator[None]:
    """Spans with their white space: some post-processors (Llama 3's) take it off."""
    backend = tokenizer.backend_tokenizer
    before = backend.post_processor
    backend.post_processor = None
    try:
        yield
    finally:
        backend.post_processor = before
