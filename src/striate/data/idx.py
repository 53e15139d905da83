"""IDX, the format MNIST is published in: four bytes of header, sizes as big-endian 32-bit numbers, then the values.

    0 0 TYPE DIMENSIONS   size_1 ... size_d   values          (TYPE 8 is unsigned bytes, the only one images use)

Files may be compressed with gzip, which is told by their first two bytes, not by their names.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from striate.data.arrays import Part, laid_out, whole_labels
from striate.data.dataset import SPLITS
from striate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_BYTES = 16 * 2**30

_NAME = re.compile(r"(?P<stem>.*?)[-_.]?(?P<what>images|labels)[-_.]idx[0-9][-_.]ubyte(\.gz)?", re.IGNORECASE)
_PARTS = {"train": "train", "t10k": "test", "test": "test", "val": "validation", "validation": "validation"}


def read(path: Path) -> NDArray[np.generic]:
    """The array of one IDX file.

    Raises:
        DataError: the file is no IDX, is cut short, or is longer than its header says.
    """
    try:
        raw = unpacked(path)
    except (OSError, EOFError, zlib.error) as fault:
        raise DataError(f"{path} cannot be read: {fault}") from None
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _TYPES:
        raise DataError(
            f"{path} is no IDX file: it must begin with two zero bytes and a type, found {raw[:4].hex(' ')}"
        )
    head = 4 + 4 * raw[3]
    sizes = struct.unpack_from(f">{raw[3]}I", raw, 4) if len(raw) >= head else ()
    kind = np.dtype(_TYPES[raw[2]])
    expected = head + math.prod(sizes) * kind.itemsize
    if len(raw) != expected:
        raise DataError(f"{path} must hold {expected:,} bytes by its own header, found {len(raw):,}")
    return np.frombuffer(raw, kind, offset=head).reshape(sizes).astype(kind.newbyteorder("="), copy=False)


def unpacked(path: Path) -> bytes:
    """The bytes of a file, without its gzip compression if it has one."""
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    if not packed:
        return path.read_bytes()
    with gzip.open(path) as stream:
        raw = stream.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise DataError(f"{path} unpacks to more than {_MOST_BYTES // 2**30} GB")
    return raw


class Pair(NamedTuple):
    """The two files of one part: images and their labels; `split` is None where the names do not say which part."""

    split: str | None
    images: Path
    labels: Path


def pairs(folder: Path) -> list[Pair]:
    """The IDX files of a folder, in pairs. An empty list where it holds none.

    The last word before `images` or `labels` is the part: `emnist-digits-test-images-idx3-ubyte` is of the test split.

    Raises:
        DataError: an images file without labels, or the other way around; files of more than one data set; or the
            folder cannot be listed.
    """
    found: dict[str, dict[str, Path]] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as fault:
        raise DataError(f"the folder {folder} cannot be listed: {fault.strerror}") from None
    for path in paths:
        match = _NAME.fullmatch(path.name)
        if match and path.is_file():
            found.setdefault(match["stem"].lower(), {}).setdefault(match["what"].lower(), path)
    for stem, files in found.items():
        if len(files) < 2:
            (alone,) = files.values()
            raise DataError(
                f"{alone} has no counterpart: images and labels come in pairs, as {stem or 'x'}-images-idx3-ubyte and "
                f"{stem or 'x'}-labels-idx1-ubyte"
            )
    named = {stem: _name_and_split(stem) for stem in found}
    if len({name for name, _ in named.values()}) > 1 or len(set(named.values())) < len(named):
        images = ", ".join(files["images"].name for files in found.values())
        raise DataError(f"{folder} holds IDX files of more than one data set, each needs its own folder: {images}")
    return [Pair(named[stem][1], files["images"], files["labels"]) for stem, files in found.items()]


def _name_and_split(stem: str) -> tuple[str, str | None]:
    """`emnist-digits-test` is the test split of `emnist-digits`; a stem that ends with no such word is undivided."""
    words = re.split("[-_.]", stem)
    split = _PARTS.get(words[-1])
    return "-".join(words[:-1] if split else words), split


def parts(pairs: Sequence[Pair]) -> list[Part]:
    """The images and labels of these files, in the order train, validation, test.

    Raises:
        DataError: a file cannot be read, or images and labels differ in number.
    """
    ordered = sorted(pairs, key=lambda pair: SPLITS.index(pair.split) if pair.split else -1)
    return [
        Part(
            pair.split, laid_out(read(pair.images), str(pair.images)), whole_labels(read(pair.labels), str(pair.labels))
        )
        for pair in ordered
    ]
