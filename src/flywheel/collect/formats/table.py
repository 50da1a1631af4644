"""Rows of cells as Markdown, the one form that tables of every media type take."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPACE = re.compile(r"\s+")


def markdown_table(rows: Iterable[Sequence[str]]) -> str:
    """`|` rows with the first as the header; empty rows and empty columns are left out."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    cells = [row for row in cells if any(row)]
    if not cells:
        return ""
    width = max(len(row) for row in cells)
    cells = [row + [""] * (width - len(row)) for row in cells]
    used = [index for index in range(width) if any(row[index] for row in cells)]
    lines = [_line([row[index] for index in used]) for row in cells]
    if len(lines) > 1:
        lines.insert(1, _line(["---"] * len(used)))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return _SPACE.sub(" ", text).strip().replace("|", "\\|")
