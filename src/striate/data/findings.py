"""What was odd about a source of images: everything that was skipped, and everything a person should look at.

Values only: whoever meets something odd adds it here; nothing is dropped without an entry.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, final

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = 5
"""How many examples of each kind the short text names; the JSON names all."""


@final
@dataclass(frozen=True)
class Unreadable:
    """One image that could not be used, and why."""

    source: str
    reason: str


@final
@dataclass(frozen=True)
class Duplicate:
    """Images of exactly the same content.

    Attributes:
        sources: where they stand, in the data set's order.
        across: `splits` where a copy stands in another split (the test score is then too good), `classes` where the
            copies carry different labels (one of them is wrong), `none` where they agree.
    """

    sources: tuple[str, ...]
    across: Literal["splits", "classes", "none"]


@final
@dataclass(frozen=True)
class Stray:
    """An image whose longer side is over four times the usual one, or under a quarter of it; used all the same."""

    source: str
    width: int
    height: int


@final
@dataclass(frozen=True)
class Findings:
    """What was met on the way from files to a data set; all but `images` and `notes` are faults or oddities.

    Files of a folder are named by their path below it.

    Attributes:
        images: how many images are used.
        unreadable: images that are not used, with the reason.
        empty_classes: classes without a single usable image; they are no classes of the data set.
        missing: classes without an image in one of the splits, as `rose (test)`.
        duplicates: groups of images with the same content; all of them are used.
        strays: images of an odd size; used.
        hidden: hidden files and folders (.DS_Store, Thumbs.db, ._x, .git), not looked into.
        other: files that are no images, or that lie outside every class folder; not used.
        notes: whatever else was decided for the user, one sentence each.

    Example:
        >>> Findings(images=10, hidden=(".DS_Store",)).text()
        '10 images; 1 hidden file, not looked into (.DS_Store)'
    """

    images: int = 0
    unreadable: tuple[Unreadable, ...] = ()
    empty_classes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    strays: tuple[Stray, ...] = ()
    hidden: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def share_unreadable(self) -> float:
        """Unreadable images over all images met, 0 to 1."""
        met = self.images + len(self.unreadable)
        return len(self.unreadable) / met if met else 0.0

    def as_json(self) -> dict[str, object]:
        """Everything, complete, as JSON can hold it; bytes of a file name that are not UTF-8 are escaped."""
        listed = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {key: _escaped(value) for key, value in listed.items()}

    @classmethod
    def of_json(cls, held: dict[str, Any]) -> Findings:
        """The findings that `as_json` wrote."""
        kinds = {"unreadable": Unreadable, "strays": Stray, "duplicates": _duplicate}
        known = {key: value for key, value in held.items() if key == "images"}
        for key, items in held.items():
            if key != "images":
                known[key] = tuple(kinds[key](**item) if key in kinds else item for item in items)
        return cls(**known)

    def below(self, top: str) -> Findings:
        """The same with files named by their path below the folder `top`.

        Example:
            >>> Findings(hidden=("my/pets/cat/.DS_Store",)).below("my/pets").hidden
            ('cat/.DS_Store',)
        """

        def short(source: str) -> str:
            return source.removeprefix(os.path.join(top, ""))  # noqa: PTH118 - Path would drop the leading ./

        return replace(
            self,
            unreadable=tuple(replace(found, source=short(found.source)) for found in self.unreadable),
            duplicates=tuple(replace(found, sources=tuple(map(short, found.sources))) for found in self.duplicates),
            strays=tuple(replace(found, source=short(found.source)) for found in self.strays),
            hidden=tuple(map(short, self.hidden)),
            other=tuple(map(short, self.other)),
        )

    def text(self) -> str:
        """One line: every kind of finding with its count and its first few names."""
        return "; ".join([f"{self.images:,} images", *self.lines()])

    def lines(self) -> list[str]:
        """One line per kind of finding that there is; none where nothing was odd."""
        same = {
            kind: [" = ".join(d.sources) for d in self.duplicates if d.across == kind]
            for kind in ("splits", "classes", "none")
        }
        unreadable = [f"{u.source}: {u.reason}" for u in self.unreadable]
        odd = [f"{s.source}: {s.width}x{s.height}" for s in self.strays]
        found = [
            _line(unreadable, "unreadable image", "unreadable images", "left out"),
            _line(self.empty_classes, "empty class", "empty classes", "left out"),
            _line(self.missing, "class missing from a split", "classes missing from a split"),
            _line(same["splits"], "image in two splits", "images in two splits", "used in both"),
            _line(same["classes"], "image with two labels", "images with two labels", "used with both"),
            _line(same["none"], "repeated image", "repeated images", "used each time"),
            _line(odd, "image of an odd size", "images of an odd size", "used all the same"),
            _line(self.hidden, "hidden file", "hidden files", "not looked into"),
            _line(self.other, "file that is no image of a class", "files that are no image of a class", "left out"),
        ]
        return [escaped(line) for line in (*found, *self.notes) if line]


def merged(findings: Findings, **more: object) -> Findings:
    """`findings` with these attributes appended to (tuples) or replaced (`images`)."""
    known = {f.name: getattr(findings, f.name) for f in fields(Findings)}
    for name, value in more.items():
        known[name] = (*known[name], *value) if isinstance(value, tuple) else value
    return Findings(**known)


def escaped(text: str) -> str:
    """`text` with the bytes of a file name that are no UTF-8 as backslash escapes, so that it can be printed."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _duplicate(sources: Sequence[str], across: Literal["splits", "classes", "none"]) -> Duplicate:
    return Duplicate(tuple(sources), across)


def _escaped(value: object) -> object:
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_escaped(item) for item in value]
    return value


def _line(items: Sequence[str], one: str, many: str, done: str = "") -> str:
    """`2 hidden files, not looked into (.DS_Store, Thumbs.db)`, with what was done; "" where there are none."""
    if not items:
        return ""
    shown = ", ".join(items[:_SHOWN]) + (", ..." if len(items) > _SHOWN else "")
    named = one if len(items) == 1 else many
    return f"{len(items):,} {named}{done and f', {done}'} ({shown})"
