"""Grad-CAM: which positions of a layer speak for a class.

Selvaraju et al. 2017, Grad-CAM, equations 1 and 2, with A_k the layer's maps, y the score of the class and Z the
number of positions:

    a_k = 1/Z Σ_ij  dy/dA_k[i,j]          L = max(0, Σ_k a_k A_k)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from striate.errors import ModelError
from striate.inside.watching.answers import one_image, require_classes, scores
from striate.inside.watching.inputs import as_input, opened
from striate.inside.watching.plain import plain
from striate.inside.watching.watch import undisturbed, watch

if TYPE_CHECKING:
    from striate.model import Model


@final
@dataclass(frozen=True, eq=False)
class GradCam:
    """What speaks for a class, at the resolution of the layer.

    Attributes:
        layer, target: the layer, and the class.
        map: L, 0 or more, in units of the class score; (rows, columns) of the layer.
        signed: Σ_k a_k A_k before negative values are set to zero: what speaks against the class too.
        weights: a_k, one per unit.
        score: y, the module's output for the class.
        reason: why the map is zero everywhere, or "" where it is not.
    """

    layer: str
    target: int
    map: Float[np.ndarray, "rows columns"]
    signed: Float[np.ndarray, "rows columns"]
    weights: Float[np.ndarray, " units"]
    score: float
    reason: str

    @property
    def empty(self) -> bool:
        """Whether the map is zero everywhere; `reason` says why."""
        return bool(self.reason)

    def enlarged(self, height: int, width: int) -> Float[np.ndarray, "height width"]:
        """The map interpolated to the size of the image, for drawing only: bilinear, so no finer than the layer is."""
        map_11rc = torch.from_numpy(self.map)[None, None]
        return F.interpolate(map_11rc, (height, width), mode="bilinear", align_corners=False)[0, 0].numpy()

    def as_json(self) -> dict[str, Any]:
        """The attributes under their names, and `empty`."""
        return plain(self) | {"empty": self.empty}


def grad_cam(
    model: Model | nn.Module,
    image: Float[Tensor, "channel height width"] | np.ndarray,
    layer: str,
    target: int | None = None,
) -> GradCam:
    """The Grad-CAM map of one layer for one class.

    Arguments:
        model: a `Model`, or any module that gives class scores (batch, classes). The score is what the module gives:
            of a module that ends in a softmax, a probability, whose gradient fades where the network is certain.
        image: preprocessed as the module takes it; for a `Model` also uint8, before preprocessing.
        layer: a layer that gives maps; the last such layer is usual.
        target: the class; by default the one with the highest score.

    Returns:
        A `GradCam`. Where nothing speaks for the class its map is zero and `reason` says which: the score does not
        depend on the layer, or the weighted sum is positive nowhere.

    Raises:
        DataError: if there is no such class.
        ModelError: if there is no such layer, it gives no maps, or its values or gradients are not finite; if the
            module gives no class scores: several outputs, or maps of them, have to be wrapped, as it says.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
        >>> grad_cam(net, torch.ones(1, 8, 8), "1").map.shape
        (6, 6)
    """
    module, images = opened(model, one_image(image))
    with undisturbed(module) as still, watch(still, [layer]) as seen:
        image_1chw = as_input(still, images).requires_grad_()
        answer = scores(still(image_1chw.clone()))  # a copy, as a module may overwrite what it is given
        target = int(answer[0].argmax()) if target is None else target
        require_classes([target], answer.shape[1])
        maps, slopes = _maps_and_slopes(seen[layer], answer[0, target], layer)
        score = float(answer[0, target].detach())
    weights = slopes.mean((1, 2))
    signed = (weights[:, None, None] * maps).sum(0)
    return GradCam(
        layer=layer,
        target=target,
        map=signed.clamp(min=0).numpy(),
        signed=signed.numpy(),
        weights=weights.numpy(),
        score=score,
        reason=_reason(slopes, signed),
    )


def _maps_and_slopes(output: Tensor, score: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """A and dy/dA of the one image, (units, rows, columns) each, in float64 on the CPU."""
    if output.ndim != 4:
        raise ModelError(
            f"layer {layer} gives no maps but shape {tuple(output.shape)}; Grad-CAM needs rows and columns"
        )
    slopes = None
    if score.requires_grad and output.requires_grad:
        slopes = torch.autograd.grad(score, output, allow_unused=True)[0]
    if slopes is None:
        slopes = torch.zeros_like(output)
    found = output.detach()[0].double().cpu(), slopes[0].double().cpu()
    if not all(bool(values.isfinite().all()) for values in found):
        raise ModelError(f"the values or gradients of layer {layer} are not finite for this image")
    return found


def _reason(slopes: Tensor, signed: Tensor) -> str:
    if bool((signed > 0).any()):
        return ""
    if not bool(slopes.any()):
        return "the class score does not depend on this layer here: every gradient is zero"
    return "nothing in this layer speaks for the class: the weighted sum of its maps is positive nowhere"
