"""`flywheel moderation`: what a text holds that should not be there, and learning to tell it."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from flywheel.cli import show
from flywheel.cli.workspace import expanded, open_workspace
from flywheel.moderation.moderator import Verdict
from flywheel.records import Score, to_json
from flywheel.wheel.moderation import judging as wheel
from flywheel.wheel.moderation.judging import Training

LANGUAGES = {"en": "English", "zh": "Chinese"}


@click.group()
def moderation() -> None:
    """Find what should not be asked or answered: word lists, and a classifier trained here."""


@moderation.command()
@click.argument("file", type=click.Path(path_type=Path))
@show.as_json
@click.pass_context
def train(context: click.Context, file: Path, as_json: bool) -> None:
    """Train the classifier on FILE and on users' flags; it counts from now on.

    FILE has one JSON object a line: "text", and "categories", a list that is empty where the text
    is harmless. Precision, recall, and the share of the documents that is taken for a category are
    of texts that were not learned from.
    """
    with open_workspace(context) as workspace:
        trained = wheel.train(workspace, expanded(file))
    if as_json:
        show.print_json(to_json(trained) | {"seconds": round(trained.seconds, 3)})
        return
    console = show.console()
    console.print(_table(trained))
    sources = [
        show.count(trained.num_lines, "line"),
        *([show.count(trained.num_flags, "flag")] if trained.num_flags else []),
        *(
            [f"{show.count(trained.num_pieces, 'piece')} of documents"]
            if trained.num_pieces
            else []
        ),
    ]
    console.print(
        f"learned from {', '.join(sources)} in {trained.seconds:.1f} s; it counts from now on"
    )
    for reason, num in trained.left_out.items():
        console.print(f"{show.count(num, 'flag')} taught nothing: {reason}")


@moderation.command()
@click.argument("text")
@show.as_json
@click.pass_context
def check(context: click.Context, text: str, as_json: bool) -> None:
    """Say what TEXT holds, and what is done about it as a question and as an answer."""
    with open_workspace(context) as workspace:
        moderator = wheel.moderation_of(workspace).moderator
        question, answer = moderator.check(text, "input"), moderator.check(text, "output")
    if as_json:
        show.print_json({"input": to_json(question), "output": to_json(answer)})
        return
    if not moderator.categories:
        click.echo(
            "Nothing is looked for: there is no list in moderation/words/, and no classifier. "
            "Next: flywheel moderation train FILE"
        )
        return
    _print(text, question, answer)


def _print(text: str, question: Verdict, answer: Verdict) -> None:
    table = Table("category", "score", "found", "where", box=None)
    for name, score in sorted(question.scores.items(), key=lambda each: -each[1]):
        pieces = [text[each.start : each.end] for each in question.spans if each.category == name]
        where = ", ".join(f'"{show.one_line(piece)}"' for piece in pieces)
        found = question.categories[name] or answer.categories[name]
        table.add_row(show.one_line(name), f"{score:.3f}", "yes" if found else "", where)
    show.console().print(table)
    click.echo(f"as a question: {question.action}; as an answer: {answer.action}")


def _table(trained: Training) -> Table:
    table = Table(
        "category", "language", "texts", "precision", "recall", "in the documents", box=None
    )
    for each in trained.measured:
        table.add_row(
            show.one_line(each.category),
            LANGUAGES[each.language],
            str(each.recall.count),
            _share(each.precision),
            _share(each.recall),
            f"{each.alarms.value:.1%}" if each.alarms.count else "",
        )
    return table


def _share(score: Score) -> str:
    """With its 95 % interval."""
    if not score.count:
        return "none found"
    return f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"
