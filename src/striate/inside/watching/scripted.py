"""TorchScript modules, opened: a copy that runs the same operations from Python, one submodule inside the other.

A module made by `torch.jit.trace` runs its submodules without their hooks, and its operations out of reach of any
rule. Its graph is a list of operations, though; here each is called from Python, in order, on the same parameters.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from striate.errors import ModelError


def open_to_hooks(module: nn.Module) -> nn.Module:
    """`module` itself, or, if TorchScript is anywhere in it, a copy with the same names, parameters and buffers that
    runs from Python.

    Raises:
        ModelError: if a scripted part branches or loops, or calls what cannot be called from Python.
    """
    if isinstance(module, torch.jit.ScriptModule):
        return Opened(module)
    if not any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        return module
    twin = copy.copy(module)
    opened = {id(child): open_to_hooks(child) for child in module.children()}
    children: dict[str, nn.Module | None] = vars(module)["_modules"]
    vars(twin)["_modules"] = {name: child if child is None else opened[id(child)] for name, child in children.items()}
    return twin


@final
class Opened(nn.Module):
    """One TorchScript module, run operation by operation."""

    def __init__(self, scripted: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.original_name = str(getattr(scripted, "original_name", "ScriptModule"))
        for name, parameter in scripted.named_parameters(recurse=False):
            self._parameters[name] = parameter
        for name, buffer in scripted.named_buffers(recurse=False):
            self._buffers[name] = buffer
        for name, child in scripted.named_children():
            self._modules[name] = open_to_hooks(child)
        self._scripted = (scripted,)  # in a tuple, so that it is no submodule

    def attribute(self, name: str) -> Any:
        """A parameter, buffer, submodule or constant of the scripted module."""
        own = self._parameters | self._buffers | self._modules
        return own[name] if name in own else getattr(self._scripted[0], name)

    def forward(self, *inputs: Any, method: str = "forward") -> Any:
        """Runs `method`; a submodule that was traced in several calls has one for each: forward, forward1, ..."""
        scripted = self._scripted[0]
        graph: Any = getattr(scripted if method == "forward" else getattr(scripted, method), "graph", None)
        if graph is None:
            raise ModelError(f"the TorchScript module {self.original_name} has no graph for {method}")
        names = [value.debugName() for value in graph.inputs()]
        values: dict[str, Any] = dict(zip(names, (self, *inputs), strict=True))
        for node in graph.nodes():
            results = _run(node, [values[value.debugName()] for value in node.inputs()])
            values.update(zip((value.debugName() for value in node.outputs()), results, strict=True))
        returned = [values[value.debugName()] for value in graph.outputs()]
        return returned[0] if len(returned) == 1 else tuple(returned)


def _run(node: Any, inputs: list[Any]) -> tuple[Any, ...]:
    """The results of one operation of a TorchScript graph."""
    kind = str(node.kind())
    if kind == "prim::Constant":
        return (node.output().toIValue(),)
    if kind == "prim::GetAttr":
        owner, name = inputs[0], node.s("name")
        return (owner.attribute(name) if isinstance(owner, Opened) else getattr(owner, name),)
    if kind == "prim::CallMethod" and isinstance(inputs[0], Opened):
        return (inputs[0](*inputs[1:], method=node.s("name")),)
    if kind in ("prim::ListUnpack", "prim::TupleUnpack"):
        return tuple(inputs[0])
    if kind in _PLAIN:
        return (_PLAIN[kind](inputs),)
    if kind.startswith("aten::"):
        result = _called(str(node.schema()), inputs)
        return result if isinstance(result, tuple) and node.outputsSize() != 1 else (result,)
    raise ModelError(
        f"this TorchScript module contains {kind}, which cannot be looked into: use the module it was made from"
    )


_PLAIN: dict[str, Callable[[list[Any]], Any]] = {
    "prim::ListConstruct": list,
    "prim::TupleConstruct": tuple,
    "prim::NumToTensor": lambda inputs: torch.tensor(inputs[0]),
    "aten::Int": lambda inputs: int(inputs[0]),
    "aten::ScalarImplicit": lambda inputs: inputs[0].item() if isinstance(inputs[0], Tensor) else inputs[0],
}


def _called(text: str, inputs: list[Any]) -> Any:
    """The result of the ATen operator with this schema."""
    schema = torch._C.parse_schema(text)  # pyright: ignore[reportPrivateUsage]
    packet = getattr(torch.ops.aten, str(schema.name).removeprefix("aten::"))
    operator = getattr(packet, str(schema.overload_name) or "default")
    pairs = list(zip(schema.arguments, inputs, strict=True))
    positional = [value for argument, value in pairs if not argument.kwarg_only]
    return operator(*positional, **{argument.name: value for argument, value in pairs if argument.kwarg_only})
