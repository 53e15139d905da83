"""The atlas of a network: what excites every unit over a whole data set, beside its projection to the pixels.

Zeiler & Fergus 2014, Visualizing and Understanding Convolutional Networks, figure 2, for every unit of every layer.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from PIL import Image
from torch import Tensor, nn

from striate import files
from striate.errors import DataError, ModelError, UserError
from striate.inside.atlases.exchange import exchanging
from striate.inside.atlases.filling import Filling, Look, check_rule, shown
from striate.inside.atlases.folder import FORMAT, VERSION, Atlas
from striate.inside.atlases.plates import Plates
from striate.inside.atlases.ranking import ranked
from striate.inside.atlases.streams import stream
from striate.inside.atlases.survey import Layer, MarkStore
from striate.inside.atlases.threads import threads
from striate.inside.atlases.windows import chain
from striate.inside.projections.rules import RULES, Rule
from striate.inside.receptive.fields import receptive_fields
from striate.inside.watching.calls import Trace, trace
from striate.inside.watching.inputs import as_input
from striate.inside.watching.watch import undisturbed
from striate.layers.layer import shape_text
from striate.memory import keep_freed_memory
from striate.model import Model, Preprocessing
from striate.ranks import Ranks

Progress = Callable[[str, int, int | None], None]
"""Told the stage (`looking`, `projecting`, `drawing`), how many images, places or sheets are done, and of how many, if
known."""

PICTURES = (
    "uint8 images as they are; floats with the model's normalization undone, or, where there is none, each image "
    "stretched from its least to its greatest value"
)
"""How the images of an atlas became pictures; stands in it."""


def atlas(
    model: Model | nn.Module,
    data: object,
    out: Path | str,
    layers: Sequence[str] | None = None,
    top: int = 9,
    *,
    rule: Rule = "deconvnet",
    others: Literal["gradient"] | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
    stored: Literal["float32", "float16"] = "float32",
    classes: Sequence[str] = (),
    progress: Progress | None = None,
    ranks: Ranks | None = None,
) -> Atlas:
    """Makes the atlas of a network over a set of images, in a folder.

    **Units.** By default the feature maps of every 2-D convolution, under the convolution's name; their activations are
    read after the batch norm and the ReLU that directly follow it, as in the paper. Layers may be named instead,
    dense ones too.

    **The strongest activations.** For each unit the `top` images with the greatest maximum; each image counts once,
    at its first greatest position in row-major order. Order: value descending, data-set index ascending. The values
    are those of the module in its own precision, in blocks of images whose size depends only on the module and the
    image size; so how the data are batched changes nothing. With `precision="bfloat16"` a first, coarse pass keeps
    four times as many images; these are computed again in full precision and ranked by that. A unit's ranking is
    taken for proven when its weakest place is above the strongest value that an image left out can have, given four
    times the largest error seen in its layer; if any unit's is not, the whole data set is gone through in full
    precision. Units after a ReLU show only activations above 0.

    **Statistics** (mean, zeros, maximum, class means) come from the same pass.

    **Projections** are of the activation at that position alone, started from 1: the gradient of the activation under
    the rule.
    Chains of convolutions, ReLUs, batch norms and pools are projected on receptive-field windows, all else on whole
    images; both are the same to float32 rounding. Switches and positions are those of the pass that ranked the images,
    in its blocks: where two candidates of a pooling window are equal within rounding (about 1e-6), a pass over one
    image alone may choose the other one, and `project` then gives another projection, no less right.

    **Several processes** share the work and make the same files: images are looked at, and projections made, in the
    blocks and pieces of one process; equal values are ordered by image, and sums are exact. So all bits are the same
    where each process computes with as many threads; else values are to float32 rounding. Batches, which cannot be
    indexed, are read by every process. On several hosts, which must see one folder, all look at images; the processes
    on the first one's host then make the projections and pictures.

    **The page** is not made here: `striate atlas FOLDER` writes index.html into an atlas, as `report.atlas` does.

    Memory does not grow with the data set. On the CPU the C library is told to keep what is freed, as training does:
    page faults would take a tenth of the time.

    Arguments:
        model: a `Model`, which takes uint8 images; or any module, which takes preprocessed floats.
        data: see `streams.stream`: a data set, a split, an array, a tensor, or batches.
        out: the folder; an atlas that is there is replaced when the new one is complete, anything else is refused.
        layers: names of layers; all 2-D convolutions by default.
        top: places per unit, at least 1.
        rule, others: as in `rules.backward_rule`.
        precision: of the first pass.
        stored: type of the projections on the disk: float32 as they were computed; float16 takes half the space and is
            within 2.5e-4 of each one's largest value.
        classes: names of the classes, where neither the model nor the data set has them; classes of labels that have no
            name are called by their numbers.
        progress: told how far it is.
        ranks: the processes that call this together, `Ranks.joined()` under torchrun.

    Raises:
        ModelError: if a layer does not exist, has no units, or cannot be projected under the rule.
        DataError: if the data are not images that the model takes, said at once, or `out` holds something else.
        Failure: if an activation is not a finite number; if another process had a fault, or has other images.

    Example:
        >>> import tempfile
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
        >>> made = atlas(net, torch.rand(20, 1, 8, 8), Path(tempfile.mkdtemp()) / "atlas")
        >>> made.layers, len(made.unit("0", 1)["top"]) <= 9
        (('0',), True)
    """
    _check_arguments(top, rule, precision, stored)
    module, preprocessing = (model, None) if isinstance(model, nn.Module) else (model.module, model.preprocessing)
    named = tuple(classes) or (() if isinstance(model, nn.Module) else model.classes)
    images, out = stream(data, preprocessing, named), Path(out)
    name = type(model).__name__ if isinstance(model, nn.Module) else model.name
    _check_place(out)
    ranks = ranks or Ranks()
    with exchanging(out, ranks) as exchange, undisturbed(module) as still:
        first = next(iter(images.blocks(1)), None)
        if first is None:
            raise DataError("there are no images: the data set is empty")
        _check_shape(name, tuple(first.images.shape[1:]), preprocessing)
        x = as_input(still, images.normalized(first.images))
        if x.device.type == "cpu":
            keep_freed_memory()
        traced = _traced(name, still, x)
        chosen = _layers(traced, layers, rule)
        looks = _looks(module, chosen, traced)
        asked = name, [(layer.name, layer.shape) for layer in chosen], top, rule, others, precision, stored, named
        exchange.check_alike((*asked, images.count), [*still.parameters(), *still.buffers(), first.images])
        tell = progress or _untold
        with (
            Plates(exchange, chosen, looks, top, images, stored) as plates,
            threads(x.device) as some,
        ):
            filling = Filling(
                still, traced, images, exchange, looks, plates.files, plates.cells, rule, others, plates.take
            )
            for layer in chosen:
                if layer.chain is None:
                    check_rule(filling, layer, x)
            store = MarkStore()
            tell("looking", 0, images.count)
            found = ranked(
                still,
                traced,
                chosen,
                images,
                exchange,
                top=top,
                classes=len(images.classes),
                precision=precision,
                store=store,
                progress=lambda done: tell("looking", done, images.count),
            )
            plates.open(traced.image[0], found)
            places = sum(int(shown(layer, found.tops[layer.name]).sum()) for layer in chosen)
            tell("projecting", 0, places)
            filling.fill(chosen, found, store, some, lambda done: tell("projecting", done, places))
            tell("drawing", 0, len(chosen))
            drawn = plates.draw(some, lambda done, of: tell("drawing", done, of))
            described = plates.describe(found, drawn)
        contents = {
            "format": FORMAT, "version": VERSION, "model": name, "data": _data_name(data),
            "images": found.looked_at, "image": list(traced.image),
            "kept": _kept(exchange.draft, traced.image), "top": top, "rule": rule, "precision": precision,
            "classes": plates.classes(found), "pictures": PICTURES, "layers": described,
        }  # fmt: skip
        if ranks.first:
            files.write_json(exchange.draft / "atlas.json", contents, indent=None)
    return Atlas.open(out)


def _untold(stage: str, done: int, of: int | None) -> None:
    """The progress that nobody asked for."""


def _check_arguments(top: int, rule: str, precision: str, stored: str) -> None:
    if top < 1:
        raise ModelError(f"top must be at least 1, found {top}")
    if rule not in RULES:
        raise ModelError(f"rule must be one of {', '.join(RULES)}; found {rule!r}")
    if precision not in ("float32", "bfloat16"):
        raise ModelError(f"precision must be float32 or bfloat16, found {precision!r}")
    if stored not in ("float16", "float32"):
        raise ModelError(f"stored must be float16 or float32, found {stored!r}")


def _check_shape(name: str, found: tuple[int, ...], preprocessing: Preprocessing | None) -> None:
    """Raises DataError unless the images have the shape that the model says it takes."""
    if preprocessing is not None and found != tuple(preprocessing.shape):
        raise DataError(f"{name} takes images of {shape_text(preprocessing.shape)}, found {shape_text(found)}")


def _traced(name: str, still: nn.Module, x: Tensor) -> Trace:
    """The calls of the first image; a module that cannot be run on it is refused in one sentence."""
    try:
        return trace(still, x)
    except UserError:
        raise
    except Exception as fault:
        said = f"{type(fault).__name__}: {str(fault).partition(chr(10))[0]}"
        raise DataError(f"{name} cannot be run on an image of {shape_text(x.shape[1:])}: {said}") from fault


def _layers(traced: Trace, names: Sequence[str] | None, rule: Rule) -> list[Layer]:
    """The layers of these names, or all convolutions."""
    chosen = traced.convolutions() if names is None else tuple(dict.fromkeys(names))
    if not chosen:
        raise ModelError("the module has no 2-D convolution: name the layers to look at")
    unknown = [name for name in chosen if name not in traced.layers]
    if unknown:
        near = difflib.get_close_matches(unknown[0], traced.layers, n=5, cutoff=0.3) or list(traced.layers)[:10]
        raise ModelError(
            f"no layer {unknown[0]!r} is the result of one call when the module runs: nearest are {', '.join(near)}"
        )
    return [_layer(traced, name, rule) for name in chosen]


def _layer(traced: Trace, name: str, rule: Rule) -> Layer:
    number = traced.activation(name)
    call = traced.calls[number]
    if len(call.shape) not in (2, 4):
        raise ModelError(
            f"layer {name} gives {len(call.shape) - 1}-dimensional values: only maps and vectors have units"
        )
    followed = chain(traced, number, rule) if len(call.shape) == 4 else None
    return Layer(name, number, call.shape[1:], call.is_relu, followed)


def _looks(module: nn.Module, layers: Sequence[Layer], traced: Trace) -> dict[str, Look]:
    """Where the units look; receptive fields are measured only for layers that are no chains."""
    rows, columns = traced.image[1:]
    others = any(layer.chain is None and len(layer.shape) == 3 for layer in layers)
    fields = receptive_fields(module, traced.image) if others else {}
    return {layer.name: Look.of(layer, fields.get(layer.name), (rows, columns)) for layer in layers}


def _kept(draft: Path, image: Sequence[int]) -> list[int]:
    """Rows and columns of the images that the atlas carries; those of the images themselves where it carries none."""
    first = next(iter((draft / "images").iterdir()), None)
    if first is None:
        return list(image[1:])
    with Image.open(first) as picture:
        return [picture.height, picture.width]


def _data_name(data: object) -> str:
    """What the data are called; "" where they have no name: a tensor's is None."""
    return str(getattr(data, "name", None) or "")


def _check_place(out: Path) -> None:
    """Raises DataError if something stands there that is neither an atlas nor an empty folder."""
    if out.exists() and not (out / "atlas.json").exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is there already and is not an atlas: choose another folder")
