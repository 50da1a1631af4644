"""What others wrote is served as they wrote it."""

from __future__ import annotations

import hashlib
import re

from flywheel.serve.console.rendering import FOLDER


def test_what_is_vendored_is_listed_with_its_hash_and_licence() -> None:
    page = (FOLDER / "vendored" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+\.js) \|.*\| .*?(\S+\.LICENSE) \| ([0-9a-f]{64}) \|$", page, re.M)
    assert {name for name, _, _ in rows} == {
        each.name for each in (FOLDER / "vendored").glob("*.js")
    }
    for name, licence, digest in rows:
        content = (FOLDER / "vendored" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert (FOLDER / "vendored" / licence).stat().st_size > 0
