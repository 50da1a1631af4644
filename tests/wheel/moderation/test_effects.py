"""Owners try a text, and see what rules would do before they count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flywheel.moderation.settings import CategorySettings, ModerationSettings
from flywheel.records import Interaction
from flywheel.store import interactions
from flywheel.wheel.moderation import effects, rules
from flywheel.wheel.moderation import judging as moderation
from flywheel.wheel.moderation.effects import NUM_RECENT, Piece

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

    from flywheel.wheel.workspace import Workspace

AT = datetime(2026, 5, 4, tzinfo=UTC)


def ask(workspace: Workspace, *questions: str) -> None:
    asked = [
        Interaction(
            id=f"{number:032d}",
            at=(AT + timedelta(seconds=number)).isoformat(timespec="milliseconds"),
            user="ines",
            version=1,
            question=question,
            candidates=(),
        )
        for number, question in enumerate(questions)
    ]
    for each in asked:
        workspace.database.write(lambda conn, each=each: interactions.put(conn, each))  # type: ignore[misc]


def test_a_text_is_judged_in_both_directions_with_what_caused_it(blank: Domain) -> None:
    workspace = blank.workspace
    moderation.write_word_list(workspace, "threats", "kill you\n杀了你\n")
    moderation.write_word_list(workspace, "insults", "you\n")
    own = {"threats": CategorySettings(output="refuse"), "insults": CategorySettings(input="allow")}
    rules.write(
        workspace,
        ModerationSettings(categories=own),
        seen=rules.in_force(workspace).digest,
    )
    told = effects.judge(workspace, "We k1ll you, 杀-了你!")
    assert (told.input, told.output) == ("mark", "refuse")
    insults, threats = told.categories
    assert (threats.name, threats.score, threats.threshold) == ("threats", 1.0, 0.7)
    assert (threats.phrases, threats.is_found) == (("kill you", "杀了你"), True)
    assert (insults.input, insults.output) == ("allow", "mark")
    assert told.pieces == (
        Piece(text="We ", categories=()),
        Piece(text="k1ll ", categories=("threats",)),
        Piece(text="you", categories=("insults", "threats")),
        Piece(text=", ", categories=()),
        Piece(text="杀-了你", categories=("threats",)),
        Piece(text="!", categories=()),
    )


def test_where_nothing_is_looked_for_a_text_is_fine(blank: Domain) -> None:
    told = effects.judge(blank.workspace, "kill you")
    assert (told.input, told.output, told.categories) == ("allow", "allow", ())
    assert told.pieces == (Piece(text="kill you", categories=()),)
    assert effects.judge(blank.workspace, "").pieces == ()


def test_rules_are_tried_on_what_was_asked_last_and_nothing_is_changed(blank: Domain) -> None:
    workspace = blank.workspace
    moderation.write_word_list(workspace, "threats", "kill you\n杀了你\n")
    ask(workspace, "kill you?", *["Where is the child lock?"] * (NUM_RECENT - 2), "我杀了你", "")
    before = effects.of_rules(workspace, rules.in_force(workspace).settings)
    assert (before.num_questions, before.actions) == (NUM_RECENT, {"allow": 198, "mark": 2})
    assert before.categories == {"threats": 2}
    told = effects.of_rules(workspace, ModerationSettings(input="refuse"))
    assert told.actions["refuse"] == 2
    allowed = effects.of_rules(workspace, ModerationSettings(input="allow"))
    assert (allowed.actions, allowed.categories) == ({"allow": 200}, {})
    assert not rules.in_force(workspace).is_own
