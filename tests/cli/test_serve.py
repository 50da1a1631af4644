"""`flywheel up` and `flywheel serve`, as a user starts and stops them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

CODE = "from flywheel.cli import main; main()"


@contextmanager
def started(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, once it serves, and its URL; stopped as a supervisor stops it."""
    environment = {k: v for k, v in os.environ.items() if k != "FLYWHEEL_WORKSPACE"}
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout
    try:
        for line in process.stdout:
            if found := re.search(r"is served at (http://\S+)", line):
                yield process, found[1]
                break
        else:
            assert process.stderr
            pytest.fail(f"it does not serve: {process.stderr.read()}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def ask(url: str, key: str, question: str) -> str:
    reply = httpx.post(
        f"{url}/v1/chat/completions",
        headers={"Authorization": f"Bearer {key}"},
        json={"model": "flywheel", "messages": [{"role": "user", "content": question}]},
        timeout=60,
        trust_env=False,
    ).raise_for_status()
    text: str = reply.json()["choices"][0]["message"]["content"]
    return text


def test_up_leads_from_a_folder_to_an_answer_over_http(tmp_path: Path) -> None:
    documents, root = tmp_path / "documents", tmp_path / "workspace"
    documents.mkdir()
    root.mkdir()
    (documents / "doors.md").write_text("# Doors\n\nPull the red handle twice.\n", encoding="utf-8")
    (documents / "车窗.md").write_text("# 车窗\n\n按下蓝色按钮关闭车窗。\n", encoding="utf-8")
    (root / "flywheel.toml").write_text(
        "[decide]\nwrong_cost = 0\n[serve]\nport = 0\n", encoding="utf-8"
    )
    with started("-w", root, "up", documents) as (process, url):
        file = root / "owner.key"
        assert file.stat().st_mode & 0o777 == 0o600
        key = file.read_text(encoding="ascii").strip()
        assert "red handle" in ask(url, key, "What do I pull at the doors?")
        assert "蓝色按钮" in ask(url, key, "怎么关闭车窗？")
    assert process.returncode == 0


def test_served_requests_are_logged_as_lines_without_their_texts(ready: Path) -> None:
    with started("-w", ready, "serve", "--port", "0") as (process, url):
        ask(url, (ready / "owner.key").read_text().strip(), "Where is the child lock?")
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate(timeout=60)
    lines = [json.loads(line) for line in logged.splitlines()]
    assert [each["status"] for each in lines if each.get("route") == "/v1/chat/completions"] == [
        200
    ]
    assert "child" not in logged
