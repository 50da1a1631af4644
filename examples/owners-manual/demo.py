"""The whole path on the example, as its user would type it: `make demo`.

Makes a fresh workspace in `.demo/`, which stays for a look around. Shows every command before it
runs, and ends with 1 where one fails.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parent
WORKSPACE = EXAMPLE.parents[1] / ".demo"

QUESTIONS = {
    "In English.": "Does the dash camera record sound?",
    "In Chinese.": "空调没有冷风怎么办",
    "Two chapters could be meant.": "How do I reset the tyre pressure display?",
    "The documents do not tell.": "Which colour can I order the seats in?",
}
"""Why each is asked → the question. None of them stands in the exam or in the feedback."""


def main() -> None:
    """Documents → version 1 → its exam → four answers."""
    started = time.monotonic()
    shutil.rmtree(WORKSPACE, ignore_errors=True)
    say("An owner's manual in English and Chinese becomes an assistant that cites it.")
    flywheel("init", shown(WORKSPACE))
    flywheel("add", shown(EXAMPLE / "documents"))
    say("One turn of the wheel. It has no exam yet, so it makes one from the documents.")
    flywheel("turn")
    say("Now an exam in the words of drivers; the wheel has never seen its questions.")
    flywheel("exam", shown(EXAMPLE / "exam.jsonl"))
    for reason, question in QUESTIONS.items():
        say(reason)
        flywheel("ask", question)
    say(f"Done in {time.monotonic() - started:.0f} s. Next, your own folder:")
    print(f"$ {venv_hint()}flywheel up ~/your-folder")


def flywheel(*arguments: str) -> None:
    """Shows a command, runs it in the workspace, and ends the demo where it fails."""
    print(f"$ flywheel {shlex.join(arguments)}", flush=True)
    environment = os.environ | {"FLYWHEEL_WORKSPACE": str(WORKSPACE)}
    finished = subprocess.run([command(), *arguments], env=environment, cwd=EXAMPLE.parents[1])
    if finished.returncode:
        sys.exit(f"The demo stops: `flywheel {arguments[0]}` ended with {finished.returncode}.")
    print()


def command() -> str:
    """The `flywheel` that belongs to this Python, whether or not it is on the PATH."""
    return str(Path(sysconfig.get_path("scripts")) / "flywheel")


def shown(path: Path) -> str:
    """A path as short as the reader can type it."""
    return str(path.relative_to(EXAMPLE.parents[1]))


def say(text: str) -> None:
    """A line of the story, between the commands."""
    print(f"# {text}", flush=True)


def venv_hint() -> str:
    """What comes before `flywheel` where it is not on the PATH."""
    return "" if shutil.which("flywheel") else ".venv/bin/"


if __name__ == "__main__":
    main()
