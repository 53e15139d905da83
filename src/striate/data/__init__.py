"""Where images come from: sources, the decode-once cache, splits, batches and augmentation.

`load` turns a name or a path into a `DataSet` of values: uint8 images (N, C, H, W), int64 labels, class names, three
splits, and `Findings` on everything that was skipped or odd. Each rule stands where it is carried out: which pixels an
image file becomes in `pixels`, which files count in `folder`, how arrays are read in `arrays`, how images are divided
in `splits`. `batches` and `augment` are what training takes from here; they import torch, and this module does not.
Nothing here knows networks, training, or how anything is shown.
"""

from __future__ import annotations

from striate.data.dataset import SPLITS, DataSet, Split, SummaryRow, examples, statistics, summary
from striate.data.findings import Duplicate, Findings, Stray, Unreadable
from striate.data.loading import NAMES, load
from striate.data.pixels import FITS, Fit, read_images
from striate.data.tables import table
from striate.data.workers import Progress

__all__ = [
    "FITS",
    "NAMES",
    "SPLITS",
    "DataSet",
    "Duplicate",
    "Findings",
    "Fit",
    "Progress",
    "Split",
    "Stray",
    "SummaryRow",
    "Unreadable",
    "examples",
    "load",
    "read_images",
    "statistics",
    "summary",
    "table",
]
