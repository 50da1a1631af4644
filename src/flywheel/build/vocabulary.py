"""A model's vocabulary: trained anew for a corpus; or which of a base's tokens a domain needs.

Not here: how a base's tokenizer and its model are cut to the tokens that were chosen
(`trimming.py`), and how they get a domain's terms as new ones (`extending.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from flywheel.build.chat_template import CHATML_TEMPLATE
from flywheel.build.encoding import batched, encode
from flywheel.build.merges import Merges, read_merges
from flywheel.build.required import required
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

FEWEST_TOKENS = 256 + len(SPECIAL_TOKENS)
LONGEST_TOKEN_BYTES = 36
"""12 Han characters: a small corpus repeats whole clauses, and such a token helps nowhere else."""

GENERAL_SHARE = 0.125
"""Of a trimmed vocabulary: tokens of general language, whatever the domain uses. An eighth costs
Chinese statutes 0.2 % of their tokens at 8,192, and English medical answers 0.06 % at 16,384."""


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
        chat_template=CHATML_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What a corpus uses of a base's vocabulary."""

    merges: Merges
    counts: Mapping[int, int]
    """How often the corpus has a token, by id; the unused are not named."""
    required: frozenset[int]
    """What any vocabulary keeps: the bytes, all added tokens, and what the chat template writes."""
    vocabulary: frozenset[int]
    """All ids of the base's tokenizer."""
    num_texts: int
    num_bytes: int
    """Of the corpus in UTF-8."""

    @property
    def num_tokens(self) -> int:
        """Of the corpus."""
        return sum(self.counts.values())

    def by_use(self) -> list[int]:
        """The ids that the corpus uses, the most frequent first."""
        return sorted(self.counts, key=lambda id: (-self.counts[id], id))

    def covered(self, kept: Kept) -> float:
        """The share of the corpus' tokens that are kept."""
        held = set(kept.ids)
        of_kept = sum(count for id, count in self.counts.items() if id in held)
        return of_kept / self.num_tokens if self.counts else 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """The tokens that a trimmed vocabulary has: `ids[new]` is the id in the base's."""

    ids: tuple[int, ...]

    @property
    def new_ids(self) -> dict[int, int]:
        """Old id → new id."""
        return {old: new for new, old in enumerate(self.ids)}


def needs(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> Needs:
    """Counts which of a tokenizer's tokens a corpus uses.

    Raises:
        ModelError: its vocabulary is of a type that cannot be trimmed.
    """
    merges = read_merges(tokenizer)
    counts: Counter[int] = Counter()
    num_texts = num_bytes = 0
    for batch in batched(texts):
        num_texts += len(batch)
        num_bytes += sum(len(text.encode()) for text in batch)
        for ids in encode(tokenizer, batch):
            counts.update(ids)
    return Needs(
        merges=merges,
        counts=counts,
        required=required(tokenizer, merges),
        vocabulary=frozenset(tokenizer.get_vocab().values()),
        num_texts=num_texts,
        num_bytes=num_bytes,
    )


def choose(
    needs: Needs,
    size: int,
    *,
    general: float = GENERAL_SHARE,
    reserve: Needs | None = None,
    also: Collection[int] = (),
) -> Kept:
    """The tokens to keep: what must be, a general reserve, then the corpus' own by their use.

    Closed under merges, which makes trimming lossless. Say T is a text, of whose tokens each is
    kept together with all that BPE forms on the token's own text (`Merges.closure`). BPE never
    undoes a merge, so that on T no merge crosses the border of a final token; inside one it does
    what it does on that token alone, since the pair of the lowest rank is that whether or not it
    stands among others. So every merge that T takes has both parts and its result kept, and
    survives in its order. At each step the survivors are a part of all merges that holds the one
    which was taken, and that is the lowest of the part, too: both runs take the same steps, and
    where the full set has no merge left, the part has none. A word that is taken whole, merges
    ignored, is taken whole again, and no word is that was not before.

    Args:
        size: how many tokens; all are kept where the base has no more.
        general: the share of the size for a reserve of general tokens.
        reserve: what general text needs, for that reserve; without it, and where it needs less,
            the base's lowest ids, which it learned first.
        also: ids that must stay, such as those that a model's config names; others than the
            tokenizer's are passed over.

    Raises:
        ModelError: the size does not hold what must be kept.
    """
    choice = _Choice(needs.merges, size)
    if size >= len(needs.vocabulary):
        choice.ids |= needs.vocabulary
        return choice.kept()
    choice.require(needs.required | (needs.vocabulary & set(also)))
    by_rank = sorted(needs.merges.ids.values())
    most_general = len(choice.ids) + int(size * general)
    choice.fill([*(reserve.by_use() if reserve else ()), *by_rank], most_general)
    choice.fill(needs.by_use(), size)
    choice.fill(by_rank, size)
    return choice.kept()


class _Choice:
    """The tokens that were chosen so far, closed under merges at any time."""

    def __init__(self, merges: Merges, size: int) -> None:
        self.ids: set[int] = set()
        self._merges, self._size = merges, size
        self._token_of = {id: token for token, id in merges.ids.items()}

    def require(self, ids: Collection[int]) -> None:
        """Takes all of these.

        Raises:
            ModelError: they are more than the size.
        """
        for id in ids:
            self.ids |= self._closure(id) | {id}
        if len(self.ids) > self._size:
            raise ModelError(
                f"A vocabulary of {self._size} tokens is too small for this base: its bytes, its "
                f"special tokens and its chat template alone need {len(self.ids)}."
            )

    def fill(self, ids: Iterable[int], size: int) -> None:
        """Takes the ids in their order until there are so many; leaves out what does not fit."""
        for id in ids:
            room = min(size, self._size) - len(self.ids)
            if room <= 0:
                return
            new = self._closure(id) - self.ids
            if len(new) <= room:
                self.ids |= new

    def _closure(self, id: int) -> frozenset[int]:
        """A token with all that it needs; empty where no text has it by BPE."""
        token = self._token_of.get(id)
        closure = None if token is None else self._merges.closure(token)
        return frozenset(self._merges.ids[each] for each in closure or ())

    def kept(self) -> Kept:
        """In the order of the base; added tokens that are not in the model stand behind it, since
        the `tokenizers` library counts them on from there."""
        return Kept(ids=tuple(sorted(self.ids, key=lambda id: (id not in self._token_of, id))))
