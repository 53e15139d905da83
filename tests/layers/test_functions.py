"""Functions of one number that have no text form: what is written is worked out again, and compared with torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from striate.layers.equations.functions import Clamp, Function, GeluTanh, Mish, PRelu, Softplus

from .by_hand import by_hand

SLOPES = torch.tensor([0.1, -0.5, 2.0], dtype=torch.float64)

PEERS: list[tuple[Function, Callable[[Tensor], Tensor]]] = [
    (Clamp(-1, 0.5), lambda x: F.hardtanh(x, -1, 0.5)),
    (Clamp(None, 2), lambda x: x.clamp(max=2)),
    (Clamp(1, None), lambda x: x.clamp(min=1)),
    (Clamp(2, -2), lambda x: x.clamp(2, -2)),
    (Clamp(), lambda x: x),
    (PRelu(), lambda x: F.prelu(x, SLOPES)),
    (Softplus(), F.softplus),
    (Softplus(3, 5), lambda x: F.softplus(x, beta=3, threshold=5)),
    (Mish(), F.mish),
    (GeluTanh(), lambda x: F.gelu(x, approximate="tanh")),
]


@pytest.mark.parametrize(("function", "peer"), PEERS, ids=[str(function) for function, _ in PEERS])
def test_a_function_is_that_of_torch_and_its_steps_give_it(
    function: Function, peer: Callable[[Tensor], Tensor]
) -> None:
    random = np.random.default_rng(0)
    near, far = random.normal(0, 2, (40, 3)), random.uniform(-100, 100, (40, 3))
    x = np.concatenate([near, far, [[0, 1, -1], [20, -20, 20.5]]])
    y = peer(torch.tensor(x)).numpy()
    for image, unit in np.ndindex(*x.shape):
        terms = function.terms(x, {"weight": SLOPES.numpy()}, (unit,), image=image)
        assert terms.value == pytest.approx(y[image, unit], rel=1e-9, abs=1e-14 * terms.scale)
        assert by_hand(terms) == pytest.approx(y[image, unit], rel=1e-9, abs=1e-14)
        assert [(source.at, source.x) for source in terms.sources] == [((unit,), x[image, unit])]
