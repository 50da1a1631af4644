"""A form with files, in pieces, as it comes in: nothing of it is kept here.

Not starlette's reader, which writes every file into the system's temporary folder before anybody
can say that it is too large. Limits hold while the form comes in, and a form that ends early is
refused rather than taken for a short file.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from flywheel.serve.errors import ApiError

if TYPE_CHECKING:
    from fastapi import Request
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 300
"""Files and fields of one form."""
MAX_FIELD_BYTES = 4096
MAX_HEADER_BYTES = 8192
"""Of one part."""
MAX_BESIDE_BYTES = 4 * 2**20
"""Everything in a form that is no file's bytes."""


@dataclass(frozen=True, slots=True)
class FieldPiece:
    """A field with its value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FilePiece:
    """A file begins."""

    name: str
    """The field's."""
    given: str
    """The file's own name, as whoever sends it says."""


@dataclass(frozen=True, slots=True)
class DataPiece:
    """More bytes of the file that began last."""

    data: bytes


Piece = FieldPiece | FilePiece | DataPiece


async def pieces(request: Request) -> AsyncGenerator[Piece, None]:
    """What a request's form consists of, in its order.

    Raises:
        ApiError: 415, it is no form; 400, it is damaged, ends early or is over a limit.
    """
    reader = _Reader(_boundary(request))
    try:
        async with aclosing(request.stream()) as stream:
            async for chunk in stream:
                for piece in reader.read(chunk):
                    yield piece
    except ClientDisconnect:
        raise ApiError(400, "The client went away before the form had ended.") from None
    reader.check_ended()


def _boundary(request: Request) -> bytes:
    media_type, options = parse_options_header(request.headers.get("Content-Type", ""))
    if media_type != b"multipart/form-data":
        raise ApiError(415, "Send files as a form: multipart/form-data.", code="media_type")
    if not options.get(b"boundary"):
        raise _damaged()
    return options[b"boundary"]


@dataclass(slots=True)
class _Part:
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    size: int = 0
    """Of the headers."""
    name: str = ""
    is_file: bool = False
    value: bytearray = field(default_factory=bytearray)


class _Reader:
    """Turns a form's bytes into its pieces."""

    def __init__(self, boundary: bytes) -> None:
        self._part, self._num_parts = _Part(), 0
        self._found: list[Piece] = []
        self._num_beside = 0
        self._has_ended = False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._on_part,
            "on_header_begin": self._on_header,
            "on_header_field": self._on_header_name,
            "on_header_value": self._on_header_value,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:
            raise _damaged() from error

    def read(self, chunk: bytes) -> list[Piece]:
        """The pieces that have come to an end, or grown, with these bytes."""
        self._found = []
        self._num_beside += len(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _damaged() from error
        if self._num_beside > MAX_BESIDE_BYTES:
            raise ApiError(400, "The form holds too much beside its files.")
        return self._found

    def check_ended(self) -> None:
        """Lets a form pass that is whole."""
        if not self._has_ended:
            raise ApiError(400, "The form ends early: its last boundary is missing.")

    def _on_part(self) -> None:
        self._part = _Part()
        self._num_parts += 1
        if self._num_parts > MAX_PARTS:
            raise ApiError(400, f"A form may hold {MAX_PARTS} files and fields.")

    def _on_header(self) -> None:
        self._part.headers.append((b"", b""))

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        name, value = self._part.headers[-1]
        self._part.headers[-1] = (name + self._counted(data[start:end]), value)

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        name, value = self._part.headers[-1]
        self._part.headers[-1] = (name, value + self._counted(data[start:end]))

    def _counted(self, data: bytes) -> bytes:
        self._part.size += len(data)
        if self._part.size > MAX_HEADER_BYTES:
            raise ApiError(400, "The headers of a part are too long.")
        return data

    def _on_headers(self) -> None:
        headers = {name.lower(): value for name, value in self._part.headers}
        kind, options = parse_options_header(headers.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise _damaged()
        self._part.name = _name(options[b"name"])
        self._part.is_file = b"filename" in options
        if self._part.is_file:
            self._found.append(FilePiece(self._part.name, _name(options[b"filename"])))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.is_file:
            self._num_beside -= end - start
            self._found.append(DataPiece(data[start:end]))
            return
        self._part.value += data[start:end]
        if len(self._part.value) > MAX_FIELD_BYTES:
            raise ApiError(400, f"A field may have {MAX_FIELD_BYTES} bytes.", param=self._part.name)

    def _on_part_end(self) -> None:
        if not self._part.is_file:
            try:
                value = self._part.value.decode()
            except UnicodeDecodeError:
                raise ApiError(400, "Fields are UTF-8.", param=self._part.name) from None
            self._found.append(FieldPiece(self._part.name, value))

    def _on_end(self) -> None:
        self._has_ended = True


def _name(raw: bytes) -> str:
    """A name in the encoding that it seems to have."""
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def _damaged() -> ApiError:
    return ApiError(400, "The form is damaged: it is no multipart/form-data.")
