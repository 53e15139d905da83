"""Two atlases for tests of their page: a real one of a small network, and a made-up one of as many units as wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from torch import nn

from striate.data import Split
from striate.inside.atlases.atlas import atlas
from striate.inside.atlases.folder import Atlas
from striate.model import Model

CLASSES = ("<script>alert(1)</script>", "猫 & $x$", "noise")
NAME = "</script><b>stripes</b>"
DEAD = 2
"""A unit of conv2 that is dead; others may be."""


def make_small(out: Path) -> Atlas:
    """Two convolutions over 60 images of three classes, with names that try to break a page."""
    return atlas(Model.foreign(module(), (3, 12, 12), classes=CLASSES, name=NAME), pictures(), out)


def module() -> nn.Sequential:
    torch.manual_seed(0)
    layers = {"conv1": nn.Conv2d(3, 6, 3, padding=1), "relu1": nn.ReLU(), "pool1": nn.MaxPool2d(2)}
    net = nn.Sequential()
    for name, layer in {**layers, "conv2": nn.Conv2d(6, 9, 3, padding=1), "relu2": nn.ReLU()}.items():
        net.add_module(name, layer)
    with torch.no_grad():
        cast("nn.Conv2d", net[3]).bias[DEAD] = -1e4  # pyright: ignore[reportOptionalSubscript]
    return net


def pictures() -> Split:
    """Horizontal stripes, vertical stripes, noise."""
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 3
    images = rng.integers(0, 96, (60, 3, 12, 12))
    images[labels == 0, :, ::2] += 160
    images[labels == 1, :, :, ::2] += 160
    return Split(images.astype(np.uint8), labels.astype(np.int64), [f'photos/"{i}" & co.png' for i in range(60)])


def write_large(folder: Path, units: int) -> Path:
    """So many units of 9 places in one layer, written as the format says; returns the folder."""
    rng = np.random.default_rng(2)
    (folder / "layers").mkdir()
    (folder / "images").mkdir()
    for index in range(20):
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / f"images/{index}.png")
    arrays = {
        "patches": rng.integers(0, 256, (units, 9, 1, 5, 5), dtype=np.uint8),
        "projections": rng.uniform(-1, 1, (units, 9, 1, 5, 5)).astype(np.float16),
        "projection_scales": rng.uniform(0.1, 1, (units, 9)).astype(np.float32),
        "class_means": rng.uniform(0, 1, (4, units)).astype(np.float32),
    }
    save_file(arrays, folder / "layers" / "wide.safetensors")
    values = rng.uniform(0, 10, units)
    layer = {
        "name": "wide", "shape": [units, 12, 12], "activation": "after relu", "method": "windows", "sheets": [],
        "file": "layers/wide.safetensors", "receptive_field": {"size": [5, 5], "stride": [1, 1], "start": [0, 0]},
        "shown": [5, 5], "units": [_unit(u, float(values[u])) for u in range(units)],
    }  # fmt: skip
    contents = {
        "format": "striate atlas", "version": 1, "model": "wide", "data": "noise", "images": 20, "image": [1, 16, 16],
        "top": 9, "rule": "deconvnet", "precision": "float32", "classes": list("abcd"), "layers": [layer],
    }  # fmt: skip
    (folder / "atlas.json").write_text(json.dumps(contents), encoding="utf-8")
    return folder


def _unit(unit: int, value: float) -> dict[str, Any]:
    places = [_place((unit + k) % 20, value) for k in range(9)]
    favoured = {"class": unit % 4, "name": "abcd"[unit % 4], "index": 0.5}
    shares = {"mean": 1.0, "zeros": 0.5, "selectivity": favoured}
    return {"unit": unit, "dead": False, "maximum": value, **shares, "top": places}


def _place(image: int, value: float) -> dict[str, Any]:
    return {
        "image": image, "source": f"image {image}", "label": image % 4, "class": "abcd"[image % 4], "value": value,
        "position": [3, 4], "box": [3, 4, 8, 9], "clipped": [3, 4, 8, 9], "shown": [3, 4],
        "picture": f"images/{image}.png",
    }  # fmt: skip
