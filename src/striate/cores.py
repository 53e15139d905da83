"""The processor's cores that this process may use, which are often fewer than the machine has."""

from __future__ import annotations

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how long, and in which period (microseconds each), this control group may compute; or `max`."""


def allowed_cores() -> int:
    """Cores this process may use, at least 1: its affinity, and the control group's quota where there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text(encoding="ascii").split()
        return max(1, min(cores, -(-int(quota) // int(period))))
    except (OSError, ValueError):  # no such control group, or the quota is "max"
        return cores


def share_of_cores() -> int:
    """The cores of this process where torchrun began several on this host: its share of those allowed, at least 1."""
    return max(1, allowed_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
