"""The reasons that files are set aside for, as a closed set, which the console has words for.

The reasons themselves are made where they are found out (collect/). One that is not known here is
shown as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OTHER = "other"
"""The code of a reason that is not known here."""

_EXACT = {
    "too short": "too_short",
    "machine garbage": "garbage",
    "symbol soup": "symbols",
    "navigation": "navigation",
    "repeated lines": "repeated_lines",
    "repeated text": "repeated_text",
    "empty": "empty",
    "encrypted": "encrypted",
    "partly encrypted": "partly_encrypted",
    "encrypted archive member": "encrypted",
    "needs OCR": "needs_ocr",
    "too large": "too_large",
    "too large when unpacked": "too_large_unpacked",
    "archive too large when unpacked": "too_large_unpacked",
    "too large for this machine's memory": "too_large_for_memory",
    "too large for the memory of this machine": "too_large_for_memory",
    "not read: OpenDocument, save it as DOCX": "old_text",
    "not read: Word before 2007, save it as DOCX": "old_text",
    "not read: RTF, save it as DOCX": "old_text",
    "not read: PowerPoint before 2007, save it as PPTX": "old_slides",
    "archive": "nested_archive",
    "archive: unpack it first": "nested_archive",
    "archive inside an archive: unpack it first": "nested_archive",
    "archive at an address: download it and add the file": "remote_archive",
    "path leads out of the archive": "path_leads_out",
    "corrupt: the file is cut off or damaged": "corrupt",
    "no permission to read": "no_permission",
    "gone since the scan": "gone",
    "broken link": "broken_link",
    "link to a folder: not followed": "folder_link",
    "not a regular file": "not_regular",
    "crashes its reader": "crashes",
    "erased": "erased",
    "erased; to have it back, add this file by its own name": "kept_out",
}
_PATTERNS = (
    ("newer_edition", re.compile(r"newer edition: (?P<value>.*)", re.DOTALL)),
    ("nearly_same_text", re.compile(r"nearly the same text as (?P<value>.*)", re.DOTALL)),
    ("same_text", re.compile(r"same text as (?P<value>.*)", re.DOTALL)),
    ("archive_of", re.compile(r"archive of (?P<value>\d+) files")),
    ("not_text", re.compile(r"not text: (?P<value>.*)")),
    ("corrupt", re.compile(r"corrupt (?P<value>.*)")),
    ("not_readable", re.compile(r"(?:not readable|cannot be read): (?P<value>.*)")),
)

CODES = (*dict.fromkeys(_EXACT.values()), *(code for code, _ in _PATTERNS), OTHER)
"""Every code there is."""

OF_ANOTHER = ("newer_edition", "nearly_same_text", "same_text")
"""The codes whose value is the path of another document, which not everybody may know of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why a file is what it is."""

    code: str
    value: str = ""
    """What it names: another document's path, a number, a kind of file."""


def explained(reason: str) -> Reason | None:
    """A reason by its code; None where there is none."""
    if not reason:
        return None
    if code := _EXACT.get(reason):
        return Reason(code=code)
    for code, pattern in _PATTERNS:
        if found := pattern.fullmatch(reason):
            return Reason(code=code, value=found["value"])
    return Reason(code=OTHER, value=reason)
