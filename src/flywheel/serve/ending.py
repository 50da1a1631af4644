"""Where an answer ends that the documents give: at a stop text, or at so many tokens.

An engine ends its own answers so; a quote is cut here. Where no model took part, a token is a word,
a Chinese character or a sign, and `usage` counts them so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

_TOKEN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]|\w+|[^\w\s]")


def num_tokens(text: str) -> int:
    """How many tokens a text has, as quotes are counted."""
    return sum(1 for _ in _TOKEN.finditer(text))


class Ending:
    """Lets a text through, piece by piece, up to its end."""

    def __init__(self, stops: Sequence[str], most_tokens: int | None) -> None:
        self._stops, self._most_tokens = stops, most_tokens
        self._held = max(map(len, stops), default=1) - 1
        """Characters at the end that may still become a stop text."""
        self._text, self._num_shown = "", 0
        self.finish: Literal["stop", "length"] | None = None
        """Why the text ended here; None as long as it goes on."""

    def feed(self, text: str) -> str:
        """What of the text may be shown now."""
        if self.finish:
            return ""
        self._text += text
        end = self._end()
        safe = len(self._text) - self._held if self.finish is None else end
        return self._up_to(safe)

    def flush(self) -> str:
        """What was held back, once there is no more."""
        return "" if self.finish else self._up_to(len(self._text))

    def _end(self) -> int:
        ends = [(place, "stop") for place in map(self._text.find, self._stops) if place >= 0]
        if self._most_tokens is not None:
            found = [each.end() for each in _TOKEN.finditer(self._text)]
            if len(found) > self._most_tokens:
                ends.append((found[self._most_tokens - 1], "length"))
        if not ends:
            return len(self._text)
        place, reason = min(ends)
        self.finish = "stop" if reason == "stop" else "length"
        return place

    def _up_to(self, end: int) -> str:
        shown = self._text[self._num_shown : max(end, self._num_shown)]
        self._num_shown += len(shown)
        return shown
