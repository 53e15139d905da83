"""Images without labels: a folder of photographs, to look into a network with; nothing can be trained on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from striate.data import cache, oddities
from striate.data.dataset import DataSet, Split
from striate.data.decoding import Plan, decoded, key
from striate.data.findings import Unreadable, escaped, merged
from striate.data.folder import Listing, unlabelled
from striate.data.options import Options
from striate.data.pixels import Fit, Seen
from striate.data.workers import Progress, silent
from striate.errors import DataError
from striate.files import expanded


def load_unlabelled(
    path: Path | str,
    shape: tuple[int, int, int],
    *,
    fit: Fit = "crop",
    max_bad: float = 0.1,
    progress: Progress | None = None,
) -> DataSet | None:
    """The images of a folder without class folders, all of them as the test split, by path; no classes, no labels.

    Decoded once into the cache, by the same rule as labelled images.

    Arguments:
        path: the folder; images at any depth count.
        shape: (channels, rows, columns) of every image.
        fit, max_bad, progress: as in `striate.data.load`.

    Returns: None where `path` is no folder, or one of class folders: then `load` is right.

    Raises:
        DataError: there is no image in it, or more than `max_bad` of them are unreadable.
        Failure: the cache cannot be written.
    """
    top = expanded(path)
    listing = unlabelled(top) if top.is_dir() else None
    if listing is None:
        return None
    if not listing.images:
        raise DataError(f"there are no images in the folder {top}")
    options = Options(shape[1:], shape[0], fit, 0, max_bad, cache.folder(None), progress or silent)
    plan, images = decoded(top, listing, lambda seen: _planned(listing, seen, top, options, shape), options)
    test, nothing = _split(images, tuple(image.path for image in plan.images)), _split(images[:0], ())
    name = escaped(top.name or str(top))
    return DataSet(name, (), nothing, nothing, test, plan.findings.below(str(top)), key(plan, options))


def _planned(listing: Listing, seen: list[Seen], top: Path, options: Options, shape: tuple[int, int, int]) -> Plan:
    pairs = list(zip(listing.images, seen, strict=True))
    images, looks = [image for image, look in pairs if not look.reason], [look for look in seen if not look.reason]
    bad = tuple(Unreadable(image.path, look.reason) for image, look in pairs if look.reason)
    if not images or len(bad) > options.max_bad * len(pairs):
        first = f"{bad[0].source}: {bad[0].reason}"
        raise DataError(f"{len(bad):,} of {len(pairs):,} images in {top} cannot be read; the first: {first}")
    sizes, paths = [(look.width, look.height) for look in looks], [image.path for image in images]
    findings = merged(listing.findings, images=len(images), unreadable=bad, strays=oddities.strays(sizes, paths))
    return Plan(images, looks, np.zeros(len(images), np.int64), (0, 0, len(images)), (), shape, findings)


def _split(images: UInt8[np.ndarray, "n c h w"], paths: tuple[str, ...]) -> Split:
    """Images about which nothing is known: zero outputs for each, as a regression table would have it."""
    return Split(images, np.zeros((len(images), 0), np.float32), paths)
