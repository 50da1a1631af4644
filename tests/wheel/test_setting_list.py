"""An owner sees every setting that is in force, what differs, and never a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flywheel.moderation.settings import ModerationSettings
from flywheel.wheel.moderation import rules
from flywheel.wheel.setting_list import HIDDEN, Setting, setting_list, without_secrets
from flywheel.wheel.settings import Settings, StoreSettings
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain


def of(workspace: Workspace, section: str, name: str) -> Setting:
    (found,) = (each for each in setting_list(workspace).sections if each.name == section)
    return next(each for each in found.settings if each.name == name)


def test_every_setting_is_listed_as_it_comes(blank: Domain) -> None:
    listed = setting_list(blank.workspace)
    assert [each.name for each in listed.sections] == list(Settings.model_fields)
    assert not any(each.num_changed or each.num_waiting for each in listed.sections)
    assert listed.problem == ""
    port = of(blank.workspace, "serve", "port")
    assert (port.value, port.default, port.is_changed) == ("8000", "8000", False)


def test_what_differs_and_what_the_file_says_by_now(blank: Domain) -> None:
    blank.configure('[serve]\nport = 9000\n[privacy]\nmask_documents = ["email"]\n')
    workspace = blank.workspace
    (blank.root / "flywheel.toml").write_text("[serve]\nport = 9001\n", encoding="utf-8")
    port, mask = of(workspace, "serve", "port"), of(workspace, "privacy", "mask_documents")
    assert (port.value, port.is_changed, port.in_file) == ("9000", True, "9001")
    assert (mask.value, mask.default, mask.in_file) == ('["email"]', "[]", "[]")


def test_a_file_that_was_broken_since_is_told_without_its_place(blank: Domain) -> None:
    workspace = blank.workspace
    (blank.root / "flywheel.toml").write_text("[serve]\nprot = 1\n", encoding="utf-8")
    listed = setting_list(workspace)
    assert listed.problem.startswith("flywheel.toml: there is no setting serve.prot.")
    assert str(blank.root) not in listed.problem
    assert len(listed.sections) == len(Settings.model_fields)


def test_rules_of_the_console_are_what_is_in_force(blank: Domain) -> None:
    seen = rules.in_force(blank.workspace).digest
    rules.write(blank.workspace, ModerationSettings(threshold=0.5), seen=seen)
    threshold = of(blank.workspace, "moderation", "threshold")
    assert (threshold.value, threshold.is_changed, threshold.in_file) == ("0.5", True, None)


def test_no_password_is_shown(blank: Domain) -> None:
    workspace, url = blank.workspace, "postgresql+psycopg://fw:s3c/r@t:x@db.example/flywheel"
    (blank.root / "flywheel.toml").write_text(
        f'[store]\nurl = "{url}"\n[engine]\nurl = "http://gpu/v1?key=s3c"\nmodel = "m"\n'
        '[serve]\norigins = ["https://chat.example?token=s3c"]\n',
        encoding="utf-8",
    )
    workspace.settings = workspace.settings.model_copy(update={"store": StoreSettings(url=url)})
    told = repr(setting_list(workspace))
    assert "s3c" not in told and "r@t" not in told
    assert f"fw:{HIDDEN}@db.example/flywheel" in told
    assert f"http://gpu/v1?key={HIDDEN}" in told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sqlite:///flywheel.db", "sqlite:///flywheel.db"),
        ("http://gpu-box:8000/v1", "http://gpu-box:8000/v1"),
        ("evidence@recall?x=1", "evidence@recall?x=1"),
        ("https://token@gpu/v1", f"https://{HIDDEN}@gpu/v1"),
        ("postgresql+psycopg://fw@db/f", "postgresql+psycopg://fw@db/f"),
        (
            "postgresql+psycopg:///f?user=a&password=b",
            f"postgresql+psycopg:///f?user={HIDDEN}&password={HIDDEN}",
        ),
    ],
)
def test_addresses_are_shown_without_what_may_be_secret(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
