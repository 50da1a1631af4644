"""The JSON objects of a file of training data: one a line, or all in one array.

A file is taken as a whole or not at all: nothing is given before every object is read. Not here:
what the objects mean (build/conversations.py), and files of our own forms (lines.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel.errors import FileFormatError, SourceError

_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One object, and where it stands."""

    number: int
    """Among the file's objects, from 1."""
    line: int
    """On which it begins, from 1."""
    data: dict[str, Any]


class ItemError(ValueError):
    """What is wrong with an item, in the words of the file."""


def read_items(path: Path | str) -> list[Item]:
    """The file's objects, in order.

    Raises:
        SourceError: there is no such file, or nothing in it.
        FileFormatError: it is not UTF-8, or an object is not valid JSON.
    """
    text = _read(path)
    items = list(_array(path, text) if text.lstrip().startswith("[") else _lines(path, text))
    if not items:
        raise SourceError(f"{path} holds nothing to learn from.")
    return items


def located(path: Path | str, item: Item, problem: str) -> FileFormatError:
    """The error that names an item: by its number too, since an array may stand on one line."""
    return FileFormatError(path, item.line, f"item {item.number}: {problem}")


def _read(path: Path | str) -> str:
    try:
        data = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileFormatError(path, line, "not UTF-8; save the file as UTF-8") from error


def _lines(path: Path | str, text: str) -> Iterator[Item]:
    number = 0
    for line, each in enumerate(text.split("\n"), start=1):
        if each.strip(" \t\r"):
            number += 1
            try:
                data = _object(json.loads(each, object_pairs_hook=_unique_keys))
            except (ValueError, RecursionError) as error:
                raise FileFormatError(path, line, _problem(error)) from error
            yield Item(number=number, line=line, data=data)


def _array(path: Path | str, text: str) -> Iterator[Item]:
    """Item by item, so that a wrong one is named by its own line, not by the array's first."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique_keys)
    at = _after_space(text, text.index("[") + 1)
    number, line, counted = 0, 1, 0
    is_open = text[at : at + 1] != "]"
    while is_open:
        number, line, counted = number + 1, line + text.count("\n", counted, at), at
        try:
            value, at = decoder.raw_decode(text, at)
            data = _object(value)
            at = _after_space(text, at)
            if text[at : at + 1] not in (",", "]"):
                raise ItemError('it is not followed by "," or "]"')
        except (ValueError, RecursionError) as error:
            raise FileFormatError(path, line, f"item {number}: {_problem(error)}") from error
        yield Item(number=number, line=line, data=data)
        is_open = text[at] == ","
        at = _after_space(text, at + 1) if is_open else at
    if _after_space(text, at + 1) < len(text):
        raise FileFormatError(path, text.count("\n", 0, at) + 1, "text after the end of the array")


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        raise ItemError("a key stands twice")
    return data


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ItemError("not a JSON object")
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ItemError(
            "an escape like \\ud83d stands for half a character; write the whole one"
        ) from None
    return value


def _problem(error: Exception) -> str:
    return str(error) if isinstance(error, ItemError) else f"not a JSON object: {error}"
