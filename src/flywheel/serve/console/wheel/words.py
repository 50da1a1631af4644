"""What the wheel says, in the page's language: reasons, stages, measures, times.

The wheel itself speaks English (wheel/reasons.py); what is not of a known form is shown as it was
kept, such as the reason that an owner wrote.
"""

from __future__ import annotations

import re
from typing import Any

from flywheel.serve.console.words import Words
from flywheel.wheel import reasons
from flywheel.wheel.health_report import Reading
from flywheel.wheel.reasons import Reason


def slug(text: str) -> str:
    """What a text is called in a key: `bits per byte` is `bits_per_byte`."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def reason(t: Words, told: str | Reason) -> str:
    """A reason of the gate's or a turn's."""
    read = reasons.read(told) if isinstance(told, str) else told
    if not read.form:
        return read.text
    values: dict[str, Any] = dict(read.values)
    for name in ("questions", "wait"):
        if name in values:
            values["num"] = int(values.pop(name))
    if "count" in values:
        values["count"] = int(values["count"])
    if "metric" in values:
        values["metric"] = t.of("exam.metric", values["metric"])
    if "language" in values:
        values["language"] = t.of("wheel.written_in", slug(values["language"]))
    if "decision" in values:
        values["decision"] = t.of("wheel.was", values["decision"])
    if "counts" in values:
        values["counts"] = t("wheel.joint").join(
            t("wheel.left_out_for", num=each.count, why=left_out(t, each.why))
            for each in reasons.counts(read)
        )
    for name, parts in read.parts.items():
        values[name] = t("wheel.joint").join(reason(t, each) for each in parts)
    return t.of("wheel.reason", read.form, **values)


def left_out(t: Words, why: str) -> str:
    """Why an act of feedback teaches nothing."""
    key = f"wheel.left_out.{slug(why)}"
    return t(key) if t.has(key) else why


def stage(t: Words, name: str) -> str:
    """What a job is at."""
    key = f"wheel.stage.{slug(name) or 'begins'}"
    return t(key) if t.has(key) else name


def measure(t: Words, each: Reading) -> str:
    """What is measured."""
    return t.of("wheel.measure", slug(each.name))


def verdict(t: Words, each: Reading, loudest: str) -> str:
    """What a measure says, or what to do.

    Args:
        loudest: who says the most.
    """
    if each.verdict == "too few":
        return t("wheel.too_few")
    values: dict[str, Any] = dict(each.values)
    if "which" in values:
        values["which"] = t.of("wheel.which", values["which"])
    key = f"wheel.measured.{slug(each.name)}_{each.verdict}"
    return t(key, user=loudest, **values)


def duration(t: Words, seconds: float) -> str:
    """A time as people say it."""
    if seconds < 10:
        return t("wheel.seconds", seconds=f"{seconds:.1f}")
    if seconds < 60:
        return t("wheel.seconds", seconds=f"{seconds:.0f}")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return t("wheel.minutes", minutes=minutes, seconds=rest)
    hours, minutes = divmod(minutes, 60)
    return t("wheel.hours", hours=hours, minutes=minutes)


def size(num_bytes: int) -> str:
    """So many bytes: 12.3 MiB."""
    value = float(num_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
