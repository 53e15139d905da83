"""From arrays (IDX, CIFAR, `.npz`, the embedded digits) to a data set: divide, resize if asked, keep in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64, UInt8

from striate.data import cache, oddities
from striate.data.arrays import Part, Source, contents, numbered
from striate.data.dataset import DataSet, Split
from striate.data.findings import Findings
from striate.data.pixels import RULE, fitted
from striate.data.splits import TENTH, divided
from striate.errors import DataError, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from striate.data.options import Options


def kept(name: str, digest: str, read: Callable[[], Source], options: Options) -> DataSet:
    """The data set that `read` gives, from the cache if `digest` (of the source's bytes) has been read before.

    Raises:
        DataError: the source does not hold a usable data set.
        Failure: the cache cannot be written.
    """
    asked = (options.size, options.channels, options.fit, options.seed)
    place = options.cache / "arrays" / cache.key(RULE, name, digest, *asked)
    data = _recalled(place, name)
    if data is None:
        source = read()
        data, order = _ordered(name, source, options, TENTH)
        _keep(data, order, place, source.parts)
        data = _recalled(place, name)
    if data is None:
        raise Failure(f"what was just written to the cache at {options.cache} is not there; start again")
    return data


def arranged(name: str, source: Source, options: Options, shares: Mapping[str, float] = TENTH) -> DataSet:
    """The data set of a source, in memory. Raises DataError where it has fewer than two classes."""
    return _ordered(name, source, options, shares)[0]


def _ordered(
    name: str, source: Source, options: Options, shares: Mapping[str, float]
) -> tuple[DataSet, Int64[np.ndarray, " n"]]:
    """The data set, and the place of each of its images in the concatenated parts."""
    labels, given, classes = numbered(source.parts, source.classes)
    if len(classes) < 2:
        raise DataError(f"{name} must hold at least two classes, found {', '.join(classes) or 'none'}")
    shape = _shape(source.parts, options)
    images = np.concatenate([_shaped(part.images, shape, options) for part in source.parts])
    digests = contents(images)
    split = divided(labels, given, digests, options.seed, shares)
    order = np.argsort(split, kind="stable")
    ends = np.searchsorted(split[order], (0, 1, 2), side="right").tolist()
    sources = _sources(name, [(part.split, len(part.labels)) for part in source.parts], order)
    digests = [digests[i] for i in order]
    findings = Findings(
        images=len(labels),
        missing=oddities.missing(classes, labels, split),
        duplicates=oddities.duplicates(digests, labels[order], split[order], sources),
        notes=(*source.notes, *_size_notes(source.parts, options)),
    )
    mark = cache.fingerprint(cache.key(shape, digests), labels[order], tuple(ends), classes)
    return DataSet(name, classes, *_splits(images[order], labels[order], sources, ends), findings, mark), order


def _splits(
    images: UInt8[np.ndarray, "n c h w"], labels: Int64[np.ndarray, " n"], sources: Sequence[str], ends: Sequence[int]
) -> tuple[Split, Split, Split]:
    first, second, _ = ends
    cuts = slice(0, first), slice(first, second), slice(second, None)
    train, validation, test = (Split(images[cut], labels[cut], tuple(sources[cut])) for cut in cuts)
    return train, validation, test


def _keep(data: DataSet, order: Int64[np.ndarray, " n"], place: Path, parts: list[Part]) -> None:
    """Writes the images first and `about.json` last: where that stands, everything does."""
    splits = (data.train, data.validation, data.test)
    ends = np.cumsum([len(split) for split in splits]).tolist()
    with cache.new_images(place / "images.npy", (ends[-1], *data.shape)) as (_, filled):
        for start, end, split in zip((0, *ends), ends, splits, strict=False):
            filled[start:end] = split.images
    about = {
        "classes": data.classes,
        "ends": ends,
        "labels": np.concatenate([split.labels for split in splits]).tolist(),
        "parts": [(part.split, len(part.labels)) for part in parts],
        "order": order.tolist(),
        "findings": data.findings.as_json(),
        "fingerprint": data.fingerprint,
    }
    cache.write_json(place / "about.json", about)


def _recalled(place: Path, name: str) -> DataSet | None:
    about: Any = cache.read_json(place / "about.json")
    images = cache.images(place / "images.npy")
    if about is None or images is None or len(images) != len(about["labels"]):
        return None
    sources = _sources(name, about["parts"], np.array(about["order"], np.int64))
    labels = np.array(about["labels"], np.int64)
    findings = Findings.of_json(about["findings"])
    splits = _splits(images, labels, sources, about["ends"])
    return DataSet(name, tuple(about["classes"]), *splits, findings, about["fingerprint"])


def _sources(name: str, parts: Sequence[tuple[str | None, int]], order: Int64[np.ndarray, " n"]) -> list[str]:
    """`mnist train[17]` for every image, in the given order of the concatenated parts."""
    every = [f"{name} {split}[{i}]" if split else f"{name}[{i}]" for split, count in parts for i in range(count)]
    return [every[i] for i in order]


def _shape(parts: list[Part], options: Options) -> tuple[int, int, int]:
    channels, rows, columns = parts[0].images.shape[1:]
    rows, columns = options.size or (rows, columns)
    return options.channels or max(channels, *(part.images.shape[1] for part in parts)), rows, columns


def _size_notes(parts: list[Part], options: Options) -> tuple[str, ...]:
    """A sentence for each part whose images are brought to a size that nobody asked for: the first part's."""
    rows, columns = parts[0].images.shape[2:]
    if options.size:
        return ()
    return tuple(
        f"the {part.split or 'undivided'} images are {part.images.shape[2]}x{part.images.shape[3]} and are brought to "
        f"{rows}x{columns}, the size of the {parts[0].split or 'undivided'} images"
        for part in parts
        if part.images.shape[2:] != (rows, columns)
    )


def _shaped(
    images: UInt8[np.ndarray, "n c h w"], shape: tuple[int, int, int], options: Options
) -> UInt8[np.ndarray, "n c h w"]:
    """The images at `shape`, by the rule for image files."""
    if images.shape[1:] == shape:
        return images
    if images.shape[2:] == shape[1:] and images.shape[1] == 1:
        return np.repeat(images, shape[0], axis=1)
    from PIL import Image

    shaped = np.empty((len(images), *shape), np.uint8)
    for i, image in enumerate(images):
        values = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        shaped[i] = fitted(Image.fromarray(np.ascontiguousarray(values)), shape, options.fit)
        if i % 1000 == 999:
            options.progress("resizing", i + 1, len(images))
    return shaped
