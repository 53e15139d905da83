"""What the processor makes of many trainings, said before they begin: how long they take, in which arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.cli import console

if TYPE_CHECKING:
    from collections.abc import Iterable

    from striate.train.engine import Precision

BFLOAT16 = 0.65  # of the time in float32: 0.45 to 0.77 by claim, but no less for 9 and 10 (benchmarks/claims.py)
WITHOUT_AVX512 = 3  # times as long, in float32: 1.8 for claim 8, 3.5 for claim 5 (benchmarks/claims.py)


def note_emulation(precisions: Iterable[str]) -> bool:
    """Says it where one of these precisions is bfloat16 and the processor has no instructions for it; whether it is so.

    Arguments:
        precisions: of the recipes: `auto`, `float32`, `bfloat16`.
    """
    if "bfloat16" not in precisions:
        return False
    from striate.train.engine import Engine

    if not Engine.choose(precision="bfloat16").emulates:
        return False
    console.note("this CPU has no bfloat16 instructions: bfloat16 takes ten times as long as float32 here, and more")
    return True


def note_full_scale(hours: float, workers: int, precision: Precision) -> None:
    """Says what the full scale will take, where that is long.

    Arguments:
        hours: of one core with AVX-512, in float32; 0: nothing is trained.
        workers: trainings at once.
        precision: of all of them.
    """
    emulated = hours > 0 and note_emulation([precision])
    if hours < 1:
        return
    from torch.backends import cpu

    from striate.train.engine import Engine

    narrow = cpu.get_cpu_capability() == "AVX2"
    if precision == "bfloat16" and not emulated:
        hours *= BFLOAT16
    elif Engine.choose().precision == "bfloat16":
        console.note(
            f"this machine computes bfloat16 fast: --precision bfloat16 takes about {BFLOAT16:g} of the time, where "
            "networks are not tiny"
        )
    hours *= WITHOUT_AVX512 if narrow else 1
    console.note(
        f"the full scale takes about {hours:.2g} core hours{' in float32' * emulated} on a CPU "
        f"with{'out' * narrow} AVX-512, so {hours / workers:.1f} hours of {workers} at once; trainings are kept: after "
        "Ctrl-C the same command goes on"
    )
