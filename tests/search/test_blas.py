"""Linear algebra on one thread, and by it the same results."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

from flywheel.search.blas import on_one_thread


def test_numpy_computes_on_the_thread_that_asks() -> None:
    on_one_thread()
    assert np.linalg.norm(np.ones(4)) == 2.0
    openblas = [each for each in threadpool_info() if each["prefix"] == "libscipy_openblas"]
    assert {each["num_threads"] for each in openblas} <= {1}
