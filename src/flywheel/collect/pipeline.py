"""STEP 1, collect: what a source holds → clean passages, each file with its fate and its reason.

The steps stand in `collect_file`, in order. Files are worked on in processes of their own, a
few at a time and in the order of the scan, so that memory does not grow with their number and a
file that kills its reader takes nothing with it. Which documents are copies of others is decided
afterwards, over all that are staged (`dedupe.resolve`).
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import PurePosixPath

from flywheel.collect.clean import clean, detect_language
from flywheel.collect.dedupe import Fingerprint, fingerprint
from flywheel.collect.extract import extract, is_plain
from flywheel.collect.privacy import PrivacySettings, find, mask
from flywheel.collect.quality import Quality, QualitySettings, assess
from flywheel.collect.read import File, ReadSettings, Scanned
from flywheel.collect.split import SplitSettings, split
from flywheel.errors import ExtractError
from flywheel.records import PUBLIC, Document, Fate, Passage, StageSettings

CODE_VERSION = 1
"""Raise it when the same file would give other passages: every source is then read afresh."""

IN_PROCESS = 4
"""So few small files of plain text are done before other processes have started."""
SMALL_BYTES = 1 << 18
PLAIN = ("", ".txt", ".md", ".markdown", ".csv", ".tsv", ".json", ".jsonl")
"""Suffixes of plain text; the bytes must agree."""
FILES_PER_TASK = 8


class CollectSettings(StageSettings):
    """What becomes of a file on its way to passages."""

    read: ReadSettings = ReadSettings()
    quality: QualitySettings = QualitySettings()
    privacy: PrivacySettings = PrivacySettings()
    split: SplitSettings = SplitSettings()


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """One file's outcome. `document` carries no text: the passages hold it."""

    source: str
    path: str
    size: int
    modified: float
    fate: Fate
    reason: str = ""
    sha256: str = ""
    document: Document | None = None
    passages: tuple[Passage, ...] = ()
    fingerprint: Fingerprint | None = None
    signals: dict[str, float] = field(default_factory=dict)
    findings: dict[str, int] = field(default_factory=dict)


def collect(
    files: Iterable[Scanned],
    settings: CollectSettings,
    access: tuple[str, ...] = (PUBLIC,),
    num_processes: int | None = None,
) -> Generator[Collected, None, None]:
    """The outcome of every file, in the order given. Closing it ends the processes at once."""
    stream = iter(files)
    first = list(islice(stream, IN_PROCESS + 1))
    if len(first) <= IN_PROCESS and all(map(_is_harmless, first)):
        yield from _collect_batch(first, settings, access)
        return
    num_processes = num_processes or min(os.cpu_count() or 1, 8)
    yield from _collect_in_parallel(_chain(first, stream), settings, access, num_processes)


def document_id(source: str, path: str) -> str:
    """Stable for a (source, path), whatever the content."""
    return hashlib.blake2b(
        f"{source}\0{path}".encode(errors="surrogatepass"), digest_size=10
    ).hexdigest()


def collect_file(
    file: Scanned, settings: CollectSettings, access: tuple[str, ...] = (PUBLIC,)
) -> Collected:
    """One file through all steps. Raises nothing that a file could cause."""
    outcome = Collected(
        source=file.source, path=file.path, size=file.size, modified=file.modified, fate="failed"
    )
    if not isinstance(file, File):
        return _not_a_file(outcome, file)
    try:
        data = file.read()
        outcome = replace(outcome, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        return _collect_data(outcome, file, data, settings, access)
    except ExtractError as error:
        return replace(outcome, reason=str(error))
    except MemoryError:
        return replace(outcome, reason="too large for this machine's memory")
    except Exception as error:  # whatever one file brings about ends that file alone
        return replace(outcome, reason=f"cannot be read: {type(error).__name__}")


def _collect_data(
    outcome: Collected, file: File, data: bytes, settings: CollectSettings, access: tuple[str, ...]
) -> Collected:
    extracted = extract(_name_to_extract(file), data)
    text = clean(extracted.text)
    language = detect_language(text)
    quality: Quality = assess(text, language, settings.quality)
    outcome = replace(outcome, signals=quality.signals)
    if quality.reason:
        return replace(outcome, fate="dropped", reason=quality.reason)
    findings = find(text)
    masked = find(text, settings.privacy.mask_documents)
    document = Document(
        id=document_id(file.source, file.path),
        source=file.source,
        path=file.path,
        title=clean(extracted.title).strip(),
        text=mask(text, masked) if masked else text,
        language=language,
        date=extracted.date,
        modified=file.modified,
        access=access,
    )
    passages = tuple(split(document, settings.split))
    if not passages:
        return replace(outcome, fate="dropped", reason="too short")
    return replace(
        outcome,
        fate="kept",
        document=replace(document, text=""),
        passages=passages,
        fingerprint=fingerprint(document),
        findings=dict(Counter(each.kind for each in findings)),
    )


def _not_a_file(outcome: Collected, scanned: Scanned) -> Collected:
    from flywheel.collect.read import Unreadable

    if isinstance(scanned, Unreadable):
        return replace(outcome, reason=scanned.reason)
    assert not isinstance(scanned, File)
    return replace(outcome, fate="kept", reason=f"archive of {scanned.num_members} files")


def _is_harmless(file: Scanned) -> bool:
    """Whether it can be read in this process: a crash there would be the whole program's."""
    if not isinstance(file, File):
        return True
    if file.size > SMALL_BYTES or PurePosixPath(file.path.lower()).suffix not in PLAIN:
        return False
    try:
        return is_plain(_name_to_extract(file), file.read())
    except ExtractError:
        return True


def _name_to_extract(file: File) -> str:
    return file.member or file.path


def _collect_batch(
    files: Iterable[Scanned], settings: CollectSettings, access: tuple[str, ...]
) -> list[Collected]:
    return [collect_file(file, settings, access) for file in files]


def _chain(first: list[Scanned], rest: Iterator[Scanned]) -> Iterator[Scanned]:
    yield from first
    yield from rest


def _collect_in_parallel(
    files: Iterator[Scanned],
    settings: CollectSettings,
    access: tuple[str, ...],
    num_processes: int,
) -> Iterator[Collected]:
    """Keeps a few tasks per process under way; starts afresh where a process dies."""
    waiting: deque[list[Scanned]] = deque()
    tasks = iter(lambda: list(islice(files, FILES_PER_TASK)), [])
    while True:
        waiting.extend(islice(tasks, 1))
        if not waiting:
            return
        with _pool(num_processes) as pool:
            running: deque[tuple[list[Scanned], Future[list[Collected]]]] = deque()
            try:
                while True:
                    while len(running) < 3 * num_processes:
                        batch = waiting.popleft() if waiting else next(tasks, None)
                        if batch is None:
                            break
                        running.append(
                            (batch, pool.submit(_collect_batch, batch, settings, access))
                        )
                    if not running:
                        return
                    yield from running[0][1].result()
                    running.popleft()
            except BrokenProcessPool:
                unfinished = [batch for batch, _ in running]
        suspects = [file for batch in unfinished[:num_processes] for file in batch]
        yield from _collect_one_by_one(suspects, settings, access)
        waiting.extend(unfinished[num_processes:])


def _collect_one_by_one(
    files: Iterable[Scanned], settings: CollectSettings, access: tuple[str, ...]
) -> Iterator[Collected]:
    """In a process of their own, so that the file it dies of is known; the next gets another."""
    waiting = deque(files)
    while waiting:
        with _pool(1) as pool:
            try:
                while waiting:
                    outcome = pool.submit(collect_file, waiting[0], settings, access).result()
                    waiting.popleft()
                    yield outcome
            except BrokenProcessPool:
                yield _crashed(waiting.popleft())


def _crashed(file: Scanned) -> Collected:
    return Collected(
        source=file.source,
        path=file.path,
        size=file.size,
        modified=file.modified,
        fate="failed",
        reason="crashes its reader",
    )


@contextmanager
def _pool(num_processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this block, or with this process, whatever they are doing."""
    # A forked child would inherit the threads' locks of the database and of Lance.
    context = get_context("spawn")
    lifeline, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        num_processes, mp_context=context, initializer=_live_by, initargs=(lifeline,)
    )
    with lifeline, held:
        try:
            _start(pool, num_processes)
            yield pool
        except BaseException:
            held.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _start(pool: ProcessPoolExecutor, num_processes: int) -> None:
    """Starts the processes, deaf to Ctrl-C: it is for whoever waits for them to end them."""
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for _ in range(num_processes):  # each task starts one, as long as none is idle yet
            pool.submit(int)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def _live_by(lifeline: Connection) -> None:
    """Ends this process once nobody holds the other end: a killed parent cannot say goodbye."""
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _end_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)
