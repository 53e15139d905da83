"""Arrays as a source of images: which axis is which, which values mean what, and `.npz` files.

The rule for the axes: three axes are (N, H, W). Of four, the last is the channels if it is 1, 3 or 4 long, as in
(N, H, W, C); otherwise the second, as in (N, C, H, W). Four channels are RGB and opacity, composited on white.
The rule for the values: uint8 as it stands; booleans are 0 and 255; uint16 is scaled by its full range; other whole
numbers must lie in 0..255; floating point in 0..1 is scaled by 255, in 0..255 rounded. Anything else is refused; so
is floating point that goes little beyond 1, of which nobody but the user knows what it is.
Images keep the size they have unless another is asked for.
"""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from striate.data.dataset import SPLITS
from striate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.lib.npyio import NpzFile
    from numpy.typing import NDArray

_NAMES = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels"), ("images_train", "labels_train")),
    "validation": (("x_val", "y_val"), ("x_validation", "y_validation"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels"), ("images_test", "labels_test")),
}
_WHOLE = (("images", "labels"), ("x", "y"), ("X", "y"))
_LARGEST_EXACT = 2**53
"""Up to here every whole number is a float64 of its own."""
_CLASSES = ("classes", "class_names", "label_names")


class Part(NamedTuple):
    """Images and labels of one part of a source; `split` is None where the source is not divided."""

    split: str | None
    images: UInt8[np.ndarray, "n channels height width"]
    labels: NDArray[np.generic]


class Source(NamedTuple):
    """A source that has been read: its parts, its class names (() where it has none), and what a person should know."""

    parts: list[Part]
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_npz(path: Path) -> Source:
    """The parts of a `.npz`, and its class names (key `classes` or `class_names`).

    Keys: `images` and `labels` (or `x` and `y`), or `x_train`, `y_train`, `x_val`, `y_val`, `x_test`, `y_test` (or
    `train_images`, `train_labels`, ...). An array that goes unused is named in the notes. Nothing in the file is ever
    unpickled.

    Raises:
        DataError: the file cannot be read, has other keys, or its arrays do not fit the rule.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            named = _named(tuple(archive.files), path)
            names = next((key for key in _CLASSES if key in archive.files), None)
            classes = tuple(map(str, _words(_member(archive, names)).ravel())) if names else ()
            found, notes = [], list[str]()
            for split, (x, y) in named.items():
                values = _member(archive, x)
                found.append(Part(split, laid_out(values, x), whole_labels(_member(archive, y), y)))
                notes += _opacity_note(values.shape, x)
            used = {names, *(key for pair in named.values() for key in pair)}
            unused = [key for key in archive.files if key not in used]
    except MemoryError:
        raise DataError(f"{path} cannot be read as .npz: what it announces does not fit into memory") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError, TypeError) as fault:
        if isinstance(fault, DataError):
            raise
        # NumPy takes any file that is no archive for pickled objects.
        pickled = "it holds Python objects, which are never unpickled here"
        reason = fault if "pickle" not in str(fault) else pickled if zipfile.is_zipfile(path) else "it is no archive"
        raise DataError(f"{path} cannot be read as .npz: {reason}") from None
    return Source(found, classes, (*notes, *(_unused(key, tuple(unused)) for key in unused)))


def laid_out(values: NDArray[np.generic], name: str) -> UInt8[np.ndarray, "n channels height width"]:
    """Any array of images as uint8 (N, C, H, W), by the rules above; `name` is what an error calls it.

    Example:
        >>> laid_out(np.zeros((7, 28, 28)), "images").shape, laid_out(np.zeros((7, 32, 30, 3)), "images").shape
        ((7, 1, 28, 28), (7, 3, 32, 30))
    """
    found = values.shape
    if values.ndim == 3:
        values = values[:, None]
    elif values.ndim != 4:
        raise DataError(
            f"{name} must have 3 axes (N, H, W) or 4, found shape {values.shape}; a table of numbers goes to "
            "striate.data.table"
        )
    elif values.shape[3] in (1, 3, 4):
        values = values.transpose(0, 3, 1, 2)
    if 0 in values.shape:
        raise DataError(f"{name} must hold at least one image of at least one pixel, found shape {found}")
    if values.shape[1] not in (1, 3, 4):
        raise DataError(
            f"{name} must hold images of 1, 3 or 4 channels, (N, H, W, C) or (N, C, H, W), found shape {found}"
        )
    return _on_white(np.ascontiguousarray(_eight_bit(values, name)))


def whole_labels(values: NDArray[np.generic], name: str) -> NDArray[np.generic]:
    """Labels as one axis of whole numbers or words; (N, 1) is flattened, one-hot rows become their places."""
    values = _words(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all():
        values = values.argmax(1)
    if values.dtype.kind == "f" and values.ndim == 1 and len(values) and np.array_equal(values, np.rint(values)):
        values = _within(_LARGEST_EXACT, values, name).astype(np.int64)
    if values.dtype.kind == "u" and values.ndim == 1 and len(values):
        values = _within(2**63 - 1, values, name).astype(np.int64)
    if values.ndim != 1 or values.dtype.kind not in "iubU":
        raise DataError(
            f"{name} must be whole numbers or words, one per image, found {values.dtype} of shape {values.shape}"
        )
    return values


def numbered(
    parts: list[Part], classes: tuple[str, ...]
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"], tuple[str, ...]]:
    """The labels of all parts as places among the classes, the given splits (-1: none), and the class names.

    With names, a label is one of them or a place among them; without, the distinct labels in order are the classes.

    Raises:
        DataError: labels and images differ in number, some labels are words and some numbers, a label is none of the
            names, or two names are the same.
    """
    for part in parts:
        if len(part.images) != len(part.labels):
            raise DataError(
                f"there must be one label per image, found {len(part.labels):,} labels for {len(part.images):,} images"
            )
    if len({part.labels.dtype.kind == "U" for part in parts}) > 1:
        raise DataError("labels must be words in every split or numbers in every split, found both")
    labels = np.concatenate([part.labels for part in parts])
    given = np.concatenate([np.full(len(p.labels), SPLITS.index(p.split) if p.split else -1) for p in parts])
    if classes:
        return _among(classes, labels), given.astype(np.int64), classes
    values, places = np.unique(labels, return_inverse=True)
    return places.astype(np.int64), given.astype(np.int64), tuple(map(str, values))


def _opacity_note(shape: tuple[int, ...], name: str) -> tuple[str, ...]:
    """What a person should know of images of four channels, which might be anything."""
    four = len(shape) == 4 and 4 in ((shape[3],) if shape[3] in (1, 3, 4) else (shape[1],))
    return (f"the four channels of {name} are taken as RGB and opacity, and composited on white",) if four else ()


def _member(archive: NpzFile, key: str) -> NDArray[np.generic]:
    """An array of a `.npz`. Raises DataError where the file holds something else under that name."""
    member: Any = archive[key]
    if not isinstance(member, np.ndarray):
        raise DataError(f"{key} in the file is no array of NumPy")
    return member


def _words(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Bytes as the words that they are in UTF-8; anything else as it is."""
    return np.char.decode(values.astype(np.bytes_), "utf-8") if values.dtype.kind == "S" else values


def _within(most: int, values: NDArray[Any], name: str) -> NDArray[Any]:
    if values.max() > most or values.min() < -most:
        raise DataError(f"{name} must be whole numbers from {-most} to {most}, found {values.min()} to {values.max()}")
    return values


def _among(classes: tuple[str, ...], labels: NDArray[np.generic]) -> Int64[np.ndarray, " n"]:
    """The place of every label among the class names."""
    twice = sorted({name for name in classes if classes.count(name) > 1})
    if twice:
        raise DataError(f"class names must differ from each other, found more than once: {', '.join(twice)}")
    if labels.dtype.kind == "U":
        place_of = {name: place for place, name in enumerate(classes)}
        strange = sorted(set(labels.tolist()) - set(classes))
        if strange:
            raise DataError(
                f"labels must be among the class names {', '.join(classes[:5])}{', ...' if classes[5:] else ''}, found "
                f"{', '.join(strange[:5])}"
            )
        return np.array([place_of[label] for label in labels.tolist()], np.int64)
    places = labels.astype(np.int64)
    if places.min() < 0 or places.max() >= len(classes):
        raise DataError(
            f"labels must lie in 0 to {len(classes) - 1}, one for each class name, found {places.min()} to "
            f"{places.max()}"
        )
    return places


def _unused(key: str, unused: tuple[str, ...]) -> str:
    """Why an array is not used, as far as its name tells."""
    pairs = [pair for named in (*_NAMES.values(), _WHOLE) for pair in named if key in pair]
    lacking = [other for pair in pairs for other in pair if other not in (key, *unused)]
    return f"the array {key} is not used" + (f", for there is no {lacking[0]}" if lacking else "")


def _named(keys: tuple[str, ...], path: Path) -> dict[str | None, tuple[str, str]]:
    found: dict[str | None, tuple[str, str]] = {
        split: pair for split, pairs in _NAMES.items() for pair in pairs if set(pair) <= set(keys)
    }
    for pair in _WHOLE:
        if not found and set(pair) <= set(keys):
            found[None] = pair
    if not found or ("test" in found and "train" not in found):
        raise DataError(
            f"{path} must hold the arrays images and labels, or x_train, y_train, x_test, y_test; found "
            f"{', '.join(keys) or 'none'}"
        )
    return found


def _eight_bit(values: NDArray[np.generic], name: str) -> UInt8[np.ndarray, "n c h w"]:
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.uint16:
        return np.rint(values.astype(np.float32) * (255 / 65535)).astype(np.uint8)
    if values.dtype.kind not in "iuf":
        raise DataError(f"{name} must hold numbers, found {values.dtype}")
    least, most = float(values.min()), float(values.max())  # pyright: ignore[reportArgumentType]
    if not 0 <= least <= most <= 255:
        raise DataError(f"{name} must hold values from 0 to 255, or from 0 to 1, found {least:g} to {most:g}")
    if values.dtype.kind == "f" and 1 < most < 2:
        raise DataError(
            f"{name} must hold values from 0 to 255, or from 0 to 1, found {least:g} to {most:g}, which may be meant "
            "as either: clip them to 1, or multiply them by 255"
        )
    scale = 255 if values.dtype.kind == "f" and most <= 1 else 1
    rounded = np.empty(values.shape, np.uint8)
    for image, out in zip(values, rounded, strict=True):  # one by one: all of them in float64 would fill the memory
        out[...] = np.rint(image.astype(np.float64) * scale)
    return rounded


def _on_white(images: UInt8[np.ndarray, "n c h w"]) -> UInt8[np.ndarray, "n c h w"]:
    """RGB and opacity composited on white; anything else as it is."""
    if images.shape[1] != 4:
        return images
    opacity = images[:, 3:] / np.float32(255)
    return np.rint(images[:, :3] * opacity + 255 * (1 - opacity)).astype(np.uint8)


def contents(images: UInt8[np.ndarray, "n c h w"]) -> list[str]:
    """A digest (hex) of every image, equal for equal images."""
    import hashlib

    return [hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest() for image in images]
