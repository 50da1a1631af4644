"""All that the wheel may say is said in English and Chinese."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest
from tests.wheel.test_reasons import VALUES

import flywheel
from flywheel.learn.health import measure as measure_acts
from flywheel.learn.objections import ERASED, REASONS
from flywheel.serve.console.wheel import words as wheel_words
from flywheel.serve.console.words import PageLanguage, Words, catalogue
from flywheel.wheel.health_report import Reading
from flywheel.wheel.reasons import FORMS, say
from flywheel.wheel.stages import HELD_OUT

LANGUAGES: tuple[PageLanguage, ...] = ("en", "zh")
SOURCES = Path(flywheel.__file__).parent
RENAMED = {"questions": "num", "wait": "num"}


def told(form: str) -> str:
    names = [name for _, name, _, _ in Formatter().parse(FORMS[form]) if name]
    return say(form, **{name: VALUES[name] for name in names})


@pytest.mark.parametrize("form", FORMS)
def test_every_reason_is_said_in_both_languages(form: str) -> None:
    names = {name for _, name, _, _ in Formatter().parse(FORMS[form]) if name}
    for language in LANGUAGES:
        text = catalogue(language)[f"wheel.reason.{form}"]
        texts = list(text.values()) if isinstance(text, dict) else [text]
        for each in texts:
            used = {name for _, name, _, _ in Formatter().parse(each) if name}
            assert used == {RENAMED.get(name, name) for name in names}, each
        said = wheel_words.reason(Words(language), told(form))
        assert "{" not in said and bool(re.search("[\u4e00-\u9fff]", said)) is (language == "zh")


def test_reasons_in_a_reason_are_said_in_its_language() -> None:
    inner = told("too_few")
    outer = say("before_that", number=3, decision="kept", reason=inner)
    said = wheel_words.reason(Words("zh"), outer)
    assert said.startswith("在此之前，版本 3 未启用：“") and "只有 1 道题" in said
    assert "3" in wheel_words.reason(Words("en"), outer)


def test_what_an_owner_wrote_is_shown_as_it_is() -> None:
    for language in LANGUAGES:
        assert wheel_words.reason(Words(language), "{metric} 它读过") == "{metric} 它读过"


def test_why_acts_are_left_out_is_said_in_both_languages() -> None:
    for why in (*REASONS, ERASED, *HELD_OUT.values()):
        for language in LANGUAGES:
            assert Words(language).has(f"wheel.left_out.{wheel_words.slug(why)}"), why


def test_every_measure_is_said_in_both_languages() -> None:
    for each in measure_acts([]):
        for verdict in ("good", "look", "too few"):
            values = {"users": "3", "which": "longer", "chance": "0.50"}
            reading = Reading(
                name=each.name,
                value=0.1,
                low=0.1,
                high=0.1,
                count=30,
                verdict=verdict,
                values=values,
            )
            for language in LANGUAGES:
                t = Words(language)
                assert t.has(f"wheel.measure_of.{wheel_words.slug(each.name)}")
                assert wheel_words.measure(t, reading) != wheel_words.slug(each.name)
                assert "{" not in wheel_words.verdict(t, reading, "ines")


def stages() -> set[str]:
    """What jobs say that they are at, as it stands in the sources."""
    found: set[str] = set()
    for folder in ("build", "wheel"):
        for source in (SOURCES / folder).glob("*.py"):
            if source.stem in ("replay", "backup", "unpacking", "vocabulary", "restore"):
                continue  # commands alone
            text = source.read_text(encoding="utf-8")
            found |= set(re.findall(r'\b(?:told|progress)\(\s*"([^"]+)"', text))
            found |= set(re.findall(r', "(\w+)", progress\)', text))
    return found | {f"learning {each}, in tokens" for each in ("text", "supervised", "preference")}


def test_every_stage_is_said_in_both_languages() -> None:
    known = stages()
    assert {"exam", "index", "ranker", "thresholds", "export", "the teacher"} <= known
    for name in ("", "waiting", *known):
        for language in LANGUAGES:
            key = f"wheel.stage.{wheel_words.slug(name) or 'begins'}"
            assert Words(language).has(key), name


@pytest.mark.parametrize(
    ("seconds", "en", "zh"),
    [(0.04, "0.0 s", "0.0 秒"), (12.3, "12 s", "12 秒"), (61, "1 min 1 s", "1 分 1 秒"),
     (3661, "1 h 1 min", "1 小时 1 分")],
)  # fmt: skip
def test_times_are_told_as_people_say_them(seconds: float, en: str, zh: str) -> None:
    assert wheel_words.duration(Words("en"), seconds) == en
    assert wheel_words.duration(Words("zh"), seconds) == zh


@pytest.mark.parametrize(
    ("size", "says"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**40, "5120 GiB")]
)
def test_sizes_are_told_in_units(size: int, says: str) -> None:
    assert wheel_words.size(size) == says
