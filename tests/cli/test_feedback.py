"""`flywheel feedback`, for people and as JSON."""

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


def dispute(flywheel: Run, folder: Path) -> None:
    flywheel(
        "feedback",
        "import",
        write(folder, EDIT, {**EDIT, "id": "b", "user": "tom", "answer": "In the boot."}),
    )


def test_review_shows_both_sides_and_how_to_decide(flywheel: Run, ready: Path) -> None:
    dispute(flywheel, ready)
    told = flywheel("feedback", "review").out
    assert 'a, owner: "Where is the child lock?" → "On the edge of each rear door."' in told
    assert "  waits: curators contradict each other" in told
    assert '  against b, tom: "Where is the child lock?" → "In the boot."' in told
    assert "2 corrections wait for a curator" in told
    assert told.splitlines()[-1].startswith("To decide: flywheel feedback confirm ID")
    data = flywheel("feedback", "review", "--json").data
    assert [each["id"] for each in data["corrections"]] == ["a", "b"]
    assert [each["id"] for each in data["corrections"][0]["against"]] == ["b"]


def test_confirming_and_withdrawing_decide(flywheel: Run, ready: Path) -> None:
    dispute(flywheel, ready)
    assert flywheel("feedback", "confirm", "b").out.endswith("served to all from now on\n")
    assert flywheel("feedback", "review").out == "0 corrections wait for a curator\n"
    assert flywheel("feedback", "withdraw", "b").out == "b is withdrawn\n"
    ended = flywheel("feedback", "withdraw", "b", "--json")
    assert (ended.code, ended.err) == (2, 'The correction "b" was withdrawn: withdrawn.\n')


def test_confirming_and_withdrawing_as_json(flywheel: Run, ready: Path) -> None:
    dispute(flywheel, ready)
    confirmed = flywheel("feedback", "confirm", "a", "--json").data
    assert (confirmed["id"], confirmed["verified"], confirmed["disputed"]) == ("a", True, False)
    assert flywheel("feedback", "withdraw", "a", "--json").data == {"withdrawn": "a"}


def flood(flywheel: Run, folder: Path, number: int = 30) -> None:
    lines = [
        {"id": f"m{each}", "kind": "up", "question": f"thing {each}?", "answer": "x", "user": "bo"}
        for each in range(number)
    ]
    flywheel("feedback", "import", write(folder, *lines), "--untrusted")


def test_burst_is_listed_released_and_rejected(flywheel: Run, ready: Path) -> None:
    flood(flywheel, ready)
    told = flywheel("feedback", "quarantine").out.splitlines()
    assert re.fullmatch(r"m0  \S+  bo  up  waits  thing 0\?", told[0])
    assert told[-1] == "30 of 30 acts in quarantine wait for a curator"
    assert flywheel("feedback", "release", "m0", "m1").out == "2 acts released\n"
    assert flywheel("feedback", "reject", "--user", "bo", "--json").data == {"rejected": 28}
    acts = flywheel("feedback", "quarantine", "--json").data["acts"]
    assert [each["decision"] for each in acts] == ["released"] * 2 + ["rejected"] * 28


def test_release_of_nothing_and_of_what_is_not_there(flywheel: Run, ready: Path) -> None:
    ended = flywheel("feedback", "release")
    assert ended.code == 2
    assert "Name the IDs of acts, or their --user." in ended.err
    ended = flywheel("feedback", "reject", "none")
    assert (ended.code, ended.err) == (2, 'The act "none" is not in quarantine.\n')
    ended = flywheel("feedback", "release", "--user", "bo")
    assert (ended.code, ended.err) == (2, 'No act of "bo" waits in quarantine.\n')


def test_health_for_people(flywheel: Run, ready: Path) -> None:
    flood(flywheel, ready)
    told = flywheel("feedback", "health").out
    assert re.search(r"agreement on answers +– .*too few: 20 are needed to tell", told)
    assert re.search(r"burst in quarantine +30 +m0, m1, m10, m11, m12 … and 25 more", told)
    assert "30 acts kept; they give 0 examples and 0 preferences; 30 left out" in told


def test_health_as_json(flywheel: Run, ready: Path) -> None:
    lines = [{"id": f"u{n}", "kind": "up", "question": "?x", "answer": f"y{n}"} for n in range(25)]
    flywheel("feedback", "import", write(ready, EDIT, *lines))
    data = flywheel("feedback", "health", "--json").data
    assert (data["num_acts"], data["num_examples"], data["num_preferences"]) == (26, 1, 0)
    assert data["left_out"] == {
        "no evidence in current documents": sorted(f"u{n}" for n in range(25))
    }
    assert data["position_exponent"] == 1.0
    largest = {each["name"]: each for each in data["measures"]}["largest share of one user"]
    assert (largest["value"], largest["verdict"]) == (1.0, "look")


def test_health_of_nothing(flywheel: Run, ready: Path) -> None:
    assert "0 acts kept; they give 0 examples" in flywheel("feedback", "health").out


def test_file_that_is_not_there(flywheel: Run, ready: Path) -> None:
    ended = flywheel("feedback", "import", "none.jsonl")
    assert ended.code == 1
    assert ended.err == "none.jsonl cannot be read: No such file or directory.\n"
