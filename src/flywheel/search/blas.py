"""Linear algebra on the thread that asks for it.

What is solved for a question is small: 150 equations. On several threads OpenBLAS waits for them
longer than it computes, above all where others use the cores: a learned answer took 55 ms of CPU,
and takes 14. The results are the same to the bit.
"""

from __future__ import annotations

from functools import cache

_OPENBLAS = "libscipy_openblas"
"""As NumPy and SciPy bring it; what torch or others compute with is left alone."""


@cache
def on_one_thread() -> None:
    """From now on, NumPy's linear algebra uses no threads of its own in this process."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    ThreadpoolController().select(prefix=_OPENBLAS).limit(limits=1)
