"""How soon a correction answers the next asker, on a large domain.

    python bench/served.py [--times 20] [--data ../shared/data]

Adds all Chinese statutes (without them: passages recombined from the example's sentences), turns,
imports 1,000 corrections, and then, so many times: accepts a correction with its evidence, and
asks its question as somebody else, in the same process and in another that has the workspace
open. The time is from before `accept` to after the answer, which must be the corrected one,
verified and with its citation.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import measure
from corpora import DATA, EXAMPLE, SEED, WORK
from flywheel.collect.pipeline import CollectSettings, collect
from flywheel.collect.read import scan
from flywheel.records import Feedback, Passage
from flywheel.search.index import PassageIndex
from flywheel.wheel.feedback import accept
from flywheel.wheel.workspace import Workspace
from latency import recombined
from table import print_table

NUM_PASSAGES = 100_000
NUM_CORRECTIONS = 1_000
PASSAGES_A_FILE = 50
ASKER = """
import sys, time
from flywheel.wheel.workspace import Workspace

with Workspace.open(sys.argv[1]) as workspace:
    workspace.ask("Is anybody there?")
    print("ready", flush=True)
    for question in sys.stdin:
        answer = workspace.ask(question.strip(), user="asker").answer
        print(time.monotonic(), answer.verified, len(answer.citations), answer.draft, flush=True)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """The seconds from a correction to its answer, of two askers."""

    accepted: float
    same_process: float
    other_process: float


def documents(data: Path) -> tuple[str, Path]:
    """What the domain is, and where its documents are."""
    archive = data / "legal-zh" / "laws-all.tar.xz"
    if archive.is_file():
        return "Chinese statutes", archive
    folder = WORK / "served-documents"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = [
        passage
        for outcome in collect(scan(str(EXAMPLE / "documents")), CollectSettings())
        for passage in outcome.passages
    ]
    texts: list[str] = []
    for number, passage in enumerate(recombined(model, NUM_PASSAGES), start=1):
        texts.append(f"## {number}\n\n{passage.text}\n")
        if len(texts) == PASSAGES_A_FILE:
            (folder / f"{number}.md").write_text("\n".join(texts), encoding="utf-8")
            texts = []
    return "recombined from the example", folder


def domain(source: Path) -> Path:
    """The workspace: added and turned, by the command as a user would."""
    folder = WORK / "served"
    shutil.rmtree(folder, ignore_errors=True)
    measure.run([*measure.FLYWHEEL, "init", str(folder)])
    measure.flywheel(folder, "add", str(source))
    measure.flywheel(folder, "turn")
    return folder


def passages_of(workspace: Workspace) -> list[Passage]:
    """Every passage that the champion searches, in a random order."""
    index: PassageIndex = workspace.assistant(workspace.champion()).index
    found = [passage for passage in index.passages() if len(passage.text) > 80]
    random.Random(SEED).shuffle(found)
    return found


def correction(passage: Passage, number: int) -> Feedback:
    """An edit whose evidence is a line of a passage, and its answer too."""
    line = max(passage.text.splitlines(), key=len)[:120].strip()
    return Feedback(
        id=f"served-{number}",
        kind="edit",
        user="curator",
        role="curator",
        at="",
        question=f"{line[:30]} ({number})?",
        answer=f"{number}: {line}",
        evidence=(line,),
    )


class Asker:
    """Another process that has the workspace open."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", ASKER, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def ask(self, act: Feedback) -> float:
        """When the answer was there, on the clock that all processes share."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(act.question + "\n")
        self._process.stdin.flush()
        at, verified, citations, draft = self._process.stdout.readline().strip().split(" ", 3)
        check(act, verified == "True", int(citations), draft)
        return float(at)

    def close(self) -> None:
        """Lets it end."""
        self._process.communicate()


def check(act: Feedback, verified: bool, num_citations: int, draft: str) -> None:
    """Stops where it is not the corrected answer."""
    if not (verified and num_citations and draft == act.answer):
        raise SystemExit(f"{act.question} was answered: {draft}")


def serve(workspace: Workspace, asker: Asker, act: Feedback) -> Served:
    """Corrects once and asks twice."""
    started = time.monotonic()
    accept(workspace, [act])
    accepted = time.monotonic()
    other = asker.ask(act)
    before = time.monotonic()
    answer = workspace.ask(act.question, user="asker").answer
    same = time.monotonic() - before
    check(act, answer.verified, len(answer.citations), answer.draft)
    return Served(
        accepted=accepted - started,
        same_process=accepted - started + same,
        other_process=other - started,
    )


def row(name: str, seconds: Sequence[float]) -> list[str]:
    """One line of the table."""
    return [name, f"{1000 * statistics.median(seconds):.0f}", f"{1000 * max(seconds):.0f}"]


def main() -> None:
    """Makes the domain, corrects and asks, and prints a table."""
    parser = argparse.ArgumentParser(description="from a correction to its answer")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    options = parser.parse_args()
    name, source = documents(options.data)
    with Workspace.open(domain(source)) as workspace:
        passages = passages_of(workspace)
        acts = [correction(passage, number) for number, passage in enumerate(passages)]
        accept(workspace, acts[:NUM_CORRECTIONS])
        workspace.ask("Is anybody there?")
        asker = Asker(workspace.root)
        to_correct = acts[NUM_CORRECTIONS : NUM_CORRECTIONS + options.times]
        served = [serve(workspace, asker, each) for each in to_correct]
        asker.close()
    print_table(
        f"a correction until it answers: {name}, {len(passages):,} passages",
        ("", "median ms", "worst ms"),
        [
            row("accepted", [each.accepted for each in served]),
            row("answered in the same process", [each.same_process for each in served]),
            row("answered in another process", [each.other_process for each in served]),
        ],
        f"{options.times} times, with {NUM_CORRECTIONS:,} corrections there before.",
    )


if __name__ == "__main__":
    main()
