"""The console's rules of moderation count at once, and instead of those of flywheel.toml."""

from __future__ import annotations

import tomllib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.errors import SettingsError
from flywheel.moderation.settings import ACTIONS, CategorySettings, ModerationSettings
from flywheel.wheel import keys
from flywheel.wheel.keys import Caller
from flywheel.wheel.moderation import judging as wheel
from flywheel.wheel.moderation import rules
from flywheel.wheel.moderation.judging import Moderation
from flywheel.wheel.moderation.rules import Outdated

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

INES = Caller(key="5f0c2a9be1d4", name="Inés 伊内斯", role="owner", access=None)
STRICT = ModerationSettings(
    input="refuse",
    threshold=0.9,
    mask_personal=True,
    categories={
        "violence/threats": CategorySettings(input="mark", threshold=0.25),
        "侮辱": CategorySettings(output="allow"),
    },
)


def seen(domain: Domain) -> str:
    return rules.in_force(domain.workspace).digest


def test_rules_count_at_the_next_text_and_flywheel_toml_is_left_alone(blank: Domain) -> None:
    workspace, toml = blank.workspace, blank.root / "flywheel.toml"
    wheel.write_word_list(workspace, "violence/threats", "kill you")
    moderation, before = Moderation(workspace), toml.read_bytes()
    assert moderation.check("I kill you", "output").action == "mark"
    written = rules.write(workspace, STRICT, seen=seen(blank), by=INES)
    assert (written.settings, written.is_own) == (STRICT, True)
    assert moderation.check("I kill you", "input").action == "mark"
    refusing = STRICT.model_copy(update={"categories": {}})
    rules.write(workspace, refusing, seen=seen(blank), by=INES)
    assert moderation.check("I kill you", "input").action == "refuse"
    assert moderation.rules.settings == refusing
    assert toml.read_bytes() == before
    rules.reset(workspace, seen=seen(blank), by=INES)
    assert moderation.check("I kill you", "input").action == "mark"
    assert not rules.in_force(workspace).is_own


def test_rules_of_flywheel_toml_count_until_the_console_sets_others(blank: Domain) -> None:
    blank.configure('[moderation]\ninput = "refuse"\n[moderation.categories.spam]\nthreshold=0.5\n')
    found = rules.in_force(blank.workspace)
    assert (found.settings.input, found.settings.threshold_of("spam"), found.is_own) == (
        "refuse",
        0.5,
        False,
    )
    rules.write(blank.workspace, ModerationSettings(), seen=found.digest)
    # All of them: a category of flywheel.toml can be taken away, too.
    assert rules.in_force(blank.workspace).settings == ModerationSettings()


def test_changes_are_recorded_with_the_categories_that_they_are_about(blank: Domain) -> None:
    workspace = blank.workspace
    rules.write(workspace, STRICT, seen=seen(blank), by=INES)
    only = STRICT.model_copy(update={"categories": {"侮辱": CategorySettings(output="refuse")}})
    rules.write(workspace, only, seen=seen(blank), by=INES)
    told = [(each.user, each.action, each.target) for each in keys.acts(workspace.database)]
    assert told == [
        (INES.name, "moderation.rules", "violence/threats, 侮辱"),
        (INES.name, "moderation.rules", "*, violence/threats, 侮辱"),
    ]


def test_of_two_owners_the_second_sees_what_the_first_did(blank: Domain) -> None:
    workspace, before = blank.workspace, seen(blank)

    def change(threshold: float) -> str:
        try:
            settings = ModerationSettings(threshold=threshold)
            rules.write(workspace, settings, seen=before, by=INES)
        except Outdated as error:
            assert error.act is not None
            return error.act.user
        return "written"

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(change, (0.1, 0.2, 0.3, 0.4)))
    assert sorted(told) == sorted(["written"] + [INES.name] * 3)
    assert len(keys.acts(workspace.database)) == 1
    with pytest.raises(Outdated):
        rules.reset(workspace, seen=before)


def test_a_file_that_is_broken_leaves_the_earlier_rules_in_force(blank: Domain) -> None:
    workspace, path = blank.workspace, blank.root / "moderation" / "rules.toml"
    wheel.write_word_list(workspace, "threats", "kill you")
    rules.write(workspace, ModerationSettings(input="refuse"), seen=seen(blank))
    moderation = Moderation(workspace)
    for broken, problem in (
        ("input =", "is not valid TOML"),
        ('input = "shout"', "input: "),
        ("thresold = 0.5", "thresold: "),
        ("[categories.A]", "is no name for a category"),
    ):
        path.write_text(broken, encoding="utf-8")
        assert moderation.check("kill you", "input").action == "refuse"
        assert problem in moderation.problem
        with pytest.raises(SettingsError, match=r"rules\.toml"):
            rules.in_force(workspace)
    # They can be set anew.
    found = rules.in_force_or_default(workspace)
    rules.write(workspace, STRICT, seen=found.digest)
    assert moderation.check("kill you", "input").action == "refuse"
    assert moderation.problem == ""


_names = st.from_regex(r"\A[a-zà-öα-ω一-鿿0-9]+(-[a-z]+)?(/[a-z一-鿿]+)?\Z")
_categories = st.builds(
    CategorySettings,
    input=st.sampled_from((None, *ACTIONS)),
    output=st.sampled_from((None, *ACTIONS)),
    threshold=st.none() | st.floats(0, 1, exclude_min=True),
)


@given(
    st.builds(
        ModerationSettings,
        input=st.sampled_from(ACTIONS),
        output=st.sampled_from(ACTIONS),
        threshold=st.floats(0, 1, exclude_min=True),
        mask_personal=st.booleans(),
        categories=st.dictionaries(_names, _categories, max_size=4),
    )
)
def test_what_is_written_is_read_again(settings: ModerationSettings) -> None:
    nothing = CategorySettings()
    kept = {name: own for name, own in settings.categories.items() if own != nothing}
    read = ModerationSettings.model_validate(tomllib.loads(rules.toml_of(settings)))
    assert read == settings.model_copy(update={"categories": kept})
