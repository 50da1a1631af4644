from __future__ import annotations

import contextlib
import gc
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import xllamacpp

from flywheel.engine import remote
from flywheel.engine.embedded import EmbeddedEngine
from flywheel.engine.protocol import Engine, Piece, Request, Sampling
from flywheel.engine.remote import RemoteEngine
from flywheel.engine.settings import EngineSettings
from flywheel.errors import EngineError
from flywheel.records import Message

if TYPE_CHECKING:
    from tests.engine.conftest import Tiny

Reply = Callable[["Handler"], None]

QUESTION = Request(messages=(Message(role="user", content="Which tyre pressure?"),))
MARKS = re.compile("\ufffd+")
KEY = "FLYWHEEL_TEST_KEY"


def chunk(text: str | None, *, index: int = 0, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}}
WHOLE = (chunk("2.4 "), chunk("bar"), chunk(None, finish="stop"), USAGE)


class Handler(BaseHTTPRequestHandler):
    """Answers as the script of its server says, and with the whole answer after that."""

    server: Scripted

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, dict(self.headers), body))
        reply = self.server.script.pop(0) if self.server.script else events(*WHOLE)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            reply(self)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class Scripted(ThreadingHTTPServer):
    """A service on loopback that misbehaves as told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Reply] = []
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


def events(*told: Mapping[str, Any] | str, is_over: bool = True) -> Reply:
    def reply(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        for event in (*told, *(["[DONE]"] if is_over else [])):
            data = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
            handler.wfile.write(f": a comment\ndata: {data}\r\n\n".encode())

    return reply


def status(code: int, body: str = "", headers: Mapping[str, str] | None = None) -> Reply:
    def reply(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body.encode())

    return reply


def refused_connection(handler: Handler) -> None:
    handler.close_connection = True


@dataclass
class Hanging:
    """Sends some events and then nothing until it is let go or the client has gone."""

    told: Sequence[Mapping[str, Any]] = ()
    reached: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    is_left: threading.Event = field(default_factory=threading.Event)

    def __call__(self, handler: Handler) -> None:
        if self.told:
            events(*self.told, is_over=False)(handler)
        self.reached.set()
        handler.connection.settimeout(0.02)
        while not self.let_go.is_set():
            try:
                if handler.connection.recv(1) == b"":
                    self.is_left.set()
                    return
            except TimeoutError:
                continue


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_WAIT_SECONDS", 0.001)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", KEY):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def make_service() -> Iterator[Callable[..., Scripted]]:
    services: list[Scripted] = []

    def make(*script: Reply) -> Scripted:
        service = Scripted()
        service.script.extend(script)
        services.append(service)
        threading.Thread(
            target=service.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        return service

    yield make
    for service in services:
        service.shutdown()
        service.server_close()


@pytest.fixture
def connect() -> Iterator[Callable[..., RemoteEngine]]:
    opened: list[RemoteEngine] = []

    def make(service: Scripted, **settings: Any) -> RemoteEngine:
        given = {"url": service.url, "model": "small", "key_variable": KEY} | settings
        opened.append(RemoteEngine.open(EngineSettings(**given)))
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()


def text_of(pieces: Sequence[Piece], choice: int = 0) -> str:
    return "".join(piece.text for piece in pieces if piece.choice == choice)


def answer(engine: Engine, request: Request = QUESTION) -> str:
    with engine.generate(request) as generation:
        return text_of(list(generation))


Make = Callable[..., Scripted]
Connect = Callable[..., RemoteEngine]


def test_answer_streams_and_tells_its_usage(make_service: Make, connect: Connect) -> None:
    service = make_service()

    pieces = list(connect(service).generate(QUESTION))

    assert [piece.text for piece in pieces] == ["2.4 ", "bar", ""]
    assert pieces[-1] == Piece(finish="stop", num_prompt_tokens=9, num_tokens=5)
    path, headers, body = service.seen[0]
    assert path == "/v1/chat/completions"
    assert "Authorization" not in headers
    assert body["model"] == "small"
    assert body["messages"] == [{"role": "user", "content": "Which tyre pressure?"}]
    assert body["stream"] is True
    assert "seed" not in body


def test_everything_asked_for_is_sent(make_service: Make, connect: Connect) -> None:
    service = make_service(events(chunk("{}", finish="stop"), chunk("{}", index=1, finish="stop")))
    sampling = Sampling(
        max_tokens=7, temperature=0.5, top_p=0.9, seed=3, stop=("\n",), num_logprobs=2
    )
    request = replace(
        QUESTION, sampling=sampling, num_choices=2, json_schema={"type": "object"}, adapter="law"
    )

    pieces = list(connect(service).generate(request))

    assert text_of(pieces, 0) == text_of(pieces, 1) == "{}"
    body = service.seen[0][2]
    assert body["model"] == "law"
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    expected = {
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "stop": ["\n"],
        "n": 2,
        "logprobs": True,
        "top_logprobs": 2,
    }
    assert {name: body[name] for name in expected} == expected


def test_prompt_goes_to_completions_with_its_chances(make_service: Make, connect: Connect) -> None:
    told = {
        "tokens": ["a", "b"],
        "token_logprobs": [-0.1, -0.2],
        "top_logprobs": [{"c": -3.0, "a": -0.1}, {"b": -0.2}],
    }
    event = {"choices": [{"index": 0, "text": "ab", "logprobs": told, "finish_reason": "length"}]}
    service = make_service(events(event))
    request = Request(prompt="x", sampling=Sampling(num_logprobs=2))

    pieces = list(connect(service).generate(request))

    assert service.seen[0][0] == "/v1/completions"
    assert [token.logprob for token in pieces[0].tokens] == [-0.1, -0.2]
    assert [token.token for token in pieces[0].likeliest[0]] == ["a", "c"]
    assert pieces[-1].finish == "length"


@pytest.mark.parametrize(
    "reply",
    [
        status(500, "boom"),
        status(429, headers={"Retry-After": "0"}),
        status(503, headers={"Retry-After": formatdate(usegmt=True)}),
        status(429, headers={"Retry-After": "soon"}),
        refused_connection,
    ],
)
def test_what_is_busy_is_asked_again(make_service: Make, connect: Connect, reply: Reply) -> None:
    service = make_service(reply, reply)

    assert answer(connect(service)) == "2.4 bar"
    assert len(service.seen) == 3


def test_who_asks_to_be_left_alone_for_long_is_not_waited_for(
    make_service: Make, connect: Connect
) -> None:
    service = make_service(status(429, "full", {"Retry-After": "3600"}))

    with pytest.raises(EngineError, match="429: full"):
        answer(connect(service))
    assert len(service.seen) == 1


def test_second_url_is_asked_where_the_first_does_not_answer(
    make_service: Make, connect: Connect
) -> None:
    first, second = make_service(*[status(500)] * 3), make_service()

    assert answer(connect(first, fallback_url=second.url)) == "2.4 bar"
    assert (len(first.seen), len(second.seen)) == (3, 1)


def test_second_url_is_asked_where_nothing_listens(make_service: Make, connect: Connect) -> None:
    gone, second = make_service(), make_service()
    url = gone.url
    gone.server_close()

    assert answer(connect(second, url=url, fallback_url=second.url)) == "2.4 bar"


def test_who_is_silent_is_not_asked_again_but_the_second_is(
    make_service: Make, connect: Connect
) -> None:
    first, second = make_service(Hanging()), make_service()
    engine = connect(first, fallback_url=second.url, timeout_seconds=0.1)

    assert answer(engine) == "2.4 bar"
    assert len(first.seen) == 1


def test_all_that_was_wrong_is_told(make_service: Make, connect: Connect) -> None:
    first = make_service(*[status(500, '{"error": {"message": "no memory"}}')] * 3)
    second = make_service(*[status(503, "in\nrepair")] * 3)

    with pytest.raises(EngineError) as caught:
        answer(connect(first, fallback_url=second.url))
    assert "500: no memory" in str(caught.value)
    assert "503: in repair" in str(caught.value)


def test_refusal_is_told_at_once_and_goes_nowhere_else(
    make_service: Make, connect: Connect
) -> None:
    first, second = make_service(status(400, '{"error": "no such model"}')), make_service()

    with pytest.raises(EngineError, match="400: no such model"):
        answer(connect(first, fallback_url=second.url))
    assert second.seen == []


def test_answer_cut_off_is_an_error_and_is_not_begun_anew(
    make_service: Make, connect: Connect
) -> None:
    service = make_service(events(*WHOLE[:2], is_over=False))
    generation = connect(service).generate(QUESTION)

    assert next(generation).text == "2.4 "
    with pytest.raises(EngineError, match="before the end"):
        list(generation)
    assert len(service.seen) == 1


def test_silence_in_the_midst_is_an_error(make_service: Make, connect: Connect) -> None:
    service = make_service(Hanging(WHOLE[:1]))

    with pytest.raises(EngineError, match="in the midst"):
        answer(connect(service, timeout_seconds=0.1))
    assert len(service.seen) == 1


@pytest.mark.parametrize(
    "event",
    [
        "{not json",
        "[]",
        '{"choices": 5}',
        '{"choices": [7]}',
        '{"choices": [{"delta": {"content": 5}}]}',
        '{"choices": [{"delta": "text"}]}',
        '{"choices": [{"delta": {"content": "a"}, "logprobs": {"content": [{}]}}]}',
        '{"error": {"message": "out of memory"}}',
    ],
)
def test_malformed_event_is_an_error(make_service: Make, connect: Connect, event: str) -> None:
    service = make_service(events(event))

    with pytest.raises(EngineError):
        answer(connect(service))


def test_endless_answer_is_cut(make_service: Make, connect: Connect) -> None:
    service = make_service(events(*[chunk("a")] * 200, is_over=False))

    with pytest.raises(EngineError, match="more than was asked"):
        answer(connect(service), replace(QUESTION, sampling=Sampling(max_tokens=2)))


def test_redirect_is_refused(make_service: Make, connect: Connect) -> None:
    other = make_service()
    service = make_service(status(307, headers={"Location": other.url + "/chat/completions"}))

    with pytest.raises(EngineError, match="redirects to http"):
        answer(connect(service))
    assert other.seen == []


def test_key_goes_to_the_first_url_alone_and_stands_in_no_message(
    make_service: Make, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "sk-secret")
    first = make_service(*[status(500)] * 3)
    second = make_service(events(*WHOLE), status(401, '{"error": "bad key sk-secret"}'))
    engine = connect(first, fallback_url=second.url)

    assert answer(engine) == "2.4 bar"
    assert first.seen[0][1]["Authorization"] == "Bearer sk-secret"
    assert "Authorization" not in second.seen[0][1]
    with pytest.raises(EngineError) as caught:
        answer(connect(second))
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("told", [(), WHOLE[:1]])
def test_closing_cuts_the_connection(
    make_service: Make, connect: Connect, told: Sequence[Mapping[str, Any]]
) -> None:
    """Also before the first word, while the service still reads the prompt."""
    hanging = Hanging(told)
    engine = connect(make_service(hanging))
    generation = engine.generate(QUESTION)
    assert hanging.reached.wait(10)

    generation.close()

    assert hanging.is_left.wait(10)
    assert list(generation) == []


def test_leaving_the_loop_cuts_the_connection(make_service: Make, connect: Connect) -> None:
    hanging = Hanging(WHOLE[:1])
    for _ in connect(make_service(hanging)).generate(QUESTION):
        break
    gc.collect()

    assert hanging.is_left.wait(10)


def test_engine_that_closes_ends_its_generations(make_service: Make, connect: Connect) -> None:
    hanging = Hanging(WHOLE[:1])
    engine = connect(make_service(hanging))
    generation = engine.generate(QUESTION)
    next(generation)

    engine.close()

    assert [piece.finish for piece in generation] == ["cancelled"]
    with pytest.raises(EngineError, match="closed"):
        engine.generate(QUESTION)


def test_embeddings_are_brought_to_length_1_and_in_order(
    make_service: Make, connect: Connect
) -> None:
    data = [{"index": 1, "embedding": [0, 2]}, {"index": 0, "embedding": [3, 4]}]
    service = make_service(status(500), status(200, json.dumps({"data": data})))

    assert connect(service).embed(["a", "b"]) == [[0.6, 0.8], [0.0, 1.0]]
    assert service.seen[1][2]["input"] == ["a", "b"]


@pytest.mark.parametrize(
    "body",
    ["", "{}", '{"data": [{"index": 0, "embedding": [0, 0]}]}', '{"data": []}', '{"data": [1]}'],
)
def test_broken_embeddings_are_an_error(make_service: Make, connect: Connect, body: str) -> None:
    with pytest.raises(EngineError):
        connect(make_service(status(200, body))).embed(["a"])


def test_count_is_above_that_of_a_tokenizer(
    make_service: Make, connect: Connect, engine: EmbeddedEngine
) -> None:
    remote_engine = connect(make_service())

    for text in ("Check the tyre pressure every month.", "当事人应当按照约定全面履行自己的义务。"):
        assert remote_engine.count_tokens(text) >= engine.count_tokens(text)


@pytest.mark.parametrize("url", ["", "gpu-box:8000", "ftp://gpu-box/v1", "http://"])
def test_url_that_names_no_engine_is_refused(url: str) -> None:
    with pytest.raises(EngineError):
        RemoteEngine.open(EngineSettings(url=url))


def test_is_no_other_than_the_embedded_engine_behind_a_url(
    engine: EmbeddedEngine, tiny: Tiny
) -> None:
    """llama.cpp's own server on loopback, asked by its URL."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(tiny.model)
    parameters.n_ctx, parameters.n_parallel, parameters.verbosity = 2048, 4, -1
    parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    parameters.hostnames = ["127.0.0.1"]
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(parameters)
    there = RemoteEngine.open(
        EngineSettings(url=f"{server.listening_address}/v1", key_variable=KEY)
    )
    sampling = Sampling(max_tokens=12, num_logprobs=3, seed=1)
    requests = [
        Request(messages=(Message(role="user", content=f"Of wheel {place}"),), sampling=sampling)
        for place in range(8)
    ] + [Request(prompt="The tyre", sampling=sampling)]

    with ThreadPoolExecutor(len(requests)) as pool:
        told = list(pool.map(lambda request: list(there.generate(request)), requests))

    for request, pieces in zip(requests, told, strict=True):
        here = list(engine.generate(request))
        # It marks bytes that are no character by another number of marks.
        assert MARKS.sub("", text_of(pieces)) == MARKS.sub("", text_of(here))
        assert pieces[-1].num_tokens == here[-1].num_tokens
        one = [token.id for piece in pieces for token in piece.tokens]
        assert one == [token.id for piece in here for token in piece.tokens]
    there.close()
