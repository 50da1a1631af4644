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
    "The documents do not tell.": "Which colour can I order the seats in?",
}
"""Why each is asked → the question. None of them stands in the exam or in the feedback."""

CORRECTED = "what is my winter tyre size on the hybrid"
"""The first line of the feedback corrects it."""


def main() -> None:
    """Documents → version 1 → answers → feedback → version 2, and both on the same exam."""
    started = time.monotonic()
    shutil.rmtree(WORKSPACE, ignore_errors=True)
    say("An owner's manual in English and Chinese becomes an assistant that cites it.")
    flywheel("init", shown(WORKSPACE))
    flywheel("add", shown(EXAMPLE / "documents"))
    say("Its exam: 160 questions in the words of drivers, which the wheel never learns from.")
    shutil.copy(EXAMPLE / "exam.jsonl", WORKSPACE / "exam.jsonl")
    say("One turn of the wheel.")
    flywheel("turn")
    for reason, question in QUESTIONS.items():
        say(reason)
        flywheel("ask", question)
    say("A question that drivers corrected. Before their feedback:")
    flywheel("ask", CORRECTED)
    flywheel("feedback", "import", shown(EXAMPLE / "feedback.jsonl"))
    say("And from now on, for everybody, without a turn:")
    flywheel("ask", CORRECTED)
    say("Can this feedback be trusted?")
    flywheel("feedback", "health")
    say("The second turn learns from it. The gate decides whether what it learned serves.")
    flywheel("turn")
    say("What version 2 gains over version 1, question by question.")
    flywheel("versions", "compare", "1", "2")
    flywheel("versions")
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
