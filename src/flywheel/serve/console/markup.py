"""Markdown of documents, models and users as HTML that can do nothing.

What they wrote stays text: no HTML of theirs, no links, no pictures. A link's address could carry
a question away, and a picture's does so by being shown. Headings become bold lines, since the
page has its own.
"""

from __future__ import annotations

from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markupsafe import Markup

MAX_CHARS = 100_000
"""What is longer is cut, where somebody pasted a book."""


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


_MARKDOWN = (
    MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
    .enable("table")
    .disable(["link", "image", "autolink", "html_inline", "html_block", "reference"])
)


def markdown(text: str) -> Markup:
    """A text as HTML."""
    rendered: str = _MARKDOWN.render(text[:MAX_CHARS])
    return Markup(rendered)
