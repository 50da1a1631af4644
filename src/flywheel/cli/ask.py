"""`flywheel ask`: a question, its answer, and where that stands."""

from __future__ import annotations

from typing import Any

import click

from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.records import Answer, to_json
from flywheel.wheel.workspace import Asked


@click.command()
@click.argument("text")
@click.option("--access", multiple=True, metavar="LABEL", help="Ask as who may read these labels.")
@show.as_json
@click.pass_context
def ask(context: click.Context, text: str, access: tuple[str, ...], as_json: bool) -> None:
    """Answer TEXT from the documents, with citations."""
    if not text.strip():
        raise click.UsageError("The question is empty.")
    with open_workspace(context) as workspace:
        asked = workspace.ask(text, labels=access or None)
    if as_json:
        show.print_json(answer_data(asked))
        return
    print_answer(asked.answer)
    click.echo(f"interaction {asked.interaction}")


def answer_data(asked: Asked) -> dict[str, Any]:
    """An answer as `--json` prints it."""
    answer = asked.answer
    return {
        "answer": answer.answer,
        "draft": answer.draft,
        "kind": answer.kind,
        "confidence": round(answer.confidence, 4),
        "verified": answer.verified,
        "choices": list(answer.choices),
        "citations": [to_json(citation) for citation in answer.citations],
        "version": answer.version,
        "interaction": asked.interaction,
        "timings_ms": {name: round(ms, 2) for name, ms in answer.timings_ms.items()},
        "is_written": answer.is_written,
        "shortfall": answer.shortfall,
    }


def print_answer(answer: Answer) -> None:
    """An answer in words, with its sources as footnotes."""
    click.echo(answer.answer)
    click.echo()
    if answer.kind == "answer":
        paths = {passage.id: passage.path for passage in answer.passages}
        for number, each in enumerate(answer.citations, start=1):
            place = " › ".join((each.title, *each.headings))
            path = show.one_line(paths[each.passage])
            span = f"characters {each.start}–{each.end} of the passage"
            click.echo(f"[{number}] {place} ({path}, {span})")
    if answer.shortfall:
        click.echo(f"quoted, since a model fell short: {show.one_line(answer.shortfall)}")
    origin = "verified, " if answer.verified else "written, " if answer.is_written else ""
    click.echo(f"{origin}confidence {answer.confidence:.2f}, version {answer.version}")
