"""The kinds of personal data, and what their finders share."""

from __future__ import annotations

import re
from typing import Literal, get_args

PersonalKind = Literal["url", "email", "iban", "resident_id", "card", "ssn", "mac", "ip", "phone"]
KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)

Span = tuple[int, int]
"""The code points [start, end) of a text."""

_MASK_NAME = re.compile(rf"(?:\[|\A)[A-Z_]*\b(?:{'|'.join(KINDS).upper()})\]")


def text_before(match: re.Match[str], num_chars: int) -> str:
    """What stands before, without the names of masks: `[PHONE]` is no word about a phone."""
    before = match.string[max(0, match.start() - num_chars) : match.start()]
    return _MASK_NAME.sub("", before)
