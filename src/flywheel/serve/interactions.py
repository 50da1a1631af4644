"""`/v1/interactions` and `/v1/passages`: what was answered, and what it rests on.

What is not there and what is not the caller's to see are the same to him.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from flywheel.records import (
    Answer,
    Interaction,
    Kind,
    Language,
    Passage,
    to_json,
)
from flywheel.serve.auth import Asker
from flywheel.serve.errors import ApiError
from flywheel.serve.service import Serving
from flywheel.serve.shapes import ERRORS, CitationOut
from flywheel.wheel import sight

router = APIRouter(prefix="/v1", tags=["feedback"], responses=ERRORS)

Id = Annotated[str, Path(max_length=20_000)]


class PassageOut(BaseModel):
    """A passage, as far as it is shown."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "passage",
                    "id": "b1946ac92492d234",
                    "document": "6f5902ac237024bd",
                    "title": "车窗",
                    "headings": ["儿童锁"],
                    "text": "儿童锁在后车门的边缘。",
                    "language": "zh-hans",
                    "position": 1,
                }
            ]
        }
    )

    object: Literal["passage"] = "passage"
    id: str
    document: str
    title: str
    headings: list[str]
    text: str
    language: Language
    position: int = Field(description="Its place in the document, from 0.")


class CandidateOut(BaseModel):
    """One of the answers that were given."""

    answer: str
    draft: str = Field(description="The best answer before deciding to give it.")
    kind: Kind
    confidence: float
    verified: bool
    is_written: bool
    version: int
    citations: list[CitationOut]
    passages: list[PassageOut] = Field(description="What was found, best first.")
    choices: list[str]


class InteractionOut(BaseModel):
    """One request, with all that was answered."""

    object: Literal["interaction"] = "interaction"
    id: str
    at: str
    user: str
    version: int
    question: str
    candidates: list[CandidateOut]


@router.get("/interactions/{id}", response_model=InteractionOut, summary="Look an interaction up")
async def look_up_interaction(service: Serving, caller: Asker, id: Id) -> Response:
    """What was asked and answered: to askers their own, to curators also others', and to nobody
    what he may not read all of."""
    async with service.limits.admitted(caller.key):
        found = await service.run(sight.interaction, service.workspace, id, caller)
    if found is None:
        raise ApiError(404, "There is no such interaction.", code="interaction_not_found")
    return _reply(_interaction(found))


@router.get("/passages/{id}", response_model=PassageOut, summary="Look a passage up")
async def look_up_passage(service: Serving, caller: Asker, id: Id) -> Response:
    """A passage of the version that serves, as a citation names it."""
    async with service.limits.admitted(caller.key):
        found = await service.run(sight.passage, service.workspace, id, caller.access)
    if found is None:
        raise ApiError(404, "There is no such passage.", code="passage_not_found")
    return _reply(_passage(found))


def _interaction(found: Interaction) -> InteractionOut:
    return InteractionOut(
        id=found.id,
        at=found.at,
        user=found.user,
        version=found.version,
        question=found.question,
        candidates=[_candidate(each) for each in found.candidates],
    )


def _candidate(answer: Answer) -> CandidateOut:
    return CandidateOut(
        answer=answer.answer,
        draft=answer.draft,
        kind=answer.kind,
        confidence=round(answer.confidence, 4),
        verified=answer.verified,
        is_written=answer.is_written,
        version=answer.version,
        citations=[CitationOut(**to_json(each)) for each in answer.citations],
        passages=[_passage(each) for each in answer.passages],
        choices=list(answer.choices),
    )


def _passage(found: Passage) -> PassageOut:
    """Without who else may read it, and where its file lies."""
    return PassageOut(
        id=found.id,
        document=found.document,
        title=found.title,
        headings=list(found.headings),
        text=found.text,
        language=found.language,
        position=found.position,
    )


def _reply(told: BaseModel) -> JSONResponse:
    return JSONResponse(told.model_dump(mode="json"))
