"""From a folder of class folders to a data set: list, look, divide, decode into the cache, and say what was odd."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from jaxtyping import Int64, UInt8

from striate.data import cache, oddities
from striate.data.dataset import DataSet, Split
from striate.data.findings import Findings, Unreadable, merged
from striate.data.folder import Found, Listing, listed, order
from striate.data.looks import condemn, looked_at
from striate.data.pixels import RULE, Seen
from striate.data.splits import divided
from striate.data.workers import decode_all
from striate.errors import DataError, Failure

if TYPE_CHECKING:
    from pathlib import Path

    from striate.data.options import Options


@final
@dataclass(frozen=True)
class Plan:
    """Which file becomes which row of the decoded images: train first, then validation, then test.

    Attributes:
        images, seen: the files in that order, and what is known of them.
        labels: int64, their classes.
        ends: where train, validation and test end among them.
        shape: (C, H, W) of every decoded image.
    """

    images: list[Found]
    seen: list[Seen]
    labels: Int64[np.ndarray, " n"]
    ends: tuple[int, int, int]
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    findings: Findings


def folder_data(top: Path, name: str, options: Options) -> DataSet:
    """The data set of a folder of class folders.

    Raises:
        DataError: fewer than two classes have images, or more than `options.max_bad` of the images are unreadable.
        Failure: the cache cannot be written.
    """
    listing = listed(top)
    seen = looked_at(top, listing.images, options.cache, options.progress)
    plan = planned(listing, seen, options)
    images = cache.images(_place(plan, options))
    if images is None or images.shape != (len(plan.images), *plan.shape):
        plan = _decoded(top, listing, seen, plan, options)
        images = cache.images(_place(plan, options))
    if images is None:
        raise Failure(f"the decoded images have vanished from the cache at {options.cache}; start again")
    train, validation, test = (
        Split(images[start:end], plan.labels[start:end], tuple(image.path for image in plan.images[start:end]))
        for start, end in zip((0, *plan.ends), plan.ends, strict=False)
    )
    mark = cache.fingerprint(_key(plan, options), plan.labels, plan.ends, plan.classes)
    return DataSet(name, plan.classes, train, validation, test, plan.findings.below(str(top)), mark)


def planned(listing: Listing, seen: list[Seen], options: Options) -> Plan:
    """Divides the readable images, and gathers what is odd about them."""
    pairs = list(zip(listing.images, seen, strict=True))
    good = [(image, look) for image, look in pairs if not look.reason]
    bad = tuple(Unreadable(image.path, look.reason) for image, look in pairs if look.reason)
    classes = tuple(sorted({image.class_name for image, _ in good}, key=order))
    _check(len(good), bad, classes, options.max_bad)
    labels = np.array([classes.index(image.class_name) for image, _ in good], np.int64)
    split = divided(labels, np.array([i.given for i, _ in good]), [look.content for _, look in good], options.seed)
    rows = np.argsort(split, kind="stable")
    images, looks = [good[i][0] for i in rows], [good[i][1] for i in rows]
    ends = np.searchsorted(split[rows], (0, 1, 2), side="right").tolist()
    if not ends[0]:
        raise DataError("the train split must hold at least one readable image, found none")
    paths, sizes = [image.path for image in images], [(look.width, look.height) for look in looks]
    findings = merged(
        listing.findings,
        images=len(good),
        unreadable=bad,
        empty_classes=tuple(sorted(listing.classes - set(classes), key=order)),
        missing=oddities.missing(classes, labels, split),
        duplicates=oddities.duplicates([look.content for look in looks], labels[rows], split[rows], paths),
        strays=oddities.strays(sizes, paths),
        notes=_colour_note([look.grey for look in looks]),
    )
    shape = options.shape(sizes, [look.grey for look in looks])
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
    return (f"{fewer:,} of {len(grey):,} images are {kind}, the others {rest}",) if fewer else ()


def _key(plan: Plan, options: Options) -> str:
    return cache.key(RULE, plan.shape, options.fit, [look.content for look in plan.seen])


def _place(plan: Plan, options: Options) -> Path:
    return options.cache / "images" / f"{_key(plan, options)}.npy"


def _decoded(top: Path, listing: Listing, seen: list[Seen], plan: Plan, options: Options) -> Plan:
    """Decodes every image of the plan into the cache. Where files turn out unreadable a new plan without them is made,
    and the rows of the others are copied, not decoded again."""
    place = _place(plan, options)
    with cache.new_images(place, (len(plan.images), *plan.shape)) as (draft, filled):
        faults = decode_all([image.path for image in plan.images], draft, options.fit, options.progress)
        if not faults:
            return plan
        reasons = {plan.images[row].path: reason for row, reason in faults.items()}
        condemn(top, reasons, options.cache)
        known = _with(reasons, listing, seen)
        again = planned(listing, known, options)
        if again.shape == plan.shape:
            _copy(filled, plan, again, options)
    place.unlink(missing_ok=True)
    # Where the unreadable images alone decided the shape, which is rare, nothing decoded so far is of use.
    return again if again.shape == plan.shape else _decoded(top, listing, known, again, options)


def _with(reasons: dict[str, str], listing: Listing, seen: list[Seen]) -> list[Seen]:
    return [
        look._replace(reason=reasons.get(image.path, look.reason))
        for image, look in zip(listing.images, seen, strict=True)
    ]


def _copy(filled: UInt8[np.ndarray, "n c h w"], plan: Plan, again: Plan, options: Options) -> None:
    row_of = {look.content: row for row, look in enumerate(plan.seen)}
    with cache.new_images(_place(again, options), (len(again.images), *again.shape)) as (_, second):
        for row, look in enumerate(again.seen):
            second[row] = filled[row_of[look.content]]
