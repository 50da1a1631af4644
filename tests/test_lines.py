"""A wrong line of a user's file is named, with what is wrong in the words of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict

from flywheel.errors import FileFormatError, SourceError
from flywheel.lines import read_lines


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["up", "down"]
    text: str = ""


def read(tmp_path: Path, *lines: bytes | str) -> list[tuple[int, Line]]:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\n".join(each.encode() if isinstance(each, str) else each for each in lines))
    return read_lines(path, Line)


def test_blank_lines_count_and_say_nothing(tmp_path: Path) -> None:
    lines = read(tmp_path, b"\xef\xbb\xbf" + b'{"kind": "up"}\r', "", '{"kind": "down"}', " ")
    assert [(number, line.kind) for number, line in lines] == [(1, "up"), (3, "down")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not a JSON object: "),
        ("[" * 100_000, "not a JSON object"),
        ("[1]", "not a JSON object; there is one JSON object a line"),
        ('{"kind": "up", "kind": "down"}', "a key stands twice"),
        ('{"kind": "upp"}', 'unknown kind "upp"; did you mean "up"?'),
        ('{"kind": "zzz"}', 'unknown kind "zzz"; known: up, down'),
        ('{"kind": "up", "txt": "x"}', 'unknown key "txt"; did you mean "text"?'),
        ('{"text": "x"}', '"kind" is missing'),
        ('{"kind": "up", "text": 1}', '"text": input should be a valid string'),
        ('{"kind": "up", "text": "\\ud800"}', "half a character"),
        (b'{"kind": "up", "text": "\xff"}', "not UTF-8"),
    ],
)
def test_wrong_line_is_named(tmp_path: Path, line: bytes | str, problem: str) -> None:
    with pytest.raises(FileFormatError) as raised:
        read(tmp_path, '{"kind": "up"}', line)
    assert raised.value.line == 2
    assert problem in raised.value.problem


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        read_lines(tmp_path / "none.jsonl", Line)
