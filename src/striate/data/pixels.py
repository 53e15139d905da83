"""One image file to pixels, by one stated rule; the same for training, evaluation and prediction.

1. Files whose header announces more than 100 megapixels, or that are larger than 512 MB, are refused undecoded.
2. The first frame counts (GIF, APNG, TIFF, WebP). The EXIF orientation is applied, where EXIF can be read. ICC
   profiles are ignored.
3. 16-bit grey values are scaled by their full range (v * 255 / 65535, rounded); of 16-bit colours, and of 16-bit grey
   with opacity, the upper byte counts. Floating point: 0..1 is scaled by 255, 0..255 is rounded; any other range is
   refused, for nobody but the user knows its meaning. So are NaN, 32-bit and signed whole numbers.
4. Transparency is composited on white. Palette, CMYK, YCbCr, HSV become RGB; one-bit images 0 and 255.
5. To one channel: luma, ITU-R 601 (0.299 R + 0.587 G + 0.114 B). To three channels: grey is repeated.
6. To the size: `crop` scales until the image covers the size and cuts the centre; `pad` scales until it fits and
   centres it on black; `stretch` scales rows and columns apart. Scaling is bilinear with antialiasing; an image that
   has the size already is not touched. Large JPEGs are decoded at 1/2, 1/4 or 1/8 where that still leaves twice the
   size.
"""

from __future__ import annotations

import functools
import hashlib
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import UInt8

from striate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

Fit = Literal["crop", "pad", "stretch"]
FITS: tuple[Fit, ...] = ("crop", "pad", "stretch")

RULE = 2
"""The number of the rule above; a change of the rule changes it, and with it every key of the cache."""

MOST_PIXELS = 100_000_000
MOST_BYTES = 512 * 2**20

FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
"""What may be opened. Formats of Pillow that run other programs (EPS) or are no photographs are not among them; MPO,
which some cameras write, opens as its JPEG."""

_ORIENTATION = 0x0112
_GREY_STEPS = {"L;2": 85, "L;4": 17}
"""From grey values of two and four bits to eight, in the names that Pillow has for them."""
_GREY_MODES = ("1", "L", "LA", "La", "I", "F")


class Fault(NamedTuple):
    """Why a file could not be read, and whether that may be gone the next time: the disk, the memory, a killed process.

    What is wrong with the content stays wrong.
    """

    reason: str
    passing: bool


class UnreadableError(DataError):
    """A file cannot be read; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


class Seen(NamedTuple):
    """What a file's header says: sha256 of its bytes, upright size, whether it is grey; or the fault why not."""

    content: str
    width: int
    height: int
    grey: bool
    reason: str = ""
    passing: bool = False


def seen(path: str) -> Seen:
    """Looks at one file without decoding it. Never raises for a bad file: the reason stands in the result."""
    content = ""
    try:
        raw = _bytes(path)
        content = hashlib.sha256(raw).hexdigest()
        with warnings.catch_warnings(action="ignore"):
            image = _opened(raw)
            width, height = image.size
            turned = _orientation(image) in range(5, 9)
            return Seen(content, *((height, width) if turned else (width, height)), _is_grey(image))
    except Exception as fault:  # decoders raise whatever they like, and every fault is told
        return Seen(content, 0, 0, False, *fault_of(fault))


def pixels(path: str, shape: tuple[int, int, int], fit: Fit) -> UInt8[np.ndarray, "channels height width"]:
    """Decodes one file to `shape`. Raises UnreadableError with the reason where it cannot be."""
    try:
        with warnings.catch_warnings(action="ignore"):
            image = _opened(_bytes(path))
            height, width = shape[1:]
            image.draft(None, (2 * max(width, height), 2 * max(width, height)))  # pyright: ignore[reportArgumentType]
            return fitted(_upright(image), shape, fit)
    except Exception as fault:
        raise UnreadableError(fault_of(fault)) from None


def fitted(image: Image, shape: tuple[int, int, int], fit: Fit) -> UInt8[np.ndarray, "channels height width"]:
    """An upright image of any mode to uint8 (channels, height, width), by steps 3 to 6 of the rule."""
    channels, height, width = shape
    plain = _eight_bit(image)
    plain = plain if plain.mode == ("L" if channels == 1 else "RGB") else plain.convert("L" if channels == 1 else "RGB")
    values = np.asarray(_sized(plain, (width, height), fit))
    return values[None] if channels == 1 else np.ascontiguousarray(values.transpose(2, 0, 1))


def read_images(
    paths: Sequence[str | Path], shape: tuple[int, int, int], fit: Fit = "crop"
) -> UInt8[np.ndarray, "n channels height width"]:
    """Decodes these files to `shape` = (channels, height, width): what prediction needs.

    Raises:
        DataError: names every file that cannot be read, with its reason.
    """
    images = np.zeros((len(paths), *shape), np.uint8)
    faults: list[str] = []
    for row, path in enumerate(paths):
        try:
            images[row] = pixels(str(path), shape, fit)
        except DataError as fault:
            faults.append(f"{path}: {fault}")
    if faults:
        raise DataError("; ".join(faults))
    return images


def fault_of(fault: Exception) -> Fault:
    """Why a file could not be read. What the operating system says has a number; what a decoder says has none."""
    passing = isinstance(fault, MemoryError) or (isinstance(fault, OSError) and fault.errno is not None)
    return Fault(_reason(fault), passing or "out of memory" in str(fault))


def _reason(fault: Exception) -> str:
    """In words; the decoders' own where they are good enough."""
    if isinstance(fault, FileNotFoundError):
        return "the file is missing, or a link that points nowhere"
    if isinstance(fault, PermissionError):
        return "no permission to read it"
    if type(fault).__name__ == "UnidentifiedImageError":
        return "no image format that can be read"
    if type(fault).__name__ == "DecompressionBombError":
        return f"more than {MOST_PIXELS // 10**6} megapixels"
    words = str(fault).split("\n")[0][:200]
    return words or type(fault).__name__


def _bytes(path: str) -> bytes:
    size = Path(path).stat().st_size
    if not size:
        raise DataError("the file is empty")
    if size > MOST_BYTES:
        raise DataError(f"larger than {MOST_BYTES // 2**20} MB")
    return Path(path).read_bytes()


@functools.cache
def _formats() -> tuple[str, ...]:
    """FORMATS, without those that this build of Pillow lacks."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _opened(raw: bytes) -> Image:
    """The image, undecoded, if its header promises nothing that would not fit."""
    from PIL import Image

    image = Image.open(io.BytesIO(raw), formats=_formats())
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise DataError(f"{width}x{height} is more than {MOST_PIXELS // 10**6} megapixels")
    if image.mode == "I" and image.format == "TIFF":  # elsewhere this mode is 16 bits
        raise DataError("its values are 32-bit or signed whole numbers; allowed are 8 and 16 bits, or floating point")
    if "transparency" in image.info and image.tile:
        image.info["transparency"] = _scaled(image.info["transparency"], str(image.tile[0].args))
    return image


def _scaled(transparent: Any, layout: str) -> Any:
    """The value of a PNG that stands for transparency, in the file as wide as `layout`, as wide as the pixels are."""
    if layout in _GREY_STEPS:
        return transparent * _GREY_STEPS[layout]
    return tuple(value >> 8 for value in transparent) if layout == "RGB;16B" else transparent


def _orientation(image: Image) -> int:
    """What EXIF says of it, 1 to 8; 1, upright, where EXIF says nothing or cannot be read."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow raises whatever its reader met; the pixels are none the worse
        return 1
    return found if found in range(2, 9) else 1


def _upright(image: Image) -> Image:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _is_grey(image: Image) -> bool:
    """Whether the header promises grey values only; nothing is decoded for it."""
    from PIL import Image as Images

    if image.mode == "P" and image.palette is not None:
        carrier = Images.new("P", (1, 1))  # the image's own would be decoded first
        carrier.putpalette(image.palette)
        colors = np.array(carrier.getpalette("RGB")).reshape(-1, 3)
        return bool((colors == colors[:, :1]).all())
    return image.mode in _GREY_MODES or image.mode.startswith("I;16")


def _eight_bit(image: Image) -> Image:
    """Mode L or RGB: steps 3 and 4 of the rule."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode == "1":
        return _keyed(image, image.convert("L"))
    if image.mode.startswith("I") or image.mode == "F":
        return _keyed(image, _from_wide(image))
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return _on_white(image)
    return image.convert("RGB")


def _from_wide(image: Image) -> Image:
    """An image of 16 or 32 bits a value as 8 bits."""
    from PIL import Image as Images

    values = np.asarray(image).astype(np.float64)
    least, most = float(values.min()), float(values.max())
    if image.mode == "F":
        allowed = "0 to 1 or 0 to 255"
        scale = 255.0 if most <= 1 else 1.0
        fits = least >= 0 and most * scale <= 255
    else:
        allowed, scale = "0 to 65535", 255 / 65535
        fits = least >= 0 and most <= 65535
    if not fits:
        raise DataError(f"its values go from {least:g} to {most:g}; allowed are {allowed}")
    return Images.fromarray(np.rint(values * scale).astype(np.uint8))


def _keyed(image: Image, grey: Image) -> Image:
    """`grey`, made from `image`, white where `image` has the one value that stands for transparency in it."""
    from PIL import Image as Images

    if "transparency" not in image.info:
        return grey
    key = image.info["transparency"]
    see_through = np.asarray(image) == (bool(key) if image.mode == "1" else key)
    return Images.fromarray(np.where(see_through, np.uint8(255), np.asarray(grey)))


def _on_white(image: Image) -> Image:
    from PIL import Image as Images

    grey = image.mode in ("LA", "La", "L")
    over = image.convert("RGBA")
    white = Images.new("RGBA", over.size, (255, 255, 255, 255))
    return Images.alpha_composite(white, over).convert("L" if grey else "RGB")


def _sized(image: Image, size: tuple[int, int], fit: Fit) -> Image:
    """Step 6 of the rule; `size` is (width, height)."""
    from PIL import Image as Images

    if image.size == size:
        return image
    (width, height), bilinear = image.size, Images.Resampling.BILINEAR
    if fit == "stretch":
        return image.resize(size, bilinear)
    ratios = size[0] / width, size[1] / height
    if fit == "crop":
        taken = size[0] / max(ratios), size[1] / max(ratios)
        left, top = (width - taken[0]) / 2, (height - taken[1]) / 2
        box = max(left, 0.0), max(top, 0.0), min(left + taken[0], width), min(top + taken[1], height)
        return image.resize(size, bilinear, box=box)
    inner = max(1, round(width * min(ratios))), max(1, round(height * min(ratios)))
    padded = Images.new(image.mode, size)
    padded.paste(image.resize(inner, bilinear), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return padded
