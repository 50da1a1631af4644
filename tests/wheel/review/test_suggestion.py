"""What an item is filled in with: the champion's draft and what it quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.wheel.reviewing import INES, NARROW, case, correct, draw, flag, put_asked

from flywheel.wheel.review import suggestion as review_suggestion
from flywheel.wheel.review.suggestion import Suggestion

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

QUESTION = "Where is the child lock?"
EVIDENCE = "The child lock sits on the edge of each rear door."


def cited(found: Suggestion | None) -> list[str]:
    assert found is not None
    return [each.text for passage in found.at_hand for each in passage.sentences if each.is_cited]


def test_what_the_champion_said_is_filled_in_with_its_quotes_ticked(domain: Domain) -> None:
    asked = domain.workspace.ask(QUESTION).interaction
    flag(domain.workspace, "f", asked)
    found = review_suggestion.kept(domain.workspace, case(domain.workspace, "flagged", asked))
    assert found is not None
    assert found.answer.startswith(EVIDENCE)
    assert EVIDENCE in cited(found)
    assert found.at_hand[0].is_cited
    assert found.version == 1


def test_ticked_sentences_become_evidence_those_that_follow_as_one(domain: Domain) -> None:
    asked = domain.workspace.ask(QUESTION).interaction
    flag(domain.workspace, "f", asked)
    item = case(domain.workspace, "flagged", asked)
    found = review_suggestion.kept(domain.workspace, item)
    assert found is not None
    values = [each.value for each in found.at_hand[0].sentences]
    evidence = review_suggestion.evidence(domain.workspace, item, [*values, "x:1:2", "x"], INES)
    assert evidence == (found.at_hand[0].passage.text.strip(),)
    assert review_suggestion.evidence(domain.workspace, item, [values[0][:-1] + "x"], INES) == ()


def test_old_answer_is_asked_for_again(domain: Domain) -> None:
    id = put_asked(domain.workspace, "a", QUESTION)
    domain.add(domain.write("more.md", "# More\n\nThe jack lies in the boot.\n"))
    domain.turn()
    item = case(domain.workspace, "abstained", id)
    if domain.workspace.champion().number != 1:
        assert review_suggestion.kept(domain.workspace, item) is None
    again = review_suggestion.asked_again(domain.workspace, item, INES)
    assert EVIDENCE in again.answer
    assert again.version == domain.workspace.champion().number


def test_correction_of_an_exam_question_is_not_suggested_as_its_gold(domain: Domain) -> None:
    asked = domain.workspace.ask(QUESTION).interaction
    draw(domain.workspace, "x", QUESTION, asked)
    correct(domain.workspace, "c", QUESTION, "A secret.", "ines")
    item = case(domain.workspace, "exam", "x")
    assert "A secret." not in review_suggestion.asked_again(domain.workspace, item, INES).answer
    asked = domain.workspace.ask(QUESTION).interaction  # the correction answers
    flag(domain.workspace, "f", asked)
    flagged = case(domain.workspace, "flagged", asked)
    assert review_suggestion.kept(domain.workspace, flagged) is None
    again = review_suggestion.asked_again(domain.workspace, flagged, INES)
    assert (again.answer, again.is_verified) == ("A secret.", True)


def test_nothing_is_suggested_before_the_first_turn(blank: Domain) -> None:
    item = case(blank.workspace, "abstained", put_asked(blank.workspace, "a", QUESTION))
    assert review_suggestion.kept(blank.workspace, item) is None
    assert review_suggestion.asked_again(blank.workspace, item, INES) == Suggestion()
    assert review_suggestion.search(blank.workspace, "lock", INES) == ()


def test_other_passages_are_found_as_far_as_the_curator_may_read(domain: Domain) -> None:
    domain.add(
        domain.write("staff/pay.md", "# Pay\n\nZorkmids are paid at noon."), access=["staff"]
    )
    domain.turn()
    texts = {
        caller.name: "".join(
            each.passage.text
            for each in review_suggestion.search(domain.workspace, "zorkmids", caller)
        )
        for caller in (INES, NARROW)
    }
    assert "Zorkmids" in texts["ines"]
    assert "Zorkmids" not in texts["nora"]
