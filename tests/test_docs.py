"""The documentation names what exists, and what it shows can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from flywheel.cli import flywheel
from flywheel.wheel.settings import commented_toml

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = (README, ROOT / "docs" / "commands.md")

COMMANDS = {
    "": {"--help", "--version", "--workspace"},
    "add": {"--access", "--json"},
    "ask": {"--access", "--json"},
    "backup": {"--json"},
    "doctor": {"--json"},
    "documents": {"--json"},
    "erase": {"--interaction", "--json", "--source", "--user", "--yes"},
    "exam": {"--answers", "--gold", "--json", "--waiting"},
    "feedback": set(),
    "feedback confirm": {"--json"},
    "feedback health": {"--json"},
    "feedback import": {"--json", "--untrusted"},
    "feedback quarantine": {"--json"},
    "feedback reject": {"--json", "--user"},
    "feedback release": {"--json", "--user"},
    "feedback review": {"--json"},
    "feedback withdraw": {"--json"},
    "init": set(),
    "keys": set(),
    "keys add": {"--access", "--days", "--json", "--name", "--role"},
    "keys list": {"--json"},
    "keys revoke": {"--json"},
    "moderation": set(),
    "moderation check": {"--json"},
    "moderation train": {"--json"},
    "plan": {"--json"},
    "restore": {"--json", "--store", "--yes"},
    "serve": {"--host", "--port"},
    "trace": {"--json"},
    "turn": {"--json", "--model"},
    "up": set(),
    "versions": {"--json"},
    "versions compare": {"--json"},
    "versions promote": {"--json", "--reason"},
    "versions rollback": {"--json", "--reason"},
    "vocabulary": set(),
    "vocabulary show": {"--json"},
    "vocabulary trim": {"--json", "--size"},
}
"""Every command with its flags: few dials, so a new one is a decision and not an accident."""


def test_commands_and_flags_are_the_frozen_ones() -> None:
    assert {name: set(_flags(command)) for name, command in _commands()} == COMMANDS


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {""}))
def test_command_is_documented_with_its_flags(name: str) -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert f"flywheel {name}" in text
    missing = [flag for flag in sorted(COMMANDS[name]) if flag not in text]
    assert missing == []


def test_settings_page_shows_every_setting_and_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert f"```toml\n{commented_toml()}```" in page, "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documented_commands_can_be_parsed(page: Path) -> None:
    lines = list(_typed(page.read_text(encoding="utf-8")))
    assert lines
    for line in lines:
        _parse(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md")))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_documented_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"^\s*(?:\$ )?make ([a-z]+)", README.read_text(encoding="utf-8"), re.M)
    assert {"demo", "test"} <= set(named) <= targets


def _commands() -> Iterator[tuple[str, click.Command]]:
    yield "", flywheel
    for name, command in sorted(flywheel.commands.items()):
        if command.hidden:
            continue
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {each}", there) for each, there in command.commands.items())


def _flags(command: click.Command) -> list[str]:
    """The long flags; `--help` is every command's and counts once, at the root."""
    context = click.Context(command, help_option_names=["-h", "--help"])
    flags = [
        flag
        for parameter in command.get_params(context)
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if isinstance(parameter, click.Option) and flag.startswith("--")
    ]
    return [flag for flag in flags if command is flywheel or flag != "--help"]


def _typed(text: str) -> Iterator[str]:
    """Lines that a reader would type: `flywheel …` in a block, after `$`, or indented."""
    for line in text.splitlines():
        typed = re.fullmatch(r"(?:\s*\$ | {4,})?((?:\.venv/bin/)?flywheel .+)", line)
        if typed:
            yield typed[1]


def _parse(arguments: list[str]) -> None:
    """Parses as the command line would, and runs nothing.

    Raises:
        click.UsageError: it could not be typed like that.
    """
    context = click.Context(flywheel, info_name="flywheel")
    _, rest, _ = flywheel.make_parser(context).parse_args(arguments)
    if not rest:
        return
    name, command, rest = flywheel.resolve_command(context, rest)
    assert command is not None
    with command.make_context(name, rest, parent=context):
        pass
