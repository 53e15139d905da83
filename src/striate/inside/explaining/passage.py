"""One image on its way through a module: what reached every layer, what left it, and which layer that came from.

The module is run once. Forward hooks see the modules, a function mode sees what is computed between them: a ReLU, a sum
or a concatenation written as a function is a step as well, and moving numbers about (flatten, view) is followed. Where
anything else stands between two layers, the way back ends there, and why is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from striate.errors import ModelError
from striate.inside.explaining.translation import Translated, Untranslatable, known_kinds, numbers, translated
from striate.inside.projections.spellings import rectified_by, spelling
from striate.layers.activation import Relu
from striate.layers.concat import chosen
from striate.layers.conv import Conv
from striate.layers.layer import Array, Shape
from striate.layers.residual import added
from striate.layers.terms import Spot, Terms


@final
@dataclass(frozen=True, eq=False)
class Step:
    """One computation of the pass whose terms are known: a layer, or a function in its place.

    Attributes:
        name: the layer's name; for a function that is no layer's output, what it does: `relu`, `sum` or `concat`.
        text: the text form of the layer.
        input: shape of what reached it; of several branches, that of the first.
        output: what the module gave, for the one image.
        origins: branch -> where what reached it came from; one under "" for a layer that is no joint.
        terms: what a number of the output is made of.
        function: whether it is a function that no layer has the name of yet.
        border: rows above and columns to the left that the places in `terms` are shifted by.
    """

    name: str
    text: str
    input: Shape
    output: Array
    origins: dict[str, Origin]
    terms: Callable[[Spot], Terms]
    function: bool = False
    border: tuple[int, int] = (0, 0)


@final
@dataclass(frozen=True, eq=False)
class Origin:
    """Where a tensor's numbers come from: a step's output or the image, in the same reading order; or unknown.

    Attributes:
        values: the numbers of that output when it was made, for the one image; none where it is unknown.
        shape: of the tensor, for the one image; another than that of `values` where they were flattened.
        step: the step that made them; None for the image, and where `reason` is not "".
        reason: why they cannot be followed further; "" where they can.
    """

    values: Array
    shape: Shape
    step: Step | None = None
    reason: str = ""

    def place(self, at: Spot) -> Spot:
        """Where the tensor's number at `at` stands in the step's output, or in the image."""
        if self.shape == self.values.shape:
            return at
        there = np.unravel_index(int(np.ravel_multi_index(at, self.shape)), self.values.shape)
        return tuple(int(axis) for axis in there)


@final
@dataclass(frozen=True)
class Passage:
    """What one pass has shown.

    Attributes:
        image: what the module was given, without the batch.
        layers: name of submodule -> where its output came from, once for every call.
    """

    image: Array
    layers: dict[str, list[Origin]]

    def of(self, layer: str) -> Step:
        """The step that made a layer's output.

        Raises:
            ModelError: the layer was not called, was called several times and `layer` does not say which call is
                meant, or its output is made by something that is not explained.
        """
        name, _, number = layer.partition("@")
        calls = self.layers.get(name, [])
        if not number and len(calls) > 1:
            allowed = ", ".join(f"{name}@{k + 1}" for k in range(len(calls)))
            raise ModelError(f"layer {name} is called {len(calls)} times in one pass: name one of {allowed}")
        index = int(number or 1) - 1
        if index not in range(len(calls)):
            raise ModelError(f"layer {layer} was not reached: {name} was called {len(calls)} times in the forward pass")
        found = calls[index]
        if found.step is None:
            raise ModelError(f"layer {layer} cannot be explained: {found.reason or 'it hands on the image as it is'}")
        return found.step


def passage(module: nn.Module, image: Float[Tensor, "1 ..."]) -> Passage:
    """Sends one image through a module, as `undisturbed` lends it, and follows it.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        >>> step = passage(net, torch.ones(1, 1, 4, 4)).of("1")
        >>> step.text, step.origins[""].step.text
        ('relu', 'conv 2 3x3')
    """
    recorder = _Recorder()
    recorder.put(image, Origin(numbers(image[0]), tuple(image.shape[1:])))
    with ExitStack() as stack:
        for name, part in module.named_modules():
            stack.callback(part.register_forward_pre_hook(recorder.before(name)).remove)
            stack.callback(part.register_forward_hook(recorder.after(name)).remove)
        stack.enter_context(torch.no_grad())
        stack.enter_context(recorder)
        module(image)
    return Passage(numbers(image[0]), recorder.layers)


@final
@dataclass(frozen=True, eq=False)
class _Reached:
    """What reached a module's call, as it was then: the module may overwrite it."""

    x: Array
    origin: Origin
    padding: _Padding | None


@final
@dataclass(frozen=True, eq=False)
class _Padding:
    """Zeros that were put around maps: what reached that, and how many (left, right, top, bottom)."""

    reached: _Reached
    sides: tuple[int, ...]


@final
@dataclass(eq=False)
class _Recorder(TorchFunctionMode):
    """Writes down where every tensor of a pass comes from; keeps them all, so that no two have one identity."""

    layers: dict[str, list[Origin]] = field(default_factory=dict[str, list[Origin]])

    def __post_init__(self) -> None:
        super().__init__()
        self._made: dict[int, Origin] = {}
        self._padded: dict[int, _Padding] = {}
        self._kept: list[Tensor] = []
        self._own = False
        self._waiting: list[tuple[nn.Module, _Reached | None]] = []

    def put(self, tensor: Tensor, origin: Origin) -> None:
        """Remembers where a tensor comes from."""
        self._made[id(tensor)] = origin
        self._kept.append(tensor)

    def _origin(self, tensor: Tensor) -> Origin:
        return self._made.get(id(tensor), _unknown("it is made out of sight"))

    def _reached(self, tensor: Tensor) -> _Reached:
        return _Reached(_one(tensor), self._origin(tensor), self._padded.get(id(tensor)))

    @contextmanager
    def _unseen(self) -> Generator[None]:
        """Inside, what we do ourselves is not written down."""
        self._own = True
        try:
            yield
        finally:
            self._own = False

    # --- modules ---------------------------------------------------------------------------------------------

    def before(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        """The hook before a submodule's call."""
        del name

        def hook(part: nn.Module, inputs: tuple[Any, ...]) -> None:
            x = inputs[0] if inputs else None
            with self._unseen():
                reached = self._reached(x) if isinstance(x, Tensor) and x.dim() > 1 and len(x) == 1 else None
            self._waiting.append((part, reached))

        return hook

    def after(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], object], None]:
        """The hook after it."""

        def hook(part: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
            del inputs
            called, reached = self._waiting.pop()
            assert called is part, "modules return in the order in which they were called"
            if not isinstance(output, Tensor):
                return
            with self._unseen():
                origin = self._left(name, part, reached, output)
            self.put(output, origin)
            self.layers.setdefault(name, []).append(origin)

        return hook

    def _left(self, name: str, part: nn.Module, reached: _Reached | None, output: Tensor) -> Origin:
        """Where a submodule's output comes from: from itself, or from what was called in it."""
        inner = self._made.get(id(output))
        kind = type(part).__name__
        if reached is None or len(output) != 1:
            return inner or _unknown(f"it is a {kind}, which takes or gives more than one tensor for one image")
        if isinstance(part, nn.ZeroPad2d):
            left, right, top, bottom = part.padding
            self._padded[id(output)] = _Padding(reached, (int(left), int(right), int(top), int(bottom)))
        if isinstance(part, nn.Identity):
            return reached.origin
        try:
            found = translated(part, reached.x.shape)
        except Untranslatable as fault:
            return _unknown(f"it is a {kind} with {fault}")
        if found is not None:
            return _made_by(name, found, reached, output)
        if inner is not None and inner.step is not None:
            named = name != "" and inner.step.function
            return replace(inner, step=replace(inner.step, name=name, function=False)) if named else inner
        return _unknown(f"it is a {kind}; explained are {known_kinds()}")

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
        finish = self._foreseen(func, args, kwargs)
        result = func(*args, **kwargs)
        if isinstance(result, Tensor) and result.dim() > 0:
            origin = finish(result) if finish and len(result) == 1 else None
            unchanged = any(result is arg for arg in args) and not spelling(func)[1]
            if origin is not None:
                self.put(result, origin)
            elif not unchanged:
                self.put(result, _unknown(f"it is made by the function {spelling(func)[0]}"))
        return result

    def _foreseen(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Callable[[Tensor], Origin | None] | None:
        """What to make of a call's result, decided before it can overwrite what it is given."""
        name = spelling(func)[0]
        rectified = rectified_by(func, args, kwargs)
        if rectified is not None and id(rectified[0]) in self._made:
            reached = self._reached(rectified[0])
            return lambda result: _made_by("relu", Translated(Relu()), reached, result, function=True)
        first = args[0] if args else None
        if name in _MOVES and isinstance(first, Tensor) and id(first) in self._made:
            origin = self._origin(first)
            whole = origin.reason != "" or first.numel() == origin.values.size
            return lambda result: replace(origin, shape=tuple(result.shape[1:])) if whole else None
        if name in ("add", "iadd") and len(args) == 2 and not kwargs:
            return self._sum(args)
        if name in ("cat", "concat", "concatenate") and [*args[1:], *kwargs.values()] == [1]:
            return self._joined(first)
        return None

    def _sum(self, summands: Sequence[Any]) -> Callable[[Tensor], Origin] | None:
        if not all(isinstance(summand, Tensor) and id(summand) in self._made for summand in summands):
            return None
        F, S = (_one(summand) for summand in summands)
        if F.shape != S.shape:
            return None
        origins = self._named(summands)

        def terms(at: Spot) -> Terms:
            return added({name: float(x[at]) for name, x in zip(origins, (F, S), strict=True)}, at)

        return lambda result: _of(Step("sum", "residual", F.shape, _one(result), origins, terms, function=True))

    def _joined(self, parts: object) -> Callable[[Tensor], Origin] | None:
        if not isinstance(parts, list | tuple) or not all(id(part) in self._made for part in parts):
            return None
        origins = self._named(parts)
        values = dict(zip(origins, map(_one, parts), strict=True))
        shape = next(iter(values.values())).shape

        def terms(at: Spot) -> Terms:
            return chosen(values, at)

        return lambda result: _of(Step("concat", "concat", shape, _one(result), origins, terms, function=True))

    def _named(self, parts: Sequence[Tensor]) -> dict[str, Origin]:
        """Where each part comes from, by the name of the layer that it comes from; a number where one comes twice."""
        found: dict[str, Origin] = {}
        for part in parts:
            origin = self._origin(part)
            name = origin.step.name if origin.step else "what is not known" if origin.reason else "the image"
            found[f"{name} ({len(found) + 1})" if name in found else name] = origin
        return found


_MOVES = ("flatten", "view", "reshape", "squeeze", "unsqueeze", "contiguous", "clone", "detach", "to", "view_as")
"""Functions that hand on the same numbers in the same reading order."""


def _of(step: Step) -> Origin:
    return Origin(step.output, step.output.shape, step)


def _unknown(reason: str) -> Origin:
    return Origin(np.zeros(0), (), reason=reason)


def _made_by(name: str, found: Translated, reached: _Reached, output: Tensor, *, function: bool = False) -> Origin:
    """The output of a translated module or function, as a step."""
    found, reached = _with_padding(found, reached)
    top, left = found.border
    x = np.pad(reached.x, ((0, 0), (top, top), (left, left)))[None] if any(found.border) else reached.x[None]

    def terms(at: Spot) -> Terms:
        return found.layer.terms(x, found.theta, at, training=found.training)

    text = str(found.layer) + (f" after a border of {top}x{left} zeros that count" if any(found.border) else "")
    origins = {"": reached.origin}
    return _of(Step(name, text, reached.x.shape, _one(output), origins, terms, function, found.border))


def _with_padding(found: Translated, reached: _Reached) -> tuple[Translated, _Reached]:
    """A convolution whose padding a module before it has put on, as the one convolution that both are."""
    layer, padding = found.layer, reached.padding
    if padding is None or not isinstance(layer, Conv) or layer.pad != (0, 0):
        return found, reached
    left, right, top, bottom = padding.sides
    options = (layer.channels, layer.kernel, layer.stride)
    for pad in ("same", (top, left)):
        whole = Conv(*options, pad, layer.dilation, layer.groups, layer.bias)
        window = whole.window(padding.reached.x.shape)
        if (window.before, window.after) == ((top, left), (bottom, right)):
            return Translated(whole, found.held), padding.reached
    return found, reached


def _one(tensor: Tensor) -> Array:
    """The numbers of the one image."""
    return numbers(tensor[0]) if tensor.dim() > 0 and len(tensor) == 1 else numbers(tensor)
