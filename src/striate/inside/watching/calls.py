"""The calls a module makes in one forward pass: which functions, on what, in which order; seen from outside.

One image is sent through the module once and every call is written down (`Trace`). Later passes read, or follow,
tensors by the number of their call (`Reading`), which works for layers that are modules and for functions alike, and
never touches the module. A module whose calls change from pass to pass is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from striate.errors import ModelError
from striate.inside.watching.channels import Channels
from striate.inside.watching.each_call import EachCall, tensors_in
from striate.inside.watching.spellings import rectification, spelling
from striate.inside.watching.tensors import Tensors, overwriting
from striate.inside.watching.watch import layer_names

IMAGE = -1
"""Stands for the images themselves where a call's number is asked for."""

CONVOLUTIONS = "conv2d"
"""`conv2d@k` names the k-th of all convolutions where no submodule stands for it."""


@final
@dataclass(frozen=True)
class Call:
    """One call that returned a tensor.

    Attributes:
        name: bare name of the function (`conv2d`, `relu`, `max_pool2d`).
        inputs: numbers of the calls whose results it takes, in order; IMAGE for the images.
        args, kwargs: what it was given; tensors that other calls made are left out (None), weights stay.
        shape: shape of the result; of maps (batch, unit, rows, columns), wherever the module keeps their channels.
        rectifies: whether it computes max(0, x).
        capped: whether it computes min(c, max(0, x)), as ReLU6 does.
        channels: the dimension that the module keeps the channels in.
        stale: whether something that it is given was overwritten, in place and through another tensor, since the call
            that made it: other calls than those it names stand behind its numbers.
    """

    name: str
    inputs: tuple[int, ...]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    shape: tuple[int, ...]
    rectifies: bool
    capped: bool = False
    channels: int = 1
    stale: bool = False

    @property
    def convolves(self) -> bool:
        """Whether it is a 2-D convolution, not a transposed one."""
        transposed = self.name == "convolution" and len(self.args) > 6 and bool(self.args[6])
        return self.name in ("conv2d", "convolution") and len(self.shape) == 4 and not transposed

    @property
    def finishes(self) -> bool:
        """Whether it belongs to the convolution before it: a batch norm or a ReLU."""
        return self.is_relu or self.name == "batch_norm"

    @property
    def is_relu(self) -> bool:
        """Whether it is a ReLU, capped or not: nothing that it gives is below 0."""
        return self.rectifies or self.capped

    def given(self, *names: str, **defaults: Any) -> dict[str, Any]:
        """The arguments by name: `names` in the order of the function's parameters, `defaults` for what is left out."""
        return defaults | dict(zip(names, self.args, strict=False)) | dict(self.kwargs)


@final
@dataclass(frozen=True)
class Trace:
    """The calls of one forward pass.

    Attributes:
        calls: in order; their numbers are their places.
        layers: name of a layer -> number of the call that made its output. `name@k` for the k-th use of a submodule
            that is used several times, as everywhere in this room. In the order in which they were done: a layer
            before the block that it ends, and before an identity that hands it on. One whose output was overwritten
            in part since is none: no call gives it.
        image: shape of one image, as it goes in.
    """

    calls: tuple[Call, ...]
    layers: Mapping[str, int]
    image: tuple[int, ...]

    def convolutions(self) -> tuple[str, ...]:
        """Names of the layers that are 2-D convolutions, in calling order; a block that ends in one is none itself."""
        names = dict[int, str]()
        for name, number in self.layers.items():
            if self.calls[number].convolves:
                names.setdefault(number, name)
        return tuple(names[number] for number in sorted(names))

    def activation(self, layer: str) -> int:
        """The call that gives a layer's activations: after the batch norm and the ReLU that directly follow it."""
        number = self.layers[layer]
        while self.calls[number].convolves or self.calls[number].name in ("linear", "batch_norm"):
            takers = [k for k, call in enumerate(self.calls) if number in call.inputs]
            if len(takers) != 1 or not self.calls[takers[0]].finishes or self.calls[takers[0]].stale:
                break
            number = takers[0]
        return number


def trace(module: nn.Module, images: Float[Tensor, "batch ..."]) -> Trace:
    """Sends `images` through `module` once and writes down its calls.

    Arguments:
        module: as `undisturbed` lends it.
        images: as the module takes them; one is enough.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        >>> found = trace(net, torch.zeros(1, 1, 5, 5))
        >>> [call.name for call in found.calls], found.activation("0")
        (['conv2d', 'relu'], 1)
    """
    recorder, done = _Recorder(images), list[tuple[str, int]]()

    def note(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(part: nn.Module, inputs: object, output: object) -> None:
            del part, inputs
            number = recorder.made.get(output)
            if isinstance(output, Tensor) and number not in (None, IMAGE) and not recorder.made.stale(output):
                done.append((name, number))

        return hook

    with ExitStack() as stack:
        for name in layer_names(module):
            handle: RemovableHandle = module.get_submodule(name).register_forward_hook(note(name))
            stack.callback(handle.remove)
        stack.enter_context(torch.no_grad())
        stack.enter_context(recorder)
        module(images)
    layers = _with_functions(recorder.calls, _numbered(done))
    return Trace(tuple(recorder.calls), layers, tuple(images.shape[1:]))


def _numbered(done: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Name -> call; `name@k` for the k-th use of a name that is used several times."""
    uses, seen, layers = Counter(name for name, _ in done), Counter[str](), dict[str, int]()
    for name, number in done:
        seen[name] += 1
        layers[name if uses[name] == 1 else f"{name}@{seen[name]}"] = number
    return layers


def _with_functions(calls: Sequence[Call], layers: dict[str, int]) -> dict[str, int]:
    """Adds convolutions that no submodule stands for, as `conv2d@k` for the k-th of all convolutions; counted on from
    the calls of a submodule that is itself called `conv2d`, if there is one."""
    named, taken = set(layers.values()), sum(name.partition("@")[0] == CONVOLUTIONS for name in layers)
    convolutions = [number for number, call in enumerate(calls) if call.convolves]
    numbered = enumerate(convolutions, taken + 1)
    return layers | {f"{CONVOLUTIONS}@{k}": number for k, number in numbered if number not in named}


@final
class _Recorder(EachCall):
    """Writes down every call that returns a tensor, and which call made each tensor."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.made = Tensors[int]()
        self.made.put(images, IMAGE)
        self.channels = Channels()

    def called(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        given = list(tensors_in((args, kwargs)))
        stale = any(map(self.made.stale, given))
        with overwriting(given) as overwritten:
            result = func(*args, **kwargs)
        self.made.wrote(*overwritten)
        self.channels.follow(func, args, kwargs, result)
        if _counts(result):
            self._write(func, args, kwargs, result, stale=stale)
        return result

    def _write(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], result: Tensor, *, stale: bool
    ) -> None:
        made = (self.made.get(each) for each in tensors_in((args, kwargs)))
        inputs = tuple(number for number in made if number is not None)
        plain = tuple(self._own(a) for a in args), {k: self._own(a) for k, a in kwargs.items()}
        found = rectification(func, args, kwargs)
        call = Call(
            *(spelling(func)[0], inputs, *plain, tuple(self.channels.first(result).shape)),
            rectifies=found is not None and found.ceiling is None,
            capped=found is not None and found.ceiling is not None,
            channels=self.channels.of(result),
            stale=stale,
        )
        self.made.put(result, len(self.calls))
        self.calls.append(call)

    def _own(self, value: Any) -> Any:
        return None if value in self.made else value


def _counts(result: Any) -> bool:
    """Whether a call gets a number: its result is a tensor (so that reading and tracing count alike)."""
    return isinstance(result, Tensor)


class Enough(Exception):  # noqa: N818  (no error: the pass has reached the last call that was asked for)
    """Ends a forward pass early."""


@final
@dataclass
class Reading(EachCall):
    """Inside the block, the module's calls are counted as in `trace`, and those asked for are read or replaced.

    Attributes:
        trace: the calls that are expected.
        read: call number -> what to do with its result, at once, before an in-place call can overwrite it.
        replace: call number -> what to do instead of the call (given its function, args and kwargs).
        stop: whether to raise `Enough` after the last of these calls.
    """

    trace: Trace
    read: Mapping[int, Callable[[Tensor], None]]
    replace: Mapping[int, Callable[..., Tensor]] = field(default_factory=dict[int, Callable[..., Tensor]])
    stop: bool = True

    def __post_init__(self) -> None:
        super().__init__()
        self.number = 0
        self.last = max((*self.read, *self.replace), default=IMAGE)

    def called(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        number = self.number
        result = self.replace[number](func, *args, **kwargs) if number in self.replace else func(*args, **kwargs)
        if not _counts(result):
            return result
        self.number += 1
        units = self._checked(number, func, result) if number in self.read or number in self.replace else result
        if number in self.read:
            self.read[number](units)
        if self.stop and number == self.last:
            raise Enough
        return result

    def _checked(self, number: int, func: Callable[..., Any], result: Tensor) -> Tensor:
        """The result with its units in dimension 1, if the call is the expected one."""
        expected = self.trace.calls[number] if number < len(self.trace.calls) else None
        if expected is not None and expected.name == spelling(func)[0] and result.dim() == len(expected.shape):
            units = result.movedim(expected.channels, 1) if expected.channels != 1 else result
            if expected.shape[1:] == tuple(units.shape[1:]):
                return units
        raise ModelError("the module makes other calls for other images, so its layers cannot be followed")


def run(module: nn.Module, images: Float[Tensor, "batch ..."], reading: Reading) -> None:
    """One forward pass of `module` with `reading`, up to the last call that it asks for."""
    reading.number = 0
    try:
        with reading:
            module(images)
    except Enough:
        return
    if reading.number <= reading.last:
        raise ModelError("the module makes other calls for other images, so its layers cannot be followed")
