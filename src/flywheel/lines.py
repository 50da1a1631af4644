"""JSON Lines that users write: every line checked, and a wrong one named.

A file is taken as a whole or not at all, so nothing here gives a line before all are right.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from flywheel.errors import FileFormatError, SourceError

Line = TypeVar("Line", bound=BaseModel)


def read_lines(path: Path | str, kind: type[Line]) -> list[tuple[int, Line]]:
    """The lines that are not blank, each with its number from 1.

    Args:
        kind: what a line holds; strict, with `extra="forbid"`.

    Raises:
        SourceError: there is no such file.
        FileFormatError: a line is not valid.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    lines = enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1)
    return [(number, _read(path, number, line, kind)) for number, line in lines if line.strip()]


def _read(path: Path | str, number: int, line: bytes, kind: type[Line]) -> Line:
    try:
        data = json.loads(line.decode("utf-8"), object_pairs_hook=_unique_keys)
        json.dumps(data, ensure_ascii=False).encode("utf-8")
        return kind.model_validate(data)
    except UnicodeDecodeError:
        problem = "not UTF-8; save the file as UTF-8"
    except UnicodeEncodeError:
        problem = "an escape like \\ud83d stands for half a character; write the whole one"
    except ValidationError as error:
        problem = _problem(error, list(kind.model_fields))
    except (ValueError, RecursionError) as error:
        problem = f"not a JSON object: {error}"
    raise FileFormatError(path, number, problem)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        raise ValueError("a key stands twice")
    return data


def _problem(error: ValidationError, keys: Sequence[str]) -> str:
    """What is wrong, in the words of the file; a misspelt key before the key it stands for."""
    problems = error.errors(include_url=False)
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    key = str(first["loc"][0]) if first["loc"] else ""
    match first["type"]:
        case "extra_forbidden":
            return f'unknown key "{key}"; {_nearest(key, keys)}'
        case "missing":
            return f'"{key}" is missing'
        case "string_pattern_mismatch":
            return f'"{key}" is empty'
        case "literal_error":
            known = re.findall(r"'([^']*)'", first["ctx"]["expected"])
            return f'unknown {key} "{first["input"]}"; {_nearest(str(first["input"]), known)}'
        case "value_error":
            return str(first["ctx"]["error"])
    if not key:
        return "not a JSON object; there is one JSON object a line"
    return f'"{key}": {first["msg"][0].lower()}{first["msg"][1:]}'


def _nearest(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    return f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}"
