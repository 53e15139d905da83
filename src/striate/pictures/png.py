"""Pictures as files: PNG, the same bytes for the same pixels, without dates or other metadata."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from striate import files
from striate.pictures.colors import Picture


def to_png(image: Picture) -> bytes:
    """The picture as PNG, compressed as far as it goes; gray pictures are stored with one channel."""
    whole = Image.fromarray(image)
    gray = bool((image[..., :1] == image).all())
    buffer = io.BytesIO()
    (whole.convert("L") if gray else whole).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(image: Picture) -> str:
    """The picture as an address that holds it, for pages that must not load anything."""
    return "data:image/png;base64," + base64.b64encode(to_png(image)).decode("ascii")


def write_png(path: Path, image: Picture) -> None:
    """Writes the picture to `path` atomically."""
    files.write_bytes(path, to_png(image))
