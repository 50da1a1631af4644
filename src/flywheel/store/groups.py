"""Many ids, in groups that one statement takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

MAX_IDS = 500
"""Ids in one IN list."""


def in_groups(items: Iterable[T], size: int = MAX_IDS) -> Iterator[list[T]]:
    """The items in their order, in lists of at most `size`."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group
