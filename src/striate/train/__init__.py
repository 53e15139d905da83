"""Training: the recipe (what decides a run), the engine (on what it computes), the loop, checkpoints, runs, evaluation.

From the outside in: `fitting.py` begins or resumes a run and yields events; `training.py` is what happens in an epoch;
`loop.py` is one step; `sharing.py` is how several processes share its batch. `runs.py` is the folder where everything
is kept. Nothing here looks inside a network, draws, or prints, but for `progress.py`, which shows events on a
terminal. Names are loaded when they are used, so that asking for a recipe does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.train.engine import Engine
    from striate.train.evaluation import Evaluation, RegressionEvaluation, evaluate, evaluate_regression
    from striate.train.events import Evaluated, Event, Finished, Saved, Started, Stepped
    from striate.train.fitting import drive, fit, resume, run, run_on
    from striate.train.progress import Progress
    from striate.train.recipe import Recipe
    from striate.train.runs import Run

_HOMES = {
    "engine": ("Engine",),
    "evaluation": ("Evaluation", "RegressionEvaluation", "evaluate", "evaluate_regression"),
    "events": ("Evaluated", "Event", "Finished", "Saved", "Started", "Stepped"),
    "fitting": ("drive", "fit", "resume", "run", "run_on"),
    "progress": ("Progress",),
    "recipe": ("Recipe",),
    "runs": ("Run",),
}

__all__ = [
    "Engine",
    "Evaluated",
    "Evaluation",
    "Event",
    "Finished",
    "Progress",
    "Recipe",
    "RegressionEvaluation",
    "Run",
    "Saved",
    "Started",
    "Stepped",
    "drive",
    "evaluate",
    "evaluate_regression",
    "fit",
    "resume",
    "run",
    "run_on",
]


def __getattr__(name: str) -> object:
    """Loads a public name when it is first asked for (PEP 562)."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"striate.train.{module}"), name)
    raise AttributeError(f"module 'striate.train' has no attribute {name!r}")
