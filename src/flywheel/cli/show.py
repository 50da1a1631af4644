"""How results and progress are shown: JSON or words on stdout, bars on stderr."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")

BAR_AFTER_SECONDS = 2.0

# Line breaks, escape sequences, and what turns the direction of writing.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def console() -> Console:
    """Stdout for people. As wide as the terminal; as wide as it needs where there is none."""
    width = None if sys.stdout.isatty() else 120
    # Names of files may hold [brackets] and :colons:, which are no markup.
    return Console(width=width, highlight=False, soft_wrap=True, markup=False, emoji=False)


def count(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def one_line(name: str) -> str:
    """A name of any origin with its control characters spelled out: none steers the terminal."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), name)


def print_json(data: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    click.echo(json.dumps(data, ensure_ascii=False))


class _Speed(ProgressColumn):
    """How many of a stage's items are done in a second: of a training, its tokens."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed and task.speed >= 1 else "")


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr for work of over two seconds; none where stderr is no terminal."""
    import time

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    tasks: dict[str, TaskID] = {}
    started = time.monotonic()

    def update(stage: str, done: int, total: int) -> None:
        if time.monotonic() - started < BAR_AFTER_SECONDS:
            return
        if not tasks:
            bar.start()
        if stage not in tasks:
            tasks[stage] = bar.add_task(stage, total=total or None)
        bar.update(tasks[stage], completed=done, total=total or None)

    try:
        yield update
    finally:
        bar.stop()
