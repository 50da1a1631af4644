"""What an extractor gives: words in the shape of Markdown, and what the file says of itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HASHES = re.compile(r"^(?=#{1,6}\s)", re.M)


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """`title` and `date` come from the file's own metadata, unchecked, and may be empty."""

    text: str
    title: str = ""
    date: str = ""
    """The edition's date in ISO form, possibly short; never when the file was saved."""


def no_headings(text: str) -> str:
    """Running text or code in which a line begins with `#`: indented, it is no heading."""
    return _HASHES.sub("    ", text) if "#" in text else text
