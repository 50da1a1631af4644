"""`flywheel turn`: one revolution of the wheel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.evaluate.card import score_table
from flywheel.records import to_json
from flywheel.wheel import turn as wheel

if TYPE_CHECKING:
    from rich.table import Table


@click.command()
@click.option(
    "--model", is_flag=True, help="Build a language model too, from [build] in flywheel.toml."
)
@show.as_json
@click.pass_context
def turn(context: click.Context, model: bool, as_json: bool) -> None:
    """Build a version from what is staged, examine it, and promote it if it is good enough."""
    with open_workspace(context) as workspace, show.progress_bar() as progress:
        turned = wheel.turn(workspace, progress, model=model)
    if as_json:
        show.print_json(
            {
                "version": turned.version,
                "decision": turned.decision,
                "reasons": list(turned.reasons),
                "champion": turned.champion,
                "metrics": {name: to_json(score) for name, score in turned.metrics.items()},
                "seconds": round(turned.seconds, 3),
            }
            | ({"model": turned.model} if turned.model else {})
        )
        return
    print_turned(turned)


def print_turned(turned: wheel.Turned) -> None:
    """What a turn came to: the score table, the decision and its reasons."""
    console = show.console()
    if turned.model:
        console.print(model_table(turned.model))
    if turned.sitting is None:
        reason = show.one_line(turned.reasons[0]).capitalize()
        console.print(f"{reason}. Version {turned.champion} serves.")
        return
    console.print(score_table(turned.sitting))
    decision = f"Version {turned.version}: {turned.decision}, in {turned.seconds:.1f} s"
    console.print(f"{decision}. Version {turned.champion} serves.")
    for reason in turned.reasons:
        console.print(f"  {show.one_line(reason)}")


def model_table(made: Mapping[str, Any]) -> Table:
    """What a model is and what it is worth, each figure beside what it has to be seen with."""
    from rich.table import Table

    table = Table(title="the model", show_header=False)
    for name, value in _model_rows(made):
        table.add_row(name, value)
    return table


def _model_rows(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    shape, outcome, parity = made["plan"]["step"]["shape"], made["outcome"], made["parity"]
    exported = made["exported"]
    method = {"new": "new, from scratch", "full": "trained in full", "lora": "trained with LoRA"}
    yield (
        "what it is",
        f"{exported['num_parameters']:,} parameters, {shape['depth']} layers of {shape['width']}, "
        f"{made['num_tokens']:,} tokens; {method[made['plan']['step']['method']]}",
    )
    for phase in made["phases"]:
        yield (
            f"learned by {phase['objective']}",
            f"{phase['num_tokens']:,} tokens in {phase['num_steps']} steps, "
            f"{phase['tokens_per_second']:,.0f} a second{_validated(phase)}",
        )
    yield (
        "exercises",
        f"{made['num_exercises']:,} questions with passages, {made['num_pairs']:,} preferences"
        + "".join(f"; {num} left out: {why}" for why, num in made["dropped"].items()),
    )
    yield (
        "foretold",
        f"memory {outcome['predicted_bytes'] / 2**20:,.0f} MiB, took {outcome['memory_ratio']:.2f} "
        f"of it; time {outcome['predicted_seconds']:,.0f} s, {outcome['time_ratio']:.2f} of it",
    )
    yield (
        "served file",
        f"{exported['precision']}, {exported['size_bytes'] / 2**20:,.1f} MiB; compared with the "
        f"trained one at {parity['num_tokens']:,} tokens of {parity['num_prompts']} prompts: "
        f"log-probabilities differ by {parity['worst_difference']:.3f} at most",
    )
    if bits := made["bits"]:
        yield (
            "bits per byte",
            f"{bits['model']:.2f} on held-out documents; PPMd that read the others "
            f"{bits['ppmd']:.2f}, xz {bits['xz']:.2f} (less is better)",
        )
    if keys := made["keys"]:
        one, several = (1 - each["num_keys"] / each["num_characters"] for each in keys)
        yield (
            "as a writing aid",
            f"saves {one:.0%} of the keystrokes with one continuation shown, {several:.0%} with "
            "three",
        )
    for note in made["notes"]:
        yield ("note", show.one_line(note))


def _validated(phase: Mapping[str, Any]) -> str:
    """The held-out loss before and after, in nats a token."""
    looks = phase["validation"]
    if not looks:
        return ""
    best = next(each for each in looks if each["step"] == phase["best_step"])
    told = f"; held-out loss {looks[0]['loss']:.2f} → {best['loss']:.2f}"
    if forgetting := phase["forgetting"]:
        told += f", on general text {forgetting['before']:.2f} → {forgetting['after']:.2f}"
    return told
