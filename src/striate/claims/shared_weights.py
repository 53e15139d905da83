"""Claim 1: sharing weights saves parameters. Counted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from striate.claims.claim import Claim, Outcome, Setting, not_applicable
from striate.claims.comparing.figures import Figure
from striate.claims.comparing.words import count

if TYPE_CHECKING:
    from striate.network import Network
    from striate.summary import Row


def convolutions(network: Network) -> list[Row]:
    """The rows of the network's convolutions, those inside blocks included."""
    return [row for row in network.describe().rows if row.text.split()[0] == "conv"]


def unshared(row: Row) -> int:
    """Parameters of the same convolution if every position had weights and bias of its own."""
    return row.parameters * math.prod(row.output[1:])


def study(setting: Setting) -> Outcome:
    """Counts every convolution with and without sharing."""
    rows = convolutions(setting.network)
    if not rows:
        return not_applicable("the network has no convolution")
    shared, apart = sum(row.parameters for row in rows), sum(map(unshared, rows))
    dense = sum(row.dense_parameters or 0 for row in rows)
    lines = [
        {"name": row.name, "with": row.parameters, "without": unshared(row), "dense": row.dense_parameters}
        for row in rows
    ]
    return Outcome(
        verdict="supported" if shared < apart else "contradicted",
        because=(
            f"{count(shared)} parameters in {len(rows)} convolutions with sharing, {count(apart)} if every position "
            f"had its own ({apart / shared:.0f} times as many), {count(dense)} if they were fully connected",
        ),
        headings=("layer", "shared", "every position its own", "fully connected", "saved by sharing"),
        rows=[
            [row.name, count(row.parameters), count(unshared(row)), count(row.dense_parameters or 0), _times(row)]
            for row in rows
        ],
        figures=(_figure(rows),),
        numbers={"layers": lines, "shared": shared, "unshared": apart, "dense": dense},
    )


def _figure(rows: list[Row]) -> Figure:
    places = list(range(1, len(rows) + 1))
    kinds = {
        "shared by all positions": [row.parameters for row in rows],
        "one filter per position": [unshared(row) for row in rows],
        "fully connected": [row.dense_parameters or 1 for row in rows],
    }
    lines = [{"name": name, "x": places, "y": values} for name, values in kinds.items()]
    return Figure("curves", "Parameters of each convolution", "convolution", "parameters", lines, log="y")


def _times(row: Row) -> str:
    return f"{unshared(row) // row.parameters} times"


CLAIM = Claim(
    number=1,
    name="shared-weights",
    sentence="Sharing weights saves parameters.",
    source="Goodfellow, Bengio, Courville 2016, Deep Learning, section 9.2; Nielsen 2015, chapter 6",
    varied="whether all positions of a feature map share one set of weights and one bias",
    held="the network's layers, shapes and connections",
    metric="parameters of the convolutions, counted exactly",
    supported="the convolutions have fewer parameters than with weights of their own at every position",
    contradicted="they have as many (every map has a single position)",
    published="mnist",
    study=study,
    learns=False,
)
