"""`load`: from a name or a path to a data set, whatever kind of source it is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from striate import files
from striate.data import catalogue, idx, published
from striate.data.arrays import Source, read_npz
from striate.data.cache import file_digest, key
from striate.data.cache import folder as cache_folder
from striate.data.download import downloaded
from striate.data.findings import escaped
from striate.data.from_arrays import arranged, kept
from striate.data.from_folder import folder_data
from striate.data.options import Options
from striate.data.workers import Progress, silent
from striate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from striate.data.dataset import DataSet
    from striate.data.pixels import Fit

NAMES = ("digits", *(known.name for known in catalogue.ALL))
"""The data sets that are known by name; `digits` comes with the package, the others are downloaded or found."""

_DIGITS = Path(__file__).with_name("digits.npz")


def load(
    name_or_path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    fit: Fit = "crop",
    root: Path | str | None = None,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress | None = None,
    max_bad: float = 0.1,
) -> DataSet:
    """A data set from its name or from where it lies.

    Arguments:
        name_or_path: `digits`, `mnist`, `fashion-mnist`, `kmnist`, `cifar10`, `cifar100`; a folder of class folders,
            with or without train, validation and test above them; a `.npz`; a folder of IDX files. A name wins over a
            folder of the same name, which `./NAME` reaches; a Path is never taken for a name.
        size: rows and columns of every image, 1 to 4096. None: as it is, for arrays; for folders the size that nine
            images in ten share if no side exceeds 64, otherwise 64x64.
        channels: 1 or 3. None: 1 if every image is grey, else 3.
        fit: how an image of another shape gets to that size: `crop`, `pad` or `stretch`, see `striate.data.pixels`.
        root: the data folder, in which published files are looked for and into which they are downloaded; made where
            there is none. None: the environment's STRIATE_DATA (only looked into where it cannot be written), or a
            folder of the cache.
        seed: decides the splits where the source has none (`striate.data.splits` says how).
        cache: where decoded images are kept. None: the environment's STRIATE_CACHE, or the user's cache folder.
        progress: called as progress(what, done, total), from any thread, one call at a time.
        max_bad: the share of unreadable images up to which the others are used, 0 to 1.

    Raises:
        DataError: there is no such source, or it holds no usable data set; the message says why.
        Failure: a download failed, or the cache or `root` cannot be written.

    Example:
        >>> digits = load("digits")
        >>> digits.shape, len(digits.train), len(digits.validation), len(digits.test)
        ((1, 28, 28), 3500, 500, 1000)
    """
    if not isinstance(name_or_path, str | Path) or not str(name_or_path):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DataError(f"a data set is named by a word or a path, found {name_or_path!r}")
    options = Options(size, channels, fit, seed, max_bad, cache_folder(cache), progress or silent)
    root = None if root is None else Path(root)
    loaded = _found(name_or_path, root, options)
    return replace(loaded, source=_source(name_or_path, root, loaded.shape, options))


def _found(name_or_path: str | Path, root: Path | None, options: Options) -> DataSet:
    name = name_or_path if isinstance(name_or_path, str) else ""
    if name == "digits":
        return _digits(options)
    for known in catalogue.ALL:
        if name == known.name:
            return _published(known, root, options)
    return _lying_at(files.expanded(name_or_path), options)


def needs_download(name_or_path: str, root: Path | None = None) -> bool:
    """Whether `load` with these arguments would have to download."""
    return any(known.name == name_or_path and not _present(known, root, cache_folder()) for known in catalogue.ALL)


def _source(name_or_path: str | Path, root: Path | None, shape: tuple[int, ...], options: Options) -> dict[str, object]:
    """The arguments of `load` that give the same data again, from any working folder."""
    named = name_or_path in NAMES
    channels, rows, columns = shape
    return {
        "name_or_path": name_or_path if named else str(files.expanded(name_or_path).resolve()),
        "size": [rows, columns],
        "channels": channels,
        "fit": options.fit,
        "root": str(root.resolve()) if root else None,
        "max_bad": options.max_bad,
        "seed": options.seed,
    }


def _digits(options: Options) -> DataSet:
    return arranged("digits", read_npz(_DIGITS), options, {"validation": 0.1, "test": 0.2})


def _published(known: catalogue.Published, root: Path | None, options: Options) -> DataSet:
    named, fetched = _named_root(root), options.cache / "downloads" / known.name
    paths = _present(known, root, options.cache)
    if not paths:
        shared = root is None and named and Path(named).exists() and not os.access(named, os.W_OK)
        target = Path(named) / known.name if named and not shared else fetched
        paths = [downloaded(file.name, file.sha256, known.mirrors, target, options.progress) for file in known.files]
    digest = key([file_digest(path) for path in paths])
    return kept(known.name, digest, lambda: published.read(known, paths), options)


def _present(known: catalogue.Published, root: Path | None, cache: Path) -> list[Path]:
    """The files of a published data set where they lie already; none where they are still to be downloaded."""
    named, fetched = _named_root(root), cache / "downloads" / known.name
    folders = [Path(named) / known.name, Path(named), fetched] if named else [fetched]
    present = (published.here(known, folder) for folder in folders)
    return next((found for found in present if found), [])


def _named_root(root: Path | None) -> Path | str | None:
    return root or os.environ.get("STRIATE_DATA") or None


def _lying_at(path: Path, options: Options) -> DataSet:
    name = escaped(path.name if path.name not in ("", "..") else path.resolve().name or str(path))
    if _is(Path.is_file, path):
        if path.suffix.lower() != ".npz":
            raise DataError(
                f"{path} must be a folder or a .npz file, found a file that ends with {path.suffix or 'nothing'}"
            )
        return kept(name, file_digest(path), lambda: read_npz(path), options)
    if not _is(Path.is_dir, path):
        raise DataError(f"there is no data set {path}: it must be a folder, a .npz file, or one of {', '.join(NAMES)}")
    pairs = idx.pairs(path)
    if not pairs:
        return folder_data(path, name, options)
    digest = key([(pair.split, file_digest(pair.images), file_digest(pair.labels)) for pair in pairs])
    return kept(name, digest, lambda: Source(idx.parts(pairs)), options)


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    """Whether `path` is of a kind; one that no file system can hold, as it is too long, is of none."""
    try:
        return kind(path)
    except OSError:
        return False
