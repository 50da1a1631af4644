"""A domain's folder: opened, locked, and its parts put together."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from sqlalchemy.engine import make_url

from flywheel.artifacts import Artifacts
from flywheel.errors import WorkspaceBusy, WorkspaceError
from flywheel.records import Answer, from_json
from flywheel.store import versions
from flywheel.store.database import Database
from flywheel.store.versions import Version
from flywheel.wheel import answering, swap
from flywheel.wheel import settings as settings_file
from flywheel.wheel.answering import Question
from flywheel.wheel.engines import Engines
from flywheel.wheel.settings import Settings, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.answer.assistant import Assistant
    from flywheel.answer.choice import LearnedChoice
    from flywheel.answer.settings import QuoteSettings
    from flywheel.answer.write import Writer
    from flywheel.search.embed import Embedder
    from flywheel.search.index import PassageIndex, Reader
    from flywheel.search.learned import LearnedRanker
    from flywheel.wheel.corrections import LiveCorrections

# What answers is imported when it is asked for: going back to an earlier version takes no second.

ENVIRONMENT = "FLYWHEEL_WORKSPACE"

CHOICE = "choice"
"""The folder in a ranker's artifact that holds the learned choice of quotes."""

UPLOADS = "uploads"
"""The folder of the files that were uploaded (uploads.py)."""

WORKER_LOCK = "worker.lock"
"""Held by the one that does the jobs (jobs.py)."""

SERVER_LOCK = "server.lock"
KEY_FILE = "owner.key"
"""The first owner's key, where a server made it."""

_LOCK = "flywheel.lock"
_FILES = (_LOCK, WORKER_LOCK, SERVER_LOCK, KEY_FILE)
_SQLITE = "sqlite:///"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """An answer and the interaction that it is kept under."""

    answer: Answer
    interaction: str


class Workspace:
    """An open workspace. Use it as a context manager."""

    def __init__(self, root: Path, settings: Settings, database: Database) -> None:
        self.root, self.settings, self.database = root, settings, database
        self.artifacts = Artifacts(root / "artifacts")
        self._assistants: dict[int, Assistant] = {}
        self._served: Version | None = None
        self._num_erasures: int | None = None
        self._opening, self._loading = threading.RLock(), threading.Lock()
        self._live_corrections: LiveCorrections | None = None
        self._embedders: dict[str, Embedder] = {}
        self.engines = Engines(self.artifacts, settings.engine)

    @classmethod
    def init(cls, folder: Path | str) -> Self:
        """Makes a workspace of a folder, which may hold other files; opens it.

        Raises:
            WorkspaceError: it is one already.
        """
        root = Path(folder).expanduser().absolute()
        if (root / settings_file.FILE).exists():
            raise WorkspaceError(f"{root} is a workspace already. Go on with `flywheel add`.")
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            text = settings_file.commented_toml()
            (root / settings_file.FILE).write_text(text, encoding="utf-8")
        except OSError as error:
            raise WorkspaceError(f"{root} cannot be made a workspace: {error.strerror}.") from error
        return cls.open(root)

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Opens the workspace in a folder.

        Raises:
            WorkspaceError: there is none, or a newer release has made it.
            WorkspaceBusy: a restore into it is ending.
            SettingsError: flywheel.toml is wrong.
            StoreError: the database does not answer.
        """
        root = Path(folder).expanduser().absolute()
        swap.settle(root)  # a restore that was interrupted ends here: as the old state or the new
        if not (root / settings_file.FILE).is_file():
            raise WorkspaceError(f"{root} is no workspace. Make one with `flywheel init {folder}`.")
        settings = load_settings(root / settings_file.FILE)
        return cls(root, settings, Database.open(database_url(settings.store.url, root)))

    @staticmethod
    def is_at(folder: Path | str) -> bool:
        """Whether a folder is a workspace."""
        return (Path(folder).expanduser() / settings_file.FILE).is_file()

    @classmethod
    def find(cls, named: Path | str | None = None) -> Path:
        """The workspace's folder: as named, by FLYWHEEL_WORKSPACE, or from here upwards.

        Raises:
            WorkspaceError: there is none.
        """
        if chosen := named or os.environ.get(ENVIRONMENT):
            return Path(chosen)
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / settings_file.FILE).is_file():
                return folder
        raise WorkspaceError(
            f"There is no workspace in {here} or above it. Make one with `flywheel init`, or "
            "start with `flywheel up DOCUMENTS`."
        )

    def owns(self, path: Path) -> bool:
        """Whether a file (its links resolved) is the workspace's own, and so no document.

        What was uploaded is one by its own source, and none beside that.
        """
        root = self.root.resolve()
        database = make_url(database_url(self.settings.store.url, root)).database or ""
        own = {root / name for name in (settings_file.FILE, *_FILES)}
        own |= {Path(database + suffix) for suffix in ("", "-wal", "-shm", "-journal")}
        own.add(root / self.settings.exam.file)
        folders = {self.artifacts.root.resolve(), root / UPLOADS, root / "moderation"}
        return path in own or not folders.isdisjoint(path.parents)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Holds the workspace for one add, turn or erase; the system lets go when the holder dies.

        Raises:
            WorkspaceBusy: another process holds it.
        """
        with (self.root / _LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise WorkspaceBusy(
                    f"Another add, turn or erase is running in {self.root}. Wait for it to end; "
                    "questions are answered meanwhile."
                ) from error
            yield

    @property
    def corrections(self) -> LiveCorrections:
        """The corrections in force."""
        if self._live_corrections is None:
            from flywheel.wheel.corrections import LiveCorrections

            self._live_corrections = LiveCorrections(self.database)
        return self._live_corrections

    @property
    def embedder(self) -> Embedder | None:
        """The embedding model that the settings name, if any."""
        return self._embedder(self.settings.search.embedding)

    def index_key(self, digest: str) -> str:
        """The artifact's key of an index of the passages with this digest, as a turn makes it."""
        from flywheel.search.index import CODE_VERSION

        embedder = self.embedder
        inputs = {"passages": digest, "embedding": embedder.fingerprint if embedder else ""}
        return self.artifacts.key("index", CODE_VERSION, inputs)

    def _embedder(self, name: str) -> Embedder | None:
        """A model by its name, which in an older version need not be the one in the settings."""
        if not name:
            return None
        with self._loading:  # whoever comes meanwhile would load another one
            if name not in self._embedders:
                from flywheel.search.embed import load_embedder

                relative = self.root / Path(name).expanduser()
                found = str(relative) if relative.is_dir() else name
                cache = self.artifacts.root / "embedding"
                self._embedders[name] = load_embedder(found, cache=cache)
            return self._embedders[name]

    def assistant(self, version: Version, num_erasures: int | None = None) -> Assistant:
        """A version, ready to answer. Kept open while it serves; what no longer does, or was open
        when something was erased, may hold what is gone: nothing of it stays in memory.

        Args:
            num_erasures: how many there have been by now, where the caller has read it.
        """
        with self._opening:
            if num_erasures is not None and num_erasures != self._num_erasures:
                self._forget(keep=self.champion())
                self._num_erasures = num_erasures
            if version.number not in self._assistants:
                self._forget(keep=self.champion())
                self._assistants[version.number] = self.assemble(version.bundle, version.number)
            return self._assistants[version.number]

    def _forget(self, keep: Version) -> None:
        from flywheel.wheel import bare

        for number in self._assistants.keys() - {keep.number}:
            del self._assistants[number]
        asked_alone = bare.writer(self)
        kept = [*keep.bundle.get("writers", {}).values(), *filter(None, [asked_alone])]
        self.engines.close(kept)

    def assemble(self, bundle: dict[str, Any], number: int) -> Assistant:
        """Puts together what a bundle names.

        Raises:
            WorkspaceError: a part of it is missing from the artifacts.
        """
        from flywheel.answer.assistant import Assistant
        from flywheel.answer.decide import Calibration
        from flywheel.answer.settings import DecideSettings, QuoteSettings
        from flywheel.search.index import PassageIndex

        folder = self.artifacts.find("index", bundle["index"])
        if folder is None:
            raise WorkspaceError(
                f"The index of version {number} is missing from {self.artifacts.root}. "
                "`flywheel turn` builds it again."
            )
        index = PassageIndex(folder, self._embedder(bundle["embedding"]))
        quoting = QuoteSettings.model_validate(bundle["quote"])
        learned = bundle.get("ranker", "")
        return Assistant(
            index,
            from_json(Calibration, bundle["calibration"]),
            quoting,
            DecideSettings.model_validate(bundle["decide"]),
            number,
            self.ranker(learned, index),
            self.choice(learned, index, quoting),
            {
                language: self.writer(writer, index)
                for language, writer in bundle.get("writers", {}).items()
            },
        )

    def ranker(self, key: str, index: PassageIndex) -> LearnedRanker | None:
        """A learned ranker by its artifact's key; None where a version has none.

        Raises:
            WorkspaceError: it is missing from the artifacts.
        """
        if not key:
            return None
        from flywheel.search.learned import LearnedRanker

        folder = self.artifacts.find("ranker", key)
        if folder is None:
            raise WorkspaceError(
                f"A learned ranker is missing from {self.artifacts.root}. "
                "`flywheel turn` builds it again."
            )
        return LearnedRanker.load(folder, index)

    def choice(
        self, key: str, index: PassageIndex, settings: QuoteSettings
    ) -> LearnedChoice | None:
        """The learned choice of quotes, kept beside the ranker; None where there is none."""
        from flywheel.answer.choice import LearnedChoice

        folder = self.artifacts.find("ranker", key) if key else None
        if folder is None or not (folder / CHOICE).is_dir():
            return None
        return LearnedChoice.load(folder / CHOICE, index.frequencies, settings)

    def writer(self, writer: dict[str, Any], index: PassageIndex) -> Writer:
        """A model that words answers, as a bundle names it. Opened when it is first asked."""
        from flywheel.answer.settings import WriteSettings
        from flywheel.answer.write import Writer

        settings = WriteSettings.model_validate(writer["write"])
        return Writer(lambda: self.engines.of(writer), index.frequencies, settings)

    def champion(self, conn: Connection | None = None, number: int | None = None) -> Version:
        """The version that serves.

        Args:
            conn: the connection to look with; None takes one of its own.
            number: of the champion, where the caller has read it: the version is then as it was
                first read, since all that serves of it never changes.

        Raises:
            WorkspaceError: no turn has made one yet.
        """
        if conn is None:
            with self.database.read() as opened:
                return self.champion(opened, number)
        served = self._served
        if served is not None and served.number == number:
            return served
        champion = self._served = versions.champion(conn)
        if champion is None:
            raise WorkspaceError("There is no version yet. Run `flywheel turn` first.")
        return champion

    def reader(self, labels: Sequence[str] | None = None) -> Reader:
        """Who may see these labels, as of now; None is the owner, who sees all."""
        with self.database.read() as conn:
            return answering.reader(conn, labels)

    def ask(self, question: str, user: str = "owner", labels: Sequence[str] | None = None) -> Asked:
        """Answers a question, by a correction or else by the champion; keeps the interaction.

        Personal data in what is kept are masked; the answer itself is not touched.
        """
        asked = _question(question, user, labels)
        answer, version = answering.answer(self, asked)
        return Asked(
            answer=answer, interaction=answering.keep(self, asked, [answer], version.number)
        )

    def answer(
        self,
        question: str,
        user: str = "owner",
        labels: Sequence[str] | None = None,
        *,
        quoting_only: bool = False,
    ) -> tuple[Answer, Version]:
        """Answers a question as `ask` does, and keeps nothing of it. With the version that did.

        Args:
            quoting_only: asks no model, and so sends nothing to a remote one.
        """
        asked = _question(question, user, labels, quoting_only=quoting_only)
        return answering.answer(self, asked)

    def close(self) -> None:
        """Closes the database and the engines."""
        self.engines.close()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _question(
    text: str, user: str, labels: Sequence[str] | None, *, quoting_only: bool = False
) -> Question:
    return Question(
        text=text,
        user=user,
        labels=None if labels is None else tuple(labels),
        quoting_only=quoting_only,
    )


def database_url(url: str, root: Path) -> str:
    """The database that the settings name, wherever the command was typed: an SQLite path is
    relative to the workspace."""
    path = url.removeprefix(_SQLITE)
    if path == url or path.startswith("/"):
        return url
    # A folder's name may hold a ? or a %, which mean something else in a URL.
    return f"{_SQLITE}{quote(str(root))}/{path}"
