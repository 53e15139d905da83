"""What is known of tensors, until what lies in their memory is overwritten through any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from striate.inside.watching.each_call import EachCall
from striate.inside.watching.tensors import Tensors, overwriting

THROUGH: dict[str, Callable[[Tensor], object]] = {
    "itself": lambda y: y.zero_(),
    "a view": lambda y: y[:, :1].zero_(),
    "its data": lambda y: y.data.zero_(),
    "a tensor without gradient": lambda y: y.detach().zero_(),
    "an assignment": lambda y: y.__setitem__(0, 0.0),
    "its array": lambda y: torch.from_numpy(y.numpy()).zero_(),
}


class Calls(EachCall):
    """Tells what every call overwrites."""

    def __init__(self, known: Tensors[str]) -> None:
        super().__init__()
        self.known = known

    def called(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        with overwriting((args, kwargs)) as overwritten:
            result = func(*args, **kwargs)
        self.known.wrote(*overwritten)
        return result


@pytest.mark.parametrize("name", THROUGH)
def test_what_is_written_through_any_tensor_is_written_into_all_that_lie_there(name: str) -> None:
    known, y = Tensors[str](), torch.ones(2, 3)
    z, other = y[1], y.clone()
    for tensor in (y, z, other):
        known.put(tensor, "made")
    with Calls(known):
        THROUGH[name](y)
    assert [known.stale(tensor) for tensor in (y, z, other, y.T, other.T)] == [True, True, False, True, False]
    known.put(y, "made again")
    assert [known.stale(tensor) for tensor in (y, z)] == [False, True]
    assert (known.get(y), known.get(z), known.get(y.T)) == ("made again", "made", None)


def test_tensors_that_are_gone_leave_nothing_to_those_that_come_after() -> None:
    known = Tensors[str]()
    for _ in range(50):
        tensor = torch.empty(4)
        assert tensor not in known
        known.put(tensor, "made")
        known.wrote(tensor)
        assert len(known.beside(tensor)) == 1


def test_what_has_no_memory_of_its_own_shares_none() -> None:
    known = Tensors[str]()
    sparse = [torch.eye(2).to_sparse(), torch.eye(2).to_sparse()]
    empty = [torch.empty(0), torch.empty(3, device="meta")]
    for tensor in (*sparse, *empty):
        known.put(tensor, "made")
    known.wrote(sparse[0], empty[0])
    assert [known.stale(tensor) for tensor in (*sparse, *empty)] == [True, False, True, False]
