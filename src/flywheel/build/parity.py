"""Whether the served file says what the trained model says: checked before a version may serve.

On prompts of the domain the engine's token ids must be the tokenizer's, and its log-probabilities
of the likeliest tokens must be the trained model's, all along the trained model's own greedy
continuation. Where the likeliest token is the same at every step, so are the continuations.

    parity = check(engine, model, tokenizer, prompts, precision="q8_0")
    require(parity)

Not here: whether the model is any good, with or without coarser weights; the exam tells.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from flywheel.build.settings import Precision
from flywheel.engine.protocol import Request, TokenChance
from flywheel.errors import ModelError
from flywheel.records import Message

CODE_VERSION = 1

Prompt = str | Sequence[Message]
"""A text that is continued, or messages that are answered by the chat template."""

NUM_LIKELIEST = 5
NUM_NEW_TOKENS = 16
"""Of each prompt's continuation, by default. On CPUs each costs the engine one step."""
MAX_PROMPT_TOKENS = 512
"""A longer prompt is cut for the log-probabilities; its token ids are all compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """How far log-probabilities (base e) may lie apart."""

    worst: float
    mean: float


ALLOWANCES: Mapping[Precision, Allowance] = {
    "f32": Allowance(worst=0.05, mean=0.01),
    "f16": Allowance(worst=0.05, mean=0.01),
    "q8_0": Allowance(worst=0.5, mean=0.1),
    "q4_0": Allowance(worst=4.0, mean=0.6),
}
"""About twice what a right file shows on the model that suffers most of those measured by
`bench/export.py`, of 0.7M sharply trained parameters; one of more width and a broader text stays
ten times below. Rows in the wrong order, a norm that is left out, a changed matrix all lie above.
Even in f32 llama.cpp keeps keys, values and what attention multiplies in f16 (0.02)."""

_SHOWN = 60
"""Characters of a prompt in a message."""
_MARK = "\ue000{}\ue001"
_MARKED = re.compile("\ue000([0-9]+)\ue001")
"""Stands for a message where a chat template is filled in."""


class ComparableEngine(Protocol):
    """An engine that tells tokens by their ids, as the embedded one does."""

    def prompt_ids(self, request: Request) -> list[int]:
        """The token ids that the model is given for a request."""

    def next_tokens(self, ids: Sequence[int], num: int) -> tuple[TokenChance, ...]:
        """The likeliest tokens after a prompt, the likeliest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """What the check found; JSON by `records.to_json`."""

    passed: bool
    precision: Precision
    num_prompts: int
    num_tokens: int
    """Places whose log-probabilities were compared."""
    num_other_choices: int
    """Of them, where the engine's likeliest token is not the trained model's."""
    num_equal_prompts: int
    """Prompts with no such place: their greedy continuations are the same."""
    worst_difference: float
    """Between two log-probabilities."""
    large_difference: float
    """95 % of the differences are no larger."""
    mean_difference: float
    problem: str = ""
    """What did not pass; empty where everything did."""
    prompt: str = ""
    """The prompt that did not."""
    token: str = ""
    """The token of it that did not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """One token after one prompt: what the trained model says of it, and what the engine."""

    prompt: Prompt
    place: int
    """From 0, the prompt's own tokens counted."""
    id: int
    expected: float
    served: float

    @property
    def difference(self) -> float:
        return abs(self.expected - self.served)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Failure:
    problem: str
    prompt: Prompt
    token: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    """One step of a continuation."""

    places: tuple[_Place, ...]
    """Of all tokens that either of the two finds likely, the worst first."""
    is_other_choice: bool


def check(
    engine: ComparableEngine,
    model: Any,
    tokenizer: Any,
    prompts: Iterable[Prompt],
    *,
    precision: Precision,
    num_new_tokens: int = NUM_NEW_TOKENS,
    allowance: Allowance | None = None,
) -> Parity:
    """Compares the engine that serves a file with the model that the file was made of.

    The reference is computed in f32 on the model's own weights, whatever they were trained in.

    Args:
        prompts: of the domain. One that the engine reads otherwise is not continued; without any
            nothing was checked, which does not pass.
        allowance: instead of the precision's own.

    Raises:
        EngineError: the engine refuses a prompt, such as one longer than its context.
    """
    model = _exact(model)
    allowance = allowance or ALLOWANCES[precision]
    steps: list[_Step] = []
    failures: list[_Failure] = []
    num_prompts = num_equal = 0
    for prompt in prompts:
        num_prompts += 1
        ids = _ids(tokenizer, prompt)
        served = engine.prompt_ids(_request(prompt))
        if ids != served:
            failures.append(_read_otherwise(tokenizer, prompt, ids, served))
            continue
        found = list(_steps(engine, model, prompt, ids[:MAX_PROMPT_TOKENS], num_new_tokens))
        num_equal += not any(step.is_other_choice for step in found)
        steps += found
    failures += _too_far(tokenizer, steps, allowance)
    if not num_prompts:
        failures.append(_Failure(problem="there was no prompt to compare on", prompt="", token=""))
    differences = sorted(place.difference for step in steps for place in step.places) or [0.0]
    first = failures[0] if failures else None
    return Parity(
        passed=first is None,
        precision=precision,
        num_prompts=num_prompts,
        num_tokens=len(steps),
        num_other_choices=sum(step.is_other_choice for step in steps),
        num_equal_prompts=num_equal,
        worst_difference=differences[-1],
        large_difference=differences[int(0.95 * (len(differences) - 1))],
        mean_difference=sum(differences) / len(differences),
        problem=first.problem if first else "",
        prompt=_text(first.prompt) if first else "",
        token=first.token if first else "",
    )


def require(parity: Parity) -> None:
    """Blocks what did not pass.

    Raises:
        ModelError: it says which prompt and which token.
    """
    if not parity.passed and not parity.num_prompts:
        raise ModelError(
            f"The exported file ({parity.precision}) may not serve: whether it is what was trained "
            f"is not known, since {parity.problem}."
        )
    if not parity.passed:
        raise ModelError(
            f"The exported file ({parity.precision}) is not what was trained, so it may not serve: "
            f'after "{_short(parity.prompt)}" {parity.problem}. Export it again, or in a finer '
            "build.precision."
        )


def _exact(model: Any) -> Any:
    if model.dtype == torch.float32:
        return model.eval()
    return copy.deepcopy(model).to(device="cpu", dtype=torch.float32).eval()


def _ids(tokenizer: Any, prompt: Prompt) -> list[int]:
    """What the trained model is given for a prompt."""
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    contents = [message.content for message in prompt]
    as_text = [_part_ids(tokenizer, content, plain=True) for content in contents]
    if as_text == [_part_ids(tokenizer, content) for content in contents]:
        return _part_ids(tokenizer, _rendered(tokenizer, prompt))
    # The name of a special token in a message is text like any other.
    marked = [replace(message, content=_MARK.format(at)) for at, message in enumerate(prompt)]
    parts = _MARKED.split(_rendered(tokenizer, marked))
    ids = _part_ids(tokenizer, parts[0])
    for place, part in zip(parts[1::2], parts[2::2], strict=True):
        ids += as_text[int(place)] + _part_ids(tokenizer, part)
    return ids


def _part_ids(tokenizer: Any, text: str, *, plain: bool = False) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=plain)["input_ids"])


def _rendered(tokenizer: Any, messages: Sequence[Message]) -> str:
    """The chat template filled in, as the engine is asked to: without thinking aloud."""
    return str(
        tokenizer.apply_chat_template(
            [{"role": message.role, "content": message.content} for message in messages],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,
        )
    )


def _request(prompt: Prompt) -> Request:
    if isinstance(prompt, str):
        return Request(prompt=prompt)
    return Request(messages=tuple(prompt))


def _read_otherwise(
    tokenizer: Any, prompt: Prompt, expected: list[int], served: list[int]
) -> _Failure:
    shorter = min(len(expected), len(served))
    place = next((at for at in range(shorter) if expected[at] != served[at]), shorter)
    token, other = _named(tokenizer, expected, place), _named(tokenizer, served, place)
    return _Failure(
        problem=f"token {place + 1} of it is {token} to the tokenizer and {other} to the engine",
        prompt=prompt,
        token=token,
    )


def _steps(
    engine: ComparableEngine, model: Any, prompt: Prompt, ids: list[int], num_new_tokens: int
) -> Iterator[_Step]:
    for given, logprobs in _continuation(model, ids, num_new_tokens):
        told = engine.next_tokens(given, NUM_LIKELIEST)
        places = [
            _Place(prompt=prompt, place=len(given), id=id, expected=expected, served=served)
            for id, (expected, served) in _beside(logprobs, told).items()
        ]
        yield _Step(
            places=tuple(sorted(places, key=lambda place: -place.difference)),
            is_other_choice=not told or told[0].id != int(logprobs.argmax()),
        )


def _continuation(
    model: Any, ids: list[int], num_new_tokens: int
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """A prompt and its greedy continuation, step by step.

    Yields:
        The ids so far, and float32 log-probabilities [vocabulary] of what comes next.
    """
    given = list(ids)
    cache = None
    fresh = torch.tensor([given], device=model.device)
    for _ in range(num_new_tokens):
        with torch.no_grad():
            output = model(input_ids=fresh, cache=cache, use_cache=True)
        cache = output.cache
        logprobs = output.logits[0, -1].float().log_softmax(-1).cpu()
        yield list(given), logprobs
        given.append(int(logprobs.argmax()))
        fresh = torch.tensor([given[-1:]], device=model.device)


def _beside(logprobs: torch.Tensor, told: Sequence[TokenChance]) -> dict[int, tuple[float, float]]:
    """Token id → its log-probability in the trained model, and in the engine.

    Every token that the engine told, and the trained model's likeliest ones: of those that the
    engine left out it is known that they are no likelier there than the last one that it told.
    """
    beside = {
        chance.id: (float(logprobs[chance.id]), chance.logprob)
        for chance in told
        if chance.id is not None
    }
    last = min((chance.logprob for chance in told), default=-torch.inf)
    values, ids = logprobs.topk(NUM_LIKELIEST)
    for value, id in zip(values.tolist(), ids.tolist(), strict=True):
        if id not in beside:
            beside[id] = (value, min(value, last))
    return beside


def _too_far(tokenizer: Any, steps: Sequence[_Step], allowance: Allowance) -> Iterator[_Failure]:
    """The first place that lies too far apart; where none does, and all do a little, the worst."""
    for step in steps:
        if step.places[0].difference > allowance.worst:
            yield _apart(tokenizer, step.places[0], f"{allowance.worst:g} is allowed")
            return
    places = [place for step in steps for place in step.places]
    mean = sum(place.difference for place in places) / max(1, len(places))
    if mean > allowance.mean:
        worst = max(places, key=lambda place: place.difference)
        yield _apart(
            tokenizer, worst, f"the mean over all is {mean:.3f}, and {allowance.mean:g} is allowed"
        )


def _apart(tokenizer: Any, place: _Place, allowed: str) -> _Failure:
    token = _named(tokenizer, [place.id], 0)
    return _Failure(
        problem=(
            f"{token} as token {place.place + 1} has a log-probability of {place.served:.3f}, in "
            f"training {place.expected:.3f}; {allowed}"
        ),
        prompt=place.prompt,
        token=token,
    )


def _named(tokenizer: Any, ids: Sequence[int], place: int) -> str:
    if place >= len(ids):
        return "nothing"
    return f'"{tokenizer.decode([ids[place]])}" ({ids[place]})'


def _text(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    return "\n".join(message.content for message in prompt)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
