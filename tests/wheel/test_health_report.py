"""Feedback's health is measured at the end of a turn, kept without names, and shown at once."""

from __future__ import annotations

import json

from tests.wheel.conftest import Domain

from flywheel.learn.feedback import FeedbackLine
from flywheel.store import jobs as job_store
from flywheel.store import state
from flywheel.store.jobs import TurnArguments
from flywheel.wheel import feedback, health_report, jobs


def say(domain: Domain, user: str, question: str, kind: str = "up") -> None:
    line = FeedbackLine.model_validate({"kind": kind, "question": question, "answer": "Yes."})
    feedback.accept(domain.workspace, [line.to_feedback("asker", user)])


def test_nothing_is_measured_before_somebody_asks(domain: Domain) -> None:
    found = health_report.kept(domain.workspace)
    assert (found.report, found.num_since, found.loudest) == (None, 0, "")
    say(domain, "陈工", "儿童锁在哪里？")
    found = health_report.kept(domain.workspace)
    assert (found.report, found.num_since, found.loudest) == (None, 1, "陈工")


def test_report_is_kept_and_tells_what_came_since(domain: Domain) -> None:
    for number in range(3):
        say(domain, "zoe", f"Question {number}?")
    say(domain, "陈工", "儿童锁在哪里？")
    report = health_report.measure(domain.workspace)
    assert (report.num_acts, report.num_examples) == (4, 0)
    assert sum(report.left_out.values()) == 4
    say(domain, "ann", "One more?", "down")
    found = health_report.kept(domain.workspace)
    assert (found.report, found.num_since, found.loudest) == (report, 1, "zoe")
    users = {each.name: each for each in report.readings}["effective number of users"]
    assert (users.values, users.verdict) == ({"users": "2"}, "too few")


def test_nobodys_name_is_kept(domain: Domain) -> None:
    for number in range(30):
        say(domain, "zoe", f"Question {number}?")
    health_report.measure(domain.workspace)
    with domain.workspace.database.read() as conn:
        assert "zoe" not in json.dumps(state.get(conn, "health"))


def test_turn_in_the_background_measures_at_its_end(domain: Domain) -> None:
    say(domain, "zoe", "Where is the child lock?")
    job = jobs.submit(domain.workspace, TurnArguments())
    domain.workspace.database.write(lambda conn: job_store.start(conn, job.id, jobs.now()))
    jobs.run_job(domain.root, job.id)
    done = jobs.get(domain.workspace, job.id)
    assert done is not None and done.state == "done"
    found = health_report.kept(domain.workspace)
    assert found.report is not None and found.num_since == 0
