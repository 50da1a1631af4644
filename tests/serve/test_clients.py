"""The clients that people have, unchanged: openai, LangChain and llm, against the real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from flywheel.engine.fake import FakeEngine
from flywheel.records import Role

if TYPE_CHECKING:
    from tests.serve.conftest import Served

QUESTION, TOLD = "Where is the child lock?", "edge of each rear door"
FRAGE, GESAGT = "儿童锁在哪里？", "后车门的边缘"


def client(served: Served, role: Role = "asker") -> OpenAI:
    return OpenAI(base_url=served.base_url, api_key=served.secrets[role], max_retries=0)


@pytest.mark.parametrize(("question", "told"), [(QUESTION, TOLD), (FRAGE, GESAGT)])
def test_openai_is_answered_with_citations(served: Served, question: str, told: str) -> None:
    with client(served) as asking:
        reply = asking.chat.completions.create(
            model="flywheel", messages=[{"role": "user", "content": question}]
        )
    (choice,) = reply.choices
    assert told in (choice.message.content or "")
    assert choice.finish_reason == "stop"
    about: dict[str, Any] = choice.model_extra["flywheel"]  # type: ignore[index]
    assert about["kind"] == "answer" and about["citations"][0]["quote"]
    assert reply.usage and reply.usage.completion_tokens > 5


@pytest.mark.parametrize(("question", "told"), [(QUESTION, TOLD), (FRAGE, GESAGT)])
def test_openai_streams(served: Served, question: str, told: str) -> None:
    with client(served) as asking:
        chunks = list(
            asking.chat.completions.create(
                model="flywheel",
                messages=[{"role": "user", "content": question}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    text = "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
    assert told in text
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [each.choices[0].finish_reason for each in chunks if each.choices][-1] == "stop"
    assert chunks[-1].usage and chunks[-1].usage.total_tokens > 5


def test_openai_parses_a_stream_into_one_answer(served: Served) -> None:
    with (
        client(served) as asking,
        asking.chat.completions.stream(
            model="flywheel", messages=[{"role": "user", "content": QUESTION}]
        ) as stream,
    ):
        final = stream.get_final_completion()
    assert TOLD in (final.choices[0].message.content or "")


def test_async_openai_asks_several_questions_at_once(served: Served) -> None:
    async def ask() -> list[str]:
        async with AsyncOpenAI(
            base_url=served.base_url, api_key=served.secrets["asker"], max_retries=0
        ) as asking:

            async def one(question: str) -> str:
                reply = await asking.chat.completions.create(
                    model="flywheel", messages=[{"role": "user", "content": question}]
                )
                return reply.choices[0].message.content or ""

            return await asyncio.gather(*map(one, [QUESTION, FRAGE] * 4))

    told = asyncio.run(ask())
    assert all(TOLD in each for each in told[::2])
    assert all(GESAGT in each for each in told[1::2])


def test_openai_resolves_a_follow_up(served: Served) -> None:
    with client(served) as asking:
        reply = asking.chat.completions.create(
            model="flywheel",
            messages=[
                {"role": "user", "content": "What is the tyre pressure?"},
                {"role": "assistant", "content": "2.4 bar in front."},
                {"role": "user", "content": "And in winter?"},
            ],
        )
    assert "0.2 bar higher" in (reply.choices[0].message.content or "")


def test_openai_gets_several_candidates(served: Served) -> None:
    with client(served) as asking:
        reply = asking.chat.completions.create(
            model="flywheel",
            n=3,
            messages=[{"role": "user", "content": "Where is the window lock button?"}],
        )
    texts = [each.message.content for each in reply.choices]
    assert [each.index for each in reply.choices] == list(range(len(texts)))
    assert 1 < len(texts) <= 3 and len(set(texts)) == len(texts)


def test_openai_ends_at_stop_texts_and_at_most_tokens(served: Served) -> None:
    with client(served) as asking:
        ask = asking.chat.completions.create
        messages: Any = [{"role": "user", "content": QUESTION}]
        stopped = ask(model="flywheel", messages=messages, stop=["rear"]).choices[0]
        cut = ask(model="flywheel", messages=messages, max_tokens=4).choices[0]
        chunks = list(ask(model="flywheel", messages=messages, max_tokens=4, stream=True))
    assert (stopped.message.content or "").endswith("edge of each ")
    assert (cut.finish_reason, stopped.finish_reason) == ("length", "stop")
    streamed = "".join(each.choices[0].delta.content or "" for each in chunks)
    assert streamed == cut.message.content
    assert chunks[-1].choices[0].finish_reason == "length"


def test_openai_lists_models_champion_first(served: Served) -> None:
    with client(served) as asking:
        listed = [each.id for each in asking.models.list()]
        assert listed[:2] == ["flywheel", "flywheel-1"]
        assert asking.models.retrieve("flywheel").owned_by == "flywheel"
        with pytest.raises(openai.NotFoundError):
            asking.models.retrieve("flywheel-99")


def test_openai_asks_a_version_by_its_number(served: Served) -> None:
    with client(served) as asking:
        reply = asking.chat.completions.create(
            model="flywheel-1", messages=[{"role": "user", "content": QUESTION}]
        )
        assert TOLD in (reply.choices[0].message.content or "")
        with pytest.raises(openai.NotFoundError, match="no version 7"):
            asking.chat.completions.create(
                model="flywheel-7", messages=[{"role": "user", "content": QUESTION}]
            )


@pytest.mark.parametrize(
    ("change", "error", "param"),
    [
        ({"model": "gpt-4o"}, openai.NotFoundError, "model"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"temperature": 9}, openai.BadRequestError, "temperature"),
        ({"extra_body": {"tempreature": 1}}, openai.BadRequestError, "tempreature"),
        ({"logprobs": True}, openai.BadRequestError, "logprobs"),
    ],
)
def test_openai_is_told_what_is_wrong(
    served: Served, change: dict[str, Any], error: type[openai.APIStatusError], param: str
) -> None:
    asked: dict[str, Any] = {
        "model": "flywheel",
        "messages": [{"role": "user", "content": QUESTION}],
    }
    with client(served) as asking, pytest.raises(error) as told:
        create: Any = asking.chat.completions.create
        create(**(asked | change))
    assert told.value.param == param


def test_openai_is_told_that_a_key_lets_nobody_in(served: Served) -> None:
    with (
        OpenAI(base_url=served.base_url, api_key="fw-guessed", max_retries=0) as asking,
        pytest.raises(openai.AuthenticationError) as told,
    ):
        asking.models.list()
    assert told.value.code == "invalid_api_key"


def test_openai_retries_when_told_to_come_again(serve: Callable[[str], Served]) -> None:
    served = serve("[serve]\nrequests_per_minute = 60\n")
    with OpenAI(base_url=served.base_url, api_key=served.secrets["asker"], max_retries=3) as asking:
        for _ in range(12):  # ten at once, and one each second
            asking.models.list()
    with client(served) as asking, pytest.raises(openai.RateLimitError) as told:
        for _ in range(12):
            asking.models.list()
    assert float(told.value.response.headers["Retry-After"]) >= 1


class Bare:
    """A served workspace whose engine is a fake one."""

    def __init__(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        self.served = served
        self.engine = FakeEngine(lambda request: "The child lock is at the rear door.")
        monkeypatch.setattr("flywheel.wheel.bare.writer", lambda workspace: {"fake": True})
        monkeypatch.setattr("flywheel.wheel.bare.engine", lambda workspace: self.engine)


@pytest.fixture
def bare(served: Served, monkeypatch: pytest.MonkeyPatch) -> Bare:
    return Bare(served, monkeypatch)


def test_curator_talks_to_the_bare_model(bare: Bare) -> None:
    with client(bare.served, "curator") as asking:
        assert "flywheel-bare" in [each.id for each in asking.models.list()]
        said: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "?"}]
        reply = asking.chat.completions.create(
            model="flywheel-bare",
            messages=said,
            n=2,
            logprobs=True,
            top_logprobs=1,
            max_tokens=4,
            seed=7,
            temperature=0.5,
        )
    texts = [each.message.content for each in reply.choices]
    assert len(texts) == 2 and "The" in (texts[0] or "")
    assert reply.choices[0].finish_reason == "length"
    logprobs = reply.choices[0].logprobs
    assert logprobs and logprobs.content and logprobs.content[0].top_logprobs[0].token == "The"
    asked = bare.engine.requests[-1]
    assert (asked.sampling.seed, asked.sampling.temperature, asked.num_choices) == (7, 0.5, 2)
    assert asked.messages[0].role == "system"


def test_bare_model_keeps_to_a_schema(bare: Bare) -> None:
    schema = {"type": "object", "properties": {"place": {"type": "string"}}}
    bare.engine.queue('{"place": "rear door"}')
    form: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}
    with client(bare.served, "curator") as asking:
        reply = asking.chat.completions.create(
            model="flywheel-bare",
            messages=[{"role": "user", "content": "?"}],
            response_format=form,
        )
    assert json.loads(reply.choices[0].message.content or "") == {"place": "rear door"}
    assert bare.engine.requests[-1].json_schema == schema


def test_bare_model_continues_a_text(bare: Bare) -> None:
    with client(bare.served, "curator") as asking:
        whole = asking.completions.create(model="flywheel-bare", prompt="Once ", logprobs=1)
        chunks = list(asking.completions.create(model="flywheel-bare", prompt="x", stream=True))
    assert whole.choices[0].text == "The child lock is at the rear door."
    assert whole.choices[0].logprobs and whole.choices[0].logprobs.tokens
    assert "".join(each.choices[0].text for each in chunks) == whole.choices[0].text
    assert bare.engine.requests[0].prompt == "Once "


def test_bare_model_is_not_for_askers(bare: Bare) -> None:
    with client(bare.served) as asking:
        assert "flywheel-bare" not in [each.id for each in asking.models.list()]
        with pytest.raises(openai.PermissionDeniedError):
            asking.completions.create(model="flywheel-bare", prompt="Once ")


def test_moderations_are_parsed(served: Served) -> None:
    with client(served) as asking:
        reply = asking.moderations.create(input=["Where is the child lock?", "儿童锁在哪里？"])
    assert [each.flagged for each in reply.results] == [False, False]


def test_langchain_answers_and_streams(served: Served) -> None:
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    async def ask() -> list[str]:
        async with httpx.AsyncClient() as http:
            with httpx.Client() as plain:
                chat = ChatOpenAI(
                    model="flywheel",
                    base_url=served.base_url,
                    api_key=SecretStr(served.secrets["asker"]),
                    max_retries=0,
                    http_client=plain,
                    http_async_client=http,
                )
                whole = await asyncio.to_thread(chat.invoke, QUESTION)
                streamed = await asyncio.to_thread(lambda: list(chat.stream(FRAGE)))
                awaited = await chat.ainvoke(QUESTION)
        return [str(whole.content), "".join(str(e.content) for e in streamed), str(awaited.content)]

    whole, streamed, awaited = asyncio.run(ask())
    assert TOLD in whole and TOLD in awaited
    assert GESAGT in streamed


def test_llm_answers(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: flywheel\n  model_name: flywheel\n  api_base: {served.base_url}\n"
        "  api_key_name: flywheel\n",
        encoding="utf-8",
    )
    keys = {"flywheel": served.secrets["asker"]}
    (tmp_path / "keys.json").write_text(json.dumps(keys), encoding="utf-8")
    import llm

    model = llm.get_model("flywheel")
    assert TOLD in model.prompt(QUESTION, stream=False).text()
    assert GESAGT in "".join(model.prompt(FRAGE, stream=True))
