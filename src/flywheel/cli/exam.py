"""`flywheel exam`: how good the champion is on a file of questions."""

from __future__ import annotations

from pathlib import Path

import click

from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.evaluate.card import score_data, score_table
from flywheel.evaluate.exam import read_exam, write_answers
from flywheel.wheel import turn as wheel


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--answers", type=click.Path(path_type=Path), help="Write every answer, as JSON lines."
)
@show.as_json
@click.pass_context
def exam(context: click.Context, file: Path, answers: Path | None, as_json: bool) -> None:
    """Sit the exam in FILE with the version that serves, and print its scores.

    FILE has one JSON object a line: "id" and "question", and where they are known "evidence" (a
    list of verbatim texts of the documents), "answer", "answerable" and "tags".
    """
    if answers and (answers.is_dir() or not answers.absolute().parent.is_dir()):
        raise click.UsageError(f"{answers} cannot be a file: name one in a folder that is there.")
    if answers and answers.absolute().resolve() == file.absolute().resolve():
        raise click.UsageError(f"{answers} is the exam itself: name another file for the answers.")
    questions = read_exam(file)
    with open_workspace(context) as workspace, show.progress_bar() as progress:
        champion = workspace.champion()
        assistant = workspace.assistant(champion)
        sitting = wheel.evaluate(questions, assistant, workspace, progress)
    if answers:
        write_answers(answers, sitting)
    if as_json:
        show.print_json({**score_data(sitting), "version": champion.number})
        return
    show.console().print(score_table(sitting))
    if answers:
        click.echo(f"Every answer is in {answers}.")
