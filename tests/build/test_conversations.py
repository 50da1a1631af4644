"""Training files of every known form become the same records, or an error that names the item."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.build import conversations as c
from flywheel.build.conversations import Training, read_training
from flywheel.errors import FileFormatError, SourceError
from flywheel.records import Conversation, ConversationPair, Message, to_json

CHAT = Path(__file__).parents[3] / "shared/data/chat"


def user(content: str) -> Message:
    return Message(role="user", content=content)


def assistant(content: str) -> Message:
    return Message(role="assistant", content=content)


def system(content: str) -> Message:
    return Message(role="system", content=content)


def of(*messages: Message) -> Conversation:
    return Conversation(messages=messages)


def write(path: Path, *items: Any, as_array: bool = False) -> Path:
    if as_array:
        path.write_text(json.dumps(items, indent=1), encoding="utf-8")
    else:
        path.write_text("\n".join(map(json.dumps, items)), encoding="utf-8")
    return path


def read(tmp_path: Path, *items: Any) -> Training:
    return read_training(write(tmp_path / "data.jsonl", *items))


QUESTION, ANSWER = user("How long does it charge?"), assistant("Six hours.")
TURNS = of(system("Be brief."), user("Hello"), assistant("Hi"), QUESTION, ANSWER)


@pytest.mark.parametrize(
    "item",
    [
        {
            "system": "Be brief.",
            "history": [["Hello", "Hi"]],
            "instruction": "How long",
            "input": "does it charge?",
            "output": "Six hours.",
        },
        {
            "system": "Be brief.",
            "conversations": [
                {"from": "human", "value": "Hello"},
                {"from": "gpt", "value": "Hi"},
                {"from": "human", "value": "How long\ndoes it charge?"},
                {"from": "gpt", "value": "Six hours."},
            ],
            "tools": "[]",
            "id": 7,
        },
        {
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Hi", "tool_calls": None},
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "How long\ndoes it charge?"}],
                },
                {"role": "assistant", "content": "Six hours."},
            ],
            "label": True,
        },
        {
            "system": "Be brief.",
            "prompt": [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Hi"},
                {"role": "user", "content": "How long\ndoes it charge?"},
            ],
            "completion": "Six hours.",
        },
    ],
    ids=["alpaca", "sharegpt", "messages", "completion"],
)
def test_one_conversation_in_every_form(tmp_path: Path, item: dict[str, Any]) -> None:
    turns = [*TURNS.messages[:3], user("How long\ndoes it charge?"), ANSWER]
    assert read(tmp_path, item) == Training(conversations=(of(*turns),))


@pytest.mark.parametrize(
    "item",
    [
        {"prompt": "How long?", "chosen": "Six hours.", "rejected": "Long."},
        {
            "prompt": [{"role": "user", "content": "How long?"}],
            "chosen": [{"role": "assistant", "content": "Six hours."}],
            "rejected": [{"role": "assistant", "content": "Long."}],
            "prompt_id": "x",
        },
        {
            "prompt": "How long?",
            "chosen": [
                {"role": "user", "content": "How long?"},
                {"role": "assistant", "content": "Six hours."},
            ],
            "rejected": [
                {"role": "user", "content": "How long?"},
                {"role": "assistant", "content": "Long."},
            ],
        },
        {
            "chosen": [
                {"role": "user", "content": "How long?"},
                {"role": "assistant", "content": "Six hours."},
            ],
            "rejected": [
                {"role": "user", "content": "How long?"},
                {"role": "assistant", "content": "Long."},
            ],
        },
        {
            "conversations": [{"from": "human", "value": "How long?"}],
            "chosen": {"from": "gpt", "value": "Six hours."},
            "rejected": {"from": "gpt", "value": "Long."},
        },
        {"instruction": "How long?", "input": "", "chosen": "Six hours.", "rejected": "Long."},
    ],
    ids=["texts", "messages", "prompt twice", "prompt within", "sharegpt", "alpaca"],
)
def test_one_preference_in_every_form(tmp_path: Path, item: dict[str, Any]) -> None:
    pair = ConversationPair(prompt=(user("How long?"),), chosen="Six hours.", rejected="Long.")
    assert read(tmp_path, item) == Training(pairs=(pair,))


def said(*turns: str) -> list[dict[str, str]]:
    return [{"from": turn.split(":")[0], "value": turn.split(":")[1]} for turn in turns]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"conversations": said("human:a", "function_call:{}", "observation:1", "gpt:b")}, c.TOOLS),
        ({"conversations": said("human:a", "gpt:I can only add."), "tools": '[{"x": 1}]'}, c.TOOLS),
        (
            {
                "messages": [
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
                ]
            },
            c.TOOLS,
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": "x"}]},
                    {"role": "assistant", "content": "A cat."},
                ]
            },
            c.NO_TEXT,
        ),
        ({"instruction": "a", "output": " "}, c.EMPTY),
        ({"instruction": "", "output": "a"}, c.EMPTY),
        ({"conversations": said("human:a", "gpt:b", "human:c")}, c.NO_ANSWER),
        ({"conversations": said("system:a")}, c.NO_ANSWER),
        ({"conversations": said("gpt:a", "human:b", "gpt:c")}, c.NO_QUESTION),
        ({"conversations": said("human:a", "human:b", "gpt:c")}, c.NO_TURNS),
        ({"conversations": said("human:a", "gpt:b"), "label": False}, c.RATED_BAD),
        ({"prompt": "a", "chosen": "b", "rejected": "b "}, c.SAME_REPLIES),
        ({"prompt": "a", "chosen": "b", "rejected": ""}, c.EMPTY),
        (
            {"chosen": said("human:a", "gpt:b"), "rejected": said("human:other", "gpt:c")},
            c.OTHER_PROMPT,
        ),
    ],
)
def test_what_teaches_nothing_is_skipped_with_its_reason(
    tmp_path: Path, item: dict[str, Any], reason: str
) -> None:
    training = read(tmp_path, {"instruction": "a", "output": "b"}, item)
    assert training.conversations == (of(user("a"), assistant("b")),)
    assert [(each.number, each.line, each.reason) for each in training.skipped] == [(2, 2, reason)]


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"text": "a"}, "its keys tell no known form; known: instruction/output, "),
        ({"instruction": "a"}, '"output" is missing'),
        ({"instruction": "a", "output": "b", "inputs": "c"}, 'did you mean "input"?'),
        ({"instruction": "a", "output": ["b"]}, '"output" is no text'),
        ({"instruction": "a", "output": "b", "history": ["c"]}, "[question, answer]"),
        ({"instruction": "a", "output": "b", "weight": 0}, '"weight" is no number'),
        ({"messages": []}, '"messages" is no list of messages'),
        ({"messages": ["a"]}, "message 1 of messages is not a JSON object"),
        ({"messages": [{"role": "user"}]}, '"content" is missing in message 1 of messages'),
        ({"messages": [{"role": "users", "content": "a"}]}, "unknown role 'users'; known: "),
        ({"messages": [{"role": "user", "content": 1}]}, "what it says is no text"),
        (
            {"messages": [{"role": "tool", "content": "x"}, {"role": "user"}]},
            '"content" is missing in message 2',
        ),
        ({"prompt": "a", "chosen": "b"}, '"rejected" is missing'),
        ({"chosen": "b", "rejected": "c"}, '"prompt" is missing'),
        ({"prompt": "a", "completion": "b", "label": "yes"}, '"label" is neither true nor false'),
        ([1], "not a JSON object"),
    ],
)
@pytest.mark.parametrize("as_array", [False, True])
def test_wrong_item_is_named_and_nothing_is_taken(
    tmp_path: Path, item: Any, problem: str, as_array: bool
) -> None:
    path = write(tmp_path / "data", {"instruction": "a", "output": "b"}, item, as_array=as_array)
    with pytest.raises(FileFormatError) as raised:
        read_training(path)
    assert problem in raised.value.problem
    assert raised.value.line == (6 if as_array else 2)
    if as_array or "JSON" not in problem:
        assert "item 2: " in raised.value.problem


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (b'[{"a": 1}\n{"b": 2}]', 1, 'not followed by "," or "]"'),
        (b'[{"instruction": "a",\n"output": "b"},\n\n]', 4, "not a JSON object"),
        (b'[{"instruction": "a", "output": "b"}', 1, "not followed by"),
        (b'[{"instruction": "a", "output": "b"}] x', 1, "text after the end"),
        (b'{"a": 1, "a": 2}', 1, "a key stands twice"),
        (b'[{"a": 1, "a": 2}]', 1, "a key stands twice"),
        (b'\n{"a": "\\ud83d"}', 2, "half a character"),
        (b'{"a": 1}\n{"a": "\xff"}', 2, "not UTF-8"),
        (b"[" * 100_000, 1, "not a JSON object"),
    ],
)
def test_broken_file_is_named_by_line(tmp_path: Path, text: bytes, line: int, problem: str) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(text)
    with pytest.raises(FileFormatError) as raised:
        read_training(path)
    assert (raised.value.line, problem in raised.value.problem) == (line, True)


def test_file_that_is_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        read_training(tmp_path / "none.json")
    for text in ("", " \n", "[ ]"):
        (tmp_path / "empty.json").write_text(text)
        with pytest.raises(SourceError, match="holds nothing to learn from"):
            read_training(tmp_path / "empty.json")


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    line = json.dumps({"instruction": "a", "output": "b"}).encode()
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + line + b"\r\n\r\n" + line + b"\r\n")
    assert len(read_training(path).conversations) == 2


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
exchanges = st.lists(st.tuples(texts, texts), min_size=1, max_size=3)


def spoken(opening: str, turns: list[tuple[str, str]]) -> Conversation:
    said = [each for asked, told in turns for each in (user(asked), assistant(told))]
    return of(*([system(opening)] if opening else []), *said)


def as_alpaca(opening: str, turns: list[tuple[str, str]]) -> dict[str, Any]:
    (asked, told), earlier = turns[-1], [list(turn) for turn in turns[:-1]]
    return {"system": opening, "instruction": asked, "output": told, "history": earlier}


def as_sharegpt(opening: str, turns: list[tuple[str, str]]) -> dict[str, Any]:
    said = [(who, text) for turn in turns for who, text in zip(("human", "gpt"), turn, strict=True)]
    return {"system": opening, "conversations": [{"from": f, "value": v} for f, v in said]}


def as_messages(opening: str, turns: list[tuple[str, str]]) -> dict[str, Any]:
    return to_json(spoken(opening, turns))


@given(st.just("") | texts, exchanges, st.booleans())
@pytest.mark.parametrize("form", [as_alpaca, as_sharegpt, as_messages])
def test_conversation_comes_back_whole(
    tmp_path_factory: pytest.TempPathFactory,
    form: Callable[[str, list[tuple[str, str]]], dict[str, Any]],
    opening: str,
    turns: list[tuple[str, str]],
    as_array: bool,
) -> None:
    path = tmp_path_factory.getbasetemp() / "conversation.json"
    write(path, form(opening, turns), form("", turns), as_array=as_array)
    expected = (spoken(opening, turns), spoken("", turns))
    assert read_training(path) == Training(conversations=expected)


@given(exchanges, texts, st.floats(0, 1, exclude_min=True))
def test_preference_comes_back_whole(
    tmp_path_factory: pytest.TempPathFactory,
    turns: list[tuple[str, str]],
    other: str,
    weight: float,
) -> None:
    *prompt, last = spoken("", turns).messages
    rejected = other + last.content.strip() + "!"
    pair = ConversationPair(
        prompt=tuple(prompt), chosen=last.content, rejected=rejected, weight=weight
    )
    path = write(tmp_path_factory.getbasetemp() / "pair.json", to_json(pair))
    assert read_training(path) == Training(pairs=(pair,))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "type", "text"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
keys = st.sampled_from([*c._KEYS, "other"])


@given(st.lists(st.dictionaries(keys, json_values, max_size=4), min_size=1, max_size=2))
def test_whatever_stands_in_a_file_is_read_skipped_or_named(
    tmp_path_factory: pytest.TempPathFactory, items: list[dict[str, Any]]
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "any.json", *items)
    try:
        training = read_training(path)
    except FileFormatError as error:
        assert "item " in error.problem
    else:
        taken = len(training.conversations) + len(training.pairs) + len(training.skipped)
        assert taken == len(items)


@pytest.mark.parametrize(
    ("name", "num_conversations", "num_pairs", "skipped"),
    [
        ("alpaca_en_demo", 999, 0, {}),
        ("alpaca_zh_demo", 1000, 0, {}),
        ("dpo_en_demo", 0, 300, {}),
        ("dpo_zh_demo", 0, 300, {}),
        ("glaive_toolcall_en_demo", 109, 0, {c.TOOLS: 191}),
        ("glaive_toolcall_zh_demo", 100, 0, {c.TOOLS: 200}),
        ("kto_en_demo", 150, 0, {c.RATED_BAD: 150}),
    ],
)
def test_real_files_are_read_whole(
    name: str, num_conversations: int, num_pairs: int, skipped: dict[str, int]
) -> None:
    path = CHAT / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    training = read_training(path)
    assert len(training.conversations) == num_conversations
    assert len(training.pairs) == num_pairs
    assert Counter(each.reason for each in training.skipped) == skipped
