"""Claim 2: local connections save multiply-adds, and receptive fields grow with depth. Counted."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from striate.claims.claim import Claim, Outcome, Setting, not_applicable
from striate.claims.comparing.figures import Figure
from striate.claims.comparing.words import count
from striate.claims.shared_weights import convolutions

if TYPE_CHECKING:
    from striate.network import Network
    from striate.summary import Row


def fully_connected(row: Row) -> int:
    """Products of a fully connected layer between the same shapes."""
    return math.prod(row.input) * math.prod(row.output)


def areas(network: Network) -> list[tuple[str, int]]:
    """The receptive field's area in pixels, not clipped, of the top-level layers that give maps and look at windows."""
    return [(row.name, math.prod(row.field.size)) for row in _looking(network) if row.field]


def _looking(network: Network) -> list[Row]:
    return [row for row in network.describe().layers if row.field and len(row.output) == 3]


def study(setting: Setting) -> Outcome:
    """Counts products and compares the fields of neighbouring layers."""
    rows = convolutions(setting.network)
    if not rows:
        return not_applicable("the network has no convolution")
    local, full = sum(row.multiply_adds for row in rows), sum(map(fully_connected, rows))
    looking, fields = _looking(setting.network), areas(setting.network)
    grows = all(a <= b for (_, a), (_, b) in itertools.pairwise(fields)) and fields[-1][1] > fields[0][1]
    single = len(fields) < 2 or len({name for name, _ in fields if name.startswith(("conv", "pool"))}) < 2
    good = local < full and (grows or single)
    return Outcome(
        verdict="supported" if good else "contradicted",
        because=(
            f"{count(local)} multiply-adds in {len(rows)} convolutions, {count(full)} if they were fully connected "
            f"({full / local:.0f} times as many)",
            f"receptive fields from {_side(looking[0])} pixels ({looking[0].name}) to {_side(looking[-1])} "
            f"({looking[-1].name})"
            + (" grow with depth" if grows else " (one layer: nothing to grow)" if single else " do not grow"),
        ),
        headings=("layer", "multiply-adds", "fully connected", "saved", "receptive field"),
        rows=[[r.name, count(r.multiply_adds), count(fully_connected(r)), _times(r), _side(r)] for r in rows],
        figures=(_products(rows), _growth(fields)),
        numbers={
            "layers": [{"name": r.name, "local": r.multiply_adds, "dense": fully_connected(r)} for r in rows],
            "fields": [{"name": name, "pixels": area} for name, area in fields],
        },
    )


def _products(rows: list[Row]) -> Figure:
    places = list(range(1, len(rows) + 1))
    lines = [
        {"name": "windows", "x": places, "y": [row.multiply_adds for row in rows]},
        {"name": "fully connected", "x": places, "y": [fully_connected(row) for row in rows]},
    ]
    return Figure("curves", "Multiply-adds of each convolution", "convolution", "multiply-adds", lines, log="y")


def _growth(fields: list[tuple[str, int]]) -> Figure:
    line = {"name": "field", "x": list(range(1, len(fields) + 1)), "y": [math.sqrt(area) for _, area in fields]}
    return Figure("curves", "Receptive field", "layer", "side, pixels", [line])


def _side(row: Row) -> str:
    return "x".join(map(str, row.field.size)) if row.field else ""


def _times(row: Row) -> str:
    return f"{fully_connected(row) / row.multiply_adds:.1f} times"


CLAIM = Claim(
    number=2,
    name="local-connections",
    sentence="Local connections save multiply-adds, and receptive fields grow with depth.",
    source="Goodfellow, Bengio, Courville 2016, Deep Learning, section 9.2 (sparse interactions), figures 9.2 to 9.4",
    varied="whether a unit is connected to a window or to everything below it",
    held="the shapes of all layers",
    metric="products for one image, and the area of the receptive fields, counted exactly",
    supported="the convolutions take fewer products than fully connected layers between the same shapes, and no "
    "layer's receptive field is smaller than that of the layer below, the last larger than the first (unless only one "
    "layer looks at windows)",
    contradicted="they take as many products, or a receptive field shrinks or never grows",
    published="mnist",
    study=study,
    learns=False,
)
