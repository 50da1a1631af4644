"""Server-sent events: bytes of a response → the data of each event.

Not httpx's own lines: those also end at characters such as U+2028, which stand unescaped in JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flywheel.errors import EngineError

_MAX_EVENT_BYTES = 1 << 20


def events(chunks: Iterable[bytes]) -> Iterator[str]:
    """The data of each event, several lines joined; comments and other fields are left out.

    Raises:
        EngineError: an event is over 1 MiB, or no UTF-8.
    """
    data: list[bytes] = []
    for line in _lines(chunks):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
            _check_size(sum(map(len, data)))
        elif not line and data:
            yield _text(b"\n".join(data))
            data = []
    if data:
        yield _text(b"\n".join(data))


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their ends; the last one also where nothing ends it."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r")
        _check_size(len(rest))
    if rest:
        yield rest.removesuffix(b"\r")


def _check_size(size_bytes: int) -> None:
    if size_bytes > _MAX_EVENT_BYTES:
        raise EngineError("The engine sends an event of over 1 MiB.")


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EngineError("The engine sends bytes that are no UTF-8.") from error
