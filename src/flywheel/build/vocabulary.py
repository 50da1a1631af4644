"""A model's vocabulary: trained anew for a corpus.

Not here: a base's vocabulary cut to what a domain needs (`trimming.py`), or extended by the
domain's terms (`extending.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from flywheel.errors import ModelError

END_OF_TEXT = "<|endoftext|>"
START_OF_TURN = "<|im_start|>"
END_OF_TURN = "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, START_OF_TURN, END_OF_TURN)

WORD_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""What a merge never crosses, to the letter as Qwen 2 splits: llama.cpp knows it as "qwen2"."""

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
"""ChatML, the plainest form that llama.cpp and transformers both read."""

FEWEST_TOKENS = 256 + len(SPECIAL_TOKENS)
LONGEST_TOKEN_BYTES = 36
"""12 Han characters: a small corpus repeats whole clauses, and such a token helps nowhere else."""


def train_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer for a corpus, with a ChatML template.

    Any text of any language round-trips: all 256 bytes are tokens, and nothing is normalised. A
    turn ends with `<|im_end|>`, which is the end-of-sequence token; `<|endoftext|>` parts
    documents, and pads.

    Args:
        texts: the corpus, read once.
        size: the most tokens that it may have; a small corpus gives fewer.

    Raises:
        ModelError: the size does not even hold the bytes and the special tokens.
    """
    if size < FEWEST_TOKENS:
        raise ModelError(
            f"A vocabulary of {size} tokens is too small: 256 bytes and the special tokens "
            f"need {FEWEST_TOKENS}."
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=[AddedToken(token, special=True) for token in SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=LONGEST_TOKEN_BYTES,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token=END_OF_TURN,
        pad_token=END_OF_TEXT,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
