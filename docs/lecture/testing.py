"""A claim of the lecture put to the test, and what came of it."""

from __future__ import annotations

import json

from lecture.studies import Study, command
from striate.report.claim_plots import drawn
from striate.report.plots import Plot

CLAIM = "striate claims run spatial-structure --out runs/claims"


def claim(study: Study) -> Plot:
    """Accuracies of the CNN and the ANN on images, and on images whose pixels are shuffled."""
    command(CLAIM, study.place)
    result = json.loads((study.place / "runs" / "claims" / "spatial-structure.json").read_text(encoding="utf-8"))
    return drawn("claim", result["figures"][0])
