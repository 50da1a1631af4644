"""The zip packages that office documents and e-books are: named parts, read within limits.

Treated as hostile: a part may claim any size, XML may hold entities or nest without end.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from types import TracebackType

from lxml import etree

from flywheel.errors import ExtractError

_MAX_PART_BYTES = 256 << 20
_MAX_PACKAGE_BYTES = 1 << 30

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


class Package:
    """An open package; closes with its `with` block."""

    def __init__(self, data: bytes, kind: str) -> None:
        self._kind = kind
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            infos = self._zip.infolist()
        except _BROKEN as error:
            raise ExtractError(f"corrupt {kind}") from error
        if sum(info.file_size for info in infos) > _MAX_PACKAGE_BYTES:
            raise ExtractError("too large when unpacked")
        self.names = frozenset(info.filename for info in infos)

    def __enter__(self) -> Package:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def read(self, name: str) -> bytes:
        """A part's bytes.

        Raises:
            ExtractError: missing, damaged, encrypted or too large.
        """
        try:
            info = self._zip.getinfo(name)
            if info.flag_bits & 0x1:
                raise ExtractError("encrypted")
            if info.file_size > _MAX_PART_BYTES:
                raise ExtractError("too large when unpacked")
            return self._zip.read(info)
        except KeyError as error:
            raise ExtractError(f"corrupt {self._kind}") from error
        except _BROKEN as error:
            raise ExtractError(f"corrupt {self._kind}") from error

    def xml(self, name: str) -> etree._Element:
        """A part as a tree, with entities left unresolved.

        Raises:
            ExtractError: as `read`, or not XML.
        """
        parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
        try:
            root = etree.fromstring(self.read(name), parser)
        except (etree.XMLSyntaxError, ValueError) as error:
            raise ExtractError(f"corrupt {self._kind}") from error
        if root is None:
            raise ExtractError(f"corrupt {self._kind}")
        return root

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """By id: the last word of the type, and the part that is meant. External ones left out."""
        folder, base = posixpath.split(name)
        path = posixpath.join(folder, "_rels", f"{base}.rels")
        if path not in self.names:
            return {}
        found = {}
        for item in self.xml(path):
            target = item.get("Target", "")
            if item.get("TargetMode") != "External" and target:
                absolute = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
                found[item.get("Id", "")] = (item.get("Type", "").rpartition("/")[2], absolute)
        return found

    def title(self) -> str:
        """The title among an office document's core properties."""
        if "docProps/core.xml" not in self.names:
            return ""
        for item in self.xml("docProps/core.xml"):
            if isinstance(item.tag, str) and item.tag.endswith("}title"):
                return (item.text or "").strip()
        return ""
