"""What owners do to documents in the console: delete one, let others read it, read a source again.

Each is written down with who did it, and leads to a job of the worker. Uploads themselves come in
by serve/documents.py; what may be named on this machine is decided in folders.py.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flywheel.errors import WorkspaceBusy
from flywheel.records import PUBLIC
from flywheel.store import documents
from flywheel.store import jobs as job_store
from flywheel.store.jobs import AddArguments, Arguments, Job, SourceArguments
from flywheel.wheel import folders, ingest, jobs, uploads
from flywheel.wheel.feedback import recheck
from flywheel.wheel.keys import Caller, record
from flywheel.wheel.uploads import Refused

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.store.documents import StagedDocument
    from flywheel.wheel.workspace import Workspace


_changing = threading.Lock()
"""Held while a file and its row change: of two owners at one document the second finds what the
first made of it, and deletes nothing that lies elsewhere by now."""


def may_label(access: Iterable[str], by: Caller | None) -> bool:
    """Whether who calls may add under these labels: under his own, if he may not read all."""
    return by is None or by.access is None or set(access) <= {PUBLIC, *by.access}


def delete(workspace: Workspace, document: StagedDocument, by: Caller | None = None) -> Job:
    """Deletes an uploaded file; the job makes it act.

    Raises:
        Refused: it was not uploaded, or only as a part of an archive.
        WorkspaceBusy: it is being moved to other labels.
        StoreError: the file cannot be deleted.
    """

    def write(conn: Connection) -> Job:
        record(conn, by, "documents.delete", document.id)
        return jobs.submit_within(conn, AddArguments(access=_labels_of(document)), by)

    with _changing:
        _check_settled(workspace, document)
        uploads.remove(workspace, document)
        return workspace.database.write(write)


def relabel(
    workspace: Workspace,
    document: StagedDocument,
    access: Sequence[str],
    by: Caller | None = None,
) -> Job:
    """Lets those who have these labels read an uploaded file, and nobody else from now on.

    It moves to what was uploaded for these labels, and is answered from again after the next turn.

    Returns:
        The last of the jobs that make it so.

    Raises:
        Refused: it was not uploaded, or only as a part of an archive; it has these labels
            already; a file of its name is there; or the labels are no labels or not the caller's.
        WorkspaceBusy: it is being moved; or files under its labels are being added, which may
            bring the old ones back.
    """
    labels = uploads.labels_of(access)
    before = _labels_of(document)
    if not may_label(labels, by):
        raise Refused("not_yours", "A key gives a document only labels that it may read.")
    if labels == before:
        raise Refused("same", "It has these labels already.")

    def write(conn: Connection) -> Job:
        if any(_is_of(each, before) for each in job_store.in_state(conn, "running")):
            raise WorkspaceBusy("Files under its labels are being added. Try again after that.")
        documents.set_access(conn, documents.with_members(conn, document), list(labels))
        record(conn, by, "documents.access", document.id)
        # First away from where it was, so that it is not taken for a copy of itself.
        jobs.submit_within(conn, AddArguments(access=before), by)
        return jobs.submit_within(conn, AddArguments(access=labels, files=(document.path,)), by)

    with _changing:
        _check_settled(workspace, document)
        moved = uploads.move(workspace, document, labels)
        try:
            job = workspace.database.write(write)
        except BaseException:
            if moved:
                uploads.move_back(workspace, document, labels)
            raise
    recheck(workspace)  # corrections that rest on it go along at once
    return job


def read_source(
    workspace: Workspace,
    name: str,
    access: Sequence[str] | None = None,
    by: Caller | None = None,
) -> Job | None:
    """Lets the worker read a source, again or for the first time; None where it may not be.

    Args:
        access: the labels of whoever may read what it holds; None keeps what they are.

    Raises:
        Refused: the labels are no labels, or not the caller's; or uploads would change theirs.
    """
    source = folders.allowed(workspace, name, by.access if by else None)
    if source is None:
        return None
    labels = current_labels(workspace, source) if access is None else uploads.labels_of(access)
    if not may_label(labels, by):
        raise Refused("not_yours", "A key adds only under labels that it may read.")
    arguments: Arguments = SourceArguments(source=source, access=labels)
    if uploads.is_uploaded(source):
        if uploads.source_of(labels) != source:
            told = "Uploaded files get other labels one by one, each on its page."
            raise Refused("one_by_one", told)
        arguments = AddArguments(access=labels)
    return jobs.submit(workspace, arguments, by)


def current_labels(workspace: Workspace, source: str) -> tuple[str, ...]:
    """The labels that a source was added with."""
    with workspace.database.read() as conn:
        return ingest.labels_of(conn, source)


def _check_settled(workspace: Workspace, document: StagedDocument) -> None:
    """Its file lies elsewhere by now, if it carries other labels than those it was uploaded for, or
    than somebody saw who is about to change it."""
    labels = _labels_of(document)
    with workspace.database.read() as conn:
        now = documents.get_all(conn, [document.id]).get(document.id)
    is_other = now is not None and set(now.access) != set(document.access)
    is_moved = uploads.is_uploaded(document.source) and uploads.source_of(labels) != document.source
    if is_other or is_moved:
        raise WorkspaceBusy("Its labels are being changed. Try again after that.")


def _labels_of(document: StagedDocument) -> tuple[str, ...]:
    return uploads.labels_of(document.access)


def _is_of(job: Job, access: Sequence[str]) -> bool:
    arguments = job.arguments
    return isinstance(arguments, AddArguments) and set(arguments.access) == set(access)
