"""A server for bench/serving.py, in a process of its own, until it is told to stop.

    python bench/host.py KIND WORKSPACE PORT [MODEL]

`flywheel`: as `flywheel serve` does. `fake`: the same with an engine that says its piece at once,
so that what is measured is the server. `model`: with a GGUF file in this process. `floor`: the same
answers without Flywheel's server: one handler of Starlette's on uvicorn, which knows no keys,
limits, moderation or metrics, and asks the workspace on a thread.

`alone` serves nothing: it is the model by itself, driven by threads, told by lines in. Nor does
`instant`, the engine that answers at once by itself: it says what each answer took.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from flywheel.engine.embedded import EmbeddedEngine
from flywheel.engine.fake import FakeEngine
from flywheel.engine.protocol import Engine, Request, Sampling
from flywheel.engine.settings import EngineSettings
from flywheel.records import Message
from flywheel.serve import server
from flywheel.serve.warming import warm
from flywheel.wheel.engines import Engines, num_slots
from flywheel.wheel.workspace import Workspace

SAYING = "The child lock is on the edge of each rear door: turn it with the key. 儿童锁在后门边缘。"
CONTEXT_TOKENS = 512
"""Prompt and answer together."""


class _Given(Engines):
    """One engine, whoever is named."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, writer: Mapping[str, Any]) -> Engine:
        return self._engine

    def close(self, keep: Iterable[Mapping[str, Any]] = ()) -> None:
        if not list(keep):
            self._engine.close()


class _Forgetting(list[Request]):
    """What a fake engine was asked is of no interest, and would be in memory."""

    def append(self, item: Request) -> None:
        pass


def with_engine(workspace: Workspace, engine: Engine) -> None:
    """Lets it be the workspace's bare model."""
    named = EngineSettings(url="http://nowhere.invalid/v1", model="bench")
    workspace.settings = workspace.settings.model_copy(update={"engine": named})
    workspace.engines = _Given(engine)


def fake() -> FakeEngine:
    engine = FakeEngine(lambda request: SAYING)
    engine.requests = _Forgetting()
    return engine


def model(file: Path) -> EmbeddedEngine:
    """A model as a workspace opens it."""
    slots = num_slots(file, CONTEXT_TOKENS)
    return EmbeddedEngine.open(file, num_slots=slots, context_tokens=CONTEXT_TOKENS)


def serve_floor(workspace: Workspace, port: int) -> None:
    async def answer(request: HttpRequest) -> Response:
        body = await request.json()
        question = body["messages"][-1]["content"]
        asked = await run_in_threadpool(workspace.ask, question, "asker", ("public",))
        chunk = {"choices": [{"index": 0, "delta": {"content": asked.answer.answer}}]}
        text = f"data: {json.dumps(chunk, ensure_ascii=False, separators=(',', ':'))}\n\n"
        return Response(f"{text}data: [DONE]\n\n", media_type="text/event-stream")

    app = Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])
    config = uvicorn.Config(app, port=port, loop="uvloop", http="httptools", log_level="error")
    print("ready", flush=True)
    uvicorn.Server(config).run()


def drive(engine: EmbeddedEngine) -> None:
    """Prompts on each line in; the seconds and tokens that they took all at once on a line out."""
    for line in sys.stdin:
        asked = json.loads(line)
        sampling = Sampling(max_tokens=asked["max_tokens"])

        def one(prompt: str, sampling: Sampling = sampling) -> int:
            with engine.generate(Request(prompt=prompt, sampling=sampling)) as generation:
                return list(generation)[-1].num_tokens

        started = time.perf_counter()
        with ThreadPoolExecutor(len(asked["prompts"])) as pool:
            told = list(pool.map(one, asked["prompts"]))
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "num_tokens": sum(told)}), flush=True)


def ask_by_the_clock(engine: Engine, due: Sequence[float]) -> list[float]:
    """What each answer took, in seconds from when it was due."""
    request = Request(messages=(Message(role="user", content="Where is the child lock?"),))
    started, taken = time.perf_counter(), []
    for each in due:
        time.sleep(max(0.0, started + each - time.perf_counter()))
        with engine.generate(request) as generation:
            list(generation)
        taken.append(time.perf_counter() - started - each)
    return taken


def main() -> None:
    kind, root, port, *file = sys.argv[1:]
    if kind == "instant":
        print(json.dumps(ask_by_the_clock(fake(), json.loads(sys.stdin.readline()))))
        return
    if kind == "alone":
        engine = model(Path(file[0]))
        print("ready", flush=True)
        drive(engine)
        return
    workspace = Workspace.open(root)
    if kind == "floor":
        warm(workspace)
        serve_floor(workspace, int(port))
        return
    if kind == "fake":
        with_engine(workspace, fake())
    if kind == "model":
        with_engine(workspace, model(Path(file[0])))
    settings = workspace.settings.serve.model_copy(update={"port": int(port)})
    server.serve(workspace, settings, worker=())


if __name__ == "__main__":
    main()
