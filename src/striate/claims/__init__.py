"""The claims of a first lecture on convolutional networks, each put to the test, and the comparison they share.

Every claim of the lecture is one file: a declaration, written before anything runs, of what is varied, what is held,
what is measured and what would refute the sentence; `claim.py` says what a claim is, `catalogue.py` runs them. The
experiments they are made of are in `comparing/`. Nothing here draws or prints.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.claims.catalogue import all, find, run  # noqa: A004
    from striate.claims.claim import Claim, Outcome
    from striate.claims.comparing.comparison import Comparison, compare
    from striate.claims.comparing.metrics import Metric
    from striate.claims.comparing.variants import Variant, variant, vary
    from striate.claims.comparing.views import View

_HOMES = {
    "catalogue": ("all", "find", "run"),
    "claim": ("Claim", "Outcome"),
    "comparing.comparison": ("Comparison", "compare"),
    "comparing.metrics": ("Metric",),
    "comparing.variants": ("Variant", "variant", "vary"),
    "comparing.views": ("View",),
}

__all__ = [
    "Claim",
    "Comparison",
    "Metric",
    "Outcome",
    "Variant",
    "View",
    "all",
    "compare",
    "find",
    "run",
    "variant",
    "vary",
]


def __getattr__(name: str) -> object:
    """Loads a public name when it is first asked for (PEP 562)."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"striate.claims.{module}"), name)
    raise AttributeError(f"module 'striate.claims' has no attribute {name!r}")
