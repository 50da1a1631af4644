"""What the routes share: the open workspace, threads to work in, limits, cache, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar

from fastapi import Depends, Request

from flywheel.wheel.moderation.judging import moderation_of
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from flywheel.serve.auth import Callers
    from flywheel.serve.cache import AnswerCache
    from flywheel.serve.limits import Guesses, Limits
    from flywheel.serve.metrics import Metrics

P = ParamSpec("P")
T = TypeVar("T")

NUM_THREADS = 96
"""Enough for every answer that is worked on (limits.py) and for what else reads or writes. Those
who wait for a model or the disk cost nothing; those who compute take turns."""


class Service:
    """One server's parts. Made once by app.py, and found by the routes in the app's state."""

    def __init__(
        self,
        workspace: Workspace,
        limits: Limits,
        guesses: Guesses,
        callers: Callers,
        cache: AnswerCache,
        metrics: Metrics,
    ) -> None:
        self.workspace, self.settings = workspace, workspace.settings.serve
        self.limits, self.guesses, self.callers = limits, guesses, callers
        self.cache, self.metrics = cache, metrics
        self.moderation = moderation_of(workspace)
        self.threads = ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="flywheel-serve")

    async def run(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """What a function that may block returns, run on a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, lambda: function(*args, **named))

    def close(self) -> None:
        """Ends the threads; what they do is finished."""
        self.threads.shutdown()


def service_of(request: Request) -> Service:
    """The service behind a request."""
    service: Service = request.app.state.service
    return service


async def _service(request: Request) -> Service:
    return service_of(request)


Serving = Annotated[Service, Depends(_service)]
"""What a route takes as a parameter to have the service."""
