"""The server's process: from a workspace to a URL that answers, until it is told to stop.

One process with one event loop serves; one child beside it does the turns (supervisor.py). Told to
stop by SIGTERM or Ctrl+C, it takes no new connections, lets running answers go on for the grace
time, ends the rest with an error that clients understand, and the process ends with 0. Told twice,
it ends at once. What it serves is app.py's, how it is asked guard.py's and protocol.py's.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from flywheel.errors import FlywheelError, WorkspaceError
from flywheel.serve.guard import GUARD, Guard
from flywheel.serve.protocol import SocketBounds, bounded
from flywheel.serve.supervisor import Supervisor
from flywheel.wheel import keys
from flywheel.wheel.backup import server_lock
from flywheel.wheel.workspace import KEY_FILE

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from flywheel.serve.session import SignIns
    from flywheel.store.database import Database
    from flywheel.wheel.serving import ServeSettings
    from flywheel.wheel.workspace import Workspace

LOG = logging.getLogger("flywheel.server")

KEEP_ALIVE_SECONDS = 65
"""Longer than clients and proxies keep an idle connection, so that they are the ones to close."""

_BACKLOG = 1024
_END_SECONDS = 2.0
"""How long the endings of cut-off replies may take to go out."""
_LAST_SECONDS = 10.0
"""After the grace time: what then still holds the process up, a thread that waits for an engine
that hangs, holds it no longer."""


def serve(
    workspace: Workspace,
    settings: ServeSettings,
    *,
    say: Callable[[str], None] = print,
    sign_in: bool = False,
    worker: Sequence[str] | None = None,
) -> None:
    """Serves until it is told to stop. To be called in the main thread.

    Args:
        say: prints a line for whoever started it.
        sign_in: whether to say a link that signs a browser in once, as is right at a terminal.
        worker: the command that does the turns; None is `flywheel worker`, empty is none.

    Raises:
        FlywheelError: the address cannot be listened at.
        WorkspaceBusy: a backup is being restored into the workspace.
    """
    from flywheel.serve.app import create_app
    from flywheel.serve.warming import warm

    workspace.settings = workspace.settings.model_copy(update={"serve": settings})
    with server_lock.shared(workspace.root), _listening(settings) as listener:
        key_line = first_key(workspace.database, workspace.root / KEY_FILE)
        app = create_app(workspace)
        warm(workspace)
        url = url_of(listener, settings.host)

        def told() -> None:
            say(f"{workspace.root} is served at {url}")
            say(key_line)
            sign_ins: SignIns | None = getattr(app.state, "sign_ins", None)
            if sign_in and sign_ins is not None:
                say(f"Sign in with a browser, once: {url}/signin?token={sign_ins.make()}")
            if not _is_loopback(listener):
                say("Others can reach it, and read along: put a proxy that speaks TLS before it.")
            try:
                workspace.champion()
            except WorkspaceError as error:
                say(str(error))

        command = worker_command(workspace.root) if worker is None else worker
        run(app, settings, listener, on_started=told, worker=command)


def run(
    app: ASGIApp,
    settings: ServeSettings,
    listener: socket.socket,
    *,
    on_started: Callable[[], None] = lambda: None,
    worker: Sequence[str] = (),
    bounds: SocketBounds | None = None,
) -> None:
    """Serves an app at a socket until it is told to stop."""
    server = Server(make_config(app, settings, bounds), settings.grace_seconds)
    supervisor = Supervisor(worker) if worker else None

    def started() -> None:
        if supervisor is not None:
            supervisor.start()
        on_started()

    server.on_started = started
    if supervisor is not None:
        server.on_stopping = supervisor.ask_to_stop
    try:
        server.run([listener])
    finally:
        if supervisor is not None:
            supervisor.stop(settings.grace_seconds)


def make_config(
    app: ASGIApp, settings: ServeSettings, bounds: SocketBounds | None = None
) -> uvicorn.Config:
    """How uvicorn is run. Requests are logged by the app, and no proxy's word is taken for who
    calls."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=bounded(bounds),
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.grace_seconds + 2 * _END_SECONDS),
    )


class Server(uvicorn.Server):
    """uvicorn's, with an end that clients understand."""

    def __init__(self, config: uvicorn.Config, grace_seconds: float) -> None:
        super().__init__(config)
        self._grace_seconds = grace_seconds
        self.on_started: Callable[[], None] = lambda: None
        """Called once it listens."""
        self.on_stopping: Callable[[], None] = lambda: None
        """Called when it is told to stop."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the app, and listens."""
        await super().startup(sockets)
        self.on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops listening, and lets what runs end in the grace time."""
        self.on_stopping()
        late = asyncio.create_task(self._end_the_late())
        try:
            await super().shutdown(sockets)
        finally:
            late.cancel()

    async def _end_the_late(self) -> None:
        await asyncio.sleep(self._grace_seconds)
        guard: Guard | None = self.lifespan.state.get(GUARD)
        if guard is not None:
            guard.end_all()
        await asyncio.sleep(_END_SECONDS)
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stops; told twice, at once: what was acknowledged is on the disk whatever happens."""
        if self.should_exit:
            _leave()
        self.should_exit = True
        last = threading.Timer(self._grace_seconds + _LAST_SECONDS, _leave)
        last.daemon = True
        last.start()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes the signals while it runs. Having been told to stop is no failure afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {each: signal.signal(each, self.handle_exit) for each in handled}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def _leave() -> None:
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(0)


@contextmanager
def _listening(settings: ServeSettings) -> Iterator[socket.socket]:
    listener = bind(settings.host, settings.port)
    try:
        yield listener
    finally:
        listener.close()


def bind(host: str, port: int) -> socket.socket:
    """A socket at the address, that does not listen yet.

    Raises:
        FlywheelError: there is no such address here, or it is taken.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, number)
    except OSError as error:
        raise FlywheelError(f'There is no address "{host}" here: {error.strerror}.') from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise FlywheelError(_why(error, host, port)) from error
    return listener


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is taken at {host}; perhaps this is served already. "
            f"`flywheel serve --port {port % 65535 + 1}` takes another, `--port 0` a free one."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} is for the system's own services. Take one from 1024 upwards."
    return f"{host}, port {port}, cannot be listened at: {error.strerror}."


def url_of(listener: socket.socket, host: str) -> str:
    """Where a browser on this machine finds it."""
    address, port = listener.getsockname()[:2]
    if address in ("0.0.0.0", "::"):
        name = "127.0.0.1"
    else:
        name = f"[{address}]" if ":" in address else host
    return f"http://{name}:{port}"


def _is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def worker_command(root: Path) -> list[str]:
    """What does the turns of a workspace, in a process of its own."""
    # -P: a file that is called click.py, in the folder of whoever starts it, is not imported.
    code = "from flywheel.cli import main; main()"
    return [sys.executable, "-P", "-c", code, "-w", str(root), "worker"]


def first_key(database: Database, file: Path) -> str:
    """Sees to it that an owner can get in: makes a key where none is valid, into a file that only
    its owner may read. The line that says where the keys are.

    Raises:
        FlywheelError: the file cannot be written.
    """
    if any(
        each.role == "owner" and keys.state_of(each) == "valid" for each in keys.list_keys(database)
    ):
        place = f"An owner's key is in {file}. " if _holds(database, file) else ""
        return f"{place}`flywheel keys list` shows who may call."
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return (
            f"No owner's key is valid, the one in {file} neither. "
            '`flywheel keys add --name "you" --role owner` makes one.'
        )
    except OSError as error:
        raise FlywheelError(f"{file} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(handle, "w", encoding="ascii") as opened:
            opened.write(keys.add(database, "owner", "owner").secret + "\n")
            opened.flush()
            os.fsync(opened.fileno())
    except BaseException:
        file.unlink()
        raise
    return f"An owner's key was made; it is in {file}, and only you can read it."


def _holds(database: Database, file: Path) -> bool:
    """Whether the key in the file lets somebody in."""
    try:
        secret = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return False
    return keys.caller_of(database, secret) is not None
