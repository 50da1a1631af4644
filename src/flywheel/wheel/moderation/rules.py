"""The rules of moderation that are in force, and how owners change them from a page.

    [moderation] in flywheel.toml     what counts as long as nobody says otherwise
    moderation/rules.toml             what the console wrote: counts instead, as a whole

The console writes a file of its own, since flywheel.toml is an owner's, with his comments and much
else in it; and since a server that runs reads what lies in moderation/ at the next text, which it
does not do with flywheel.toml. Without the file, flywheel.toml counts again.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from sqlalchemy import Connection

from flywheel.errors import SettingsError, UsageError
from flywheel.moderation.classifier import write_whole
from flywheel.moderation.settings import CategorySettings, ModerationSettings
from flywheel.store import audit, corrections
from flywheel.wheel.keys import record

if TYPE_CHECKING:
    from flywheel.store.audit import Act
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace

FOLDER = "moderation"
FILE = "rules.toml"

ACTION = "moderation.rules"
"""What the audit log calls a change."""
ALL = "*"
"""The target of a change of what holds for all categories."""

_MAX_TARGET_CHARS = 200
_HEADING = """\
# The rules of moderation, as they were set in the console. They count instead of [moderation] in
# flywheel.toml; without this file, those count again.
"""


class Outdated(UsageError):
    """Somebody else changed meanwhile what is to be changed; nothing was overwritten."""

    def __init__(self, act: Act | None) -> None:
        """
        Args:
            act: who changed it and when; None where a file was edited.
        """
        by = f" by {act.user} at {act.at}" if act else ""
        super().__init__(f"It was changed{by} meanwhile. Look at it as it is now, then try again.")
        self.act = act


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What is done about each category, as of now."""

    settings: ModerationSettings
    is_own: bool
    """Whether the console set them; else flywheel.toml did."""

    @property
    def digest(self) -> str:
        """What tells them from others: whoever changes them says which he saw."""
        told = json.dumps([self.settings.model_dump(mode="json"), self.is_own], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def in_force(workspace: Workspace) -> Rules:
    """The rules of a workspace.

    Raises:
        SettingsError: moderation/rules.toml cannot be read.
    """
    return read(workspace.root / FOLDER, workspace.settings.moderation)


def read(folder: Path, otherwise: ModerationSettings) -> Rules:
    """The rules in a folder.

    Args:
        otherwise: what counts where there are none.

    Raises:
        SettingsError: they cannot be read.
    """
    path = folder / FILE
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        return Rules(settings=ModerationSettings.model_validate(values), is_own=True)
    except FileNotFoundError:
        return Rules(settings=otherwise, is_own=False)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{path}: {name}: {problem}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from error


def write(
    workspace: Workspace, settings: ModerationSettings, *, seen: str, by: Caller | None = None
) -> Rules:
    """Sets the rules, for every process that has the workspace open, from the next text on.

    Args:
        seen: the digest of the rules that whoever changes them saw.

    Raises:
        Outdated: they are others by now.
    """

    def put(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, toml_of(settings).encode())

    return _changed(workspace, settings, seen, by, put)


def reset(workspace: Workspace, *, seen: str, by: Caller | None = None) -> Rules:
    """Lets flywheel.toml count again, as it was when the workspace was opened.

    Raises:
        Outdated: the rules are others by now than those of the digest `seen`.
    """
    otherwise = workspace.settings.moderation
    return _changed(workspace, otherwise, seen, by, lambda path: path.unlink(missing_ok=True))


def _changed(
    workspace: Workspace,
    settings: ModerationSettings,
    seen: str,
    by: Caller | None,
    put: Callable[[Path], None],
) -> Rules:
    def change(conn: Connection) -> None:
        corrections.lock(conn)  # so that what is compared is what is replaced
        now = in_force_or_default(workspace)
        if now.digest != seen:
            raise Outdated(audit.latest(conn, ACTION))
        record(conn, by, ACTION, _target(now.settings, settings))
        put(workspace.root / FOLDER / FILE)  # last: an act that cannot be recorded changes nothing

    workspace.database.write(change)
    return in_force(workspace)


def in_force_or_default(workspace: Workspace) -> Rules:
    """The rules of a workspace; those of flywheel.toml where the console's cannot be read, so that
    they can be set anew."""
    try:
        return in_force(workspace)
    except SettingsError:
        return Rules(settings=workspace.settings.moderation, is_own=True)


def toml_of(settings: ModerationSettings) -> str:
    """The rules as a file says them."""
    return _HEADING + "\n".join(_lines(settings)) + "\n"


def _lines(settings: ModerationSettings) -> Iterator[str]:
    # JSON's strings, numbers and booleans are TOML's too.
    for name, value in settings.model_dump(mode="json", exclude={"categories"}).items():
        yield f"{name} = {json.dumps(value)}"
    for category, own in sorted(settings.categories.items()):
        values = own.model_dump(mode="json", exclude_none=True)
        if values:
            yield f"\n[categories.{json.dumps(category, ensure_ascii=False)}]"
            yield from (f"{name} = {json.dumps(value)}" for name, value in values.items())


def _target(before: ModerationSettings, after: ModerationSettings) -> str:
    """The categories that a change is about."""
    nothing = CategorySettings()
    changed = sorted(
        name
        for name in {*before.categories, *after.categories}
        if before.categories.get(name, nothing) != after.categories.get(name, nothing)
    )
    if before.model_dump(exclude={"categories"}) != after.model_dump(exclude={"categories"}):
        changed.insert(0, ALL)
    return ", ".join(changed)[:_MAX_TARGET_CHARS] or ALL
