"""The files of an atlas while it is made: arrays, sheets, thumbnails, and what atlas.json says of every unit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from PIL import Image
from torch import Tensor

from striate.inside.atlases.array_files import ArrayFile
from striate.inside.atlases.cells import Cells
from striate.inside.atlases.exchange import Exchange
from striate.inside.atlases.filling import Look, shown
from striate.inside.atlases.selectivity import selectivity
from striate.inside.atlases.sheets import parts, patch_pictures, sheet, write_webp
from striate.inside.atlases.streams import Stream
from striate.inside.atlases.survey import Layer, Survey
from striate.inside.atlases.threads import Threads
from striate.layers.values import Pair

THUMBNAIL = 256
"""Pixels of the longer side of the images that an atlas carries, at most."""

LOSSLESS = 64
"""Images of at most so many pixels a side are kept as PNG, larger ones as JPEG."""


@final
class Plates:
    """The files of one atlas in the folder `draft`, open for writing inside a `with` block.

    The first process makes the files, each fills its share of their places.

    Attributes:
        files, cells: layer name -> its arrays, and the small pictures of its sheets.
    """

    def __init__(  # noqa: PLR0917
        self, exchange: Exchange, layers: Sequence[Layer], looks: dict[str, Look], top: int, images: Stream, stored: str
    ) -> None:
        self.exchange, self.draft = exchange, exchange.draft
        self.layers, self.looks, self.top, self.images = layers, looks, top, images
        self.stored = np.dtype(stored)
        self.files: dict[str, ArrayFile] = {}
        self.cells: dict[str, Cells] = {}
        self.labels: dict[int, int] = {}
        self._stack = ExitStack()
        self._stems = _stems([layer.name for layer in layers])

    def __enter__(self) -> Plates:
        for folder in ("layers", "sheets", "images"):
            (self.draft / folder).mkdir(exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, channels: int, found: Survey) -> None:
        """Makes the file of every layer and writes its places and class means."""
        with self.exchange.first_ahead():
            for layer in self.layers:
                stem, size = self._stems[layer.name], self.looks[layer.name].size
                arrays = self._arrays(layer, channels, found) if self.exchange.ranks.first else None
                file = ArrayFile(self.draft / "layers" / f"{stem}.safetensors", arrays)
                self.files[layer.name] = self._stack.enter_context(file)
                made = Cells(
                    self.draft / f"{stem}.cells", layer.shape[0], self.top, channels, size, make=arrays is not None
                )
                self.cells[layer.name] = made
                self._stack.callback(made.close)
                if arrays:
                    self._write_places(layer, found, file)

    def _arrays(self, layer: Layer, channels: int, found: Survey) -> dict[str, tuple[tuple[int, ...], DTypeLike]]:
        places = (layer.shape[0], self.top)
        cells = (*places, channels, *self.looks[layer.name].size)
        return {
            "values": (places, np.float32),
            "indices": (places, np.int64),
            "positions": ((*places, 2), np.int64),
            "patches": (cells, np.uint8),
            "projections": (cells, self.stored),
            "projection_scales": (places, np.float32),
            "class_means": (found.statistics[layer.name].class_means.shape, np.float32),
        }

    def _write_places(self, layer: Layer, found: Survey, file: ArrayFile) -> None:
        means = found.statistics[layer.name].class_means
        if means.size:
            file["class_means"][:] = means
        top = found.tops[layer.name]
        taken = shown(layer, top)
        file["values"][:] = np.where(taken, top.values.numpy(), 0)
        file["indices"][:] = np.where(taken, top.images.numpy(), -1)
        if len(layer.shape) == 3:
            rows, columns = np.divmod(top.positions.numpy(), layer.shape[2])
            file["positions"][:] = np.where(taken[..., None], np.stack([rows, columns], axis=-1), -1)
        else:
            file["positions"][:] = -1

    def take(self, index: int, picture: NDArray[np.uint8], label: int | None) -> None:
        """Keeps an image that is used, (channel, row, column), as a thumbnail, and its label."""
        image = Image.fromarray(patch_pictures(picture[None])[0])
        name = _picture(index, image.size)
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        image.save(self.draft / name, quality=85)  # which PNG has no use for
        if label is not None and label >= 0:
            self.labels[index] = label

    def draw(self, threads: Threads, progress: Callable[[int, int], None]) -> dict[str, list[str]]:
        """Draws the sheets when all that stands on them is there, each process its share; returns their names, layer by
        layer. `progress`: sheets done, and of how many."""
        self.exchange.ranks.meet()
        self.exchange.ranks.begin()
        drawn: dict[str, list[str]] = {}
        tasks = list[tuple[Path, Layer, range]]()
        for layer in self.layers:
            stem, shares = self._stems[layer.name], parts(self.cells[layer.name], layer.shape[0])
            drawn[layer.name] = [f"sheets/{stem}{f'-{n + 1}' if n else ''}.webp" for n in range(len(shares))]
            tasks += [(self.draft / name, layer, units) for name, units in zip(drawn[layer.name], shares, strict=True)]

        def draw(task: tuple[Path, Layer, range]) -> None:
            path, layer, units = task
            counts = (self.files[layer.name]["indices"] >= 0).sum(1).tolist()
            cells = self.cells[layer.name]
            write_webp(path, sheet(cells, units, counts), exact=cells.exact)

        for _ in threads.each(draw, tasks[self.exchange.hands]):
            progress(self.exchange.ranks.done(1), len(tasks))
        return drawn

    def describe(self, found: Survey, drawn: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
        """What atlas.json says of every layer, given the names of its sheets; when all processes have drawn theirs."""
        for labels in self.exchange.others(lambda: _as_tensors(self.labels)):
            self.labels |= _from_tensors(labels)
        described = list[dict[str, Any]]()
        for layer in self.layers:
            look = self.looks[layer.name]
            field = look.field and {k: list(getattr(look.field, k)) for k in ("size", "stride", "start")}
            described.append({
                "name": layer.name,
                "shape": list(layer.shape) if len(layer.shape) == 3 else [layer.shape[0], 1, 1],
                "activation": "after relu" if layer.rectified else "as computed",
                "method": "windows" if layer.chain else "whole images",
                "file": f"layers/{self._stems[layer.name]}.safetensors",
                "sheets": drawn[layer.name],
                "receptive_field": field,
                "shown": list(look.size),
                "units": self._units(layer, found),
            })  # fmt: skip
        return described

    def _units(self, layer: Layer, found: Survey) -> list[dict[str, Any]]:
        statistics, file = found.statistics[layer.name], self.files[layer.name]
        favoured, index = selectivity(statistics.class_means)
        values, indices, positions = (np.asarray(file[name]) for name in ("values", "indices", "positions"))
        dead, mean, zeros = statistics.dead.tolist(), statistics.mean.tolist(), statistics.zeros.tolist()
        return [
            {
                "unit": u,
                "dead": dead[u],
                "maximum": float(statistics.largest[u]),
                "mean": mean[u],
                "zeros": zeros[u],
                "selectivity": None if np.isnan(index[u]) else self._class(int(favoured[u])) | {"index":
                float(index[u])}, "top": [
                    self._place(layer, int(image), float(value), position)
                    for image, value, position in zip(indices[u], values[u], positions[u].tolist(), strict=True)
                    if image >= 0
                ],
            }
            for u in range(layer.shape[0])
        ]  # fmt: skip

    def _place(self, layer: Layer, image: int, value: float, position: list[int]) -> dict[str, Any]:
        look, vector = self.looks[layer.name], len(layer.shape) == 1
        flat = np.array(0 if vector else position[0] * layer.shape[2] + position[1])
        top, left, bottom, right = look.boxes[flat].tolist()
        rows, columns = look.image
        label = self.labels.get(image)
        return {
            "image": image,
            "source": str(self.images.sources[image]) if len(self.images.sources) else None,
            "label": label,
            "class": None if label is None else self._class(label)["name"],
            "value": value,
            "position": None if vector else position,
            "box": [top, left, bottom, right],
            "clipped": [max(top, 0), max(left, 0), min(bottom, rows), min(right, columns)],
            "shown": look.starts(flat[None])[0].tolist(),
            "picture": _picture(image, look.image),
        }

    def classes(self, found: Survey) -> list[str]:
        """The names of all classes that there are numbers for."""
        known = (len(statistics.class_counts) for statistics in found.statistics.values())
        return [self._class(label)["name"] for label in range(max(known))]

    def _class(self, label: int) -> dict[str, Any]:
        names = self.images.classes
        return {"class": label, "name": names[label] if label < len(names) else str(label)}


def _picture(index: int, sides: Pair) -> str:
    """The file that an image is kept in."""
    return f"images/{index:06d}.{'png' if max(sides) <= LOSSLESS else 'jpg'}"


def _as_tensors(labels: Mapping[int, int]) -> dict[str, Tensor]:
    return {"images": torch.tensor(list(labels)), "labels": torch.tensor(list(labels.values()))}


def _from_tensors(tensors: Mapping[str, Tensor]) -> dict[int, int]:
    return dict(zip(tensors["images"].tolist(), tensors["labels"].tolist(), strict=True))


def _stems(names: Sequence[str]) -> dict[str, str]:
    """File names for layers: their own, but for characters that some file systems refuse; all different."""
    stems: dict[str, str] = {}
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9._@-]", "_", name) or "module"
        taken = {other.lower() for other in stems.values()}
        stems[name] = stem if stem.lower() not in taken else f"{stem}~{len(stems)}"
    return stems
