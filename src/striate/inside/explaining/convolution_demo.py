"""The lecture's convolution, computed step by step: 5x5x3 in, a border of one zero, two filters of 3x3x3, stride 2.

All 18 outputs, 3x3 of each of two filters, are explained one after another, each with its 27 products. Weights and
biases are −1, 0 or 1 and inputs 0, 1 or 2, so that everything can be worked out on paper (after the demo of Stanford's
CS231n notes, Convolutional Networks).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from striate.inside.explaining.explain import explain
from striate.inside.explaining.explanation import Explanation
from striate.layers.values import Pair
from striate.network import Network

LAYER = "conv1"


@final
@dataclass(frozen=True, eq=False)
class ConvolutionDemo:
    """One draw of the demo.

    Attributes:
        network: the preset `convolution-demo`.
        x: the input, numbers 0, 1, 2.
        W: the filters, numbers −1, 0, 1.
        b: their biases, numbers −1, 0, 1.

    Example:
        >>> demo = ConvolutionDemo.drawn(seed=0)
        >>> demo.x.shape, demo.W.shape, len(list(demo.explanations()))
        ((3, 5, 5), (2, 3, 3, 3), 18)
    """

    network: Network
    x: Float[np.ndarray, "channel row column"]
    W: Float[np.ndarray, "filter channel row column"]
    b: Float[np.ndarray, " filter"]

    @classmethod
    def drawn(cls, seed: int = 0) -> ConvolutionDemo:
        """The demo with numbers drawn from this seed."""
        network = Network.preset("convolution-demo")
        assert network.input is not None, "the preset says what goes in"
        random = np.random.default_rng(seed)
        x = random.integers(0, 3, network.input).astype(np.float64)
        W = random.integers(-1, 2, (network.shapes[0][0], network.input[0], 3, 3)).astype(np.float64)
        b = random.integers(-1, 2, len(W)).astype(np.float64)
        return cls(network, x, W, b)

    @property
    def module(self) -> nn.Module:
        """The network as a module that holds the filters."""
        module = self.network.build()
        module.load_state_dict({f"{LAYER}.weight": torch.tensor(self.W), f"{LAYER}.bias": torch.tensor(self.b)})
        return module

    def explanations(self, unit: int | None = None, position: Pair | None = None) -> Iterator[Explanation]:
        """The outputs one after another, filter by filter, row by row.

        Arguments:
            unit: one filter only.
            position: one row and column only.

        Raises:
            ModelError: there is no such filter or position.
        """
        module, image = self.module, torch.tensor(self.x, dtype=torch.float32)
        units, rows, columns = self.network.shapes[0]
        places = [(i, j) for i in range(rows) for j in range(columns)] if position is None else [position]
        for o in range(units) if unit is None else [unit]:
            for place in places:
                yield explain(module, image, LAYER, o, place)
