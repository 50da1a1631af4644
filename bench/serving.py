"""Serving under load: how quickly answers come, how many, and what the server adds.

    python bench/serving.py [quoting saturation gateway engine] [--seconds 60] [--profile]

The server is one process, the load another (load.py), both on this machine; requests come by the
clock, and the time of each counts from when it was due. Four parts, each within three minutes:

quoting: 64 open connections, 64 keys, 30 questions a second on Chinese statutes, as streams, every
tenth answer rated; without the cache, and with it on questions that come again (Zipf).
saturation: the rate goes up until the 95th percentile of the first content leaves 250 ms, or errors
come; beside the same answers without Flywheel's server, and Haystack behind its own, Hayhooks.
gateway: an engine that answers at once, behind the bare model, at 100 requests a second.
engine: a model of 16M parameters, 32 streams at once, beside the model alone, in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from statistics import median

import measure
import peer
from corpora import DATA, ROOT, SEED, WORK, Sizes, example, legal
from engine import FOLDER as MODELS
from engine import NUM_STREAMS
from flywheel.records import Role
from flywheel.store import feedback as feedback_store
from flywheel.wheel import keys
from flywheel.wheel.workspace import Workspace
from load import Plan, Result, by_chance, percentile, read_result
from table import print_table

BENCH = Path(__file__).resolve().parent
FOLDER = WORK / "served-load"
PARTS = ("quoting", "saturation", "gateway", "engine")

NUM_CONNECTIONS = 64
RATE, FEEDBACK_EVERY, FIRST_MS = 30.0, 10, 250.0
WARM_UP_SECONDS = 4.0
STEP_SECONDS, FIRST_RATE, STEP = 8.0, 30.0, 1.25
GATEWAY_RATE = 100.0
STREAMS, MAX_TOKENS, PROMPT_WORDS = max(NUM_STREAMS), 160, 35
READY_SECONDS = 60.0

COLUMNS = ("answers", "errors", "p50 ms", "p95 ms", "p99 ms", "whole p95 ms", "CPU ms")
NOTE = (
    "Milliseconds from when a request was due to its first content, and to its end (`whole`)."
    "\n`CPU ms`: of the server's process and its threads, for each answer."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Domain:
    """A workspace, who may ask it, and what they ask."""

    name: str
    root: Path
    documents: Path
    questions: tuple[str, ...]
    secrets: Mapping[Role, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A server that runs, and how it is asked."""

    name: str
    pid: int
    port: int
    keys: tuple[str, ...] = ()
    model: str = "flywheel"

    def body(self, question: str, *, stream: bool = True) -> str:
        """A request for an answer."""
        messages = [{"role": "user", "content": question}]
        asked = {"model": self.model, "stream": stream, "messages": messages}
        return json.dumps(asked, ensure_ascii=False)

    def load(
        self,
        bodies: Sequence[str],
        due: Sequence[float],
        *,
        feedback_every: int = 0,
        path: str = "/v1/chat/completions",
        num_connections: int = NUM_CONNECTIONS,
    ) -> Result:
        """Asks it from a process of its own."""
        plan = Plan(
            host="127.0.0.1",
            port=self.port,
            path=path,
            keys=self.keys,
            bodies=tuple(bodies),
            due=tuple(due),
            num_connections=num_connections,
            feedback_every=feedback_every,
        )
        with tempfile.TemporaryDirectory() as folder:
            plan_file, result_file = Path(folder) / "plan.json", Path(folder) / "result.json"
            plan_file.write_text(json.dumps(asdict(plan)), encoding="utf-8")
            command = [sys.executable, str(BENCH / "load.py"), str(plan_file), str(result_file)]
            subprocess.run(command, check=True)
            return read_result(result_file)


def main() -> None:
    parser = argparse.ArgumentParser(description="serving under load")
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)}; all without a name")
    parser.add_argument("--seconds", type=float, default=60, help="of the load at 30 a second")
    parser.add_argument("--rounds", type=int, default=7, help="of the engine's 32 streams")
    parser.add_argument("--profile", action="store_true", help="where the server's threads are")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    arguments = parser.parse_args()
    parts = arguments.parts or PARTS
    domain = make_domain(arguments.data)
    if "quoting" in parts:
        quoting(domain, arguments.seconds)
    if "saturation" in parts:
        saturation(domain, profile=arguments.profile)
    if "gateway" in parts:
        gateway(domain, min(30.0, arguments.seconds))
    if "engine" in parts:
        engine(domain, arguments.rounds)


def quoting(domain: Domain, seconds: float) -> None:
    """The table of answers at 30 a second, with feedback."""
    generator = random.Random(SEED)
    weights = list(accumulate(1 / rank for rank in range(1, len(domain.questions) + 1)))
    num = round(2 * RATE * seconds)
    again = generator.choices(domain.questions, cum_weights=weights, k=num)
    rows, acts, known, load_ms = [], [], Counter[str](), []
    for name, size, questions in (
        ("cache off, each question once in its turn", 0, domain.questions),
        ("cache on, questions that come again", 2_000, again),
    ):
        with flywheel(domain, cache_size=size) as server:
            bodies = [server.body(question) for question in questions]
            warm_up(server, bodies)
            before = cpu_seconds(server.pid)
            due = by_chance(RATE, seconds, SEED)
            result = server.load(bodies, due, feedback_every=FEEDBACK_EVERY)
            used = sum(since(server.pid, before).values())
        rows.append(row(name, result, used))
        acts += [each.act for each in result.of("feedback") if each.act]
        known.update(each.cached or "not known" for each in result.of("question") if size)
        load_ms.append(1000 * result.cpu_seconds / len(result.replies))
    lost = len(set(acts)) - num_kept(domain, acts)
    told = ", ".join(f"{number} {how}" for how, number in known.most_common())
    print_table(
        f"{domain.name}: {RATE:g} questions a second for {seconds:g} s, {NUM_CONNECTIONS} open "
        "connections",
        ("", *COLUMNS),
        rows,
        f"{NOTE}\nFeedback acknowledged: {len(acts)}, of it lost: {lost}. With the cache: {told}."
        f"\nThe load itself takes {max(load_ms):.2f} ms of CPU for each request.",
    )


def saturation(domain: Domain, *, profile: bool) -> None:
    """The table of rates, and what the server's threads do at the last one that holds."""
    rows, shares = [], []
    with flywheel(domain, cache_size=0) as server:
        rate, row_at = highest_rate(server, domain)
        rows.append(row_at)
        shares = thread_shares(server, domain, rate)
        if profile:
            python_shares(server, domain, rate)
    with floor(domain) as server:
        rows.append(highest_rate(server, domain)[1])
    try:
        with hayhooks(domain) as server:
            rows.append(highest_rate(server, domain)[1])
    except measure.CommandFailed as error:
        print(f"hayhooks: left out, {error}", flush=True)
    print_table(
        f"{domain.name}: the highest rate at which p95 stays under {FIRST_MS:g} ms",
        ("", "a second", *COLUMNS),
        rows,
        f"{NOTE}\nThe rate goes up by a quarter every {STEP_SECONDS:g} s; figures are of the last "
        "one that held.\nThe floor is the same answers behind one handler of Starlette's on "
        "uvicorn: no keys, limits, moderation,\ncache or metrics, but the same interactions on "
        "disk. Hayhooks keeps none; it answers with the best\npassage of 1,000 characters that "
        "BM25 in memory finds.",
    )
    print_table(
        f"the server's threads at {rate:.0f} questions a second",
        ("", "CPU ms an answer", "of a core"),
        shares,
        "Python's threads take turns at one lock; Lance's do not need it.",
    )


def gateway(domain: Domain, seconds: float) -> None:
    """The table of what stands between a client and an engine that answers at once."""
    rows = []
    with host("fake", domain) as server:
        server = replace(server, model="flywheel-bare", keys=domain.secrets["curator"])
        for name, stream in (("as a stream", True), ("whole", False)):
            bodies = [server.body(question, stream=stream) for question in domain.questions]
            warm_up(server, bodies)
            before = cpu_seconds(server.pid)
            result = server.load(bodies, by_chance(GATEWAY_RATE, seconds, SEED))
            used = sum(since(server.pid, before).values())
            times = [1000 * each.last for each in result.replies]
            ms = f"{1000 * used / len(times):.2f}"
            rows.append(gateway_row(name, times, str(len(result.errors)), ms))
    rows.insert(0, gateway_row("the engine alone, in process", instant_ms(seconds)))
    print_table(
        f"an engine that answers at once, at {GATEWAY_RATE:g} requests a second",
        ("", "answers", "errors", "p50 ms", "p95 ms", "p99 ms", "worst ms", "CPU ms"),
        rows,
        "Milliseconds from when a request was due to the end of its answer, as the client sees it.",
    )


def gateway_row(name: str, times: Sequence[float], errors: str = "", cpu_ms: str = "") -> list[str]:
    """What answers took, in milliseconds."""
    shown = (f"{percentile(times, at):.2f}" for at in (50, 95, 99))
    return [name, str(len(times)), errors, *shown, f"{max(times):.1f}", cpu_ms]


def instant_ms(seconds: float) -> list[float]:
    """What the engine's answers take at the same times, asked in its own process."""
    due = by_chance(GATEWAY_RATE, seconds, SEED)
    command = [sys.executable, str(BENCH / "host.py"), "instant", "", "0"]
    ran = subprocess.run(
        command, input=json.dumps(due) + "\n", stdout=subprocess.PIPE, text=True, check=True
    )
    return [1000 * each for each in json.loads(ran.stdout)]


def engine(domain: Domain, num_rounds: int) -> None:
    """The table of 32 streams at once, through HTTP and without."""
    file = MODELS / "16M" / "q8_0.gguf"
    if not file.is_file():
        subprocess.run([sys.executable, str(BENCH / "engine.py"), "--make"], check=True)
    texts = prompts(2 * STREAMS * (num_rounds + 1))
    alone_rates, http_rates, events, whole = [], [], [], 0
    with ExitStack() as stack:
        alone = stack.enter_context(model_alone(file))
        server = stack.enter_context(host("model", domain, file))
        server = replace(server, keys=domain.secrets["curator"])
        for number in range(num_rounds + 1):
            own, other = (texts[(2 * number + i) * STREAMS :][:STREAMS] for i in (0, 1))
            alone_rate = alone.rate(own)
            bodies = [continuation(each) for each in other]
            result = server.load(
                bodies, [0.0] * STREAMS, path="/v1/completions", num_connections=STREAMS
            )
            if number:  # the first round warms up
                whole += STREAMS - len(result.errors)
                num_tokens = sum(each.num_tokens for each in result.replies)
                http_rates.append(num_tokens / max(each.last for each in result.replies))
                alone_rates.append(alone_rate)
                events.append(sum(each.num_events for each in result.replies) / num_tokens)
    ratios = [one / other for one, other in zip(http_rates, alone_rates, strict=True)]
    print_table(
        f"{STREAMS} streams at once: 16M parameters in q8_0, {MAX_TOKENS} tokens each",
        ("", "tokens a second", "ratio", "whole", "events a token"),
        [
            ["the engine alone", f"{median(alone_rates):.0f}", "", "", ""],
            [
                "through HTTP",
                f"{median(http_rates):.0f}",
                f"{median(ratios):.3f}",
                f"{whole} of {STREAMS * num_rounds}",
                f"{median(events):.2f}",
            ],
        ],
        f"Median of {num_rounds} rounds in turns, the client on the same machine; the ratio is "
        "the median of those in one\nround.",
    )


def make_domain(data: Path) -> Domain:
    """Chinese statutes where the folder of real data is there, else the example's manual."""
    found = legal(data, Sizes()) or example(data, Sizes())
    root = FOLDER / found.name
    if not Workspace.is_at(root):
        print(f"making {root}", file=sys.stderr, flush=True)
        part = root.with_name(f"{root.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        measure.run([*measure.FLYWHEEL, "init", str(part)])
        measure.flywheel(part, "add", str(found.documents))
        measure.flywheel(part, "turn")
        part.rename(root)
    lines = found.exam.read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["question"] for line in lines]
    random.Random(SEED).shuffle(questions)
    roles: tuple[Role, ...] = ("curator",)
    with Workspace.open(root) as workspace:
        secrets = {
            role: tuple(
                keys.add(workspace.database, f"{role} {number}", role, days=1).secret
                for number in range(NUM_CONNECTIONS)
            )
            for role in roles
        }
    return Domain(
        name=found.name,
        root=root,
        documents=found.documents,
        questions=tuple(questions),
        secrets=secrets,
    )


def num_kept(domain: Domain, acts: Sequence[str]) -> int:
    """How many of the acts are in the database."""
    with Workspace.open(domain.root) as workspace, workspace.database.read() as conn:
        return len(feedback_store.contents(conn, sorted(set(acts))))


@contextmanager
def flywheel(domain: Domain, *, cache_size: int) -> Iterator[Server]:
    """`flywheel serve`, as a user starts it."""
    settings = f"[cache]\nsize = {cache_size}\n"
    (domain.root / "flywheel.toml").write_text(settings, encoding="utf-8")
    port = free_port()
    command = [*measure.FLYWHEEL, "-w", str(domain.root), "serve", "--port", str(port)]
    with running("Flywheel", command, port) as server:
        # Only curators are told whether an answer was known.
        yield replace(server, keys=domain.secrets["curator"])


@contextmanager
def host(kind: str, domain: Domain, *file: Path) -> Iterator[Server]:
    """A server of host.py."""
    port = free_port()
    command = [sys.executable, str(BENCH / "host.py"), kind, str(domain.root), str(port)]
    with running(kind, [*command, *map(str, file)], port) as server:
        yield server


@contextmanager
def floor(domain: Domain) -> Iterator[Server]:
    """The same answers without Flywheel's server."""
    with host("floor", domain) as server:
        yield replace(server, name="floor: Starlette, uvicorn")


@contextmanager
def hayhooks(domain: Domain) -> Iterator[Server]:
    """Haystack's BM25 behind its own server."""
    port = free_port()
    command = [
        str(peer.install("hayhooks").with_name("hayhooks")), "run", "--host", "127.0.0.1",
        "--port", str(port), "--pipelines-dir", str(peer.PEERS / "hayhooks_served"),
    ]  # fmt: skip
    documents = {"BENCH_DOCUMENTS": str(domain.documents)}
    with running("Haystack, Hayhooks", command, port, documents) as server:
        yield replace(server, model="passages")


@contextmanager
def running(
    name: str, command: Sequence[str], port: int, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server's process, from when it listens until the end."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command,
            stdout=said,
            stderr=said,
            env=os.environ | peer.QUIET | dict(environment or {}),
        )
        try:
            if not _listens(process, port):
                said.seek(0)
                last = "".join(said.readlines()[-5:])
                raise measure.CommandFailed(f"{name} does not start: {last}")
            yield Server(name=name, pid=process.pid, port=port)
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        time.sleep(0.05)
    return False


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Alone:
    """The model by itself, in a process that is told by lines."""

    process: subprocess.Popen[str]

    def rate(self, texts: Sequence[str]) -> float:
        """Tokens a second where all are continued at once."""
        assert self.process.stdin and self.process.stdout
        asked = {"prompts": list(texts), "max_tokens": MAX_TOKENS}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        rate: float = told["num_tokens"] / told["seconds"]
        return rate


@contextmanager
def model_alone(file: Path) -> Iterator[Alone]:
    """The engine's process."""
    command = [sys.executable, str(BENCH / "host.py"), "alone", "", "0", str(file)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdin
        process.stdout.readline()
        yield Alone(process)
        process.stdin.close()


def prompts(num: int) -> list[str]:
    """Texts of one length, none beginning as another does."""
    words = "\n".join(
        file.read_text(encoding="utf-8") for file in sorted((ROOT / "docs").glob("*.md"))
    ).split()
    generator = random.Random(time.time_ns())
    return [" ".join(generator.sample(words, PROMPT_WORDS)) for _ in range(num)]


def continuation(prompt: str) -> str:
    """A request for a text's continuation as a stream."""
    asked = {
        "model": "flywheel-bare",
        "prompt": prompt,
        "max_tokens": MAX_TOKENS,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return json.dumps(asked)


def warm_up(server: Server, bodies: Sequence[str]) -> None:
    """So many questions that are not counted."""
    server.load(bodies, by_chance(RATE, WARM_UP_SECONDS, SEED + 1))


def highest_rate(server: Server, domain: Domain) -> tuple[float, list[str]]:
    """The highest rate that the server holds, and its row."""
    bodies = [server.body(question) for question in domain.questions]
    warm_up(server, bodies)
    rate, held = FIRST_RATE, [server.name, "none", *("" for _ in COLUMNS)]
    while True:
        before = cpu_seconds(server.pid)
        result = server.load(bodies, by_chance(rate, STEP_SECONDS, SEED))
        used = sum(since(server.pid, before).values())
        late = percentile([1000 * each.first for each in result.of("question")], 95)
        print(f"{server.name}: {rate:.0f}/s, p95 {late:.0f} ms", file=sys.stderr, flush=True)
        if result.errors or late > FIRST_MS:
            show_errors(result)
            return rate / STEP, held
        held = [server.name, f"{rate:.0f}", *row("", result, used)[1:]]
        rate *= STEP


def row(name: str, result: Result, cpu_used: float) -> list[str]:
    """What the answers took."""
    answers = result.of("question")
    first = [1000 * each.first for each in answers]
    whole = [1000 * each.last for each in answers]
    show_errors(result)
    return [
        name,
        str(len(answers)),
        str(len(result.errors)),
        *(f"{percentile(first, at):.0f}" for at in (50, 95, 99)),
        f"{percentile(whole, 95):.0f}",
        f"{1000 * cpu_used / len(answers):.1f}",
    ]


def show_errors(result: Result) -> None:
    """The first of them, for whoever looks after the bench."""
    for error in result.errors[:3]:
        print(f"{error.kind}: {error.status} {error.said}", file=sys.stderr, flush=True)


def cpu_seconds(pid: int) -> dict[str, float]:
    """What each kind of a process's threads has used of the CPU, as /proc tells."""
    used: dict[str, float] = {}
    tick = os.sysconf("SC_CLK_TCK")
    for task in (Path("/proc") / str(pid) / "task").iterdir():
        with suppress(OSError):
            name, _, fields = task.joinpath("stat").read_text().partition("(")[2].rpartition(")")
            user, system = map(int, fields.split()[11:13])
            kind = _kind(name, is_loop=int(task.name) == pid)
            used[kind] = used.get(kind, 0.0) + (user + system) / tick
    return used


def since(pid: int, before: Mapping[str, float]) -> dict[str, float]:
    """What they have used since then."""
    return {kind: used - before.get(kind, 0.0) for kind, used in cpu_seconds(pid).items()}


def _kind(name: str, *, is_loop: bool) -> str:
    if is_loop:
        return "the event loop"
    return "Lance" if name.startswith("lance") else "threads that answer and write"


def thread_shares(server: Server, domain: Domain, rate: float) -> list[list[str]]:
    """What each kind of thread takes at a rate."""
    bodies = [server.body(question) for question in domain.questions]
    before = cpu_seconds(server.pid)
    result = server.load(bodies, by_chance(rate, STEP_SECONDS, SEED))
    used = since(server.pid, before)
    return [
        [kind, f"{1000 * seconds / len(result.replies):.2f}", f"{seconds / result.seconds:.2f}"]
        for kind, seconds in sorted(used.items(), key=lambda each: -each[1])
    ]


def python_shares(server: Server, domain: Domain, rate: float) -> None:
    """The table of what holds Python's lock at a rate, as py-spy samples it."""
    bodies = [server.body(question) for question in domain.questions]
    spy = peer.install("py-spy").with_name("py-spy")
    with tempfile.NamedTemporaryFile("r") as samples:
        command = [
            str(spy), "record", "--pid", str(server.pid), "--duration", f"{STEP_SECONDS:.0f}",
            "--gil", "--nonblocking", "--rate", "200", "--format", "raw", "-o", samples.name,
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            server.load(bodies, by_chance(rate, STEP_SECONDS, SEED))
        stacks = samples.readlines()
    counts: Counter[str] = Counter()
    for line in stacks:
        stack, _, number = line.rpartition(" ")
        counts[next((part for mark, part in PYTHON_PARTS if mark in stack), "other")] += int(number)
    print_table(
        f"who holds Python's lock at {rate:.0f} questions a second",
        ("", "of the time"),
        [[part, f"{number / (200 * STEP_SECONDS):.1%}"] for part, number in counts.most_common()],
    )


PYTHON_PARTS = (
    ("store/writer.py", "the writer: interactions, feedback"),
    ("asyncio/base_events.py", "search: the loop that Lance is asked on"),
    ("answer/quote.py", "answer: quoting"),
    ("search/rank.py", "answer: ranking"),
    ("answer/decide.py", "answer: deciding"),
    ("search/index.py", "search: index"),
    ("search/corrections.py", "corrections"),
    ("wheel/answering.py", "answer: the rest"),
    ("moderation/", "moderation"),
    ("serve/answering.py", "answering in the server"),
    ("serve/streaming.py", "events"),
    ("serve/", "the server's other layers"),
    ("fastapi/", "FastAPI, Starlette"),
    ("uvicorn/", "uvicorn"),
)
"""Of a stack that has it anywhere, by the first that it has. (The server's own loop is uvloop.)"""


if __name__ == "__main__":
    main()
