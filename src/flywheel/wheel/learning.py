"""What the ledger teaches: every act, with where what it speaks of stands in the documents now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from flywheel.evaluate.text import normalise
from flywheel.learn import preferences
from flywheel.learn.feedback import Evidence, shared_access
from flywheel.learn.lessons import Told
from flywheel.learn.preferences import Learned
from flywheel.learn.propensity import Impression
from flywheel.records import Answer, Correction, Feedback, Interaction
from flywheel.store import corrections, interactions
from flywheel.store import feedback as feedback_store
from flywheel.wheel import quarantine
from flywheel.wheel.evidence import locate_all

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.wheel.workspace import Workspace

LEAST_CHARS = 8
"""Letters and digits of a line by which an answer without citations is found; a Chinese character
counts as two. "Yes" stands everywhere."""

MOST_PLACES = 3
"""A line of an answer that stands in more passages does not tell which of them it is from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """What users did, as far as it is kept, and what it was about."""

    acts: tuple[Feedback, ...]
    corrections: dict[str, Correction]
    """Those in force, by the id of the edit."""
    interactions: dict[str, Interaction]
    """What the acts were given on."""


def read_ledger(conn: Connection) -> Ledger:
    """Everything that users did and that was not erased, the first act first."""
    acts = tuple(feedback_store.list_feedback(conn))
    ids = {act.interaction for act in acts if act.interaction}
    return Ledger(
        acts=acts,
        corrections={each.id: each for each in corrections.in_force(conn)},
        interactions=interactions.get_all(conn, sorted(ids)),
    )


def learned(workspace: Workspace) -> Learned:
    """What all acts teach, and why some teach nothing."""
    with workspace.database.read() as conn:
        ledger = read_ledger(conn)
        decisions = quarantine.decisions(conn, ledger.corrections.values())
        impressions = list(_impressions(conn, ledger))
    return preferences.learn(
        located(workspace, ledger), workspace.settings.learn, decisions, impressions
    )


def located(workspace: Workspace, ledger: Ledger) -> list[Told]:
    """Every act with the passages that it speaks of. Reads the documents once for all acts."""
    speaks_of = [_speaks_of(act, ledger) for act in ledger.acts]
    pieces = [[piece] for each in speaks_of for piece in each]
    found = iter(locate_all(workspace, pieces))
    places = [[next(found) for _ in each] for each in speaks_of]
    return [_told(act, ledger, each) for act, each in zip(ledger.acts, places, strict=True)]


def _speaks_of(act: Feedback, ledger: Ledger) -> list[str]:
    """The texts to look for, in the order in which `_told` takes them."""
    answers = chain.from_iterable(_answers(act, ledger))
    # Where a correction's evidence stands is kept with it.
    return [*(act.evidence if act.kind != "edit" else ()), *answers]


def _answers(act: Feedback, ledger: Ledger) -> list[list[str]]:
    """What is quoted by the answer that an act is about, or by each that it ranks."""
    interaction = ledger.interactions.get(act.interaction)
    shown = interaction.candidates if interaction else ()
    if act.kind == "rank":
        quotes = {each.answer or each.draft: _quotes(each) for each in shown}
        return [quotes.get(text) or _lines(text) for text in act.candidates]
    place = act.candidate or 0
    if place < len(shown):
        return [_quotes(shown[place])]
    return [_lines(act.answer)] if act.kind not in ("edit", "cite") else []


def _quotes(answer: Answer) -> list[str]:
    """What an answer cites. Who judges a question back, or a silence, judges no passage."""
    return [each.quote for each in answer.citations] if answer.kind == "answer" else []


def _lines(answer: str) -> list[str]:
    """The lines of an answer by which it may be found in the documents, if it is quoted."""
    return [line for line in answer.splitlines() if _size(line) >= LEAST_CHARS]


def _size(line: str) -> int:
    return sum(1 + (character >= "\u2e80") for character in normalise(line))


def _told(act: Feedback, ledger: Ledger, places: Sequence[Evidence]) -> Told:
    rest = iter(places)
    named = [next(rest) for _ in act.evidence] if act.kind != "edit" else []
    quoted = [[next(rest) for _ in each] for each in _answers(act, ledger)]
    telling = [[each for each in of_one if _is_telling(each)] for of_one in quoted]
    access = (labels for each in chain(named, *telling) for labels in each.access)
    evidence = _passages(named)
    return Told(
        act=act,
        correction=ledger.corrections.get(act.id),
        evidence=evidence,
        quoted=tuple(map(_passages, telling)),
        shown=_shown(act, ledger),
        place=_place(act, ledger, evidence),
        access=shared_access(access, None),
    )


def _passages(places: Sequence[Evidence]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(id for each in places for id in each.passages))


def _is_telling(place: Evidence) -> bool:
    return len(place.passages) <= MOST_PLACES


def _shown(act: Feedback, ledger: Ledger) -> str:
    """The answer that an edit replaces, if it was shown one."""
    interaction = ledger.interactions.get(act.interaction)
    place = act.candidate or 0
    if act.kind != "edit" or interaction is None or place >= len(interaction.candidates):
        return ""
    candidate = interaction.candidates[place]
    return candidate.answer if candidate.kind == "answer" else ""


def _place(act: Feedback, ledger: Ledger, evidence: Sequence[str]) -> int:
    """Where in the list that was shown the chosen stood, from 1; 0 where there was no choice."""
    interaction = ledger.interactions.get(act.interaction)
    if interaction is None:
        return 0
    if act.kind == "cite":
        listed = _listed(interaction, act.candidate or 0)
        return min((listed.index(id) + 1 for id in evidence if id in listed), default=0)
    several = act.kind == "bookmark" and len(interaction.candidates) > 1
    return (act.candidate or 0) + 1 if several else 0


def _listed(interaction: Interaction, candidate: int) -> tuple[str, ...]:
    if candidate >= len(interaction.candidates):
        return ()
    return tuple(each.id for each in interaction.candidates[candidate].passages)


def _impressions(conn: Connection, ledger: Ledger) -> Iterator[Impression]:
    """The lists that were shown to the questions for which something was cited from one."""
    cites: dict[str, list[Feedback]] = {}
    for act in ledger.acts:
        if act.kind == "cite" and act.interaction in ledger.interactions:
            cites.setdefault(act.interaction, []).append(act)
    asked = sorted({ledger.interactions[id].question for id in cites})
    for each in interactions.of_questions(conn, asked):
        listed = each.candidates[0].passages if each.candidates else ()
        pieces = [normalise(text) for act in cites.get(each.id, ()) for text in act.evidence]
        chosen = {
            passage.id
            for passage in listed
            if any(piece in normalise(passage.text) for piece in pieces)
        }
        yield Impression(
            question=each.question,
            passages=tuple(passage.id for passage in listed),
            chosen=frozenset(chosen),
        )
