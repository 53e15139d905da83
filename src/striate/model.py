"""A trained network ready to use: the PyTorch module, what its input must look like, and what its outputs mean.

One `.safetensors` file holds all of it; nothing is pickled. Training, looking inside and exporting meet here; this
file knows none of them.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import numbers
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from jaxtyping import Float32

from striate import files, weights
from striate.data import FITS
from striate.errors import ModelError, UserError
from striate.network import Network

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import torch
    from torch import Tensor, nn

    from striate.data import Fit
    from striate.manners import Manner

METADATA = "striate"
"""The key of a .safetensors file's metadata under which our JSON stands."""

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
        if not _is_shape(self.shape):
            raise ModelError(f"the input shape must be (channels, rows, columns) or (features,), found {self.shape}")
        channels = self.shape[0]
        if not (_are_numbers(self.mean, channels) and _are_numbers(self.std, channels)):
            raise ModelError(
                f"mean and std need one number for each of the {channels} channels, found {self.mean} and {self.std}"
            )
        if self.fit not in FITS:
            raise ModelError(f"fit must be one of {', '.join(FITS)}, found {self.fit}")
        if not all(math.isfinite(m) for m in self.mean) or not all(0 < s < math.inf for s in self.std):
            raise ModelError(f"mean must be finite and std above 0, found mean {self.mean} and std {self.std}")

    def as_json(self) -> dict[str, Any]:
        """The attributes under their names."""
        return {"shape": list(self.shape), "mean": list(self.mean), "std": list(self.std), "fit": self.fit}

    @classmethod
    def of_json(cls, held: Mapping[str, Any]) -> Preprocessing:
        """What `as_json` wrote. Raises KeyError and TypeError of anything else, ModelError of what cannot be."""
        return cls(tuple(held["shape"]), tuple(held["mean"]), tuple(held["std"]), held["fit"])

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
        shape = tuple(input_shape) if _is_shape(input_shape) else input_shape  # what is wrong is said below
        channels = shape[0] if _is_shape(shape) else 0
        zeros, ones = (0.0,) * channels, (1.0,) * channels
        preprocessing = Preprocessing(shape, zeros if mean is None else mean, ones if std is None else std)
        return cls(module, preprocessing, tuple(classes), None, name or type(module).__name__)

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
        weights.put(module, weights.read(Path(path)), Path(path))
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
            "preprocessing": self.preprocessing.as_json(),
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
        tensors, metadata = weights.safetensors(path)
        if METADATA not in metadata:
            raise ModelError(
                f"{path} is a .safetensors file but not a striate model: its metadata has no entry {METADATA!r}"
            )
        try:
            described = json.loads(metadata[METADATA])
            if described["version"] != VERSION:
                raise ModelError(f"{path} has format version {described['version']}; this program reads {VERSION}")
            network = Network.parse(described["network"], allow_large=True)
            preprocessing = Preprocessing.of_json(described["preprocessing"])
            classes, name = tuple(map(str, described["classes"])), str(described["name"])
        except ModelError:
            raise
        except (UserError, ValueError, KeyError, TypeError, RecursionError) as cause:
            raise ModelError(f"{path} is damaged: its description cannot be read ({_first_line(cause)})") from None
        if network.input != preprocessing.shape or (classes and network.shapes[-1] != (len(classes),)):
            raise ModelError(
                f"{path} is damaged: its network takes {network.input} and gives {network.shapes[-1]}, its images are "
                f"{preprocessing.shape} and its classes {len(classes)}"
            )
        module = network.build(seed=0)
        weights.put(module, tensors, path)
        return cls(module.eval(), preprocessing, classes, network, name)

    def predict(self, images: np.ndarray, batch: int = 256) -> Float32[np.ndarray, "n outputs"]:
        """The probability of every class for every image; for regression the outputs as they are.

        Of a module from elsewhere that ends in a sigmoid each class has a probability of its own, and a row need not
        sum to 1. The module computes in evaluation mode, where its weights lie and in their type, and is left in the
        mode it was in. One that takes statistics from its batch is given one image at a time, so that no answer
        depends on others.

        Arguments:
            images: uint8 (n, channels, rows, columns), or numbers (n, features).
            batch: how many at a time, at least 1.

        Raises:
            ModelError: the images do not have the model's input shape, the module gives anything but one number for
                each class, or an image alone has no statistics for it.
        """
        import torch

        images = self._taken(images, batch)
        if not len(images):
            return self.predict(np.zeros((1, *images.shape[1:]), images.dtype))[:0]
        step = self.at_once(batch)
        outputs: list[np.ndarray] = []
        with evaluating(self.module), torch.inference_mode():
            for start in range(0, len(images), step):
                answered = self._answered(torch.from_numpy(np.array(images[start : start + step])))
                outputs.append(self.probabilities(answered).cpu().numpy())
        return np.concatenate(outputs)

    def probabilities(self, outputs: Float32[Tensor, "n outputs"]) -> Float32[Tensor, "n outputs"]:
        """The module's outputs as probabilities: `shares` of them, unless they are probabilities or numbers already."""
        return shares(outputs) if self.classes and not self.gives_probabilities(outputs) else outputs

    def gives_probabilities(self, outputs: Float32[Tensor, "n outputs"]) -> bool:
        """Whether these outputs of the module are probabilities.

        Of a network of ours the last layer says it. Of a module from elsewhere they are where it ends in a softmax or
        a sigmoid, or where every row is non-negative and sums to 1 within rounding. A module that ends otherwise is
        taken to give scores for softmax; `nn.Sequential(module, nn.Sigmoid())` says that they are for sigmoid.
        """
        from striate.manners import sum_to_one

        return self.manner.probabilities or (self.network is None and sum_to_one(outputs))

    def at_once(self, batch: int) -> int:
        """How many images the module may be given together: `batch`, or 1 where it takes statistics from its batch.

        Raises:
            ModelError: it has none for one image, so that its answer to an image is not defined.
        """
        if self.manner.never_alone:
            raise ModelError(
                f"{self.name} takes statistics from the whole batch, and an image alone has none: its answer to one "
                "image is not defined"
            )
        return 1 if self.manner.by_batch else batch

    @functools.cached_property
    def manner(self) -> Manner:
        """How the module answers, kept from the first time: one from elsewhere is then given pairs of grey images,
        which its hooks see too."""
        import torch

        from striate.manners import Manner, manner

        if self.network is not None:
            return Manner(probabilities=ends_in_softmax(self.module))
        grey = torch.arange(math.prod(self.preprocessing.shape)).reshape(self.preprocessing.shape) % 128 + 64
        with evaluating(self.module):
            for images in (torch.stack([grey, grey]).byte(), grey[None].byte()):
                with contextlib.suppress(Exception):  # what is wrong will be said of the images that come
                    return manner(self.module, self._normalized(images))
        return Manner()

    def _normalized(self, images: Tensor) -> Tensor:
        like = _first_float(self.module)
        return self.preprocessing.normalize(images, like.dtype, like.device)

    def _answered(self, images: Tensor) -> Float32[Tensor, "n outputs"]:
        """The module's outputs; of a classifier one number for each class."""
        outputs = self.module(self._normalized(images))
        wanted = (len(images), len(self.classes))
        if not hasattr(outputs, "shape") or (self.classes and tuple(outputs.shape) != wanted):
            found = tuple(getattr(outputs, "shape", ())) or type(outputs).__name__
            raise ModelError(f"{self.name} must give a row of {wanted[1] or 'numbers'} for each image, found {found}")
        return outputs.float()

    def _taken(self, images: np.ndarray, batch: int) -> np.ndarray:
        """The images as they go in; numbers of a table are never divided by 255, whatever their type."""
        shape = self.preprocessing.shape
        images = np.asarray(images)
        if images.shape[1:] != shape or not images.ndim:
            raise ModelError(f"{self.name} takes inputs of shape {shape}, found {images.shape[1:]}")
        if len(shape) == 3 and images.dtype != np.uint8:
            raise ModelError(f"{self.name} takes images of uint8 numbers from 0 to 255, found {images.dtype}")
        if images.dtype.kind not in "iufb":
            raise ModelError(f"{self.name} takes numbers, found {images.dtype}")
        if batch < 1:
            raise ModelError(f"a batch must hold at least 1 image, found {batch}")
        return images if len(shape) == 3 else images.astype(np.float32)


def shares(scores: Float32[Tensor, "n outputs"]) -> Float32[Tensor, "n outputs"]:
    """Scores as probabilities: their softmax; of one score alone, of which that would be 1, the sigmoid."""
    return scores.softmax(1) if scores.shape[1] > 1 else scores.sigmoid()


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Generator[None]:
    """Inside, `module` is in evaluation mode; after, every part of it is in the mode it was in before."""
    modes = [(part, part.training) for part in module.modules() if hasattr(part, "training")]  # frozen ones have none
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def device_of(module: nn.Module) -> torch.device:
    """Where the module's weights lie; the CPU where it has none."""
    return _first_float(module).device


def ends_in_softmax(module: nn.Module) -> bool:
    """Whether the module's outputs are probabilities already; flattened, or with dropout after, they still are."""
    from torch import nn

    if not isinstance(module, nn.Sequential):
        return False
    last = next((part for part in reversed(module) if not isinstance(part, nn.Flatten | nn.Dropout)), None)
    return isinstance(last, nn.Softmax)


def _first_float(module: nn.Module) -> Tensor:
    """The first of its weights and statistics, whose device and type its input must have; else as torch makes one."""
    import torch

    held = (*module.parameters(), *module.buffers())
    return next((tensor for tensor in held if tensor.is_floating_point()), torch.zeros(0, dtype=torch.float32))


def _is_shape(shape: object) -> bool:
    """Whether it is (channels, rows, columns) or (features,)."""
    sides: list[Any] = list(shape) if isinstance(shape, tuple | list) else []
    return len(sides) in (1, 3) and all(isinstance(side, numbers.Integral) and int(side) >= 1 for side in sides)


def _are_numbers(values: object, count: int) -> bool:
    found: list[Any] = list(values) if isinstance(values, tuple | list) else []
    return len(found) == count and all(isinstance(value, numbers.Real) for value in found)


def _first_line(cause: Exception) -> str:
    return (str(cause).splitlines() or [""])[0] or type(cause).__name__
