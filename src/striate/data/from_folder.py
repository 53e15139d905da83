"""From a folder of class folders to a data set: list, look, divide, decode into the cache, and say what was odd."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from striate.data import cache, oddities
from striate.data.dataset import DataSet, Split
from striate.data.decoding import Plan, decoded, key
from striate.data.findings import Findings, Unreadable, merged
from striate.data.folder import Listing, listed, order
from striate.data.splits import divided
from striate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from striate.data.options import Options
    from striate.data.pixels import Seen


def folder_data(top: Path, name: str, options: Options) -> DataSet:
    """The data set of a folder of class folders.

    Raises:
        DataError: fewer than two classes have images, or more than `options.max_bad` of the images are unreadable.
        Failure: the cache cannot be written.
    """
    listing = listed(top)
    plan, images = decoded(top, listing, lambda seen: planned(listing, seen, options), options)
    train, validation, test = (
        Split(images[start:end], plan.labels[start:end], tuple(image.path for image in plan.images[start:end]))
        for start, end in zip((0, *plan.ends), plan.ends, strict=False)
    )
    mark = cache.fingerprint(key(plan, options), plan.labels, plan.ends, plan.classes)
    return DataSet(name, plan.classes, train, validation, test, plan.findings.below(str(top)), mark)


def planned(listing: Listing, seen: list[Seen], options: Options) -> Plan:
    """Divides the readable images, and gathers what is odd about them."""
    pairs = list(zip(listing.images, seen, strict=True))
    good = [(image, look) for image, look in pairs if not look.reason]
    bad = tuple(Unreadable(image.path, look.reason) for image, look in pairs if look.reason)
    classes = tuple(sorted({image.class_name for image, _ in good}, key=order))
    _check(len(good), bad, classes, options.max_bad)
    places = {name: place for place, name in enumerate(classes)}
    labels = np.array([places[image.class_name] for image, _ in good], np.int64)
    split = divided(labels, np.array([i.given for i, _ in good]), [look.content for _, look in good], options.seed)
    rows = np.argsort(split, kind="stable")
    images, looks = [good[i][0] for i in rows], [good[i][1] for i in rows]
    ends = np.searchsorted(split[rows], (0, 1, 2), side="right").tolist()
    if not ends[0]:
        raise DataError("the train split must hold at least one readable image, found none")
    paths, sizes = [image.path for image in images], [(look.width, look.height) for look in looks]
    shape = options.shape(sizes, [look.grey for look in looks])
    findings = merged(
        listing.findings,
        images=len(good),
        unreadable=bad,
        empty_classes=tuple(sorted(listing.classes - set(classes), key=order)),
        missing=oddities.missing(classes, labels, split),
        duplicates=oddities.duplicates([look.content for look in looks], labels[rows], split[rows], paths),
        strays=oddities.strays(sizes, paths),
        notes=(*_colour_note([look.grey for look in looks]), *_size_note(sizes, shape, options)),
    )
    return Plan(images, looks, labels[rows], (ends[0], ends[1], ends[2]), classes, shape, findings)


def _check(good: int, bad: tuple[Unreadable, ...], classes: tuple[str, ...], max_bad: float) -> None:
    share = Findings(images=good, unreadable=bad).share_unreadable
    causes = ", ".join(f"{reason} ({n:,})" for reason, n in Counter(u.reason for u in bad).most_common(3))
    if bad and not good:
        raise DataError(f"none of the {len(bad):,} images can be read: {causes}")
    if share > max_bad:
        raise DataError(
            f"{len(bad):,} of {good + len(bad):,} images ({share:.1%}) cannot be read: {causes}; allowed are "
            f"{max_bad:.1%}; --max-bad {share + 0.005:.2f} (in Python max_bad={share + 0.005:.2f}) goes on without them"
        )
    if len(classes) < 2:
        raise DataError(f"at least two classes must hold a readable image, found {', '.join(classes) or 'none'}")


def _colour_note(grey: list[bool]) -> tuple[str, ...]:
    count = sum(grey)
    fewer, kind = (count, "grey") if 2 * count <= len(grey) else (len(grey) - count, "in colour")
    rest = "in colour" if kind == "grey" else "grey"
    verb = "is" if fewer == 1 else "are"
    return (f"{fewer:,} of {len(grey):,} images {verb} {kind}, the others {rest}",) if fewer else ()


def _size_note(sizes: list[tuple[int, int]], shape: tuple[int, int, int], options: Options) -> tuple[str, ...]:
    """A sentence where images become smaller without anybody having asked for it; sizes are (width, height)."""
    larger = [size for size in sizes if size[0] > shape[2] or size[1] > shape[1]]
    if options.size or not larger:
        return ()
    (width, height), often = Counter(larger).most_common(1)[0]
    low, high = min(map(max, larger)), max(map(max, larger))
    of = f"of {height}x{width} pixels" if often == len(larger) else f"with a longer side of {low:,} to {high:,} pixels"
    verb, kept = ("is", "it") if len(larger) == 1 else ("are", "them")
    many = f"{len(larger):,} of {len(sizes):,}" if len(larger) < len(sizes) else f"all {len(sizes):,}"
    brought = f"{many} images, {of}, {verb} brought to {shape[1]}x{shape[2]}"
    return (f"{brought}; a larger --size (in Python size=) keeps more of {kept}",)
