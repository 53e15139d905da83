"""A folder of class folders as a source: which files are images of which class, without opening any of them.

The rule: each folder directly below the top is a class, and all images under it, at any depth, are its images. If the
top holds a folder `train` (or `training`) that itself holds folders and no images, the folders train, val (valid,
validation, dev) and test (testing) of that kind are the splits, and the classes lie one level deeper. A top that holds
nothing but one folder of folders, as an unpacked archive often does, is entered. Links are followed, but for those that
lead to the images of other classes: to another class folder or into one, or to a folder above one. A folder that is
reached again within one class is not entered again.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, final

from striate.data.dataset import SPLITS
from striate.data.findings import Findings, escaped
from striate.data.splits import UNDIVIDED
from striate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

IMAGE_SUFFIXES = frozenset(
    [
        ".avif",
        ".bmp",
        ".dib",
        ".gif",
        ".heic",
        ".heif",
        ".j2k",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tga",
        ".tif",
        ".tiff",
        ".webp",
    ]
)
"""A file that ends so is meant to be an image: if it cannot be read it counts as unreadable, not as something else."""

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"RIFF")
_HIDDEN = ("thumbs.db", "desktop.ini", "__macosx", "ehthumbs.db")
_SPLIT_FOLDERS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


class Found(NamedTuple):
    """One image file: its path, its class name, the split its place gives it or UNDIVIDED, and its signature."""

    path: str
    class_name: str
    given: int
    signature: tuple[int, int, int, int]


@final
@dataclass
class Listing:
    """What the folder `top` holds, in the order of class and path."""

    top: str = ""
    images: list[Found] = field(default_factory=list[Found])
    classes: set[str] = field(default_factory=set[str])
    hidden: list[str] = field(default_factory=list[str])
    other: list[str] = field(default_factory=list[str])
    links: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])

    @property
    def findings(self) -> Findings:
        """What the listing alone found."""
        return Findings(hidden=tuple(self.hidden), other=tuple(self.other), notes=(*self.notes, *self._link_note()))

    def _link_note(self) -> tuple[str, ...]:
        if not self.links:
            return ()
        shown = ", ".join(os.path.relpath(link, self.top) for link in self.links[:5])
        links, are = ("link", "is") if len(self.links) == 1 else ("links", "are")
        rest = ", ..." if len(self.links) > 5 else ""
        return (f"{len(self.links):,} {links} to images of other classes {are} not followed ({shown}{rest})",)


class _Places(NamedTuple):
    """Real paths: the class folders, and every folder above one of them."""

    classes: frozenset[Path]
    above: frozenset[Path]

    @classmethod
    def of(cls, top: Path, folders: Iterable[str]) -> _Places:
        classes = frozenset(Path(folder).resolve() for folder in folders)
        ours = top.resolve()
        return cls(classes, frozenset([ours, *(above for place in (ours, *classes) for above in place.parents)]))

    def leads_elsewhere(self, link: str, own: Path | None = None) -> bool:
        """Whether a link, under the class folder `own` or beside the others, leads to the images of another class."""
        target = Path(link).resolve()
        way = {target, *target.parents}
        return target in self.above or (own not in way and bool(way & self.classes))


def listed(top: Path) -> Listing:
    """Lists the images of a folder of class folders.

    Raises:
        DataError: there are fewer than two class folders, or no train split beside the others.
    """
    listing = Listing(str(top))
    top = _entered(top, listing)
    splits = [(entry.path, SPLITS.index(split)) for entry, split in _split_folders(top, listing)]
    folders = [(entry, given) for path, given in splits or [(str(top), UNDIVIDED)] for entry in _classes(path, listing)]
    if not splits:
        listing.notes += _called_like_splits([entry.name for entry, _ in folders])
    places = _Places.of(top, (entry.path for entry, _ in folders))
    for entry, given in folders:
        # Class names go into UTF-8 files, a run's, a model's; and some systems take letters like é apart.
        name = unicodedata.normalize("NFC", escaped(entry.name))
        listing.classes.add(name)
        _list_images(entry.path, name, given, listing, places)
    listing.images.sort(key=lambda image: (image.given, order(image.class_name), image.path))
    if len(listing.classes) < 2:
        found = f"only {next(iter(listing.classes))}" if listing.classes else "none"
        raise DataError(f"{top} must hold at least two class folders with images in them, found {found}")
    return listing


def all_images(top: Path) -> Listing:
    """Lists the images of a folder at any depth, by path, whatever its folders mean."""
    listing = Listing(str(top))
    _list_images(str(top), "", UNDIVIDED, listing, _Places.of(top, [str(top)]))
    listing.images.sort(key=lambda image: image.path)
    return listing


def unlabelled(top: Path) -> Listing | None:
    """The listing of `all_images` for a folder without class folders; None for a folder of class folders.

    A folder has none where it is not divided into splits and not more than one folder lies in it.
    """
    if _split_folders(top, Listing()):
        return None
    folders = [entry for entry in _entries(str(_entered(top, Listing()))) if _is_folder(entry)]
    if sum(not _is_hidden(entry.name) for entry in folders) > 1:
        return None
    return all_images(top)


def order(name: str) -> tuple[int, int, str]:
    """The order of class names: numbers by value, then words by their letters."""
    return (0, int(name), name) if name.isascii() and name.isdigit() else (1, 0, name)


def _entered(top: Path, listing: Listing) -> Path:
    """The first folder, from `top` down, that holds more than just one folder of folders."""
    for _ in range(8):
        entries = [entry for entry in _entries(str(top)) if not _is_hidden(entry.name)]
        folders = [entry for entry in entries if _is_folder(entry)]
        if len(entries) != 1 or len(folders) != 1 or not _has_only_folders(folders[0].path):
            return top
        top = Path(folders[0].path)
        listing.notes.append(f"the classes are those of the folder {top.name} inside")
    return top


def _split_folders(top: Path, listing: Listing) -> list[tuple[os.DirEntry[str], str]]:
    folders = [entry for entry in _entries(str(top)) if _is_folder(entry) and not _is_hidden(entry.name)]
    named = [(entry, _SPLIT_FOLDERS[entry.name.lower()]) for entry in folders if entry.name.lower() in _SPLIT_FOLDERS]
    named = [(entry, split) for entry, split in named if _has_only_folders(entry.path)]
    if not any(split == "train" for _, split in named):
        return []
    entered = {entry.name for entry, _ in named}
    for entry in _entries(str(top)):
        if _is_hidden(entry.name):
            listing.hidden.append(entry.path)
        elif entry.name not in entered:
            listing.other.append(entry.path)
    return named


def _called_like_splits(names: list[str]) -> list[str]:
    """What a person should know of classes whose names are those of splits, as where images lie in `train` itself."""
    found = [name for name in names if name.lower() in _SPLIT_FOLDERS]
    if "train" not in {_SPLIT_FOLDERS[name.lower()] for name in found}:
        return []
    is_class, it = ("is no split but a class", "it") if len(found) == 1 else ("are no splits but classes", "them")
    return [f"{' and '.join(found)} {is_class}: there are images in {it}, beside folders or without any"]


def _classes(folder: str, listing: Listing) -> list[os.DirEntry[str]]:
    """The class folders below a folder; a link is none where it leads to another one or to a folder above them."""
    found: list[os.DirEntry[str]] = []
    for entry in _entries(folder):
        if _is_hidden(entry.name):
            listing.hidden.append(entry.path)
        elif _is_folder(entry):
            found.append(entry)
        else:
            listing.other.append(entry.path)
    places = _Places.of(Path(folder), (entry.path for entry in found if not entry.is_symlink()))
    wrong = [entry for entry in found if entry.is_symlink() and places.leads_elsewhere(entry.path)]
    listing.links += [entry.path for entry in wrong]
    return [entry for entry in found if entry not in wrong]


def _list_images(top: str, name: str, given: int, listing: Listing, places: _Places) -> None:
    """Everything under one class folder. Each real folder is entered once, so that links in a circle come to an end."""
    own = Path(top).resolve()
    been: set[tuple[int, int]] = set()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            status, entries = Path(folder).stat(), list(_entries(folder))
        except (OSError, DataError) as fault:
            listing.notes.append(str(fault))
            continue
        if (status.st_dev, status.st_ino) in been:
            continue
        been.add((status.st_dev, status.st_ino))
        for entry in entries:
            if _is_hidden(entry.name):
                listing.hidden.append(entry.path)
            elif _is_folder(entry):
                away = entry.is_symlink() and places.leads_elsewhere(entry.path, own)
                (listing.links if away else waiting).append(entry.path)
            elif _is_image(entry):
                listing.images.append(Found(entry.path, name, given, _signature(entry)))
            else:
                listing.other.append(entry.path)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except OSError as fault:
        raise DataError(f"the folder {folder} cannot be listed: {fault.strerror}") from None


def _has_only_folders(folder: str) -> bool:
    entries = [entry for entry in _entries(folder) if not _is_hidden(entry.name)]
    return any(_is_folder(entry) for entry in entries) and not any(
        entry.is_file() and _is_image(entry) for entry in entries
    )


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _HIDDEN


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Following links; one that leads to itself is no folder."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Following links; one that leads to itself is no file."""
    try:
        return entry.is_file()
    except OSError:
        return False


def _is_image(entry: os.DirEntry[str]) -> bool:
    """By its suffix; without a known one, by its first bytes. A link to nowhere counts as what it is called."""
    suffix = "." + entry.name.rpartition(".")[2].lower() if "." in entry.name else ""
    if suffix in IMAGE_SUFFIXES:
        return _is_file(entry) or entry.is_symlink()
    if not _is_file(entry):
        return False
    try:
        with Path(entry.path).open("rb") as stream:
            start = stream.read(12)
    except OSError:
        return False
    return start.startswith(_SIGNATURES) and (not start.startswith(b"RIFF") or start[8:] == b"WEBP")


def _signature(entry: os.DirEntry[str]) -> tuple[int, int, int, int]:
    """Size, times of change (ns) and number of the file: another signature, perhaps another content."""
    try:
        status = entry.stat()
    except OSError:
        return (-1, 0, 0, 0)
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
