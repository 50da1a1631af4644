"""Models of the Hugging Face hub that this machine has already: where its client keeps them.

For encoders (model_folder.py) and for a base of one's own (build/base.py). Nothing is fetched here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def is_hub_name(name: str) -> bool:
    """Whether a model on the hub may be called so."""
    return _HUB_NAME.fullmatch(name) is not None


def hub_cache() -> Path:
    """Where huggingface_hub keeps models, by its own variables."""
    if "HF_HUB_CACHE" in os.environ:
        return Path(os.environ["HF_HUB_CACHE"]).expanduser()
    general = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("HF_HOME", f"{general}/huggingface")
    return Path(home).expanduser() / "hub"


def find_snapshot(name: str, holds_model: Callable[[Path], bool]) -> Path | None:
    """The cached snapshot of `main` that holds a model, else the newest that does."""
    place = hub_cache() / f"models--{name.replace('/', '--')}"
    main = place / "refs" / "main"
    commit = main.read_text(encoding="utf-8").strip() if main.is_file() else ""
    snapshots = [folder for folder in place.glob("snapshots/*") if holds_model(folder)]
    return max(
        snapshots,
        key=lambda folder: (folder.name == commit, folder.stat().st_mtime_ns),
        default=None,
    )
