"""What becomes of a backup that is to be restored: which database takes its rows, and which files
move where. Nothing is changed but what was unpacked.

An archive is of anybody's making: it chooses no server to speak to, and no place outside of the
workspace's folder.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel.errors import SettingsError, UsageError
from flywheel.store import dump
from flywheel.store.engines import SQLITE, parse_url, reading_engine
from flywheel.store.failures import explained
from flywheel.wheel import swap
from flywheel.wheel.backup.make import ARTIFACTS, EXAM, FOLDERS, ROWS, SETTINGS, is_inside
from flywheel.wheel.backup.replay import Past
from flywheel.wheel.settings import Settings, load_settings
from flywheel.wheel.swap import Journal
from flywheel.wheel.workspace import database_url

STAGED = "staged.db"
"""What holds the rows until they are put where they belong."""

_STORE = re.compile(r"^[ \t]*\[[ \t]*store[ \t]*\][ \t]*(#.*)?$", re.MULTILINE)
_URL = re.compile(r"^[ \t]*url[ \t]*=.*$", re.MULTILINE)
_SECTION = re.compile(r"^[ \t]*\[", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """The workspace that a restore takes the place of."""

    settings: Settings
    url: str
    """Of its database."""
    is_damaged: bool
    """Whether nobody can tell what the database held."""
    erasures: Sequence[Past] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What becomes of what was unpacked."""

    settings: Settings
    url: str
    """Of the database that takes the rows."""
    journal: Journal
    notes: tuple[str, ...]


def plan(staging: Path, root: Path, before: Before | None, store: str) -> Plan:
    """Where the rows and the files go, with the settings changed to that.

    Raises:
        SettingsError: the backup's settings are wrong, or cannot be changed.
        UsageError: something is in the way.
    """
    settings = load_settings(staging / SETTINGS)
    named = _store_of(settings, before, store)
    if named != settings.store.url:
        change_url(staging / SETTINGS, named)
        settings = load_settings(staging / SETTINGS)
    url = database_url(named, root)
    parsed = parse_url(url)
    file = Path(str(parsed.database)) if parsed.drivername == SQLITE else None
    notes = list(_notes(settings, before))
    id = uuid.uuid4().hex
    is_aside = before is not None and before.is_damaged and before.url == url and file is not None
    within = "" if file is None else str(file.relative_to(root) if root in file.parents else file)
    journal = Journal(
        id=id,
        url="" if file else url,
        file=within,
        moves=tuple(_moves(staging, root, settings, within, notes)),
        is_new=file is not None and not file.exists(),
        aside=f"{within}.damaged-{id[:8]}" if is_aside else "",
    )
    if before is None:
        _refuse_others(root, journal)
    return Plan(settings=settings, url=url, journal=journal, notes=tuple(notes))


def _store_of(settings: Settings, before: Before | None, store: str) -> str:
    """The URL that the restored settings name.

    An archive must not choose a server to speak to, or a file elsewhere to write.
    """
    if store:
        return store
    if before:
        return before.settings.store.url
    named = settings.store.url
    if named.startswith("sqlite:///") and is_inside(named.removeprefix("sqlite:///")):
        return named
    raise UsageError(
        "This backup's database was outside of its folder. Say where the rows go: --store URL, of "
        "a blank database, or --store sqlite:///flywheel.db"
    )


def refuse_full(url: str) -> None:
    """Lets a database pass that holds nothing.

    Raises:
        UsageError: it holds something.
        StoreError: it does not answer.
    """
    parsed = parse_url(url)
    if parsed.drivername == SQLITE and not Path(str(parsed.database)).exists():
        return
    engine = reading_engine(parsed, 10)
    try:
        with explained(f"The database {parsed!r}"), engine.connect() as conn:
            is_blank = dump.is_blank(conn)
    finally:
        engine.dispose()
    if not is_blank:
        raise UsageError(f"The database {parsed!r} is not blank. Name one that is.")


def _notes(settings: Settings, before: Before | None) -> Iterator[str]:
    if settings.engine.url and (before is None or before.settings.engine != settings.engine):
        yield f"the settings name an engine: questions and passages go to {settings.engine.url}"
    if before and before.is_damaged:
        yield (
            "the database that was there is damaged, and was put aside: what was erased, and which "
            "keys were revoked after the backup, could not be read. Do that again"
        )


def _moves(
    staging: Path, root: Path, settings: Settings, database: str, notes: list[str]
) -> Iterator[str]:
    """What moves into the workspace; the settings first, which make it one."""
    yield SETTINGS
    (staging / ARTIFACTS).mkdir(exist_ok=True)
    yield ARTIFACTS
    for name in FOLDERS:
        if (root / name).exists():
            (staging / name).mkdir(exist_ok=True)
        if (staging / name).exists():
            yield name
    if (staging / EXAM).exists():
        place = settings.exam.file
        if not is_inside(place):
            notes.append(f"the exam was not put at {place}, which lies elsewhere: it is left out")
            return
        taken = {SETTINGS, ARTIFACTS, *FOLDERS, ROWS, swap.PLACE, STAGED, database}
        if Path(place).suffix != ".jsonl" or Path(place).parts[0] in taken:
            raise SettingsError(f"[exam] file in the backup's settings is {place}, which is none.")
        (staging / place).parent.mkdir(parents=True, exist_ok=True)
        (staging / EXAM).replace(staging / place)
        yield place


def _refuse_others(root: Path, journal: Journal) -> None:
    for name in (*journal.moves, journal.file):
        if name and os.path.lexists(root / name):
            raise UsageError(f"{root} holds {name} already. Name another folder.")


def change_url(file: Path, url: str) -> None:
    """Lets the settings name another database, and leaves everything else as it is written.

    Raises:
        SettingsError: they are written in a way that this cannot be done in.
    """
    text = file.read_text(encoding="utf-8-sig")
    line = f"url = {json.dumps(url, ensure_ascii=False)}"
    section = _STORE.search(text)
    if section is None:
        changed = f"{text.rstrip()}\n\n[store]\n{line}\n"
    else:
        following = _SECTION.search(text, section.end())
        end = following.start() if following else len(text)
        body, count = _URL.subn(lambda _: line, text[section.end() : end], count=1)
        changed = text[: section.end()] + (body if count else f"\n{line}{body}") + text[end:]
    expected: dict[str, Any] = tomllib.loads(text)
    expected["store"] = expected.get("store", {}) | {"url": url}
    try:
        is_so = tomllib.loads(changed) == expected
    except tomllib.TOMLDecodeError:
        is_so = False
    if not is_so:
        raise SettingsError(
            "The backup's flywheel.toml names its database in a way that is not understood: write "
            "it as a line of its own, below [store]."
        )
    file.write_text(changed, encoding="utf-8")
