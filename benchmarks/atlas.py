"""The atlas against its peers: same module, same images, same machine, one run.

    pip install --no-deps captum==0.9.0 tqdm                # for the peer's projections
    pip install --no-deps zennit==0.5.1 zennit-crp==0.6.0   # for the peer's top-k; it needs torchvision too
    python benchmarks/atlas.py WEIGHTS.safetensors IMAGES.zip [--images 1000] [--units 4] [--rounds 3] [--out FILE.json]

WEIGHTS: AlexNet's convolutions, conv1 ... conv5. IMAGES: a zip of pictures of at least 224x224.

What is timed, in wall-clock seconds, with everything warm:
- bare: a forward pass of the module over all images, in blocks of 64, channels_last, normalized first, nothing kept.
- looking: our streaming pass, with rankings, statistics and switches; alternating with bare, medians of `rounds`.
- atlas: all of `atlas()`: looking, projections, patches, statistics, files and sheets.
- captum: `NeuronDeconvolution`, projections alone, nine whole images a call, for `units` units of each layer, scaled up
  to all units of the layer (each call costs the same).
- loop: the plain way to the top nine: a forward hook per layer, all maxima kept, sorted at the end.
- zennit-crp: its feature visualization's run over the data set, where it is installed; 100 images, scaled up.
- vgg16: random weights, layers 1 to 7, projections at random positions: ours, and captum's scaled up as above.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import operator
import os
import platform
import statistics
import tempfile
import time
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from striate.data.dataset import Split
from striate.inside.atlases.atlas import atlas
from striate.inside.atlases.projecting import Pairs, Projections, project_windows
from striate.inside.atlases.streams import stream
from striate.inside.atlases.survey import Layer, MarkStore, block_size, marking, padded, survey
from striate.inside.atlases.threads import threads
from striate.inside.atlases.windows import chain
from striate.inside.watching.calls import Reading, run, trace
from striate.inside.watching.watch import undisturbed
from striate.model import Model

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def alexnet(weights: Path | None = None) -> nn.Sequential:
    module = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 64, 11, 4, 2), relu1=nn.ReLU(), pool1=nn.MaxPool2d(3, 2),
            conv2=nn.Conv2d(64, 192, 5, 1, 2), relu2=nn.ReLU(), pool2=nn.MaxPool2d(3, 2),
            conv3=nn.Conv2d(192, 384, 3, 1, 1), relu3=nn.ReLU(), conv4=nn.Conv2d(384, 256, 3, 1, 1), relu4=nn.ReLU(),
            conv5=nn.Conv2d(256, 256, 3, 1, 1), relu5=nn.ReLU(),
        )
    )  # fmt: skip
    if weights is not None:
        module.load_state_dict(load_file(weights))
    return module.eval()


def vgg16_to_conv7() -> nn.Sequential:
    torch.manual_seed(0)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for number, width in enumerate((64, 64, 128, 128, 256, 256, 256), start=1):
        layers[f"conv{number}"], layers[f"relu{number}"] = nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()
        if number in (2, 4):
            layers[f"pool{number}"] = nn.MaxPool2d(2)
        channels = width
    return nn.Sequential(layers).eval()


def pictures(archive: Path, count: int) -> np.ndarray:
    """uint8 (count, 3, 224, 224), central crops."""
    with zipfile.ZipFile(archive) as packed:
        names = sorted(n for n in packed.namelist() if n.lower().endswith((".jpg", ".jpeg", ".png")))[:count]
        return np.stack([central(Image.open(io.BytesIO(packed.read(name))).convert("RGB")) for name in names])


def central(image: Image.Image) -> np.ndarray:
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    return np.asarray(image.crop((left, top, left + 224, top + 224))).transpose(2, 0, 1)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def layers_of(module: nn.Module, x: Tensor) -> tuple[Any, list[Layer]]:
    traced = trace(module, x)
    found = list[Layer]()
    for name in traced.convolutions():
        number = traced.activation(name)
        call = traced.calls[number]
        found.append(Layer(name, number, call.shape[1:], call.rectifies, chain(traced, number, "deconvnet")))
    return traced, found


def looking(model: Model, images: np.ndarray, rounds: int) -> dict[str, float]:
    """Medians of alternating passes: bare, and ours."""
    source = stream(images, model.preprocessing)

    def bare() -> None:
        with torch.no_grad():
            for block in source.blocks(64):
                x = source.normalized(block.images)
                model.module(x.contiguous(memory_format=torch.channels_last))

    with undisturbed(model.module) as still:
        traced, layers = layers_of(still, source.normalized(torch.from_numpy(images[:1])))

        def ours() -> None:
            survey(still, traced, layers, source, top=9, store=MarkStore())

        bare()
        ours()
        pairs = [(timed(bare), timed(ours)) for _ in range(rounds)]
    return {
        "bare": statistics.median(b for b, _ in pairs),
        "looking": statistics.median(o for _, o in pairs),
        "looking to bare": statistics.median(o / b for b, o in pairs),
    }


def plain_loop(model: Model, images: np.ndarray) -> float:
    """The top nine by hooks that keep every maximum."""
    kept: dict[str, list[Tensor]] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda part, given, y: kept.setdefault(name, []).append(y.flatten(2).max(2).values)

    parts = [(name, part) for name, part in model.module.named_children() if name.startswith("relu")]
    with contextlib.ExitStack() as stack:
        for name, part in parts:
            stack.callback(part.register_forward_hook(keep(name)).remove)

        def work() -> None:
            with torch.no_grad():
                for first in range(0, len(images), 64):
                    model.module(model.preprocessing.normalize(torch.from_numpy(images[first : first + 64])))
            for maxima in kept.values():
                torch.cat(maxima).topk(9, 0)

        return timed(work)


def captum_projections(module: nn.Module, x: Tensor, layers: list[Layer], units: int) -> dict[str, float] | None:
    """Seconds for nine projections of all units of each layer, from `units` of them."""
    try:
        from captum.attr import NeuronDeconvolution  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    seconds: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum's, on its own hooks
        for layer in layers:
            method = NeuronDeconvolution(module, module.get_submodule(layer.name))
            row, column = layer.shape[1] // 2, layer.shape[2] // 2
            method.attribute(x.clone().requires_grad_(), (0, row, column))
            each = [
                timed(partial(method.attribute, x.clone().requires_grad_(), (unit, row, column)))
                for unit in range(units)
            ]
            seconds[layer.name] = statistics.median(each) * layer.shape[0]
    return seconds


def crp_top(model: Model, images: np.ndarray) -> float | None:
    """zennit-crp's run over the data set that ranks all units of all convolutions."""
    try:
        from crp.attribution import CondAttribution  # pyright: ignore[reportMissingImports]
        from crp.concepts import ChannelConcept  # pyright: ignore[reportMissingImports]
        from crp.visualization import FeatureVisualization  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    few = model.preprocessing.normalize(torch.from_numpy(images[:100]))
    data = [(image, 0) for image in few]
    names = [name for name, part in model.module.named_children() if isinstance(part, nn.Conv2d)]
    head = nn.Sequential(model.module, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    concepts = {f"0.{name}": ChannelConcept() for name in names}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        shown = FeatureVisualization(CondAttribution(head), data, concepts, preprocess_fn=nn.Identity(), path=folder)
        return timed(partial(shown.run, _composite(), 0, len(data), 10)) * len(images) / len(data)


def _composite() -> Any:
    from zennit.composites import EpsilonPlusFlat  # pyright: ignore[reportMissingImports]

    return EpsilonPlusFlat()


def vgg(images: np.ndarray, units: int) -> dict[str, Any]:
    """Projections of nine places of every unit of layers 1 to 7, at random positions of nine images."""
    module, generator = vgg16_to_conv7(), np.random.default_rng(0)
    preprocessing = Model.foreign(module, (3, 224, 224), mean=MEAN, std=STD).preprocessing
    x = preprocessing.normalize(torch.from_numpy(images[:9]))
    with undisturbed(module) as still:
        traced, layers = layers_of(still, x[:1])

        def ours() -> None:
            store, kept = MarkStore(), dict[int, Tensor]()
            for first in range(0, 9, block_size(traced)):
                filled, count = padded(x[first : first + block_size(traced)], block_size(traced))
                with torch.no_grad():
                    run(still, filled, Reading(traced, {}, marking(layers, kept)))
                marks = {call: mark[:count] for call, mark in kept.items()}
                store.add(range(first, first + count), marks)
            for layer in layers:
                assert layer.chain is not None
                pairs = _random_pairs(layer, generator)
                pieces = project_windows(layer.chain, pairs, store, torch.device("cpu"), forget)
                with threads(torch.device("cpu")) as some:
                    for _ in some.each(operator.call, pieces):
                        pass

        ours()
        seconds = timed(ours)
        peer = captum_projections(module, x, layers, units)
    return {"ours": seconds, "captum": peer and sum(peer.values()), "captum by layer": peer}


def forget(projections: Projections) -> None:
    """Takes projections and does nothing with them."""
    del projections


def _random_pairs(layer: Layer, generator: np.random.Generator) -> Pairs:
    units, places = (part.ravel() for part in np.indices((layer.shape[0], 9)))
    positions = generator.integers(0, layer.shape[1:], (len(units), 2))
    return Pairs(units, places, places, positions)


def stages(record: dict[str, float]) -> Callable[[str, int, int | None], None]:
    """A progress listener that notes the seconds of each stage."""
    last: list[Any] = ["start", time.perf_counter()]

    def tell(stage: str, done: int, of: int | None) -> None:
        now = time.perf_counter()
        record[last[0]] = record.get(last[0], 0.0) + now - last[1]
        last[:] = [stage, now]

    return tell


def measured(arguments: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    images = pictures(arguments.archive, arguments.images)
    model = Model.foreign(alexnet(arguments.weights), (3, 224, 224), mean=MEAN, std=STD, name="alexnet")
    yield "machine", f"{platform.machine()}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}"
    yield "torch", torch.__version__
    yield "streaming", looking(model, images, arguments.rounds)
    data, by_stage = Split(images, np.arange(len(images)), [str(k) for k in range(len(images))]), dict[str, float]()
    with tempfile.TemporaryDirectory() as folder:
        whole = timed(lambda: atlas(model, data, Path(folder) / "atlas", progress=stages(by_stage)))
    yield "atlas", {"all": whole} | by_stage
    x = model.preprocessing.normalize(torch.from_numpy(images[:9]))
    with undisturbed(model.module) as still:
        layers = layers_of(still, x[:1])[1]
    peer = captum_projections(model.module, x, layers, arguments.units)
    yield "captum", peer
    if peer:
        yield "captum's projections to our atlas", sum(peer.values()) / whole
    yield "plain loop, top nine", plain_loop(model, images)
    yield "zennit-crp, top", crp_top(model, images)
    found = vgg(images, arguments.units)
    yield "vgg16 conv1-7", found
    if found["captum"]:
        yield "vgg16: captum to ours", found["captum"] / found["ours"]


def main() -> None:
    parser = argparse.ArgumentParser(description="The atlas against its peers.")
    parser.add_argument("weights", type=Path, help="AlexNet's convolutions, .safetensors")
    parser.add_argument("archive", type=Path, help="zip of pictures")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--units", type=int, default=4, help="units of each layer that the peer's time is taken from")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where the numbers go, as JSON")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    for name, value in measured(arguments):
        results[name] = value
        print(f"{name}: {json.dumps(value)}", flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
