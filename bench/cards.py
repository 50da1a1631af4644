"""Which base fits which card, counted by the code that plans: the tables of docs/models.md.

    python bench/cards.py

Memory of training on rows of 1,024 tokens, one at a time, activations computed again. Nothing is
run or measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flywheel.build.bases import BASES, KnownBase
from flywheel.build.footprint import Method, Number, Step, footprint
from flywheel.build.plan import MARGIN, RANK
from table import print_table

GIB = 2**30
CONTEXT = 1024
TRIMMED = 16_384
CARDS = (4, 8, 12, 24)
"""GB of cards that one can buy."""
RESERVED = 0.6 * GIB
"""What a card's driver and CUDA hold for themselves, and a screen."""

WAYS: tuple[tuple[str, Method, Number], ...] = (
    ("LoRA, bfloat16", "lora", "bfloat16"),
    ("LoRA, float32", "lora", "float32"),
    ("full, float32", "full", "float32"),
)


def needed(base: KnownBase, method: Method, number: Number, vocab_size: int) -> int:
    """Bytes at the peak, without a margin."""
    step = Step(
        shape=replace(base.shape, vocab_size=min(vocab_size, base.shape.vocab_size)),
        method=method,
        context=CONTEXT,
        rows=1,
        number=number,
        recompute=True,
        rank=RANK if method == "lora" else 0,
    )
    return footprint(step).total


def smallest_card(num_bytes: float) -> str:
    fitting = (card for card in CARDS if MARGIN * num_bytes + RESERVED <= card * GIB)
    return str(next(fitting, "–"))


def rows() -> Iterator[list[str]]:
    for base in BASES:
        cells = []
        for _, method, number in WAYS:
            whole = needed(base, method, number, base.shape.vocab_size)
            trimmed = needed(base, method, number, TRIMMED)
            cells.append(f"{whole / GIB:.1f} → {trimmed / GIB:.1f}")
            cells.append(f"{smallest_card(whole)} → {smallest_card(trimmed)}")
        yield [base.name, f"{base.shape.num_params / 1e6:,.0f}", base.licence, *cells]


def main() -> None:
    columns = ["base", "million", "licence"]
    for way, _, _ in WAYS:
        columns += [f"{way}: GB", "card"]
    print_table(
        f"memory of training, whole → vocabulary trimmed to {TRIMMED:,}",
        columns,
        list(rows()),
        "`card`: the smallest of 4, 8, 12 and 24 GB that it fits with a margin of 15 %.",
    )


if __name__ == "__main__":
    main()
