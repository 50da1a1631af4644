"""What each command prints, for people and as JSON."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flywheel.cli import COMMANDS
from flywheel.evaluate.metrics import METRICS

if TYPE_CHECKING:
    from tests.cli.conftest import Run

SCORE = {"value", "low", "high", "count"}
CITATION = {"document", "title", "headings", "passage", "quote", "start", "end"}


def write_exam(folder: Path) -> Path:
    evidence = "The child lock sits on the edge of each rear door."
    lines = [
        {"id": "lock", "question": "Where is the child lock?", "evidence": [evidence]},
        {"id": "tea", "question": "How is tea brewed?", "answerable": False},
    ]
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_init_makes_a_workspace_and_names_the_next_command(flywheel: Run, empty: Path) -> None:
    ended = flywheel("init", "manual")
    assert ended.code == 0
    assert ended.out == f"{empty}/manual is a workspace now. Next: flywheel add DOCUMENTS\n"
    assert (empty / "manual" / "flywheel.toml").read_text().startswith("# Flywheel workspace.")


def test_add_prints_counts_and_what_was_set_aside(flywheel: Run, ready: Path) -> None:
    (ready.parent / "documents" / "copy.md").write_bytes(
        (ready.parent / "documents" / "doors.md").read_bytes()
    )
    (ready.parent / "documents" / "note.txt").unlink()
    lines = flywheel("add", "../documents").out.splitlines()
    assert re.fullmatch(r"3 files in \d\.\d s: 2 unchanged, 1 kept, 1 deleted", lines[0])
    assert lines[1:] == ["Next: flywheel turn"]


def test_add_names_no_next_command_where_nothing_changed(flywheel: Run, ready: Path) -> None:
    (line,) = flywheel("add", "../documents").out.splitlines()
    assert re.fullmatch(r"3 files in \d\.\d s: 3 unchanged", line)


def test_add_as_json_has_every_file_once(flywheel: Run, ready: Path) -> None:
    (ready.parent / "documents" / "new.md").write_text("# Lamps\n\nThe lamps switch by themselves.")
    data = flywheel("add", "../documents", "--json").data
    assert data.keys() == {"documents", "seconds"}
    source = str(ready.parent / "documents")
    rows = {row["path"]: row for row in data["documents"]}
    assert rows["new.md"] == {
        "source": source,
        "path": "new.md",
        "fate": "kept",
        "reason": "",
        "passages": 1,
    }
    assert rows["note.txt"]["fate"] == "unchanged"
    assert rows["note.txt"]["reason"] == "dropped: too short"
    assert len(data["documents"]) == len(rows) == 4


def test_add_ends_well_when_some_files_failed(flywheel: Run, ready: Path) -> None:
    (ready.parent / "documents" / "gone.md").symlink_to("nowhere")
    ended = flywheel("add", "../documents")
    assert ended.code == 0
    assert "  failed     gone.md: broken link" in ended.out


def test_documents_lists_the_same_rows(flywheel: Run, ready: Path) -> None:
    data = flywheel("documents", "--json").data
    assert data.keys() == {"documents"}
    rows = [(row["path"], row["fate"], row["reason"]) for row in data["documents"]]
    assert rows == [
        ("doors.md", "kept", ""),
        ("note.txt", "dropped", "too short"),
        ("车窗.md", "kept", ""),
    ]
    table = flywheel("documents").out
    assert "3 files" in table and "too short" in table and "车窗.md" in table


def test_turn_as_json_has_decision_reasons_and_metrics(flywheel: Run, ready: Path) -> None:
    (ready / "exam.jsonl").write_bytes(write_exam(ready.parent).read_bytes())
    (ready / "flywheel.toml").write_text("[quote]\nmax_words = 100\n")
    data = flywheel("turn", "--json").data
    assert data.keys() == {"version", "decision", "reasons", "champion", "metrics", "seconds"}
    assert (data["version"], data["decision"], data["champion"]) == (2, "kept", 1)
    assert data["reasons"] and data["metrics"].keys() <= set(METRICS)
    assert all(score.keys() == SCORE for score in data["metrics"].values())


def test_turn_prints_scores_decision_and_reasons(flywheel: Run, ready: Path) -> None:
    (ready / "exam.jsonl").write_bytes(write_exam(ready.parent).read_bytes())
    (ready / "flywheel.toml").write_text("[quote]\nmax_words = 100\n")
    told = flywheel("turn").out
    assert "2 questions, 95 % intervals" in told
    assert re.search(r"^Version 2: kept, in \d+\.\d s\. Version 1 serves\.$", told, re.M)


def test_turn_with_nothing_new_says_so_in_a_line(flywheel: Run, ready: Path) -> None:
    assert flywheel("turn").out == "Nothing is new since version 1. Version 1 serves.\n"


def test_ask_prints_the_answer_and_where_it_stands(flywheel: Run, ready: Path) -> None:
    (ready / "flywheel.toml").write_text("")
    lines = flywheel("ask", "Where on the rear door does the child lock sit?").out.splitlines()
    assert "The child lock sits on the edge of each rear door. Turn it with the key." in lines
    place = r"\[1\] Doors › Child lock \(doors\.md, characters 0–\d+ of the passage\)"
    assert any(re.fullmatch(place, line) for line in lines)
    assert re.fullmatch(r"confidence [01]\.\d\d, version 1", lines[-2])
    assert re.fullmatch(r"interaction [0-9a-f]{32}", lines[-1])


def test_ask_as_json_has_citations_that_are_exact(flywheel: Run, ready: Path) -> None:
    data = flywheel("ask", "车窗上升时遇到阻力会怎样？", "--json").data
    expected = {"answer", "draft", "kind", "confidence", "verified", "citations", "version"}
    assert data.keys() == expected | {
        "interaction",
        "timings_ms",
        "choices",
        "is_written",
        "shortfall",
    }
    assert data["version"] == 1 and data["verified"] is False
    assert data["kind"] in ("answer", "ask_back", "abstain")
    assert 0 <= data["confidence"] <= 1
    assert data["timings_ms"].keys() == {"search", "answer", "total"}
    citation = data["citations"][0]
    assert citation.keys() == CITATION
    assert citation["quote"] == "车窗上升时遇到阻力会自动停下并略微下降。"
    assert citation["end"] - citation["start"] == len(citation["quote"])


def test_ask_shows_only_what_a_label_may_read(flywheel: Run, ready: Path) -> None:
    question = "Where does the child lock sit?"
    assert flywheel("add", "../documents", "--access", "hr").code == 0
    assert flywheel("ask", question, "--access", "public", "--json").data["citations"] == []
    assert flywheel("ask", question, "--access", "hr", "--json").data["citations"]
    assert flywheel("ask", question, "--json").data["citations"], "the owner sees all"


def test_exam_as_json_has_the_metrics_and_the_version(flywheel: Run, ready: Path) -> None:
    data = flywheel("exam", write_exam(ready), "--json").data
    expected = {"num_questions", "metrics", "metrics_by", "seconds", "version", "num_learned"}
    assert data.keys() == expected
    assert (data["num_questions"], data["version"]) == (2, 1)
    assert data["metrics"]["evidence_recall_at_1"] == {"value": 1, "low": 1, "high": 1, "count": 1}
    assert all(score.keys() == SCORE for score in data["metrics"].values())


def test_exam_writes_every_answer_where_asked(flywheel: Run, ready: Path) -> None:
    ended = flywheel("exam", write_exam(ready), "--answers", "out.jsonl")
    assert ended.out.endswith("Every answer is in out.jsonl.\n")
    lines = [json.loads(line) for line in (ready / "out.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["lock", "tea"]
    expected = {"id", "answer", "draft", "kind", "confidence", "citations", "passages"}
    assert all(line.keys() == expected for line in lines)
    assert all(passage.keys() == {"id", "text"} for passage in lines[0]["passages"])


def test_exam_changes_nothing_in_the_workspace(flywheel: Run, ready: Path) -> None:
    flywheel("exam", write_exam(ready.parent))
    assert flywheel("turn").out.startswith("Nothing is new since version 1")
    assert not (ready / "exam.jsonl").exists()


def test_versions_are_listed_and_the_champion_is_marked(flywheel: Run, ready: Path) -> None:
    data = flywheel("versions", "--json").data
    assert data.keys() == {"versions", "champion", "history"}
    assert data["champion"] == 1
    (version,) = data["versions"]
    assert (version["number"], version["parent"], version["decision"]) == (1, None, "promoted")
    assert "1 (serves)" in flywheel("versions").out


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The workspaces that would be served; test_serve.py serves one."""
    served: list[Path] = []
    monkeypatch.setattr("flywheel.cli.up._serve", served.append)
    return served


def test_up_makes_a_workspace_adds_turns_and_serves(
    flywheel: Run, empty: Path, served: list[Path]
) -> None:
    documents = empty / "manual"
    documents.mkdir()
    (documents / "doors.md").write_text("# Doors\n\nPull the handle twice to open the door.\n")
    ended = flywheel("up", documents)
    assert ended.code == 0
    assert f"{empty} is a workspace now." in ended.out
    assert "1 file in " in ended.out
    assert "Version 1: promoted" in ended.out
    assert served == [empty]
    assert (
        "Pull the handle twice"
        in flywheel("ask", "How do I open the door?", "--json").data["draft"]
    )
    assert "Nothing is new since version 1" in flywheel("up", documents).out


def test_up_makes_the_workspace_that_is_named(
    flywheel: Run, empty: Path, served: list[Path]
) -> None:
    (empty / "doors.md").write_text("# Doors\n\nPull the handle twice to open the door.\n")
    assert flywheel("-w", empty / "domain", "up", "doors.md").code == 0
    assert served == [empty / "domain"]
    assert not (empty / "flywheel.toml").exists()


def test_workspace_is_found_from_a_folder_below(
    flywheel: Run, ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ready / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(ready / "a" / "b")
    assert flywheel("versions", "--json").data["champion"] == 1


def test_workspace_is_found_by_the_environment(
    flywheel: Run, ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ready.parent)
    monkeypatch.setenv("FLYWHEEL_WORKSPACE", str(ready))
    assert flywheel("versions", "--json").data["champion"] == 1


def test_help_lists_the_commands_in_the_order_of_their_use(flywheel: Run) -> None:
    told = flywheel("--help").out
    names = re.findall(r"^  ([a-z]+)  ", told, re.M)
    assert names == list(COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_command_has_a_help_text(flywheel: Run, name: str) -> None:
    ended = flywheel(name, "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: flywheel {name}")
    assert flywheel(name, "-h").out == ended.out


def test_help_imports_none_of_what_the_commands_need() -> None:
    heavy = ("lancedb", "sklearn", "sqlalchemy", "numpy", "pydantic", "rich.table")
    code = (
        "import sys; sys.argv = ['flywheel', '--help']\n"
        "from flywheel.cli import main\n"
        "main()\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr == "[]\n"


def test_names_of_files_are_no_markup_and_steer_no_terminal(flywheel: Run, ready: Path) -> None:
    names = ("[bold]a.md", ":smile:.md", "x[/y].md", "line\nbreak.md", "red\x1b[31m.md")
    for name in names:
        (ready / "odd" / name).parent.mkdir(parents=True, exist_ok=True)
        (ready / "odd" / name).touch()
    added, listed = flywheel("add", "odd"), flywheel("documents")
    assert listed.code == 0
    for name in names:
        shown = name.replace("\n", "\\n").replace("\x1b", "\\x1b")
        assert shown in added.out
        assert shown in listed.out
