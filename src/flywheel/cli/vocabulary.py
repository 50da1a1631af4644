"""`flywheel vocabulary`: what the documents need of a base's vocabulary, and the base cut to it."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from flywheel.cli import show
from flywheel.cli.workspace import expanded, open_workspace
from flywheel.records import to_json
from flywheel.wheel import vocabulary as wheel


@click.group()
def vocabulary() -> None:
    """Show what the documents need of a base's vocabulary, or trim the base to it."""


@vocabulary.command("show")
@show.as_json
@click.pass_context
def show_(context: click.Context, as_json: bool) -> None:
    """Say how much of the documents vocabularies of several sizes cover, and what they save."""
    with open_workspace(context) as workspace, show.progress_bar() as progress:
        found = wheel.show(workspace, progress)
    if as_json:
        show.print_json(to_json(found))
        return
    console = show.console()
    console.print(_table(found))
    console.print(
        f"{show.one_line(found.base)} has {found.num_tokens} tokens; "
        f"{show.count(found.num_passages, 'passage')} of {_megabytes(found.num_bytes)} use "
        f"{found.num_used}. Memory is that of the weights in float32."
    )


@vocabulary.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--size",
    type=click.IntRange(min=1),
    help="How many tokens. Default: build.vocabulary, or what covers 99 %.",
)
@show.as_json
@click.pass_context
def trim(context: click.Context, folder: Path, size: int | None, as_json: bool) -> None:
    """Write the base with a smaller vocabulary into FOLDER, which any tool can load."""
    target = expanded(folder).resolve()
    with open_workspace(context) as workspace, show.progress_bar() as progress:
        trimmed = wheel.trim(workspace, target, size or 0, progress)
    if as_json:
        show.print_json(to_json(trimmed) | {"folder": str(trimmed.folder)})
        return
    console, worth = show.console(), trimmed.worth
    console.print(
        f"{trimmed.folder}: {worth.size} of {trimmed.num_tokens_before} tokens, "
        f"{_megabytes(worth.memory_bytes)} instead of {_megabytes(trimmed.memory_bytes_before)}"
    )
    console.print(
        f"{worth.covered:.2%} of the documents' tokens are kept; "
        f"{worth.bytes_per_token:.2f} bytes per token, {trimmed.bytes_per_token_before:.2f} before"
    )
    console.print(
        f"{trimmed.num_covered} of {show.count(trimmed.num_passages, 'passage')} are covered "
        "whole; each of them is split as before"
    )
    console.print(f'Next, in flywheel.toml: [build] base = "{trimmed.folder}"')


def _table(found: wheel.Vocabulary) -> Table:
    table = Table("tokens", "covered", "bytes per token", "memory", "saved", box=None)
    for each in found.worth:
        table.add_row(
            f"{each.size} (all)" if each is found.worth[-1] else str(each.size),
            f"{each.covered:.2%}",
            f"{each.bytes_per_token:.2f}",
            _megabytes(each.memory_bytes),
            f"{each.saved:.0%}",
        )
    return table


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
