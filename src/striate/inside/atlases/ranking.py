"""The ranking of an atlas, the same whatever the precision of the pass that found the candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from striate.inside.atlases.exchange import Exchange
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
    exchange: Exchange,
    *,
    top: int,
    classes: int,
    precision: str,
    store: MarkStore,
    progress: Callable[[int], None] | None = None,
) -> Survey:
    """The survey of all images, with places that hold in the module's own precision, as `atlas` says.

    Each process goes through its blocks of the images; all get what all have found. The statistics are those of the
    last pass over all images.

    Arguments:
        exchange: between the processes.
        progress: told how many images are done in this pass, by all processes.

    The others are those of `survey`.
    """
    ranks = exchange.ranks

    def tell(more: int) -> None:
        done = ranks.done(more)
        if progress:
            progress(done)

    def look(store: MarkStore | None = None, **how: Any) -> Survey:
        ranks.begin()
        found = survey(
            module, trace, layers, images, classes=classes, turns=ranks.turns, store=store, progress=tell, **how
        )
        return _with_others(found, store or MarkStore(), exchange)

    if precision == "float32":
        return look(top=top, store=store)
    coarse = look(top=SLACK * top, precision=precision)
    exact = look(top=top, only=coarse.images(), store=store)
    if all(proven(coarse.tops[layer.name], exact.tops[layer.name]) for layer in layers):
        return replace(exact, statistics=coarse.statistics, looked_at=coarse.looked_at)
    store.keep_only(())
    return look(top=top, store=store)


def _with_others(found: Survey, store: MarkStore, exchange: Exchange) -> Survey:
    """What all processes have found; the store takes note of the marks that the others hold."""
    whole = found
    for tensors in exchange.others(lambda: found.tensors() | store.listed()):
        whole = whole.take(tensors)
        store.note(tensors)
    return whole


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
