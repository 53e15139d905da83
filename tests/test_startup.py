"""Start-up is quick because nothing heavy is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "scipy", "matplotlib", "pandas", "PIL", "pooch", "jinja2", "rich.progress")


@pytest.mark.parametrize("start", ["import striate", "import striate.cli.app"])
def test_start_imports_nothing_heavy(start: str) -> None:
    asked = f"{start}; import sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_answers_within_a_quarter_of_a_second_of_imports() -> None:
    """Summed self times of `-X importtime`, the best of three: what is measured is our imports, not a busy machine."""
    totals = []
    for _ in range(3):
        words = [sys.executable, "-X", "importtime", "-m", "striate", "--help"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        lines = [line.split("|")[0].removeprefix("import time:") for line in done.stderr.splitlines() if "|" in line]
        totals.append(sum(int(line) for line in lines if line.strip().isdigit()) / 1e6)
    assert min(totals) < 0.25
