"""What a model is given to answer from: the rules, numbered passages within a budget, the question.

The same for training (build/mixture.py) and for serving (write.py), so that a model is asked as it
has learned to be asked. One message of the user, since not every chat template knows a system; the
rules come first, so that an engine's prefix cache holds them.

Passages are untrusted text. Each stands between `[1]` and `[/1]`; whatever looks like such a mark
in a passage, and whatever some tokenizer would read as a control token, is broken up, so that no
passage ends its own block, poses as another or speaks for someone else. That a model then does what
a passage says is not ruled out: what it writes is checked (support.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from flywheel.answer.quote import sentences
from flywheel.records import Message, Passage
from flywheel.search.terms import has_han

PROMPT_VERSION = 1
"""Changes with any word below: a model that learned with another version was asked otherwise."""

UNTOLD: Mapping[Literal["en", "zh"], str] = {
    "en": "The documents do not tell.",
    "zh": "文件中没有说明。",
}
"""What a model writes where the passages hold no answer."""

_RULES: Mapping[Literal["en", "zh"], str] = {
    "en": "Answer from these passages only, and end each sentence with the number of its passage, "
    f"like [1]. If they hold no answer, write: {UNTOLD['en']}",
    "zh": "只根据下列段落回答，每句话后用[1]这样的编号注明段落。"
    f"段落里没有答案就写：{UNTOLD['zh']}",
}
_QUESTION: Mapping[Literal["en", "zh"], str] = {"en": "Question: ", "zh": "问题："}

TEMPLATE_TOKENS = 40
"""Room for what a chat template puts around a prompt and its answer; Qwen 2.5's takes 30."""

QUESTION_SHARE = 0.5
"""Of the budget beside the rules, that a question may take where passages want the rest."""

MARK = re.compile(r"[\[［【〔]\s*((?:/\s*)?\d+(?:\s*[,，、;；/-]\s*\d+)*)\s*[\]］】〕]")
_BLOCK = re.compile(r"^\[(\d+)\] (.*)\n((?:.*\n)*?)\[/\1\]$", re.MULTILINE)
_CONTROL = re.compile(
    r"<(?=[|｜]"
    r"|/?(?:s|bos|eos|pad|unk|mask|think|tool_call|tool_response|start_of_turn|end_of_turn)>)"
    r"|<(?=<SYS>>|</SYS>>)|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_\w+)\])",
    re.IGNORECASE,
)
"""Control tokens of llama, qwen, mistral, gemma, deepseek and phi; plain tags of HTML stay."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """A question as a model is asked it."""

    messages: tuple[Message, ...]
    passages: tuple[Passage, ...]
    """Those that are in it: the first is [1]. None, where not even a part of one had room."""
    shown: tuple[str, ...]
    """Of each passage the text that is in it: a beginning, where the budget cut it."""
    language: Literal["en", "zh"]
    """That the question is asked in, and the answer is wanted in."""


def language_of(question: str) -> Literal["en", "zh"]:
    """The language that a question is answered in."""
    return "zh" if has_han(question) else "en"


def make_prompt(
    question: str,
    passages: Sequence[Passage],
    context_tokens: int,
    count_tokens: Callable[[str], int],
) -> Prompt:
    """The prompt of at most `context_tokens`, the chat template's own tokens not counted.

    Passages are taken in the given order until the budget is spent; the last of them may be cut
    after one of its sentences, and within a sentence only where nothing else would be shown. A
    question that takes more than QUESTION_SHARE of what the rules leave is cut as well.

    Args:
        passages: best first.
        count_tokens: of a text, as the model will read it; an upper estimate will do.
    """
    language = language_of(question)
    rules = _RULES[language]
    room = context_tokens - count_tokens(rules + "\n\n")
    asked = _asked(question, language, int(room * QUESTION_SHARE), count_tokens)

    def content(shown: Sequence[str]) -> str:
        blocks = (
            block(number, passage, text)
            for number, (passage, text) in enumerate(zip(passages, shown, strict=False), start=1)
        )
        return "\n\n".join((rules, *blocks, asked))

    def fits(shown: Sequence[str]) -> bool:
        return count_tokens(content(shown)) <= context_tokens

    shown = _shown(passages, fits)
    return Prompt(
        messages=(Message(role="user", content=content(shown)),),
        passages=tuple(passages[: len(shown)]),
        shown=tuple(shown),
        language=language,
    )


def read_prompt(messages: Sequence[Message]) -> Prompt:
    """The prompt that messages were made as; its passages hold what was shown, by their numbers."""
    content = messages[-1].content
    language: Literal["en", "zh"] = "zh" if content.startswith(_RULES["zh"]) else "en"
    blocks = _BLOCK.findall(content)
    return Prompt(
        messages=tuple(messages),
        passages=tuple(
            Passage(
                id=number,
                document="",
                title=title,
                headings=(),
                text=text,
                language="other",
                position=place,
            )
            for place, (number, title, text) in enumerate(blocks)
        ),
        shown=tuple(text for _, _, text in blocks),
        language=language,
    )


def block(number: int, passage: Passage, text: str) -> str:
    """A passage, or the beginning of one, between its marks."""
    source = " › ".join(filter(None, (passage.title, *passage.headings)))
    line = as_data(" ".join(source.split()))
    return f"[{number}] {line}\n{as_data(text.strip())}\n[/{number}]"


def as_data(text: str) -> str:
    """The text with nothing in it that a model could take for a passage's mark or a control token.

    `[2]` becomes `(2)`; a control token gets a space after its first character.
    """
    return harmless(MARK.sub(r"(\1)", text))


def harmless(text: str) -> str:
    """The text with control tokens broken up: those that a chat template writes are its own."""
    return _CONTROL.sub(lambda match: f"{match[0]} ", text)


def marked(sentence: str, numbers: Sequence[int]) -> str:
    """A sentence of an answer, with the numbers of its passages as the rules ask for them."""
    gap = "" if has_han(sentence) else " "
    return sentence + "".join(
        f"{gap if place == 0 else ''}[{n}]" for place, n in enumerate(numbers)
    )


def unmarked(text: str) -> str:
    """The text without numbers of passages, and the space before them."""
    return re.sub(rf"[ \t]*{MARK.pattern}", "", text)


def _asked(
    question: str, language: Literal["en", "zh"], room: int, count_tokens: Callable[[str], int]
) -> str:
    said = as_data(" ".join(question.split()))
    longest = _most(len(said), lambda size: count_tokens(_QUESTION[language] + said[:size]) <= room)
    return _QUESTION[language] + said[:longest]


def _shown(passages: Sequence[Passage], fits: Callable[[Sequence[str]], bool]) -> list[str]:
    """The texts that fit: whole passages, then the beginning of the next one."""
    shown: list[str] = []
    for passage in passages:
        if not fits([*shown, passage.text]):
            return _with_beginning(shown, passage.text, fits)
        shown.append(passage.text)
    return shown


def _with_beginning(
    shown: list[str], text: str, fits: Callable[[Sequence[str]], bool]
) -> list[str]:
    ends = [span.end for span in sentences(text)]
    kept = _most(len(ends), lambda number: number == 0 or fits([*shown, text[: ends[number - 1]]]))
    if kept:
        return [*shown, text[: ends[kept - 1]]]
    if shown:
        return shown
    size = _most(len(text), lambda size: size == 0 or fits([text[:size]]))
    return [text[:size]] if text[:size].strip() else []


def _most(limit: int, holds: Callable[[int], bool]) -> int:
    """The largest number up to `limit` for which it holds, 0 where for none; by bisection.

    Tokens of a text and of a longer one are not strictly in order, so what is returned was tried.
    """
    if holds(limit):
        return limit
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
