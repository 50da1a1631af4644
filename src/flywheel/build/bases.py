"""Well-known bases with their shapes and licences: for saying what fits, before anything is there.

Shapes as in each model's config.json. Any other of these families works as well (shape.py); nothing
is fetched by being listed here.
"""

from __future__ import annotations

from dataclasses import dataclass

from flywheel.build.shape import Family, Shape

APACHE = "Apache-2.0"
LLAMA = "Llama 3.2 Community"


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownBase:
    """A model that others have trained."""

    name: str
    """On the Hugging Face hub."""
    shape: Shape
    licence: str


def _base(
    name: str,
    family: Family,
    vocab_size: int,
    width: int,
    depth: int,
    num_heads: int,
    num_kv_heads: int,
    hidden: int,
    *,
    head_width: int = 0,
    tied: bool = True,
    licence: str = APACHE,
) -> KnownBase:
    shape = Shape(
        vocab_size=vocab_size,
        width=width,
        depth=depth,
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
        hidden=hidden,
        tied=tied,
        family=family,
        head_width=head_width,
    )
    return KnownBase(name=name, shape=shape, licence=licence)


BASES = (
    _base("HuggingFaceTB/SmolLM2-135M-Instruct", "llama", 49152, 576, 30, 9, 3, 1536),
    _base("HuggingFaceTB/SmolLM2-360M-Instruct", "llama", 49152, 960, 32, 15, 5, 2560),
    _base("Qwen/Qwen2.5-0.5B-Instruct", "qwen2", 151936, 896, 24, 14, 2, 4864),
    _base("Qwen/Qwen3-0.6B", "qwen3", 151936, 1024, 28, 16, 8, 3072, head_width=128),
    _base(
        "meta-llama/Llama-3.2-1B-Instruct", "llama", 128256, 2048, 16, 32, 8, 8192, licence=LLAMA
    ),
    _base("Qwen/Qwen2.5-1.5B-Instruct", "qwen2", 151936, 1536, 28, 12, 2, 8960),
    _base("Qwen/Qwen3-1.7B", "qwen3", 151936, 2048, 28, 16, 8, 6144, head_width=128),
    _base(
        "Qwen/Qwen2.5-3B-Instruct",
        "qwen2",
        151936,
        2048,
        36,
        16,
        2,
        11008,
        licence="Qwen Research (not for business)",
    ),
    _base(
        "meta-llama/Llama-3.2-3B-Instruct", "llama", 128256, 3072, 28, 24, 8, 8192, licence=LLAMA
    ),
    _base("Qwen/Qwen3-4B", "qwen3", 151936, 2560, 36, 32, 8, 9728, head_width=128),
    _base("Qwen/Qwen2.5-7B-Instruct", "qwen2", 152064, 3584, 28, 28, 4, 18944, tied=False),
)
"""From the smallest to the largest."""
