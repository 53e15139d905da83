"""One image through one network: prediction, occlusion, Grad-CAM, feature maps, projections; a sheet's numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from striate.errors import ModelError
from striate.inside.projections.rules import Rule
from striate.inside.studies.grad_cam import GradCam, grad_cam
from striate.inside.studies.occlusion import Occlusion, occlude
from striate.inside.studies.responses import Response, last_maps, project_strongest, responses
from striate.inside.watching.answers import probabilities
from striate.inside.watching.inputs import as_input
from striate.inside.watching.watch import undisturbed
from striate.model import Model

Progress = Callable[[str, int, int | None], None]
"""Told the stage, how much of it is done, and of how much."""

MOST_LAYERS = 8
"""Layers on a sheet where none are named; of more convolutions so many are taken, evenly spread."""

PLACES = 28
"""Places of the occluding square along each axis, about."""


@final
@dataclass(frozen=True, eq=False)
class Excited:
    """One strong unit of a layer: its projection, or why there is none.

    Attributes:
        unit: its number.
        projection: of an activation of 1 at the unit's maximum.
    """

    unit: int
    projection: Float[np.ndarray, "channel row column"] | None


@final
@dataclass(frozen=True, eq=False)
class Looked:
    """What a network makes of one image.

    Attributes:
        model: its name.
        source: where the image came from.
        image: uint8, as it goes in before normalization.
        classes: names of the outputs.
        probabilities: of the classes; None where the network gives no class scores.
        true_class: what the image shows, where that is known.
        target: the class that occlusion and Grad-CAM are about: the true one, else the predicted one.
        occlusion, cam: None where there are no class scores or no maps.
        watched: the unit whose activity the occlusion followed, with its projection.
        responses: of the layers on the sheet.
        excited: layer -> its strongest units, strongest first.
        said: what was left out, and why, a sentence each.
    """

    model: str
    source: str
    image: UInt8[np.ndarray, "channel row column"]
    classes: tuple[str, ...]
    probabilities: Float[np.ndarray, " classes"] | None
    true_class: int | None
    target: int | None
    occlusion: Occlusion | None
    cam: GradCam | None
    watched: Excited | None
    responses: Mapping[str, Response]
    excited: Mapping[str, Sequence[Excited]]
    said: tuple[str, ...]

    def name(self, label: int) -> str:
        """What a class is called."""
        return self.classes[label] if self.classes else f"output {label}"

    def as_json(self) -> dict[str, Any]:
        """Every number of the sheet but the pixels: maps of occlusion and Grad-CAM, and for each unit its maximum,
        mean, position and box (top, left, bottom, right of the receptive field there, in image pixels, not clipped)."""
        shares = [] if self.probabilities is None else self.probabilities.tolist()
        return {
            "model": self.model,
            "image": self.source,
            "shape": list(self.image.shape),
            "true_class": None if self.true_class is None else self.name(self.true_class),
            "target": None if self.target is None else self.name(self.target),
            "prediction": [{"class": self.name(label), "probability": share} for label, share in enumerate(shares)],
            "occlusion": self.occlusion and self.occlusion.as_json(),
            "grad_cam": self.cam and self.cam.as_json(),
            "layers": [self._layer(response) for response in self.responses.values()],
            "left_out": list(self.said),
        }

    def _layer(self, response: Response) -> dict[str, Any]:
        means = response.maps.mean((1, 2), dtype=np.float64).tolist()
        return {
            "name": response.layer,
            "shape": list(response.maps.shape),
            "activation": "after relu" if response.rectified else "as computed",
            "strongest": [excited.unit for excited in self.excited[response.layer]],
            "units": [
                {
                    "unit": unit,
                    "maximum": maximum,
                    "mean": means[unit],
                    "position": list(response.position(unit)),
                    "box": list(box) if (box := response.box(unit)) else None,
                }
                for unit, maximum in enumerate(response.maxima.tolist())
            ],
        }


def look(
    model: Model,
    image: UInt8[np.ndarray, "channel row column"],
    *,
    source: str = "",
    true_class: int | None = None,
    layers: Sequence[str] | None = None,
    units: int = 6,
    square: int | None = None,
    rule: Rule = "deconvnet",
    others: Literal["gradient"] | None = None,
    progress: Progress | None = None,
) -> Looked:
    """What a network makes of one image, from the whole to its parts; `striate look` draws it on a sheet.

    Occlusion and projections are those of Zeiler & Fergus 2014 (figure 7 and section 2.1), Grad-CAM that of Selvaraju
    et al. 2017.

    Arguments:
        image: uint8, of the shape the model takes.
        source: where it came from.
        true_class: what it shows, where that is known.
        layers: names of layers that give maps; every convolution unless named, of many of them eight.
        units: strongest units to project, for each layer.
        square: side of the occluding square in pixels; a fifth of the image unless given.
        rule, others: of the projections, as in `project`.
        progress: told the stage (`projecting`, `occluding`), how many layers or places are done, and of how many.

    Raises:
        ModelError: there is no such layer, or the module cannot be looked into.

    Example:
        >>> from torch import nn
        >>> from striate import Model
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
        >>> found = look(Model.foreign(net, (1, 8, 8), classes=("a", "b", "c")), np.full((1, 8, 8), 255, np.uint8))
        >>> found.probabilities.shape, found.cam.map.shape, list(found.responses)
        ((3,), (6, 6), ['0'])
    """
    x = torch.from_numpy(np.array(image))
    found = responses(model, x, layers)
    said: list[str] = []
    shown = _spread(found, said) if layers is None else found

    def projected(response: Response, chosen: list[int]) -> list[Excited]:
        return _excited(chosen, said, lambda: project_strongest(model, x, response, chosen, rule, others=others))

    tell = progress or _untold
    excited: dict[str, Sequence[Excited]] = {}
    for done, (name, response) in enumerate(shown.items()):
        tell("projecting", done, len(shown))
        excited[name] = projected(response, response.strongest(units))
    tell("projecting", len(shown), len(shown))
    shares = _probabilities(model, x, said)
    alone = shares is not None and len(shares) == 1
    target = None if shares is None or alone else int(shares.argmax()) if true_class is None else true_class
    watched = last_maps(model, x)
    seen, cam = None, None
    if alone:
        said.append("there is one class, and no other to tell it from: no occlusion, no Grad-CAM")
    elif target is None:
        said.append("the network gives no class scores: no prediction, no occlusion, no Grad-CAM")
    elif watched is None:
        said.append("no layer with a name gives maps: no occlusion, no Grad-CAM")
    else:
        seen, cam = _occluded(model, x, watched, target, square=square, tell=tell), grad_cam(model, x, watched, target)
    return Looked(
        model=model.name,
        source=source,
        image=image,
        classes=model.classes,
        probabilities=shares,
        true_class=true_class,
        target=target,
        occlusion=seen,
        cam=cam,
        watched=seen and projected(responses(model, x, [seen.layer])[seen.layer], [seen.unit])[0],
        responses=shown,
        excited=excited,
        said=tuple(dict.fromkeys(said)),
    )


def _spread(found: Mapping[str, Response], said: list[str]) -> Mapping[str, Response]:
    """At most `MOST_LAYERS` layers, the first and the last among them."""
    if len(found) <= MOST_LAYERS:
        return found
    names = list(found)
    places = sorted(set(np.linspace(0, len(names) - 1, MOST_LAYERS).round().astype(int).tolist()))
    said.append(f"{len(places)} of {len(names)} convolutions are shown; --layers names others")
    return {names[place]: found[names[place]] for place in places}


def _excited(units: list[int], said: list[str], project: Callable[[], np.ndarray]) -> list[Excited]:
    try:
        projected = project()
    except ModelError as refusal:
        said.append(f"no projections: {refusal}")
        return [Excited(unit, None) for unit in units]
    return [Excited(unit, projection) for unit, projection in zip(units, projected, strict=True)]


def _probabilities(model: Model, x: Tensor, said: list[str]) -> Float[np.ndarray, " classes"] | None:
    """The probabilities of the classes; None where the module gives anything but a row of scores, or one number that
    no class is named for."""
    with undisturbed(model.module) as still, torch.no_grad():
        outputs = still(as_input(still, model.preprocessing.normalize(x[None])))
    if not isinstance(outputs, Tensor) or outputs.ndim != 2 or outputs.shape[1] < (1 if model.classes else 2):
        return None
    if outputs.shape[1] == 1:
        return model.probabilities(outputs.float())[0].double().cpu().numpy()
    shares = probabilities(outputs, given=model.manner.probabilities)
    if 0 <= outputs.min() <= outputs.max() <= 1 and not shares.equal(outputs):
        said.append("the outputs lie from 0 to 1, and nothing says that they are probabilities: their softmax is shown")
    return shares[0].double().cpu().numpy()


def _occluded(model: Model, x: Tensor, layer: str, target: int, *, square: int | None, tell: Progress) -> Occlusion:
    rows, columns = int(x.shape[1]), int(x.shape[2])
    stride = max(1, round(rows / PLACES)), max(1, round(columns / PLACES))
    return occlude(
        model, x, layer, target, size=square, stride=stride, progress=lambda done, of: tell("occluding", done, of)
    )


def _untold(stage: str, done: int, of: int | None) -> None:
    """The progress that nobody asked for."""
