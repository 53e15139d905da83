"""The ranking of an atlas, the same whatever the precision of the pass that found the candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from striate.inside.atlases.streams import Stream
from striate.inside.atlases.survey import Layer, MarkStore, Survey, survey
from striate.inside.atlases.topk import Top
from striate.inside.watching.calls import Trace

SLACK = 4
"""How many times as many places a coarse pass has."""

SAFETY = 4
"""An error of the coarse pass may be this many times the largest one seen in the same layer."""


def ranked(
    module: nn.Module,
    trace: Trace,
    layers: Sequence[Layer],
    images: Stream,
    *,
    top: int,
    classes: int,
    precision: str,
    store: MarkStore,
    progress: Callable[[int], None] | None = None,
) -> Survey:
    """The survey of all images, with places that hold in the module's own precision, as `atlas` says.

    Arguments are those of `survey`. The statistics are those of the last pass over all images.
    """

    def look(**how: Any) -> Survey:
        return survey(module, trace, layers, images, classes=classes, progress=progress, **how)

    if precision == "float32":
        return look(top=top, store=store)
    coarse = look(top=SLACK * top, precision=precision)
    exact = look(top=top, only=coarse.images(), store=store)
    if all(proven(coarse.tops[layer.name], exact.tops[layer.name]) for layer in layers):
        return replace(exact, statistics=coarse.statistics, looked_at=coarse.looked_at)
    store.keep_only(())
    return look(top=top, store=store)


def proven(coarse: Top, exact: Top) -> bool:
    """Whether no image that a coarse pass has left out can hold a place, in any unit, by the rule of `atlas`.

    Arguments:
        coarse: with more places than `exact`, in coarse values.
        exact: of the images that hold a place in `coarse` (of any unit), in exact values.
    """
    complete = torch.isinf(coarse.values[:, -1])  # fewer images than places: none is left out
    same = exact.images[:, :, None] == coarse.images[:, None, :]
    both = same & (exact.images >= 0)[:, :, None]
    errors = (exact.values[:, :, None] - coarse.values[:, None, :]).abs()[both]
    margin = SAFETY * float(errors.max()) if len(errors) else torch.inf
    return bool((complete | (exact.values[:, -1] > coarse.values[:, -1] + margin)).all())
