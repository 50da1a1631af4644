"""An interaction as the Ask page shows it: its candidates, what was said of them, what that led to.

Values for templates, made of what the caller sees (wheel/sight.py). Not here: the routes (ask.py).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from markupsafe import Markup

from flywheel.learn.feedback import JUDGEMENTS
from flywheel.records import Answer, Citation, FeedbackKind, Interaction, Passage
from flywheel.serve.console.ask.notes import noted
from flywheel.serve.console.words import Words
from flywheel.serve.feedback import outcome_of
from flywheel.store import corrections
from flywheel.wheel import history, sight
from flywheel.wheel.answering import Question, standing
from flywheel.wheel.history import Judged, Said
from flywheel.wheel.keys import Caller
from flywheel.wheel.workspace import Workspace

SURE, FAIRLY_SURE = 0.8, 0.5
"""Of confidence: from where on it is said in which words."""

_SNIPPET_CHARS = 160
_MARKUP = re.compile(r"[*`|]+|^\s*(?:#{1,6}|>|[-+]|:?-{3,}:?)\s", re.MULTILINE)

_ORDINALS = ("first", "second", "third")
"""How a reading is chosen, whatever its language: by its name it is not told from a longer one's
that begins alike."""

NUM_NEAREST = 3
"""Passages that are shown where nothing was found."""

_NOTE = Markup(
    '<sup class="note"><a href="{href}" data-panel aria-label="{label}">{number}</a></sup>'
)

Tone = Literal["neutral", "good", "warn", "bad", "info"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Footnote:
    """A citation, and where its passage is shown."""

    number: int
    citation: Citation
    href: str

    @property
    def place(self) -> str:
        """The document's title, and the headings under which it stands."""
        return " › ".join((self.citation.title, *self.citation.headings))

    @property
    def snippet(self) -> str:
        """The quote's beginning, on a line and without what Markdown marks it up by."""
        line = " ".join(_MARKUP.sub(" ", self.citation.quote).split())
        return line if len(line) <= _SNIPPET_CHARS else line[: _SNIPPET_CHARS - 1] + "…"


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """An act, and what it led to."""

    said: Said
    outcome: str
    """Of `ask.outcome`."""
    by: str
    """Who decided on it, where a curator did."""
    letter: str
    """Of the candidate; empty where there is one."""
    is_own: bool
    order: str
    """Of a rank: the letters from the best to the worst."""

    @property
    def kind(self) -> FeedbackKind:
        """What it is."""
        return self.said.act.kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """An answer, as it is shown."""

    interaction: str
    index: int
    letter: str
    """By which it is called where there are several."""
    answer: Answer
    html: Markup
    footnotes: tuple[Footnote, ...]
    sure: str
    """Of `ask.sure`."""
    tone: Tone
    judged: Judged
    acts: tuple[Act, ...]
    """The caller's, as far as they count."""
    nearest: tuple[Footnote, ...]
    """What comes nearest, where nothing was found."""
    token: str
    """Lets what is sent twice count once."""

    @property
    def confidence(self) -> float:
        """As it is shown: nothing is certain."""
        return min(max(self.answer.confidence, 0.01), 0.99)

    @property
    def readings(self) -> list[tuple[str, str]]:
        """The readings to choose from, each with what a conversation says to choose it."""
        says = (*_ORDINALS, *self.answer.choices[len(_ORDINALS) :])
        return list(zip(self.answer.choices, says, strict=False))

    @property
    def edit(self) -> Act | None:
        """The caller's own correction."""
        return next((each for each in self.acts if each.kind == "edit"), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """A question with its candidates."""

    interaction: Interaction
    candidates: tuple[Candidate, ...]
    rank: Act | None
    """How the caller ranks them."""
    acts: tuple[Act, ...]
    """Everything that was said, the last act first."""

    @property
    def id(self) -> str:
        """The interaction's."""
        return self.interaction.id

    @property
    def ordered(self) -> tuple[Candidate, ...]:
        """The candidates as the caller ranks them."""
        order = self.rank.said.act.order if self.rank else ()
        if sorted(order) != list(range(len(self.candidates))):
            return self.candidates
        return tuple(self.candidates[place] for place in order)

    @property
    def reply(self) -> str:
        """What a follow-up may choose from: of other answers it takes nothing."""
        first = next(iter(self.interaction.candidates), None)
        return first.answer if first and first.kind == "ask_back" else ""


def exchange(workspace: Workspace, id: str, caller: Caller, t: Words) -> Exchange | None:
    """An interaction that the caller sees; None where there is none."""
    interaction = sight.interaction(workspace, id, caller)
    if interaction is None:
        return None
    found = history.said(workspace, interaction, caller)
    several = len(interaction.candidates) > 1
    acts = tuple(_act(each, caller, several) for each in found)
    own = [each for each in acts if each.is_own and each.said.stands]
    candidates = tuple(
        _candidate(workspace, interaction, index, found, own, caller, t)
        for index in range(len(interaction.candidates))
    )
    rank = next((each for each in own if each.kind == "rank"), None)
    return Exchange(
        interaction=interaction, candidates=candidates, rank=rank, acts=tuple(reversed(acts))
    )


def exchanges(workspace: Workspace, ids: Sequence[str], caller: Caller, t: Words) -> list[Exchange]:
    """Those of the interactions that the caller sees."""
    found = (exchange(workspace, id, caller, t) for id in dict.fromkeys(ids))
    return [each for each in found if each]


def passage_href(passage: str, start: int, end: int, interaction: str) -> str:
    """Where a passage is shown, with a span of it marked."""
    return f"/passages/{quote(passage, safe='')}?start={start}&end={end}&of={interaction}"


def letter_of(index: int, several: bool) -> str:
    """What a candidate is called."""
    return chr(ord("A") + index) if several and index < 26 else ""


def is_writing(workspace: Workspace, caller: Caller) -> bool:
    """Whether a model words the champion's answers, so that they can be drawn again."""
    stands = standing(workspace, Question(text="", labels=caller.access))
    return bool(stands.version.bundle.get("writers"))


def _candidate(
    workspace: Workspace,
    interaction: Interaction,
    index: int,
    found: Sequence[Said],
    own: Sequence[Act],
    caller: Caller,
    t: Words,
) -> Candidate:
    answer = interaction.candidates[index]
    several = len(interaction.candidates) > 1
    # What was not said rests on nothing: its passages are shown as the nearest ones.
    citations = answer.citations if answer.kind == "answer" else ()
    footnotes = tuple(
        Footnote(
            number=number,
            citation=each,
            href=passage_href(each.passage, each.start, each.end, interaction.id),
        )
        for number, each in enumerate(dict.fromkeys(citations), start=1)
    )
    links = [
        _NOTE.format(
            href=each.href,
            number=each.number,
            label=t("ask.note", num=each.number, title=each.citation.title),
        )
        for each in footnotes
    ]
    sure, tone = _sureness(workspace, answer, caller)
    return Candidate(
        interaction=interaction.id,
        index=index,
        letter=letter_of(index, several),
        answer=answer,
        html=noted(_text(answer), [each.citation for each in footnotes], links),
        footnotes=footnotes,
        sure=sure,
        tone=tone,
        judged=history.judged(found, caller.name, index),
        acts=tuple(
            each
            for each in own
            if each.kind in (*JUDGEMENTS, "edit") and (each.said.act.candidate or 0) == index
        ),
        nearest=_nearest(answer, interaction.id) if answer.kind == "abstain" else (),
        token=uuid.uuid4().hex,
    )


def _text(answer: Answer) -> str:
    """What is read; the readings to choose from are buttons."""
    return answer.answer.partition("\n")[0] if answer.choices else answer.answer


def _nearest(answer: Answer, interaction: str) -> tuple[Footnote, ...]:
    return tuple(
        Footnote(
            number=number,
            citation=_whole(passage),
            href=passage_href(passage.id, 0, 0, interaction),
        )
        for number, passage in enumerate(answer.passages[:NUM_NEAREST], start=1)
    )


def _whole(passage: Passage) -> Citation:
    return Citation(
        document=passage.document,
        title=passage.title,
        headings=passage.headings,
        passage=passage.id,
        quote=passage.text,
        start=0,
        end=len(passage.text),
    )


def _sureness(workspace: Workspace, answer: Answer, caller: Caller) -> tuple[str, Tone]:
    """How sure an answer is, in which words and colour."""
    if answer.kind == "ask_back":
        return "asked_back", "info"
    if answer.kind == "abstain":
        return "found_nothing", "neutral"
    if answer.verified:
        return "confirmed", "good"
    if answer.correction:
        with workspace.database.read() as conn:
            entry = corrections.get(conn, answer.correction)
        is_own = entry is not None and entry.correction.user == caller.name
        return ("suggested_by_you" if is_own else "suggested"), "info"
    if answer.confidence >= SURE:
        return "sure", "good"
    return ("fairly_sure", "info") if answer.confidence >= FAIRLY_SURE else ("unsure", "warn")


def _act(each: Said, caller: Caller, several: bool) -> Act:
    act = each.act
    letter = "" if act.kind in ("rank", "cite") else letter_of(act.candidate or 0, several)
    return Act(
        said=each,
        outcome=_outcome(each),
        by=each.entry.decided_by if each.entry else "",
        letter=letter,
        is_own=act.user == caller.name,
        order=" · ".join(letter_of(place, True) for place in act.order),
    )


def _outcome(each: Said) -> str:
    """What an act led to, in the words of `ask.outcome`."""
    kind, entry = each.act.kind, each.entry
    outcome = outcome_of(kind, entry)
    if outcome != "learned":
        is_confirmed = entry and entry.decided_by and not entry.withdrawn
        return f"{outcome}_confirmed" if is_confirmed and outcome == "served_to_all" else outcome
    if not each.stands:
        return "replaced"
    if each.versions:
        return "learned"
    return {"flag": "looked_at", "delete": "hidden"}.get(kind, "will_be_learned")
