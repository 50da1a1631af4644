"""A server that is killed under load has lost nothing that it acknowledged (bench/soak.py)."""

from __future__ import annotations

from pathlib import Path

from soak import soak

QUESTIONS = (
    "Where is the child lock?",
    "儿童锁在哪里？",
    "What is the tyre pressure in winter?",
    "车窗遇到阻力会怎样？",
)


def test_what_was_acknowledged_survives_a_kill_under_load(root: Path) -> None:
    (root / "flywheel.toml").write_text("[serve]\nrequests_per_minute = 100000\n", encoding="utf-8")
    soaked = soak(root, QUESTIONS, seconds=5, kill_every=2, rate=12)
    assert len(soaked.lives) == 2
    assert soaked.kept.keys() >= {"ask", "rate", "edit"}, "these are asked until they are kept"
    assert not soaked.lost
    assert not soaked.errors
    assert "Traceback" not in soaked.said
