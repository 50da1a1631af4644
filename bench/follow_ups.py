"""Whether a follow-up question finds what it asks for, and a question of its own is left alone.

    python bench/follow_ups.py [--part test] [--errors]

The conversations in bench/follow_ups/ are about the example's invented car, half of each part
Chinese, half of their last questions follow-ups ("and in winter?", 它怎么关？); the others change
the topic, or hold words of a follow-up and stand alone. Each names the text that answers its last
question. They were written before the rules. development.jsonl was looked at while these were made;
test.jsonl was not, and the figures are from it (`--errors` prints what goes wrong in the former).

The example's documents are searched by version 1 of a new workspace, which has learned nothing.
Asked is the last message alone, all messages of the user in one, what answer/conversation.py makes
of them, and that if it were told which are follow-ups.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpora import EXAMPLE
from corrections import wilson
from flywheel.answer.assistant import Assistant
from flywheel.answer.conversation import standalone
from flywheel.records import Message
from flywheel.search.index import Reader
from flywheel.wheel.workspace import Workspace
from measure import flywheel
from table import print_table

HERE = Path(__file__).resolve().parent / "follow_ups"
NUM_PASSAGES = 10


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    messages: tuple[Message, ...]
    stands_alone: bool
    evidence: tuple[str, ...]

    @property
    def last(self) -> str:
        return self.messages[-1].content

    @property
    def of_user(self) -> list[str]:
        return [each.content for each in self.messages if each.role == "user"]


def conversations(part: str) -> Iterator[Conversation]:
    for line in (HERE / f"{part}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        messages = tuple(
            Message(role="assistant" if place % 2 else "user", content=text)
            for place, text in enumerate(row["turns"])
        )
        yield Conversation(row["id"], messages, row["stands_alone"], tuple(row["evidence"]))


def alone(conversation: Conversation) -> str:
    return conversation.last


def together(conversation: Conversation) -> str:
    return " ".join(conversation.of_user)


def resolved(conversation: Conversation) -> str:
    return standalone(conversation.messages)


def told(conversation: Conversation) -> str:
    return alone(conversation) if conversation.stands_alone else together(conversation)


WAYS: dict[str, Callable[[Conversation], str]] = {
    "the last message": alone,
    "all of the user's": together,
    "as it is resolved": resolved,
    "told which lean": told,
}


def rank(assistant: Assistant, question: str, evidence: Sequence[str]) -> int | None:
    """At which place, from 1, the first passage stands that holds a piece of the evidence."""
    wanted = [_letters(each) for each in evidence]
    hits = assistant.search(question, Reader())[:NUM_PASSAGES]
    for place, hit in enumerate(hits, start=1):
        held = _letters(hit.passage.text)
        if any(each in held for each in wanted):
            return place
    return None


def _letters(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


def print_found(assistant: Assistant, asked: Sequence[Conversation]) -> None:
    rows = []
    for name, way in WAYS.items():
        row = [name]
        for is_alone in (False, True):
            chosen = [each for each in asked if each.evidence and each.stands_alone == is_alone]
            ranks = [rank(assistant, way(each), each.evidence) for each in chosen]
            row += [
                wilson(sum(each is not None for each in ranks), len(ranks)),
                wilson(sum(each == 1 for each in ranks), len(ranks)),
            ]
        rows.append(row)
    columns = ["asked", "follow-ups: in ten", "first", "standing alone: in ten", "first"]
    print_table("Follow-ups, where the gold passage is", columns, rows, "95 % by Wilson.")


def print_told_apart(asked: Sequence[Conversation]) -> None:
    rows = []
    for name, prefix in (("English", "en"), ("Chinese", "zh"), ("both", "")):
        of_language = [each for each in asked if each.id.startswith(prefix)]
        lean = [each for each in of_language if not each.stands_alone]
        stand = [each for each in of_language if each.stands_alone]
        joined = sum(resolved(each) != each.last for each in lean)
        left = sum(resolved(each) == each.last for each in stand)
        rows.append([name, wilson(joined, len(lean)), wilson(left, len(stand))])
    columns = ["", "follow-ups resolved", "others left alone"]
    print_table("Follow-ups, told from others", columns, rows)


def print_errors(assistant: Assistant, asked: Sequence[Conversation]) -> None:
    for each in asked:
        question = resolved(each)
        if (question == each.last) != each.stands_alone:
            print("TAKEN AMISS ", each.id, "|", question)
        elif each.evidence and rank(assistant, question, each.evidence) != 1:
            ranks = [rank(assistant, way(each), each.evidence) for way in WAYS.values()]
            print("NOT FIRST   ", each.id, *ranks, "|", question)


def main() -> None:
    parser = argparse.ArgumentParser(description="follow-up questions: found, and told apart")
    parser.add_argument("--part", choices=("development", "test"), default="test")
    parser.add_argument("--errors", action="store_true", help="what goes wrong in development")
    arguments = parser.parse_args()
    asked = list(conversations("development" if arguments.errors else arguments.part))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "workspace"
        flywheel(root, "init", str(root))
        flywheel(root, "add", str(EXAMPLE / "documents"))
        flywheel(root, "turn")
        with Workspace.open(root) as workspace:
            assistant = workspace.assistant(workspace.champion())
            if arguments.errors:
                print_errors(assistant, asked)
                return
            print_told_apart(asked)
            print_found(assistant, asked)


if __name__ == "__main__":
    main()
