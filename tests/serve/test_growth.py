"""Texts that are to take long: what a question goes through grows about as its length does.

Eight times the text may take three times as much as its share, in the CPU time of the thread, so
that it does not matter how busy the machine is; what grows by the square takes eight times as much.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.serve.whole import Whole, whole

from flywheel.answer import quote, support, write
from flywheel.answer.conversation import standalone
from flywheel.answer.prompt import make_prompt
from flywheel.collect import privacy
from flywheel.evaluate.text import normalise
from flywheel.learn.feedback import normal_form
from flywheel.moderation.words import Phrase, WordLists
from flywheel.records import Message
from flywheel.search import wording
from flywheel.search.terms import fold, term_ids
from flywheel.serve import cache, ending
from flywheel.serve.bodies import checked_json
from flywheel.serve.errors import ApiError
from flywheel.serve.openai import MAX_QUESTION_CHARS

SHORT, TIMES = 1_000, 8
NOTICED_SECONDS = 0.01
LISTS = WordLists([Phrase(category="threats", text="bomb"), Phrase(category="侮辱", text="笨蛋")])

PIECES = (
    "a", "A ", " ", "\t", "\n", "1", "1,", "1 ", "1-", "1/", "1:", ".", "a.", ". ", "a@", "a@b.",
    "+86 138", "GB82 WEST ", "11010519491231002", "2020-01-", "(", "[", "([{", ")]}", "[1]", "[1,",
    "[ ", "<|", "<think>", "http://a.", "|", "\"'", "n't ", "not ", "who ", "1kw", "-", "_", "车",
    "一", "第一条", "不", "，", "。", "１", "\u0661", "e\u0301", "\u200b", "😀", "\u3000",
    "child lock ",
)  # fmt: skip


def prompted(text: str) -> None:
    make_prompt(text, (), 4_000, len)


def followed_up(text: str) -> None:
    said = [Message(role="user", content="Where is it?"), Message(role="assistant", content=text)]
    standalone([*said, Message(role="user", content="And in winter?")])
    standalone([Message(role="user", content=text), Message(role="user", content=text)])


STEPS: dict[str, Callable[[str], object]] = {
    "fold": fold,
    "terms": term_ids,
    "wording": wording.read,
    "cache": cache._marks,
    "follow-up": followed_up,
    "personal data": privacy.find,
    "moderation": LISTS.find,
    "prompt": prompted,
    "sentences": quote.sentences,
    "a model's sentences": write._split,
    "a model's words": write._spoken,
    "numbers": support.numbers.__wrapped__,
    "denials": support._denied.__wrapped__,
    "ending": ending.num_tokens,
    "corrections": normal_form,
    "evidence": normalise.__wrapped__,
}


def texts(size: int) -> dict[str, str]:
    """A text of each kind: a piece again and again, and a few with another end."""
    found = {piece: (piece * (size // len(piece) + 1))[:size] for piece in PIECES}
    return found | {
        f"{start}…": start + piece * (size // len(piece))
        for start in ("[1", "x", "<think>")
        for piece in (" ", "\n", ",1")
    }


def seconds(step: Callable[[str], object], text: str) -> float:
    """The CPU time, the best of two."""
    taken = []
    for _ in range(2):
        started = time.thread_time()
        step(text)
        taken.append(time.thread_time() - started)
    return min(taken)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_grows_about_as_the_text_does(name: str) -> None:
    step = STEPS[name]
    short, long = texts(SHORT), texts(SHORT * TIMES)
    step("warm up 1")
    for piece, text in long.items():
        taken = seconds(step, text)
        if taken > NOTICED_SECONDS:
            least = max(seconds(step, short[piece]), NOTICED_SECONDS / TIMES)
            assert taken < 3 * TIMES * least, (name, piece, taken, least)


@pytest.mark.parametrize(
    "make",
    [
        lambda size: b'"' + b"\\\\" * (size // 2) + b'"',
        lambda size: b'"' + b'\\"' * (size // 2) + b'"',
        lambda size: b'["' + b'","' * (size // 3) + b'"]',
        lambda size: b'"' + b"[{" * (size // 2) + b'"',
        lambda size: b"[" + b"1e9," * (size // 4) + b"1]",
        lambda size: b"[" + b"1" * 60 + (b"," + b"1" * 60) * (size // 61) + b"]",
        lambda size: b'"' + (b"1" * 60 + b" ") * (size // 61) + b"[" * 65 + b'"',
        lambda size: b" " * size + b"1",
        lambda size: b'"' + b"\\u0000" * (size // 6) + b'"',
    ],
    ids=range(9),
)
def test_what_looks_at_json_grows_about_as_it_does(make: Callable[[int], bytes]) -> None:
    def look(text: str) -> None:
        with suppress(ApiError):
            checked_json(text.encode())

    long = seconds(look, make(800_000).decode())
    if long > 5 * NOTICED_SECONDS:
        assert long < 3 * TIMES * max(seconds(look, make(100_000).decode()), NOTICED_SECONDS)


@pytest.fixture(scope="module")
def served(_built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    root = tmp_path_factory.mktemp("growth") / "workspace"
    shutil.copytree(_built.with_name("kept") / "workspace", root)
    with whole(root, "[serve]\nrequests_per_minute = 100000\n") as served:
        yield served


def test_the_longest_questions_of_each_kind_are_answered(served: Whole) -> None:
    with served.client() as client:
        for text in texts(MAX_QUESTION_CHARS - 100).values():
            question = f"Where is the child lock? 儿童锁在哪里？ {text}"[:MAX_QUESTION_CHARS]
            messages = [{"role": "user", "content": question}]
            body = {"model": "flywheel", "messages": messages}
            assert client.post("/v1/chat/completions", json=body).status_code == 200
        for text in ("a" * 200_000, "锁" * 60_000, "(" * 200_000):
            body = {"model": "flywheel", "messages": [{"role": "user", "content": text}]}
            refused = client.post("/v1/chat/completions", json=body)
            assert refused.json()["error"]["code"] == "context_length_exceeded"
