"""Activation maximization: an image, made from noise by gradient ascent, that excites one unit.

Erhan et al. 2009, Visualizing Higher-Layer Features of a Deep Network; with what makes the images readable since:
the image is the sigmoid of a sum of waves whose amplitudes are divided by their frequency, as those of photographs
are, its colours vary along the principal axes of photographs' colours, and it is moved a little before every step.
`canvas.py` has the equations and their sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.errors import DataError, Failure, ModelError
from striate.inside.studies.canvas import Canvas, moved
from striate.inside.watching.arguments import place, whole
from striate.inside.watching.inputs import as_input
from striate.inside.watching.plain import plain
from striate.inside.watching.watch import Seen, undisturbed, watch

if TYPE_CHECKING:
    from striate.layers.values import Pair
    from striate.model import Model

CONTRASTS = (0.01, 0.04, 0.16, 0.64, 2.56, 10.24)
"""Standard deviations of the starting spectrum, tried in turn until the unit reacts; the first is lucid's."""


@final
@dataclass(frozen=True, eq=False)
class Maximized:
    """An image that excites a unit.

    Attributes:
        layer, unit, position: what was maximized; without a position the mean over the unit's map.
        picture: the image for the eye, 0 to 1, (channels, height, width).
        image: the same as the module takes it: (picture - mean) / std.
        value: the activation of `image`, as it is, without jitter.
        start: the activation of the noise at the beginning.
        history: the activation before every step, jittered.
        seed: what the noise and the jitter were drawn with.
    """

    layer: str
    unit: int
    position: Pair | None
    picture: Float[np.ndarray, "channel height width"]
    image: Float[Tensor, "channel height width"]
    value: float
    start: float
    history: Float[np.ndarray, " steps"]
    seed: int

    def as_json(self) -> dict[str, Any]:
        """The attributes under their names, but for the images, which are for picture files: their `shape` instead."""
        everything = plain(self) | {"shape": list(self.picture.shape)}
        return {key: value for key, value in everything.items() if key not in ("picture", "image")}


def maximize(
    model: Model | nn.Module,
    layer: str,
    unit: int,
    *,
    position: Pair | None = None,
    shape: tuple[int, int, int] | None = None,
    mean: Sequence[float] | float = 0.0,
    std: Sequence[float] | float = 1.0,
    steps: int = 128,
    learning_rate: float = 0.05,
    jitter: int | None = None,
    decorrelate: bool | None = None,
    seed: int = 0,
) -> Maximized:
    """Finds an image that excites a unit, by Adam on the spectrum of the image.

    Arguments:
        model: a `Model`, whose preprocessing then gives shape, mean and std; or any module.
        layer, unit: what to excite: a unit of a layer that gives maps or vectors.
        position: the position to excite; by default all, by their mean.
        shape: channels, height and width of the module's input; needed for a bare module.
        mean, std: of a bare module's preprocessing; by default it takes values from 0 to 1.
        steps: gradient steps, at least 1.
        learning_rate: of Adam, on a spectrum in which lucid's 0.05 suits any size.
        jitter: before every step the image is moved by up to this many pixels each way, continued by its reflection;
            by default a sixteenth of the shorter side, at least 1 (0 for a side of 1).
        decorrelate: whether colours are learned decorrelated; by default for images of three channels.
        seed: of the noise and the jitter; the result is the same for the same seed, machine and number of threads.

    Returns:
        A `Maximized`, with the best image met.

    Raises:
        DataError: if shape, mean, std, unit, position, steps or jitter are out of range.
        ModelError: if there is no such layer; if the unit gives no gradient for any of several noise images.
        Failure: if the activation overflows.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        >>> found = maximize(net, "1", 0, shape=(1, 8, 8), steps=4)
        >>> found.picture.shape, found.history.shape
        ((1, 8, 8), (4,))
    """
    module, canvas = _canvas(model, shape, mean, std, decorrelate)
    jitter = _jitter(jitter, canvas.shape)
    steps, unit = whole(steps, "steps", least=1), whole(unit, "unit")
    position = None if position is None else place(position)
    chance = torch.Generator().manual_seed(seed)
    with undisturbed(module) as still, watch(still, [layer]) as seen:
        ascent = _Ascent(still, seen, canvas, layer, unit, position)
        spectrum = ascent.begin(chance)
        start = float(ascent.activation(canvas.picture(spectrum)).detach())
        history, best = ascent.climb(spectrum, steps, learning_rate, _offsets(jitter, chance))
        with torch.no_grad():
            picture = canvas.picture(best)
            value = float(ascent.activation(picture))
    return Maximized(
        layer=layer,
        unit=unit,
        position=position,
        picture=picture[0].cpu().numpy(),
        image=canvas.input(picture)[0].cpu(),
        value=value,
        start=start,
        history=np.array(history),
        seed=seed,
    )


@final
@dataclass(frozen=True)
class _Ascent:
    """Gradient ascent on one unit of a lent module."""

    module: nn.Module
    seen: Seen[Tensor]
    canvas: Canvas
    layer: str
    unit: int
    position: Pair | None

    def activation(self, picture: Tensor) -> Tensor:
        like = as_input(self.module, picture)  # where the module lives, and in which type it counts
        self.module(self.canvas.input(picture).to(like))
        output = self.seen[self.layer]
        _require_unit(output, self.layer, self.unit, self.position)
        if output.ndim == 2 or self.position is None:
            return output[0, self.unit].to(picture.dtype).mean()
        return output[0, self.unit, self.position[0], self.position[1]].to(picture.dtype)

    def slope(self, spectrum: Tensor, offset: tuple[int, int, int]) -> tuple[float, Tensor]:
        value = self.activation(moved(self.canvas.picture(spectrum), *offset))
        if not value.requires_grad:
            return float(value), torch.zeros_like(spectrum)
        (gradient,) = torch.autograd.grad(value, spectrum)
        found = float(value.detach())
        if not np.isfinite(found):
            raise Failure(f"the activation of unit {self.unit} of layer {self.layer} is not finite: {found}")
        return found, gradient

    def begin(self, chance: torch.Generator) -> Tensor:
        """A spectrum from which the unit can be excited: one with a gradient."""
        for contrast in CONTRASTS:
            spectrum = self.canvas.spectrum(contrast, chance).requires_grad_()
            _, gradient = self.slope(spectrum, (0, 0, 0))
            if bool(gradient.any()):
                return spectrum
        raise ModelError(
            f"unit {self.unit} of layer {self.layer} has no gradient for any of {len(CONTRASTS)} noise images: "
            "it may be dead; name the layer before its activation function, another unit, or another seed"
        )

    def climb(
        self, spectrum: Tensor, steps: int, learning_rate: float, offsets: Iterator[tuple[int, int, int]]
    ) -> tuple[list[float], Tensor]:
        """The activation before every step, and the spectrum with the highest."""
        optimizer = torch.optim.Adam([spectrum], lr=learning_rate, maximize=True)
        history: list[float] = []
        best = spectrum.detach().clone()
        for step in range(steps + 1):
            value, spectrum.grad = self.slope(spectrum, next(offsets))
            if not history or value > max(history):
                best = spectrum.detach().clone()
            history.append(value)
            if step < steps:
                optimizer.step()
        return history[:steps], best


def _canvas(
    model: Model | nn.Module,
    shape: tuple[int, int, int] | None,
    mean: Sequence[float] | float,
    std: Sequence[float] | float,
    decorrelate: bool | None,
) -> tuple[nn.Module, Canvas]:
    if isinstance(model, nn.Module):
        module = model
    else:
        module, described = model.module, model.preprocessing
        shape, mean, std = shape or _image_shape(described.shape), described.mean, described.std
    if shape is None:
        raise DataError("shape is needed for a bare module: channels, height and width of its input")
    means, stds = ([v] if isinstance(v, int | float) else v for v in (mean, std))
    return module, Canvas(shape, means, stds, shape[0] == 3 if decorrelate is None else decorrelate)


def _image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ModelError(f"an image is needed to maximize, but the model takes vectors of {shape[0]} numbers")
    return shape[0], shape[1], shape[2]


def _require_unit(output: Tensor, layer: str, unit: int, position: Pair | None) -> None:
    if output.ndim not in (2, 4):
        found = tuple(output.shape)
        raise ModelError(f"layer {layer} must give maps (4 dimensions) or vectors (2), found shape {found}")
    if not 0 <= unit < output.shape[1]:
        raise DataError(f"layer {layer} has units 0 to {output.shape[1] - 1}, found {unit}")
    sides = tuple(output.shape[2:])
    if position is not None and (not sides or not all(0 <= p < n for p, n in zip(position, sides, strict=True))):
        raise DataError(f"position must lie on the {sides} map of layer {layer}, found {position}")


def _jitter(jitter: int | None, shape: tuple[int, int, int]) -> int:
    most = min(shape[1:]) - 1  # a reflection is no longer than the image
    jitter = min(most, max(1, min(shape[1:]) // 16)) if jitter is None else whole(jitter, "jitter")
    if not 0 <= jitter <= most:
        raise DataError(f"jitter must be from 0 to {most} pixels for images of {shape[1]}x{shape[2]}, found {jitter}")
    return jitter


def _offsets(jitter: int, chance: torch.Generator) -> Iterator[tuple[int, int, int]]:
    """Without end: the jitter, and how far down and right of the upper left corner of the continued image to cut."""
    while True:
        down, right = torch.randint(0, 2 * jitter + 1, (2,), generator=chance).tolist()
        yield jitter, down, right
