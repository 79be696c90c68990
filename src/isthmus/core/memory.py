"""How the process keeps the memory of tensors it has freed."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LARGE = 1 << 30


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory for the next tensor instead of giving it back to the system.

    Training frees and asks for the same tens of megabytes thousands of times; without this, every page of them is fetched
    and zeroed by the system each time. For whole programs (the command line), since it holds for the whole process.

    Returns:
        whether this C library can (glibc can).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_MMAP_THRESHOLD, _LARGE), (_TRIM_THRESHOLD, 2 * _LARGE - 1), (_TOP_PAD, 1 << 26))
    done = [bool(mallopt(name, value)) for name, value in settings]
    return all(done)
