"""Markdown of documents, models and users as HTML that can do nothing.

What they wrote stays text: no HTML of theirs, no links, no pictures. A link's address could carry
a question away, and a picture's does so by being shown. Headings become bold lines, since the
page has its own.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markupsafe import Markup

MAX_CHARS = 20_000
"""As long as an answer may be; what is longer is cut."""

MAX_EMPTY_CELLS = 1_000
"""That a table's short rows are filled up with. A text of a thousand characters could make tens of
thousands of them: with more, its bars stay bars."""


class _Renderer(RendererHTML):
    """Headings as bold lines."""

    def heading_open(self, *_: Any) -> str:
        """What begins a heading."""
        return '<p class="heading">'

    def heading_close(self, *_: Any) -> str:
        """What ends it."""
        return "</p>\n"

    def table_open(self, *_: Any) -> str:
        """A table scrolls where it is wider than the page."""
        return '<div class="scroll" tabindex="0">\n<table class="table">\n'

    def table_close(self, *_: Any) -> str:
        """Its end."""
        return "</table>\n</div>\n"

    def th_open(self, *_: Any) -> str:
        """A cell of its head: how it is to be aligned would be a style, which no page has."""
        return '<th scope="col">'

    def td_open(self, *_: Any) -> str:
        """Another cell."""
        return "<td>"


def _parser() -> MarkdownIt:
    return MarkdownIt(
        "commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer
    ).disable(["link", "image", "autolink", "html_inline", "html_block", "reference"])


_WITHOUT_TABLES, _MARKDOWN = _parser(), _parser().enable("table")


def markdown(text: str) -> Markup:
    """A text as HTML."""
    text = text[:MAX_CHARS]
    parser = _MARKDOWN if _num_empty_cells(text) <= MAX_EMPTY_CELLS else _WITHOUT_TABLES
    rendered: str = parser.render(text)
    return Markup(rendered)


def excerpt(text: str, length: int = 180) -> str:
    """How a text begins, in one line and without the signs of its Markdown."""
    words = markdown(text[: 4 * length]).striptags()
    return words if len(words) <= length else words[: length - 1].rstrip() + "…"


def _num_empty_cells(text: str) -> int:
    """How many its tables may need besides those that are written: each block of lines counts as
    one."""
    found = 0
    # Only these end a line of Markdown: what else may would split a wide row into narrow ones.
    lines_of_text = re.split(r"\r\n|\r|\n", text)
    for is_block, lines in groupby(lines_of_text, lambda line: bool(line.strip())):
        if is_block:
            nums = [line.count("|") for line in lines]
            found += max(nums) * len(nums) - sum(nums)
    return found
