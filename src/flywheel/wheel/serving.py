"""`[serve]` and `[cache]`: what the server may be told. Here, since flywheel.toml is read here."""

from __future__ import annotations

from pydantic import Field

from flywheel.records import StageSettings


class ServeSettings(StageSettings):
    """What `flywheel serve` listens to, and how much of it."""

    host: str = "127.0.0.1"
    """The address to listen at. Others than loopback belong behind a proxy that speaks TLS."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes a free one."""
    hosts: tuple[str, ...] = ()
    """Names that the server may be called by, beside the address it listens at and localhost:
    such as "assistant.example.org". Others are refused, so that no web page reaches it under a
    name of its own."""
    origins: tuple[str, ...] = ()
    """Web pages elsewhere that may call it from a browser: such as "https://chat.example.org"."""
    requests_per_minute: int = Field(default=600, ge=1)
    """By one key, on average; as many as ten seconds' worth may come at once."""
    concurrent: int = Field(default=32, ge=1)
    """Requests of one key that are worked on or wait at a time."""
    queue: int = Field(default=128, ge=0)
    """Requests of all keys that may wait; more are told to come again."""
    deadline_seconds: float = Field(default=120, gt=0)
    """How long a request may take, waiting included."""
    grace_seconds: float = Field(default=20, ge=0)
    """How long a server that is told to stop lets running answers go on."""
    max_upload_megabytes: int = Field(default=200, ge=1)
    """The largest file that an owner may upload. Other requests may have a megabyte."""
    upload_quota_megabytes: int = Field(default=10_000, ge=1)
    """All uploaded files together."""
    folders: tuple[str, ...] = ()
    """Folders of this machine that owners may add from in the console, they and all below them:
    such as "/srv/handbooks". What was added by command can be read again in any case."""


class CacheSettings(StageSettings):
    """Answers that are given again without searching."""

    size: int = Field(default=2_000, ge=0)
    """How many answers are kept in memory; 0 keeps none."""
    paraphrases: bool = True
    """Gives an answer again to a question in other words, where it asks the same: numbers,
    negations, units, names and dates agree."""
