"""Memory that is freed goes back to the system, so that a training takes what its plan counted.

glibc keeps freed blocks of up to 32 MB for later, in pieces that the next, slightly larger one
does not fit into: the same steps of 5 million parameters were seen to take 1.2 to 1.7 times what
is in use, and another factor on every run. Asked not to, it takes 1.02 to 1.05 times that. The
processor pays for pages that come and go, the more the smaller the model: core seconds a step
without → with are 0.53 → 0.85 at 1.1 million parameters (1.59 times), 2.17 → 3.03 at 5.8 million
(1.40), 2.06 → 2.58 at 17 million (1.25).

No other threshold keeps within the 15 % that a plan allows and costs clearly less. Memory over the
plan's and core seconds of a step, at 1.1 million (16 rows) and at 5.8 million (8 rows), one thread:

    as glibc has it   1.77  1.08    1.33  2.09
    32 MiB            1.73  1.07    1.31  2.14
    4 MiB             1.67  1.13    1.05  2.96
    2 MiB             1.12  1.58    1.04  3.17
    1 MiB             1.09  1.68    1.04  3.17
    128 KiB           1.05  1.73    1.02  3.01
    one arena         1.79  1.13

Activations are of some megabytes: where they come from the heap it breaks up, and where they do
not each is paid for.
"""

from __future__ import annotations

import ctypes

LARGE_BYTES = 2**17
"""Blocks from here on are the system's own: glibc's first threshold, held where it begins."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""As malloc.h has them."""


def give_back() -> bool:
    """Has the C library return what is freed, from now on and for the rest of this process.

    Returns:
        False where it is not glibc, and nothing was changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    asked = [mallopt(_MMAP_THRESHOLD, LARGE_BYTES), mallopt(_TRIM_THRESHOLD, LARGE_BYTES)]
    trim()
    return all(asked)


def trim() -> bool:
    """Returns what is free now, wherever it lies in the heap.

    Returns:
        False where it is not glibc, and nothing was returned.
    """
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return False
    return bool(malloc_trim(ctypes.c_size_t(0)))
