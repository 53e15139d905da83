"""The cache of decoded images: `.npy` files under a name made from what is in them, so that they are never out of date.

    CACHE/images/KEY.npy      uint8 (N, C, H, W): an open format, memory-mapped by whoever uses it
    CACHE/looks/KEY.json      what the files of one folder were when last looked at: signature, content, size
    CACHE/*/KEY.unfinished    there while files are looked at or decoded; a process that dies over one leaves it
    CACHE/arrays/KEY/         an IDX, CIFAR or .npz source once unpacked: images, labels, order, and about.json

Everything is written beside its place and renamed, so that two first starts at once both do the work and one of two
equal files stays; what a killed process left beside is removed after a day. Deleting the whole folder is always safe.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from striate import files
from striate.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable


_STALE = 86_400
"""Seconds without a write after which a draft may be one that was left."""


def folder(chosen: Path | str | None = None) -> Path:
    """Where the cache lies: `chosen`, or the environment's STRIATE_CACHE, or the user's cache folder of this system."""
    if chosen is not None:
        return Path(chosen)
    named = os.environ.get("STRIATE_CACHE")
    if named:
        return files.expanded(named)
    from platformdirs import user_cache_path

    return user_cache_path("striate")


def key(*parts: object) -> str:
    """sha256 (hex) of these values, in this order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode("utf-8", "backslashreplace") + b"\0")
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content(path: Path) -> str:
    """`file_digest`, or "" where the file cannot be read."""
    try:
        return file_digest(path)
    except OSError:
        return ""


@contextmanager
def attempt(place: Path) -> Generator[bool]:
    """Leaves a mark beside `place` for as long as the block takes, and says whether one is there already.

    Then an earlier attempt ended with its process, or another process is at it.

    Raises:
        Failure: the cache cannot be written.
    """
    mark = place.with_suffix(".unfinished")
    with writing(mark):
        before = mark.exists()
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    try:
        yield before
    finally:
        mark.unlink(missing_ok=True)


def images(path: Path) -> UInt8[np.ndarray, "n c h w"] | None:
    """The images of a cached file, memory-mapped and read-only; None where there is none, or none that is whole."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.ndim == 4 and found.dtype == np.uint8 else None


@contextmanager
def new_images(path: Path, shape: tuple[int, ...]) -> Generator[tuple[Path, UInt8[np.ndarray, "n c h w"]]]:
    """A `.npy` of this shape to be filled; it becomes `path` when the block is left without an exception.

    Raises:
        Failure: the cache cannot be written.
    """
    _sweep(path.parent)
    with writing(path), files.replacing(path) as draft, draft.open("rb", buffering=0) as held:
        files.locked(held)  # or another process might take it for left
        filled = np.lib.format.open_memmap(draft, mode="w+", dtype=np.uint8, shape=shape)
        _take_room(draft)
        yield draft, filled
        filled.flush()


def _sweep(place: Path) -> None:
    """Removes the drafts that killed processes left, each as large as the images: a day old, and held by nobody."""
    for draft in place.glob(".*.part"):
        with suppress(OSError), draft.open("rb", buffering=0) as held:  # another process may be sweeping too
            if time.time() - draft.stat().st_mtime > _STALE and files.locked(held):
                draft.unlink()


def _take_room(path: Path) -> None:
    """Takes the disk space of a file that is still a hole: a full disk is then told before anything is decoded.

    Writing into a mapped hole would kill the process instead. Where the file system cannot do it, nothing is done.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as stream:
        try:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
        except OSError as fault:
            if fault.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Turns a disk that is full or closed to us into a sentence that says where the cache is and how to move it."""
    try:
        yield
    except OSError as fault:
        raise Failure(
            f"the cache at {path.parent} cannot be written ({fault.strerror or fault}); set STRIATE_CACHE to a "
            "folder with room"
        ) from None


def read_json(path: Path) -> Any:
    """What a JSON file of the cache holds; None where there is none that is whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_json(path: Path, value: object) -> None:
    """Writes a JSON file of the cache; on one line, and pure ASCII, since file names may hold what UTF-8 cannot."""
    with writing(path):
        files.write_text(path, json.dumps(value, separators=(",", ":")))


def fingerprint(content: str, labels: Iterable[int], ends: tuple[int, ...], classes: tuple[str, ...]) -> str:
    """The fingerprint of a data set, from the key of its images, the labels, where the splits end, and the classes."""
    return key(content, np.fromiter(labels, np.int64).tobytes(), ends, classes)
