"""A real PostgreSQL on a loopback port for as long as it is needed: for benches and for tests."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

UNPRIVILEGED = ("postgres", "nobody")
"""Whom PostgreSQL may run as where we run as root, which it refuses."""


class Unavailable(Exception):
    """Why there can be no PostgreSQL here."""


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL."""

    port: int
    password: str

    def make_database(self) -> str:
        """The URL of a new, blank database."""
        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://{self._place(name)}"

    def _address(self, name: str) -> str:
        return f"postgresql://{self._place(name)}"

    def _place(self, name: str) -> str:
        return f"flywheel:{self.password}@127.0.0.1:{self.port}/{name}"


@contextmanager
def running() -> Iterator[Server]:
    """A server of its own, in a folder that is gone afterwards.

    Raises:
        Unavailable: its programs are not installed, or nobody may run them.
    """
    programs, user = _find_programs(), _user_to_run_as()
    if programs is None:
        raise Unavailable("no PostgreSQL here: initdb and pg_ctl are not installed")
    if os.geteuid() == 0 and user is None:
        raise Unavailable(f"PostgreSQL does not run as root, and there is no user {UNPRIVILEGED}")
    folder = Path(tempfile.mkdtemp(prefix="flywheel-postgresql-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        yield from _serve(programs, folder, user)
    finally:
        shutil.rmtree(folder)


def _serve(programs: Path, folder: Path, user: str | None) -> Iterator[Server]:
    data, password, port = folder / "data", secrets.token_hex(16), _free_port()
    password_file = folder / "password"
    password_file.write_text(password)
    password_file.chmod(0o644)  # in a folder that only its user enters

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(data), *arguments]
        groups: list[int] | None = None if user is None else []
        with (folder / "output").open("ab") as output:
            subprocess.run(
                command, check=True, cwd=folder, user=user, extra_groups=groups,
                stdout=output, stderr=output, timeout=60,
            )  # fmt: skip

    run("initdb", "-U", "flywheel", f"--pwfile={password_file}", "-A", "scram-sha-256",
        "-E", "UTF8", "--locale=C", "--no-sync")  # fmt: skip
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    run("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", options)
    try:
        yield Server(port, password)
    finally:
        run("pg_ctl", "stop", "-w", "-m", "immediate")


def _find_programs() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    if found is not None:
        folders.insert(0, Path(found).resolve().parent)
    for folder in folders:
        if all((folder / program).exists() for program in ("initdb", "pg_ctl", "postgres")):
            return folder
    return None


def _user_to_run_as() -> str | None:
    if os.geteuid() != 0:
        return None
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in UNPRIVILEGED if name in names), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
