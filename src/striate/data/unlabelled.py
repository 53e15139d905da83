"""Images without labels: a folder of photographs, to look into a network with; nothing can be trained on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from striate.data import cache, oddities
from striate.data.dataset import DataSet, Split
from striate.data.findings import Unreadable, escaped, merged
from striate.data.folder import Found, Listing, unlabelled
from striate.data.looks import condemn, looked_at
from striate.data.options import Options
from striate.data.pixels import RULE, Fit, Seen
from striate.data.workers import Progress, decode_all, silent
from striate.errors import DataError, Failure


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
    top = Path(path).expanduser()
    listing = unlabelled(top) if top.is_dir() else None
    if listing is None:
        return None
    if not listing.images:
        raise DataError(f"there are no images in the folder {top}")
    options = Options(shape[1:], shape[0], fit, 0, max_bad, cache.folder(None), progress or silent)
    return _data(top, listing, looked_at(top, listing.images, options.cache, options.progress), shape, options)


def _data(top: Path, listing: Listing, seen: list[Seen], shape: tuple[int, int, int], options: Options) -> DataSet:
    pairs = list(zip(listing.images, seen, strict=True))
    good = [(image, look) for image, look in pairs if not look.reason]
    bad = tuple(Unreadable(image.path, look.reason) for image, look in pairs if look.reason)
    if not good or len(bad) > options.max_bad * len(pairs):
        raise DataError(f"{len(bad):,} of {len(pairs):,} images in {top} cannot be read; the first: {_first(bad)}")
    content = cache.key(RULE, shape, options.fit, [look.content for _, look in good])
    images = _decoded(content, [image for image, _ in good], shape, options)
    if isinstance(images, dict):  # some looked well and were not: once more without them
        reasons = {good[row][0].path: reason for row, reason in images.items()}
        condemn(top, reasons, options.cache)
        known = [look._replace(reason=reasons.get(image.path, look.reason)) for image, look in pairs]
        return _data(top, listing, known, shape, options)
    paths = [image.path for image, _ in good]
    findings = merged(
        listing.findings,
        images=len(good),
        unreadable=bad,
        strays=oddities.strays([(look.width, look.height) for _, look in good], paths),
    )
    empty = _split(images[:0], ())
    name = escaped(top.name or str(top))
    return DataSet(name, (), empty, empty, _split(images, tuple(paths)), findings.below(str(top)), content)


def _first(bad: tuple[Unreadable, ...]) -> str:
    return f"{bad[0].source}: {bad[0].reason}"


def _split(images: UInt8[np.ndarray, "n c h w"], paths: tuple[str, ...]) -> Split:
    """Images about which nothing is known: zero outputs for each, as a regression table would have it."""
    return Split(images, np.zeros((len(images), 0), np.float32), paths)


def _decoded(
    content: str, files: list[Found], shape: tuple[int, int, int], options: Options
) -> UInt8[np.ndarray, "n c h w"] | dict[int, str]:
    """The decoded images, memory-mapped; or why, by row, some cannot be."""
    place = options.cache / "images" / f"{content}.npy"
    images = cache.images(place)
    if images is None or images.shape != (len(files), *shape):
        with cache.new_images(place, (len(files), *shape)) as (draft, _):
            faults = decode_all([file.path for file in files], draft, options.fit, options.progress)
        if faults:
            place.unlink(missing_ok=True)
            return faults
        images = cache.images(place)
    if images is None:
        raise Failure(f"the decoded images have vanished from the cache at {options.cache}; start again")
    return images
