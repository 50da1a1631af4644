"""What an owner may set of a remote engine: apart from it, so that reading it imports little."""

from __future__ import annotations

from pydantic import Field, field_validator

from flywheel.records import StageSettings


class EngineSettings(StageSettings):
    """A language model elsewhere that speaks the OpenAI protocol: vLLM, Ollama, llama-server, a
    public service. Alone, it is tried as the one that words answers; beside build.base it is that
    model's teacher. Questions and passages are sent there, so name only one that may read them."""

    url: str = ""
    """Its base URL, such as http://gpu-box:8000/v1. Empty: nothing leaves this machine."""
    model: str = ""
    """The model's name there."""
    fallback_url: str = ""
    """A second one, asked where the first does not answer."""
    key_variable: str = "FLYWHEEL_ENGINE_KEY"
    """The environment variable that holds the key for `url`; none is sent where it is not set."""
    timeout_seconds: float = Field(default=60, gt=0, le=3600)
    """How long it may take until the first words, and between words."""

    @field_validator("url", "fallback_url")
    @classmethod
    def _without_secrets(cls, url: str) -> str:
        if "@" in url.partition("://")[2].partition("/")[0]:
            raise ValueError(
                "a password in the address would be kept with each version; put the key into the "
                "environment variable that key_variable names"
            )
        return url
