"""Claim 3: convolution is equivariant to shifts, not to rotation or scale. Measured per layer, without training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.claims.claim import Claim, Outcome, Setting, not_applicable
from striate.claims.comparing.figures import Figure
from striate.claims.comparing.words import listed
from striate.claims.ruling import Ruling
from striate.layers.conv import Conv

if TYPE_CHECKING:
    import torch
    from torch import nn

IMAGES = 16
"""Test images, evenly spread."""

EXACT = 1e-4
"""Largest relative error that counts as rounding; float32 sums of a few hundred terms stay near 1e-6."""

FAR = 0.1
"""Smallest relative error that counts as not equivariant: a tenth of the feature map's own size."""

MOTIONS: tuple[tuple[str, str, float], ...] = (
    ("shift", "shift", 4),
    ("rotate by 90°", "rotate", 90),
    ("scale by 1.5", "scale", 1.5),
)
"""Name, kind and amount. A turn by 90 degrees and a shift by 4 pixels move pixels onto pixels: nothing is interpolated.
Scaling is bilinear, which alone gives errors of about 0.1 on photographs and more on digits."""


def study(setting: Setting) -> Outcome:
    """Measures |f(Tx) - T f(x)| / |T f(x)| for every convolution, with weights as drawn."""
    network = setting.network
    layers = [n for n, layer in zip(network.names, network.layers, strict=True) if isinstance(layer, Conv)]
    if not layers:
        return not_applicable("the network has no convolution of its own")
    errors = _errors(setting, layers)
    seen = [name for name in layers if not math.isnan(errors["shift"][name])]
    if not seen:
        return not_applicable("no convolution has positions that see only real pixels before and after a shift by 4")
    shift = max(errors["shift"][name] for name in seen)
    turned = min(errors[MOTIONS[1][0]][name] for name in seen)
    scaled = min(errors[MOTIONS[2][0]][name] for name in seen)
    return Outcome(
        verdict=decide(shift, turned, scaled),
        because=(
            "largest relative error of a convolution after a shift by 4 pixels, a multiple of its stride, "
            f"{shift:.1g}; smallest after a turn by 90° {turned:.2f}, after growth by 1.5 {scaled:.2f} "
            f"({', '.join(seen)}; {len(setting.seeds)} draws)",
            *_left_out([name for name in layers if name not in seen]),
        ),
        headings=("layer", *(name for name, _, _ in MOTIONS)),
        rows=[[name, *(_said(errors[motion][name]) for motion, _, _ in MOTIONS)] for name in layers],
        figures=(_figure(errors, seen, len(setting.seeds)),),
        numbers={"errors": errors, "images": IMAGES},
        seeds=setting.seeds,
    )


def _said(error: float) -> str:
    return "–" if math.isnan(error) else f"{error:.2g}"


def _left_out(layers: list[str]) -> tuple[str, ...]:
    """A sentence on the convolutions that no shift was measured of; they decide nothing."""
    if not layers:
        return ()
    return (
        f"{listed(layers)} left out: 4 pixels are no multiple of the stride there, or no position sees only real "
        "pixels before and after",
    )


def decide(shift: float, turned: float, scaled: float) -> Ruling:
    """The rule, on the largest error of shifts and the smallest of the others."""
    if shift < EXACT and min(turned, scaled) > FAR:
        return "supported"
    return "contradicted" if shift > FAR or min(turned, scaled) < EXACT else "inconclusive"


def _errors(setting: Setting, layers: list[str]) -> dict[str, dict[str, float]]:
    """Motion -> layer -> mean error over draws and images, where only real pixels are seen (whole map if none are)."""
    modules = [setting.network.build(seed) for seed in setting.seeds]
    x = _images(setting)
    return {name: _mean(modules, x, layers, kind, amount) for name, kind, amount in MOTIONS}


def _mean(
    modules: list[nn.Sequential], x: torch.Tensor, layers: list[str], kind: Any, amount: float
) -> dict[str, float]:
    from striate import inside

    found = [inside.equivariance(m, layers, x, transform=kind, amounts=[amount]) for m in modules]
    part = "interior" if kind == "shift" else "whole"
    values = np.array([getattr(one, part)[:, 0] for one in found])
    matched: list[bool] = found[0].matched[:, 0].tolist()
    # A shift by no multiple of the stride has no exact counterpart on the map: nothing to measure there.
    return {
        name: float(values[:, k].mean()) if matched[k] or kind != "shift" else math.nan for k, name in enumerate(layers)
    }


def _images(setting: Setting) -> torch.Tensor:
    import torch

    from striate.data import statistics
    from striate.model import Preprocessing

    mean, std = statistics(setting.data.train)
    split = setting.data.test if len(setting.data.test) else setting.data.train
    rows = np.linspace(0, len(split) - 1, min(IMAGES, len(split))).round().astype(np.int64)
    how = Preprocessing(setting.data.shape, mean, tuple(s or 1.0 for s in std))
    return how.normalize(torch.from_numpy(np.asarray(split.images[rows])))


def _figure(errors: dict[str, dict[str, float]], layers: list[str], draws: int) -> Figure:
    places = list(range(1, len(layers) + 1))
    lines = [
        {"name": name.split(" by ")[0], "x": places, "y": [max(errors[name][one], 1e-9) for one in layers]}
        for name, _, _ in MOTIONS
    ]
    note = f"Mean of {draws} draws and {IMAGES} images; an error of 0 is drawn at 10⁻⁹."
    title = "|f(Tx) − T f(x)| / |T f(x)| of each convolution"
    return Figure("curves", title, "convolution", "relative error", lines, log="y", note=note)


CLAIM = Claim(
    number=3,
    name="shift-equivariance",
    sentence="Convolution is equivariant to shifts, not to rotation or scale.",
    source="Goodfellow, Bengio, Courville 2016, Deep Learning, section 9.2",
    varied="how the image is moved: shifted by 4 pixels, turned by 90°, enlarged by 1.5",
    held="the network and its weights, as drawn",
    metric="relative difference of the moved image's features and the moved features, per convolution; for shifts at "
    "positions that see only real pixels",
    supported=f"shifts below {EXACT:g} in every convolution, rotation and scale above {FAR:g} in every one",
    contradicted=f"shifts above {FAR:g} in one, or rotation or scale below {EXACT:g} in one",
    published="mnist",
    study=study,
    seeds=3,
    learns=False,
)
