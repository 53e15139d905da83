"""The network before convolution came, and what is put between layers: activations, dropout, batch normalization."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from lecture.studies import Study, regression
from striate import Network, pictures
from striate.layers.activation import Activation
from striate.layers.rectifiers import Relu
from striate.layers.sigmoids import Sigmoid, Tanh
from striate.pictures.colors import MUTED
from striate.report.canvas import Canvas
from striate.report.plots import STYLE, Curve, Plot, curves

SEEDS = range(5)

LEFT_OUT = (160, 205, 223)
"""No gray, so that a unit that is left out looks like none that is there."""

DEEP = ", ".join(["dense 64, sigmoid"] * 5) + ", dense 10"
DEEP_NORMALIZED = ", ".join(["dense 64, batchnorm, sigmoid"] * 5) + ", dense 10"


def ann(study: Study, path: Path) -> None:
    """The 3-4-4-1 network as a graph; the weights are those it learned."""
    run = regression(study.place)
    weights = [w.detach().numpy() for name, w in run.model().module.named_parameters() if name.endswith("weight")]
    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(5.2, 2.6))
        axes = figure.add_subplot()
        axes.set_axis_off()
        for layer, W in enumerate(weights):
            _edges(axes, layer, W)
        for layer, units in enumerate([3, *(len(W) for W in weights)]):
            _nodes(axes, layer, units)
        axes.set_xlim(-0.4, 3.4)
        axes.set_ylim(-2.3, 2)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _edges(axes: Axes, layer: int, W: np.ndarray) -> None:
    """A line for each weight: its colour is the weight's, on one scale for each layer, and so is its width."""
    limit = np.abs(W).max()
    colors = pictures.diverging(W, "BrBG", limit) / 255
    for (o, c), w in np.ndenumerate(W):
        ends = [_height(c, W.shape[1]), _height(o, W.shape[0])]
        axes.plot([layer, layer + 1], ends, color=colors[o, c], linewidth=0.5 + 3 * abs(w) / limit, zorder=1)


def _nodes(axes: Axes, layer: int, units: int) -> None:
    heights = [_height(unit, units) for unit in range(units)]
    axes.scatter([layer] * units, heights, s=520, facecolor="#fbfaf7", edgecolor="#1c1f23", linewidth=0.75, zorder=2)
    stem = ("x", "h¹", "h²", "out")[layer]
    for unit, height in enumerate(heights):
        name = stem if units == 1 else f"{stem}{chr(0x2081 + unit)}"
        axes.text(layer, height, name, ha="center", va="center_baseline", zorder=3)
    axes.text(layer, -2.2, f"{units}", ha="center", color="#666a70")


def _height(unit: int, units: int) -> float:
    return (units - 1) / 2 - unit


def activations(study: Study) -> Plot:
    """The three functions."""
    del study
    return _functions("activations", "the functions", "f(x)", lambda layer, x: layer.f(x))


def slopes(study: Study) -> Plot:
    """Their derivatives: those of sigmoid and tanh vanish on both sides."""
    del study
    return _functions("slopes", "their slopes", "f ′(x)", lambda layer, x: layer.derivative(x))


def _functions(name: str, title: str, y: str, of: Callable[[Activation, np.ndarray], np.ndarray]) -> Plot:
    x = np.insert(np.linspace(-3, 3, 61), 31, 1e-12)  # just above 0, where the slope of ReLU steps up
    kinds: tuple[Activation, ...] = (Relu(), Tanh(), Sigmoid())
    lines = [Curve(kind.word, x.round(5).tolist(), of(kind, x).round(5).tolist()) for kind in kinds]
    return curves(name, lines, title=title, x="x", y=y)


def dropout(study: Study) -> Canvas:
    """The hundred units of the dense layer, in evaluation and in three steps of training."""
    layer = nn.Dropout(0.5)
    values = torch.from_numpy(study.seen["relu3"])
    limit = float(values.max()) * 2
    cell, margin = 128, 16
    canvas = Canvas(2 * margin + 4 * cell + 3 * 24)
    canvas.picture(margin, margin, pictures.gray(values.reshape(10, 10).numpy(), limit), cell)
    canvas.text(margin, margin + cell, "evaluation: all 100", color=MUTED)
    for step in range(3):
        torch.manual_seed(step)
        with torch.random.fork_rng():
            kept = layer(torch.ones(100)).reshape(10, 10).numpy()
        drawn = pictures.gray(kept * values.reshape(10, 10).numpy(), limit)
        drawn[kept == 0] = LEFT_OUT
        x = margin + (step + 1) * (cell + 24)
        canvas.picture(x, margin, drawn, cell)
        canvas.text(x, margin + cell, f"training, step {step + 1}: {int((kept > 0).sum())}", color=MUTED)
    return canvas


def gradients(study: Study) -> Plot:
    """How long the gradient of every layer's weights is before training, with and without batch normalization."""
    x = study.model.preprocessing.normalize(torch.from_numpy(study.digits.train.images[:256].copy()))
    labels = torch.from_numpy(study.digits.train.labels[:256].copy())
    lines = []
    for name, text in (("with batch norm", DEEP_NORMALIZED), ("without", DEEP)):
        norms = np.log10([_norms(text, seed, x, labels) for seed in SEEDS])
        places = list(range(1, norms.shape[1] + 1))
        low, high = norms.min(0).tolist(), norms.max(0).tolist()
        lines.append(Curve(name, places, norms.mean(0).tolist(), low, high))
    title = f"Gradient of each layer before training, n = {len(SEEDS)}"
    return curves("gradients", lines, title=title, x="dense layer", y="log₁₀ of the length", whole_x=True)


def _norms(text: str, seed: int, x: torch.Tensor, labels: torch.Tensor) -> list[float]:
    module = Network.parse(f"input 1x28x28, {text}").build(seed)
    weights = [part.weight for part in module if isinstance(part, nn.Linear)]
    slopes = torch.autograd.grad(nn.functional.cross_entropy(module(x), labels), weights)
    return [float(slope.norm()) for slope in slopes]
