"""Looking at every image file of a folder once: content, size, grey or not; remembered for the next start.

A file is looked at again when its signature (size, times of change, number) is another than last time, or when it was
changed so shortly before the last look that a further change could carry the same times. What may pass is not
remembered: a disk that failed, memory that ran out, a process that was killed. Nor is what another Pillow found. A file
that crashed the decoder is not given to it again, unless its content is another.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.data import cache
from striate.data.pixels import RULE, Fault, Seen
from striate.data.workers import CRASHED, Progress, seen_all, silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from striate.data.folder import Found

_SETTLED = 2_000_000_000
"""Nanoseconds: file systems keep times of change no finer than this, some of them."""


def looked_at(top: Path, images: Sequence[Found], root: Path, progress: Progress = silent) -> list[Seen]:
    """What is known of every image file of the folder `top`; `root` is the cache."""
    place = _place(top, root)
    known: dict[str, list[Any]] = _remembered(place)
    found = [_still_true(known.get(image.path), image) for image in images]
    unknown = [i for i, known_image in enumerate(found) if known_image is None]
    if unknown:
        now = time.time_ns()
        with cache.attempt(place) as died:
            looks = seen_all([images[i].path for i in unknown], progress, apart=died)
        for i, seen in zip(unknown, looks, strict=True):
            found[i] = _or_condemned(seen, known.get(images[i].path))
        _remember(place, images, found, now)
    return [seen for seen in found if seen is not None]


def condemn(top: Path, faults: Mapping[str, Fault], root: Path) -> None:
    """Remembers that these files, by path, cannot be decoded although their headers looked well, and why."""
    place = _place(top, root)
    known = _remembered(place)
    for path, fault in faults.items():
        if path in known and not fault.passing:
            known[path][5:] = Seen(*known[path][5:])._replace(reason=fault.reason)
    cache.write_json(place, {"rule": _rule(), "files": known})


def _rule() -> list[object]:
    """What a look depends on besides the file."""
    import PIL

    return [RULE, PIL.__version__]


def _place(top: Path, root: Path) -> Path:
    return root / "looks" / f"{cache.key(str(top.resolve()))}.json"


def _remembered(place: Path) -> dict[str, list[Any]]:
    held = cache.read_json(place)
    return held["files"] if isinstance(held, dict) and held.get("rule") == _rule() else {}


def _still_true(entry: list[Any] | None, image: Found) -> Seen | None:
    if entry is None:
        return None
    seen = Seen(*entry[5:])
    if seen.reason == CRASHED:
        return seen if seen.content == cache.content(Path(image.path)) else None
    return seen if tuple(entry[:4]) == image.signature and entry[4] else None


def _or_condemned(seen: Seen, entry: list[Any] | None) -> Seen:
    """The new look, but with the verdict of an earlier decoding if the content is still the same."""
    earlier = Seen(*entry[5:]) if entry else seen
    return earlier if seen.content and earlier.content == seen.content and earlier.reason else seen


def _remember(place: Path, images: Sequence[Found], found: Sequence[Seen | None], now: int) -> None:
    files = {
        image.path: [*image.signature, max(image.signature[1:3]) < now - _SETTLED, *seen]
        for image, seen in zip(images, found, strict=True)
        if seen is not None and not seen.passing
    }
    cache.write_json(place, {"rule": _rule(), "files": files})
