"""Probes: what a trial looks at besides its scores. Each is a function from a trained model to numbers for JSON.

- `robustness`: accuracy and feature distance on test images that are shifted or noisy.
- `gradients`: the size of the gradient of every layer's weights, at the first draw and after training.
- `named`: the class that the model names for every test image.
- `path`: when each layer's weights had come half of their way, and how the layers follow shifts, turns and growth.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from striate import inside
from striate.inside.studies.transforms import Kind, transformed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from striate.data import DataSet, Split
    from striate.model import Model

SHIFTS = (0, 1, 2, 3, 4)
"""Pixels, in each of the four directions."""

NOISES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Standard deviation of Gaussian noise added to the preprocessed image, whose own standard deviation is about 1."""

IMAGES = 500
"""Images that a probe looks at."""

MOTIONS: dict[Kind, tuple[float, ...]] = {"shift": (1, 2, 3), "rotate": (10, 20, 30), "scale": (1.1, 1.2, 1.3)}
"""Of `path`: pixels, degrees, factors, as `inside.studies.transforms.Kind` has them."""


def look(
    name: str, model: Model, data: DataSet, *, seed: int, path: Sequence[tuple[int, dict[str, Tensor]]]
) -> dict[str, Any] | list[int]:
    """What the probe `name` finds. `path`: steps and the weights after them, the first draw first."""
    match name:
        case "robustness":
            return robustness(model, data.test, seed)
        case "gradients":
            return {"start": gradients(model, data.train, path[0][1]), "end": gradients(model, data.train, None)}
        case "named":
            return model.predict(data.test.images).argmax(1).tolist()
        case "path":
            return {"half_way": half_way(path), "moved": _moved(model, data.validation)}
        case _:
            raise ValueError(f"there is no probe {name!r}; there are robustness, gradients, named and path")


def robustness(model: Model, split: Split, seed: int) -> dict[str, Any]:
    """Accuracy against shift (mean over four directions) and against noise; distance of the last maps' features."""
    x, labels = _images(model, split)
    draw = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    layer = _last_maps(model, x)
    turned = [_four_ways(x, shift) for shift in SHIFTS]
    with torch.inference_mode():
        return {
            "shifts": list(SHIFTS),
            "shifted": [float(np.mean([_accuracy(model, one, labels) for one in ways])) for ways in turned],
            "noises": list(NOISES),
            "noisy": [_accuracy(model, x + sigma * draw, labels) for sigma in NOISES],
            "layer": layer,
            "distance": [float(np.mean([_distance(model, layer, x, one) for one in ways])) for ways in turned],
        }


def gradients(model: Model, split: Split, weights: dict[str, Tensor] | None) -> dict[str, float]:
    """|dL/dW| over the number of weights' root, of every layer with weights, on one batch as training sees it.

    Arguments:
        weights: instead of the model's own.
    """
    import copy

    module = copy.deepcopy(model.module).train()
    if weights is not None:
        module.load_state_dict(weights)
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0  # the gradient without the luck of one mask
    x, labels = _images(model, split)
    nn.functional.cross_entropy(module(x), labels).backward()
    kept = {name: p.grad for name, p in module.named_parameters() if p.dim() > 1 and p.grad is not None}
    return {name.removesuffix(".weight"): float(g.norm()) / math.sqrt(g.numel()) for name, g in kept.items()}


def half_way(path: Sequence[tuple[int, dict[str, Tensor]]]) -> dict[str, float | None]:
    """Per layer the step at which its weights had come half of their way, interpolated between looks.

    Way: 1 - |w(t) - w(end)| / |w(0) - w(end)|. None where the weights never moved.
    """
    (_, first), (_, last) = path[0], path[-1]
    found: dict[str, float | None] = {}
    for name in (n for n, w in last.items() if n.endswith(".weight") and w.dim() > 1):
        whole = float((first[name] - last[name]).norm())
        left = [float((w[name] - last[name]).norm()) / whole if whole else 0.0 for _, w in path]
        found[name.removesuffix(".weight")] = _crossing([s for s, _ in path], left, 0.5) if whole else None
    return found


def _crossing(steps: Sequence[int], values: Sequence[float], level: float) -> float | None:
    """Where falling values first reach `level`, linear between points."""
    for (s0, v0), (s1, v1) in itertools.pairwise(zip(steps, values, strict=True)):
        if v1 <= level:
            return s0 + (s1 - s0) * (v0 - level) / (v0 - v1) if v0 > v1 else float(s1)
    return None


def _moved(model: Model, split: Split) -> dict[str, dict[str, float]]:
    """Relative feature distance of every activation layer and the last layer, mean over images and amounts."""
    x, _ = _images(model, split, 100)
    names = [name for name, _ in model.module.named_children()]
    layers = [name for name in names if name.startswith(("relu", "tanh", "sigmoid"))] or names
    found: dict[str, dict[str, float]] = {}
    for kind, amounts in MOTIONS.items():
        seen = inside.invariance(model.module, x, layers, transform=kind, amounts=amounts)
        found[kind] = {n: float(np.nanmean(seen.relative[k])) for k, n in enumerate(layers)}
    return found


def _images(model: Model, split: Split, most: int = IMAGES) -> tuple[Tensor, Tensor]:
    rows = np.linspace(0, len(split) - 1, min(most, len(split))).round().astype(np.int64)
    x = model.preprocessing.normalize(torch.from_numpy(np.asarray(split.images[rows])))
    return x, torch.from_numpy(split.labels[rows])


def _four_ways(x: Tensor, shift: int) -> list[Tensor]:
    edge = float(x[:, :, 0].mean())  # about what lies beyond the border; black for digits
    moves: list[tuple[Kind, int]] = [
        ("shift", shift),
        ("shift", -shift),
        ("shift_columns", shift),
        ("shift_columns", -shift),
    ]
    return [x] if not shift else [transformed(x, kind, amount, outside=edge) for kind, amount in moves]


def _accuracy(model: Model, x: Tensor, labels: Tensor) -> float:
    return float((model.module(x).argmax(1) == labels).float().mean())


def _last_maps(model: Model, x: Tensor) -> str:
    """The last layer that gives maps larger than one position."""
    shapes = inside.layer_shapes(model.module, x[:1].clone())
    return [name for name, shape in shapes.items() if len(shape) == 3 and shape[1] * shape[2] > 1][-1]


def _distance(model: Model, layer: str, x: Tensor, moved: Tensor) -> float:
    """Mean |f(moved) - f(x)| / |f(x)| over images."""
    with inside.undisturbed(model.module) as still, inside.watch(still, (layer,)) as seen:
        still(x.clone())
        before = seen[layer].flatten(1)
        still(moved.clone())
        after = seen[layer].flatten(1)
    return float(((after - before).norm(dim=1) / before.norm(dim=1).clamp_min(1e-12)).mean())
