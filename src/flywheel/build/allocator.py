"""Memory that is freed goes back to the system, so that a training takes what its plan counted.

glibc keeps freed blocks of up to 32 MB for later, in pieces that the next, slightly larger one
does not fit into: the same steps of 5 million parameters were seen to take 1.2 to 1.7 times what
is in use, and another factor on every run. Asked not to, it takes 1.04 times that, and a step
costs up to a quarter more of the processor's time, for pages that come and go.
"""

from __future__ import annotations

import ctypes

LARGE_BYTES = 2**17
"""Blocks from here on are the system's own: glibc's first threshold, held where it begins."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""As malloc.h has them."""


def give_back() -> bool:
    """Has the C library return what is freed, for the rest of this process.

    Returns:
        False where it is not glibc, and nothing was changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    asked = [mallopt(_MMAP_THRESHOLD, LARGE_BYTES), mallopt(_TRIM_THRESHOLD, LARGE_BYTES)]
    return all(asked)
