"""Nothing of a document shows to somebody who may not read it, whatever is asked and said.

A part of what bench/access.py asks: the same world and the same checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from access import World, questions, run
from flywheel.search.corrections import CorrectionIndex
from flywheel.search.index import Reader
from flywheel.serve import cache
from flywheel.wheel import sight, stages

NUM_QUESTIONS = 300


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """With questions of people of three labels asked, before and after documents were closed."""
    with pytest.MonkeyPatch.context() as patch:
        # When to answer is fitted on fewer questions than usual, which is quicker.
        patch.setattr(stages, "NUM_TRAINING_QUESTIONS", 80)
        made = run(tmp_path_factory.mktemp("access"), NUM_QUESTIONS, 150, again=False)
    yield made
    made.close()


def test_no_reply_holds_what_its_reader_may_not_read(world: World) -> None:
    assert world.leaks == []
    assert world.counts["POST /v1/chat"] == NUM_QUESTIONS
    asked = {"GET /v1/interactions", "GET /v1/passages", "GET /v1/corrections", "POST /v1/feedback"}
    assert min(world.counts[each] for each in asked) >= 5
    assert world.counts["answers from the cache"] >= 5


def test_what_is_hidden_of_what_was_learned_shapes_no_answer(world: World) -> None:
    assert world.shaped_by_what_is_hidden(30) == []


def test_no_answer_tells_which_words_stand_in_what_is_hidden(world: World) -> None:
    assert world.told_apart(30) == []


@contextmanager
def leaking(world: World) -> Iterator[list[str]]:
    """What leaks while something is broken, and is forgotten afterwards."""
    before, told = list(world.leaks), list[str]()
    yield told
    told += [leak.request for leak in world.leaks if leak not in before]
    world.leaks[:] = before


def test_an_index_that_shows_all_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with leaking(world) as found, monkeypatch.context() as broken:
        broken.setattr(Reader, "condition", lambda _: "true")
        questions(world, 20)
    assert any("/chat" in each for each in found)


def test_a_passage_that_is_shown_to_all_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with leaking(world) as found, monkeypatch.context() as broken:
        broken.setattr(Reader, "sees", lambda *_: True)
        with pytest.raises(AssertionError):  # 200, where there should be nothing
            questions(world, 100)
    assert any("/passages" in each for each in found)


def test_corrections_that_serve_all_are_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    match: Any = CorrectionIndex.match

    def for_all(index: CorrectionIndex, question: str, user: str, _: object) -> Any:
        return match(index, question, user, ("board", "public", "staff"))

    with leaking(world) as found, monkeypatch.context() as broken:
        broken.setattr(CorrectionIndex, "match", for_all)
        questions(world, 40)
    assert any("/chat" in each for each in found)


def test_a_cache_without_labels_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = cache._shelf
    with leaking(world) as found, monkeypatch.context() as broken:
        broken.setattr(cache, "_shelf", lambda place: (shelf(place)[0], (), *shelf(place)[2:]))
        for sentence in world.sentences[-12:]:
            for label in ("board", "public"):
                world.ask(world.people[f"asker of {label}"], f"{sentence.text} ?")
    assert found


def test_an_interaction_that_is_shown_to_all_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with leaking(world) as found, monkeypatch.context() as broken:
        broken.setattr(sight, "_may_read", lambda *_: True)
        for _ in range(60):
            world.look(world.people["curator of public"])
    assert any("/interactions" in each for each in found)
