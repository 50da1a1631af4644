"""Moderation of a workspace: its lists and classifier as they are now, trained and edited here.

    moderation/words/CATEGORY.txt    lists, which owners and curators write
    moderation/classifier.json       what was trained, with moderation/weights-….npz
    moderation/rules.toml            what is done about each category, if the console set it

A server that runs sees what changed there at the next text. Where a change cannot be read, what
was read before goes on, and `problem` says why.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from heapq import nsmallest
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from sqlalchemy import Connection

from flywheel.collect import privacy
from flywheel.errors import (
    FileFormatError,
    FlywheelError,
    SourceError,
    UsageError,
    WorkspaceBusy,
)
from flywheel.learn.feedback import is_verified, normal_form, retracted
from flywheel.learn.groups import group
from flywheel.learn.objections import OVER_CAP, UNCOUNTED, WITHDRAWN, held_back
from flywheel.learn.trust import LearnSettings, cap
from flywheel.lines import read_lines
from flywheel.moderation import classifier as classifiers
from flywheel.moderation import training
from flywheel.moderation.moderator import Moderator, Verdict
from flywheel.moderation.ngrams import parts
from flywheel.moderation.settings import CATEGORY_HINT, Direction, is_category
from flywheel.moderation.training import Labelled, LabelledLine, Measured
from flywheel.moderation.words import Phrase, read_phrases
from flywheel.records import PUBLIC, Answer, Feedback
from flywheel.search.terms import fold, has_han
from flywheel.store import audit, corrections, documents, erasures
from flywheel.store import feedback as feedback_store
from flywheel.wheel import quarantine
from flywheel.wheel.keys import record
from flywheel.wheel.moderation import rules
from flywheel.wheel.moderation.rules import FOLDER, Outdated, Rules

if TYPE_CHECKING:
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace

WORDS = "words"

WORDS_ACTION = "moderation.words"
"""What the audit log calls a change of a list."""

NUM_PIECES = 1_000
"""Pieces of documents that teach what is harmless: without them 5.8 % of answers in prose were
taken for something by default, with them 1.7 % (bench/moderation.py)."""

NAMES_NO_CATEGORY = "its reason names no category"
TOO_FEW = "too few texts of its category"

_Signature: TypeAlias = tuple[tuple[str, int, int, int], ...]

_log = logging.getLogger(__name__)


class Moderation:
    """The moderator of a workspace, as its files are now. Safe to use from several threads."""

    def __init__(self, workspace: Workspace) -> None:
        """
        Raises:
            FlywheelError: a list or the classifier cannot be read.
        """
        self._otherwise, self._folder = workspace.settings.moderation, workspace.root / FOLDER
        self._reading = threading.Lock()
        self._signature = _signature(self._folder)
        self._rules, self._moderator = self._read()
        self.problem = ""
        """Why what is there now is not used, and what was there before is; else empty."""

    @property
    def moderator(self) -> Moderator:
        """The moderator; read again where a file has changed."""
        signature = _signature(self._folder)
        if signature != self._signature:
            with self._reading:
                if signature != self._signature:
                    self._read_again()
                    self._signature = signature
        return self._moderator

    @property
    def rules(self) -> Rules:
        """What is done about each category; read again where a file has changed."""
        assert self.moderator
        return self._rules

    def check(self, text: str, direction: Direction) -> Verdict:
        """What a question or an answer holds, and what is done about it."""
        return self.moderator.check(text, direction)

    def mask_personal(self, answer: Answer) -> Answer:
        """The answer without personal data, where the settings ask for it.

        What stands in the passages that it was made from stays: a manual's hotline.
        """
        if not self._rules.settings.mask_personal:  # as the last check saw them
            return answer
        sources = [each.text for each in answer.passages]
        sources += [each.quote for each in answer.citations]
        return replace(
            answer,
            answer=_masked(answer.answer, sources),
            draft=_masked(answer.draft, sources),
            choices=tuple(_masked(each, sources) for each in answer.choices),
        )

    def _read(self) -> tuple[Rules, Moderator]:
        found = rules.read(self._folder, self._otherwise)
        phrases = _phrases(self._folder / WORDS)
        return found, Moderator(found.settings, phrases, classifiers.load(self._folder))

    def _read_again(self) -> None:
        try:
            self._rules, self._moderator = self._read()
            self.problem = ""
        except FlywheelError as error:
            self.problem = str(error)
            _log.warning("moderation goes on as before: %s", error)


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """What a classifier learned from, and how good it is on texts that it has not seen."""

    digest: str
    num_lines: int
    num_flags: int
    """Users' flags that it learned from."""
    num_pieces: int
    """Pieces of documents that it learned from what is harmless."""
    left_out: Mapping[str, int]
    """How many flags taught nothing, by reason."""
    examples: Mapping[str, int]
    """Texts of each category."""
    measured: tuple[Measured, ...]
    seconds: float


def train(workspace: Workspace, file: Path | str, by: Caller | None = None) -> Training:
    """Trains the classifier on labelled lines and on users' flags; it counts from now on.

    A flag teaches the category that its reason names: of the answer that was flagged, or of the
    question where there was none. Askers' flags count as their other feedback does. What harmless
    prose looks like is learned from the documents that everybody may read.

    Args:
        file: JSON Lines of `{"text", "categories": […]}`.

    Raises:
        SourceError: there is no such file, or a category of it has too few texts.
        FileFormatError: a line of it is not valid.
        WorkspaceBusy: something was erased while it learned.
    """
    started = time.perf_counter()
    lines = [line for _, line in read_lines(file, LabelledLine)]
    if not lines:
        raise SourceError(f"{file} holds no labelled lines.")
    named = {name for line in lines for name in line.categories}
    if not named:
        raise SourceError(f"No line of {file} has a category: there is nothing to find.")
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    settings = rules.in_force(workspace).settings
    with workspace.database.read() as conn:
        num_erasures = erasures.count(conn)
        pieces = _pieces(conn)
        flags = _flags(
            conn,
            {*named, *word_lists(workspace), *settings.categories},
            workspace.settings.learn,
        )
    texts, left_out = _texts(lines, flags)
    trained = training.train(
        list(texts.values()),
        [piece for _, piece in pieces],
        settings.threshold_of,
    )
    learned = sorted(id for id in texts if isinstance(id, str))
    about = {
        "trained_at": at,
        "examples": trained.num_examples,
        "learned_from": {"flags": learned, "documents": sorted({id for id, _ in pieces})},
    }

    def write(conn: Connection) -> str:
        if erasures.count(conn) != num_erasures:
            raise WorkspaceBusy(
                "Something was erased meanwhile, and may have been learned from. "
                "Run the same command again."
            )
        # Last, so that an act that cannot be recorded changes nothing.
        record(conn, by, "moderation.train", ", ".join(trained.classifier.categories))
        return classifiers.save(trained.classifier, workspace.root / FOLDER, about).digest

    return Training(
        digest=workspace.database.write(write),
        num_lines=len(lines),
        num_flags=len(learned),
        num_pieces=len(pieces),
        left_out=dict(Counter([*flags.left_out.values(), *left_out])),
        examples=trained.num_examples,
        measured=trained.measured,
        seconds=time.perf_counter() - started,
    )


def forget_erased(workspace: Workspace) -> bool:
    """Deletes the classifier if it learned from anything that was erased since; the lists go on.

    Returns:
        Whether it did. `flywheel moderation train` makes it again, without what was erased.
    """
    folder = workspace.root / FOLDER
    page = classifiers.read_page(folder)
    if page is None:
        return False
    learned = {id for ids in page["learned_from"].values() for id in ids}
    with workspace.database.read() as conn:
        since = [each for each in erasures.list_erasures(conn) if each.at >= page["trained_at"]]
        gone = {id for each in since for id in erasures.taken_by(conn, each.id)} & learned
    if gone:
        classifiers.remove(folder)
    return bool(gone)


def word_lists(workspace: Workspace) -> dict[str, str]:
    """The text of each list, by its category.

    Raises:
        SourceError: a file's name is no category, or it cannot be read.
    """
    return dict(_lists(workspace.root / FOLDER / WORDS))


def read_word_list(workspace: Workspace, category: str) -> str:
    """The text of a category's list; empty where it has none.

    Raises:
        UsageError: the category's name cannot be one.
        SourceError: it cannot be read, or is not UTF-8.
    """
    if not is_category(category):
        raise UsageError(f'"{category}" is no name for a category; {CATEGORY_HINT}.')
    path = workspace.root / FOLDER / WORDS / f"{category}.txt"
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read as UTF-8: {error}") from error


def digest_of(text: str) -> str:
    """What tells a list's text from others: whoever changes it says which he saw."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def write_word_list(
    workspace: Workspace,
    category: str,
    text: str,
    by: Caller | None = None,
    *,
    seen: str | None = None,
) -> None:
    """Puts a list in place of the one that is there; an empty text takes it away.

    Args:
        seen: the digest of the text that whoever changes it saw; None overwrites whatever it is.

    Raises:
        UsageError: the category's name cannot be one.
        FileFormatError: a line of it can be looked for nowhere, or everywhere.
        Outdated: it is another one by now.
    """
    if not is_category(category):
        raise UsageError(f'"{category}" is no name for a category; {CATEGORY_HINT}.')
    folder = workspace.root / FOLDER / WORDS
    path = folder / f"{category}.txt"
    read_phrases(category, text, Path(path.name))

    def write(conn: Connection) -> None:
        corrections.lock(conn)  # so that what is compared is what is replaced
        if seen is not None and digest_of(read_word_list(workspace, category)) != seen:
            raise Outdated(audit.latest(conn, WORDS_ACTION, category))
        # The files last, so that an act that cannot be recorded changes nothing.
        record(conn, by, WORDS_ACTION, category)
        if not text.strip():
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        classifiers.write_whole(path, text.encode())

    workspace.database.write(write)


def _phrases(folder: Path) -> Iterator[Phrase]:
    for category, text in _lists(folder):
        yield from read_phrases(category, text, folder / f"{category}.txt")


def _lists(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*.txt")):
        category = path.relative_to(folder).with_suffix("").as_posix()
        if path.name.startswith("."):
            continue
        if not is_category(category):
            raise SourceError(f"{path} is named after no category; {CATEGORY_HINT}.")
        try:
            yield category, path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise FileFormatError(path, 1, "not UTF-8; save the file as UTF-8") from error
        except FileNotFoundError:
            continue  # taken away since the folder was listed
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}.") from error


def _signature(folder: Path) -> _Signature:
    """What changes whenever a file does. Takes some microseconds a file."""
    return tuple(
        (str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino)
        for path in [
            folder / classifiers.PAGE,
            folder / rules.FILE,
            *sorted((folder / WORDS).rglob("*.txt")),
        ]
        for stat in _stat(path)
    )


def _stat(path: Path) -> Iterator[os.stat_result]:
    """Of a file that is there; nothing of one that is not."""
    with suppress(FileNotFoundError):
        yield path.stat()


def _masked(text: str, sources: Sequence[str]) -> str:
    findings = privacy.find(text)
    return privacy.mask(
        text, [each for each in findings if not _is_quoted(text[each.start : each.end], sources)]
    )


def _is_quoted(personal: str, sources: Sequence[str]) -> bool:
    """Whether it stands in a source as it is, and not as a part of something longer."""
    whole = re.compile(rf"(?<![^\W_]){re.escape(personal)}(?![^\W_])")
    return any(personal in source and whole.search(source) for source in sources)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Flags:
    """Users' flags that may teach, each with its category, and why the others may not."""

    taught: tuple[tuple[Feedback, str], ...]
    left_out: Mapping[str, str]
    weights: Mapping[str, float]
    """What each counts beside a curator's word, by id."""


def _pieces(conn: Connection) -> list[tuple[str, str]]:
    """Pieces of public passages, each with its document's id: the same ones every time."""
    public = (each for each in documents.iterate_passages(conn) if PUBLIC in each.access)
    chosen = nsmallest(NUM_PIECES, ((_hash(each.id), each.document, each.text) for each in public))
    pieces = ((number, id, parts(text)) for number, id, text in chosen)
    drawn = [(id, of_one[number % len(of_one)]) for number, id, of_one in pieces]
    return [(id, piece) for id, piece in drawn if piece.strip()]


def _hash(id: str) -> int:
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest())


def _flags(conn: Connection, categories: Collection[str], settings: LearnSettings) -> _Flags:
    acts = list(feedback_store.list_feedback(conn))
    decisions = quarantine.decisions(conn, corrections.in_force(conn))
    left_out: dict[str, str] = {}
    taught: list[tuple[Feedback, str]] = []
    held = held_back(acts, settings, decisions) | dict.fromkeys(retracted(acts), WITHDRAWN)
    for act in acts:
        if act.kind != "flag":
            continue
        category = _category_of(act.reason, categories)
        if reason := _objection(act, category, held, settings):
            left_out[act.id] = reason
        elif category:
            taught.append((act, category))
    over = _over_cap([act for act, _ in taught], settings)
    return _Flags(
        taught=tuple((act, category) for act, category in taught if act.id not in over),
        left_out=left_out | dict.fromkeys(over, OVER_CAP),
        weights={act.id: _weight(act, settings) for act, _ in taught},
    )


def _objection(
    act: Feedback, category: str, held: Mapping[str, str], settings: LearnSettings
) -> str:
    """Why a flag teaches nothing; empty where it may."""
    if act.id in held:
        return held[act.id]
    if not category or not (act.answer or act.question).strip():
        return NAMES_NO_CATEGORY
    return "" if _weight(act, settings) else UNCOUNTED


def _weight(act: Feedback, settings: LearnSettings) -> float:
    return 1.0 if is_verified(act.role) else settings.asker_weight


def _over_cap(acts: Sequence[Feedback], settings: LearnSettings) -> set[str]:
    """An asker's flags that are more than he may teach: the earlier ones."""
    trusted = sum(is_verified(act.role) for act in acts)
    most = cap(trusted, settings)
    used: dict[str, float] = defaultdict(float)
    over: set[str] = set()
    for act in reversed(acts):
        if is_verified(act.role):
            continue
        used[act.user] += settings.asker_weight
        if used[act.user] > most:
            over.add(act.id)
    return over


def _category_of(reason: str, categories: Collection[str]) -> str:
    """The category that a reason names, the longest where several do; empty where none does."""
    folded = fold(reason)
    named = [each for each in categories if _names(each).search(folded)]
    return max(named, key=lambda each: (len(each), each), default="")


def _names(category: str) -> re.Pattern[str]:
    # self-harm, self harm; and 辱骂 wherever it stands.
    spelled = re.sub(r"\\?[-/]", r"[-/ ]?", re.escape(fold(category)))
    return re.compile(spelled if has_han(category) else rf"(?<![\w-]){spelled}(?![\w-])")


def _texts(
    lines: Sequence[LabelledLine], flags: _Flags
) -> tuple[dict[int | str, Labelled], list[str]]:
    """What to learn from, by the line's number or the flag's id; why flags were left out."""
    flagged = [act.answer.strip() or act.question for act, _ in flags.taught]
    groups = group([*(line.text for line in lines), *flagged], []).training
    texts: dict[int | str, Labelled] = {
        number: Labelled(text=line.text, categories=frozenset(line.categories), group=of_line)
        for number, (line, of_line) in enumerate(zip(lines, groups, strict=False))
    }
    labelled = {normal_form(line.text) for line in lines}
    told = zip(flags.taught, flagged, groups[len(lines) :], strict=True)
    for (act, category), text, of_flag in told:
        if normal_form(text) not in labelled:  # else the owner has said what it is
            texts[act.id] = Labelled(
                text=text,
                categories=frozenset((category,)),
                group=of_flag,
                tells_of=frozenset((category,)),
                weight=flags.weights[act.id],
            )
    named = {name for line in lines for name in line.categories}
    few = {
        name
        for name in {category for _, category in flags.taught} - named
        if not training.enough(name, texts.values())
    }
    dropped = [id for id, each in texts.items() if each.tells_of and each.tells_of & few]
    for id in dropped:
        del texts[id]
    return texts, [TOO_FEW] * len(dropped)


_opened: WeakKeyDictionary[Workspace, Moderation] = WeakKeyDictionary()
_opening = threading.Lock()


def moderation_of(workspace: Workspace) -> Moderation:
    """The moderation of an open workspace, the same one for all that use it in this process.

    Raises:
        FlywheelError: a list or the classifier cannot be read.
    """
    with _opening:
        if workspace not in _opened:
            _opened[workspace] = Moderation(workspace)
        return _opened[workspace]
