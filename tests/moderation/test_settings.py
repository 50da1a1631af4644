"""What an owner may say of moderation, and how a mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from flywheel.errors import SettingsError
from flywheel.moderation.settings import ModerationSettings, is_category, strictest
from flywheel.wheel.settings import load_settings


def read(folder: Path, toml: str) -> ModerationSettings:
    path = folder / "flywheel.toml"
    path.write_text(toml, encoding="utf-8")
    return load_settings(path).moderation


def test_category_has_its_own_rules_and_else_those_of_all(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        [moderation]
        output = "refuse"
        threshold = 0.8
        [moderation.categories.threats]
        input = "refuse"
        [moderation.categories."侮辱"]
        output = "allow"
        threshold = 0.3
        """,
    )
    assert settings.action("threats", "input") == "refuse"
    assert settings.action("threats", "output") == "refuse"
    assert settings.action("侮辱", "output") == "allow"
    assert settings.action("others", "input") == "mark"
    assert [settings.threshold_of(name) for name in ("threats", "侮辱")] == [0.8, 0.3]


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("[moderation.categories.x]\ninptu = 'mark'", 'x has no "inptu"; did you mean "input"?'),
        ("[moderation.categories.'../x']\n", '"../x" is no name for a category'),
        ("[moderation.categories.Threats]\n", '"Threats" is no name for a category'),
        ("[moderation]\ncategories = 1", "categories"),
        ("[moderation.categories.x]\ninput = 'block'", "moderation.categories.x.input"),
        ("[moderation]\nthreshold = 0", "moderation.threshold"),
        ("[moderation]\nmask_persnal = true", "Did you mean moderation.mask_personal?"),
    ],
)
def test_mistake_is_named(tmp_path: Path, toml: str, problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(tmp_path, toml)
    assert problem in str(raised.value)


@pytest.mark.parametrize("name", ["insults", "self-harm", "violence/threats", "侮辱", "c4"])
def test_name_of_a_category(name: str) -> None:
    assert is_category(name)


@pytest.mark.parametrize(
    "name", ["", "A", "a_b", "a b", "../a", "a/b/c", "/a", "a.txt", "a-", "a\n"]
)
def test_no_name_of_a_category(name: str) -> None:
    assert not is_category(name)


def test_strictest_action_wins() -> None:
    assert strictest(["mark", "refuse", "allow"]) == "refuse"
    assert strictest([]) == "allow"
