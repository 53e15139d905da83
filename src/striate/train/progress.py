"""Progress on a terminal: one bar with loss, validation accuracy, images/s and time left; plain lines elsewhere.

A consumer of events, and the only file of this room that writes to a screen.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self, final

from striate import decimals
from striate.train.events import Evaluated, Event, Finished, Started, Stepped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

REDRAW_SECONDS = 0.25
"""Shortest time between two drawings of the bar; one takes about 2 ms, so that drawing costs under 1%."""

SMOOTHING = 0.8
"""Share of the old value in the smoothed images/s."""


@final
class Progress:
    """Shows events as they come: `with Progress() as progress: run(..., watch=progress)`.

    Arguments:
        console: where to; standard error unless given, so that a program's output stays clean.
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console

        self.console = console or Console(stderr=True)
        self.drawn = 0
        self._bar: tuple[Bar, TaskID] | None = None
        self._drawn_at = 0.0
        self._speed = 0.0
        self._started: Started | None = None
        self._validation = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __call__(self, event: Event) -> None:
        match event:
            case Started():
                self._begin(event)
            case Stepped():
                self._step(event)
            case Evaluated():
                self._epoch(event)
            case Finished():
                self._end(event)
            case _:
                pass

    def _begin(self, event: Started) -> None:
        self._started = event
        over = event.epoch > event.epochs
        again = f", going on at epoch {event.epoch}, step {event.step}" if event.resumed and not over else ""
        epochs = "1 epoch" if event.epochs == 1 else f"{event.epochs} epochs"
        self._say(f"{event.images:,} images, {event.parameters:,} parameters, {epochs}{again}")
        shared = f"; each batch is shared by {event.processes} processes" if event.processes > 1 else ""
        self._say("nothing is left to train" if over else f"engine: {event.engine}{shared}")
        if self.console.is_terminal and not over:
            self._open(event)

    def _open(self, event: Started) -> None:
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        bar = Bar(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self.console,
            auto_refresh=False,
        )
        total = event.epochs * event.steps
        done = (event.epoch - 1) * event.steps + event.step
        task = bar.add_task("", total=total, completed=done, epoch=f"{event.epoch}/{event.epochs}", said="")
        bar.start()
        self._bar = bar, task

    def _step(self, event: Stepped) -> None:
        self._speed = SMOOTHING * (self._speed or event.images_per_second) + (1 - SMOOTHING) * event.images_per_second
        now = time.monotonic()
        if self._bar is None or self._started is None or now - self._drawn_at < REDRAW_SECONDS:
            return
        said = f"loss {event.loss:.3f}{self._validation}  {self._speed:,.0f} images/s"
        bar, task = self._bar
        done = (event.epoch - 1) * self._started.steps + event.step
        bar.update(task, completed=done, epoch=f"{event.epoch}/{self._started.epochs}", said=said)
        bar.refresh()
        self.drawn += 1
        self._drawn_at = now

    def _epoch(self, event: Evaluated) -> None:
        images = self._started.validation if self._started else 0
        score = f"loss {event.loss:.4g}" if event.accuracy is None else f"accuracy {_percent(event.accuracy, images)}"
        self._validation = f"  validation {score}"
        total = f"/{self._started.epochs}" if self._started else ""
        best = ", best so far" if event.best else ""
        said = f"epoch {event.epoch}{total}: training loss {event.training_loss:.4g}, validation {score}{best}"
        self._say(f"{said}; {event.seconds:.1f} s, {self._speed:,.0f} images/s")
        if self._bar is not None and self._started is not None:  # its last steps may have come too soon to be drawn
            bar, task = self._bar
            bar.update(task, completed=event.epoch * self._started.steps)

    def _end(self, event: Finished) -> None:
        self._close()
        if event.accuracy is not None:
            score = f"test accuracy {_percent(event.accuracy, self._started.test if self._started else 0)}"
        else:
            score = f"test error {event.loss:.4g}" if event.loss is not None else ""
        kept = f"weights of epoch {event.best_epoch}"
        said = f"{score} with the {kept}" if score else f"the {kept} are kept, and no test images to score them on"
        self._say(f"{event.reason}: {said}; {event.seconds:.1f} s of training")

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _close(self) -> None:
        if self._bar is not None:
            bar, task = self._bar
            bar.update(task, said=self._validation.strip())
            bar.stop()
            self._bar = None


def _percent(share: float, images: int) -> str:
    return decimals.percent(share, decimals.of_score(images))
