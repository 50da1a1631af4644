"""A tokenizer as a GGUF file keeps it: tokens, their types, merges or scores, special ids, chat
template.

llama.cpp knows pre-tokenizers by name and has no others, so a tokenizer is taken only where it is
built of parts that the engine has too. What it does differently even then:
- it does not normalise: NFC, as Qwen's tokenizers ask for, is what the collected text has anyway;
- SentencePiece-style tokenizers are kept by scores, so two tokens merge wherever their union is a
  token, though no merge may name that very pair;
- after a special token, such a tokenizer puts a space in front of the text again.
The parity check (parity.py) tells where that changes the tokens of a domain's own text.

Not here: tensors and the file itself (gguf_file.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flywheel.errors import ModelError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Token types, as GGUF numbers them."""

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")

_DIGITS = "digits"
_PRE_TOKENIZERS: Mapping[tuple[tuple[str, ...], bool], str] = {
    ((GPT2,), False): "gpt-2",
    ((_DIGITS, GPT2), False): "smollm",
    ((QWEN2,), False): "qwen2",
    ((LLAMA3,), False): "dbrx",
    ((LLAMA3,), True): "llama-bpe",
}
"""What splits the text, and whether a whole word that is a token skips the merges → the engine's
name for it. Only those whose expressions are the same, character for character."""

_SPACE = "▁"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")
_PROBE = "a"


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """What a GGUF file says about its tokens. An id is a place in `tokens`."""

    model: Literal["gpt2", "llama"]
    """Byte-level BPE, or SentencePiece-style BPE."""
    pre_tokenizer: str
    """The engine's name of it; "default" where `model` is "llama", which has none."""
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]
    """Pairs from the first to the last, for "gpt2"."""
    scores: tuple[float, ...]
    """The higher, the earlier merged; for "llama"."""
    adds_space: bool
    """A space goes before the text."""
    adds_beginning: bool
    adds_end: bool
    beginning: int | None
    end: int | None
    end_of_turn: int | None
    """A second token that ends a generation."""
    padding: int | None
    unknown: int | None
    chat_template: str
    """Empty where there is none."""


def read_vocabulary(
    tokenizer: Any, num_rows: int, ends: Sequence[int] = (), beginning: int | None = None
) -> Vocabulary:
    """What a fast tokenizer of transformers is in a GGUF file.

    Args:
        num_rows: rows of the embedding matrix; those without a token become unused tokens.
        ends: the ids that end a generation by the model's own configuration.
        beginning: the model's own first token, where the tokenizer names none.

    Raises:
        ModelError: the engine has no tokenizer that does the same.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            "The tokenizer has no tokenizer.json. Load it with a recent release of transformers "
            "and save it again."
        )
    spec = json.loads(tokenizer.backend_tokenizer.to_str())
    _require_bpe(spec)
    byte_level = _is_byte_level(spec)
    tokens, types = _tokens(spec, num_rows)
    first, last = _added(tokenizer)
    stops = [each for each in (last, tokenizer.eos_token_id, *ends) if each is not None]
    stops = list(dict.fromkeys(stops))
    starts = [each for each in (first, tokenizer.bos_token_id, beginning) if each is not None]
    return Vocabulary(
        model="gpt2" if byte_level else "llama",
        pre_tokenizer=_pre_tokenizer(spec) if byte_level else "default",
        tokens=tokens,
        types=types,
        merges=_merges(spec) if byte_level else (),
        scores=() if byte_level else _scores(spec, tokens, types),
        adds_space=not byte_level and _adds_space(spec),
        adds_beginning=first is not None,
        adds_end=last is not None,
        beginning=(starts or stops or [None])[0],
        end=stops[0] if stops else None,
        end_of_turn=stops[1] if len(stops) > 1 else None,
        padding=tokenizer.pad_token_id,
        unknown=tokenizer.unk_token_id,
        chat_template=_chat_template(tokenizer),
    )


def _require_bpe(spec: Mapping[str, Any]) -> None:
    model = spec["model"]
    if model["type"] != "BPE":
        raise _unsupported(f"its model is {model['type']}, and only BPE is supported")
    for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(option):
            raise _unsupported(f"it sets {option}")
    for token in spec["added_tokens"]:
        for option in ("lstrip", "rstrip", "single_word"):
            if token[option]:
                raise _unsupported(f'its token "{token["content"]}" sets {option}')


def _unsupported(problem: str) -> ModelError:
    return ModelError(f"The tokenizer cannot be exported: {problem}.")


def _is_byte_level(spec: Mapping[str, Any]) -> bool:
    return any(step["type"] == "ByteLevel" for step in _steps(spec["pre_tokenizer"]))


def _steps(part: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The parts of a normaliser or pre-tokenizer, one after the other."""
    if part is None:
        return []
    if part["type"] == "Sequence":
        return list(part.get("normalizers") or part.get("pretokenizers") or [])
    return [part]


def _tokens(spec: Mapping[str, Any], num_rows: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The token and the type of each row."""
    model = spec["model"]
    ids: dict[str, int] = {**model["vocab"], **_added_ids(spec)}
    highest = max(ids.values(), default=-1)
    if highest >= num_rows:
        raise ModelError(
            f"The tokenizer has a token {highest}, and the model only {num_rows} rows: they do not "
            "belong together. Name the folder that holds both."
        )
    tokens = [f"[PAD{row}]" for row in range(num_rows)]
    types = [UNUSED] * num_rows
    bytes_as_tokens = model["byte_fallback"]
    for token, id in ids.items():
        tokens[id] = token
        types[id] = BYTE if bytes_as_tokens and _BYTE_TOKEN.fullmatch(token) else NORMAL
    for added in spec["added_tokens"]:
        types[added["id"]] = CONTROL if added["special"] else USER_DEFINED
    unknown = model.get("unk_token")
    if unknown in ids:
        types[ids[unknown]] = UNKNOWN
    return tuple(tokens), tuple(types)


def _added_ids(spec: Mapping[str, Any]) -> dict[str, int]:
    return {token["content"]: token["id"] for token in spec["added_tokens"]}


def _added(tokenizer: Any) -> tuple[int | None, int | None]:
    """What the tokenizer puts before a text and after it, by what it does and not what it says."""
    bare = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    whole = tokenizer(_PROBE)["input_ids"]
    nothing: list[int] = []
    for before in (nothing, whole[:1]):
        for after in (nothing, whole[-1:]):
            if [*before, *bare, *after] == whole:
                return (before[0] if before else None), (after[0] if after else None)
    raise _unsupported(
        "it puts more than one token before or after a text, and the engine only one"
    )


def _pre_tokenizer(spec: Mapping[str, Any]) -> str:
    """The engine's name for how a byte-level tokenizer splits the text."""
    if any(step["type"] != "NFC" for step in _steps(spec["normalizer"])):
        raise _unsupported("its normaliser changes the text otherwise than by NFC")
    splits = tuple(_split(step) for step in _steps(spec["pre_tokenizer"]))
    key = (tuple(split for split in splits if split), bool(spec["model"]["ignore_merges"]))
    if key not in _PRE_TOKENIZERS:
        known = ", ".join(sorted(_PRE_TOKENIZERS.values()))
        raise _unsupported(
            f"it splits text by {' and '.join(key[0]) or 'nothing'}"
            f"{' and skips merges' if key[1] else ''}; the engine has the same only for {known}"
        )
    return _PRE_TOKENIZERS[key]


def _split(step: Mapping[str, Any]) -> str:
    """What one step splits at; empty where it only writes bytes as characters."""
    match step:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": regex}:
            return GPT2 if regex else ""
        case {"type": "Split", "pattern": {"Regex": str(regex)}, "behavior": "Isolated"}:
            return regex if not step["invert"] else f"all but {regex}"
        case {"type": "Digits", "individual_digits": True}:
            return _DIGITS
    return json.dumps(step, ensure_ascii=False)


def _merges(spec: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(" ".join(pair) for pair in _pairs(spec))


def _pairs(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The merges; older files join each pair with a space."""
    merges = spec["model"]["merges"]
    parts = (pair.split(" ", 1) if isinstance(pair, str) else pair for pair in merges)
    return [(first, second) for first, second in parts]


def _scores(
    spec: Mapping[str, Any], tokens: Sequence[str], types: Sequence[int]
) -> tuple[float, ...]:
    """Minus the rank of the first merge that makes a token: what merges earlier scores higher.

    What no merge makes comes last.
    """
    ranks: dict[str, int] = {}
    for rank, (left, right) in enumerate(_pairs(spec)):
        ranks.setdefault(left + right, rank)
    last = len(spec["model"]["merges"])
    return tuple(
        -float(ranks.get(token, last)) if type == NORMAL else 0.0
        for token, type in zip(tokens, types, strict=True)
    )


def _adds_space(spec: Mapping[str, Any]) -> bool:
    """Whether a SentencePiece-style tokenizer puts a space before the text.

    It is said by the normaliser (`Prepend` and `Replace`) or by a `Metaspace` pre-tokenizer.
    """
    adds = False
    for step in (*_steps(spec["normalizer"]), *_steps(spec["pre_tokenizer"])):
        match step:
            case {"type": "Prepend", "prepend": "▁"}:
                adds = True
            case {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}:
                pass
            case {"type": "Metaspace", "replacement": "▁", "split": False}:
                adds = step["prepend_scheme"] != "never"
            case _:
                raise _unsupported(
                    f"its step {json.dumps(step, ensure_ascii=False)} is neither byte-level nor "
                    "as SentencePiece does it"
                )
    return adds


def _chat_template(tokenizer: Any) -> str:
    """The template; where the tokenizer has no first token, none is left for the engine to name.

    llama.cpp always has one, and would write it wherever a template says `bos_token`.
    """
    template = tokenizer.chat_template
    if isinstance(template, Mapping):
        template = template.get("default")
    if template and tokenizer.bos_token_id is None and "bos_token" in template:
        return "{%- set bos_token = '' -%}" + str(template)
    return str(template or "")
