"""What is said of an answer on the page: rated, edited, ranked, kept, hidden, flagged, taken back.

Goes where `/v1/feedback` goes, with the same checks. What is said anew takes the place of what was
said before, and what is pressed a second time is taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Path, Query
from pydantic import Field
from starlette.responses import Response

from flywheel.answer.quote import Span
from flywheel.records import Feedback, FeedbackKind, Passage
from flywheel.serve.console.ask.exchange import Candidate, Exchange, exchange
from flywheel.serve.console.page import AskerPage, Page, PageError, PageForm
from flywheel.serve.feedback import FeedbackItem, keep
from flywheel.wheel import reading
from flywheel.wheel.history import Judged

router = APIRouter(include_in_schema=False)

REASONS = ("wrong", "outdated", "incomplete", "unsuitable", "private", "other")
"""Why an answer is flagged; kept as such a word, with what was typed behind it."""

_MAX_CHARS = 20_000
_MAX_PIECES = 20

Id = Annotated[str, Path(max_length=200)]
Place = Annotated[int, Query(ge=0, le=1000)]
Token = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class ActForm(PageForm):
    """One press of a button."""

    candidate: int = Field(ge=0, le=1000)
    token: Token
    act: Literal[
        "up",
        "down",
        "bookmark",
        "delete",
        "flag",
        "-up",
        "-down",
        "-bookmark",
        "-delete",
        "-flag",
    ]
    """A kind; with a minus it is taken back."""
    reason: str = Field(default="", max_length=100)
    text: str = Field(default="", max_length=2000)


class EditForm(PageForm):
    """The ideal answer, and what it rests on."""

    candidate: int = Field(ge=0, le=1000)
    token: Token
    answer: str = Field(default="", max_length=_MAX_CHARS)
    passage: list[str] = Field(default=[], max_length=100)
    """The ids of passages that are cited as a whole."""
    sentence: list[str] = Field(default=[], max_length=1000)
    """Of sentences that are cited: PASSAGE:START:END."""
    selected: list[str] = Field(default=[], max_length=_MAX_PIECES)
    """Texts that were selected or typed."""


class RankForm(PageForm):
    """The candidates from the best to the worst."""

    token: Token
    order: list[int] = Field(max_length=_MAX_PIECES)


@router.get("/ask/interactions/{id}")
async def show(page: AskerPage, id: Id) -> Response:
    """An interaction, with all that was said to it."""
    return page.html("ask/interaction.html", x=await _exchange(page, id))


@router.get("/ask/interactions/{id}/exchange")
async def show_exchange(page: AskerPage, id: Id) -> Response:
    """The same without what was said: what takes the place of an answer that has come."""
    return page.fragment("ask/exchange.html", x=await _exchange(page, id))


@router.get("/ask/interactions/{id}/candidates/{place}")
async def show_candidate(
    page: AskerPage, id: Id, place: Annotated[int, Path(ge=0, le=1000)]
) -> Response:
    """One of its candidates."""
    return page.fragment("ask/candidate.html", c=await _candidate(page, id, place))


@router.post("/ask/interactions/{id}/acts")
async def act(page: AskerPage, id: Id, form: Annotated[ActForm, Form()]) -> Response:
    """Says something of a candidate, or takes it back."""
    candidate = await _candidate(page, id, form.candidate)
    return await _keep(page, id, _items(form, id, candidate.judged), form.candidate)


@router.get("/ask/interactions/{id}/flag")
async def show_flag(page: AskerPage, id: Id, candidate: Place = 0) -> Response:
    """Asks for the reason."""
    c = await _candidate(page, id, candidate)
    return page.html("ask/flag.html", c=c, reasons=REASONS, is_part=page.wants_fragment)


@router.get("/ask/interactions/{id}/edit")
async def show_edit(page: AskerPage, id: Id, candidate: Place = 0) -> Response:
    """The answer to be edited, with the passages at hand."""
    c = await _candidate(page, id, candidate)
    text = c.edit.said.act.answer if c.edit else c.answer.draft
    return page.html(
        "ask/edit.html", c=c, is_part=page.wants_fragment, at_hand=_at_hand(c), text=text
    )


@router.post("/ask/interactions/{id}/edit")
async def edit(page: AskerPage, id: Id, form: Annotated[EditForm, Form()]) -> Response:
    """Keeps what the answer should be."""
    x = await _exchange(page, id)
    if not form.answer.strip():
        raise PageError(400, "ask.problem.no_answer")
    evidence = _evidence(x, form)
    page.service.limits.take(page.caller.key, len(evidence))
    item = FeedbackItem(
        id=f"{form.token}-edit",
        kind="edit",
        interaction=id,
        candidate=form.candidate,
        answer=form.answer,
        evidence=evidence,
    )
    return await _keep(page, id, [item], form.candidate)


@router.post("/ask/interactions/{id}/rank")
async def rank(page: AskerPage, id: Id, form: Annotated[RankForm, Form()]) -> Response:
    """Keeps an order of the candidates."""
    item = FeedbackItem(id=f"{form.token}-rank", kind="rank", interaction=id, order=form.order)
    return await _keep(page, id, [item])


async def _keep(
    page: Page, id: str, items: Sequence[FeedbackItem], candidate: int | None = None
) -> Response:
    """Keeps acts, and shows what they are about as it stands now."""
    _, accepted = await page.run(keep, page.workspace, page.caller, items, in_order=True)
    for kind, num in accepted.kinds.items():
        page.service.metrics.feedback.labels(kind).inc(num)
    if not page.wants_fragment:
        return page.see(f"/ask/interactions/{id}")
    x = await _exchange(page, id)
    if candidate is None:
        return page.fragment("ask/exchange.html", x=x, announced=x.rank)
    c = x.candidates[candidate]
    kinds = {item.kind for item in items}
    announced = next((each for each in reversed(c.acts) if each.kind in kinds), None)
    return page.fragment("ask/candidate.html", c=c, announced=announced)


async def _exchange(page: Page, id: str) -> Exchange:
    found = await page.run(exchange, page.workspace, id, page.caller, page.t)
    if found is None:
        raise PageError(404, "ask.problem.gone")
    return found


async def _candidate(page: Page, id: str, place: int) -> Candidate:
    found = await _exchange(page, id)
    if place >= len(found.candidates):
        raise PageError(404, "ask.problem.gone")
    return found.candidates[place]


def _items(form: ActForm, id: str, judged: Judged) -> list[FeedbackItem]:
    """What a press says. To take one thing back is to take all back, and say the rest anew."""
    if not form.act.startswith("-"):
        reason = ""
        if form.act == "flag":
            known = form.reason if form.reason in REASONS else "other"
            reason = f"{known}: {form.text.strip()}" if form.text.strip() else known
        kind: FeedbackKind = form.act  # type: ignore[assignment]
        return [_item(form, id, 0, kind, reason)]
    rest = [each for each in judged.acts if f"-{each.kind}" != form.act]
    again = [_again(form, id, number, each) for number, each in enumerate(rest, start=1)]
    return [_item(form, id, 0, "retract"), *again]


def _again(form: ActForm, id: str, number: int, act: Feedback) -> FeedbackItem:
    return _item(form, id, number, act.kind, act.reason)


def _item(
    form: ActForm, id: str, number: int, kind: FeedbackKind, reason: str = ""
) -> FeedbackItem:
    # Acts of one moment are ordered by their ids.
    return FeedbackItem(
        id=f"{form.token}-{number}-{kind}",
        kind=kind,
        interaction=id,
        candidate=form.candidate,
        reason=reason or None,
    )


def _at_hand(c: Candidate) -> list[reading.AtHand]:
    """The passages that were found, those that are cited first."""
    own = c.edit.said.act if c.edit else None
    cited = [(each.passage, each.start, each.end) for each in c.answer.citations]

    def is_cited(passage: Passage, span: Span, text: str) -> bool:
        if own:
            return any(text in piece for piece in own.evidence)
        return any(
            id == passage.id and span.start < end and start < span.end for id, start, end in cited
        )

    listed = [
        reading.AtHand(
            passage=passage,
            sentences=tuple(
                reading.Sentence(
                    value=f"{passage.id}:{span.start}:{span.end}",
                    text=text,
                    is_cited=is_cited(passage, span, text),
                )
                for span, text in reading.pieces(passage)
            ),
        )
        for passage in c.answer.passages
    ]
    return sorted(listed, key=lambda each: not each.is_cited)


def _evidence(x: Exchange, form: EditForm) -> list[str]:
    """The texts that are cited: passages, runs of sentences, and what was selected."""
    known = reading.passages_of(x.interaction)
    whole = [known[id].text for id in dict.fromkeys(form.passage) if id in known]
    runs = [
        text
        for id, passage in known.items()
        if id not in form.passage
        for text in reading.runs(passage, _spans(id, form.sentence))
    ]
    typed = [each.strip() for each in form.selected if each.strip()]
    found = list(dict.fromkeys([*whole, *runs, *typed]))
    if len(found) > _MAX_PIECES:
        raise PageError(400, "ask.problem.many_pieces", num=_MAX_PIECES)
    return found


def _spans(passage: str, sentences: Sequence[str]) -> set[tuple[int, int]]:
    found = set()
    for each in sentences:
        id, _, span = each.partition(":")
        start, _, end = span.partition(":")
        if id == passage and start.isdecimal() and end.isdecimal() and len(span) < 20:
            found.add((int(start), int(end)))
    return found
