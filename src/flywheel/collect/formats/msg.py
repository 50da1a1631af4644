"""Outlook messages: subject as the title, who wrote to whom when, and the body."""

from __future__ import annotations

import contextlib
import io
import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flywheel.collect.formats.content import Content
from flywheel.collect.formats.decode import decode
from flywheel.collect.formats.html import extract_html
from flywheel.errors import ExtractError

if TYPE_CHECKING:
    import olefile

_SUBJECT, _SENDER, _ADDRESS, _TO, _BODY, _HTML = "0037", "0C1A", "0C1F", "0E04", "1000", "1013"
_SENT, _DELIVERED = 0x00390040, 0x0E060040
_PROPERTIES = "__properties_version1.0"
_CODEPAGE = 0x3FFD0003
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
"""Where Windows counts from, in units of 100 ns."""


def extract_msg(data: bytes) -> Content:
    """The text of a message.

    Raises:
        ExtractError: corrupt.
    """
    import olefile

    try:
        with olefile.OleFileIO(io.BytesIO(data)) as message:
            return _message(message)
    except ExtractError:
        raise
    except Exception as error:  # olefile meets damage with errors of every kind
        raise ExtractError("corrupt MSG") from error


def _message(message: olefile.OleFileIO) -> Content:
    numbers = _numbers(message)
    encoding = f"cp{numbers[_CODEPAGE]}" if numbers.get(_CODEPAGE) else ""
    read = {tag: _string(message, tag, encoding) for tag in (_SUBJECT, _SENDER, _ADDRESS, _TO)}
    sent = _time(numbers.get(_SENT) or numbers.get(_DELIVERED) or 0)
    sender = " ".join(dict.fromkeys(filter(None, (read[_SENDER], read[_ADDRESS]))))
    head = {"From": sender, "To": read[_TO], "Date": sent, "Subject": read[_SUBJECT]}
    lines = "\n".join(f"{name}: {value}" for name, value in head.items() if value)
    body = _string(message, _BODY, encoding) or _html(message)
    return Content(title=read[_SUBJECT], text=f"{lines}\n\n{body}".strip(), date=sent[:10])


def _string(message: olefile.OleFileIO, tag: str, encoding: str) -> str:
    """A text property, stored as UTF-16 or in the message's code page."""
    if message.exists(f"__substg1.0_{tag}001F"):
        raw = message.openstream(f"__substg1.0_{tag}001F").read()
        return _plain(raw.decode("utf-16-le", errors="replace"))
    if message.exists(f"__substg1.0_{tag}001E"):
        return _plain(decode(message.openstream(f"__substg1.0_{tag}001E").read(), encoding))
    return ""


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\x00", "").strip()


def _html(message: olefile.OleFileIO) -> str:
    if not message.exists(f"__substg1.0_{_HTML}0102"):
        return ""
    with contextlib.suppress(ExtractError):
        return extract_html(message.openstream(f"__substg1.0_{_HTML}0102").read()).text
    return ""


def _numbers(message: olefile.OleFileIO) -> dict[int, int]:
    """The properties of fixed width: 16 bytes each, after a header of 32 bytes."""
    if not message.exists(_PROPERTIES):
        return {}
    raw = message.openstream(_PROPERTIES).read()[32:]
    entries = (raw[i : i + 16] for i in range(0, len(raw) - 15, 16))
    return {
        tag: value if tag & 0xFFFF == 0x0040 else value & 0xFFFFFFFF
        for tag, _, value in (struct.unpack("<IIQ", entry) for entry in entries)
    }


def _time(ticks: int) -> str:
    if not 0 < ticks < 1 << 60:
        return ""
    return (_EPOCH + timedelta(microseconds=ticks // 10)).isoformat(" ", "minutes")[:16]
