"""A trained network ready to use: the PyTorch module, what its input must look like, and what its outputs mean.

One `.safetensors` file holds all of it; nothing is pickled. Training, looking inside and exporting meet here; this
file knows none of them.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
from jaxtyping import Float32

from striate import files
from striate.data import FITS
from striate.errors import ModelError, UserError
from striate.network import Network

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import torch
    from torch import Tensor, nn

    from striate.data import Fit

METADATA = "striate"
"""The key of a .safetensors file's metadata under which our JSON stands."""

ROUNDING = 1e-5
"""How far from 1 the sum of a softmax in float32 may be."""

EPSILON = 1e-12
"""Smallest probability whose logarithm is taken, for networks that end in softmax."""

VERSION = 1
"""Version of that JSON; raised when an older program could misread it."""


@final
@dataclass(frozen=True)
class Preprocessing:
    """What an input must look like and how its numbers are scaled: (x / 255 - mean) / std for uint8 images.

    Numbers that come as floats (the features of a table) are not divided by 255.

    Attributes:
        shape: (channels, rows, columns) of an image, or (features,) of a vector.
        mean: what is subtracted, one per channel or feature; on the scale 0 to 1 for images.
        std: what is divided by, above 0, one per channel or feature.
        fit: how an image of another size is brought to `shape`: `crop`, `pad` or `stretch`.
    """

    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        """Refuses what cannot be normalized with."""
        channels = self.shape[0] if self.shape else 0
        if len(self.shape) not in (1, 3) or min(self.shape, default=0) < 1:
            raise ModelError(f"the input shape must be channels x rows x columns or (features,), found {self.shape}")
        if len(self.mean) != channels or len(self.std) != channels:
            raise ModelError(
                f"mean and std need one number for each of the {channels} channels, "
                f"found {len(self.mean)} and {len(self.std)}"
            )
        if self.fit not in FITS:
            raise ModelError(f"fit must be one of {', '.join(FITS)}, found {self.fit}")
        if not all(math.isfinite(m) for m in self.mean) or not all(0 < s < math.inf for s in self.std):
            raise ModelError(f"mean must be finite and std above 0, found mean {self.mean} and std {self.std}")

    def normalize(
        self, images: Tensor, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        """What the module takes, from a batch of uint8 images or float vectors of shape (n, *shape).

        Arguments:
            images: uint8, or floats that are scaled already (0 to 1 for images); float64 is taken as float32, in which
                every network here is trained.
            dtype: of the result; float32 unless given.
            device: where the work is done; where `images` lie unless given.

        Example:
            >>> import torch
            >>> Preprocessing((1, 1, 2), (0.5,), (0.5,)).normalize(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
            tensor([[[[-1.,  1.]]]])
        """
        import torch

        x = images.float() if images.dtype == torch.float64 else images
        x = x.to(device) if device is not None else x
        top = 255.0 if x.dtype == torch.uint8 else 1.0
        ones = (1,) * (len(self.shape) - 1)
        scale = torch.tensor([1 / (top * s) for s in self.std], device=x.device).reshape(-1, *ones)
        shift = torch.tensor([-m / s for m, s in zip(self.mean, self.std, strict=True)], device=x.device)
        scaled = torch.mul(x, scale).add_(shift.reshape(-1, *ones))
        return scaled if dtype is None else scaled.to(dtype)


@final
@dataclass(frozen=True)
class Model:
    """A module with everything needed to use it on images.

    Attributes:
        module: any `nn.Module` that takes a batch (n, *preprocessing.shape) and gives (n, outputs).
        preprocessing: how its input is made.
        classes: what the outputs mean; () for regression or where nobody knows.
        network: the description it was built from; None for a module from elsewhere.
        name: what to call it in titles.
    """

    module: nn.Module
    preprocessing: Preprocessing
    classes: tuple[str, ...] = ()
    network: Network | None = None
    name: str = "model"

    @classmethod
    def foreign(
        cls,
        module: nn.Module,
        input_shape: tuple[int, ...],
        *,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        classes: tuple[str, ...] = (),
        name: str = "",
    ) -> Model:
        """A module of the user's own, left as it is. Without `mean` and `std` its input is on the scale 0 to 1."""
        channels = input_shape[0] if input_shape else 0
        preprocessing = Preprocessing(input_shape, mean or (0.0,) * channels, std or (1.0,) * channels)
        return cls(module, preprocessing, classes, None, name or type(module).__name__)

    @classmethod
    def from_weights(
        cls,
        module: nn.Module,
        path: Path | str,
        input_shape: tuple[int, ...],
        *,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        classes: tuple[str, ...] = (),
        name: str = "",
    ) -> Model:
        """`foreign`, after loading weights into `module` from `.safetensors`, or from `.pt` without running its code.

        Raises:
            ModelError: the file cannot be read safely, or its tensors are not the module's.
        """
        _load_state(module, _foreign_tensors(Path(path)), Path(path))
        named = name or Path(path).stem
        return cls.foreign(module, input_shape, mean=mean, std=std, classes=classes, name=named)

    def save(self, path: Path | str) -> None:
        """Writes weights and description as one .safetensors file; equal models give equal bytes.

        Raises:
            ModelError: it was not built from a `Network`, so that nothing could say how to build it again.
        """
        files.write_bytes(Path(path), self.as_bytes())

    def as_bytes(self) -> bytes:
        """The content of the file that `save` writes."""
        from safetensors.torch import save

        if self.network is None:
            raise ModelError(
                f"{self.name} was not built from a network's text, so a file could not say how to rebuild it"
            )
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.module.state_dict().items()}
        described = {
            "version": VERSION,
            "name": self.name,
            "network": str(self.network),
            "classes": list(self.classes),
            "preprocessing": {
                "shape": list(self.preprocessing.shape),
                "mean": list(self.preprocessing.mean),
                "std": list(self.preprocessing.std),
                "fit": self.preprocessing.fit,
            },
        }
        # One metadata entry only: safetensors writes several in an order that changes from process to process.
        return save(tensors, {METADATA: json.dumps(described, ensure_ascii=False)})

    @classmethod
    def load(cls, path: Path | str) -> Model:
        """Reads a file that `save` wrote; the module is on the CPU, in evaluation mode.

        Raises:
            ModelError: the file is missing, damaged, or another program's.
        """
        path = Path(path)
        tensors, metadata = _safetensors(path)
        if METADATA not in metadata:
            raise ModelError(
                f"{path} is a .safetensors file but not a striate model: its metadata has no entry {METADATA!r}"
            )
        try:
            described = json.loads(metadata[METADATA])
            if described["version"] != VERSION:
                raise ModelError(f"{path} has format version {described['version']}; this program reads {VERSION}")
            network = Network.parse(described["network"], allow_large=True)
            kept = described["preprocessing"]
            preprocessing = Preprocessing(tuple(kept["shape"]), tuple(kept["mean"]), tuple(kept["std"]), kept["fit"])
            classes, name = tuple(map(str, described["classes"])), str(described["name"])
        except ModelError:
            raise
        except (UserError, ValueError, KeyError, TypeError) as cause:
            raise ModelError(f"{path} is damaged: its description cannot be read ({_first_line(cause)})") from None
        module = network.build(seed=0)
        _load_state(module, tensors, path)
        return cls(module.eval(), preprocessing, classes, network, name)

    def predict(self, images: np.ndarray, batch: int = 256) -> Float32[np.ndarray, "n outputs"]:
        """The probability of every class for every image; for regression the outputs as they are.

        The module computes in evaluation mode where its weights lie, and is left in the mode it was in.

        Arguments:
            images: uint8 (n, channels, rows, columns), or floats (n, features).
            batch: how many at a time.

        Raises:
            ModelError: the images do not have the model's input shape.
        """
        import torch

        self._check(images)
        if not len(images):
            return self.predict(np.zeros((1, *self.preprocessing.shape), images.dtype))[:0]
        outputs: list[np.ndarray] = []
        with evaluating(self.module), torch.inference_mode():
            for start in range(0, len(images), batch):
                taken = torch.from_numpy(np.array(images[start : start + batch]))
                raw = self.module(self.preprocessing.normalize(taken, device=device_of(self.module))).float()
                outputs.append(self.probabilities(raw).cpu().numpy())
        return np.concatenate(outputs)

    def probabilities(self, outputs: Float32[Tensor, "n outputs"]) -> Float32[Tensor, "n outputs"]:
        """Softmax of the module's outputs, unless they are probabilities already, or numbers (regression)."""
        return outputs.softmax(1) if self.classes and not self.gives_probabilities(outputs) else outputs

    def gives_probabilities(self, outputs: Float32[Tensor, "n outputs"]) -> bool:
        """Whether these outputs of the module are probabilities.

        Of a network of ours the last layer says it. A module from elsewhere may compute its softmax where nobody sees
        it: there they are, where every row is non-negative and sums to 1 within rounding.
        """
        return ends_in_softmax(self.module) or (self.network is None and _are_probabilities(outputs))

    def _check(self, images: np.ndarray) -> None:
        shape = self.preprocessing.shape
        if images.shape[1:] != shape:
            raise ModelError(f"{self.name} takes inputs of shape {shape}, found {images.shape[1:]}")
        if len(shape) == 3 and images.dtype != np.uint8:
            raise ModelError(f"{self.name} takes images of uint8 numbers from 0 to 255, found {images.dtype}")


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Generator[None]:
    """Inside, `module` is in evaluation mode; after, every part of it is in the mode it was in before."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def device_of(module: nn.Module) -> torch.device:
    """Where the module's weights lie; the CPU where it has none."""
    import torch

    return next((p.device for p in module.parameters()), torch.device("cpu"))


def ends_in_softmax(module: nn.Module) -> bool:
    """Whether the module's outputs are probabilities already; flattened, or with dropout after, they still are."""
    from torch import nn

    if not isinstance(module, nn.Sequential):
        return False
    last = next((part for part in reversed(module) if not isinstance(part, nn.Flatten | nn.Dropout)), None)
    return isinstance(last, nn.Softmax)


def _are_probabilities(outputs: Tensor) -> bool:
    if outputs.dim() != 2 or not len(outputs) or outputs.shape[1] < 2:
        return False
    return bool((outputs >= 0).all()) and bool(((outputs.sum(1) - 1).abs() <= ROUNDING).all())


def _safetensors(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError:
        raise ModelError(f"there is no file {path}") from None
    except (SafetensorError, OSError) as cause:
        raise ModelError(f"{path} is not a readable .safetensors file: {cause}") from None


def _foreign_tensors(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        return _safetensors(path)[0]
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
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ModelError(f"{path} does not hold a state dict: a mapping from names to tensors")
    return found


def _load_state(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as cause:
        faults = _misfits(module.state_dict(), tensors) or str(cause).splitlines()[-1].strip()
        raise ModelError(f"the weights in {path} do not fit the module: {faults}") from None


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


def _first_line(cause: Exception) -> str:
    return (str(cause).splitlines() or [""])[0] or type(cause).__name__
