"""Weights from files: `.safetensors`, or what `torch.save` wrote as far as it is weights alone; never any code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from striate.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn


WRAPPED = "module."


def safetensors(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """The tensors of a .safetensors file, on the CPU, and its metadata. Raises ModelError where it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError:
        raise ModelError(f"there is no file {path}") from None
    except (SafetensorError, OSError) as cause:
        raise ModelError(f"{path} is not a readable .safetensors file: {cause}") from None


def read(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a .safetensors, .pt or .pth file. Raises ModelError where reading it would run its code."""
    if path.suffix == ".safetensors":
        return safetensors(path)[0]
    if path.suffix not in (".pt", ".pth"):
        raise ModelError(f"weights must be a .safetensors, .pt or .pth file, found {path.name}")
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"there is no file {path}") from None
    except Exception as cause:  # torch raises whatever its unpickler met
        raise ModelError(
            f"{path} cannot be loaded as weights alone, without running code from it: {_no_weights(cause)}"
        ) from None
    found = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not isinstance(found, dict) or not all(
        isinstance(n, str) and isinstance(t, torch.Tensor) for n, t in found.items()
    ):
        held = f"the entries {_some(list(map(str, loaded)))}" if isinstance(loaded, dict) else type(loaded).__name__
        raise ModelError(f"{path} does not hold a state dict, a mapping from names to tensors; found {held}")
    return found


def put(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Loads weights, read from `path`, into `module`. Raises ModelError that says in what the two differ.

    What a module has under several names need stand in a file under one of them, as `safetensors.torch.save_model`
    writes it; and the names may be those that a module has within DataParallel, each behind `module.`.
    """
    tensors = _unwrapped(module, tensors)
    if any(tensor.is_complex() and not own.is_complex() for own, tensor in _pairs(module, tensors)):
        raise ModelError(f"the weights in {path} are complex numbers, and the module's are real")
    try:
        module.load_state_dict(_under_all_names(module, tensors))
    except RuntimeError as cause:
        faults = _misfits(module.state_dict(), tensors) or str(cause).splitlines()[-1].strip()
        raise ModelError(f"the weights in {path} do not fit the module: {faults}") from None


def _unwrapped(module: nn.Module, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """`tensors` without the `module.` that DataParallel and DistributedDataParallel put before every name."""
    wrapped = bool(tensors) and all(name.startswith(WRAPPED) for name in tensors)
    if not wrapped or any(name.startswith(WRAPPED) for name in module.state_dict()):
        return tensors
    return {name.removeprefix(WRAPPED): tensor for name, tensor in tensors.items()}


def _pairs(module: nn.Module, tensors: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """The tensors of the module and of the file that have the same name."""
    return [(own, tensors[name]) for name, own in module.state_dict(keep_vars=True).items() if name in tensors]


def _under_all_names(module: nn.Module, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """`tensors`, and each of them under the other names that the module has for what it is loaded into."""
    found = {id(own): tensor for own, tensor in _pairs(module, tensors)}
    wanted = {name: id(own) for name, own in module.state_dict(keep_vars=True).items()}
    return {name: found[own] for name, own in wanted.items() if own in found} | dict(tensors)


def _misfits(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """In what two sets of weights differ: names, or else shapes."""
    lacking, extra = [n for n in wanted if n not in found], [n for n in found if n not in wanted]
    other = [n for n in wanted if n in found and wanted[n].shape != found[n].shape]
    sizes = [f"{n} is {_sides(found[n])} in the file, {_sides(wanted[n])} in the module" for n in other]
    said = ([f"the file lacks {_some(lacking)}"] if lacking else []) + (
        [f"it also has {_some(extra)}"] if extra else []
    )
    return "; ".join([*said, *sizes[:1]])


def _sides(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"


def _some(names: list[str]) -> str:
    """A few of many names."""
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def _no_weights(cause: Exception) -> str:
    """Why torch would not load a file as weights; its own words advise to run the code in it."""
    wanted = re.search(r"GLOBAL (\S+)", str(cause))
    if wanted is None:
        return "it is damaged, or no file of torch.save"
    return f"it asks for {wanted[1]}; torch.save(model.state_dict(), FILE) makes a file without code"
