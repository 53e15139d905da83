"""Follows a pass while it runs: hooks see the modules, a function mode sees every call between and within them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

from striate.inside.explaining import joints, moves
from striate.inside.explaining.arguments import Untranslatable, convolves, input_of, require
from striate.inside.explaining.origins import Origin, made, unknown
from striate.inside.explaining.steps import Padding, Reached, Translated, made_by, one_image
from striate.inside.explaining.translation import is_translated, translated, translated_module
from striate.inside.projections.spellings import rectified_by, spelling
from striate.layers.dropout import Dropout
from striate.layers.rectifiers import Relu

Finish = Callable[[Sequence[Tensor]], Sequence[Origin | None]]
"""What to make of a call's results, decided before the call can overwrite what it is given."""


@final
@dataclass(eq=False)
class Recorder(TorchFunctionMode):
    """Writes down where every tensor of a pass comes from; keeps them all, so that no two have one identity.

    Attributes:
        layers: name of submodule -> where its output came from, once for every call.
        convolutions: where the output of every 2-D convolution came from, whoever called it.
    """

    layers: dict[str, list[Origin]] = field(default_factory=dict[str, list[Origin]])
    convolutions: list[Origin] = field(default_factory=list[Origin])

    def __post_init__(self) -> None:
        super().__init__()
        self._made: dict[int, Origin] = {}
        self._padded: dict[int, Padding] = {}
        self._kept: list[Tensor] = []
        self._own = False
        self._waiting: list[tuple[nn.Module, Origin | None]] = []

    def put(self, tensor: Tensor, origin: Origin) -> None:
        """Remembers where a tensor comes from."""
        self._made[id(tensor)] = origin
        self._kept.append(tensor)

    def _reached(self, tensor: Tensor) -> Reached:
        origin = self._made.get(id(tensor), unknown("it is made where calls are not seen, or held by the module"))
        return Reached(one_image(tensor), origin, self._padded.get(id(tensor)))

    def _follows(self, tensors: Sequence[Any]) -> bool:
        """Whether all of these are tensors of the one image that were seen being made."""
        return all(isinstance(each, Tensor) and id(each) in self._made and _of_one_image(each) for each in tensors)

    @contextmanager
    def _unseen(self) -> Generator[None]:
        """Inside, what we do ourselves is not written down."""
        before, self._own = self._own, True
        try:
            yield
        finally:
            self._own = before

    # --- modules ---------------------------------------------------------------------------------------------

    def before(self, part: nn.Module, inputs: tuple[Any, ...]) -> None:
        """The hook before a submodule's call."""
        self._waiting.append((part, self._made.get(id(inputs[0])) if inputs else None))

    def after(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], object], None]:
        """The hook after the call of the submodule of this name."""

        def hook(part: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
            called, given = self._waiting.pop()
            assert called is part, "modules return in the order in which they were called"
            if isinstance(output, Tensor):
                with self._unseen():
                    origin = self._left(name, part, inputs[0] if inputs else None, given, output)
                self.put(output, origin)
            else:
                origin = unknown(f"it is a {type(part).__name__}, which gives more than one tensor")
            self.layers.setdefault(name, []).append(origin)

        return hook

    def _left(self, name: str, part: nn.Module, x: object, given: Origin | None, output: Tensor) -> Origin:
        """Where a submodule's output comes from: a call within it, which is given its name, or the module itself."""
        if isinstance(x, Tensor) and _of_one_image(x) and len(output) == 1:
            found = translated_module(part, tuple(x.shape[1:]))
            if found is not None:
                return made_by(name, found, self._reached(x), output) or unknown(_UNLIKE)
        inner = self._made.get(id(output))
        if inner is None:
            return unknown(f"it is made by a {type(part).__name__} where calls are not seen")
        if inner is given or inner.step is None or not inner.step.function or name == "":
            return inner
        return replace(inner, step=replace(inner.step, name=name, function=False))

    # --- functions -------------------------------------------------------------------------------------------

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if self._own:
            return func(*args, **kwargs)
        name = _name(func)
        try:
            finish, reason = self._foreseen(func, name, args, kwargs), ""
        except Untranslatable as fault:
            finish, reason = None, f" with {fault}"
        result = func(*args, **kwargs)
        results = [each for each in (result if isinstance(result, list | tuple) else [result]) if _counts(each)]
        origins = finish(results) if finish else [None] * len(results)
        for each, origin in zip(results, origins, strict=False):
            if origin is not None:
                self.put(each, origin)
            elif spelling(func)[1] or kwargs.get("inplace") or not any(each is arg for arg in args):
                self.put(each, unknown(f"it is made by the function {name}{reason or _OTHER}"))
        if convolves(name, args) and isinstance(result, Tensor) and result.dim() == 4:
            self.convolutions.append(self._made[id(result)])
        return result

    def _foreseen(
        self, func: Callable[..., Any], name: str, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Finish | None:
        x = input_of(args, kwargs)
        rectified = rectified_by(func, args, kwargs)
        if rectified is not None and self._follows(rectified[:1]):
            return self._layer(Translated(Relu()), rectified[0])
        if x is not None and id(x) in self._made and moves.moves(name, args, kwargs):
            return self._move(func, name, (x, *args[1:]), kwargs)
        if name in ("add", "iadd") and len(args) == 2 and not kwargs:
            return self._sum(args)
        if name in ("cat", "concat", "concatenate"):
            return self._joined(*_parts(args, kwargs))
        if x is None or not _of_one_image(x):
            shape = () if x is None else tuple(x.shape)
            require(not is_translated(name), f"an input of shape {shape}; explained is a batch of one image")
            return None
        found = translated(func, name, args, kwargs, tuple(x.shape[1:]))
        if found is not None and found.training and isinstance(found.layer, Dropout):
            found = replace(found, held={"mask": _drawn(func, x, args, kwargs)})
        return found and self._layer(found, x)

    def _layer(self, found: Translated, x: Tensor) -> Finish:
        reached = self._reached(x)
        return lambda results: [made_by(found.layer.word, found, reached, results[0], function=True)]

    def _move(self, func: Callable[..., Any], name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Finish:
        x, *_ = args
        origin, sides = self._made[id(x)], moves.zeros_around(name, args, kwargs)
        others = {key: value for key, value in kwargs.items() if key not in ("input", "self")}
        padding = Padding(self._reached(x), sides) if sides and _of_one_image(x) and x.dim() == 4 else None

        def finish(results: Sequence[Tensor]) -> Sequence[Origin]:
            if padding is not None:
                self._padded[id(results[0])] = padding
            return moves.moved(func, name, args, others, origin)

        return finish

    def _sum(self, summands: Sequence[Any]) -> Finish | None:
        if not self._follows(summands):
            return None
        reached = [self._reached(summand) for summand in summands]
        if reached[0].x.shape != reached[1].x.shape:
            return None
        x, origins = [each.x for each in reached], [each.origin for each in reached]
        return lambda results: [made(joints.sum_of(x, origins, one_image(results[0])))]

    def _joined(self, parts: object, dim: object) -> Finish | None:
        if not isinstance(parts, list | tuple) or not isinstance(dim, int) or not self._follows(parts):
            return None
        require(dim % parts[0].dim() == 1, f"dim={dim}; explained is dim=1, by unit")
        reached = [self._reached(part) for part in parts]
        x, origins = [each.x for each in reached], [each.origin for each in reached]
        return lambda results: [made(joints.concatenation(x, origins, one_image(results[0])))]


_OTHER = ", which no layer's equation describes"
_UNLIKE = "its output has another shape than its equation says"


def _name(func: Callable[..., Any]) -> str:
    """The bare name of a function; of a property such as `x.T`, that of the property."""
    name = spelling(func)[0]
    if name == "get":
        return str(getattr(getattr(func, "__self__", None), "__name__", name))
    return _DISPATCHED.get(func, name)


_DISPATCHED: dict[Callable[..., Any], str] = {
    function: name
    for name, function in vars(F).items()
    if getattr(function, "__qualname__", "").endswith("<locals>.fn")
}
"""Functions of torch.nn.functional that are made by a function, and so do not know their names."""


def _parts(args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[object, object]:
    """The tensors and the dimension of a concatenation."""
    given = dict(zip(("tensors", "dim"), args, strict=False)) | kwargs
    return given.get("tensors"), given.get("dim", given.get("axis", 0))


def _drawn(func: Callable[..., Any], x: Tensor, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    """What a dropout will draw: ones sent through it with the generator where it stands now; it stays there."""
    with torch.random.fork_rng([x.device] if x.is_cuda else []):
        others = {key: value for key, value in kwargs.items() if key not in ("input", "self")}
        return (func(torch.ones_like(x), *args[1:], **others) != 0).double()


def _of_one_image(tensor: Tensor) -> bool:
    return tensor.dim() > 1 and len(tensor) == 1


def _counts(result: object) -> bool:
    return isinstance(result, Tensor) and result.dim() > 0
