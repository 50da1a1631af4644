"""What any vocabulary cut from a base's keeps, whatever the domain needs.

The tokens that spell any text, the special and all other added tokens, and those that the chat
template writes around a conversation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from flywheel.build.encoding import encode
from flywheel.build.merges import Merges

_TURNS = (
    [{"role": "user", "content": "a"}],
    [{"role": "system", "content": "a"}, {"role": "user", "content": "a"}],
    [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "a"},
    ],
)
_TOOLS: tuple[list[Any] | None, ...] = (
    None,
    [{"type": "function", "function": {"name": "a", "description": "a", "parameters": {}}}],
)


def required(tokenizer: PreTrainedTokenizerBase, merges: Merges) -> frozenset[int]:
    """The ids that must stay."""
    vocabulary = tokenizer.get_vocab()
    tokens = (
        merges.alphabet() | set(tokenizer.get_added_vocab()) | set(tokenizer.all_special_tokens)
    )
    written = encode(tokenizer, list(_renderings(tokenizer)))
    return frozenset(vocabulary[token] for token in tokens).union(*written)


def _renderings(tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """What the chat template writes around short turns, with all that it can be asked for."""
    if not tokenizer.chat_template:
        return
    for turns, tools, prompt in product(_TURNS, _TOOLS, (False, True)):
        # A template may refuse a role, or tools: then it writes nothing that had to be kept.
        with suppress(TemplateError, TypeError, ValueError):
            written = tokenizer.apply_chat_template(
                turns, tools=tools, tokenize=False, add_generation_prompt=prompt
            )
            yield str(written)
