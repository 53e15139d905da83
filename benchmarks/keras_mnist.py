"""Keras's example "Simple MNIST convnet" (F. Chollet) on the torch backend, stopped once it has 99% on the test images.

The network, batch size, optimizer and validation share are the example's; the images are read as our loader reads them.
"""

from __future__ import annotations

import sys

import numpy as np
import peers

from striate import data

loaded = data.load(sys.argv[1])
parts = (loaded.train, loaded.validation)
x = np.concatenate([part.images for part in parts]).transpose(0, 2, 3, 1).astype("float32") / 255
y = np.concatenate([part.labels for part in parts])
x_test = np.asarray(loaded.test.images).transpose(0, 2, 3, 1).astype("float32") / 255
model = peers.keras_module("keras-mnist")
model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
order = np.random.default_rng(0).permutation(len(x))  # validation_split takes the last images, which are not shuffled
for epoch in range(30):
    model.fit(x[order], y[order], batch_size=peers.BATCH, epochs=1, validation_split=0.1, verbose=0)
    accuracy = model.evaluate(x_test, np.asarray(loaded.test.labels), verbose=0)[1]
    print(f"epoch {epoch + 1}: {accuracy:.4f}", flush=True)
    if accuracy >= 0.99:
        break
else:
    raise SystemExit("99% was not reached in 30 epochs")
