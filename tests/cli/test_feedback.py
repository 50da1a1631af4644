"""`flywheel feedback import`, for people and as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flywheel.cli.feedback import LISTED

if TYPE_CHECKING:
    from tests.cli.conftest import Run

EDIT = {
    "id": "a",
    "kind": "edit",
    "question": "Where is the child lock?",
    "answer": "On the edge of each rear door.",
    "evidence": ["The child lock sits on the edge of each rear door."],
}


def write(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "feedback.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_import_prints_counts_and_the_next_command(flywheel: Run, ready: Path) -> None:
    path = write(ready, EDIT, {"kind": "up", "question": "x"})
    first, second = flywheel("feedback", "import", path).out.splitlines()
    assert re.fullmatch(r"2 imported \(1 edit, 1 up\) in \d\.\d s", first)
    assert second.endswith("To learn from all of it: flywheel turn")
    (again,) = flywheel("feedback", "import", path).out.splitlines()
    assert re.fullmatch(r"0 imported, 2 known before in \d\.\d s", again)


def test_import_lists_the_first_notes(flywheel: Run, ready: Path) -> None:
    lines = [
        {**EDIT, "id": str(each), "evidence": ["nowhere at all"]} for each in range(LISTED + 2)
    ]
    told = flywheel("feedback", "import", write(ready, *lines)).out.splitlines()
    assert told[1] == '  0: evidence 1 stands in no current document: "nowhere at all"'
    assert told[LISTED + 1] == "  … and 2 more: --json lists them all"


def test_import_as_json(flywheel: Run, ready: Path) -> None:
    path = write(ready, EDIT, {**EDIT, "id": "b", "user": "tom", "answer": "In the boot."})
    data = flywheel("feedback", "import", path, "--json").data
    assert data.keys() == {"imported", "known", "kinds", "notes", "seconds"}
    assert (data["imported"], data["known"], data["kinds"]) == (2, 0, {"edit": 2})
    (note,) = data["notes"]
    assert note.startswith("a, b: owner, tom contradict each other")


def test_untrusted_suggestions_dispute_nothing(flywheel: Run, ready: Path) -> None:
    path = write(ready, EDIT, {**EDIT, "id": "b", "user": "tom", "answer": "In the boot."})
    assert flywheel("feedback", "import", path, "--untrusted", "--json").data["notes"] == []


def test_bad_line_is_told_in_one_line(flywheel: Run, ready: Path) -> None:
    ended = flywheel("feedback", "import", write(ready, EDIT, {**EDIT, "id": "b", "kind": "fix"}))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f'{ready}/feedback.jsonl, line 2: unknown kind "fix"; ')
    assert len(ended.err.splitlines()) == 1


def test_file_that_is_not_there(flywheel: Run, ready: Path) -> None:
    ended = flywheel("feedback", "import", "none.jsonl")
    assert ended.code == 1
    assert ended.err == "none.jsonl cannot be read: No such file or directory.\n"
