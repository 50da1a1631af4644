"""`flywheel keys`: who may call the server, and as whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.records import Role
from flywheel.wheel import keys as wheel

if TYPE_CHECKING:
    from rich.table import Table

    from flywheel.store.keys import Key
    from flywheel.wheel.keys import Made
    from flywheel.wheel.serving import ServeSettings


@click.group()
def keys() -> None:
    """Let people and programs call the server: make a key, list them, revoke one."""


@keys.command()
@click.option("--name", required=True, help="The user that whoever holds it acts as.")
@click.option(
    "--role",
    required=True,
    type=click.Choice(["asker", "curator", "owner"]),
    help="What it may: ask and rate; also correct and label; all.",
)
@click.option(
    "--access",
    multiple=True,
    metavar="LABEL",
    help="What it reads beside what is public; repeatable. Default for an owner: everything.",
)
@click.option("--days", type=int, help="How long it holds. Default: for ever.")
@show.as_json
@click.pass_context
def add(
    context: click.Context,
    name: str,
    role: Role,
    access: tuple[str, ...],
    days: int | None,
    as_json: bool,
) -> None:
    """Make a key. Its secret is shown this once, and kept nowhere."""
    with open_workspace(context) as workspace:
        made = wheel.add(workspace.database, name, role, access or None, days)
        slips = wheel.carried_by_none(workspace.database, made.key.access or ())
        settings = workspace.settings.serve
    for label in slips:
        click.echo(f'No document carries the label "{show.one_line(label)}" yet.', err=True)
    if as_json:
        show.print_json({"id": made.key.id, "key": made.secret})
    else:
        _print_made(made, settings)


@keys.command("list")
@show.as_json
@click.pass_context
def list_(context: click.Context, as_json: bool) -> None:
    """List the keys, those that hold no more too; never their secrets."""
    with open_workspace(context) as workspace:
        found = wheel.list_keys(workspace.database)
    if as_json:
        show.print_json({"keys": [_row(each) for each in found]})
    elif found:
        show.console().print(_table(found))
    else:
        click.echo("No keys yet. Make one: flywheel keys add --name NAME --role asker")


@keys.command()
@click.argument("id")
@show.as_json
@click.pass_context
def revoke(context: click.Context, id: str, as_json: bool) -> None:
    """Let nobody in by the key ID any more; a running server knows within a second."""
    with open_workspace(context) as workspace:
        key = wheel.revoke(workspace.database, id)
    if as_json:
        show.print_json({"revoked": key.id})
    else:
        click.echo(f'{key.id} ("{show.one_line(key.name)}") lets nobody in any more')


def _print_made(made: Made, settings: ServeSettings) -> None:
    key = made.key
    until = f"until {key.expires_at}" if key.expires_at else "for ever"
    click.echo(f'Key {key.id} acts as "{key.name}" ({key.role}), reads {_access(key)}, {until}.')
    click.echo("This is its secret. It is shown this once; keep it as you keep a password:\n")
    click.echo(f"    {made.secret}\n")
    click.echo("To try it while `flywheel serve` runs:\n")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{settings.port or 'PORT'}"
    click.echo(f'    curl {address}/v1/models -H "Authorization: Bearer {made.secret}"')


def _row(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "access": None if key.access is None else list(key.access),
        "created": key.created_at,
        "expires": key.expires_at,
        "state": wheel.state_of(key),
    }


def _access(key: Key) -> str:
    return "everything" if key.access is None else ", ".join(key.access)


def _table(found: list[Key]) -> Table:
    from rich.table import Table

    table = Table(title=show.count(len(found), "key"))
    for name in ("id", "name", "role", "access", "created", "expires", "state"):
        table.add_column(name)
    for key in found:
        row = _row(key) | {"access": _access(key), "expires": key.expires_at or "never"}
        table.add_row(*(show.one_line(str(value)) for value in row.values()))
    return table
