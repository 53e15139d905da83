"""Every kind of image file against pixels worked out by hand or by NumPy."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from striate.data.pixels import MOST_PIXELS, Fit, fitted, pixels, read_images, seen
from striate.errors import DataError

RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 256, (6, 8), np.uint8)
RGB = RNG.integers(0, 256, (6, 8, 3), np.uint8)


def saved(folder: Path, image: Image.Image, name: str, **options: Any) -> str:
    path = folder / name
    image.save(path, **options)
    return str(path)


def png(width: int, height: int, rows: bytes, *, depth: int = 8, kind: int = 0, key: bytes = b"") -> bytes:
    """A PNG byte by byte; `kind` is its colour type, `key` the value that stands for transparency."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    transparent = chunk(b"tRNS", key) if key else b""
    return b"\x89PNG\r\n\x1a\n" + head + transparent + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(values: NDArray[np.generic]) -> bytes:
    """A grey TIFF of whole numbers, byte by byte."""
    (height, width), signed = values.shape, 2 if values.dtype.kind == "i" else 1
    size = values.nbytes
    tags = {256: width, 257: height, 258: 8 * values.itemsize, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: size}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in (tags | {339: signed}).items()]
    raw = values.astype(values.dtype.newbyteorder("<")).tobytes()
    return (
        struct.pack("<2sHI", b"II", 42, 8 + size)
        + raw
        + struct.pack("<H", len(entries))
        + b"".join(entries)
        + b"\0" * 4
    )


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.gif", "a.pgm", "a.tga"])
def test_grey_files_keep_their_values_in_every_lossless_format(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, Image.fromarray(GREY), name)
    assert np.array_equal(pixels(path, (1, 6, 8), "crop")[0], GREY)
    assert np.array_equal(pixels(path, (3, 6, 8), "crop"), np.stack([GREY] * 3))


@pytest.mark.parametrize(
    ("name", "options"), [("a.png", {}), ("a.bmp", {}), ("a.tiff", {}), ("a.webp", {"lossless": True})]
)
def test_color_files_keep_their_values_and_have_the_stated_luma(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    path = saved(tmp_path, Image.fromarray(RGB), name, **options)
    assert np.array_equal(pixels(path, (3, 6, 8), "crop"), RGB.transpose(2, 0, 1))
    luma = RGB @ np.array([0.299, 0.587, 0.114])
    assert np.abs(pixels(path, (1, 6, 8), "crop")[0] - luma).max() < 1


def test_jpeg_is_near_and_a_wrong_suffix_does_not_matter(tmp_path: Path) -> None:
    smooth = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    path = tmp_path / "called.png"
    Image.fromarray(smooth).save(path, "JPEG", quality=95)
    assert np.abs(pixels(str(path), (1, 64, 64), "crop")[0].astype(int) - smooth).max() < 6


def test_palette_one_bit_and_cmyk(tmp_path: Path) -> None:
    palette = Image.fromarray(RGB).quantize(8)
    expected = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(pixels(saved(tmp_path, palette, "p.png"), (3, 6, 8), "crop"), expected)
    bits = GREY > 127
    path = saved(tmp_path, Image.fromarray(bits), "bits.png")
    assert np.array_equal(pixels(path, (1, 6, 8), "crop")[0], bits * 255)
    inks = Image.new("CMYK", (8, 6), (255, 0, 0, 0))
    assert pixels(saved(tmp_path, inks, "inks.tif"), (3, 6, 8), "crop")[:, 0, 0].tolist() == [0, 255, 255]
    red, green, _ = pixels(saved(tmp_path, inks, "inks.jpg"), (3, 6, 8), "crop")[:, 0, 0].tolist()
    assert red < 8
    assert green > 247


def test_mpo_which_some_cameras_write_opens_as_its_first_jpeg(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (32, 32), (200, 100, 50)), Image.new("RGB", (32, 32))
    path = saved(tmp_path, first, "camera.jpg", format="MPO", save_all=True, append_images=[second])
    assert np.abs(pixels(path, (3, 32, 32), "crop")[:, 5, 5].astype(int) - (200, 100, 50)).max() < 4


def test_transparency_is_composited_on_white(tmp_path: Path) -> None:
    opacity = RNG.integers(0, 256, (6, 8, 1), np.uint8)
    expected = (RGB * (opacity / 255) + 255 * (1 - opacity / 255)).transpose(2, 0, 1)
    path = saved(tmp_path, Image.fromarray(np.concatenate([RGB, opacity], 2)), "a.png")
    assert np.abs(pixels(path, (3, 6, 8), "crop") - expected).max() <= 1
    expected = GREY * (opacity[..., 0] / 255) + 255 * (1 - opacity[..., 0] / 255)
    path = saved(tmp_path, Image.fromarray(np.stack([GREY, opacity[..., 0]], 2)), "la.png")
    assert np.abs(pixels(path, (1, 6, 8), "crop")[0] - expected).max() <= 1
    keyed = Image.new("RGB", (8, 6), (10, 20, 30))
    path = saved(tmp_path, keyed, "key.png", transparency=(10, 20, 30))
    assert (pixels(path, (3, 6, 8), "crop") == 255).all()


def test_sixteen_bits_are_scaled_by_their_full_range(tmp_path: Path) -> None:
    wide = RNG.integers(0, 65536, (6, 8)).astype(np.uint16)
    expected = np.rint(wide / 257)
    for name in ("w.png", "w.tif"):
        assert np.array_equal(pixels(saved(tmp_path, Image.fromarray(wide), name), (1, 6, 8), "crop")[0], expected)
    (tmp_path / "w.pgm").write_bytes(b"P5 8 6 65535\n" + wide.astype(">u2").tobytes())
    assert np.array_equal(pixels(str(tmp_path / "w.pgm"), (1, 6, 8), "crop")[0], expected)


@pytest.mark.parametrize("kind", [0, 2, 4, 6])  # grey, colour, and both with opacity
def test_of_sixteen_bits_of_colour_or_with_opacity_the_upper_byte_counts(tmp_path: Path, kind: int) -> None:
    value, opaque = struct.pack(">H", 0x01FF), b"\xff\xff"
    pixel = {0: value, 2: value * 3, 4: value + opaque, 6: value * 3 + opaque}[kind]
    path = tmp_path / "a.png"
    path.write_bytes(png(1, 1, b"\0" + pixel, depth=16, kind=kind))
    assert pixels(str(path), (1, 1, 1), "crop").item() == (2 if kind == 0 else 1)


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int16])
def test_whole_numbers_of_unknown_meaning_are_refused(tmp_path: Path, kind: type[np.generic]) -> None:
    path = tmp_path / "i.tif"
    path.write_bytes(tiff(np.full((6, 8), 200, kind)))
    assert "32-bit or signed whole numbers" in seen(str(path)).reason
    with pytest.raises(DataError, match="32-bit or signed whole numbers"):
        pixels(str(path), (1, 6, 8), "crop")


@pytest.mark.parametrize(("depth", "kind"), [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2)])
def test_the_one_transparent_value_of_a_png_is_white_and_no_other(tmp_path: Path, depth: int, kind: int) -> None:
    bands, most = 3 if kind == 2 else 1, 2**depth - 1
    for key in {0, 1, most // 3, most - 1}:
        other = most - key if 2 * key != most else most
        bits = "".join(format(value, f"0{depth}b") for value in (key,) * bands + (other,) * bands)
        row = b"\0" + int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))
        (tmp_path / "a.png").write_bytes(png(2, 1, row, depth=depth, kind=kind, key=struct.pack(">H", key) * bands))
        found = pixels(str(tmp_path / "a.png"), (3, 1, 2), "crop")[:, 0]
        shown = other >> 8 if depth == 16 and kind == 2 else round(other * 255 / most)
        assert found.tolist() == [[255, shown]] * 3


@pytest.mark.parametrize("most", [1.0, 255.0])
def test_floating_point_in_the_two_allowed_ranges(tmp_path: Path, most: float) -> None:
    values = np.linspace(0, most, 48, dtype=np.float32).reshape(6, 8)
    path = saved(tmp_path, Image.fromarray(values), "f.tif")
    assert np.array_equal(pixels(path, (1, 6, 8), "crop")[0], np.rint(values * (255 / most)))


@pytest.mark.parametrize("bad", [-1.0, 300.0, np.nan])
def test_other_floating_point_is_refused_with_its_range(tmp_path: Path, bad: float) -> None:
    values = np.full((6, 8), bad, np.float32)
    with pytest.raises(DataError, match="allowed are 0 to 1 or 0 to 255"):
        pixels(saved(tmp_path, Image.fromarray(values), "f.tif"), (1, 6, 8), "crop")


def test_the_first_frame_of_an_animation_counts(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((6, 8), value, np.uint8)) for value in (50, 200)]
    path = saved(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert (pixels(path, (1, 6, 8), "crop") == 50).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    half = np.rot90(GREY, 2)
    turned = [GREY, np.fliplr(GREY), half, np.flipud(GREY), GREY.T, np.rot90(GREY, -1), half.T, np.rot90(GREY)]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, Image.fromarray(GREY), "e.png", exif=exif)
    expected = turned[orientation - 1]
    assert np.array_equal(pixels(path, (1, *expected.shape), "stretch")[0], expected)
    assert (seen(path).height, seen(path).width) == expected.shape


@pytest.mark.parametrize("name", ["e.png", "e.webp"])
def test_exif_that_cannot_be_read_costs_no_image(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, Image.fromarray(RGB), name, exif=b"junk", lossless=True)
    assert np.array_equal(pixels(path, (3, *RGB.shape[:2]), "stretch").transpose(1, 2, 0), RGB)
    assert seen(path).reason == ""


def test_crop_takes_the_centre_and_pad_keeps_everything() -> None:
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 200
    assert (fitted(Image.fromarray(wide), (1, 10, 10), "crop") == 200).all()
    padded = fitted(Image.fromarray(np.full((10, 30), 9, np.uint8)), (1, 30, 30), "pad")[0]
    assert (padded[10:20] == 9).all()
    assert not padded[:10].any()
    assert not padded[20:].any()


@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_shrinking_is_antialiased(fit: Fit) -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255  # sampled without antialiasing this would be all 0 or all 255
    small = fitted(Image.fromarray(stripes), (1, 8, 8), fit)[0].astype(int)
    assert np.abs(small - 127.5).max() < 12


def test_draft_decoding_of_large_jpegs_is_near_the_full_one(tmp_path: Path) -> None:
    ramp = np.add.outer(np.arange(1600), np.arange(1200)) % 256
    smooth = np.asarray(Image.fromarray(ramp.astype(np.uint8)).resize((1200, 1600)))
    path = saved(tmp_path, Image.fromarray(smooth), "big.jpg", quality=95)
    with Image.open(path) as image:
        full = fitted(image, (1, 32, 32), "crop")
    assert np.abs(pixels(path, (1, 32, 32), "crop").astype(int) - full).mean() < 4


@pytest.mark.parametrize("side", [10_001, 12_000, 60_000])
def test_decompression_bombs_are_refused_undecoded_with_the_limit(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(png(side, side, b"\0"))  # the header promises far more than it holds
    assert f"{MOST_PIXELS // 10**6} megapixels" in seen(str(tmp_path / "bomb.png")).reason
    with pytest.raises(DataError, match="megapixels"):
        pixels(str(tmp_path / "bomb.png"), (1, 8, 8), "crop")


def test_unreadable_files_say_why(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere")
    reasons = [seen(str(tmp_path / name)).reason for name in ("text.jpg", "empty.png", "link.png")]
    nowhere = "the file is missing, or a link that points nowhere"
    assert reasons == ["no image format that can be read", "the file is empty", nowhere]


def test_truncated_jpegs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert not seen(str(path)).reason
    with pytest.raises(DataError, match="truncated"):
        pixels(str(path), (3, 64, 64), "crop")


def test_read_images_reads_all_or_names_every_bad_one(tmp_path: Path) -> None:
    good = saved(tmp_path, Image.fromarray(GREY), "a ü.png")
    assert read_images([good, good], (1, 6, 8)).shape == (2, 1, 6, 8)
    with pytest.raises(DataError, match=r"x\.png.*y\.png"):
        read_images([good, tmp_path / "x.png", tmp_path / "y.png"], (1, 6, 8))


@pytest.mark.parametrize(
    ("mode", "grey"), [("L", True), ("1", True), ("LA", True), ("I;16", True), ("RGB", False), ("P", False)]
)
def test_grey_is_told_from_the_header(tmp_path: Path, mode: str, grey: bool) -> None:
    image = Image.fromarray(RGB).quantize(8) if mode == "P" else Image.new(mode, (8, 6))
    assert seen(saved(tmp_path, image, "a.png")).grey is grey


@pytest.mark.parametrize("colors", [1, 2, 16, 255])
@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.bmp", "a.tif"])
def test_a_palette_of_greys_is_grey_in_every_format_and_one_colour_in_it_is_not(
    tmp_path: Path, name: str, colors: int
) -> None:
    image = Image.new("P", (8, 6))
    greys = [value for grey in range(7, 7 + colors) for value in (grey % 256,) * 3]
    image.putpalette(greys)
    assert seen(saved(tmp_path, image, name)).grey
    image.putpalette([*greys[:-3], 9, 8, 7])
    image.putpixel((0, 0), colors - 1)
    assert not seen(saved(tmp_path, image, name)).grey
