"""kill -9 amid writers of feedback: what was acknowledged, and what came of it.

    python bench/kill_writers.py [--kills 20] [--writers 16] [--seed 1]

Each writer is a process of its own that imports one edit after the other and names each once it is
acknowledged; all are killed at once, at a random moment. Then every edit that was named, and of
each writer the next one, which may have been under way, is sent again. On SQLite and, where
it is installed, on a PostgreSQL of its own.

`lost`: named, and not there after the kill. `half`: an edit without its correction, or the other
way round. `twice`: there more than once after the sending again, as an edit or as a correction.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from flywheel.records import Feedback
from flywheel.store import corrections
from flywheel.store import feedback as feedback_store
from flywheel.wheel.feedback import accept
from flywheel.wheel.workspace import Workspace
from postgresql import Unavailable, running
from table import print_table

NUM_QUESTIONS = 50
MOST_ACTS_BEFORE_KILL = 160
COLUMNS = ("database", "writers", "kills", "acknowledged", "acts/s", "lost", "half", "twice")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What one kill left behind."""

    acknowledged: int
    seconds: float
    lost: int
    half: int
    twice: int


def act(kill: int, writer: int, number: int) -> Feedback:
    """The edit that a writer sends; the same whenever it is sent."""
    return Feedback(
        id=f"{kill}-{writer}-{number}",
        kind="edit",
        user=f"u{writer}",
        role="curator",
        at="",
        question=f"what is {number % NUM_QUESTIONS}?",
        answer=f"{number}, says {writer}",
    )


def write_for_ever(root: str, kill: int, num_writers: int) -> None:
    """Forks the writers, each of which prints its acts' numbers as they are acknowledged."""
    children = []
    for writer in range(num_writers):
        child = os.fork()
        if child == 0:
            workspace = Workspace.open(root)
            for number in itertools.count():
                accept(workspace, [act(kill, writer, number)])
                print(f"{writer} {number}\n", end="", flush=True)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def killed(root: Path, kill: int, num_writers: int, num_acts: int) -> tuple[Counter[int], float]:
    """How many acts each writer was acknowledged before all were killed, and the seconds."""
    code = f"import kill_writers as k; k.write_for_ever({str(root)!r}, {kill}, {num_writers})"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        started = time.perf_counter()
        lines += [process.stdout.readline() for _ in range(num_acts)]
        seconds = time.perf_counter() - started
        os.killpg(process.pid, signal.SIGKILL)
        lines += process.stdout.read().splitlines(keepends=True)
    whole = [line.split() for line in lines if line.endswith("\n") and line.strip()]
    if not whole:
        raise SystemExit("The writers ended by themselves; what they said is above.")
    return Counter(int(writer) for writer, _ in whole), seconds


def there(workspace: Workspace) -> tuple[Counter[str], Counter[str]]:
    """The ids of the edits that are kept, and of the corrections, however often."""
    with workspace.database.read() as conn:
        acts = Counter(each.id for each in feedback_store.list_feedback(conn))
        made = Counter(each.correction.id for each in corrections.changed_since(conn, 0))
    return acts, made


def trial(workspace: Workspace, kill: int, num_writers: int, num_acts: int) -> Trial:
    """Kills once, looks, sends again, looks again."""
    counts, seconds = killed(workspace.root, kill, num_writers, num_acts)
    acts, made = there(workspace)
    sent = [
        act(kill, writer, number)
        for writer in range(num_writers)
        for number in range(counts[writer] + 1)
    ]
    acknowledged = [
        each for each in sent if int(each.id.split("-")[2]) < counts[int(each.user[1:])]
    ]
    accept(workspace, sent)
    acts_after, made_after = there(workspace)
    several = [each for each in (acts_after, made_after) if each]
    return Trial(
        acknowledged=len(acknowledged),
        seconds=seconds,
        lost=sum(each.id not in acts for each in acknowledged),
        half=len(acts.keys() ^ made.keys()) + len(acts_after.keys() ^ made_after.keys()),
        twice=sum(count > 1 for each in several for count in each.values())
        + len(acts_after.keys() - acts.keys() - {each.id for each in sent}),
    )


def row(name: str, url: str, options: argparse.Namespace) -> list[str]:
    """All kills on one kind of database."""
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "workspace"
        Workspace.init(root).close()
        if url:
            (root / "flywheel.toml").write_text(f'[store]\nurl = "{url}"\n', encoding="utf-8")
        with Workspace.open(root) as workspace:
            trials = [
                trial(workspace, kill, options.writers, rng.randint(1, MOST_ACTS_BEFORE_KILL))
                for kill in range(options.kills)
            ]
    acknowledged = sum(each.acknowledged for each in trials)
    rate = acknowledged / sum(each.seconds for each in trials)
    found = (sum(getattr(each, column) for each in trials) for column in COLUMNS[5:])
    counts = (options.writers, options.kills, acknowledged)
    return [name, *map(str, counts), f"{rate:.0f}", *map(str, found)]


def main() -> None:
    """Kills on each database, and prints a table."""
    parser = argparse.ArgumentParser(description="kill -9 amid writers of feedback")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rows, note = [row("SQLite", "", options)], ""
    try:
        with running() as server:
            rows.append(row("PostgreSQL", server.make_database(), options))
    except Unavailable as reason:
        note = f"PostgreSQL: skipped, {reason}."
    print_table("kill -9 amid writers of feedback", COLUMNS, rows, note)


if __name__ == "__main__":
    main()
