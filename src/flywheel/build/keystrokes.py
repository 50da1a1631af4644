"""What a language model saves who writes a text with it: keystrokes, by typing it in simulation.

The measure is keystroke savings, (keys without the aid - keys with it) / keys without it, as in
Trnka and McCoy, "Evaluating Word Prediction: Framing Keystroke Savings" (2008), section 2. The
writer knows what to write, makes no mistakes and misses no help:

- Before each key the aid shows at most k continuations of what stands there.
- Of those that agree with the text to come, to their last character, the writer takes the longest
  that has two characters or more. Taking it costs one key, whatever k is; a space after a word is
  part of a continuation or costs a key of its own.
- Otherwise the writer types the next character for one key. A Chinese character is one, though
  no keyboard has it: what an input method costs is not counted, with the aid or without.

What is shown is what promises to save most: of the likeliest beginnings and their greedy
continuations, cut behind any token, those of the largest P(it is right) · (its characters - 1).
The aid sees what has been typed and nothing else.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerFast

from flywheel.build.compression import begin, context_tokens
from flywheel.build.token_bytes import token_bytes

MAX_CHARACTERS = 1000
FEWEST_CHARACTERS = 200
NUM_SHOWN = 3
MAX_TOKENS = 6
"""Of a continuation."""
LEAST_CHANCE = 0.05
"""Continuations that are less likely are not followed further."""
TOKENS_BACK = 4
"""How far the aid steps back: the tokens of a word change while it is typed."""
MOST_CONTEXT_TOKENS = 1024
SMALL_PARAMETERS = 20_000_000

_LAST = b"\xff" * 64
"""Behind every continuation in the order of bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keystrokes:
    """What one way of writing a text cost."""

    num_characters: int
    num_keys: int

    @property
    def saved(self) -> float:
        """The share of keys that the aid saved."""
        return 1 - self.num_keys / self.num_characters if self.num_characters else math.nan


@dataclass(frozen=True, kw_only=True, slots=True)
class _Head:
    """The beginning of a continuation: the tokens up to it, and what it adds to what is typed."""

    ids: tuple[int, ...]
    added: bytes
    chance: float


def keystrokes(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    max_characters: int = MAX_CHARACTERS,
) -> tuple[Keystrokes, Keystrokes]:
    """What writing the texts costs with one continuation shown, and with NUM_SHOWN.

    Args:
        texts: each is written from its beginning, by itself.
        max_characters: of all texts together; of each at least FEWEST_CHARACTERS, so that of many
            texts only the first are written.
    """
    aid = TypingAid(model, tokenizer)
    chosen = [text for text in texts if text][: max(1, max_characters // FEWEST_CHARACTERS)]
    written = [text[: max_characters // len(chosen)] for text in chosen]
    num_characters = sum(map(len, written))
    with _threads(model):
        one, several = (
            Keystrokes(
                num_characters=num_characters,
                num_keys=sum(num_keys(aid.suggest, text, num_shown) for text in written),
            )
            for num_shown in (1, NUM_SHOWN)
        )
    return one, several


@contextmanager
def _threads(model: PreTrainedModel) -> Iterator[None]:
    """A small model reads a token with one thread: two cost more time in waiting for each other
    than they save, and on a busy machine thirty times as much."""
    before = torch.get_num_threads()
    if model.num_parameters() < SMALL_PARAMETERS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def num_keys(suggest: Callable[[str], Sequence[str]], text: str, num_shown: int) -> int:
    """The keys that a text takes with so many continuations shown."""
    keys = place = 0
    while place < len(text):
        shown = suggest(text[:place])[:num_shown]
        right = (len(each) for each in shown if len(each) > 1 and text.startswith(each, place))
        place += max(right, default=1)
        keys += 1
    return keys


class TypingAid:
    """Continues what is typed. Keeps what the model has read, so that each key costs few tokens."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._window = context_tokens(model, MOST_CONTEXT_TOKENS)
        self._begin = tuple(begin(tokenizer))
        self._bytes = token_bytes(tokenizer, model.config.vocab_size)
        known = sorted((of, id) for id, of in enumerate(self._bytes) if of)
        self._sorted = [of for of, _ in known]
        self._ids = torch.tensor([id for _, id in known], device=model.device)
        self._every = torch.arange(len(self._bytes), device=model.device)
        self._silent = torch.tensor(
            [id for id, of in enumerate(self._bytes) if not of], device=model.device
        )
        self._read: tuple[int, ...] = ()
        self._cache: Any = DynamicCache(config=model.config)
        self._suggested: dict[str, tuple[str, ...]] = {}

    def suggest(self, typed: str) -> tuple[str, ...]:
        """At most NUM_SHOWN continuations, the one that promises most first."""
        if typed not in self._suggested:
            self._suggested[typed] = self._suggest(typed)
        return self._suggested[typed]

    @torch.inference_mode()
    def _suggest(self, typed: str) -> tuple[str, ...]:
        ids = self._encode(typed)
        if not ids:
            return ()
        promised: dict[str, float] = {}
        # Those that continue the tokens as they stand first: the others take back what was read.
        for head in sorted(self._heads(ids), key=lambda head: -len(head.ids)):
            text, worth = self._continued(head)
            if worth > promised.get(text, 0.0):
                promised[text] = worth
        best = sorted(promised.items(), key=lambda each: (-each[1], each[0]))
        return tuple(text for text, _ in best[:NUM_SHOWN])

    def _encode(self, typed: str) -> tuple[int, ...]:
        """The tokens of what is typed; of a long text the last, cut so that cuts come seldom."""
        ids = self._tokenizer(typed, add_special_tokens=False, verbose=False)["input_ids"]
        room = self._window - MAX_TOKENS - 1 - len(self._begin)
        step = max(1, room // 2)
        num_cut = max(0, -(-(len(ids) - room) // step)) * step
        return (*self._begin, *ids[num_cut:])

    def _heads(self, ids: tuple[int, ...]) -> list[_Head]:
        """The likeliest next tokens, whether the last tokens stay as they are or become others.

        "charg" may be two tokens and "charging" one: so at each of the last tokens those are asked
        for that write what was typed from there on, and more. All ways are weighed by their joint
        chance, over that of all ways to what is typed.
        """
        back = min(TOKENS_BACK, len(ids) - 1)
        logs = self._log_chances(ids, back + 1)
        joint = 0.0
        heads: list[_Head] = []
        total = 0.0
        for at, id in enumerate(ids[len(ids) - back :]):
            before = ids[: len(ids) - back + at]
            rest = b"".join(self._bytes[each] for each in ids[len(before) :])
            others = self._beginning_with(rest)
            chances = logs[at, others].exp() * math.exp(joint)
            total += float(chances.sum())
            heads += self._likeliest(before, others, chances, len(rest))
            joint += float(logs[at, id])
        total += math.exp(joint)
        heads += self._likeliest(ids, self._every, logs[-1].exp() * math.exp(joint), 0)
        best = sorted(heads, key=lambda head: -head.chance)[:NUM_SHOWN]
        return [replace(head, chance=head.chance / total) for head in best] if total else []

    def _likeliest(
        self, before: tuple[int, ...], others: torch.Tensor, chances: torch.Tensor, num_typed: int
    ) -> list[_Head]:
        """The likeliest of these tokens as heads.

        Args:
            others: int64 [N], the tokens.
            chances: float32 [N].
            num_typed: how many bytes of each are typed already.
        """
        best = chances.topk(min(NUM_SHOWN, len(others)))
        ids = others[best.indices].tolist()
        return [
            _Head(ids=(*before, id), added=self._bytes[id][num_typed:], chance=chance)
            for id, chance in zip(ids, best.values.tolist(), strict=True)
        ]

    def _beginning_with(self, rest: bytes) -> torch.Tensor:
        """The tokens that begin so, and say more."""
        return self._ids[bisect_right(self._sorted, rest) : bisect_left(self._sorted, rest + _LAST)]

    def _continued(self, head: _Head) -> tuple[str, float]:
        """The head with as much behind it as promises most, and what it promises."""
        best, worth = "", 0.0
        ids, added, chance = head.ids, head.added, head.chance
        for num_tokens in range(1, MAX_TOKENS + 1):
            text = _whole(added)
            if text is not None and chance * (len(text) - 1) > worth:
                best, worth = text, chance * (len(text) - 1)
            if num_tokens == MAX_TOKENS:
                break
            log, id = self._log_chances(ids, 1)[0].max(dim=0)
            chance *= math.exp(float(log))
            if chance < LEAST_CHANCE:
                break
            ids, added = (*ids, int(id)), added + self._bytes[int(id)]
        return best, worth

    def _log_chances(self, ids: tuple[int, ...], num_last: int) -> torch.Tensor:
        """ln P of each token after each of the last tokens, float32 [num_last, V].

        Tokens that write nothing are never meant; their chance is taken out, and goes to no other.
        """
        pairs = zip(ids, self._read, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        known = min(same, len(ids) - num_last)
        if known < len(self._read):
            self._cache.crop(known - len(self._read))
        part = torch.tensor([ids[known:]], device=self._model.device)
        logits = self._model(input_ids=part, cache=self._cache, use_cache=True).logits
        self._read = ids
        logs: torch.Tensor = logits[0, -num_last:].float().log_softmax(dim=-1)
        logs[:, self._silent] = -math.inf
        return logs


def _whole(data: bytes) -> str | None:
    """The text; None where it ends amid a character."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
