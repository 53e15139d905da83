"""How a module from elsewhere answers, found out by passes of two images: with probabilities, and to each for itself?

Its outputs are probabilities where the last thing computed is a softmax or a sigmoid: as a module, as a function, in
TorchScript alike; or parts, or a mean, of what these give; or where its rows are non-negative and sum to 1. What is
computed by other means, such as a sigmoid written with `exp`, is not known here.

Its answer to an image depends on the images beside it where a batch norm goes by its batch, or where it changes, were
it in the last bit, when others stand there.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_PROBABILITIES = ("_softmax", "_safe_softmax", "sigmoid")
"""torch's operations that give numbers from 0 to 1 which are meant as probabilities."""

_KEEP = (
    "_reshape_alias", "_to_copy", "_unsafe_view", "alias", "cat", "clamp", "clamp_max", "clamp_min", "clone", "detach",
    "expand", "flip", "index", "index_select", "mean", "permute", "select", "slice", "split", "split_with_sizes",
    "squeeze", "stack", "t", "transpose", "unbind", "unsqueeze", "view",
)  # fmt: skip
"""Operations that make probabilities of probabilities: in another place, shape or type, clipped, or their mean."""

_OF_A_SUM = 1e-5
"""How far from 1 the sum of a softmax of many classes may be in float32."""

_ROUNDING = 1e-6
"""How far the shares of a mean may be from a sum of 1."""


def sum_to_one(outputs: Tensor) -> bool:
    """Whether outputs are rows of two numbers or more, none below 0, that sum to 1 within the rounding of their type.

    Example:
        >>> sum_to_one(torch.tensor([[0.25, 0.75]])), sum_to_one(torch.tensor([[0.25, 0.7]]))
        (True, False)
    """
    if outputs.dim() != 2 or not len(outputs) or outputs.shape[1] < 2 or not outputs.is_floating_point():
        return False
    values = outputs if outputs.dtype == torch.float64 else outputs.float()
    rounding = min(max(16 * torch.finfo(outputs.dtype).eps, _OF_A_SUM), 0.01)
    return bool((values >= 0).all()) and bool(((values.sum(1) - 1).abs() <= rounding).all())


@final
@dataclass(frozen=True)
class Manner:
    """How a module answers.

    Attributes:
        probabilities: whether its outputs are known to be probabilities: of classes that exclude each other, which sum
            to 1 (softmax), or of each class for itself (sigmoid).
        by_batch: whether it takes statistics from the batch, so that the answer to an image depends on the images
            beside it.
        never_alone: whether an image alone has no such statistics, and so no answer: a batch norm has one number of
            each channel from it, or the answer to it is not finite where that to two is.
    """

    probabilities: bool = False
    by_batch: bool = False
    never_alone: bool = False


def manner(module: nn.Module, images: Tensor) -> Manner:
    """How `module`, in the mode it is in, answers to two images or more, given as it takes them; of one image it is
    only known whether the answer is probabilities.

    A batch norm over the numbers of one image, as an instance norm is computed, does not go by its batch.

    Example:
        >>> manner(nn.Sequential(nn.Linear(3, 2), nn.Sigmoid()), torch.zeros(2, 3))
        Manner(probabilities=True, by_batch=False, never_alone=False)
        >>> manner(nn.BatchNorm2d(3, track_running_stats=False), torch.zeros(2, 3, 4, 4))
        Manner(probabilities=False, by_batch=True, never_alone=False)
    """
    with torch.no_grad(), _Watched(len(images)) as watched:
        outputs = module(images)
    probabilities = watched.probable(outputs) or (isinstance(outputs, Tensor) and sum_to_one(outputs))
    if watched.by_batch or not isinstance(outputs, Tensor) or not 2 <= len(images) == len(outputs):
        return Manner(probabilities, watched.by_batch, watched.never_alone)
    by_batch = _minds_others(module, images, outputs)
    return Manner(probabilities, by_batch, by_batch and not _answers_alone(module, images, outputs))


def _minds_others(module: nn.Module, images: Tensor, outputs: Tensor) -> bool:
    """Whether the answer to the first image changes with the others: one that is computed from this image alone does
    not, in any bit, and one that is drawn at random changes with the same others, too."""
    others = torch.cat([images[:1], 6 * images[1:] - 2])  # of another mean, spread, least and greatest number
    with torch.no_grad(), contextlib.suppress(Exception):
        given, beside_others = outputs[0].nan_to_num(), module(others)[0].nan_to_num()
        return not beside_others.equal(given) and bool(module(images)[0].nan_to_num().equal(given))
    return False


def _answers_alone(module: nn.Module, images: Tensor, outputs: Tensor) -> bool:
    """Whether one image has statistics too: a variance divided by n - 1 has none, and the answer is no number."""
    with torch.no_grad(), contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(module(images[:1]).isfinite().all() or not outputs.isfinite().all())
    return False


@final
class _Watched(TorchDispatchMode):
    """Inside, tensors of probabilities are known, and whether a batch norm went by its batch."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self.by_batch = self.never_alone = False
        self._images = images
        # Sums of shares of probabilities, and what the shares sum to: 1 for a mean. The tensors are kept, so that no
        # other gets the number of one of them.
        self._shares: dict[int, tuple[Tensor, float]] = {}

    def probable(self, output: object) -> bool:
        return abs(self._share(output) - 1) < _ROUNDING

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | dict(
            kwargs or {}
        )
        name = func.overloadpacket.__name__
        share = self._share_of(name.rstrip("_"), args[0] if args else None, given)
        result = func(*args, **(kwargs or {}))
        if name.endswith("_") and isinstance(result, Tensor):
            self._forget(result)
        if "batch_norm" in name and given.get("training", "no_training" not in name):
            self._normalized(given["input"])
        if share:
            self._shares |= {id(part): (part, share) for part in _parts(result)}
        return result

    def _share(self, x: object) -> float:
        return self._shares[id(x)][1] if id(x) in self._shares else 0.0

    def _share_of(self, name: str, taken: object, given: Mapping[str, Any]) -> float:
        """The share of what an operation makes of `taken`; 0 where it is not known."""
        if name in _PROBABILITIES:
            return 1.0
        share, *more = {self._share(part) for part in _parts(taken)} or {0.0}
        if name in _KEEP:
            return 0.0 if more else share
        return share and self._weighed(name, share, given)

    def _weighed(self, name: str, share: float, given: Mapping[str, Any]) -> float:
        """The share where one is added to another or scaled, as in a mean by hand; 0 for anything else."""
        match name, given.get("other"):
            case "add", Tensor() as other:
                added = given.get("alpha", 1) * self._share(other)
                return share + added if added > 0 else 0.0
            case "add", 0:  # where a sum begins
                return share
            case "mul", float() | int() as other if other > 0:
                return share * other
            case "div", float() | int() as other if other > 0 and not given.get("rounding_mode"):
                return share / other
            case _:
                return 0.0

    def _forget(self, overwritten: Tensor) -> None:
        """Of tensors that share numbers with one that is overwritten nothing is known any more."""
        self._shares = {key: held for key, held in self._shares.items() if not _overlap(held[0], overwritten)}

    def _normalized(self, x: Tensor) -> None:
        if len(x) < self._images:  # the channels of all images side by side: an instance norm
            return
        self.by_batch = True
        self.never_alone |= x.numel() == self._images * x.shape[1]


def _parts(x: object) -> list[Any]:
    return list(x) if isinstance(x, list | tuple) else [x]


def _overlap(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors lie in one storage; those of other layouts than torch's usual one have none to look at."""
    if not a.layout == b.layout == torch.strided:
        return a is b
    places = {x.untyped_storage()._cdata for x in (a, b)}  # pyright: ignore[reportPrivateUsage]
    return len(places) == 1
