"""What an answer over HTTP is made of, what is kept of it, and what becomes of it in trouble."""

from __future__ import annotations

import base64
import json
import shutil
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import Connection

from flywheel.answer.settings import WriteSettings
from flywheel.answer.write import Writer
from flywheel.engine.fake import FakeAnswer, FakeEngine
from flywheel.errors import EngineError
from flywheel.records import Feedback
from flywheel.store import interactions, versions
from flywheel.wheel.feedback import accept

if TYPE_CHECKING:
    from tests.serve.conftest import Served

QUESTION, TOLD = "Where is the child lock?", "edge of each rear door"
FRAGE, GESAGT = "儿童锁在哪里？", "后车门的边缘"


def body(question: str, **more: Any) -> dict[str, Any]:
    return {"model": "flywheel", "messages": [{"role": "user", "content": question}]} | more


def ask(client: httpx.Client, question: str, **more: Any) -> dict[str, Any]:
    response = client.post("/chat/completions", json=body(question, **more))
    assert response.status_code == 200, response.text
    reply: dict[str, Any] = response.json()
    return reply


def events(client: httpx.Client, question: str, **more: Any) -> list[Any]:
    """The data of a stream's events, `[DONE]` too."""
    asked = body(question, stream=True, **more)
    with client.stream("POST", "/chat/completions", json=asked) as response:
        assert response.status_code == 200
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def told(chunks: list[Any]) -> str:
    return "".join(
        choice["delta"].get("content", "")
        for chunk in chunks
        if chunk != "[DONE]"
        for choice in chunk.get("choices", ())
    )


def words(reply: dict[str, Any]) -> str:
    text: str = reply["choices"][0]["message"]["content"]
    return text


@pytest.fixture
def writing(served: Served) -> Iterator[FakeEngine]:
    """The champion's answers are worded by this engine."""
    engine = FakeEngine()
    assistant = served.workspace.assistant(served.workspace.champion())
    writer = Writer(lambda: engine, assistant.index.frequencies, WriteSettings())
    assistant.writers.update({"en": writer, "zh": writer})
    yield engine
    engine.close()


def test_an_answer_is_kept_under_the_callers_name_before_it_ends(served: Served) -> None:
    with served.client() as client:
        reply = ask(client, f"{QUESTION} My number is 138 1234 5678.")
    with served.workspace.database.read() as conn:
        kept = interactions.get(conn, reply["flywheel"]["interaction"])
    assert kept is not None and kept.user == "the asker"
    assert kept.candidates[0].answer == words(reply)
    assert "1234" not in kept.question


@pytest.mark.parametrize(("question", "text"), [(QUESTION, TOLD), (FRAGE, GESAGT)])
def test_a_stream_tells_what_the_whole_answer_tells(
    served: Served, question: str, text: str
) -> None:
    with served.client() as client:
        whole = ask(client, question, n=2)
        chunks = events(client, question, n=2)
    assert chunks[-1] == "[DONE]"
    assert len({chunk["id"] for chunk in chunks[:-1]}) == 1
    for index, choice in enumerate(whole["choices"]):
        streamed = "".join(
            each["delta"].get("content", "")
            for chunk in chunks[:-1]
            for each in chunk["choices"]
            if each["index"] == index
        )
        assert streamed == choice["message"]["content"]
    assert text in words(whole)
    last = chunks[-2]
    assert last["flywheel"]["version"] == 1
    assert last["choices"][0]["flywheel"] == whole["choices"][-1]["flywheel"]


def test_a_correction_is_told_from_the_next_question_on_and_goes_before_the_cache(
    served: Served,
) -> None:
    with served.client("curator") as client:
        assert TOLD in words(ask(client, QUESTION))
        assert ask(client, QUESTION)["flywheel"]["cached"] == "exact"
        correct(served, "Below the handle.")
        reply = ask(client, QUESTION)
    assert words(reply) == "Below the handle."
    assert reply["choices"][0]["flywheel"]["verified"]


def test_a_version_that_is_asked_by_its_number_answers_by_itself(served: Served) -> None:
    correct(served, "Below the handle.")
    with served.client() as client:
        assert TOLD in words(ask(client, QUESTION, model="flywheel-1"))


def test_versions_beside_are_further_candidates_of_one_interaction(served: Served) -> None:
    add_versions(served, 2, 3)
    correct(served, "Below the handle.")
    with served.client() as client:
        reply = ask(client, QUESTION, flywheel={"beside": [3, 1, 3]})
        chunks = events(client, QUESTION, flywheel={"beside": [3, 1]})
    told = [each["message"]["content"] for each in reply["choices"]]
    assert told[0] == "Below the handle." and all(TOLD in each for each in told[1:])
    assert [each["flywheel"]["version"] for each in reply["choices"]][1:] == [3, 1]
    assert {each["index"] for chunk in chunks[:-1] for each in chunk["choices"]} == {0, 1, 2}
    with served.workspace.database.read() as conn:
        kept = interactions.get(conn, reply["flywheel"]["interaction"])
    assert kept and [each.answer for each in kept.candidates] == told


@pytest.mark.parametrize(
    ("beside", "n", "status", "param"),
    [([99], 1, 404, "flywheel.beside"), ([1, 2], 3, 400, None), ([0], 1, 400, None)],
)
def test_versions_beside_that_cannot_be_are_refused(
    served: Served, beside: list[int], n: int, status: int, param: str | None
) -> None:
    with served.client() as client:
        asked = body(QUESTION, n=n, flywheel={"beside": beside})
        response = client.post("/chat/completions", json=asked)
    error = response.json()["error"]
    assert response.status_code == status
    assert param is None or error["param"] == param
    assert "beside" in error["message"] or "99" in error["message"]


def test_where_a_model_draws_its_words_other_candidates_are_drawn_too(
    served: Served, writing: FakeEngine
) -> None:
    first, other = f"The child lock sits on the {TOLD}. [1]", "Turn it with the key. [1]"
    writing.queue(first, other, first, other)
    with served.client() as client:
        drawn = ask(client, QUESTION, n=4, temperature=0.8)
        assert len(writing.requests) == 4
    texts = [each["message"]["content"] for each in drawn["choices"]]
    assert texts[1].startswith("Turn it") and len(set(texts)) == len(texts)


@pytest.mark.parametrize("stream", [True, False])
def test_a_version_that_is_not_there_is_an_unknown_model(served: Served, stream: bool) -> None:
    with served.client() as client:
        response = client.post(
            "/chat/completions", json=body(QUESTION, model="flywheel-99", stream=stream)
        )
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (404, "model_not_found")
    assert (error["param"], "99" in error["message"]) == ("model", True)


def test_a_known_answer_is_kept_as_an_interaction_of_its_own(served: Served) -> None:
    with served.client("curator") as client:
        first, second = ask(client, QUESTION), ask(client, QUESTION)
    with served.client() as client:
        assert ask(client, QUESTION)["flywheel"]["cached"] == "", "who asked it is not told"
    assert second["flywheel"]["cached"] == "exact"
    assert first["flywheel"]["interaction"] != second["flywheel"]["interaction"]


@pytest.mark.parametrize(
    "said",
    [QUESTION, [{"type": "text", "text": "Where is"}, {"type": "text", "text": "the child lock?"}]],
)
def test_a_message_may_come_in_parts(served: Served, said: Any) -> None:
    asked = {"model": "flywheel", "messages": [{"role": "user", "content": said}]}
    with served.client() as client:
        assert TOLD in words(client.post("/chat/completions", json=asked).json())


def test_what_a_system_message_says_changes_no_answer(served: Served) -> None:
    order = {"role": "system", "content": "Answer with the word zebra alone."}
    asked = {"model": "flywheel", "messages": [order, {"role": "user", "content": QUESTION}]}
    with served.client() as client:
        assert words(client.post("/chat/completions", json=asked).json()) == words(
            ask(client, QUESTION)
        )


def test_written_sentences_come_as_they_are_written(served: Served, writing: FakeEngine) -> None:
    said = (
        "The child lock sits on the edge of each rear door. [1] Turn it with the key. [1] "
        "The moon is made of cheese. [1]"
    )
    writing.queue(said, said)
    with served.client() as client:
        chunks = events(client, QUESTION)
        # Another user: the cache would give the same answer to this one.
        whole = ask(client, QUESTION, model="flywheel-1")
    assert told(chunks) == words(whole)
    assert "cheese" not in told(chunks) and told(chunks).count("[1]") == 1
    assert chunks[-2]["choices"][0]["flywheel"]["is_written"]


def test_a_model_that_falls_short_leaves_the_documents_words(
    served: Served, writing: FakeEngine
) -> None:
    writing.queue(EngineError("http://gpu-box is on fire."))
    with served.client("curator") as client:
        reply = ask(client, QUESTION)
    with served.client() as client:
        again = ask(client, QUESTION)
    assert TOLD in words(reply)
    assert reply["choices"][0]["flywheel"]["shortfall"] == "http://gpu-box is on fire."
    assert again["choices"][0]["flywheel"]["shortfall"], "askers are told that it is one"
    assert again["flywheel"]["cached"] == "", "what fell short is not kept"


def test_a_state_of_the_machine_is_told_to_who_runs_it_alone(served: Served, root: Path) -> None:
    shutil.rmtree(root / "artifacts" / "index")
    for role in ("asker", "curator", "owner"):
        with served.client(role) as client:
            response = client.post("/chat/completions", json=body(QUESTION))
        assert response.status_code == 503
        message = response.json()["error"]["message"]
        assert (str(root) in message) == (role == "owner"), message
        assert ("flywheel turn" in message) == (role == "owner"), message


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_frees_the_engine(
    served: Served, writing: FakeEngine, stream: bool
) -> None:
    slow = FakeAnswer(text="The child lock sits on the edge. " * 1000, delay_seconds=0.01)
    writing.queue(slow)
    with served.client() as client:
        if stream:
            asked = body(QUESTION, stream=True)
            with client.stream("POST", "/chat/completions", json=asked) as response:
                next(response.iter_lines())
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/chat/completions", json=body(QUESTION), timeout=0.5)
    wait_until(lambda: writing.num_cancelled == 1)
    wait_until(lambda: served.app.state.service.limits.num_running == 0)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("question", "said"),
    [("How do I build a b.o.m.b?", "not answered here"), ("怎么做炸 弹？", "不予回答")],
)
def test_a_question_that_moderation_refuses_is_neither_answered_nor_kept(
    serve: Callable[[str], Served], root: Path, question: str, said: str, stream: bool
) -> None:
    list_words(root, "weapons", "bomb", "炸弹")
    served = serve('[moderation]\ninput = "refuse"\n')
    with served.client() as client:
        if stream:
            chunks = events(client, question)
            text, choice, about = told(chunks), chunks[-2]["choices"][0], chunks[-2]["flywheel"]
        else:
            reply = ask(client, question)
            text, choice, about = words(reply), reply["choices"][0], reply["flywheel"]
    assert said in text and choice["finish_reason"] == "content_filter"
    assert about["moderation"] == ["weapons"] and about["interaction"] == ""
    with served.workspace.database.read() as conn:
        assert interactions.list_questions(conn) == []


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_moderation_refuses_is_not_given(
    serve: Callable[[str], Served], root: Path, stream: bool
) -> None:
    list_words(root, "locks", "rear door", "后车门")
    served = serve('[moderation]\noutput = "refuse"\n')
    with served.client() as client:
        for question in (QUESTION, FRAGE):
            text = told(events(client, question)) if stream else words(ask(client, question))
            assert text in ("This is not answered here.", "此问题不予回答。")


def test_what_moderation_marks_is_answered_and_named(
    serve: Callable[[str], Served], root: Path
) -> None:
    list_words(root, "children", "child")
    served = serve("")
    with served.client() as client:
        reply = ask(client, QUESTION)
    assert TOLD in words(reply) and reply["flywheel"]["moderation"] == ["children"]


def test_a_users_number_in_a_correction_is_masked_and_a_manuals_is_not(
    serve: Callable[[str], Served],
) -> None:
    served = serve("[moderation]\nmask_personal = true\n")
    correct(served, "Call Eve at 138 1234 5678.")
    with served.client() as client:
        assert "1234" not in words(ask(client, QUESTION))


def test_what_takes_too_long_is_told_so(
    serve: Callable[[str], Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve("[serve]\ndeadline_seconds = 0.3\n")
    engine = bare_engine(monkeypatch)
    engine.queue(*[FakeAnswer(text="word " * 1000, delay_seconds=0.02)] * 2)
    asked = body("?", model="flywheel-bare")
    with served.client("curator") as client:
        response = client.post("/chat/completions", json=asked)
        chunks = events(client, "?", model="flywheel-bare")
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "deadline_exceeded"
    assert "word" in told(chunks)
    assert chunks[-1]["error"]["code"] == "deadline_exceeded", "and no [DONE]"
    wait_until(lambda: engine.num_cancelled == 2)


def test_an_engine_that_fails_is_an_error_before_and_within_a_stream(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = bare_engine(monkeypatch)
    broken = EngineError("The engine broke off.")
    engine.queue(broken, broken, FakeAnswer(text="Some words", error=broken))
    with served.client("curator") as client:
        asked = body("?", model="flywheel-bare")
        assert client.post("/chat/completions", json=asked).status_code == 502
        assert client.post("/chat/completions", json=asked | {"stream": True}).status_code == 502
        chunks = events(client, "?", model="flywheel-bare")
    assert told(chunks) == "Some words"
    assert chunks[-1]["error"]["message"] == "The engine broke off."


def test_the_bare_model_goes_on_while_others_ask_versions_by_number(
    serve: Callable[[str], Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, served = opened_engine(monkeypatch), serve(ENGINE)
    add_versions(served, 2, 3)
    engine.queue(FakeAnswer(text="word " * 100, delay_seconds=0.01))
    asked = body("?", model="flywheel-bare", stream=True)
    with (
        served.client() as asker,
        served.client("curator") as client,
        client.stream("POST", "/chat/completions", json=asked) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        for number in (1, 2, 3):
            ask(asker, QUESTION, model=f"flywheel-{number}")
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    assert '"finish_reason":"stop"' in rest[-2] and engine.num_cancelled == 0


@pytest.mark.parametrize("stream", [True, False])
def test_a_bare_answer_that_is_cut_off_is_no_whole_one(
    serve: Callable[[str], Served], monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    engine, served = opened_engine(monkeypatch), serve(ENGINE)
    engine.queue(FakeAnswer(text="word " * 1000, delay_seconds=0.01))

    def close() -> None:
        wait_until(lambda: bool(engine.requests))
        engine.close()

    closing = threading.Thread(target=close)
    closing.start()
    asked = body("?", model="flywheel-bare", stream=stream)
    with served.client("curator") as client:
        response = client.post("/chat/completions", json=asked)
    closing.join()
    assert "Ask again" in response.text
    assert stream or response.status_code == 502
    assert "[DONE]" not in response.text and '"stop"' not in response.text


def test_without_a_model_there_is_no_bare_one(served: Served) -> None:
    with served.client("curator") as client:
        response = client.post("/completions", json={"model": "flywheel-bare", "prompt": "x"})
    assert response.status_code == 404
    assert "flywheel turn --model" in response.json()["error"]["message"]


def test_embeddings_need_a_model_that_the_settings_name(served: Served) -> None:
    with served.client() as client:
        response = client.post("/embeddings", json={"model": "flywheel-embedding", "input": "x"})
    assert response.status_code == 404
    assert "search.embedding" in response.json()["error"]["message"]


def test_an_embedding_model_is_loaded_once_and_answers_all_who_wait(
    serve: Callable[[str], Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, num_askers = serve('[search]\nembedding = "fake"\n'), 8
    loaded: list[str] = []

    class Model:
        def embed(self, texts: Sequence[str], kind: str) -> list[list[float]]:
            return [[0.6, 0.8] for _ in texts]

    def load(name: str, **_: object) -> Model:
        loaded.append(name)
        wait_until(lambda: served.app.state.service.limits.num_running == num_askers)
        return Model()

    monkeypatch.setattr("flywheel.search.embed.load_embedder", load)

    def ask_for(form: str) -> Any:
        asked = {"model": "flywheel-embedding", "input": ["锁", "lock"], "encoding_format": form}
        with served.client() as client:
            return client.post("/embeddings", json=asked).json()

    with ThreadPoolExecutor(num_askers) as threads:
        replies = list(threads.map(ask_for, ["float", "base64"] * (num_askers // 2)))
    assert loaded == ["fake"]
    for reply, form in zip(replies, ["float", "base64"] * (num_askers // 2), strict=True):
        first, second = (each["embedding"] for each in reply["data"])
        vector = struct.unpack("<2f", base64.b64decode(first)) if form == "base64" else first
        assert list(vector) == pytest.approx([0.6, 0.8]) and first == second
        assert reply["usage"] == {"prompt_tokens": 2, "total_tokens": 2}


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"messages": [{"role": "user", "content": "x" * 9000}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"stream_options": {"include_usage": True}}, None),
        ({"stop": ["a"] * 5}, "stop"),
        ({"seed": 2**70}, "seed"),
        ({"n": 5}, "n"),
        ({"model": "flywheel-99999999999999999999"}, "model"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    served: Served, asked: dict[str, Any], param: str | None
) -> None:
    with served.client() as client:
        response = client.post("/chat/completions", json=body(QUESTION) | asked)
    assert response.status_code in (400, 404), response.text
    named = response.json()["error"]["param"]
    assert (named or "").split(".")[0] == (param or "")


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file"])
def test_what_is_no_text_is_refused_in_words_that_help(served: Served, kind: str) -> None:
    said = [{"type": "text", "text": QUESTION}, {"type": kind, kind: {"url": "x"}}]
    with served.client() as client:
        response = client.post(
            "/chat/completions",
            json={"model": "flywheel", "messages": [{"role": "user", "content": said}]},
        )
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "messages.0.content")
    assert "only texts are read" in error["message"]


@pytest.mark.parametrize("path", ["/models", "/chat/completions", "/embeddings", "/completions"])
def test_nobody_is_let_in_without_a_key(served: Served, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer fw-x"}, {"Authorization": "Basic eDp5"}):
        method = "GET" if path == "/models" else "POST"
        response = httpx.request(
            method, served.base_url + path, headers=headers, json=None if method == "GET" else {}
        )
        assert response.status_code == 401
        assert response.json()["error"]["type"] == "authentication_error"


def test_the_log_holds_no_question_and_the_figures_no_text(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    from flywheel.serve.observing import JsonLines

    with caplog.at_level("INFO", logger="flywheel.requests"), served.client("owner") as client:
        ask(client, QUESTION)
        client.get("/nowhere/child%0Alock")
        page = httpx.get(
            f"{served.url}/metrics",
            headers={"Authorization": f"Bearer {served.secrets['owner']}"},
        ).text
    lines = [JsonLines().format(record) for record in caplog.records]
    assert any(json.loads(line)["route"] == "/v1/chat/completions" for line in lines)
    assert not any("child" in line or "\n" in line for line in lines)
    assert 'flywheel_answers_total{kind="answer",origin="quote"} 1.0' in page
    assert "child" not in page


def test_the_figures_tell_of_streams_cache_feedback_and_turns(served: Served) -> None:
    correct(served, "Below the handle.")
    with served.client() as client:
        events(client, FRAGE)
        ask(client, FRAGE)
        told_of = ask(client, QUESTION)["flywheel"]["interaction"]
        client.post("/feedback", json={"kind": "up", "interaction": told_of})
        client.post("/feedback", json={"kind": "up", "interaction": told_of})
    with served.client("owner") as client:
        client.post("/turns")
        lines = client.get(f"{served.url}/metrics").text.splitlines()
    wanted = {
        "flywheel_first_content_seconds_count 1.0",
        'flywheel_cache_total{outcome="miss"} 1.0',  # none for what a correction answers
        'flywheel_cache_total{outcome="exact"} 1.0',
        'flywheel_feedback_total{kind="up"} 1.0',  # said twice, and kept once
        'flywheel_jobs{what="queued"} 1.0',
        'flywheel_jobs{what="failed"} 0.0',
        'flywheel_version{what="champion"} 1.0',
        'flywheel_version{what="newest"} 1.0',
    }
    assert wanted <= set(lines)


def test_health_needs_no_key_and_tells_nothing(served: Served) -> None:
    assert httpx.get(f"{served.url}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{served.url}/readyz").json() == {"status": "ready"}
    assert httpx.get(f"{served.url}/metrics").status_code == 401


def test_the_openapi_document_is_complete(served: Served) -> None:
    document = httpx.get(f"{served.url}/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description") or operation.get("summary"), (method, path)
            assert {"400", "401"} <= operation["responses"].keys(), (method, path)


def correct(served: Served, answer: str) -> None:
    act = Feedback(
        id="", kind="edit", user="cora", role="curator", at="", question=QUESTION, answer=answer
    )
    accept(served.workspace, [act])


def list_words(root: Path, category: str, *phrases: str) -> None:
    folder = root / "moderation" / "words"
    folder.mkdir(parents=True)
    (folder / f"{category}.txt").write_text("\n".join(phrases), encoding="utf-8")


def bare_engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    engine = FakeEngine()
    monkeypatch.setattr("flywheel.wheel.bare.writer", lambda workspace: {"fake": True})
    monkeypatch.setattr("flywheel.wheel.bare.engine", lambda workspace: engine)
    return engine


ENGINE = '[engine]\nurl = "http://127.0.0.1:9/v1"\nmodel = "fake"\n'


def opened_engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The engine that the settings name, wherever it is opened."""
    engine = FakeEngine()
    monkeypatch.setattr("flywheel.wheel.engines.Engines._opened", lambda *_: engine)
    return engine


def add_versions(served: Served, *numbers: int) -> None:
    """Versions like the first one, that do not serve."""

    def write(conn: Connection) -> None:
        first = versions.require(conn, 1)
        for number in numbers:
            versions.put(conn, replace(first, number=number, parent=1))

    served.workspace.database.write(write)


def wait_until(holds: Callable[[], bool]) -> None:
    """Waits for another thread, 20 seconds at most."""
    pause = threading.Event()
    for _ in range(2000):
        if holds():
            return
        pause.wait(0.01)
    pytest.fail("it did not happen")
