"""The files of a folder decoded once into the cache: look, plan which becomes which row, decode, leave out the bad.

What is planned is the caller's: it is asked again, without them, when files turn out unreadable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
from jaxtyping import Int64, UInt8

from striate.data import cache
from striate.data.findings import Findings
from striate.data.folder import Found, Listing
from striate.data.looks import condemn, looked_at
from striate.data.pixels import RULE, Fault, Seen
from striate.data.workers import decode_all
from striate.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from striate.data.options import Options


@final
@dataclass(frozen=True)
class Plan:
    """Which file becomes which row of the decoded images: train first, then validation, then test.

    Attributes:
        images, seen: the files in that order, and what is known of them.
        labels: int64, their classes.
        ends: where train, validation and test end among them.
        shape: (C, H, W) of every decoded image.
    """

    images: list[Found]
    seen: list[Seen]
    labels: Int64[np.ndarray, " n"]
    ends: tuple[int, int, int]
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    findings: Findings


_CHANGED = Fault("it was changed while it was read", passing=True)

Planner = Callable[[list[Seen]], Plan]
"""From what is known of the files of a listing, in its order, to the plan of those that can be read."""


def decoded(
    top: Path, listing: Listing, planned: Planner, options: Options
) -> tuple[Plan, UInt8[np.ndarray, "n c h w"]]:
    """The plan that held, and its images, memory-mapped from the cache.

    Raises:
        DataError: what `planned` raises.
        Failure: the cache cannot be written.
    """
    seen = looked_at(top, listing.images, options.cache, options.progress)
    return _decoded(top, listing, seen, planned, options)


def key(plan: Plan, options: Options) -> str:
    """What the decoded images of a plan are called: the same for the same content, decoded the same way."""
    return cache.key(RULE, plan.shape, options.fit, [look.content for look in plan.seen])


def _place(plan: Plan, options: Options) -> Path:
    return options.cache / "images" / f"{key(plan, options)}.npy"


def _decoded(
    top: Path, listing: Listing, seen: list[Seen], planned: Planner, options: Options
) -> tuple[Plan, UInt8[np.ndarray, "n c h w"]]:
    plan = planned(seen)
    place, shape = _place(plan, options), (len(plan.images), *plan.shape)
    images = cache.images(place)
    if images is not None and images.shape == shape:
        return plan, images
    try:
        with cache.attempt(place) as died, cache.new_images(place, shape) as (draft, filled):
            rows = decode_all([image.path for image in plan.images], draft, options.fit, options.progress, apart=died)
            rows |= _changed(plan.images)
            if rows:
                faults = {plan.images[row].path: fault for row, fault in rows.items()}
                condemn(top, faults, options.cache)
                known = _with(faults, listing, seen)
                _copy(filled, plan, planned(known), options)
                raise _HolesError(known)
    except _HolesError as holes:
        return _decoded(top, listing, holes.known, planned, options)
    images = cache.images(place)
    if images is None:
        raise Failure(f"the decoded images have vanished from the cache at {options.cache}; start again")
    return plan, images


def _changed(images: list[Found]) -> dict[int, Fault]:
    """The files that are no longer what was looked at: what they are called in the cache is not what was decoded."""
    return {row: _CHANGED for row, image in enumerate(images) if _size_and_time(image.path) != image.signature[:2]}


def _size_and_time(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except OSError:
        return (-1, 0)
    return (status.st_size, status.st_mtime_ns)


class _HolesError(Exception):
    """Images could not be decoded, so that what was filled must not stand in the cache; what is known by now."""

    def __init__(self, known: list[Seen]) -> None:
        super().__init__()
        self.known = known


def _with(faults: Mapping[str, Fault], listing: Listing, seen: list[Seen]) -> list[Seen]:
    return [
        look._replace(**faults[image.path]._asdict()) if image.path in faults else look
        for image, look in zip(listing.images, seen, strict=True)
    ]


def _copy(filled: UInt8[np.ndarray, "n c h w"], plan: Plan, again: Plan, options: Options) -> None:
    """Keeps the rows that were decoded for the plan without the others, so that they are not decoded again."""
    if again.shape != plan.shape:  # the unreadable images alone decided it, which is rare: nothing is of use
        return
    row_of = {image.path: row for row, image in enumerate(plan.images)}
    with cache.new_images(_place(again, options), (len(again.images), *again.shape)) as (_, kept):
        for row, image in enumerate(again.images):
            kept[row] = filled[row_of[image.path]]
