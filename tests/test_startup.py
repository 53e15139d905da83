"""Start-up is quick because nothing heavy is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "scipy", "matplotlib", "pandas", "PIL", "pooch", "jinja2", "rich.progress")

HELP = "from striate.cli import main; assert main(['--help']) == 0"


LIBRARIES = "import typer.rich_utils"


def told(code: str, cache: Path | None = None) -> list[str]:
    """The words that code writes to standard error, in an interpreter of its own, which keeps bytecode in `cache`."""
    setting = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    kept = {"PYTHONPYCACHEPREFIX": str(cache)} if cache else {}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=setting | kept)
    return done.stderr.split()


@pytest.mark.parametrize("start", ["import striate", "import striate.cli.app", HELP])
def test_start_imports_nothing_heavy(start: str) -> None:
    heavy = f"[name for name in {HEAVY!r} if name in sys.modules]"
    assert told(f"{start}; import sys; print(*{heavy}, file=sys.stderr)") == []


def test_help_takes_little_more_computing_than_the_libraries_that_write_it(tmp_path: Path) -> None:
    """CPU time of the process from its start to the last line, the best of five, against that of importing typer and
    rich alone, in turn: a slow machine, or one that others use as well, slows both.

    The help took 1.5 to 1.75 times as long as they, 0.25 to 0.31 s on an AVX2 CPU of 2021; with scipy.stats beside it,
    eight times.
    """
    clock = "import sys, time; print(time.process_time(), file=sys.stderr)"
    ours, theirs = (
        min(times)
        for times in zip(
            *([float(told(f"{code}; {clock}", tmp_path)[0]) for code in (HELP, LIBRARIES)] for _ in range(5)),
            strict=True,
        )
    )
    assert ours < 2.2 * theirs
