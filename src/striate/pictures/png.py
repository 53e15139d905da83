"""Pictures as files: PNG, the same bytes for the same pixels, without dates or other metadata."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from striate import files
from striate.pictures.colors import Picture


def to_png(image: Picture, clear: Bool[np.ndarray, "rows columns"] | None = None) -> bytes:
    """The picture as PNG, compressed as far as it goes; gray pictures are stored with one channel.

    Arguments:
        clear: pixels through which what lies behind is seen; none where left out.
    """
    whole = Image.fromarray(image)
    if clear is not None and clear.any():
        whole.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
    elif (image[..., :1] == image).all():
        whole = whole.convert("L")
    buffer = io.BytesIO()
    whole.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(image: Picture, clear: Bool[np.ndarray, "rows columns"] | None = None) -> str:
    """The picture as an address that holds it, for pages that must not load anything; `clear` as in `to_png`."""
    return "data:image/png;base64," + base64.b64encode(to_png(image, clear)).decode("ascii")


def write_png(path: Path, image: Picture) -> None:
    """Writes the picture to `path` atomically."""
    files.write_bytes(path, to_png(image))
