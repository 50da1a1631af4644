"""Brings a database to the schema of this release, with Alembic and without an alembic.ini."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from flywheel.errors import WorkspaceError
from flywheel.store.tables import SCHEMA

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "flywheel_schema"
"""Of our own name, so that a PostgreSQL database can be shared with another Alembic user."""

_UPGRADE_LOCK = 0x666C7977
"""PostgreSQL's advisory lock against two processes that upgrade at once; any constant will do."""


def is_current(connection: Connection) -> bool:
    """Whether the schema is this release's. Quick: it leaves Alembic alone, 0.3 s to import."""
    return _revision(connection) == SCHEMA


def upgrade(connection: Connection, revision: str = SCHEMA) -> None:
    """Runs the missing migrations within the connection's transaction: all of them or none.

    Raises:
        WorkspaceError: a newer release has made the schema.
    """
    from alembic.command import upgrade as run_migrations

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
    config = alembic_config()
    _refuse_newer(_revision(connection), config)
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    run_migrations(config, revision)


def alembic_config() -> Config:
    """Where Alembic finds the migrations."""
    from alembic.config import Config

    migrations = Path(__file__).parent / "migrations"
    config = Config()
    # The parser behind it takes % for an interpolation.
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    return config


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    return revision


def _refuse_newer(revision: str | None, config: Config) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise WorkspaceError(
            f"This workspace was made by a newer release (schema {revision}, this one knows "
            f"{SCHEMA}): upgrade flywheel, pip install -U flywheel-assistant"
        )
