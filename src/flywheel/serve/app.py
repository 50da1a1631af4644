"""The web app of a workspace: assembly only.

observed and logged → guarded → signed in → the routes
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from flywheel.serve import (
    corrections,
    documents,
    feedback,
    interactions,
    jobs,
    keys,
    moderation,
    openai,
    operations,
    session,
    versions,
)
from flywheel.serve.auth import Callers
from flywheel.serve.cache import AnswerCache
from flywheel.serve.console import page, preferences, rendering
from flywheel.serve.console import settings as settings_page
from flywheel.serve.console.ask import page as ask_page
from flywheel.serve.console.documents import page as documents_page
from flywheel.serve.console.exam import page as exam_page
from flywheel.serve.console.review import page as review_page
from flywheel.serve.console.wheel import page as wheel_page
from flywheel.serve.errors import add_handlers
from flywheel.serve.guard import Guard
from flywheel.serve.limits import Guesses, Limits
from flywheel.serve.metrics import Metrics
from flywheel.serve.observing import Observed
from flywheel.serve.service import Service

if TYPE_CHECKING:
    from flywheel.wheel.workspace import Workspace

API = (
    openai,
    feedback,
    interactions,
    corrections,
    moderation,
    documents,
    jobs,
    versions,
    keys,
    session,
    operations,
)
CONSOLE = (
    rendering,
    preferences,
    ask_page,
    review_page,
    documents_page,
    exam_page,
    wheel_page,
    settings_page,
)

_ABOUT = """Answers from an organisation's own documents, with citations; and what its users say
about them. Every request needs a key: `Authorization: Bearer KEY`."""


def create_app(workspace: Workspace) -> FastAPI:
    """The app of an open workspace. It closes what it opened, and leaves the workspace open."""
    service = create_service(workspace)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        yield
        service.close()

    app = FastAPI(
        title="Flywheel",
        description=_ABOUT,
        version=importlib.metadata.version("flywheel-assistant"),
        lifespan=lifespan,
        # Their pages load scripts from elsewhere; the document is at /openapi.json.
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.state.sign_ins = session.SignIns()
    app.state.tell_no_page = page.tell_no_page
    add_handlers(app)
    for each in (*API, *CONSOLE):
        app.include_router(each.router)
    app.add_middleware(Guard, settings=workspace.settings.serve)
    app.add_middleware(Observed, metrics=service.metrics)
    return app


def create_service(workspace: Workspace) -> Service:
    """What the routes share."""
    settings = workspace.settings
    metrics = Metrics()
    operations.add_readings(metrics, workspace)
    return Service(
        workspace,
        limits=Limits(settings.serve),
        guesses=Guesses(),
        callers=Callers(),
        cache=AnswerCache(settings.cache),
        metrics=metrics,
    )
