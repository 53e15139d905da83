"""Training speed, ours beside the others', in one run: `python benchmarks/training.py --help`.

Rates: every contestant trains the same network on the same images in a process of its own, one after the other, A B C
D A B C D ..., so that a machine whose speed drifts slows all of them alike. What is quoted is the median of the ratios
of neighbours. To 99%: seconds from the shell prompt to the first epoch's end at which the test accuracy is at least
99%, ours against Keras's own MNIST example. Needs `pip install -r benchmarks/requirements.txt`.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import peers

from striate import data

SHARES = {"keras-mnist": 24_000, "vgg": 2_048}  # images of an epoch: a few seconds each for the slowest
EPOCHS = 3  # the first warms up
CONTESTANTS = ("striate", *peers.PEERS)


def main() -> None:
    options = _options()
    if options.child:
        print(json.dumps(_measure(options.child, options.workload, options.source)))
    elif options.to_99:
        _race(options.source, options.rounds)
    else:
        _compare(options.workload, options.source, options.rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", choices=SHARES, help="the network")
    parser.add_argument("source", help="its images: mnist, cifar10, or a folder")
    parser.add_argument("--rounds", type=int, default=5, help="how often every contestant runs")
    parser.add_argument(
        "--to-99", action="store_true", help="seconds from the prompt to 99%% on MNIST instead of rates"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def _compare(workload: str, source: str, rounds: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for turn in range(rounds):
        for name in CONTESTANTS:
            rates[name].append(statistics.median(_child(name, workload, source)))
            print(f"round {turn + 1}, {name}: {rates[name][-1]:,.0f} images/s", file=sys.stderr)
    print(_machine())
    print(f"\n{workload} on {source}, batch {peers.BATCH}, {rounds} rounds\n")
    print("| | images/s, median (least to most) | striate is faster by, median (least to most) |\n| --- | --- | --- |")
    for name, found in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(rates["striate"], found, strict=True)]
        print(f"| {name} | {_spread(found, ',.0f')} | {_spread(ratios, '.2f')} |")


def _child(name: str, workload: str, source: str) -> list[float]:
    words = [sys.executable, __file__, workload, source, "--child", name]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def _measure(name: str, workload: str, source: str) -> list[float]:
    size, channels = ((28, 28), 1) if workload == "keras-mnist" else ((32, 32), 3)
    loaded = data.load(source, size=size, channels=channels)
    if name == "striate":
        return _ours(workload, loaded)
    images = np.asarray(loaded.train.images[: SHARES[workload]])
    mean, std = data.statistics(loaded.train)
    scaled = (images / 255 - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1))
    labels = np.asarray(loaded.train.labels[: SHARES[workload]])
    return peers.PEERS[name](workload, scaled.astype(np.float32), labels, EPOCHS)


def _ours(workload: str, loaded: data.DataSet) -> list[float]:
    """Our training as a user gets it, augmentation off as in the others; the rate of the epochs' steps alone, as
    theirs: neither validation nor checkpoints are in it."""
    from dataclasses import replace

    from striate import Network, Recipe, train
    from striate.data.augment import Augmentation

    share, held = SHARES[workload], slice(SHARES[workload])
    fewer = replace(
        loaded,
        train=data.Split(loaded.train.images[held], loaded.train.labels[held], loaded.train.sources[:share]),
        validation=data.Split(loaded.validation.images[:500], loaded.validation.labels[:500], [""] * 500),
        test=data.Split(loaded.test.images[:0], loaded.test.labels[:0], []),
    )
    recipe = Recipe(epochs=EPOCHS, batch_size=peers.BATCH, augmentation=Augmentation())
    network = Network.load(peers.TEXTS[workload])
    seconds = [0.0] * EPOCHS
    images = [0] * EPOCHS
    with tempfile.TemporaryDirectory() as folder:
        before = 0
        for event in train.fit(network, fewer, recipe, out=Path(folder) / "run"):
            if isinstance(event, train.Stepped):
                taken = event.images - before
                before = event.images
                seconds[event.epoch - 1] += taken / event.images_per_second
                images[event.epoch - 1] += taken
    return [count / time for count, time in zip(images, seconds, strict=True)][1:]


def _race(source: str, rounds: int) -> None:
    ours: list[float] = []
    theirs: list[float] = []
    for turn in range(rounds):
        ours.append(_to_99_ours(source))
        theirs.append(_to_99_keras(source))
        print(f"round {turn + 1}: striate {ours[-1]:.1f} s, keras {theirs[-1]:.1f} s", file=sys.stderr)
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    print(f"{_machine()}\n\nseconds from the prompt to 99% on full MNIST, {rounds} rounds, median (least to most)\n")
    print("| striate | keras | sooner by |\n| --- | --- | --- |")
    print(f"| {_spread(ours, '.1f')} | {_spread(theirs, '.1f')} | {_spread(ratios, '.1f')} |")


def _to_99_ours(source: str) -> float:
    """`striate train SOURCE --net vanilla` to its end, which scores the test split; it must have reached 99%."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", source, "--net", "vanilla", "--out", f"{folder}/run", "--json"]
        begin = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "striate", *words], check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - begin
    accuracy = json.loads(done.stdout)["test"]["accuracy"]
    if accuracy < 0.99:
        raise SystemExit(f"striate reached {accuracy:.2%} only, in {seconds:.1f} s")
    return seconds


def _to_99_keras(source: str) -> float:
    """Keras's example, its process from start to the end of the first epoch with 99% on the test images."""
    words = [sys.executable, str(Path(__file__).with_name("keras_mnist.py")), source]
    begin = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True, text=True)
    return time.perf_counter() - begin


def _spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _machine() -> str:
    import torch

    packages = ", ".join(f"{name} {version(name)}" for name in ("striate", "torch", "keras", "lightning"))
    return f"{platform.machine()}, {torch.get_num_threads()} threads, Python {platform.python_version()}, {packages}"


if __name__ == "__main__":
    main()
