"""A killed process loses nothing that it acknowledged."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from sqlalchemy import select

from flywheel.store.database import Database
from flywheel.store.tables import state

WRITES_FOR_EVER = """
import itertools, sys, threading
from sqlalchemy import insert
from flywheel.store.database import Database
from flywheel.store.tables import state

database = Database.open(sys.argv[1])

def write(name):
    for number in itertools.count():
        key = f"{name}-{number}"
        database.write(lambda conn: conn.execute(insert(state).values(key=key, value=1)).close())
        print(key + "\\n", end="", flush=True)

for thread in range(4):
    threading.Thread(target=write, args=(f"{sys.argv[2]}-{thread}",)).start()
"""


def write_until_killed(url: str, name: str, num_lines: int) -> set[str]:
    """What the process acknowledged before it was killed, amid whatever it did then."""
    command = [sys.executable, "-c", WRITES_FOR_EVER, url, name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(num_lines)]
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
    return {line.strip() for line in lines if line.endswith("\n") and line.strip()}


def test_what_was_acknowledged_outlives_kill_9(url: str) -> None:
    Database.open(url).close()
    acknowledged: set[str] = set()
    for kill in range(4):
        acknowledged |= write_until_killed(url, str(kill), random.randint(1, 200))
        with Database.open(url) as database, database.read() as conn:
            assert acknowledged <= set(conn.scalars(select(state.c.key)))
    assert acknowledged


def test_file_is_sound_after_kill_9(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/flywheel.db"
    write_until_killed(url, "a", 50)
    with Database.open(url) as database, database.read() as conn:
        assert conn.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
