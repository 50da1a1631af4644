"""A base cut to the tokens that were chosen: its tokenizer, and the rows of its model.

Where all tokens of a text are kept, the trimmed tokenizer gives the same ones under their new
ids, and the trimmed model the same logits for them: the logarithm of its softmax is the base's,
renormalised over the kept rows. Any other text is split into smaller pieces that are kept.

Not here: which tokens to keep (`vocabulary.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from flywheel.build.encoding import batched, encode
from flywheel.build.merges import read_json
from flywheel.build.vocabulary import Kept
from flywheel.errors import ModelError

_SETTINGS = (
    "chat_template",
    "clean_up_tokenization_spaces",
    "extra_special_tokens",
    "model_input_names",
    "model_max_length",
    "model_specific_special_tokens",
    "padding_side",
    "split_special_tokens",
    "truncation_side",
)
"""What a tokenizer is told besides its tokenizer.json and its named special tokens."""

_TOKEN_LISTS = ("suppress_tokens", "begin_suppress_tokens")
"""What a generation config lists ids under, besides the names that end in `_token_id`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A corpus under a base's vocabulary and under the trimmed one."""

    num_texts: int = 0
    num_covered: int = 0
    """Texts of which every token is kept."""
    num_identical: int = 0
    """Of the covered: those that the trimmed tokenizer splits alike, which must be all."""
    num_bytes: int = 0
    num_tokens_before: int = 0
    num_tokens_kept: int = 0
    """Of those before: how many are in the trimmed vocabulary."""
    num_tokens_after: int = 0

    @property
    def covered(self) -> float:
        """The share of the corpus' tokens that are kept."""
        return self.num_tokens_kept / max(self.num_tokens_before, 1)

    @property
    def bytes_per_token_before(self) -> float:
        return self.num_bytes / max(self.num_tokens_before, 1)

    @property
    def bytes_per_token_after(self) -> float:
        return self.num_bytes / max(self.num_tokens_after, 1)


def trim_tokenizer(tokenizer: PreTrainedTokenizerBase, kept: Kept) -> PreTrainedTokenizerFast:
    """The tokenizer with only the kept tokens, and the merges whose parts and result are kept.

    Normal form, splitting into words, special tokens and chat template stay.

    Raises:
        ModelError: its vocabulary is of a type that cannot be trimmed.
    """
    new_ids = kept.new_ids
    ids = {token: new_ids[old] for token, old in tokenizer.get_vocab().items() if old in new_ids}
    state = read_json(tokenizer)
    state["model"]["vocab"] = {
        token: ids[token] for token in state["model"]["vocab"] if token in ids
    }
    return rebuild(tokenizer, state, ids)


def rebuild(
    tokenizer: PreTrainedTokenizerBase, state: dict[str, Any], ids: Mapping[str, int]
) -> PreTrainedTokenizerFast:
    """A tokenizer of another vocabulary with all else that one had.

    Args:
        state: its tokenizer.json with the new vocabulary; merges that name others go.
        ids: token → new id, the added tokens included.
    """
    model = state["model"]
    known = model["vocab"]
    model["vocab"] = dict(sorted(known.items(), key=lambda pair: pair[1]))
    model["merges"] = [
        [left, right]
        for left, right in model["merges"]
        if left in known and right in known and left + right in known
    ]
    for added in state["added_tokens"]:
        added["id"] = ids[added["content"]]
    state["added_tokens"].sort(key=lambda added: added["id"])
    _renumber(state.get("post_processor"), ids)
    if state.get("padding"):
        state["padding"]["pad_id"] = ids[state["padding"]["pad_token"]]
    rebuilt = _wrapped(tokenizer, state)
    if rebuilt.get_vocab() != ids:
        raise ModelError(
            f"The vocabulary of {tokenizer.name_or_path or 'this base'} cannot be changed: its "
            "added tokens do not stand where the tokenizers library puts them."
        )
    return rebuilt


def trim_model(model: PreTrainedModel, kept: Kept) -> None:
    """Cuts a model's embeddings and output rows to the kept tokens, in place."""
    set_rows(model, [(id,) for id in kept.ids])


def set_rows(model: PreTrainedModel, rows: Sequence[Sequence[int]]) -> None:
    """Gives a model another vocabulary, in place: each new row is the mean of the old ones named.

    Embeddings and output, tied or not, with its bias; the sizes and ids in its configs. An id in
    a config that no new row stands for becomes None.

    Raises:
        ModelError: a row is named that the model does not have, or it has a table of a kind that
            is not known here.
    """
    embeddings = cast(nn.Embedding, model.get_input_embeddings())
    output: nn.Linear | None = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    num_rows = embeddings.weight.shape[0]
    _check_rows(model, num_rows, max(map(max, rows)))
    is_tied = output is not None and output.weight is embeddings.weight
    embeddings.weight = _means(embeddings.weight, rows)
    embeddings.num_embeddings = len(rows)
    new_ids = {row[0]: new for new, row in enumerate(rows) if len(row) == 1}
    if embeddings.padding_idx is not None:
        embeddings.padding_idx = new_ids.get(embeddings.padding_idx)
    if output is not None:
        output.weight = embeddings.weight if is_tied else _means(output.weight, rows)
        output.out_features = len(rows)
        if getattr(output, "bias", None) is not None:
            output.bias = _means(output.bias, rows)
    for module in model.modules():
        if getattr(module, "vocab_size", None) == num_rows:
            setattr(module, "vocab_size", len(rows))  # noqa: B010 its type is not stated
    model.config.get_text_config().vocab_size = len(rows)
    for config in _configs(model):
        _renumber_config(config, new_ids)


def named_ids(model: PreTrainedModel) -> frozenset[int]:
    """The ids of tokens that a model's configs name, such as what ends a text."""
    found: set[int] = set()
    for config in _configs(model):
        for value in _token_fields(config).values():
            found.update(value if isinstance(value, list) else [value])
    return frozenset(found)


def compare(
    tokenizer: PreTrainedTokenizerBase,
    trimmed: PreTrainedTokenizerBase,
    kept: Kept,
    texts: Iterable[str],
) -> Comparison:
    """Splits a corpus with both tokenizers, and checks that what is covered is split alike."""
    new_ids = kept.new_ids
    num_texts = num_covered = num_identical = num_bytes = 0
    num_before = num_kept = num_after = 0
    for batch in batched(texts):
        num_texts += len(batch)
        num_bytes += sum(len(text.encode()) for text in batch)
        pairs = zip(encode(tokenizer, batch), encode(trimmed, batch), strict=True)
        for before, after in pairs:
            mapped = [new_ids[id] for id in before if id in new_ids]
            num_before, num_after = num_before + len(before), num_after + len(after)
            num_kept += len(mapped)
            if len(mapped) == len(before):
                num_covered += 1
                num_identical += mapped == after
    return Comparison(
        num_texts=num_texts,
        num_covered=num_covered,
        num_identical=num_identical,
        num_bytes=num_bytes,
        num_tokens_before=num_before,
        num_tokens_kept=num_kept,
        num_tokens_after=num_after,
    )


def _renumber(processor: Any, ids: Mapping[str, int]) -> None:
    """New ids in a post-processor's JSON, whichever it is: they stand beside their tokens."""
    if not isinstance(processor, dict):
        return
    for each in processor.get("processors", ()):
        _renumber(each, ids)
    if processor.get("type") == "TemplateProcessing":
        for special in processor["special_tokens"].values():
            special["ids"] = [ids[token] for token in special["tokens"]]
    for name in ("cls", "sep"):
        if name in processor:
            processor[name] = [processor[name][0], ids[processor[name][0]]]


def _wrapped(tokenizer: PreTrainedTokenizerBase, state: dict[str, Any]) -> PreTrainedTokenizerFast:
    backend = Tokenizer.from_str(json.dumps(state))
    settings = {
        name: value
        for name in _SETTINGS
        if (value := getattr(tokenizer, name, tokenizer.init_kwargs.get(name))) is not None
    }
    named = {
        name: getattr(tokenizer, name)
        for name in tokenizer.SPECIAL_TOKENS_ATTRIBUTES
        if getattr(tokenizer, name, None) is not None
    }
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, **settings, **named
    )


def _check_rows(model: PreTrainedModel, num_rows: int, highest: int) -> None:
    if highest >= num_rows:
        raise ModelError(
            f"The tokenizer has a token {highest}, but the model only {num_rows} rows: they do not "
            "belong together."
        )
    tables = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding)
        and module is not model.get_input_embeddings()
        and module.num_embeddings == num_rows
    ]
    if tables:
        raise ModelError(
            f"The vocabulary of a {model.config.model_type} model cannot be changed: it has a "
            f"table of tokens besides its embeddings, {tables[0]}."
        )


def _means(weight: Tensor, rows: Sequence[Sequence[int]]) -> nn.Parameter:
    """New rows, each the mean of old ones.

    Args:
        weight: old rows by width, or a bias of one number a row; of any dtype, which stays.
    """
    with torch.no_grad():
        new = weight[torch.tensor([row[0] for row in rows], device=weight.device)]
        for place, row in enumerate(rows):
            if len(row) > 1:
                new[place] = weight[list(row)].float().mean(dim=0).to(weight.dtype)
    return nn.Parameter(new, requires_grad=weight.requires_grad)


def _configs(model: PreTrainedModel) -> list[Any]:
    configs = [model.config, model.config.get_text_config(), model.generation_config]
    return list({id(config): config for config in configs if config is not None}.values())


def _token_fields(config: Any) -> dict[str, int | list[int]]:
    """The fields of a config that hold ids of tokens, and have any."""
    return {
        name: value
        for name, value in vars(config).items()
        if (name.endswith("_token_id") or name in _TOKEN_LISTS) and isinstance(value, int | list)
    }


def _renumber_config(config: Any, new_ids: Mapping[int, int]) -> None:
    for name, value in _token_fields(config).items():
        if isinstance(value, list):
            setattr(config, name, [new_ids[id] for id in value if id in new_ids] or None)
        else:
            setattr(config, name, new_ids.get(value))
