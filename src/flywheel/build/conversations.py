"""Files of conversations and preferences, in the forms that the field uses, as records.

The form of each item is told by its keys (docs of `read_training`), so that one file may mix them.
Unknown keys are left alone: such files carry ids, scores and sources of their own. What has no
form at all is an error that names it, and nothing of its file is taken; what has a form but cannot
be learned from is skipped with a named reason.

Conversations with tools are skipped: three roles know no calls, every model writes them its own
way, and nothing here would run one. So are those that merely offer tools ("I can't book a flight,
my only function creates invoices"): without the offer, the reply is wrong.

Not here: what a model makes of the messages (build/objectives.py) and the users' own feedback
(build/mixture.py).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flywheel.build.items import ItemError, located, read_items
from flywheel.records import Conversation, ConversationPair, Message

CODE_VERSION = 1

TOOLS = "uses tools"
NO_TEXT = "holds pictures or sounds"
EMPTY = "a message is empty"
NO_ANSWER = "does not end with an answer"
NO_QUESTION = "does not begin with a question"
NO_TURNS = "the speakers do not take turns"
RATED_BAD = "rated bad, and no better answer stands beside it"
SAME_REPLIES = "both replies are the same"
OTHER_PROMPT = "the two replies do not answer the same conversation"

_ROLES: dict[str, Literal["system", "user", "assistant"] | None] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "function_call": None,
    "observation": None,
    "function": None,
    "tool": None,
}
"""None: a call of a tool, or what it gave."""

_FORMS = "instruction/output, conversations, messages, prompt/chosen/rejected or prompt/completion"
_LISTS = ("conversations", "messages")
_KEYS = (
    *("instruction", "input", "output", "system", "history", *_LISTS),
    *("prompt", "completion", "chosen", "rejected", "label", "tools", "weight"),
)
_ALIKE = 0.85
"""From here on a key is taken for a slip of the pen: "inputs", "systems"; not "prompt_id"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """An item that cannot be learned from, and why."""

    number: int
    """Among the file's items, from 1."""
    line: int
    """On which it begins, from 1."""
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """What one file holds to learn from, in its order."""

    conversations: tuple[Conversation, ...] = ()
    pairs: tuple[ConversationPair, ...] = ()
    skipped: tuple[Skipped, ...] = ()


class _Skip(Exception):
    """The item has a form, and cannot be learned from."""


def read_training(path: Path | str) -> Training:
    """The conversations and preferences of a file: JSON Lines, or one JSON array.

    | keys | form |
    |---|---|
    | `instruction`, `output`; `input`, `system`, `history` ([[asked, told], …]) if any | Alpaca |
    | `conversations` of `from` and `value`; perhaps `system` | ShareGPT |
    | `messages` of `role` and `content` | as engines take them |
    | `prompt`, `completion` | texts, or lists of messages |
    | `chosen`, `rejected`, beside any of the prompts above or with it inside | a preference |
    | `label` beside messages or a completion | true: a conversation; false: skipped |

    A list of messages may use either pair of keys. `weight`, within (0, 1], is how much an item
    counts.

    Raises:
        SourceError: there is no such file, or nothing in it.
        FileFormatError: an item has none of these forms.
    """
    conversations: list[Conversation] = []
    pairs: list[ConversationPair] = []
    skipped: list[Skipped] = []
    for item in read_items(path):
        try:
            read = _read(item.data)
        except ItemError as error:
            raise located(path, item, str(error)) from error
        except _Skip as reason:
            skipped.append(Skipped(number=item.number, line=item.line, reason=str(reason)))
        else:
            if isinstance(read, Conversation):
                conversations.append(read)
            else:
                pairs.append(read)
    return Training(conversations=tuple(conversations), pairs=tuple(pairs), skipped=tuple(skipped))


def _read(data: dict[str, Any]) -> Conversation | ConversationPair:
    _check_keys(data)
    weight, label = _weight(data), _label(data)
    flaws: list[str] = []  # gathered, so that a wrong item is an error even if it is to be skipped
    prompt, *replies = _parts(data, flaws)
    if flaws or data.get("tools") not in (None, "", "[]", [], {}):
        raise _Skip(flaws[0] if flaws else TOOLS)
    if len(replies) == 2:
        return _pair(prompt, replies[0], replies[1], weight)
    messages = _checked([*prompt, *replies[0]])
    if label is False:
        raise _Skip(RATED_BAD)
    return Conversation(messages=messages, weight=weight)


def _parts(data: dict[str, Any], flaws: list[str]) -> tuple[list[Message], ...]:
    """What comes before the reply, and the reply or the two of them, as the keys tell the form.

    Where the messages hold the reply already, it is empty.
    """
    if data.keys() & {"chosen", "rejected"}:
        _require(data, "chosen", "rejected")
        replies = [_reply(data, key, flaws) for key in ("chosen", "rejected")]
        if not data.keys() & {*_LISTS, "instruction"} and len(replies[0]) == 1:
            _require(data, "prompt")
        return (_prompt(data, flaws), *replies)
    if data.keys() & set(_LISTS):
        return _prompt(data, flaws), []
    if "instruction" in data:
        _require(data, "output")
        return _prompt(data, flaws), [_said("assistant", data, "output")]
    if "completion" in data:
        _require(data, "prompt")
        return _prompt(data, flaws), _reply(data, "completion", flaws)
    raise ItemError(f"its keys tell no known form; known: {_FORMS}")


def _prompt(data: dict[str, Any], flaws: list[str]) -> list[Message]:
    """Whatever stands before the reply; the whole, where the reply stands within."""
    system = [_said("system", data, "system")] if data.get("system") else []
    for key in _LISTS:
        if key in data:
            return [*system, *_messages(data[key], key, flaws)]
    if "instruction" in data:
        asked = [text for key in ("instruction", "input") if (text := _text(data, key))]
        question = Message(role="user", content="\n".join(asked))
        return [*system, *_history(data.get("history")), question]
    if "prompt" in data:
        return [*system, *_reply(data, "prompt", flaws, "user")]
    return system


def _reply(
    data: dict[str, Any],
    key: str,
    flaws: list[str],
    role: Literal["user", "assistant"] = "assistant",
) -> list[Message]:
    """A text, one message, or a list of them."""
    value = data[key]
    if isinstance(value, str):
        return [Message(role=role, content=value)]
    return _messages([value] if isinstance(value, dict) else value, key, flaws)


def _messages(value: Any, key: str, flaws: list[str]) -> list[Message]:
    if not isinstance(value, list) or not value:
        raise ItemError(f'"{key}" is no list of messages')
    return [
        _message(each, f"message {number} of {key}", flaws)
        for number, each in enumerate(value, start=1)
    ]


def _message(value: Any, name: str, flaws: list[str]) -> Message:
    if not isinstance(value, dict):
        raise ItemError(f"{name} is not a JSON object")
    speaker, content = ("from", "value") if "from" in value else ("role", "content")
    _require(value, speaker, where=f" in {name}")
    role = _role(value[speaker], name)
    if role is None or value.get("tool_calls") or value.get("function_call"):
        flaws.append(TOOLS)
        return Message(role="assistant", content="")
    _require(value, content, where=f" in {name}")
    return Message(role=role, content=_content(value[content], name, flaws))


def _role(value: Any, name: str) -> Literal["system", "user", "assistant"] | None:
    if not isinstance(value, str) or value not in _ROLES:
        raise ItemError(f"{name}: unknown role {value!r}; known: {', '.join(_ROLES)}")
    return _ROLES[value]


def _content(value: Any, name: str, flaws: list[str]) -> str:
    """A text, or the texts of a list of parts as OpenAI's protocol has it."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise ItemError(f"{name}: what it says is no text")
    if any(part.get("type", "text") != "text" for part in value):
        flaws.append(NO_TEXT)
        return ""
    return "".join(_text(part, "text", where=f" in {name}") for part in value)


def _history(value: Any) -> Iterator[Message]:
    """Earlier questions and answers."""
    if value is None:
        return
    if not isinstance(value, list):
        raise ItemError('"history" is no list of [question, answer]')
    for each in value:
        match each:
            case [str(question), str(answer)]:
                yield Message(role="user", content=question)
                yield Message(role="assistant", content=answer)
            case _:
                raise ItemError('"history" is no list of [question, answer]')


def _pair(
    prompt: list[Message], chosen: list[Message], rejected: list[Message], weight: float
) -> ConversationPair:
    before = _joined(prompt, chosen[:-1])
    if before != _joined(prompt, rejected[:-1]):
        raise _Skip(OTHER_PROMPT)
    for last in (chosen[-1], rejected[-1]):
        messages = _checked([*before, last])
    if chosen[-1].content.strip() == rejected[-1].content.strip():
        raise _Skip(SAME_REPLIES)
    return ConversationPair(
        prompt=messages[:-1],
        chosen=chosen[-1].content,
        rejected=rejected[-1].content,
        weight=weight,
    )


def _joined(prompt: list[Message], before: list[Message]) -> list[Message]:
    """The prompt, and what stands before the reply: some write the prompt there again."""
    asked = [each for each in prompt if each.role != "system"]
    if asked and before[-len(asked) :] == asked:
        return [*(each for each in prompt if each.role == "system" and each not in before), *before]
    return [*prompt, *before]


def _checked(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages, if every chat template takes them: user and assistant in turns."""
    if messages[0].role == "system" and not messages[0].content.strip():
        messages = messages[1:]
    spoken = messages[1:] if messages and messages[0].role == "system" else messages
    if not all(each.content.strip() for each in messages):
        raise _Skip(EMPTY)
    if not spoken or spoken[-1].role != "assistant":
        raise _Skip(NO_ANSWER)
    if spoken[0].role != "user":
        raise _Skip(NO_QUESTION)
    if any(each.role != ("user", "assistant")[at % 2] for at, each in enumerate(spoken)):
        raise _Skip(NO_TURNS)
    return tuple(messages)


def _said(role: Literal["system", "assistant"], data: dict[str, Any], key: str) -> Message:
    return Message(role=role, content=_text(data, key))


def _text(data: dict[str, Any], key: str, where: str = "") -> str:
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise ItemError(f'"{key}"{where} is no text')
    return value or ""


def _label(data: dict[str, Any]) -> bool | None:
    label = data.get("label")
    if label is not None and not isinstance(label, bool):
        raise ItemError('"label" is neither true nor false')
    return label


def _weight(data: dict[str, Any]) -> float:
    weight = data.get("weight", 1.0)
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not is_number or not 0 < weight <= 1:
        raise ItemError('"weight" is no number over 0 and up to 1')
    return float(weight)


def _require(data: dict[str, Any], *keys: str, where: str = "") -> None:
    for key in keys:
        if key not in data:
            raise ItemError(f'"{key}" is missing{where}')


def _check_keys(data: dict[str, Any]) -> None:
    """Refuses what must be a slip of the pen, since unknown keys are left alone otherwise."""
    for key in data.keys() - set(_KEYS):
        near = difflib.get_close_matches(key.lower(), _KEYS, n=1, cutoff=_ALIKE)
        if near and near[0] not in data:
            raise ItemError(f'unknown key "{key}"; did you mean "{near[0]}"?')
