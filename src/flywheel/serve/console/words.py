"""What the pages say, in English and Chinese: catalogues of words, one file a page and language.

    words/en/ask.toml    title = "Ask"        is t("ask.title")
    words/zh/ask.toml    title = "提问"

A text may hold values as `{name}`, and be a table of `one` and `other` by the value `num`. No page
says anything that does not stand here, and a test compares the two.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

PageLanguage = Literal["en", "zh"]

FOLDER = Path(__file__).parent / "words"

Catalogue = Mapping[str, Any]


@cache
def catalogue(language: PageLanguage) -> Catalogue:
    """Every text of a language by its key, such as `ask.title`; those with plurals as tables."""
    found: dict[str, Any] = {}
    for file in sorted((FOLDER / language).glob("*.toml")):
        _collect(tomllib.loads(file.read_text(encoding="utf-8")), file.stem, found)
    return found


class Words:
    """One language's texts. Called with a key, it gives the text with its values filled in."""

    def __init__(self, language: PageLanguage) -> None:
        self.language: PageLanguage = language
        self._texts = catalogue(language)

    def __call__(self, key: str, **values: Any) -> str:
        """The text of a key.

        Raises:
            KeyError: there is none, or a value that it names is not given.
        """
        return self._filled(self._texts[key], values)

    def of(self, key: str, value: Any, **values: Any) -> str:
        """The text of one of several values that a key has texts for; what has none is itself."""
        text = self._texts.get(f"{key}.{value}")
        return str(value) if text is None else self._filled(text, values)

    def has(self, key: str) -> bool:
        """Whether there is a text of that key."""
        return key in self._texts

    def _filled(self, text: Any, values: Mapping[str, Any]) -> str:
        if isinstance(text, dict):
            form = "one" if values["num"] == 1 and "one" in text else "other"
            text = text[form]
        shown = {name: self._number(value) for name, value in values.items()}
        return str(text).format_map(shown) if shown else str(text)

    @staticmethod
    def _number(value: Any) -> Any:
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value


def _collect(data: Mapping[str, Any], prefix: str, found: dict[str, Any]) -> None:
    for name, value in data.items():
        key = f"{prefix}.{name}"
        if (
            isinstance(value, dict)
            and value.keys() != {"one", "other"}
            and value.keys() != {"other"}
        ):
            _collect(value, key, found)
        else:
            found[key] = value
