"""`flywheel exam`: how good the champion is on a file of questions, and how its own exam grows."""

from __future__ import annotations

import json
from pathlib import Path

import click

from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.evaluate.card import score_data, score_table
from flywheel.evaluate.exam import read_exam, write_answers
from flywheel.wheel import examination, growth
from flywheel.wheel.feedback import OWNER


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--answers", type=click.Path(path_type=Path), help="Write every answer, as JSON lines."
)
@click.option(
    "--waiting", is_flag=True, help="Print what users asked and the exam asks once it is answered."
)
@click.option("--gold", type=click.Path(path_type=Path), help="Take those lines back, filled in.")
@show.as_json
@click.pass_context
def exam(
    context: click.Context,
    file: Path | None,
    answers: Path | None,
    waiting: bool,
    gold: Path | None,
    as_json: bool,
) -> None:
    """Sit the exam in FILE with the version that serves, and print its scores.

    FILE has one JSON object a line: "id" and "question", and where they are known "evidence" (a
    list of verbatim texts of the documents), "answer", "answerable" and "tags".

    Without FILE: --waiting prints the questions that were drawn from what users asked, as such
    lines; fill in "evidence" and "answer", or "answerable": false, or "drop": true, and give them
    back with --gold. They join the exam that every turn is measured by.
    """
    if sum((file is not None, waiting, gold is not None)) != 1 or (answers and file is None):
        raise click.UsageError("Name one of FILE, --waiting and --gold; --answers goes with FILE.")
    if file is not None:
        _sit(context, file, answers, as_json)
    elif gold is not None:
        _take_gold(context, gold, as_json)
    else:
        _print_waiting(context, as_json)


def _sit(context: click.Context, file: Path, answers: Path | None, as_json: bool) -> None:
    if answers and (answers.is_dir() or not answers.absolute().parent.is_dir()):
        raise click.UsageError(f"{answers} cannot be a file: name one in a folder that is there.")
    if answers and answers.absolute().resolve() == file.absolute().resolve():
        raise click.UsageError(f"{answers} is the exam itself: name another file for the answers.")
    questions = read_exam(file)
    with open_workspace(context) as workspace, show.progress_bar() as progress:
        champion = workspace.champion()
        assistant = workspace.assistant(champion)
        sitting = examination.evaluate(questions, assistant, workspace, progress)
        num_learned = examination.overlap(assistant, questions).num_questions
    if answers:
        write_answers(answers, sitting)
    if as_json:
        data = {**score_data(sitting), "version": champion.number, "num_learned": num_learned}
        show.print_json(data)
        return
    show.console().print(score_table(sitting))
    if num_learned:
        click.echo(
            f"{num_learned} of {len(questions)} questions are nearly the same as ones that version "
            f"{champion.number} learned from: its scores are too good by that."
        )
    if answers:
        click.echo(f"Every answer is in {answers}.")


def _print_waiting(context: click.Context, as_json: bool) -> None:
    with open_workspace(context) as workspace:
        lines = growth.waiting(workspace)
    if as_json:
        show.print_json({"waiting": lines})
        return
    for line in lines:
        click.echo(json.dumps(line, ensure_ascii=False))
    if not lines:
        click.echo("No question waits. Every turn draws from what users asked.", err=True)


def _take_gold(context: click.Context, file: Path, as_json: bool) -> None:
    with open_workspace(context) as workspace:
        judged = growth.judge(workspace, file, OWNER)
    if as_json:
        show.print_json({"gold": judged.gold, "dropped": judged.dropped, "waiting": judged.waiting})
        return
    click.echo(
        f"{judged.gold} joined the exam, {judged.dropped} dropped, {judged.waiting} still wait."
    )
