"""The server's process and its sockets: who is slow or greedy holds nothing; it ends properly."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serve.standing import SECONDS, Client, Running, Standing, served

from flywheel.errors import FlywheelError
from flywheel.serve.bodies import Patience
from flywheel.serve.guard import UPLOADS
from flywheel.serve.protocol import SocketBounds
from flywheel.serve.server import bind, first_key, url_of, worker_command
from flywheel.serve.supervisor import Supervisor
from flywheel.wheel import keys
from flywheel.wheel.workspace import Workspace

GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}\r\n{}"


@pytest.fixture
def app() -> Standing:
    return Standing()


@pytest.fixture
def running(app: Standing) -> Iterator[Running]:
    """A server that loses its patience quickly."""
    bounds = SocketBounds(
        head_seconds=0.2,
        head_bytes=4096,
        drain_seconds=0.2,
        num_connections=8,
        num_per_address=5,
    )
    patience = Patience(stall_seconds=0.2, bytes_per_second=1e9, linger_seconds=0.1)
    with served(app, bounds=bounds, patience=patience) as running:
        yield running


def code_of(text: bytes) -> tuple[int, str]:
    """The status and the code of a raw reply that is an error."""
    head, _, body = text.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def test_requests_follow_each_other_on_one_connection(running: Running, app: Standing) -> None:
    with running.client() as client:
        client.send(POST.format("/x", "Content-Length: 2\r\n", "{}"))
        assert client.reply().status == 200
        client.send(GET * 2 + GET[:-2] + b"Connection: close\r\n\r\n")
        assert client.rest().count(b"HTTP/1.1 200 OK") == 3
    assert len(app.seen) == 4


def test_a_wish_for_another_protocol_costs_no_body(running: Running, app: Standing) -> None:
    wish = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    with running.client() as client:
        for body in ('{"a": 1}', "[]"):
            client.send(POST.format("/x", f"{wish}Content-Length: {len(body)}\r\n", body))
            assert client.reply().status == 200
        client.send(
            POST.format("/x", f"{wish}Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n")
        )
        assert client.reply().status == 200
    assert [body for _, body in app.seen] == [b'{"a": 1}', b"[]", b"{}"]


def test_who_sends_no_head_is_let_go(running: Running) -> None:
    with running.client() as silent, running.client() as slow:
        slow.send("GET /x HTTP/1.1\r\nHost: localhost\r\n")
        assert silent.rest() == b""
        assert code_of(slow.rest()) == (408, "head_too_slow")


def test_a_head_that_trickles_is_let_go_also_on_a_connection_that_was_used(
    running: Running,
) -> None:
    with running.client() as client:
        client.send(GET)
        assert client.reply().status == 200
        client.send("\r\n")
        assert code_of(client.rest()) == (408, "head_too_slow")
    with running.client() as client:
        client.send(GET)
        assert client.reply().status == 200
        client.send("GET /x HTTP/1.1\r\n")
        assert code_of(client.rest()) == (408, "head_too_slow")


def test_who_idles_between_requests_may_do_so(running: Running) -> None:
    with running.client() as client:
        client.send(GET)
        client.reply()
        with running.client() as other:
            assert other.rest() == b""  # has waited for longer than a head may take
        client.send(GET)
        assert client.reply().status == 200


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET /x HTTP/1.1\r\nX: " + b"x" * 5000, (431, "head_too_large")),
        (b"GET /" + b"x" * 5000, (431, "head_too_large")),
        (GET[:-2] + b"X: x\r\n" * 200 + b"\r\n", (431, "head_too_large")),
        (b"GET http://localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, "bad_request_head")),
        (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, "bad_request_head")),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, "bad_request_head")),
        (GET[:-2] + b"X: a\r\n b\r\n\r\n", (400, "bad_request_head")),
        (GET[:-2] + b"X : a\r\n\r\n", (400, "bad_request_head")),
        (GET[:-2] + b"X: a\rY: b\r\n\r\n", (400, "bad_request_head")),
        (GET[:-2] + b"X: a\0\r\n\r\n", (400, "bad_request_head")),
        (b"\x16\x03\x01\x02\x00\x01\x00", (400, "bad_request_head")),
        (b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, "bad_request_head")),
    ],
    ids=range(12),
)
def test_what_is_no_plain_request_is_refused_and_the_connection_closed(
    running: Running, app: Standing, head: bytes, expected: tuple[int, str]
) -> None:
    with running.client() as client:
        client.send(head)
        assert code_of(client.rest()) == expected
    assert not app.seen


def test_requests_far_ahead_of_their_replies_are_refused(running: Running) -> None:
    with running.client() as client:
        client.send(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET * 40)
        assert client.rest().startswith(b"HTTP/1.1 429 ")


def test_a_slow_body_is_given_up_and_its_sender_told(running: Running, app: Standing) -> None:
    with running.client() as client:
        client.send(POST.format("/x", "Content-Length: 100\r\n", "{"))
        assert code_of(client.rest()) == (408, "body_too_slow")
    assert not app.seen


def test_who_sends_far_too_much_reads_why(running: Running) -> None:
    num = 3 * 2**20
    with running.client() as client:
        client.send(POST.format("/x", f"Content-Length: {num}\r\n", ""))
        client.send(b" " * num)
        told = client.reply()
        assert (told.status, told.code()) == (413, "body_too_large")


def test_who_asks_first_is_told_before_sending(running: Running) -> None:
    with running.client() as client:
        large = f"Content-Length: {2**30}\r\nExpect: 100-continue\r\n"
        client.send(POST.format("/x", large, ""))
        assert code_of(client.rest()) == (413, "body_too_large")


def test_a_body_that_nobody_reads_does_not_hold_the_connection(running: Running) -> None:
    with running.client() as client:
        client.send(
            f"POST {UPLOADS}?early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        assert client.reply().status == 200
        assert client.rest() == b""


def test_who_does_not_read_is_let_go_and_the_work_ended(running: Running, app: Standing) -> None:
    with running.client() as client:
        client.get("/flood")
        assert app.ended.wait(SECONDS)
    assert app.cancelled == ["/flood"]


@pytest.mark.parametrize("ahead", [b"", GET], ids=["alone", "with another behind it"])
def test_who_goes_away_ends_the_work(running: Running, app: Standing, ahead: bytes) -> None:
    with running.client() as client:
        client.send(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n" + ahead)
        assert client.line()
    assert app.ended.wait(SECONDS)
    assert app.cancelled == ["/events"]


def test_no_address_takes_all_places(running: Running, app: Standing) -> None:
    with ExitStack() as stack:
        greedy = [stack.enter_context(running.client()) for _ in range(5)]
        for client in greedy:
            client.get("/events")
            assert client.line()
        sixth = stack.enter_context(running.client())
        assert code_of(sixth.rest()) == (503, "too_many_connections")
        other = stack.enter_context(running.client("127.0.0.2"))
        other.send(GET)
        assert other.reply().status == 200


def test_who_is_without_a_request_makes_room(running: Running) -> None:
    with ExitStack() as stack:
        working, idle, *_ = [stack.enter_context(running.client()) for _ in range(2)]
        working.get("/events")
        assert working.line()
        idle.send(GET)
        idle.reply()
        for _ in range(4):
            client = stack.enter_context(running.client())
            client.get("/events")
            assert client.line()
        assert idle.rest() == b""
        assert code_of(stack.enter_context(running.client()).rest())[0] == 503


def test_places_are_free_again(running: Running) -> None:
    for _ in range(20):
        with running.client() as client:
            client.send(GET)
            assert client.reply().status == 200


PIECES = (
    b"GET /x HTTP/1.1\r\n",
    b"POST /x HTTP/1.0\r\n",
    b"Host: localhost\r\n",
    b"Content-Type: application/json\r\n",
    b"Content-Length: 2\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Upgrade: h2c\r\nConnection: upgrade\r\n",
    b"0\r\n\r\n",
    b"{}",
    b"\r\n",
    b"\r",
)


@pytest.fixture(scope="module")
def lasting() -> Iterator[Running]:
    """A server for many examples, that logs no defect in any."""
    kept = Kept()
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addHandler(kept)
    bounds = SocketBounds(head_seconds=0.05)
    patience = Patience(stall_seconds=0.05, linger_seconds=0.05)
    with served(Standing(), bounds=bounds, patience=patience) as running:
        yield running
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).removeHandler(kept)
    assert not kept.messages


class Kept(logging.Handler):
    """What was logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps it."""
        self.messages.append(record.getMessage())


@settings(max_examples=200)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=30), max_size=10))
def test_whatever_bytes_come_there_is_no_defect(lasting: Running, pieces: list[bytes]) -> None:
    with lasting.client() as client:
        client.send(b"".join(pieces) + b"\r\n\r\n" + GET[:-2] + b"Connection: close\r\n\r\n")
        for status_line in client.rest().split(b"HTTP/1.1 ")[1:]:
            assert status_line[:3] in (b"200", b"400", b"408", b"415")
    with lasting.client() as client:
        client.send(GET)
        assert client.reply().status == 200


def test_a_port_that_is_taken_is_told_in_a_line() -> None:
    with bind("127.0.0.1", 0) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(FlywheelError, match=f"{port} is taken at 127.0.0.1") as told:
            bind("127.0.0.1", port)
        assert "\n" not in str(told.value)
    with pytest.raises(FlywheelError, match="no address"):
        bind("no.where.invalid", 0)
    with pytest.raises(FlywheelError, match="cannot be listened at"):
        bind("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "name"),
    [("127.0.0.1", "127.0.0.1"), ("localhost", "localhost"), ("0.0.0.0", "127.0.0.1")],
)
def test_the_url_is_one_that_opens_here(host: str, name: str) -> None:
    with bind(host, 0) as listener:
        assert url_of(listener, host) == f"http://{name}:{listener.getsockname()[1]}"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace with nothing in it."""
    with Workspace.init(tmp_path / "workspace") as workspace:
        yield workspace


def test_the_first_key_is_in_a_file_that_only_its_owner_reads(workspace: Workspace) -> None:
    file = workspace.root / "owner.key"
    line = first_key(workspace.database, file)
    secret = file.read_text().strip()
    assert secret not in line
    assert str(file) in line
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    caller = keys.caller_of(workspace.database, secret)
    assert caller is not None
    assert (caller.role, caller.access) == ("owner", None)
    first_key(workspace.database, file)
    assert file.read_text().strip() == secret
    assert len(keys.list_keys(workspace.database)) == 1


def test_a_file_that_is_there_is_never_written_over(workspace: Workspace, tmp_path: Path) -> None:
    file = workspace.root / "owner.key"
    first_key(workspace.database, file)
    [key] = keys.list_keys(workspace.database)
    keys.revoke(workspace.database, key.id)
    before = file.read_text()
    assert "flywheel keys add" in first_key(workspace.database, file)
    assert file.read_text() == before
    file.unlink()
    (tmp_path / "elsewhere").write_text("mine")
    file.symlink_to(tmp_path / "elsewhere")
    first_key(workspace.database, file)
    assert (tmp_path / "elsewhere").read_text() == "mine"
    assert len(keys.list_keys(workspace.database)) == 1


def test_the_file_is_named_only_while_its_key_lets_somebody_in(workspace: Workspace) -> None:
    file = workspace.root / "owner.key"
    first_key(workspace.database, file)
    keys.add(workspace.database, "anna", "owner")
    assert str(file) in first_key(workspace.database, file)
    keys.revoke(workspace.database, keys.list_keys(workspace.database)[0].id)
    assert str(file) not in first_key(workspace.database, file)


def test_where_an_owner_has_a_key_none_is_made(workspace: Workspace) -> None:
    keys.add(workspace.database, "anna", "owner")
    assert "flywheel keys list" in first_key(workspace.database, workspace.root / "owner.key")
    assert not (workspace.root / "owner.key").exists()


def python(code: str, *arguments: str) -> list[str]:
    """A command that runs some Python."""
    return [sys.executable, "-c", code, *arguments]


def waited(file: Path, num_lines: int) -> list[str]:
    """The lines of a file, once it has so many."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) >= num_lines:
            return lines
        time.sleep(0.01)
    raise AssertionError(f"{file} has fewer than {num_lines} lines")


NOTES = """
import os, sys
with open(sys.argv[1], "a") as file:
    print(os.getpid(), file=file)
"""
READS = NOTES + "sys.stdin.read()\n"
DIES = NOTES + "sys.exit(3)\n"
IGNORES = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + (
    NOTES + "import time; time.sleep(60)\n"
)


def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    supervisor = Supervisor(python(DIES, str(tmp_path / "pids")), first_pause_seconds=0.01)
    supervisor.start()
    pids = waited(tmp_path / "pids", 3)
    supervisor.stop(SECONDS)
    assert len(set(pids)) == len(pids)


def test_a_worker_stops_when_its_input_ends_and_is_not_started_again(tmp_path: Path) -> None:
    supervisor = Supervisor(python(READS, str(tmp_path / "pids")), first_pause_seconds=0.01)
    supervisor.start()
    [pid] = waited(tmp_path / "pids", 1)
    supervisor.stop(SECONDS)
    assert not is_there(int(pid))
    assert len(waited(tmp_path / "pids", 1)) == 1


def test_a_worker_that_does_not_stop_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flywheel.serve.supervisor._TERMINATE_SECONDS", 0.1)
    supervisor = Supervisor(python(IGNORES, str(tmp_path / "pids")))
    supervisor.start()
    [pid] = waited(tmp_path / "pids", 1)
    supervisor.stop(0.1)
    assert not is_there(int(pid))


def test_a_worker_that_cannot_be_started_does_not_end_the_server(tmp_path: Path) -> None:
    supervisor = Supervisor([str(tmp_path / "nothing")], first_pause_seconds=0.01)
    supervisor.start()
    supervisor.stop(0)


def test_the_workers_command_imports_nothing_from_the_folder_it_is_started_in(
    tmp_path: Path,
) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('not this one')")
    *command, _ = worker_command(tmp_path)
    done = subprocess.run([*command, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert "Usage: flywheel" in done.stdout


def is_there(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


SERVES = """
import sys
from flywheel.serve.guard import Guard
from flywheel.serve.server import bind, run
from flywheel.wheel.serving import ServeSettings
from tests.serve.standing import Standing

settings = ServeSettings(grace_seconds=float(sys.argv[1]))
listener = bind("127.0.0.1", 0)
port = listener.getsockname()[1]
run(Guard(Standing(), settings), settings, listener,
    on_started=lambda: print(port, flush=True), worker=sys.argv[2:])
"""


@contextmanager
def process(
    grace_seconds: float, worker: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server in a process of its own, and its port."""
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        python(SERVES, str(grace_seconds), *worker),
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
    ) as child:
        try:
            assert child.stdout is not None
            yield child, int(child.stdout.readline())
        finally:
            child.kill()


def test_told_to_stop_it_lets_a_stream_finish_and_takes_no_more(tmp_path: Path) -> None:
    worker = python(READS, str(tmp_path / "pids"))
    with process(SECONDS, worker) as (child, port), Client(port) as client:
        [pid] = waited(tmp_path / "pids", 1)
        client.get("/short")
        assert client.line()
        child.send_signal(signal.SIGTERM)
        assert client.rest().endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert child.wait(SECONDS) == 0
        with pytest.raises(ConnectionRefusedError):
            Client(port)
        assert not is_there(int(pid))


def test_what_is_not_finished_in_the_grace_time_ends_with_an_error(tmp_path: Path) -> None:
    with process(0.2) as (child, port), Client(port) as stream, Client(port) as waits:
        stream.get("/events")
        assert stream.line()
        waits.get("/wait")
        child.send_signal(signal.SIGINT)
        told = waits.reply()
        assert (told.status, told.code()) == (503, "stopping")
        assert b'"code": "stopping"' in stream.rest()
        assert child.wait(SECONDS) == 0


def test_told_twice_it_ends_at_once() -> None:
    with process(600) as (child, port), Client(port) as client:
        client.get("/events")
        assert client.line()
        child.send_signal(signal.SIGTERM)
        refuses(port)
        child.send_signal(signal.SIGTERM)
        assert child.wait(SECONDS) == 0


def refuses(port: int) -> None:
    """Waits until nobody listens any more."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), SECONDS).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.01)
    raise AssertionError("it still listens")


def test_killed_it_takes_its_worker_along(tmp_path: Path) -> None:
    with process(600, python(READS, str(tmp_path / "pids"))) as (child, _):
        [pid] = waited(tmp_path / "pids", 1)
        child.kill()
        until = time.monotonic() + SECONDS
        while is_there(int(pid)):
            assert time.monotonic() < until
            time.sleep(0.01)


SERVE = """
import sys
from pathlib import Path
from flywheel.cli.serve import serve
serve.main(sys.argv[2:], obj=Path(sys.argv[1]))
"""


def test_the_command_says_where_it_listens_and_where_the_key_is(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    Workspace.init(root).close()
    with subprocess.Popen(
        python(SERVE, str(root), "--port", "0"), stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            url = child.stdout.readline().split()[-1]
            said = child.stdout.readline() + child.stdout.readline()
            secret = (root / "owner.key").read_text().strip()
            assert str(root / "owner.key") in said
            assert "flywheel turn" in said
            with Client(int(url.rpartition(":")[2])) as client:
                client.send(f"GET /v1/me HTTP/1.1\r\nHost: {url.removeprefix('http://')}\r\n")
                client.send(f"Authorization: Bearer {secret}\r\n\r\n")
                told = client.reply()
            assert (told.status, json.loads(told.body)["role"]) == (200, "owner")
            child.send_signal(signal.SIGTERM)
            assert child.wait(2 * SECONDS) == 0
            assert secret not in said + child.stdout.read()  # and, at no terminal, no link
        finally:
            child.kill()
