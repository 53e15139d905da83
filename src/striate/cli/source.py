"""Loading data as the commands do: with their options, and with progress on the terminal or in lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from striate.cli import console
from striate.report.numbers import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from striate.data import DataSet

LINE_SECONDS = 60.0
"""Between two lines of progress where there is no terminal."""


@final
@dataclass(frozen=True)
class Source:
    """Where a command's images come from: what `data.load` takes, None for what was not said.

    Attributes:
        name_or_path: and all that follow as in `data.load`.
    """

    name_or_path: str
    size: tuple[int, int] | None = None
    channels: int | None = None
    fit: str | None = None
    root: Path | None = None
    max_bad: float | None = None
    seed: int = 0

    @classmethod
    def of_json(cls, held: Mapping[str, Any]) -> Source:
        """The source that `as_json` wrote, or that a caller in Python named, with only what `data.load` needs."""
        size, root = held.get("size"), held.get("root")
        return cls(
            name_or_path=held["name_or_path"],
            size=(size[0], size[1]) if size else None,
            channels=held.get("channels"),
            fit=held.get("fit"),
            root=Path(root) if root else None,
            max_bad=held.get("max_bad"),
            seed=held.get("seed", 0),
        )

    def as_json(self) -> dict[str, object]:
        """What a run keeps of it, so that the same data can be loaded from any folder."""
        from striate import data
        from striate.files import expanded

        named = self.name_or_path in data.NAMES
        return {
            "name_or_path": self.name_or_path if named else str(expanded(self.name_or_path).resolve()),
            "size": list(self.size) if self.size else None,
            "channels": self.channels,
            "fit": self.fit,
            "root": str(self.root.resolve()) if self.root else None,
            "max_bad": self.max_bad,
            "seed": self.seed,
        }

    def at(self, size: tuple[int, int] | None, channels: int | None) -> Source:
        """The same images at another size and number of channels."""
        return replace(self, size=size, channels=channels)

    def load_unlabelled(self) -> DataSet | None:
        """The images of a folder without class folders, `size` and `channels` known; None where it is not one."""
        from striate import data
        from striate.data.unlabelled import load_unlabelled

        if self.name_or_path in data.NAMES:
            return None
        assert self.size is not None
        assert self.channels is not None
        given: dict[str, Any] = {} if self.fit is None else {"fit": self.fit}
        with Bar() as bar:
            return load_unlabelled(self.name_or_path, (self.channels, *self.size), progress=bar, **given)

    def load(self) -> DataSet:
        """Loads the data, with a progress bar on standard error where that is a terminal."""
        from striate import data

        given = {"fit": self.fit, "root": self.root, "max_bad": self.max_bad}
        chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        with Bar() as bar:
            return data.load(
                self.name_or_path, size=self.size, channels=self.channels, seed=self.seed, progress=bar, **chosen
            )


@final
class Bar:
    """A consumer of progress: a bar on standard error once there is something to wait for and someone looks.

    Where standard error is a file or a pipe, a line every `LINE_SECONDS` instead.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._drawn = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console.console(error=True),
            transient=True,
        )
        self._tasks: dict[str, Any] = {}
        self._clock = clock
        self._begun: dict[str, tuple[float, int]] = {}
        self._told = clock()

    def __enter__(self) -> Bar:
        if self._drawn.console.is_terminal:
            self._drawn.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn.console.is_terminal:  # elsewhere rich would leave an empty line
            self._drawn.stop()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Shows that `done` of `total` are done of `what`; None where nobody knows of how many."""
        if not self._drawn.console.is_terminal:
            self._tell(what, done, total)
            return
        if what not in self._tasks:
            self._tasks[what] = self._drawn.add_task(what, total=total)
        self._drawn.update(self._tasks[what], completed=done, total=total)

    def _tell(self, what: str, done: int, total: int | None) -> None:
        now = self._clock()
        began, from_here = self._begun.get(what, (now, done))
        if done <= from_here:  # also where the same work begins again, as with the next of several comparisons
            began, from_here = self._begun[what] = now, done
        if now - self._told < LINE_SECONDS or done == total:
            return
        self._told = now
        left = ""
        if total is not None and done > from_here:
            left = f", about {seconds((now - began) / (done - from_here) * (total - done))} left"
        console.note(f"{what}: {done}{'' if total is None else f' of {total}'}{left}")
