"""What the full scale of the claims takes, and what bfloat16 spares: `python benchmarks/claims.py --help`.

Every training that a claim asks for at its published setting is noted (each is taken for one short epoch on a few
images made at random, so that the claim comes to its end), and one step of each different network is timed, on one
core, in float32 and, where the processor has instructions for it, in bfloat16 in turn. Hours are steps times the time
of a step: scoring comes on top, and tuning by steps may end sooner. Images made at random take as long as real ones, so
that nothing is downloaded.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from striate.claims import catalogue
from striate.claims.claim import Claim, Setting
from striate.claims.comparing import trial as conducting
from striate.claims.comparing.trial import Trial, conduct, engine
from striate.claims.comparing.trials import Trials
from striate.data import DataSet, Findings, Split
from striate.data.batches import batches, resident
from striate.network import Network
from striate.train.engine import Engine, Precision
from striate.train.loop import take_step
from striate.train.workbench import matching, preprocessing, set_up

PUBLISHED = {"mnist": (60_000, 1, 28), "cifar10": (50_000, 3, 32)}
FEW = 160  # images on which a claim is brought to its end
WARM = 4  # steps before the clock


def main() -> None:
    options = _options()
    learning = [claim for claim in catalogue.CLAIMS if claim.learns]
    both = not Engine.choose(device="cpu", precision="bfloat16").emulates
    precisions: tuple[Precision, ...] = ("float32", "bfloat16") if both else ("float32",)
    print(f"{'claim':26}{'trainings':>10}{'steps':>12}", *(f"{name:>9}" for name in precisions), "   faster" * both)
    for claim in [catalogue.find(name) for name in options.claims] or learning:
        data = _random(*PUBLISHED[claim.published])
        trials = planned(claim, data)
        steps = [_steps(trial, data) for trial in trials]
        hours = [
            sum(seconds[trial.network] * count for trial, count in zip(trials, steps, strict=True)) / 3600
            for seconds in _timed(trials, data, options.steps, options.rounds, precisions)
        ]
        counts = f"{claim.name:26}{len(trials):>10,}{sum(steps):>12,}"
        print(counts, *(f"{one:>7.1f} h" for one in hours), f"{hours[0] / hours[-1]:>9.2f}" * both, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claims", nargs="*", help="names or numbers; all that train by default")
    parser.add_argument("--steps", type=int, default=10, help="steps timed at a time, of which the median counts")
    parser.add_argument("--rounds", type=int, default=3, help="how often each precision has its turn")
    return parser.parse_args()


def planned(claim: Claim, data: DataSet) -> list[Trial]:
    """Every training that the claim asks for at its published setting."""
    asked: list[Trial] = []
    scored = replace(data, validation=_first(data.validation), test=_first(data.test))
    few = replace(scored, train=_first(data.train))

    def noted(trial: Trial, _: DataSet) -> dict[str, Any]:
        asked.append(trial)
        return conduct(replace(trial, recipe=trial.recipe.changed(epochs=1), until=None), few)

    conducting.conduct = noted
    try:
        with tempfile.TemporaryDirectory() as folder, Trials(scored, Path(folder)) as trials:
            claim.study(Setting(scored, "full", trials).of(claim))
    finally:
        conducting.conduct = conduct
    return asked


def _timed(
    trials: list[Trial], data: DataSet, steps: int, rounds: int, precisions: tuple[Precision, ...]
) -> list[dict[str, float]]:
    """Seconds of a step by network, in each precision."""
    found: list[dict[str, float]] = [{} for _ in precisions]
    for trial in {trial.network: trial for trial in trials}.values():
        taken: list[list[float]] = [[] for _ in precisions]
        for _ in range(rounds):
            for times, precision in zip(taken, precisions, strict=True):
                own = replace(trial, recipe=trial.recipe.changed(precision=precision))
                times.append(_seconds(own, data, steps))
        for seconds, times in zip(found, taken, strict=True):
            seconds[trial.network] = statistics.median(times)
    return found


def _seconds(trial: Trial, data: DataSet, steps: int) -> float:
    network = matching(Network.parse(trial.network, allow_large=True), data)
    computing = engine(trial.recipe)
    bench = set_up(network, data, trial.recipe, computing, preprocessing(data, "crop"))
    train, taken = resident(data.train, computing.device), []
    with computing.running(), bench.randomness.ours():
        batched = batches(train, trial.recipe.batch_size, seed=0, epoch=0)
        for step, (images, labels) in enumerate(islice(batched, WARM + steps)):
            began = time.perf_counter()
            take_step(bench, images, labels, 0, step)
            taken.append(time.perf_counter() - began)
    return statistics.median(taken[WARM:])


def _steps(trial: Trial, data: DataSet) -> int:
    images = min(len(data.train), trial.view.images or len(data.train))
    return trial.recipe.epochs * -(-images // trial.recipe.batch_size)


def _random(images: int, channels: int, side: int) -> DataSet:
    draws = np.random.default_rng(0)

    def split(count: int) -> Split:
        pixels = draws.integers(0, 256, (count, channels, side, side), np.uint8)
        return Split(pixels, np.arange(count) % 10, ("",) * count)

    held_out = images // 12  # as `data.load` keeps it back for validation
    return DataSet(
        "random", tuple("0123456789"), split(images - held_out), split(held_out), split(10_000), Findings(), "random"
    )


def _first(split: Split) -> Split:
    rows = np.arange(FEW)
    return replace(split, images=split.images[rows], labels=split.labels[rows], sources=split.sources[:FEW])


if __name__ == "__main__":
    main()
