"""Running a module to look inside it: nothing about it changes, and the outputs of its layers are seen as they pass.

A **layer** is a submodule under its dotted name (`features.3`). A submodule that is called several times in one
forward pass, such as one ReLU shared by a whole network, is several layers: `relu@1`, `relu@2`, ... in the order of
the calls; its bare name stands for it only where it is called once.
"""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules import module as shared
from torch.nn.parameter import is_lazy

from striate.errors import Failure, ModelError, UserError
from striate.inside.watching.apart import ImagesApart
from striate.inside.watching.channels import Channels, Followed
from striate.inside.watching.inputs import as_input
from striate.inside.watching.scripted import open_to_hooks

if TYPE_CHECKING:
    from striate.layers.layer import Shape

T = TypeVar("T")


@contextmanager
def undisturbed(module: nn.Module) -> Generator[nn.Module]:
    """Lends `module` for looking inside; leaves it bit for bit and flag for flag as it was, also after an exception.

    Inside the block: every submodule is in evaluation mode, no parameter requires a gradient (those of the input do
    not need it), buffers are copies, autograd is on even within `torch.inference_mode()`, compiled modules run
    uncompiled, hooks on backward passes rest, each image is computed as if it were alone (`apart`), and random numbers
    drawn do not move the caller's generators.

    Raises:
        ModelError: the module failed at what it was given; the fault itself is the cause.

    Yields:
        The module to call: `module` itself, or, where TorchScript is in it, a copy that shares its parameters and runs
        the same operations from Python, where hooks and rules reach them.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout())
        >>> with undisturbed(net) as still:
        ...     still.training, still[0].weight.requires_grad
        (False, False)
        >>> net.training, net[0].weight.requires_grad
        (True, True)
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.random.fork_rng(_cuda_devices(module)))
        if any(map(_is_compiled, module.modules())):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        opened = open_to_hooks(module)
        stack.enter_context(_restored(opened))
        stack.enter_context(_resting(opened))
        stack.enter_context(_faults_told(opened))
        stack.enter_context(ImagesApart(opened))
        yield opened


@contextmanager
def _faults_told(module: nn.Module) -> Generator[None]:
    """Faults that the module itself meets are told in one sentence, with the shape of what it was given."""
    try:
        yield
    except (UserError, Failure):
        raise
    except Exception as fault:
        given = _given_when(fault, module)
        if given is None:
            raise
        shape, said = "x".join(map(str, given)), str(fault).partition("\n")[0]
        name = type(fault).__name__
        raise ModelError(f"the module cannot be run on an input of the shape {shape}: {name}: {said}") from fault


def _given_when(fault: Exception, module: nn.Module) -> Sequence[int] | None:
    """The shape of what the module had been called with when the fault arose in it; None where it arose elsewhere."""
    calling = nn.Module.__call__.__code__
    for frame, _ in traceback.walk_tb(fault.__traceback__):
        if frame.f_code is calling and frame.f_locals.get("self") is module:
            given = next(iter(frame.f_locals["args"]), None)
            return given.shape if isinstance(given, Tensor) else None
    return None


@contextmanager
def _restored(module: nn.Module) -> Generator[None]:
    """Evaluation mode, frozen parameters and copied buffers inside; everything as before outside."""
    parts = list(module.modules())
    flags = [part.training for part in parts]
    tables: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (table, dict(table)) for part in parts for table in _tables(part)
    ]
    frozen = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    try:
        for part in parts:
            part.training = False  # not .eval(): some modules do more in it than set the flag
        _freeze(parts)
        yield
    finally:
        for table, before in tables:
            table.clear()
            table.update(before)
        for parameter, required in frozen:
            if parameter.requires_grad != required:
                parameter.requires_grad_(required)
        for part, flag in zip(parts, flags, strict=True):
            part.training = flag


@contextmanager
def _resting(module: nn.Module) -> Generator[None]:
    """No hook on a backward pass inside: it would fire on passes of ours, and stand in autograd's graph as a node."""
    kinds = "_backward_hooks", "_backward_pre_hooks"
    tables: list[dict[int, Any]] = [vars(part)[kind] for part in module.modules() for kind in kinds]
    tables += [vars(shared)[f"_global{kind}"] for kind in kinds]
    hooks = [(table, dict(table)) for table in {id(table): table for table in tables}.values()]
    for table, _ in hooks:
        table.clear()
    try:
        yield
    finally:
        for table, before in hooks:
            table.update(before)


def _freeze(parts: Iterable[nn.Module]) -> None:
    """Puts copies in place of all buffers and of parameters born in inference mode; freezes the other parameters."""
    copies: dict[int, Any] = {}
    for parameters, buffers in map(_tables, parts):
        lazy = [name for name, tensor in (parameters | buffers).items() if tensor is not None and is_lazy(tensor)]
        if lazy:
            raise ModelError(f"{', '.join(lazy)} of a lazy layer has no shape yet: run the module once first")
        for name, buffer in buffers.items():
            if buffer is not None:
                buffers[name] = copies.setdefault(id(buffer), buffer.detach().clone())
        for name, parameter in parameters.items():
            if parameter is not None and parameter.is_inference():
                fresh = nn.Parameter(parameter.clone(), requires_grad=False)
                parameters[name] = copies.setdefault(id(parameter), fresh)
            elif parameter is not None:
                parameter.requires_grad_(False)


def _tables(part: nn.Module) -> tuple[dict[str, nn.Parameter | None], dict[str, Tensor | None]]:
    """A submodule's own parameters and buffers, as dictionaries in which they can be exchanged."""
    return vars(part)["_parameters"], vars(part)["_buffers"]


def _is_compiled(part: nn.Module) -> bool:
    """Whether `torch.compile` stands between a call and the submodule's own code."""
    return vars(part).get("_compiled_call_impl") is not None or "_orig_mod" in vars(part).get("_modules", ())


def _cuda_devices(module: nn.Module) -> list[int]:
    """The indices of the GPUs that hold the parameters, for their random number generators."""
    return sorted({p.device.index or 0 for p in module.parameters() if p.device.type == "cuda"})


@final
class Seen(Generic[T]):
    """What a `watch` has seen in the latest forward pass.

    Attributes:
        calls: name of submodule -> one entry per call, in order: its output, or what `take` made of it; None where
            the output was not a tensor.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.calls: dict[str, list[T | None]] = {name: [] for name in names}

    def __getitem__(self, layer: str) -> T:
        """What was seen of a layer.

        Raises:
            ModelError: if it was not called, if it was called several times and `layer` does not say which call
                is meant, or if its output is not a tensor.
        """
        seen = one_call(layer, self.calls)
        if seen is None:
            raise ModelError(f"layer {layer} gives no tensor, so it has no units")
        return seen

    def layers(self) -> Iterator[tuple[str, T]]:
        """Everything seen, by the name that stands for one call."""
        for name, calls in self.calls.items():
            for k, seen in enumerate(calls):
                if seen is not None:
                    yield (name if len(calls) == 1 else f"{name}@{k + 1}"), seen


def one_call(layer: str, calls: Mapping[str, Sequence[T]]) -> T:
    """What is kept of the call that a layer's name stands for, among what is kept of every call of each submodule.

    Raises:
        ModelError: the submodule was not called, or several times and `layer` does not say which call is meant.
    """
    name, _, number = layer.partition("@")
    kept = calls.get(name, ())
    if not number and len(kept) > 1:
        allowed = ", ".join(f"{name}@{k + 1}" for k in range(len(kept)))
        raise ModelError(f"layer {name} is called {len(kept)} times in one pass: name one of {allowed}")
    index = int(number or 1) - 1
    if index not in range(len(kept)):
        raise ModelError(f"layer {layer} was not reached: {name} was called {len(kept)} times in the forward pass")
    return kept[index]


@contextmanager
def watch(module: nn.Module, layers: Iterable[str], take: Callable[[Tensor], T] | None = None) -> Generator[Seen[T]]:
    """Collects the outputs of `layers` while `module` is called inside the block, by forward hooks that go with it.

    Maps come as (batch, unit, rows, columns), also where the module carries their channels last (`channels`).

    Arguments:
        module: any module, best as `undisturbed` lends it.
        layers: names of submodules; `name@k` for the k-th call of one that is called several times.
        take: what to keep of an output, computed at once, before a later in-place operation can overwrite it: a
            reduction keeps memory small. By default the output itself is kept and the network goes on with a copy,
            so that it can be differentiated, or differentiated by, afterwards.

    Yields:
        A `Seen`: `seen[layer]` after a call. Each call of `module` starts it anew.

    Raises:
        ModelError: if there is no submodule of that name; the nearest names are listed.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True))
        >>> with watch(net, ["0"]) as seen:
        ...     _ = net(torch.zeros(1, 1, 5, 5))
        >>> seen["0"].shape
        torch.Size([1, 2, 3, 3])
    """
    found = [(named_layer(module, layer), layer) for layer in layers]
    parts = {layer.partition("@")[0]: part for part, layer in found}
    seen: Seen[T] = Seen(parts)
    channels = Channels()

    def clear(*_: object) -> None:
        for calls in seen.calls.values():
            calls.clear()

    def keep(name: str) -> Callable[[nn.Module, object, object], object]:
        def hook(part: nn.Module, inputs: object, output: object) -> object:
            del part, inputs
            if not isinstance(output, Tensor):
                seen.calls[name].append(None)
                return None
            units = channels.first(output)
            seen.calls[name].append(take(units) if take else units)  # pyright: ignore[reportArgumentType]
            return None if take else units.movedim(1, channels.of(output)).clone()

        return hook

    with ExitStack() as stack:
        stack.enter_context(module.register_forward_pre_hook(clear, prepend=True))
        for name, part in parts.items():
            stack.enter_context(part.register_forward_hook(keep(name)))
        stack.enter_context(Followed(channels))
        yield seen


def layer_names(module: nn.Module) -> tuple[str, ...]:
    """The names of all submodules that can be called: leaves and blocks, in the order of their definition.

    Example:
        >>> layer_names(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU())))
        ('0', '1', '1.0')
    """
    containers = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)
    return tuple(name for name, part in module.named_modules() if name and not isinstance(part, containers))


def layer_shapes(module: nn.Module, images: Float[Tensor, "batch ..."]) -> dict[str, Shape]:
    """The layers whose outputs are units (maps, 4-D, or vectors, 2-D), in calling order, and their shape for one image.

    Arguments:
        images: a batch as the module takes it; one image is enough.

    Example:
        >>> layer_shapes(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), torch.zeros(1, 1, 5, 5))
        {'0': (2, 3, 3), '1': (18,)}
    """
    order: list[tuple[int, tuple[int, ...]]] = []

    def note(output: Tensor) -> tuple[int, tuple[int, ...]]:
        order.append((len(order), tuple(output.shape)))
        return order[-1]

    with undisturbed(module) as still, torch.no_grad(), watch(still, layer_names(still), note) as seen:
        still(as_input(still, images))
    reached = sorted(seen.layers(), key=lambda layer: layer[1][0])
    return {name: shape[1:] for name, (_, shape) in reached if len(shape) in (2, 4)}


def named_layer(module: nn.Module, name: str) -> nn.Module:
    """The submodule that a layer's name stands for; the empty name is the module itself.

    Raises:
        ModelError: if there is none; lists the nearest names.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"a layer is named by a string, as 'features.3' or '0', found a {type(name).__name__}")
    name, _, number = name.partition("@")
    try:
        if number and (not number.isdecimal() or int(number) == 0):
            raise AttributeError
        return module.get_submodule(name)
    except AttributeError:
        known = layer_names(module)
        near = difflib.get_close_matches(name, known, n=5, cutoff=0.4) or list(known[:10])
        hint = f"nearest are {', '.join(near)}" if near else "it has no named layers"
        kind = getattr(module, "original_name", type(module).__name__)
        raise ModelError(f"no layer {name + (f'@{number}' if number else '')!r} in {kind}: {hint}") from None
