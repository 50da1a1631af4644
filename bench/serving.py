"""The server under load from a second process, on real questions; and what its gateway takes.

    python bench/serving.py [--part quoting saturation gateway streams] [--seconds 60] [--runs 3]

`quoting`     64 connections, open loop at 30 questions a second that come by chance, each tenth
              answer rated: errors, feedback that was acknowledged and is not in the database, and
              the time to the first content. Without the cache, and with questions that repeat.
`saturation`  the rate is raised until the slowest twentieth waits over 250 ms; beside the same
              answers behind a bare handler of Starlette, which keeps nothing and streams nothing.
`gateway`     an engine that answers at once, behind the bare model's route: what the rest takes.
`streams`     32 streams at once through HTTP beside the same engine in process, in turns.

The load comes by load.py, whose own share of the cores is told. Needs ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from corpora import DATA, ROOT, WORK
from flywheel.records import Role
from load import Plan, Reply, Result, percentile, read_result
from table import print_table

FOLDER = WORK / "serving" / "legal-zh"
PARTS = ("quoting", "saturation", "gateway", "streams")
NUM_CONNECTIONS = 64
RATE = 30.0
MOST_MS = 250.0
RATES = (30, 45, 60, 75, 90, 105, 120, 140, 160, 180, 200, 240)
NUM_STREAMS = 32
STREAM_TOKENS = 64
GATEWAY_RATE = 100.0
WARM_SECONDS = 5.0
SETTINGS = "[serve]\nrequests_per_minute = 1000000\nconcurrent = 1000\nqueue = 1000\n"
SAID = "The child lock sits on the edge of each rear door. Turn it with the key."


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """A server of one kind that runs."""

    port: int
    process: subprocess.Popen[str]

    def cpu_seconds(self) -> float:
        """That it has taken by now."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        fields = stat.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description="the server under load")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seconds", type=float, default=60.0, help="of each load")
    parser.add_argument("--runs", type=int, default=3, help="of what is compared in turns")
    parser.add_argument("--host", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--engine", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.host:
        host(*arguments.host)
    elif arguments.engine:
        drive_engine()
    else:
        prepare()
        for part in arguments.part:
            globals()[part](arguments.seconds, arguments.runs)


def prepare() -> None:
    """The workspace with version 1, made once."""
    if not (FOLDER / "flywheel.toml").exists():
        from flywheel.wheel.ingest import add
        from flywheel.wheel.turn import turn
        from flywheel.wheel.workspace import Workspace

        with Workspace.init(FOLDER) as workspace:
            add(workspace, [str(DATA / "legal-zh" / "laws")])
            turn(workspace)
    (FOLDER / "flywheel.toml").write_text(SETTINGS, encoding="utf-8")


def questions() -> list[str]:
    """Those of laypeople, each once."""
    lines = (DATA / "legal-zh" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(json.loads(line)["question"] for line in lines))


def quoting(seconds: float, _: int) -> None:
    """Distinct questions without the cache; then with it, as they repeat where people ask."""
    asked = questions()
    generator = random.Random(1)
    generator.shuffle(asked)
    weights = [1 / (place + 1) for place in range(len(asked))]
    repeated = generator.choices(asked, weights, k=int(2 * RATE * seconds))
    rows = []
    for name, kind, order in (
        ("no cache, questions that differ", "nocache", asked),
        ("cache, questions that repeat (Zipf)", "quoting", repeated),
    ):
        with started(kind) as there:
            result, cpu_ms = loaded(there, plan_of(there, order, seconds, feedback_every=10))
        rows.append(
            [
                name,
                f"{len(result.of('question')):,}",
                f"{len(result.errors)}",
                f"{num_lost(result)} of {len(result.of('feedback'))}",
                *times([each.first for each in result.of("question")]),
                f"{cpu_ms:.1f}",
                f"{1000 * result.cpu_seconds / len(result.replies):.2f}",
            ]
        )
    print_table(
        f"Quoting, 136 statutes: {RATE:.0f} questions/s for {seconds:.0f} s over "
        f"{NUM_CONNECTIONS} connections",
        [
            *("", "questions", "errors", "feedback lost", "first content, ms: p50", "p95", "p99"),
            *("server, CPU ms a request", "load, CPU ms"),
        ],
        rows,
    )


def saturation(seconds: float, _: int) -> None:
    """The highest rate at which p95 holds, beside a bare handler around the same answers."""
    asked, rows = questions(), []
    random.Random(2).shuffle(asked)
    for name, kind in (
        ("flywheel serve, no cache", "nocache"),
        ("bare Starlette handler", "floor"),
    ):
        best: tuple[float, list[str], float] | None = None
        with started(kind) as there:
            for rate in RATES:
                plan = plan_of(there, asked, min(seconds, 15), rate=rate)
                result, cpu_ms = loaded(there, plan if kind == "nocache" else floored(plan))
                told = [each.last if kind == "floor" else each.first for each in result.replies]
                if result.errors or 1000 * percentile(told, 95) > MOST_MS:
                    break
                best = rate, times(told), cpu_ms
        assert best is not None, "not even the lowest rate holds"
        rows.append([name, f"{best[0]:.0f}/s", *best[1], f"{best[2]:.1f}"])
    print_table(
        f"The highest rate at which 95 % wait at most {MOST_MS:.0f} ms and nothing fails",
        ["", "rate", "ms: p50", "p95", "p99", "server, CPU ms a request"],
        rows,
    )


def gateway(seconds: float, _: int) -> None:
    """The whole time of a request whose engine answers at once."""
    rows = []
    for name, stream in (("whole", False), ("streamed", True)):
        body = {
            "model": "flywheel-bare",
            "stream": stream,
            "messages": [{"role": "user", "content": "Where is the child lock?"}],
        }
        with started("fake") as there:
            plan = Plan(
                host="127.0.0.1",
                port=there.port,
                keys=secrets("curator", NUM_CONNECTIONS),
                bodies=(json.dumps(body),),
                num_connections=NUM_CONNECTIONS,
                rate=GATEWAY_RATE,
                seconds=seconds,
            )
            result, cpu_ms = loaded(there, plan)
        lasts = times([each.last for each in result.replies])
        rows.append(
            [name, f"{len(result.replies):,}", f"{len(result.errors)}", *lasts, f"{cpu_ms:.2f}"]
        )
    print_table(
        f"What the gateway adds: an engine that answers at once, {GATEWAY_RATE:.0f} requests/s",
        ["", "requests", "errors", "ms until the end: p50", "p95", "p99", "server, CPU ms"],
        rows,
    )


def streams(_: float, runs: int) -> None:
    """Tokens a second of 32 streams through HTTP and of the engine alone, in turns."""
    subprocess.run([sys.executable, str(ROOT / "bench" / "engine.py"), "--make"], check=True)
    bodies = tuple(
        json.dumps(
            {
                "model": "flywheel-bare",
                "prompt": text,
                "max_tokens": STREAM_TOKENS,
                "temperature": 0,
                "stream": True,
            }
        )
        for text in texts()
    )
    served, alone = [], []
    for _ in range(runs):
        with started("model") as there:
            plan = Plan(
                host="127.0.0.1",
                port=there.port,
                path="/v1/completions",
                keys=secrets("curator", NUM_STREAMS),
                bodies=bodies,
                num_connections=NUM_STREAMS,
                rate=10_000,
                seconds=NUM_STREAMS / 10_000,
            )
            send(replace(plan, bodies=bodies[:1], rate=50, seconds=0.2))
            served.append(speed(send(plan).of("question")))
        command = [sys.executable, __file__, "--engine"]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        alone.append(float(told.splitlines()[-1]))
    share = [a / b for a, b in zip(served, alone, strict=True)]
    print_table(
        f"{NUM_STREAMS} streams at once, 16M parameters in q8_0, {STREAM_TOKENS} tokens each",
        ["", "tokens/s, median", "of the engine alone"],
        [
            [
                "through HTTP, client in another process",
                f"{median(served):,.0f}",
                f"{median(share):.2f}",
            ],
            ["engine in process", f"{median(alone):,.0f}", "1"],
        ],
        note=f"Shares of each of {runs} rounds: {', '.join(f'{each:.2f}' for each in share)}.",
    )


def speed(replies: Sequence[Reply]) -> float:
    """Tokens a second, from the first request to the last end."""
    assert all(each.status == 200 and each.whole for each in replies), replies[0].said
    assert len(replies) >= NUM_STREAMS // 2
    return len(replies) * STREAM_TOKENS / max(each.due + each.last for each in replies)


def texts() -> list[str]:
    """Of about 64 tokens each, none the beginning of another."""
    generator = random.Random(3)
    words = [chr(ord("a") + place) * 2 for place in range(26)]
    return [" ".join(generator.choices(words, k=30)) for _ in range(2 * NUM_STREAMS)]


def model_file() -> Path:
    return WORK / "engine" / "16M" / "q8_0.gguf"


def drive_engine() -> None:
    """The engine alone: as many threads as streams, each reading one."""
    from flywheel.engine.embedded import EmbeddedEngine
    from flywheel.engine.protocol import Request, Sampling

    engine = EmbeddedEngine.open(model_file(), num_slots=NUM_STREAMS, context_tokens=512)

    def one(text: str) -> int:
        request = Request(prompt=text, sampling=Sampling(max_tokens=STREAM_TOKENS))
        with engine.generate(request) as generation:
            return list(generation)[-1].num_tokens

    asked = texts()
    one(asked[-1])
    begun = time.perf_counter()
    with ThreadPoolExecutor(NUM_STREAMS) as pool:
        num = sum(pool.map(one, asked[:NUM_STREAMS]))
    print(num / (time.perf_counter() - begun))
    engine.close()


def host(kind: str, port: str) -> None:
    """Serves as a process of its own; says when it does."""
    from flywheel.engine.protocol import Engine
    from flywheel.serve import server
    from flywheel.wheel.workspace import Workspace

    with Workspace.open(FOLDER) as workspace:
        settings = workspace.settings
        if kind == "nocache":
            off = settings.cache.model_copy(update={"size": 0})
            workspace.settings = settings.model_copy(update={"cache": off})
        if kind in ("fake", "model"):
            engine: Engine = _fake() if kind == "fake" else _model()
            workspace.engines._opened = lambda writer: engine  # type: ignore[method-assign]
            named = {"url": "http://127.0.0.1:1/v1", "model": "fake"}
            remote = settings.engine.model_copy(update=named)
            workspace.settings = settings.model_copy(update={"engine": remote})
        if kind == "floor":
            _serve_floor(workspace, int(port))
            return
        serving = workspace.settings.serve.model_copy(update={"port": int(port)})
        server.serve(workspace, serving, worker=(), say=lambda line: print(line, flush=True))


def _fake() -> Any:
    from flywheel.engine.fake import FakeEngine

    class Forgetful(list[Any]):
        def append(self, _: Any) -> None:
            """What was asked is of no use here."""

    engine = FakeEngine(lambda _: SAID)
    engine.requests = Forgetful()
    return engine


def _model() -> Any:
    from flywheel.engine.embedded import EmbeddedEngine

    return EmbeddedEngine.open(model_file(), num_slots=NUM_STREAMS, context_tokens=512)


def _serve_floor(workspace: Any, port: int) -> None:
    """The same answers with next to nothing around them."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def answer(request: Request) -> JSONResponse:
        body = await request.json()
        question = body["messages"][-1]["content"]
        answer, _ = await run_in_threadpool(workspace.answer, question, "floor", ())
        return JSONResponse({"choices": [{"message": {"content": answer.answer}}]})

    workspace.answer("你好")
    app = Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])
    config = uvicorn.Config(app, port=port, loop="uvloop", log_level="error", access_log=False)
    served = uvicorn.Server(config)
    startup = served.startup

    async def telling(sockets: Any = None) -> None:
        await startup(sockets)
        print("is served", flush=True)

    served.startup = telling  # type: ignore[method-assign]
    served.run()


@contextmanager
def started(kind: str) -> Iterator[Host]:
    """A server that listens."""
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, __file__, "--host", kind, str(port)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "is served" in line:
            break
    else:
        raise SystemExit(f"the server ({kind}) does not start")
    try:
        yield Host(port=port, process=process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def loaded(there: Host, plan: Plan) -> tuple[Result, float]:
    """What came of a load after a short one to warm up, and the server's CPU ms a request."""
    send(replace(plan, rate=min(plan.rate, 20.0), seconds=WARM_SECONDS, feedback_every=0))
    before = there.cpu_seconds()
    result = send(plan)
    return result, 1000 * (there.cpu_seconds() - before) / max(1, len(result.replies))


def send(plan: Plan) -> Result:
    """Sends a load from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        asked, told = Path(folder) / "plan.json", Path(folder) / "result.json"
        asked.write_text(json.dumps(asdict(plan)), encoding="utf-8")
        command = [sys.executable, str(ROOT / "bench" / "load.py"), str(asked), str(told)]
        subprocess.run(command, check=True)
        return read_result(told)


def plan_of(
    there: Host,
    asked: Sequence[str],
    seconds: float,
    *,
    rate: float = RATE,
    feedback_every: int = 0,
) -> Plan:
    """Questions, streamed."""
    bodies = (
        {"model": "flywheel", "stream": True, "messages": [{"role": "user", "content": question}]}
        for question in asked
    )
    return Plan(
        host="127.0.0.1",
        port=there.port,
        keys=secrets("asker", NUM_CONNECTIONS),
        bodies=tuple(json.dumps(each, ensure_ascii=False) for each in bodies),
        num_connections=NUM_CONNECTIONS,
        rate=rate,
        seconds=seconds,
        feedback_every=feedback_every,
    )


def floored(plan: Plan) -> Plan:
    """For the bare handler, which knows no keys."""
    return replace(plan, keys=())


def secrets(role: Role, num: int) -> tuple[str, ...]:
    """Keys of as many users."""
    from flywheel.wheel import keys
    from flywheel.wheel.workspace import Workspace

    with Workspace.open(FOLDER) as workspace:
        return tuple(
            keys.add(workspace.database, f"{role} {place}", role).secret for place in range(num)
        )


def num_lost(result: Result) -> int:
    """Acts of feedback that were acknowledged and are not in the database."""
    from flywheel.store import feedback
    from flywheel.wheel.workspace import Workspace

    told = {each.act for each in result.of("feedback") if each.status == 200}
    with Workspace.open(FOLDER) as workspace, workspace.database.read() as conn:
        return len(told - set(feedback.contents(conn, sorted(told))))


def times(seconds: Sequence[float]) -> list[str]:
    """The median and the tails, in milliseconds."""
    return [f"{1000 * percentile(seconds, at):,.1f}" for at in (50, 95, 99)]


def _free_port() -> int:
    import socket

    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
