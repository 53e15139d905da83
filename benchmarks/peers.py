"""The other ways to train the same network on the same images: a plain PyTorch loop, Lightning, Keras on torch.

Each function trains `epochs` times over (images, labels) and returns the images/s of every epoch but the first, which
warms up. Each peer is written as its own documentation writes it, with its data in memory as normalized float32.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

VGG = (
    "input 3x32x32, (conv 64 3x3 pad=1, batchnorm, relu) x2, maxpool 2x2, (conv 128 3x3 pad=1, batchnorm, relu) x2, "
    "maxpool 2x2, (conv 256 3x3 pad=1, batchnorm, relu) x2, maxpool 2x2, dense 10"
)
TEXTS = {"keras-mnist": "keras-mnist", "vgg": VGG}
BATCH = 128


def plain(workload: str, images: np.ndarray, labels: np.ndarray, epochs: int) -> list[float]:
    """PyTorch's own tutorial: TensorDataset, DataLoader, Adam, cross-entropy; float32, NCHW."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    module = torch_module(workload)
    loader = DataLoader(
        TensorDataset(torch.from_numpy(images), torch.from_numpy(labels)),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
    )
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    rates: list[float] = []
    for _ in range(epochs):
        begin = time.perf_counter()
        for x, y in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(module(x), y)
            loss.backward()
            optimizer.step()
        rates.append(len(loader) * BATCH / (time.perf_counter() - begin))
    return rates[1:]


def lightning(workload: str, images: np.ndarray, labels: np.ndarray, epochs: int) -> list[float]:
    """Lightning's Trainer over the same loader, with its logging, checkpoints and progress bar turned off."""
    import lightning as light  # pyright: ignore[reportMissingImports]
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    rates: list[float] = []

    class Task(light.LightningModule):  # pyright: ignore[reportUntypedBaseClass]
        def __init__(self) -> None:
            super().__init__()
            self.module = torch_module(workload)

        def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
            x, y = batch
            return torch.nn.functional.cross_entropy(self.module(x), y)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

        def on_train_epoch_start(self) -> None:
            self.begin = time.perf_counter()

        def on_train_epoch_end(self) -> None:
            rates.append(len(loader) * BATCH / (time.perf_counter() - self.begin))

    loader = DataLoader(
        TensorDataset(torch.from_numpy(images), torch.from_numpy(labels)),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
    )
    trainer = light.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Task(), loader)
    return rates[1:]


def keras(workload: str, images: np.ndarray, labels: np.ndarray, epochs: int) -> list[float]:
    """Keras 3 on its torch backend: Sequential, compile, fit, channels last as Keras's examples have it."""
    library = _keras()
    rates: list[float] = []
    x = np.ascontiguousarray(images.transpose(0, 2, 3, 1))[: len(images) // BATCH * BATCH]
    y = labels[: len(x)]

    class Clock(library.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            self.begin = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            rates.append(len(x) / (time.perf_counter() - self.begin))

    module = keras_module(workload)
    module.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    module.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[Clock()])
    return rates[1:]


def torch_module(workload: str) -> nn.Module:
    """The workload's network as PyTorch users write it; the same layers and sizes for every peer."""
    from torch import nn

    if workload == "keras-mnist":
        return nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10),
        )  # fmt: skip
    layers: list[nn.Module] = []
    channels = 3
    for width in (64, 128, 256):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 16, 10))


def keras_module(workload: str) -> Any:
    """The workload's network in Keras; `keras-mnist` is Keras's own example "Simple MNIST convnet"."""
    library = _keras()
    layers = library.layers
    if workload == "keras-mnist":
        return library.Sequential([
            layers.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ])  # fmt: skip
    stack = [layers.Input((32, 32, 3))]
    for width in (64, 128, 256):
        for _ in range(2):
            stack += [layers.Conv2D(width, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()]
        stack.append(layers.MaxPooling2D(2))
    return library.Sequential([*stack, layers.Flatten(), layers.Dense(10, activation="softmax")])


def _keras() -> Any:
    os.environ["KERAS_BACKEND"] = "torch"  # Keras reads its backend from the environment when it is imported
    import keras as library  # pyright: ignore[reportMissingImports]

    return library


PEERS: dict[str, Callable[[str, np.ndarray, np.ndarray, int], list[float]]] = {
    "plain": plain,
    "lightning": lightning,
    "keras": keras,
}
