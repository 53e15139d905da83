"""Memory that the C library holds: freed and allocated again at every step, it is dear to give back to the system."""

from __future__ import annotations

import ctypes
import platform
from functools import cache


def can_keep_freed_memory() -> bool:
    """Whether the C library is one that can be told to: glibc."""
    return platform.libc_ver()[0] == "glibc"


@cache
def keep_freed_memory() -> bool:
    """Tells glibc, once and for the whole process, to keep freed memory for what is allocated next: whether it agreed.

    Each step frees and allocates the same tens of megabytes; every page given back is zeroed by the kernel and faulted
    in again. The numbers of the parameters stand in glibc's malloc.h.
    """
    trim_threshold, mmap_max = -1, -4
    if not can_keep_freed_memory():
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(trim_threshold, -1) and mallopt(mmap_max, 0))
