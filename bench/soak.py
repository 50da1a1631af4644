"""A server under constant load that is killed again and again: its memory, errors, what is lost.

    python bench/soak.py [--seconds 300] [--kill-every 60] [--rate 20]

Adds the example's documents, turns, and starts `flywheel serve`. A second process asks questions in
English and Chinese, streaming and not, rates answers, corrects, uploads and asks for turns, at a
constant rate whatever comes back. The server is killed with SIGKILL every so often, a last time at
the end, and started again. Whatever was acknowledged must be in the database afterwards.

A request counts as an error unless it was under way while the server was down. Feedback that nobody
acknowledged is sent again with its id, as a careful client does. Memory is the server's resident
size twice a second. A life's first third is its warm-up; of the rest the medians of the two halves
are compared, and the medians of the last two lives.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from corpora import EXAMPLE
from flywheel.records import Role
from flywheel.store import corrections, interactions
from flywheel.store import feedback as feedback_store
from flywheel.store import jobs as job_store
from flywheel.wheel import keys
from flywheel.wheel.ingest import add
from flywheel.wheel.turn import turn
from flywheel.wheel.workspace import UPLOADS, Workspace
from table import print_table

START_SECONDS = 60.0
AFTERWARDS_SECONDS = 1.0
"""After a start, in which requests that met the end of the life before may still fail."""
SAMPLE_SECONDS = 0.5
GIVE_UP_SECONDS = 30.0
MOST_AT_ONCE = 24

KINDS = ("ask", "stream", "ask", "rate", "stream", "ask", "rate", "edit", "stream", "ask")
"""In turns."""
UPLOAD_EVERY, TURN_EVERY = 97, 331
"""Requests."""


class ServerProcess:
    """`flywheel serve` as a process that can be killed and started again."""

    def __init__(self, root: Path, port: int = 0) -> None:
        self.root, self.port = root, port or free_port()
        self.log = root / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it; it answers by then."""
        command = [sys.executable, "-m", "flywheel", "-w", str(self.root), "serve"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The server does not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Ends it as a power cut would, as far as its process goes."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def rss_bytes(self) -> int:
        """Its resident size."""
        assert self._process is not None
        pages = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def _is_ready(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz", trust_env=False).status_code == 200
        return False


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What the second process does."""

    url: str
    secrets: dict[Role, str]
    questions: tuple[str, ...]
    rate: float
    """Requests a second."""
    seconds: float
    file: str
    """Where it writes down what came back, a JSON object a line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One request and what came back; times are of the clock that all processes share."""

    kind: str
    began: float
    ended: float
    status: int
    """0: none came, or it broke off."""
    id: str = ""
    """What was acknowledged."""
    said: str = ""


def load(plan: Plan) -> None:
    """The second process."""
    asyncio.run(_Load(plan).run())


class _Load:
    """Sends by the clock, and writes down every reply as it comes."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._answered: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        limits = httpx.Limits(max_connections=MOST_AT_ONCE)
        with Path(self._plan.file).open("a", encoding="utf-8") as self._file:
            async with httpx.AsyncClient(
                base_url=self._plan.url, limits=limits, timeout=GIVE_UP_SECONDS, trust_env=False
            ) as self._client:
                await self._tick()
                await asyncio.gather(*self._tasks)

    async def _tick(self) -> None:
        started = time.monotonic()
        for number in range(round(self._plan.seconds * self._plan.rate)):
            await asyncio.sleep(max(0.0, started + number / self._plan.rate - time.monotonic()))
            if len(self._tasks) < MOST_AT_ONCE:
                task = asyncio.create_task(self._do(number))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _do(self, number: int) -> None:
        if number % TURN_EVERY == TURN_EVERY - 1:
            await self._post("turn", "owner", "/v1/turns", "id", json={})
        elif number % UPLOAD_EVERY == UPLOAD_EVERY - 1:
            await self._upload(number)
        else:
            await self._say(KINDS[number % len(KINDS)], number)

    async def _say(self, kind: str, number: int) -> None:
        question = self._plan.questions[number % len(self._plan.questions)]
        if kind in ("ask", "stream"):
            await self._ask(question, streams=kind == "stream")
        elif kind == "rate":
            while not self._answered:
                await self._ask(question, streams=False)
            act = {"kind": "up", "candidate": 0, "interaction": self._answered[-1]}
            await self._until_kept("rate", act | {"id": f"soak-{number}"})
        elif kind == "edit":
            words = f"{number}: {question}"
            act = {"kind": "edit", "question": f"{question} ({number})", "answer": words}
            await self._until_kept("edit", act | {"id": f"soak-{number}"})

    async def _ask(self, question: str, *, streams: bool) -> None:
        body = {"model": "flywheel", "messages": [{"role": "user", "content": question}]}
        began = time.monotonic()
        kind = "stream" if streams else "ask"
        try:
            reply = await self._client.post(
                "/v1/chat/completions", json=body | {"stream": streams}, headers=self._as("asker")
            )
        except httpx.HTTPError as error:
            self._note(Event(kind=kind, began=began, ended=time.monotonic(), status=0,
                             said=repr(error)))  # fmt: skip
            await asyncio.sleep(0.1)
            return
        id = _interaction(reply, streams=streams) if reply.status_code == 200 else ""
        status = reply.status_code if id or reply.status_code != 200 else 0
        self._note(Event(kind=kind, began=began, ended=time.monotonic(), status=status, id=id,
                         said="" if id else reply.text[-200:]))  # fmt: skip
        if id:
            self._answered.append(id)

    async def _until_kept(self, kind: str, act: dict[str, Any]) -> None:
        """Sends feedback until somebody acknowledges it."""
        for _ in range(60):
            if await self._post(kind, "asker", "/v1/feedback", "", json=act, id=act["id"]):
                return
            await asyncio.sleep(0.5)

    async def _upload(self, number: int) -> None:
        name = f"soak-{number}.md"
        text = f"# Note {number}\n\nThe spare part {number} lies on shelf {number % 40}.\n"
        form = {"files": (name, text.encode(), "text/markdown")}
        await self._post("upload", "owner", "/v1/documents", "id", files=form)

    async def _post(
        self, kind: str, role: Role, path: str, told: str, *, id: str = "", **what: Any
    ) -> bool:
        """Whether it was acknowledged; by the field `told` of the reply, or under an own `id`."""
        began = time.monotonic()
        try:
            reply = await self._client.post(path, headers=self._as(role), **what)
        except httpx.HTTPError as error:
            self._note(Event(kind=kind, began=began, ended=time.monotonic(), status=0,
                             said=repr(error)))  # fmt: skip
            return False
        is_kept = reply.status_code in (200, 202)
        self._note(Event(kind=kind, began=began, ended=time.monotonic(), status=reply.status_code,
                         id=(id or reply.json()[told]) if is_kept else "",
                         said="" if is_kept else reply.text[:200]))  # fmt: skip
        return is_kept

    def _as(self, role: Role) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._plan.secrets[role]}"}

    def _note(self, event: Event) -> None:
        self._file.write(json.dumps(asdict(event)) + "\n")
        self._file.flush()


def _interaction(reply: httpx.Response, *, streams: bool) -> str:
    """The id of an answer that came whole."""
    if not streams:
        id: str = reply.json()["flywheel"]["interaction"]
        return id
    *_, last, done = [line for line in reply.text.splitlines() if line]
    if done != "data: [DONE]":
        return ""
    id = json.loads(last.removeprefix("data: "))["flywheel"]["interaction"]
    return id


@dataclass(slots=True)
class Life:
    """The server from a start to its kill."""

    killed: float = 0.0
    """When the life before ended; 0 for the first."""
    ready: float = 0.0
    rss_bytes: list[int] = field(default_factory=list)

    def halves(self) -> tuple[float, float]:
        """The medians of its memory in the two halves after the warm-up."""
        warm = self.rss_bytes[len(self.rss_bytes) // 3 :]
        middle = len(warm) // 2
        return median(warm[:middle]), median(warm[middle:])


@dataclass(frozen=True, kw_only=True, slots=True)
class Soaked:
    """What came of it."""

    lives: tuple[Life, ...]
    events: tuple[Event, ...]
    lost: tuple[Event, ...]
    """Acknowledged, and not there afterwards."""
    said: str
    """By the server."""

    @property
    def errors(self) -> list[Event]:
        """Those that no kill explains."""
        downs = [(life.killed, life.ready + AFTERWARDS_SECONDS) for life in self.lives[1:]]
        return [
            each
            for each in self.events
            if each.status not in (200, 202)
            and not any(each.began < until and each.ended > since for since, until in downs)
        ]

    @property
    def kept(self) -> Counter[str]:
        """How many were acknowledged, by kind."""
        return Counter(each.kind for each in self.events if each.id)

    @property
    def growth(self) -> tuple[float, float]:
        """Of memory: within the last life, and from the life before to the last one."""
        first, second = self.lives[-1].halves()
        before = self.lives[-2].halves()[1] if len(self.lives) > 1 else second
        return second / first - 1, second / before - 1


def soak(
    root: Path, questions: Sequence[str], *, seconds: float, kill_every: float, rate: float
) -> Soaked:
    """Loads and kills the server of a workspace that has a version."""
    server = ServerProcess(root)
    file = root / "soak.jsonl"
    plan = Plan(
        url=server.url,
        secrets=_keys(root),
        questions=tuple(questions),
        rate=rate,
        seconds=seconds,
        file=str(file),
    )
    server.start()
    process = get_context("spawn").Process(target=load, args=(plan,))
    process.start()
    lives = [Life(ready=time.monotonic())]
    try:
        while process.is_alive():
            process.join(SAMPLE_SECONDS)
            lives[-1].rss_bytes.append(server.rss_bytes())
            is_late = time.monotonic() - lives[0].ready > seconds - kill_every / 2
            if time.monotonic() - lives[-1].ready > kill_every and not is_late:
                lives.append(_killed(server))
    finally:
        process.kill()
        process.join()
        server.kill()
    lines = file.read_text(encoding="utf-8").splitlines()
    events = tuple(Event(**json.loads(line)) for line in lines)
    return Soaked(
        lives=tuple(lives),
        events=events,
        lost=tuple(lost(root, [each for each in events if each.id])),
        said=server.log.read_text(encoding="utf-8", errors="replace"),
    )


def _killed(server: ServerProcess) -> Life:
    life = Life(killed=time.monotonic())
    server.kill()
    server.start()
    life.ready = time.monotonic()
    return life


def lost(root: Path, acknowledged: Sequence[Event]) -> list[Event]:
    """What is not in the workspace, of what was acknowledged."""
    with Workspace.open(root) as workspace, workspace.database.read() as conn:
        acts = feedback_store.contents(conn, [each.id for each in acknowledged])

        def is_there(event: Event) -> bool:
            if event.kind in ("ask", "stream"):
                return interactions.get(conn, event.id) is not None
            if event.kind == "edit":
                return event.id in acts and corrections.get(conn, event.id) is not None
            if event.kind == "rate":
                return event.id in acts
            job = job_store.get(conn, event.id)
            return job is not None and all(_lies(root, name) for name in _files(job))

        return [each for each in acknowledged if not is_there(each)]


def _files(job: job_store.Job) -> tuple[str, ...]:
    arguments = job.arguments
    return arguments.files if isinstance(arguments, job_store.AddArguments) else ()


def _lies(root: Path, name: str) -> bool:
    return any((root / UPLOADS).glob(f"*/{name}"))


def _keys(root: Path) -> dict[Role, str]:
    roles: tuple[Role, ...] = ("asker", "curator", "owner")
    with Workspace.open(root) as workspace:
        return {role: keys.add(workspace.database, f"soak {role}", role).secret for role in roles}


def example(folder: Path) -> tuple[Path, list[str]]:
    """A workspace of the example with a version, and the questions of its exam."""
    shutil.copytree(EXAMPLE / "documents", folder / "documents")
    root = folder / "workspace"
    with Workspace.init(root) as workspace:
        text = "[exam]\nnum_synthetic = 60\n\n[serve]\nrequests_per_minute = 100000\n"
        (root / "flywheel.toml").write_text(text, encoding="utf-8")
    with Workspace.open(root) as workspace:
        add(workspace, [str(folder / "documents")])
        turn(workspace)
    lines = [
        line
        for file in sorted(EXAMPLE.glob("exam*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    return root, [json.loads(line)["question"] for line in lines]


def show(soaked: Soaked) -> None:
    """Prints the tables."""
    rows = []
    for number, life in enumerate(soaked.lives, start=1):
        first, second = life.halves()
        down = f"{life.ready - life.killed:.1f}" if life.killed else "–"
        memory = [f"{each / 2**20:.0f}" for each in (life.rss_bytes[0], first, second)]
        rows.append([str(number), down, *memory, f"{second / first - 1:+.1%}"])
    print_table(
        "the server's memory from kill to kill, MiB",
        ("life", "s down before", "first", "median 1", "median 2", "growth"),
        rows,
        f"From the life before to the last one: {soaked.growth[1]:+.1%}.",
    )
    lost_by = Counter(each.kind for each in soaked.lost)
    failed = Counter(each.kind for each in soaked.errors)
    sent = Counter(each.kind for each in soaked.events)
    print_table(
        "what was sent, acknowledged, lost; errors that no kill explains",
        ("", "sent", "acknowledged", "lost", "errors"),
        [
            [kind, *(f"{each[kind]:,}" for each in (sent, soaked.kept, lost_by, failed))]
            for kind in ("ask", "stream", "rate", "edit", "upload", "turn")
        ],
        f"{soaked.said.count('Traceback')} tracebacks in the server's log.",
    )
    for each in soaked.errors[:5]:
        print(each)


def main() -> None:
    """Prepares, soaks, and prints; ends with 1 where something is not as promised."""
    parser = argparse.ArgumentParser(description="load and kill -9 for `flywheel serve`")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--kill-every", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, questions = example(Path(folder))
        soaked = soak(
            root,
            questions,
            seconds=options.seconds,
            kill_every=options.kill_every,
            rate=options.rate,
        )
    show(soaked)
    sys.exit(bool(soaked.lost or soaked.errors or max(soaked.growth) > 0.05))


if __name__ == "__main__":
    main()
