"""A turn is watched in a browser: what is said aloud, where the focus stays, and what it led to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from flywheel.serve.console.words import PageLanguage
from flywheel.store import jobs as job_store
from flywheel.store.jobs import Progress
from flywheel.wheel import jobs

if TYPE_CHECKING:
    from tests.serve.conftest import Served
    from tests.serve.console.conftest import Visitor


@pytest.mark.parametrize(
    ("language", "stage", "ended"),
    [
        ("en", "Turn: Sits the exam", "The turn has ended. Version 1 was kept back."),
        ("zh", "轮次：参加考试", "轮次已结束。版本 1 未启用。"),
    ],
)
def test_turn_is_watched_until_it_has_ended(
    served: Served,
    visitor: Callable[..., Visitor],
    language: PageLanguage,
    stage: str,
    ended: str,
) -> None:
    database = served.workspace.database
    visiting = visitor(served.url, served.secrets["owner"], language=language)
    page = visiting.go("/wheel")
    page.keyboard.press("t")
    page.locator(".wheel-now").wait_for()
    (job,) = jobs.active(served.workspace)
    page.focus(f"#cancel-{job.id}")

    database.write(lambda conn: job_store.start(conn, job.id, jobs.now()))
    progress = Progress(stage="exam", done=61, total=160)
    database.write(lambda conn: job_store.report(conn, job, progress))
    page.locator("#now-said", has_text=stage).wait_for(state="attached")
    page.locator(".wheel-progress progress[value='61']").wait_for()
    assert page.evaluate("document.activeElement.id") == f"cancel-{job.id}"

    result = {"version": 1, "decision": "kept", "reasons": [], "champion": 1}
    with page.expect_response("**/wheel/descent"):
        database.write(lambda conn: job_store.finish(conn, job.id, jobs.now(), result))
    page.locator("#now-said", has_text=ended).wait_for(state="attached")
    assert page.locator(".wheel-progress").count() == 0
    assert visiting.complaints == []
