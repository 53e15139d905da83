"""One training at work: steps in bursts, an event after each, validation and checkpoints after every epoch.

What a step does stands in `loop.py`. Between two events the training stands still and its state can be saved.

Processes that share a training do all of this at the same steps: an event or a checkpoint that one of them asks for,
all have; where Ctrl-C or SIGTERM stops one, all stop, with a checkpoint. The first alone writes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, final

import torch

from striate import files
from striate.data.batches import batches, resident
from striate.errors import Failure
from striate.model import Model
from striate.ranks import Ended
from striate.train import checkpoint, interrupts
from striate.train.evaluation import evaluate, evaluate_regression, score
from striate.train.events import Evaluated, Event, Finished, Saved, Started, Stepped
from striate.train.loop import take_step
from striate.train.runs import resume_command

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from striate.data import DataSet
    from striate.train.checkpoint import State
    from striate.train.runs import Metrics, Run
    from striate.train.workbench import Workbench

EVENT_SECONDS = 0.2
"""Longest time without an event, as long as single steps are shorter."""

RECORDS_PER_EPOCH = 50
"""About how many steps of an epoch are written to metrics.jsonl."""


@final
class Training:
    """One run at work. `metrics` is None in a process that does not write."""

    def __init__(self, run: Run, data: DataSet, bench: Workbench, state: State, metrics: Metrics | None) -> None:
        self.run, self.data, self.bench, self.state = run, data, bench, state
        self.sharing = bench.sharing
        self.train, self.validation = (resident(part, bench.engine.device) for part in (data.train, data.validation))
        self.metrics = metrics
        self.record_every = max(1, round(bench.steps / RECORDS_PER_EPOCH))
        self.saved_at = self.event_at = time.monotonic()
        self.saved_place = self._place()
        self.told: list[int] = []  # the signals by which this process is to stop

    def events(self, *, resumed: bool) -> Generator[Event]:
        """What happens, from here to the end of the run."""
        with self._held(), self._explained():
            yield self._started(resumed=resumed)
            with self._in_step():
                while (reason := self._ended()) is None:
                    yield from self._epoch()
            yield from self._finish(reason)

    def save(self) -> Saved:
        """Takes the last checkpoint, at this very step."""
        path = self.run.checkpoint("last")
        if self.metrics is not None:
            self.metrics.settle()
            self.state.metrics_bytes = self.metrics.length
            checkpoint.save(path, self.bench, self.state)
        self.saved_at, self.saved_place = time.monotonic(), self._place()
        return Saved(path, "last", *self.saved_place)

    @contextlib.contextmanager
    def _held(self) -> Generator[None]:
        """What a training holds while it works: its metrics and the other processes."""
        with contextlib.ExitStack() as held:
            held.enter_context(self.sharing)
            if self.metrics is not None:
                held.enter_context(contextlib.closing(self.metrics))
            if self.sharing.together:
                held.enter_context(self.sharing.ranks.telling())
            yield

    @contextlib.contextmanager
    def _in_step(self) -> Generator[None]:
        """Inside, none of several processes stops by itself: where one is told to, all do at the same step, and none is
        gone before the first has saved."""
        if not self.sharing.together:
            yield
            return
        with interrupts.deferred() as self.told:
            try:
                yield
            except Stopped:
                self.save()
                self.sharing.meet()
                raise

    def _place(self) -> tuple[int, int]:
        return self.state.epoch + 1, self.state.step

    def _started(self, *, resumed: bool) -> Started:
        epoch, step = self._place()
        return Started(
            out=self.run.path,
            epochs=self.bench.recipe.epochs,
            steps=self.bench.steps,
            images=len(self.data.train),
            parameters=sum(p.numel() for p in self.bench.module.parameters()),
            engine=str(self.bench.engine),
            epoch=epoch,
            step=step,
            resumed=resumed,
            processes=self.sharing.ranks.size,
            validation=len(self.data.validation),
            test=len(self.data.test),
        )

    def _ended(self) -> Literal["all epochs done", "no improvement on the validation split"] | None:
        recipe, state = self.bench.recipe, self.state
        if recipe.early_stopping and state.epoch - state.best_epoch >= recipe.early_stopping:
            return "no improvement on the validation split"
        return "all epochs done" if state.epoch >= recipe.epochs else None

    def _epoch(self) -> Iterator[Event]:
        self.event_at = time.monotonic()
        batched = self._batches()
        while self.state.step < self.bench.steps:
            yield self._burst(batched)
            (due,) = self.sharing.any(time.monotonic() - self.saved_at > self.bench.recipe.checkpoint_seconds)
            if due:
                yield self.save()
        yield from self._close_epoch()

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        recipe, state = self.bench.recipe, self.state
        return batches(
            self.train,
            recipe.batch_size,
            seed=recipe.seed,
            epoch=state.epoch,
            start_step=state.step,
            shard=(self.sharing.ranks.rank, self.sharing.ranks.size),
        )

    def _burst(self, batched: Iterator[tuple[Tensor, Tensor]]) -> Stepped:
        """Steps until it is time for an event: a recorded step, or `EVENT_SECONDS` have passed."""
        state, bench, began = self.state, self.bench, self.state.images
        end = self.event_at + EVENT_SECONDS
        with interrupts.deferred() as self.told, self._at_work():
            while True:
                images, labels = next(batched)
                state.learning_rate = take_step(bench, images, labels, state.epoch, state.step)
                state.step += 1
                state.images += len(labels)
                state.window += len(labels)
                recorded = state.step % self.record_every == 0 or state.step == bench.steps
                stop, late = self._asked(time.monotonic() > end)
                if recorded or stop or late:
                    break
            loss = bench.total.item() / state.window
            if recorded and math.isfinite(loss):
                self._record(loss)
        if stop:
            raise Stopped(stop)
        if not math.isfinite(loss):
            raise Diverged(f"the loss is {loss}, no finite number, at a learning rate of {state.learning_rate:.3g}")
        return self._stepped(loss, state.images - began, recorded=recorded)

    def _asked(self, late: bool = False) -> tuple[str, bool]:
        """What stops all processes, "" for nothing; and whether one of them is late."""
        *told, late = self.sharing.any(*(number in self.told for number in interrupts.ENDS), late)
        named = [name for name, came in zip(interrupts.ENDS.values(), told, strict=True) if came]
        return (f"stopped by {named[0]}" if named else ""), late

    def _heed(self) -> None:
        """Raises Stopped where one of the processes, all at the same place in their work, was told to stop."""
        stop, _ = self._asked()
        if stop:
            raise Stopped(stop)

    @contextlib.contextmanager
    def _at_work(self) -> Generator[None]:
        """Inside, PyTorch's threads, switches and random state are this training's."""
        with self.bench.engine.running(deterministic=self.bench.recipe.deterministic), self.bench.randomness.ours():
            yield

    def _record(self, loss: float) -> None:
        """Writes the mean loss since the last recorded step, and begins the next sum."""
        state = self.state
        epoch, step = self._place()
        self._note({"kind": "step", "epoch": epoch, "step": step, "loss": loss, "learning_rate": state.learning_rate})
        state.epoch_loss += loss * state.window
        state.epoch_images += state.window
        state.window = 0
        self.bench.total.zero_()

    def _note(self, line: Mapping[str, object]) -> None:
        if self.metrics is not None:
            self.metrics.append(line)

    def _stepped(self, loss: float, images: int, *, recorded: bool) -> Stepped:
        seconds = self._clock()
        epoch, step = self._place()
        return Stepped(
            epoch=epoch,
            step=step,
            loss=loss,
            learning_rate=self.state.learning_rate,
            images=self.state.images,
            images_per_second=images / max(seconds, 1e-9),
            recorded=recorded,
        )

    def _clock(self) -> float:
        """Books the time since the last event; returns it in seconds."""
        now = time.monotonic()
        passed, self.event_at = now - self.event_at, now
        self.state.seconds += passed
        self.state.epoch_seconds += passed
        return passed

    def _close_epoch(self) -> Iterator[Event]:
        """Validation, then the checkpoints: what `last` speaks of must lie on the disk before it."""
        evaluated = self._evaluated()
        with interrupts.deferred():
            self.state.close_epoch(asdict(evaluated))
            self._note({"kind": "epoch"} | asdict(evaluated))
            saved = self._save_epoch(evaluated)
        yield evaluated
        yield from saved

    def _evaluated(self) -> Evaluated:
        bench, state = self.bench, self.state
        with self._at_work():
            loss, accuracy = score(
                bench.judged,
                bench.preprocessing,
                self.validation,
                bench.engine,
                regression=not self.data.classes,
                sharing=self.sharing,
                heed=self._heed,
            )
        if not math.isfinite(loss):
            raise Diverged(f"the validation loss is {loss}, no finite number")
        self._clock()
        return Evaluated(
            epoch=state.epoch + 1,
            loss=loss,
            accuracy=accuracy,
            training_loss=state.epoch_loss / state.epoch_images,
            best=all(_rank(loss, accuracy) > _rank(past["loss"], past["accuracy"]) for past in state.history),
            seconds=state.epoch_seconds,
        )

    def _save_epoch(self, evaluated: Evaluated) -> list[Saved]:
        kinds: list[tuple[Literal["best", "epoch"], Path]] = []
        if evaluated.best:
            kinds.append(("best", self.run.checkpoint("best")))
        if self.bench.recipe.keep_epochs and kept_epoch(evaluated.epoch):
            kinds.append(("epoch", self.run.checkpoint(evaluated.epoch)))
        if self.metrics is not None:
            self.state.metrics_bytes = self.metrics.length
            for _, path in kinds:
                checkpoint.save(path, self.bench, self.state)
        return [*(Saved(path, kind, evaluated.epoch, self.bench.steps) for kind, path in kinds), self.save()]

    def _finish(self, reason: Literal["all epochs done", "no improvement on the validation split"]) -> Iterator[Event]:
        (missing,) = self.sharing.firsts(self.run.result is None)
        if missing:
            if self.sharing.first:
                self.run.model("best").save(self.run.path / "model.safetensors")
            self.sharing.meet()
            yield Saved(self.run.path / "model.safetensors", "model", self.state.best_epoch, self.bench.steps)
            result = self._result(reason)
            if self.sharing.first:
                files.write_json(self.run.path / "result.json", result)
            self.sharing.meet()
        yield self._finished()

    def _result(self, reason: str) -> dict[str, object]:
        """The test split scored, once, with the model as it was written: in float32."""
        model = Model.load(self.run.path / "model.safetensors")
        model.module.to(self.bench.engine.device)
        test: dict[str, object] = {}
        with self.bench.engine.running():
            if len(self.data.test):
                measure = evaluate if self.data.classes else evaluate_regression
                test = measure(model, self.data.test, ranks=self.sharing.ranks).as_json()
        best = self.state.history[self.state.best_epoch - 1]
        return {
            "reason": reason,
            "epochs": self.state.epoch,
            "best_epoch": self.state.best_epoch,
            "validation": {"loss": best["loss"], "accuracy": best["accuracy"]},
            "test": test,
            "images": self.state.images,
            "seconds": self.state.seconds,
        }

    def _finished(self) -> Finished:
        (told,) = self.sharing.ranks.agreed([json.dumps(self.run.result)])  # the others may not see the file yet
        result = json.loads(told)
        return Finished(
            out=self.run.path,
            reason=result["reason"],
            epochs=result["epochs"],
            best_epoch=result["best_epoch"],
            accuracy=result["test"].get("accuracy"),
            loss=result["test"].get("loss", result["test"].get("rmse")),
            seconds=result["seconds"],
        )

    @contextlib.contextmanager
    def _explained(self) -> Generator[None]:
        """Turns what stops a training into a `Failure`: the reason, what is kept, and the command that goes on."""
        try:
            yield
        except (KeyboardInterrupt, Ended) as end:
            if self.sharing.first:
                with self._explained():
                    self.save()
            raise Failure(f"{end if isinstance(end, Ended) else 'stopped by Ctrl-C'}; {self._kept()}") from None
        except (Diverged, checkpoint.NotFinite) as cause:
            advice = "the usual cure is a lower learning_rate in a new run"
            raise Failure(f"at {_place_text(self._place())}, {cause}; {advice}; {self._kept()}") from None
        except (Stopped, Failure) as cause:  # the latter of the other processes
            raise Failure(f"{cause}; {self._kept()}") from None
        except OSError as cause:
            full = cause.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "the disk is full" if full else f"a file could not be written or read ({cause})"
            raise Failure(f"{reason}; {self._kept()}") from None
        except RuntimeError as cause:  # torch's own, which has no finer classes for these
            reason = _reason(cause)
            if reason is None:
                raise
            raise Failure(f"{reason}; {self._kept()}") from None

    def _kept(self) -> str:
        return f"kept up to {_place_text(self.saved_place)}; to go on: {resume_command(self.run)}"


class Stopped(Exception):  # noqa: N818
    """One of the processes was told to stop; every one that shares the training knows of it and stands at one step."""


class Diverged(Exception):  # noqa: N818
    """The numbers have left the finite; becomes a `Failure` with the way back."""


def kept_epoch(epoch: int) -> bool:
    """Whether an epoch (from 1) is one of 1, 2, 5, 10, 20, 50, 100, ...: evenly spread on a logarithmic scale.

    Example:
        >>> [epoch for epoch in range(1, 101) if kept_epoch(epoch)]
        [1, 2, 5, 10, 20, 50, 100]
    """
    return str(epoch).rstrip("0") in ("1", "2", "5")


def _rank(loss: float, accuracy: float | None) -> tuple[float, float]:
    """Higher is better: accuracy first, then loss."""
    return (accuracy if accuracy is not None else 0.0, -loss)


def _place_text(place: tuple[int, int]) -> str:
    epoch, step = place
    return f"epoch {epoch}, step {step}"


def _reason(cause: RuntimeError) -> str | None:
    said = str(cause)
    if isinstance(cause, torch.OutOfMemoryError) or "can't allocate memory" in said:
        return "the memory does not suffice (a smaller batch_size needs less)"
    if "deterministic" in said:
        return f"deterministic = true cannot be held: {said.splitlines()[0]}"
    return None
