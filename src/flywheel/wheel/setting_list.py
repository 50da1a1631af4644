"""The settings in force, one by one, as an owner may see them: what they are, and what is not as it
comes. Passwords are hidden. Nothing is changed here: that is flywheel.toml's and rules.py's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from flywheel.errors import SettingsError
from flywheel.wheel.moderation import rules
from flywheel.wheel.settings import FILE, Settings, load_settings

if TYPE_CHECKING:
    from flywheel.wheel.workspace import Workspace

HIDDEN = "***"

_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):(.*)@")
_USER = re.compile(r"(?<=://)[^:/@\s]+@")
_VALUE = re.compile(r"([?&#;][^=&#;\s]*=)[^&#;\s]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One setting."""

    name: str
    value: str
    """In force, as flywheel.toml would say it."""
    default: str
    in_file: str | None = None
    """What flywheel.toml says by now, where that is not what is in force; else None."""

    @property
    def is_changed(self) -> bool:
        """Whether it is not as it comes."""
        return self.value != self.default


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """The settings of a stage."""

    name: str
    settings: tuple[Setting, ...]

    @property
    def num_changed(self) -> int:
        """Those that are not as they come."""
        return sum(each.is_changed for each in self.settings)

    @property
    def num_waiting(self) -> int:
        """Those that flywheel.toml says otherwise by now."""
        return sum(each.in_file is not None for each in self.settings)


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingList:
    """All settings of a workspace."""

    sections: tuple[Section, ...]
    problem: str
    """Why flywheel.toml cannot be read by now; empty where it can."""


def setting_list(workspace: Workspace) -> SettingList:
    """The settings of an open workspace, stage by stage."""
    path = workspace.root / FILE
    problem = ""
    try:
        in_file: Settings | None = load_settings(path)
    except SettingsError as error:
        in_file, problem = None, without_secrets(str(error).replace(str(path), FILE))
    moderation = rules.in_force_or_default(workspace)
    in_force = workspace.settings.model_copy(update={"moderation": moderation.settings})
    if in_file is not None and moderation.is_own:
        in_file = in_file.model_copy(update={"moderation": moderation.settings})
    sections = (_section(name, in_force, in_file) for name in Settings.model_fields)
    return SettingList(sections=tuple(sections), problem=problem)


def without_secrets(text: str) -> str:
    """A text without what may be a password in the addresses that stand in it.

    Of an address with a query every value is hidden: which of them are secret, nobody knows.
    """
    if "://" not in text:
        return text
    head, mark, rest = text.partition("://")
    rest = _VALUE.sub(rf"\g<1>{HIDDEN}", _PASSWORD.sub(rf"\g<1>:{HIDDEN}@", mark + rest))
    if head.lower().rpartition(" ")[2].lstrip('"').startswith("http"):
        rest = _USER.sub(f"{HIDDEN}@", rest)
    return head + rest


def _section(name: str, in_force: Settings, in_file: Settings | None) -> Section:
    section: BaseModel = getattr(in_force, name)
    by_file: BaseModel | None = getattr(in_file, name) if in_file is not None else None
    default: BaseModel = Settings.model_fields[name].default
    return Section(
        name=name,
        settings=tuple(
            _setting(
                each,
                getattr(section, each),
                getattr(default, each),
                getattr(by_file, each) if by_file is not None else getattr(section, each),
            )
            for each in type(section).model_fields
        ),
    )


def _setting(name: str, value: Any, default: Any, in_file: Any) -> Setting:
    return Setting(
        name=name,
        value=_shown(value),
        default=_shown(default),
        in_file=None if in_file == value else _shown(in_file),
    )


def _shown(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(mode="json", exclude_none=True))
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return without_secrets(value) if isinstance(value, str) else value
