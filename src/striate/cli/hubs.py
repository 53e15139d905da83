"""Models of torchvision and timm by name, where the user has those packages; neither is imported unless it is named."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from striate.errors import Failure, UserError

if TYPE_CHECKING:
    from torch import nn

HUBS = ("torchvision", "timm")


@final
@dataclass(frozen=True)
class Made:
    """A model of a hub, and how its published weights want their images, in the words of the options.

    Attributes:
        module: the model.
        input, mean, std: None where the hub does not say.
        classes: the names of its outputs, where the hub knows them.
    """

    module: nn.Module
    input: str | None
    mean: str | None
    std: str | None
    classes: tuple[str, ...]


def is_hub(target: str) -> bool:
    """Whether `target` names a model of a hub: `torchvision:resnet18`."""
    return target.partition(":")[0] in HUBS and ":" in target


def made(target: str, *, pretrained: bool) -> Made:
    """The model that `torchvision:NAME` or `timm:NAME` stands for.

    Arguments:
        pretrained: whether it gets its published weights, which the hub may download, or random ones.

    Raises:
        UserError: the package is not installed, or has no such model.
        Failure: the weights could not be downloaded.
    """
    hub, _, name = target.partition(":")
    with contextlib.redirect_stdout(sys.stderr):
        package = _installed(hub)
        try:
            return _torchvision(package, name, pretrained) if hub == "torchvision" else _timm(package, name, pretrained)
        except OSError as fault:
            raise Failure(
                f"the weights of {target} could not be downloaded ({told(fault)}); --weights FILE takes your own"
            ) from None
        except UserError:
            raise
        except Exception as fault:
            raise UserError(f"{hub} cannot make {name}: {told(fault)}") from None


def _installed(hub: str) -> Any:
    try:
        return importlib.import_module("torchvision.models" if hub == "torchvision" else hub)
    except ModuleNotFoundError as fault:
        if fault.name != hub:
            raise UserError(f"importing {hub} failed: it needs {fault.name}, which is not installed") from None
        raise UserError(f"{hub} is not installed; pip install {hub}, or name your own model with --module") from None
    except Exception as fault:
        raise UserError(f"importing {hub} failed: {told(fault)}") from None


def _torchvision(models: Any, name: str, pretrained: bool) -> Made:
    _known(name, models.list_models(), "torchvision")
    published = models.get_model_weights(name).DEFAULT
    module = models.get_model(name, weights=published if pretrained else None)
    wants = published.transforms()
    crop = getattr(wants, "crop_size", None)
    side = crop[0] if isinstance(crop, list | tuple) else crop
    return Made(
        module,
        f"3x{side}x{side}" if side else None,
        _words(getattr(wants, "mean", None)),
        _words(getattr(wants, "std", None)),
        tuple(map(str, published.meta.get("categories", ()))) if pretrained else (),
    )


def _timm(timm: Any, name: str, pretrained: bool) -> Made:
    _known(name.partition(".")[0], timm.list_models(), "timm")
    module = timm.create_model(name, pretrained=pretrained)
    wants = getattr(module, "pretrained_cfg", None) or {}
    size = wants.get("input_size")
    return Made(
        module, "x".join(map(str, size)) if size else None, _words(wants.get("mean")), _words(wants.get("std")), ()
    )


def _known(name: str, names: list[str], hub: str) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3)
        raise UserError(f"{hub} has no model {name}" + (f"; nearest are {', '.join(near)}" if near else ""))


def _words(numbers: Any) -> str | None:
    return None if numbers is None else ",".join(map(str, numbers))


def told(fault: BaseException) -> str:
    """A fault of someone else's code in one line: its kind and the first line of what it says."""
    lines = str(fault).strip().splitlines()
    return f"{type(fault).__name__}: {lines[0]}" if lines else type(fault).__name__
