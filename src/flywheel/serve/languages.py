"""Which language a browser asks for."""

from __future__ import annotations

from fastapi import Request

_MAX_CHARS = 200


def prefers_chinese(request: Request) -> bool:
    """Whether a browser asks for Chinese rather than for English."""
    best: dict[str, float] = {}
    for part in request.headers.get("Accept-Language", "")[:_MAX_CHARS].split(","):
        name, _, parameter = part.strip().lower().partition(";")
        language = name.partition("-")[0].strip()
        best[language] = max(best.get(language, 0.0), _quality(parameter))
    return best.get("zh", 0.0) > best.get("en", 0.0)


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
