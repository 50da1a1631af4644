"""Values: frozen, keyword-only, and the same after JSON."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from pydantic import ValidationError

from flywheel.records import (
    Answer,
    Citation,
    Document,
    ExamQuestion,
    Hit,
    Interaction,
    Passage,
    Score,
    StageSettings,
    from_json,
    to_json,
)

DOCUMENT = Document(
    id="d1",
    source="/handbook",
    path="manual.zip!/门.md",
    title="车门",
    text="# 儿童锁\n拨动。",
    language="zh-hans",
    date="2025-09",
    modified=0.1 + 0.2,
    access=("staff", "public"),
)
PASSAGE = Passage(
    id="p1",
    document="d1",
    title="车门",
    headings=("儿童锁", "Rear doors"),
    text="拨动 the lever \U0001f512",
    language="mixed",
    position=0,
)
CITATION = Citation(
    document="d1",
    title="车门",
    headings=(),
    passage="p1",
    quote="拨动",
    start=0,
    end=2,
)
ANSWER = Answer(
    question="?",
    answer="",
    draft="拨动",
    kind="abstain",
    confidence=0.25,
    citations=(CITATION,),
    passages=(PASSAGE, PASSAGE),
    choices=("a", "b"),
    verified=True,
    version=3,
    timings_ms={"search": 1.5},
)
INTERACTION = Interaction(
    id="i1",
    question="?",
    candidates=(ANSWER, ANSWER),
    version=3,
    user="u",
    at="2026-01-01T00:00:00Z",
)
RECORDS = [
    DOCUMENT,
    PASSAGE,
    Hit(passage=PASSAGE, score=1.0, features={"title": 2.0}),
    CITATION,
    ANSWER,
    INTERACTION,
    ExamQuestion(id="q1", question="?"),
    ExamQuestion(id="q2", question="?", answer="!", evidence=("拨动",), tags=("zh",)),
    Score(value=1 / 3, low=0.0, high=1.0, count=7),
]


def name_of(record: Any) -> str:
    return type(record).__name__


@pytest.mark.parametrize("record", RECORDS, ids=name_of)
def test_record_is_the_same_after_json(record: Any) -> None:
    written = json.dumps(to_json(record), ensure_ascii=False)
    assert from_json(type(record), json.loads(written)) == record


@pytest.mark.parametrize("record", RECORDS, ids=name_of)
def test_record_is_frozen(record: Any) -> None:
    name = next(iter(to_json(record)))
    with pytest.raises(FrozenInstanceError):
        setattr(record, name, "other")


@pytest.mark.parametrize("record", RECORDS, ids=name_of)
def test_record_takes_keywords_only(record: Any) -> None:
    with pytest.raises(TypeError):
        type(record)(*to_json(record).values())


def test_missing_field_is_named() -> None:
    data = to_json(PASSAGE)
    del data["title"]
    with pytest.raises(ValidationError, match="title"):
        from_json(Passage, data)


def test_value_out_of_the_vocabulary_is_refused() -> None:
    with pytest.raises(ValidationError, match="language"):
        from_json(Passage, {**to_json(PASSAGE), "language": "klingon"})


def test_settings_are_frozen_and_refuse_unknown_keys() -> None:
    class SplitSettings(StageSettings):
        max_words: int = 100
        """The longest passage."""

    assert SplitSettings.model_fields["max_words"].description == "The longest passage."
    with pytest.raises(ValidationError, match="max_wrods"):
        SplitSettings.model_validate({"max_wrods": 3})
    with pytest.raises(ValidationError, match="frozen"):
        SplitSettings().max_words = 3
