"""A table for the terminal that is also Markdown, so that it can stand in the docs as printed."""

from __future__ import annotations

from collections.abc import Sequence


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = ""
) -> None:
    """Prints a title, the rows under their columns and a note; all but the first to the right."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    rule = [("-" * widths[0]), *("-" * (width - 1) + ":" for width in widths[1:])]
    print(f"\n**{title}**\n")
    for cells in (columns, rule, *rows):
        first = cells[0].ljust(widths[0])
        others = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        print("| " + " | ".join([first, *others]) + " |")
    print(f"\n{note}\n" if note else "", flush=True)
