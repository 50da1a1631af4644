"""No secret stands in a file of the repository: by the forms that keys have, and by chance.

Every tracked file is looked at but this one, which shows what secrets look like. What a line holds
that looks like a secret and is none stands in `ALLOWED`, with the reason; an entry that nothing
needs any more is a failure, too.
"""

from __future__ import annotations

import math
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_BYTES = 2_000_000
"""Larger files are data, and in no form that a secret would be kept in."""

LEAST_BITS = 4.2
"""Of entropy a character, from 32 characters on: of 100,000 drawn at random, 43 Base64 characters
have less in 0.1 %; words and paths hardly ever have as much."""

FORMS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a key of this server": r"\bfw-[A-Za-z0-9_-]{40,}",
    "a key of OpenAI's kind": r"\bsk-[A-Za-z0-9_-]{20,}",
    "a token of GitHub": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{50,})",
    "a token of GitLab": r"\bglpat-[A-Za-z0-9_-]{20}",
    "a key of AWS": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a key of Google": r"\bAIza[A-Za-z0-9_-]{35}",
    "a token of Slack": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "a token of Hugging Face": r"\bhf_[A-Za-z0-9]{30,}",
    "a token of PyPI": r"\bpypi-[A-Za-z0-9_-]{50,}",
    "a JSON web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}",
    "a password in an address": r"\b[a-z][a-z0-9+]*://[^\s/:@\"'{}<>]+:[^\s/@\"'{}<>$]{3,}@",
    "a password": r"(?i)\b(?:password|passwd|secret|api_?key|token)\b[\"']?\s*[:=]\s*"
    r"[\"'][^\"'\s{}<>$]{8,}[\"']",
}
LITERAL = re.compile(r"[\"'=:\s]([A-Za-z0-9+/_-]{32,}={0,2})(?=[\"'\s,;)]|$)")

ALLOWED: dict[str, dict[str, str]] = {
    "a model's name on a hub": {
        "docs/models.md": "HuggingFaceTB/SmolLM2-135M-Instruct HuggingFaceTB/SmolLM2-360M-Instruct",
        "src/flywheel/build/bases.py": "HuggingFaceTB/SmolLM2-135M-Instruct "
        "HuggingFaceTB/SmolLM2-360M-Instruct",
    },
    "says where a user's own password goes": {
        "docs/settings.md": "postgresql+psycopg://user:password@",
        "src/flywheel/serve/console/words/en/settings.toml": "postgresql+psycopg://user:password@",
        "src/flywheel/serve/console/words/zh/settings.toml": "postgresql+psycopg://user:password@",
        "src/flywheel/store/engines.py": "postgresql+psycopg://USER:PASSWORD@",
        "src/flywheel/wheel/settings.py": "postgresql+psycopg://user:password@",
    },
    "a file's name in a corpus": {
        "tests/collect/test_extract.py": "RECEIPT-2024-TXN-98765_retail_purchase "
        "SPARSE-2024-INV-1234_borderless_table",
    },
    "the alphabet in Base64, which a test takes for noise": {
        "tests/collect/test_quality.py": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=",
    },
    "lets nobody in, which is what a test shows": {
        "tests/serve/test_clients.py": 'api_key="fw-guessed"',
        "tests/serve/test_moderation.py": 'api_key="fw-unknown"',
        "tests/wheel/doctor/test_examine.py": "postgresql+psycopg://u:secret@",
    },
}
"""What looks like a secret and is none: why, in which file, and as it stands there, one beside the
other."""


def tracked() -> list[Path]:
    """The files of the repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no checkout of the repository")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def bits(text: str) -> float:
    """Shannon's entropy of a text's characters."""
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)


def found(text: str) -> Iterator[tuple[str, str]]:
    """What looks like a secret: of which kind, and as it stands there."""
    for kind, form in FORMS.items():
        for match in re.finditer(form, text):
            yield kind, match[0]
    for match in LITERAL.finditer(text):
        literal = match[1]
        is_mixed = len({"d" if c.isdigit() else c.isupper() for c in literal}) == 3
        if is_mixed and bits(literal) >= LEAST_BITS:
            yield "letters and digits by chance", literal


def allowed() -> set[tuple[str, str]]:
    """What is allowed, by file."""
    return {
        (name, text)
        for files in ALLOWED.values()
        for name, texts in files.items()
        for text in texts.split()
    }


def test_no_file_holds_what_looks_like_a_secret() -> None:
    here: set[tuple[str, str]] = set()
    for file in tracked():
        if not file.is_file() or file.stat().st_size > MAX_BYTES or file == Path(__file__):
            continue
        data = file.read_bytes()
        if b"\0" not in data[:8000]:
            texts = found(data.decode("utf-8", "replace"))
            here |= {(file.relative_to(ROOT).as_posix(), text) for _, text in texts}
    assert here - allowed() == set()
    assert allowed() - here == set(), "what is allowed, and not there any more"


def example(*parts: str) -> str:
    """A secret that stands nowhere as a whole, in this file neither."""
    return "".join(parts)


@pytest.mark.parametrize(
    "line",
    [
        example("-----BEGIN RSA ", "PRIVATE KEY-----"),
        example('key = "fw-', "Zk3vQ9xT1bLr8WcYpN5uHsD2", 'mJ7eGaF4iKoX6RtVyU"'),
        example("OPENAI_API_KEY=sk-", "proj0123456789abcdefghij"),
        example("AKIA", "IOSFODNN7EXAMPLE"),
        example("postgresql://flywheel:", "hunter2hunter2@db/flywheel"),
        example('password = "', 'correct-horse"'),
        example("密码 password: '", "不要告诉别人的密码'"),
        example('cookie = "', "q8Jw3mZk1vT7xR5bNcY9uLsD2pHeGa", 'F4iKoX6"'),
    ],
)
def test_what_looks_like_one_is_found(line: str) -> None:
    assert list(found(line))


@pytest.mark.parametrize(
    "line",
    [
        'password = os.environ["PASSWORD"]',
        "token: str",
        'digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"',
        "tests/serve/test_what_a_key_may_not_read_is_found_by_no_way",
        "postgresql://user:{password}@localhost/db",
        "Authorization: Bearer KEY",
    ],
)
def test_what_is_none_is_left_alone(line: str) -> None:
    assert not list(found(line))
