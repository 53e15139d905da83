"""The lecture's convolution, followed with plain loops."""

from __future__ import annotations

import numpy as np

from striate.inside.explaining.convolution_demo import ConvolutionDemo


def test_the_lectures_convolution_by_nested_loops() -> None:
    demo = ConvolutionDemo.drawn(seed=3)
    assert set(np.unique(demo.x)) <= {0, 1, 2}
    assert set(np.unique(np.append(demo.W, demo.b))) <= {-1, 0, 1}
    found = {(each.unit, each.position): each for each in demo.explanations()}
    assert len(found) == 18
    for o in range(2):
        for i in range(3):
            for j in range(3):
                total = float(demo.b[o])
                for c in range(3):
                    for u in range(3):
                        for v in range(3):
                            row, column = 2 * i + u - 1, 2 * j + v - 1
                            if 0 <= row < 5 and 0 <= column < 5:
                                total += float(demo.W[o, c, u, v] * demo.x[c, row, column])
                assert found[o, (i, j)].value == found[o, (i, j)].module_value == total
