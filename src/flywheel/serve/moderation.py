"""`/v1/moderations`: what a text holds, in OpenAI's shape, judged on this machine.

The categories are the workspace's own. OpenAI's names are there too, since its clients read them by
name; what nothing here looks for applies to no input, and is never flagged.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from flywheel.moderation.moderator import Verdict
from flywheel.moderation.settings import Action, Direction
from flywheel.serve.auth import Asker
from flywheel.serve.errors import ApiError
from flywheel.serve.service import Serving
from flywheel.serve.shapes import ERRORS, MAX_TEXTS, Body, Part
from flywheel.wheel.moderation.judging import Moderation

router = APIRouter(prefix="/v1", tags=["OpenAI"], responses=ERRORS)

MODEL = "flywheel-moderation"

OPENAI_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


class ModerationBody(Body):
    """Texts to judge."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"input": "Where is the child lock?"},
                {"input": ["I will k1ll you", "儿童锁在哪里？"], "direction": "output"},
            ]
        }
    )

    input: str | list[str] | list[Part] = Field(
        description="One text, several, or the parts of one."
    )
    model: str | None = Field(default=None, max_length=200, description="Any: there is one here.")
    direction: Direction = Field(
        default="input",
        description="Whether the rules for questions or those for answers count; Flywheel's own.",
    )

    @property
    def texts(self) -> list[str]:
        """What is judged, each for itself.

        Raises:
            ValueError: there is none, or too many.
        """
        if isinstance(self.input, str):
            return [self.input]
        if not 1 <= len(self.input) <= MAX_TEXTS:
            raise ValueError(f"give 1 to {MAX_TEXTS} texts")
        parts = [each.text for each in self.input if isinstance(each, Part)]
        return ["\n".join(parts)] if parts else [str(each) for each in self.input]


class ResultExtra(BaseModel):
    """What Flywheel adds."""

    action: Action = Field(description="What the settings do about it: the strictest of all.")


class ModerationResult(BaseModel):
    """The judgement on one text."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float] = Field(
        description="Probabilities; 1 where a phrase of a word list stands in the text."
    )
    category_applied_input_types: dict[str, list[Literal["text"]]] = Field(
        description="Empty for OpenAI's categories that nothing here looks for."
    )
    flywheel: ResultExtra


class ModerationReply(BaseModel):
    """The judgements on all texts, in their order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "modr-5f0c6a6d7be1d2c3a4f5061728394a5b",
                    "model": "flywheel-moderation-1f3870be",
                    "results": [
                        {
                            "flagged": True,
                            "categories": {"threats": True, "insults": False},
                            "category_scores": {"threats": 1.0, "insults": 0.021},
                            "category_applied_input_types": {
                                "threats": ["text"],
                                "insults": ["text"],
                            },
                            "flywheel": {"action": "refuse"},
                        }
                    ],
                }
            ]
        }
    )

    id: str
    model: str
    results: list[ModerationResult]


@router.post("/moderations", response_model=ModerationReply)
async def moderations(service: Serving, caller: Asker, body: ModerationBody) -> Response:
    """Judges texts by the workspace's word lists and classifier."""
    try:
        texts = body.texts
    except ValueError as error:
        raise ApiError(400, f"input: {error}", param="input") from None
    async with service.limits.admitted(caller.key):
        reply = await service.run(_reply, service.moderation, texts, body.direction)
    return JSONResponse(reply, headers=service.limits.headers(caller.key))


def _reply(moderation: Moderation, texts: Sequence[str], direction: Direction) -> dict[str, Any]:
    moderator = moderation.moderator
    model = f"{MODEL}-{moderator.digest[:8]}" if moderator.digest else MODEL
    return {
        "id": f"modr-{uuid.uuid4().hex}",
        "model": model,
        "results": [_result(moderator.check(text, direction)) for text in texts],
    }


def _result(verdict: Verdict) -> dict[str, Any]:
    names = sorted({*OPENAI_CATEGORIES, *verdict.scores})
    return {
        "flagged": verdict.flagged,
        "categories": {name: verdict.categories.get(name, False) for name in names},
        "category_scores": {name: round(verdict.scores.get(name, 0.0), 6) for name in names},
        "category_applied_input_types": {
            name: ["text"] if name in verdict.scores else [] for name in names
        },
        "flywheel": {"action": verdict.action},
    }
