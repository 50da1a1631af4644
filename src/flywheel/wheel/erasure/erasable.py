"""What an erase takes: the rows of a user, a source or an interaction, and what repeats them.

What others were shown of it goes too: their questions stay, unless they hold the words of an
erased source. What two documents say, or two users, belongs to the one that stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from sqlalchemy import Connection

from flywheel.collect.read import printable
from flywheel.errors import UsageError
from flywheel.store import documents, erasures, exam_items, redaction
from flywheel.store.documents import StagedDocument
from flywheel.store.erasures import TargetKind
from flywheel.store.redaction import Items
from flywheel.wheel import ingest, uploads
from flywheel.wheel.erasure.proof import MIN_BYTES, Needles, pieces, without_others
from flywheel.wheel.evidence import EvidenceIndex
from flywheel.wheel.workspace import Workspace

_SHOWN_DOCUMENT = re.compile(r'"document": "([0-9a-f]+)"')
_SHOWN_CORRECTION = re.compile(r'"correction": "((?:[^"\\]|\\.)+)"')
_OWN_WORDS = ("edit", "cite")
"""Acts that say something of their own; the others repeat what was shown."""


_UNKNOWN = {
    "user": "Nothing is kept of a user {name!r}. `flywheel trace ID` names who asked or said it.",
    "source": "Nothing was added from {name!r}. `flywheel documents` lists sources and paths.",
    "interaction": "There is no interaction {name!r}. `flywheel ask` prints the id of each.",
}


def find(workspace: Workspace, kind: TargetKind, name: str) -> Items:
    """What an erase would take. Changes nothing.

    Args:
        name: a user's name; a file, folder or address that was added, or a part of it; or an
            interaction's id.

    Raises:
        UsageError: nothing is kept of it, and never was any.
    """
    name = full_name(workspace, kind, name)
    with workspace.database.read() as conn:
        items = items_of(conn, kind, name)
        if items or erasures.of_target(conn, kind, name):
            return items
    raise UsageError(_UNKNOWN[kind].format(name=name[:200]))


def full_name(workspace: Workspace, kind: TargetKind, name: str) -> str:
    """One name for one target.

    Raises:
        UsageError: it is empty.
    """
    if not name.strip():
        raise UsageError(f"An empty name is no {kind}.")
    if kind != "source":
        return name
    return printable(uploads.full_name(workspace, name) or ingest.full_name(name))


def items_of(conn: Connection, kind: TargetKind, name: str) -> Items:
    """What an erase of a target, by its full name, would take."""
    if kind == "source":
        return _of_source(conn, name)
    own = redaction.of_user(conn, name) if kind == "user" else redaction.of_interaction(conn, name)
    answers = redaction.answers_of(conn, own.feedback)
    copied = Needles(pieces(answers, MIN_BYTES[kind]))
    copied = without_others(conn, copied, "source", ())
    shown = {
        id
        for id, _, candidates in redaction.shown(conn)
        if id not in own.interactions and _shows(candidates, own, copied)
    }
    on_shown = redaction.acts_on(conn, shown)  # they repeat it, however short it is
    said = {
        id
        for id, its_kind, texts in redaction.said(conn)
        if its_kind not in _OWN_WORDS and (id in on_shown or copied.found_in_texts(texts))
    }
    return replace(own, shown=frozenset(shown), feedback=own.feedback | said)


def items_since(
    conn: Connection, kind: TargetKind, name: str, taken: Items, texts: Collection[str]
) -> Items:
    """What came in of a target while what there was of it was found and taken: questions are
    answered meanwhile, and an answer that had begun is kept when it ends.

    Args:
        name: the target's full name.
        taken: what was taken.
        texts: that stood in it.
    """
    ids = taken.interactions | taken.feedback | taken.documents
    own = items_of(conn, kind, name)
    copied = without_others(conn, Needles(pieces(texts, MIN_BYTES[kind])), kind, ids)
    shown = {
        id
        for id, _, candidates in redaction.shown(conn)
        if id not in ids and (_cites(candidates, taken) or _shows(candidates, taken, copied))
    }
    on_shown = redaction.acts_on(conn, shown)
    own_words = () if kind == "source" else _OWN_WORDS
    said = {
        id
        for id, its_kind, each in redaction.said(conn)
        if (id in on_shown and its_kind not in _OWN_WORDS)
        or (its_kind not in own_words and copied.found_in_texts(each))
    }
    return replace(own, shown=own.shown | shown, feedback=own.feedback | said)


def _cites(candidates: str, items: Items) -> bool:
    """Whether what was shown was found in an erased document."""
    return not items.documents.isdisjoint(_SHOWN_DOCUMENT.findall(candidates))


def _shows(candidates: str, items: Items, copied: Needles) -> bool:
    """Whether what was shown came from an erased correction, or repeats its words."""
    by = {json.loads(f'"{each}"') for each in _SHOWN_CORRECTION.findall(candidates)}
    return not by.isdisjoint(items.feedback) or bool(copied.found_in_texts([candidates]))


def _of_source(conn: Connection, place: str) -> Items:
    every = [each for each in documents.list_documents(conn, deleted=True) if each.source]
    chosen = {each.id: each for each in every if _lies_in(each, place)}
    uploads.refuse_parts(chosen.values(), every)
    whole = {each.source for each in chosen.values() if _is_within(each.source, place)}
    texts = redaction.passages_of(conn, chosen)
    copied = Needles(pieces(texts.values(), MIN_BYTES["source"]))
    copied = without_others(conn, copied, "source", chosen)
    acts = redaction.resting_on(conn, set(texts))
    acts |= {id for id, _, said in redaction.said(conn) if copied.found_in_texts(said)}
    asked, shown = set[str](), set[str]()
    for id, question, candidates in redaction.shown(conn):
        if copied.found_in_texts([question]):
            asked.add(id)
        elif not chosen.keys().isdisjoint(_SHOWN_DOCUMENT.findall(candidates)) or (
            copied.found_in_texts([candidates])
        ):
            shown.add(id)
    # Acts on an answer repeat it; a model may have worded it, so that no sentence is the source's.
    on_shown = redaction.acts_on(conn, shown)
    repeating = {
        id
        for id, its_kind, _ in redaction.said(conn)
        if its_kind not in _OWN_WORDS and id in on_shown
    }
    return Items(
        interactions=frozenset(asked),
        shown=frozenset(shown),
        feedback=frozenset(acts | repeating),
        documents=frozenset(chosen),
        # An uploaded file goes itself: one that comes in again was meant to.
        files=frozenset(
            id
            for id, each in chosen.items()
            if each.source not in whole and not uploads.is_uploaded(each.source)
        ),
        sources=frozenset(whole),
        exam_items=frozenset(_golden(conn, copied, set(texts))),
    )


def _golden(conn: Connection, copied: Needles, passages_gone: set[str]) -> Iterator[str]:
    """The drawn questions that a curator answered in erased words, or from what is erased alone."""
    golden = [each for each in exam_items.list_items(conn) if each.state == "gold"]
    if not golden:
        return
    index = EvidenceIndex(documents.iterate_passages(conn))
    for each in golden:
        stands_in = index.locate(each.evidence).passages
        is_of_it = bool(stands_in) and passages_gone.issuperset(stands_in)
        if is_of_it or copied.found_in_texts([each.answer, *each.evidence]):
            yield each.id


def _lies_in(document: StagedDocument, place: str) -> bool:
    """Whether a document's source, or the file itself, is the place or lies in it."""
    source, path = document.source, document.path
    own = f"{source.rstrip('/')}/{path}"
    if PurePosixPath(source).name == path.split("!/")[0]:  # a source that is one file
        own = f"{PurePosixPath(source).parent}/{path}"
    return _is_within(source, place) or _is_within(own, place)


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith((f"{outer.rstrip('/')}/", f"{outer}!/"))
