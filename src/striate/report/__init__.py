"""What a run looks like on paper: pages that open from disk without a network, and plots with the data they show.

One stylesheet (`style.css`), one set of page components (`templates/components.html`), one style for plots
(`striate.mplstyle`). Nothing here trains or measures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.report.mistakes import evaluation_pictures
    from striate.report.training import training_report

__all__ = ["evaluation_pictures", "training_report"]


def __getattr__(name: str) -> object:
    """Loads what is asked for when it is asked for: the commands use `numbers` at start-up, without matplotlib."""
    if name == "evaluation_pictures":
        from striate.report.mistakes import evaluation_pictures

        return evaluation_pictures
    if name == "training_report":
        from striate.report.training import training_report

        return training_report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
