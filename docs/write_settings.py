"""Writes settings.md, so that the page says what `flywheel init` writes: `make docs`."""

from __future__ import annotations

from pathlib import Path

from flywheel.wheel.settings import commented_toml

PAGE = Path(__file__).with_name("settings.md")

TEXT = """\
# Settings

`flywheel init` writes this into the workspace's `flywheel.toml`. Every setting has a default that
works; a misspelt one is refused, and the nearest known one is named. Changes count from the next
`flywheel add` or `flywheel turn` on: what is built is never changed, a turn makes a new version.

This page is written from the code by `make docs`.

```toml
{toml}```
"""


def settings_page() -> str:
    """The page as it should be."""
    return TEXT.format(toml=commented_toml())


if __name__ == "__main__":
    PAGE.write_text(settings_page(), encoding="utf-8")
