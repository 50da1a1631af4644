"""`/v1/feedback`: what users say of answers.

What users say is on the disk before they are told so, and corrections are served from then on. Who
acts, in which role and reading what, is the key's, whatever a request says. What it is said of is
interactions.py's, what waits for a curator corrections.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from starlette.responses import JSONResponse, Response

from flywheel.learn import feedback as border
from flywheel.learn.feedback import FeedbackLine
from flywheel.records import (
    PUBLIC,
    Feedback,
    FeedbackKind,
)
from flywheel.serve.auth import Asker
from flywheel.serve.errors import ApiError
from flywheel.serve.languages import prefers_chinese
from flywheel.serve.service import Serving
from flywheel.serve.shapes import ERRORS, Body
from flywheel.store import corrections, interactions
from flywheel.store import feedback as feedback_store
from flywheel.store.corrections import Entry
from flywheel.wheel import feedback as wheel
from flywheel.wheel import sight
from flywheel.wheel.feedback import REPLACED, Accepted
from flywheel.wheel.keys import Caller
from flywheel.wheel.workspace import Workspace

MAX_ITEMS = 100

_MAX_ID_CHARS = 200
_MAX_CHARS = 20_000
_MAX_PIECES = 20
_MAX_INDEX = 1000

Outcome = Literal[
    "served_to_all",
    "served_to_readers",
    "served_to_you",
    "disputed",
    "no_evidence",
    "replaced",
    "withdrawn",
    "erased",
    "taken_back",
    "learned",
]

_WORDS: dict[Outcome, tuple[str, str]] = {
    "served_to_all": (
        "Served from now on to all who ask this.",
        "从现在起，所有提出此问题的人都会得到这个答案。",
    ),
    "served_to_readers": (
        "Served from now on to all who may read what it rests on.",
        "从现在起，有权阅读其依据的人都会得到这个答案。",
    ),
    "served_to_you": (
        "Served to you from now on; to others once a curator confirms it.",
        "从现在起您会得到这个答案；管理员确认后，其他人也会得到。",
    ),
    "disputed": (
        "Served, and marked as disputed: another correction says otherwise. A curator decides.",
        "已生效，但标为有争议：另一条更正与之不同，等待管理员决定。",
    ),
    "no_evidence": (
        "Waits for a curator: its evidence stands in no document that you may read.",
        "等待管理员处理：在您可阅读的文件中找不到其依据。",
    ),
    "replaced": ("A later correction of yours takes its place.", "已被您之后的更正取代。"),
    "withdrawn": ("A curator decided otherwise; it is not served.", "管理员另有决定，不再生效。"),
    "erased": ("Erased before, and not kept again.", "此前已被删除，不再保存。"),
    "taken_back": ("Taken back; nothing learns from it.", "已撤回，不会用于学习。"),
    "learned": ("Kept; the next turn may learn from it.", "已保存；下一轮学习时会加以考虑。"),
}
"""What became of an act, in English and Chinese."""


class FeedbackItem(Body):
    """One act. Who acts is the key's user."""

    model_config = ConfigDict(
        strict=True,
        json_schema_extra={
            "examples": [
                {"kind": "up", "interaction": "0d9f1b7c2a6e4f538c1d2e3f4a5b6c7d"},
                {
                    "id": "desk-1042",
                    "kind": "edit",
                    "question": "儿童锁在哪里？",
                    "answer": "在后车门的边缘。",
                    "evidence": ["儿童锁在后车门的边缘。"],
                },
            ]
        },
    )

    id: (
        Annotated[str, Field(max_length=_MAX_ID_CHARS)]
        | Annotated[int, Field(ge=-(2**63), lt=2**63)]
        | None
    ) = Field(default=None, description="Makes it count once, however often it is sent.")
    kind: FeedbackKind
    question: str | None = Field(
        default=None, max_length=_MAX_CHARS, description="What was asked, without an interaction."
    )
    interaction: str | None = Field(
        default=None, max_length=_MAX_ID_CHARS, description="The answer's, as its reply tells it."
    )
    candidate: int | None = Field(
        default=None, ge=0, le=_MAX_INDEX, description="Which of its candidates, from 0."
    )
    answer: str | None = Field(
        default=None, max_length=_MAX_CHARS, description="Of an edit: the right answer."
    )
    evidence: list[Annotated[str, Field(max_length=_MAX_CHARS)]] | None = Field(
        default=None, max_length=_MAX_PIECES, description="Verbatim texts of the documents."
    )
    candidates: list[Annotated[str, Field(max_length=_MAX_CHARS)]] | None = Field(
        default=None, max_length=_MAX_PIECES, description="Of a rank: the answers."
    )
    order: list[Annotated[int, Field(ge=0, le=_MAX_INDEX)]] | None = Field(
        default=None, max_length=_MAX_PIECES, description="Of a rank: from the best to the worst."
    )
    reason: str | None = Field(default=None, max_length=_MAX_CHARS)
    at: str | None = Field(
        default=None,
        max_length=_MAX_ID_CHARS,
        description="When, for a curator or an owner who brings it in later; an asker's is of now.",
    )

    def to_feedback(self, caller: Caller) -> Feedback:
        """The act, with its id."""
        line = FeedbackLine(**self.model_dump())
        act = line.to_feedback(caller.role, caller.name)
        return replace(act, id=act.id.strip() or border.id_of(act))


class FeedbackItems(Body):
    """Several acts, all of which are kept or none."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [{"kind": "down", "question": "And in winter?", "answer": "…"}]}]
        }
    )

    items: list[FeedbackItem] = Field(min_length=1, max_length=MAX_ITEMS)


_ONE, _SEVERAL = "one act", "several acts"


def _form_of(body: Any) -> str:
    return _SEVERAL if isinstance(body, dict) and "items" in body else _ONE


FeedbackBody = Annotated[
    Annotated[FeedbackItem, Tag(_ONE)] | Annotated[FeedbackItems, Tag(_SEVERAL)],
    Discriminator(_form_of),
]


class _Route(APIRoute):
    """Errors name the field as it was sent, without the form of the body that it is in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                forms = (_ONE, _SEVERAL)
                errors = [
                    each | {"loc": tuple(part for part in each["loc"] if part not in forms)}
                    for each in error.errors()
                ]
                raise RequestValidationError(errors) from None

        return handler


router = APIRouter(prefix="/v1", tags=["feedback"], responses=ERRORS, route_class=_Route)


class LedTo(BaseModel):
    """What became of one act."""

    id: str
    outcome: Outcome
    text: str = Field(description="The same in words, in the language that the caller accepts.")


class FeedbackReply(BaseModel):
    """What became of what was said; it is on the disk."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "feedback",
                    "imported": 1,
                    "known": 0,
                    "kinds": {"edit": 1},
                    "notes": [],
                    "led_to": [
                        {
                            "id": "desk-1042",
                            "outcome": "served_to_you",
                            "text": _WORDS["served_to_you"][0],
                        }
                    ],
                }
            ]
        }
    )

    object: Literal["feedback"] = "feedback"
    imported: int
    known: int = Field(description="Those that were there before, and changed nothing.")
    kinds: dict[str, int]
    notes: list[str] = Field(description="What the caller should look at.")
    led_to: list[LedTo]


@router.post("/feedback", response_model=FeedbackReply, summary="Say something about answers")
async def give(request: Request, service: Serving, caller: Asker, body: FeedbackBody) -> Response:
    """Keeps one act or several, all or none, and serves what they correct from now on."""
    items = body.items if isinstance(body, FeedbackItems) else [body]
    # Each piece is looked for in all that the documents say.
    service.limits.take(caller.key, sum(len(item.evidence or ()) for item in items))
    chinese = prefers_chinese(request)
    async with service.limits.admitted(caller.key):
        reply = await service.run(_give, service.workspace, caller, items, chinese)
    for kind, num in reply.kinds.items():
        service.metrics.feedback.labels(kind).inc(num)
    return _reply(reply)


def _give(
    workspace: Workspace, caller: Caller, items: Sequence[FeedbackItem], chinese: bool
) -> FeedbackReply:
    acts, accepted = keep(workspace, caller, items)
    return _told(workspace, acts, accepted, chinese)


def keep(
    workspace: Workspace, caller: Caller, items: Sequence[FeedbackItem], *, in_order: bool = False
) -> tuple[list[Feedback], Accepted]:
    """Keeps acts of a caller, all or none; gives them as they were meant.

    Args:
        in_order: each counts as said after the one before it.

    Raises:
        ApiError: one is about what is not his to see, or says when although it is of now.
        FeedbackError: one cannot be meant.
    """
    if any(item.at for item in items) and not caller.may("curator"):
        raise ApiError(400, 'Leave "at" out: what an asker says is of now.', param="at")
    acts = [item.to_feedback(caller) for item in items]
    if in_order:
        now, apart = datetime.now(UTC), timedelta(milliseconds=1)
        acts = [
            replace(act, at=(now + place * apart).isoformat()) for place, act in enumerate(acts)
        ]
    _check_interactions(workspace, acts, caller)
    return acts, wheel.accept(workspace, acts, caller.access, caller)


def _check_interactions(workspace: Workspace, acts: Sequence[Feedback], caller: Caller) -> None:
    """Lets acts pass that are about what the caller may speak of.

    Raises:
        ApiError: 404, one is about an interaction that is not there, or not his to see.
    """
    with workspace.database.read() as conn:
        for id in sorted({act.interaction for act in acts if act.interaction}):
            found = interactions.get(conn, id)
            if found is None or not sight.may_judge(conn, found, caller):
                raise ApiError(
                    404,
                    "There is no such interaction.",
                    code="interaction_not_found",
                    param="interaction",
                )


def _told(
    workspace: Workspace, acts: Sequence[Feedback], accepted: Accepted, chinese: bool
) -> FeedbackReply:
    with workspace.database.read() as conn:
        contents = feedback_store.contents(conn, [act.id for act in acts])
        entries = {act.id: corrections.get(conn, act.id) for act in acts if act.kind == "edit"}
    outcomes: dict[str, Outcome] = {
        act.id: outcome_of(act.kind, entries.get(act.id)) if contents.get(act.id) else "erased"
        for act in acts
    }
    led_to = [
        LedTo(id=id, outcome=outcome, text=_WORDS[outcome][chinese])
        for id, outcome in outcomes.items()
    ]
    return FeedbackReply(
        imported=accepted.imported,
        known=accepted.known,
        kinds=dict(accepted.kinds),
        notes=list(accepted.notes),
        led_to=led_to,
    )


def outcome_of(kind: FeedbackKind, entry: Entry | None) -> Outcome:
    """What became of an act, by the correction that it made, if it made one."""
    if kind == "retract":
        return "taken_back"
    if entry is None:
        return "learned"
    if entry.withdrawn:
        return "replaced" if entry.withdrawn == REPLACED else "withdrawn"
    correction = entry.correction
    if correction.evidence and not correction.passages:
        return "no_evidence"
    if not correction.verified:
        return "served_to_you"
    if correction.disputed:
        return "disputed"
    return "served_to_all" if PUBLIC in correction.access else "served_to_readers"


def _reply(told: BaseModel) -> JSONResponse:
    return JSONResponse(told.model_dump(mode="json"))
