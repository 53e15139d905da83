"""Published data sets: whether their files lie here, whether they are what was published, and how to read them."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from striate.data import idx
from striate.data.arrays import Part, Source
from striate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jaxtyping import UInt8

    from striate.data.catalogue import Member, Published


def here(published: Published, folder: Path) -> list[Path] | None:
    """The files of a data set that lie in `folder`, packed or not; None where one of them is lacking."""
    unpacked = [folder / published.folder / member.name for member in published.members]
    beside = [folder / member.name for member in published.members]
    for files in (unpacked, beside):
        if files and all(path.is_file() for path in files):
            return files
    found: list[Path] = []
    for file in published.files:
        names = (file.name, file.name.removesuffix(".gz") if not published.members else file.name)
        present = [folder / name for name in names if (folder / name).is_file()]
        if not present:
            return None
        found.append(present[0])
    return found


def changed(published: Published, paths: Sequence[Path]) -> tuple[str, ...]:
    """A sentence for each file whose content is known not to be the published one; such a file is used all the same."""
    known = {path.name: sums for path, sums in zip(paths, _expected(published, paths), strict=True)}
    return tuple(
        f"{path} is not the published file: its sha256 is another"
        for path in paths
        if known[path.name] and not known[path.name] & _digests(path)
    )


def read(published: Published, paths: Sequence[Path]) -> Source:
    """The parts, the class names, and a note on each file that is not the published one; from the files that `here`
    found or that were downloaded.

    Raises:
        DataError: a file cannot be read, or does not hold what it should.
    """
    if not published.members:
        parts = idx.parts([idx.Pair("train", *paths[:2]), idx.Pair("test", *paths[2:])])
        return Source(parts, published.classes, changed(published, paths))
    raws = _members(published, paths)
    records = [_records(published, member, raw) for member, raw in zip(published.members, raws, strict=True)]
    parts: list[Part] = []
    for split in ("train", "test"):
        ours = [r for r, member in zip(records, published.members, strict=True) if member.split == split]
        values = np.concatenate(ours)
        images = values[:, published.label_bytes :].reshape(-1, 3, 32, 32)
        parts.append(Part(split, images, values[:, published.label_bytes - 1].astype(np.int64)))
    return Source(parts, published.classes, changed(published, paths))


def _expected(published: Published, paths: Sequence[Path]) -> list[set[str]]:
    if len(paths) == len(published.members):
        return [{member.sha256} for member in published.members]
    # Without a known content only the packed file can be compared.
    return [
        {file.sha256, file.content} - {""} if file.content or path.name == file.name else set[str]()
        for file, path in zip(published.files, paths, strict=True)
    ]


def _digests(path: Path) -> set[str]:
    raw = path.read_bytes()
    digests = {hashlib.sha256(raw).hexdigest()}
    if path.name.endswith("-ubyte.gz"):
        digests.add(hashlib.sha256(idx.unpacked(path)).hexdigest())
    return digests


def _members(published: Published, paths: Sequence[Path]) -> list[bytes]:
    """The bytes of every member, from the unpacked files or straight out of the archive."""
    if len(paths) == len(published.members):
        return [path.read_bytes() for path in paths]
    try:
        with tarfile.open(paths[0]) as archive:
            streams = [archive.extractfile(f"{published.folder}/{member.name}") for member in published.members]
            return [stream.read() if stream else b"" for stream in streams]
    except (OSError, KeyError, EOFError, tarfile.TarError, gzip.BadGzipFile, zlib.error) as fault:
        raise DataError(f"{paths[0]} cannot be read as the archive of {published.name}: {fault}") from None


def _records(published: Published, member: Member, raw: bytes) -> UInt8[np.ndarray, "n bytes"]:
    record = published.label_bytes + 3 * 32 * 32
    if not raw or len(raw) % record:
        raise DataError(
            f"{member.name} of {published.name} must hold records of {record:,} bytes, found {len(raw):,} bytes"
        )
    return np.frombuffer(raw, np.uint8).reshape(-1, record)
