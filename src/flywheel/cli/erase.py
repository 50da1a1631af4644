"""`flywheel erase`: a user, a source or an interaction goes from everything, provably."""

from __future__ import annotations

import sys
from typing import Any

import click

from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.store.erasures import TargetKind
from flywheel.store.redaction import Items
from flywheel.wheel.erasure.erasable import find
from flywheel.wheel.erasure.erase import Erased
from flywheel.wheel.erasure.erase import erase as erase_it


@click.command()
@click.option("--user", help="All that this user asked and said.")
@click.option("--source", metavar="PATH", help="A file, folder or address, and what quotes it.")
@click.option("--interaction", metavar="ID", help="One question, and what was said about it.")
@click.option("--yes", is_flag=True, help="Do not ask whether to go on.")
@show.as_json
@click.pass_context
def erase(
    context: click.Context,
    user: str | None,
    source: str | None,
    interaction: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Erase a user, a source or an interaction from everything that is kept, and prove it."""
    kind, name = _target({"user": user, "source": source, "interaction": interaction})
    with open_workspace(context) as workspace:
        items = find(workspace, kind, name)
        if not yes:
            _confirm(kind, name, items)
        with show.progress_bar() as progress:
            erased = erase_it(workspace, kind, name, progress)
    if as_json:
        show.print_json(_data(kind, erased))
        return
    _print(erased)


def _target(named: dict[TargetKind, str | None]) -> tuple[TargetKind, str]:
    given = [(kind, name) for kind, name in named.items() if name is not None]
    if len(given) != 1:
        raise click.UsageError("Name exactly one of --user, --source and --interaction.")
    return given[0]


def _confirm(kind: TargetKind, name: str, items: Items) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("Erasing cannot be undone: add --yes to go on without a question.")
    click.echo(f"{kind} {show.one_line(name)}: {_counts(items)}.", err=True)
    click.confirm("Erase it? This cannot be undone.", abort=True, err=True)


def _counts(items: Items) -> str:
    counts = (
        (len(items.interactions), "interaction"),
        (len(items.feedback), "act of feedback"),
        (len(items.documents), "document"),
        (len(items.shown), "answer shown to others"),
        (len(items.exam_items), "gold answer of the exam"),
    )
    plural = {
        "act of feedback": "acts of feedback",
        "answer shown to others": "answers shown",
        "gold answer of the exam": "gold answers of the exam",
    }
    parts = [
        f"{number} {plural.get(noun, noun + 's') if number != 1 else noun}"
        for number, noun in counts
        if number
    ]
    return ", ".join(parts) or "nothing is left of it"


def _data(kind: TargetKind, erased: Erased) -> dict[str, Any]:
    return {
        "erasure": erased.erasure,
        "kind": kind,
        "interactions": len(erased.items.interactions),
        "feedback": len(erased.items.feedback),
        "documents": len(erased.items.documents),
        "shown": len(erased.items.shown),
        "exam_items": len(erased.items.exam_items),
        "versions": list(erased.versions),
        "version": erased.version,
        "champion": erased.champion,
        "pieces": erased.proof.num_pieces,
        "files": erased.proof.num_files,
        "notes": list(erased.notes),
        "seconds": round(erased.seconds, 3),
    }


def _print(erased: Erased) -> None:
    looked_for = show.count(erased.proof.num_pieces, "sentence")
    click.echo(
        f"erased: {_counts(erased.items)}; {looked_for} found nowhere in "
        f"{show.count(erased.proof.num_files, 'file')}, in {erased.seconds:.1f} s"
    )
    if erased.versions:
        numbers = ", ".join(map(str, erased.versions))
        click.echo(f"  versions that held or learned from it never serve again: {numbers}")
    if erased.version is not None:
        click.echo(f"  version {erased.version} serves: the champion without it")
    elif erased.champion is None:
        click.echo("  no version serves: nothing is left to answer from")
    for note in erased.notes:
        click.echo(f"  {note}")
