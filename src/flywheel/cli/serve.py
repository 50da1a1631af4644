"""`flywheel serve`: the assistant for every program that speaks to OpenAI."""

from __future__ import annotations

import sys
from typing import Any

import click

from flywheel.cli.workspace import open_workspace


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Instead of the settings'; 0: a free one."
)
@click.option("--host", help="The address to listen at, instead of the settings'.")
@click.pass_context
def serve(context: click.Context, port: int | None, host: str | None) -> None:
    """Serve the workspace at a URL: an API as OpenAI's, until Ctrl+C."""
    from flywheel.serve import server
    from flywheel.serve.observing import log_to_stderr

    log_to_stderr()
    with open_workspace(context) as workspace:
        named: dict[str, Any] = {"port": port, "host": host}
        given = {name: value for name, value in named.items() if value is not None}
        settings = workspace.settings.serve.model_copy(update=given)
        server.serve(workspace, settings, say=click.echo, sign_in=sys.stdout.isatty())
