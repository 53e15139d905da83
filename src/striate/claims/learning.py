"""Whether anything was learned, or could be: no claim about learning is found supported, or refuted, where not.

Labels dealt at random fail here, and so does a test split that is too small to tell learning from luck.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from striate import decimals
from striate.claims.comparing.figures import edges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.claims.comparing.comparison import Measured
    from striate.claims.ruling import Ruling
    from striate.data import DataSet

ERRORS = 4
"""Standard errors above chance from which an accuracy is learning."""


def beyond(chance: float, images: int) -> float:
    """The accuracy on so many images above which something was learned.

    Arguments:
        chance: the accuracy of always naming the most frequent class.

    Example:
        >>> beyond(0.5, images=100)
        0.7
    """
    return chance + ERRORS * math.sqrt(chance * (1 - chance) / images)


def too_few(data: DataSet) -> str | None:
    """Why no training on this data could tell learning from luck; None where it can."""
    counts, images = np.bincount(data.validation.labels), len(data.test)
    chance = float(counts.max(initial=0)) / max(len(data.validation), 1)
    if chance in (0, 1):
        return f"the validation split shows {int(chance)} of the classes: nothing can be told apart"
    enough = next(n for n in itertools.count(1) if beyond(chance, n) < 1 - 1e-9)
    if images >= enough:
        return None
    return (
        f"the test split has {images} images; with fewer than {enough} even a network that names all of them right "
        "may only be lucky"
    )


def taught(measured: Sequence[Measured], decided: tuple[Ruling, tuple[str, ...]]) -> tuple[Ruling, tuple[str, ...]]:
    """A verdict with its sentences, and rates at an edge; where no variant learned anything, that none can be given."""
    why = untaught(measured)
    return ("not applicable", (why,)) if why else (decided[0], (*decided[1], *edges(measured)))


def untaught(measured: Sequence[Measured]) -> str | None:
    """Why nothing can be said where no variant learned anything that holds for new images; None where one did."""
    accuracies = [sum(r["test"]["accuracy"] for r in one.records) / len(one.records) for one in measured]
    chance = float(measured[0].records[0]["chance"])
    n = int(measured[0].records[0]["test"]["count"])
    needed = beyond(chance, n)
    if max(accuracies) > needed:
        return None
    best, always, least = (decimals.percent(share, decimals.of_score(n)) for share in (max(accuracies), chance, needed))
    return (
        f"nothing was learned from these labels: the best test accuracy is {best}, and always naming the most frequent "
        f"class gives {always} (above {least} would be learning)"
    )
