"""`flywheel moderation`, for people and as JSON."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

BENCH = Path(__file__).resolve().parents[2] / "bench" / "moderation"
FILES = sorted(BENCH.glob("labelled-*.jsonl"))
NUM_LINES = sum(len(each.read_bytes().splitlines()) for each in FILES)


@pytest.fixture
def lines(ready: Path) -> Path:
    """The labelled lines of the bench, in one file."""
    path = ready / "labelled.jsonl"
    path.write_bytes(b"".join(each.read_bytes() for each in FILES))
    return path


def write_list(workspace: Path, category: str, text: str) -> None:
    folder = workspace / "moderation" / "words"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{category}.txt").write_text(text, encoding="utf-8")


def test_training_prints_a_table_with_intervals(flywheel: Run, lines: Path) -> None:
    told = flywheel("moderation", "train", lines)
    head, *rows, last = told.out.splitlines()
    assert " ".join(head.split()) == "category language texts precision recall in the documents"
    assert [row.split()[:2] for row in rows] == [
        [category, language]
        for category in ("insults", "self-harm", "threats")
        for language in ("English", "Chinese")
    ]
    assert all(len(re.findall(r"\d\.\d\d \[\d\.\d\d, \d\.\d\d\]", row)) == 2 for row in rows)
    assert re.fullmatch(
        rf"learned from {NUM_LINES} lines, \d pieces of documents in \d+\.\d s; "
        "it counts from now on",
        last,
    )


def test_training_as_json(flywheel: Run, lines: Path) -> None:
    data = flywheel("moderation", "train", lines, "--json").data
    assert data.keys() == {
        *("digest", "num_lines", "num_flags", "num_pieces", "left_out", "examples"),
        *("measured", "seconds"),
    }
    assert data["num_lines"] == NUM_LINES
    [first, *_] = data["measured"]
    assert first.keys() == {
        *("category", "language", "precision", "recall", "alarms", "calibration_error"),
    }
    assert first["recall"].keys() == {"value", "low", "high", "count"}


def test_wrong_line_is_told_in_one_line(flywheel: Run, ready: Path) -> None:
    path = ready / "lines.jsonl"
    path.write_text('{"text": "x", "categories": []}\n{"text": "x", "categorys": []}\n')
    ended = flywheel("moderation", "train", path)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (f'{path}, line 2: unknown key "categorys"; did you mean "categories"?\n')


def test_too_few_examples_are_told(flywheel: Run, ready: Path) -> None:
    path = ready / "lines.jsonl"
    path.write_text('{"text": "x", "categories": ["threats"]}\n')
    ended = flywheel("moderation", "train", path)
    assert ended.code == 1
    assert ended.err.startswith('"threats" has 1 of the 20 examples that learning it takes.')


def test_check_shows_what_was_found_and_where(flywheel: Run, ready: Path) -> None:
    write_list(ready, "threats", "kill you\n杀了你\n")
    write_list(ready, "insults", "idiot*\n")
    for text, piece in (("I will k1ll you", "k1ll you"), ("我要殺了你", "殺了你")):
        head, first, second, last = flywheel("moderation", "check", text).out.splitlines()
        assert head.split() == ["category", "score", "found", "where"]
        assert first.split() == ["threats", "1.000", "yes", *f'"{piece}"'.split()]
        assert second.split() == ["insults", "0.000"]
        assert last == "as a question: mark; as an answer: mark"


def test_check_follows_the_settings(flywheel: Run, ready: Path) -> None:
    write_list(ready, "threats", "kill you\n")
    settings = '[moderation.categories.threats]\ninput = "refuse"\noutput = "allow"\n'
    (ready / "flywheel.toml").write_text(settings)
    told = flywheel("moderation", "check", "kill you").out
    assert told.splitlines()[-1] == "as a question: refuse; as an answer: allow"


def test_check_as_json(flywheel: Run, ready: Path) -> None:
    write_list(ready, "threats", "kill you\n")
    data = flywheel("moderation", "check", "Kill you!", "--json").data
    assert data.keys() == {"input", "output"}
    assert data["input"] == {
        "flagged": True,
        "action": "mark",
        "categories": {"threats": True},
        "scores": {"threats": 1.0},
        "spans": [{"category": "threats", "phrase": "kill you", "start": 0, "end": 8}],
    }


def test_check_steers_no_terminal(flywheel: Run, ready: Path) -> None:
    write_list(ready, "threats", "kill you\n")
    assert "\x1b" not in flywheel("moderation", "check", "kill \x1b[2Jyou kil\x1bl you").out


def test_check_with_nothing_to_look_for_says_so(flywheel: Run, ready: Path) -> None:
    told = flywheel("moderation", "check", "kill you")
    assert told.code == 0
    assert "Next: flywheel moderation train FILE" in told.out


def test_list_that_cannot_be_read_is_told(flywheel: Run, ready: Path) -> None:
    write_list(ready, "threats", "kill you\n?\n")
    ended = flywheel("moderation", "check", "kill you")
    assert ended.code == 1
    assert ended.err.endswith("threats.txt, line 2: no letter and no digit to look for\n")
