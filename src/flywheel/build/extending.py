"""A base's vocabulary extended by a domain's terms: each a token of its own instead of many.

BPE goes on where the base's training stopped: again and again the two tokens that most often stand
side by side in the domain's words become one. The new merges rank behind all others, so that a
text without any of the terms is split as before, and GGUF knows nothing of it.

A new token starts as the mean of its pieces, in the embeddings and in the output: what the model
saw and said before, until training tells more.

Not here: dropping tokens (`trimming.py`); do that first, then extend what is left.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from flywheel.build.encoding import batched
from flywheel.build.merges import read_json, read_merges
from flywheel.build.trimming import rebuild, set_rows

FEWEST_TIMES = 20
"""A rarer term is not worth a row: it would hardly be trained."""
MOST_PIECES = 12
"""Of the base's tokens in a term. A corpus of laws repeats whole clauses."""

_FIRST_SIGN = 0x10000
"""Each of the base's tokens is a sign of its own from here on: no white space among them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """New tokens for a base."""

    merges: tuple[tuple[str, str], ...]
    """The two tokens that each is made of, which may be new ones of before."""
    rows: tuple[tuple[int, ...], ...]
    """For every token of the extended vocabulary the base's ids that its row is the mean of."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The new tokens, as tokenizer.json writes them."""
        return tuple(left + right for left, right in self.merges)


def find_terms(
    tokenizer: PreTrainedTokenizerBase,
    texts: Iterable[str],
    num_terms: int,
    *,
    fewest_times: int = FEWEST_TIMES,
) -> Terms:
    """The terms of a corpus that save most tokens; fewer where no others are frequent.

    A term never crosses a word, as the tokenizer parts words; Chinese writes whole clauses so.

    Raises:
        ModelError: the vocabulary is of a type that cannot be extended.
    """
    merges = read_merges(tokenizer)
    token_of = {id: token for token, id in merges.ids.items()}
    pieces: dict[str, tuple[int, ...]] = {token: (id,) for token, id in merges.ids.items()}
    new: list[tuple[str, str]] = []
    for left_ids, right_ids in _pairs(_words(tokenizer, texts), num_terms, fewest_times):
        left, right = ("".join(token_of[id] for id in ids) for ids in (left_ids, right_ids))
        # Where the base has such a token that no text gives, it stays as it is.
        if left in pieces and right in pieces and left + right not in pieces:
            pieces[left + right] = left_ids + right_ids
            new.append((left, right))
    return Terms(merges=tuple(new), rows=_rows(tokenizer, pieces))


def extend_tokenizer(tokenizer: PreTrainedTokenizerBase, terms: Terms) -> PreTrainedTokenizerFast:
    """The tokenizer with the terms as tokens; added tokens move behind them."""
    state = read_json(tokenizer)
    model = state["model"]
    vocabulary = tokenizer.get_vocab()
    ids = {row[0]: new for new, row in enumerate(terms.rows) if len(row) == 1}
    known = {token: ids[id] for token, id in vocabulary.items()}
    first = len(model["vocab"])
    added = {token: first + place for place, token in enumerate(terms.tokens)}
    model["vocab"] = {token: known[token] for token in model["vocab"]} | added
    model["merges"] += [list(pair) for pair in terms.merges]
    return rebuild(tokenizer, state, known | added)


def extend_model(model: PreTrainedModel, terms: Terms) -> None:
    """Gives a model the rows of the terms, in place."""
    set_rows(model, terms.rows)


def _rows(
    tokenizer: PreTrainedTokenizerBase, pieces: dict[str, tuple[int, ...]]
) -> tuple[tuple[int, ...], ...]:
    """The model's tokens by id, the terms behind them, then the other added tokens."""
    in_model = {ids[0] for ids in pieces.values() if len(ids) == 1}
    others = sorted(set(tokenizer.get_vocab().values()) - in_model)
    terms = [ids for ids in pieces.values() if len(ids) > 1]
    return (*((id,) for id in sorted(in_model)), *terms, *((id,) for id in others))


def _words(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> Counter[tuple[int, ...]]:
    """The words of several tokens, by how often they stand in the corpus."""
    apart = set(tokenizer.get_added_vocab().values())
    words: Counter[tuple[int, ...]] = Counter()
    for batch in batched(texts):
        encoded = tokenizer(batch, add_special_tokens=False, verbose=False)
        for each in encoded.encodings or ():
            words.update(_split(each.ids, each.word_ids, apart))
    return words


def _split(
    ids: list[int], word_ids: list[int | None], apart: set[int]
) -> Iterator[tuple[int, ...]]:
    word: list[int] = []
    before: int | None = None
    for id, place in zip(ids, word_ids, strict=True):
        if place != before or id in apart:
            if len(word) > 1:
                yield tuple(word)
            word = []
        if id not in apart:
            word.append(id)
        before = place
    if len(word) > 1:
        yield tuple(word)


def _pairs(
    words: Counter[tuple[int, ...]], num_pairs: int, fewest_times: int
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The merges of BPE over words of ids, in their order, each side as the ids that it holds.

    By the trainer of `tokenizers`, with a sign for each id.
    """
    if not words:
        return
    alphabet = {id for word in words for id in word}
    signs = Tokenizer(models.BPE())
    signs.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + num_pairs,
        min_frequency=fewest_times,
        max_token_length=MOST_PIECES,
        show_progress=False,
    )
    spelled = ("".join(chr(_FIRST_SIGN + id) for id in word) for word in words)
    repeated = (
        " ".join([word] * count) for word, count in zip(spelled, words.values(), strict=True)
    )
    signs.train_from_iterator(repeated, trainer)
    for left, right in json.loads(signs.to_str())["model"]["merges"]:
        yield _ids(left), _ids(right)


def _ids(signs: str) -> tuple[int, ...]:
    return tuple(ord(sign) - _FIRST_SIGN for sign in signs)
