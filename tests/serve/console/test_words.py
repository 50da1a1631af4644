"""The two catalogues say the same, and say all that the pages ask for and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

import flywheel.serve.console
from flywheel.serve.console.words import Words, catalogue

CONSOLE = Path(flywheel.serve.console.__file__).parent
SOURCES = [*CONSOLE.rglob("*.py"), *CONSOLE.rglob("*.html"), CONSOLE.parent / "session.py"]

KEY = re.compile(r"""["']([a-z_]+(?:\.[a-z0-9_]+)+)["']""")
"""A text's key, as it stands in a template or in Python."""
JOINED = re.compile(
    r"""["']([a-z_]+(?:\.[a-z0-9_]+)*\.)["']\s*[~+]|f["']([a-z_]+(?:\.[a-z0-9_]+)*\.)\{"""
)
"""The beginning of a key that is put together."""
BRANCHING = re.compile(r"""\.of\(\s*["']([a-z_]+(?:\.[a-z0-9_]+)+)["']""")
"""A key whose texts are chosen by a value."""


def texts(form: Any) -> list[str]:
    return list(form.values()) if isinstance(form, dict) else [form]


def names(form: Any) -> set[str]:
    """The values that a text names."""
    return {name for text in texts(form) for _, name, _, _ in Formatter().parse(text) if name}


def used() -> Iterator[str]:
    for source in SOURCES:
        yield from KEY.findall(source.read_text(encoding="utf-8"))


def test_both_languages_have_the_same_texts_with_the_same_values() -> None:
    english, chinese = catalogue("en"), catalogue("zh")
    assert english.keys() == chinese.keys()
    assert {key: names(form) | {"num"} for key, form in english.items()} == {
        key: names(form) | {"num"} for key, form in chinese.items()
    }


def test_no_text_is_empty_and_none_stands_in_the_other_language() -> None:
    for language in ("en", "zh"):
        for key, form in catalogue(language).items():
            for text in texts(form):
                assert text.strip(), key
                if language == "en":
                    assert not re.search("[\u4e00-\u9fff]", text), key


def test_every_text_that_a_page_asks_for_is_there() -> None:
    known = catalogue("en")
    spaces = {key.partition(".")[0] for key in known}
    asked = {key for key in used() if key.partition(".")[0] in spaces}
    branches = {key for source in SOURCES for key in BRANCHING.findall(source.read_text("utf-8"))}
    files = re.compile(r".*\.(html|py|js|css|svg|toml|jsonl?|ts|min)$")
    missing = {
        key
        for key in asked - known.keys()
        if not files.match(key) and not any(each.startswith(f"{key}.") for each in known)
    }
    assert missing == set()
    assert branches


def test_no_text_is_left_over() -> None:
    sources = [source.read_text("utf-8") for source in SOURCES]
    asked = set(used())
    beginnings = {f"{key}." for source in sources for key in BRANCHING.findall(source)}
    beginnings |= {a or b for source in sources for a, b in JOINED.findall(source)}
    left = {
        key
        for key in catalogue("en").keys() - asked
        if not any(key.startswith(beginning) for beginning in beginnings)
    }
    assert left == set()


@pytest.mark.parametrize(("num", "says"), [(0, "s"), (1, ""), (2, "s"), (1234, "s")])
def test_a_number_chooses_the_form(num: int, says: str) -> None:
    words = Words("en")
    words._texts = {"a.b": {"one": "{num} answer", "other": "{num} answers"}}
    assert words("a.b", num=num) == f"{num:,} answer{says}"
    words._texts = {"a.b": {"other": "{num} 个答案"}}
    assert words("a.b", num=num) == f"{num:,} 个答案"
