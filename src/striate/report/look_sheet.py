"""The sheet of one image: laid out as plates with their captions and scales, of what `inside.studies.looking` found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from striate import files, pictures
from striate.inside.receptive.fields import Box
from striate.inside.studies.grad_cam import GradCam
from striate.inside.studies.looking import Excited, Looked
from striate.inside.studies.occlusion import Occlusion
from striate.inside.studies.responses import Response
from striate.pictures import PERCENTILE, Picture
from striate.pictures.colors import ACCENT, INK, LINE, MUTED, Color
from striate.report.canvas import DENSITY, Canvas, Scale
from striate.report.numbers import count, number, percent

MARGIN, GAP, PLATE = 32, 24, 224  # CSS pixels; five plates and four gaps fill the width between the margins
WIDTH = 2 * MARGIN + 5 * PLATE + 4 * GAP
INNER = WIDTH - 2 * MARGIN

MOST_MAPS = 24
"""Maps of a layer on a sheet; of more, those with the greatest maxima are shown."""

BETWEEN = 16
"""CSS pixels between two pairs of patch and projection."""

VISIBLE = 75
"""CSS pixels of a patch's side, at least, where there is room."""

LABELS: tuple[Color, ...] = (
    LINE, (86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (0, 114, 178), (213, 94, 0), (240, 228, 66),
)  # fmt: skip
"""Colours of labels (Okabe & Ito 2008, told apart by the colour-blind); the first is for the label without a square."""


def sheet(looked: Looked) -> Canvas:
    """The sheet of one image, from the whole to its parts: prediction, where it looks, and layer by layer."""
    canvas = Canvas(WIDTH)
    y = _head(canvas, looked)
    y = _prediction(canvas, looked, y)
    if looked.occlusion is not None and looked.cam is not None:
        y = _where(canvas, looked, looked.occlusion, looked.cam, y + GAP)
    for response in looked.responses.values():
        y = _layer(canvas, looked, response, y + GAP)
    for sentence in looked.said:
        y = canvas.paragraph(MARGIN, y + 12, sentence[:1].upper() + sentence[1:] + ".", INNER)
    return canvas


def write_look(looked: Looked, out: Path, stem: str) -> tuple[Path, Path]:
    """Writes the sheet, STEM.png, and its numbers, STEM.json; returns both paths."""
    picture, numbers = out / f"{stem}.png", out / f"{stem}.json"
    sheet(looked).save(picture, margin=32)
    files.write_json(numbers, looked.as_json())
    return picture, numbers


def _head(canvas: Canvas, looked: Looked) -> float:
    y = canvas.text(MARGIN, MARGIN - 8, looked.source or "an image", size=28, room=INNER)
    sides = "×".join(map(str, looked.image.shape))
    shows = "" if looked.true_class is None else f" · shows {looked.name(looked.true_class)}"
    return canvas.text(MARGIN, y, f"{looked.model} · input {sides}{shows}", size=14, color=MUTED, room=INNER) + 16


def _prediction(canvas: Canvas, looked: Looked, y: float) -> float:
    """The image, and beside it the most probable classes as bars."""
    _, height = canvas.picture(MARGIN, y, pictures.photograph(looked.image), PLATE)
    below = canvas.text(MARGIN, y + height + 6, "The image as the network gets it", color=MUTED)
    x, line = MARGIN + PLATE + GAP, y
    if looked.probabilities is None:
        canvas.paragraph(x, y, "The network gives no class scores.", PLATE * 2)
        return below
    line = canvas.text(x, line, "Prediction", size=16) + 8
    for label in np.argsort(-looked.probabilities, kind="stable")[:5].tolist():
        line = _share(canvas, looked, label, x, line)
    return max(below, line)


def _share(canvas: Canvas, looked: Looked, label: int, x: float, y: float) -> float:
    assert looked.probabilities is not None
    share, names, bar = float(looked.probabilities[label]), 200, 260
    true = label == looked.true_class
    canvas.text(x, y, looked.name(label) + (" (true)" if true else ""), size=14, room=names - 12)
    canvas.box(x + names, y + 3, bar, 14, LINE)
    if share * bar >= 0.5:
        canvas.box(x + names, y + 3, max(1, share * bar), 14, ACCENT)
    canvas.text(x + names + bar + 72, y, percent(share), size=14, mono=True, right=True)
    return y + 26


def _where(canvas: Canvas, looked: Looked, seen: Occlusion, cam: GradCam, y: float) -> float:
    """Zeiler & Fergus's figure 7 for one image, and Grad-CAM: five plates in a row."""
    assert looked.target is not None
    target, side = looked.name(looked.target), "×".join(map(str, seen.size))
    y = canvas.text(MARGIN, y, "Where it looks", size=16)
    y = canvas.paragraph(
        MARGIN,
        y,
        f"A square of {side} pixels of the mean colour slides over the image; every pixel of a map is the answer with "
        "the square centred there, nothing averaged.",
        INNER,
    )
    y += 8
    drawn = (_activity(seen), _projected(looked, seen), _probability(seen, target), None, _cam(looked, cam))
    ends = list[float]()
    for place, plate in enumerate(drawn):
        x = MARGIN + place * (PLATE + GAP)
        ends.append(_labels(canvas, looked, seen, (x, y)) if plate is None else _put(canvas, plate, x, y))
    return max(ends)


class Plate(NamedTuple):
    """A picture with what stands under it."""

    picture: Picture
    title: str
    caption: str
    scale: Scale | None


def _put(canvas: Canvas, plate: Plate, x: float, y: float) -> float:
    canvas.picture(x, y, plate.picture, PLATE)
    y = canvas.text(x, y + PLATE + 4, plate.title, size=14, room=PLATE)
    if plate.scale is not None:
        y = canvas.bar(x, y + 4, PLATE, plate.scale)
    return canvas.paragraph(x, y + 2, plate.caption, PLATE)


def _activity(seen: Occlusion) -> Plate:
    said = (
        f"Sum of unit {seen.unit} of {seen.layer}, the strongest map; {number(seen.activity_before)} without a square."
    )
    return Plate(_heat(seen.activity), "Activity", said, _heat_bar(float(seen.activity.max())))


def _probability(seen: Occlusion, target: str) -> Plate:
    said = f"Dark: the square hides what speaks for it; {percent(seen.probability_before)} without a square."
    scale = _heat_bar(1)._replace(high=percent(float(seen.probability.max())))
    return Plate(_heat(seen.probability), f"Probability of {target}", said, scale)


def _heat(values: Shaped[np.ndarray, "row column"]) -> Picture:
    return pictures.heat(np.maximum(values, 0))


def _heat_bar(limit: float) -> Scale:
    return Scale(pictures.heat(np.linspace(0, 1, 224)[None], 1), "0", number(max(limit, 0)))


def _projected(looked: Looked, seen: Occlusion) -> Plate:
    watched = looked.watched
    if watched is None or watched.projection is None:
        said = "This network has activations without a deconvnet rule."
        return Plate(pictures.blank(PLATE, PLATE, LINE), "Projection", said, None)
    limit = pictures.projection_limit(watched.projection)
    ramp = pictures.gray(np.rint(np.linspace(0, 255, 224)).astype(np.uint8)[None])
    said = f"Of the maximum of unit {seen.unit} of {seen.layer}: what excited it. Ends: {PERCENTILE}th percentile."
    drawn, scale = pictures.projection(watched.projection, limit), Scale(ramp, number(-limit), number(limit))
    return Plate(drawn, "Projection", said, scale)


def _labels(canvas: Canvas, looked: Looked, seen: Occlusion, place: tuple[float, float]) -> float:
    """The most probable label at every place, each label in a colour of its own, named below."""
    x, y = place
    found = [label for label, _ in Counter(seen.label.ravel().tolist()).most_common()]
    others = [label for label in found if label != seen.label_before]
    colors = {seen.label_before: LABELS[0]} | dict(zip(others, LABELS[1:], strict=False))
    canvas.picture(x, y, _painted(seen.label, colors), PLATE)
    y = canvas.text(x, y + PLATE + 4, "Most probable class", size=14) + 2
    named = [seen.label_before, *others][:5]
    for label in named:
        canvas.box(x, y + 4, 10, 10, colors.get(label, MUTED))
        share = float((seen.label == label).mean())
        canvas.text(x + PLATE, y, percent(share), mono=True, color=MUTED, right=True)
        y = canvas.text(x + 16, y, looked.name(label), color=INK, room=PLATE - 72)
    more = len(others) + 1 - len(named)
    y = canvas.text(x, y, f"and {count(more)} more", color=MUTED) if more > 0 else y
    return canvas.paragraph(x, y + 2, "Light gray: as without a square.", PLATE)


def _painted(labels: Int[np.ndarray, "row column"], colors: dict[int, Color]) -> Picture:
    """Labels in their colours; those for which no colour is left are dark."""
    painted = pictures.blank(labels.shape[0], labels.shape[1], MUTED)
    for label, color in colors.items():
        painted[labels == label] = color
    return painted


def _cam(looked: Looked, cam: GradCam) -> Plate:
    photograph, limit = pictures.photograph(looked.image), float(cam.map.max())
    rows, columns = photograph.shape[:2]
    over = pictures.overlay(photograph, pictures.heat(cam.enlarged(rows, columns), limit))
    sides = "×".join(map(str, cam.map.shape))
    said = f"What speaks for {looked.name(cam.target)}: {sides} values, interpolated for drawing only."
    if cam.empty:
        return Plate(over, f"Grad-CAM of {cam.layer}", f"Zero everywhere: {cam.reason}.", None)
    return Plate(over, f"Grad-CAM of {cam.layer}", said, _heat_bar(limit))


def _layer(canvas: Canvas, looked: Looked, response: Response, y: float) -> float:
    """One layer: its maps on one scale, and the strongest units with patch and projection."""
    units, rows, columns = response.maps.shape
    after = "after ReLU" if response.rectified else "as computed"
    field = response.field
    sees = f" · each position sees {field.size[0]}×{field.size[1]} pixels" if field is not None else ""
    canvas.rule(MARGIN, y, INNER)
    canvas.text(MARGIN, y + 12, response.layer, size=16, mono=True, room=INNER / 2)
    y = canvas.text(MARGIN, y + 36, f"{count(units)} maps of {rows}×{columns}, {after}{sees}", color=MUTED)
    y = _maps(canvas, response, y + 4)
    return _strongest(canvas, looked, response, y + 8)


def _maps(canvas: Canvas, response: Response, y: float) -> float:
    """The maps in the order of their numbers, on one scale; of many the strongest."""
    units = len(response.maps)
    shown = (
        list(range(units)) if units <= MOST_MAPS else sorted(response.strongest(MOST_MAPS)) or list(range(MOST_MAPS))
    )
    signed = bool((response.maps < 0).any())
    limit = float(np.abs(response.maps).max())
    columns = max(8, len(shown) if len(shown) <= 12 else -(-len(shown) // 2))
    cell = (INNER - (columns - 1) * 8) / columns
    draw = pictures.diverging if signed else pictures.gray
    seen_height = 0.0
    for place, unit in enumerate(shown):
        row, column = divmod(place, columns)
        x, top = MARGIN + column * (cell + 8), y + row * (seen_height + 22)
        _, seen_height = canvas.picture(x, top, draw(response.maps[unit], limit=limit), cell)
        canvas.text(x, top + seen_height + 1, str(unit), mono=True, color=MUTED)
    y += -(-len(shown) // columns) * (seen_height + 22)
    ramp = np.linspace(-1 if signed else 0, 1, 224)[None]
    scale = Scale(draw(ramp, limit=1), number(-limit) if signed else "0", number(limit))
    canvas.bar(MARGIN, y + 4, PLATE, scale)
    which = "All maps" if len(shown) == units else f"The {len(shown)} maps of {count(units)} with the greatest maxima"
    canvas.text(MARGIN + PLATE + GAP, y, f"{which}; {pictures.sentence('layer')}.", color=MUTED)
    return y + 32


def _strongest(canvas: Canvas, looked: Looked, response: Response, y: float) -> float:
    """Pairs of patch and projection, side by side, of the units that answer most."""
    excited = looked.excited[response.layer]
    if not excited:
        return canvas.text(MARGIN, y, "Every unit of this layer is silent for this image.", color=MUTED)
    y = canvas.paragraph(MARGIN, y, _explained(excited), INNER) + 4
    shown = [_shown(looked.image.shape[1:], response.box(found.unit)) for found in excited]
    pairs, cell, height = _grid(max(max(box.bottom - box.top, box.right - box.left) for box in shown))
    for place, (found, box) in enumerate(zip(excited, shown, strict=True)):
        row, column = divmod(place, pairs)
        x, top = MARGIN + column * (2 * cell + 4 + BETWEEN), y + row * (height + 26)
        _pair(canvas, looked, response, found, box, (x, top, cell))
    return y + -(-len(excited) // pairs) * (height + 26)


def _grid(side: int) -> tuple[int, float, float]:
    """How many pairs in a row, the CSS pixels of a cell, and of a picture of `side` pixels in it.

    As many pairs as leave the picture large enough to see, for it grows by whole multiples only.
    """
    found = (0, 0.0, 0.0)
    for pairs in (6, 5, 4, 3):
        cell = (INNER - (pairs - 1) * BETWEEN - pairs * 4) / (2 * pairs)
        room = int(cell * DENSITY)
        found = pairs, cell, (side * (room // side) if side <= room else side // -(-side // room)) / DENSITY
        if found[2] >= VISIBLE:
            break
    return found


def _shown(image: tuple[int, ...], box: Box | None) -> Box:
    """The part of the image to show: a receptive field, or the whole image where the field is as long or wide."""
    if box is None or box.bottom - box.top >= image[0] or box.right - box.left >= image[1]:
        return Box(0, 0, image[0], image[1])
    return box


def _explained(excited: Sequence[Excited]) -> str:
    has = any(found.projection is not None for found in excited)
    start = "The strongest units: what lies under the receptive field at the maximum (light gray: outside the image)"
    scale = f"black and white its own {PERCENTILE}th percentile"
    return f"{start}, beside its projection; mid-gray is 0, {scale}." if has else f"{start}; projections are left out."


def _pair(  # noqa: PLR0917 - what is drawn, and where
    canvas: Canvas, looked: Looked, response: Response, found: Excited, box: Box, place: tuple[float, float, float]
) -> None:
    x, y, cell = place
    wide, height = canvas.picture(x, y, _cut(pictures.photograph(looked.image), box), cell)
    if found.projection is not None:
        seen = found.projection[:, max(0, box.top) : box.bottom, max(0, box.left) : box.right]
        drawn = pictures.projection(found.projection, pictures.projection_limit(seen))
        canvas.picture(x + wide + 4, y, _cut(drawn, box), cell)
    at = ", ".join(map(str, response.position(found.unit)))
    value = number(float(response.maxima[found.unit]))
    canvas.text(x, y + height + 2, f"{found.unit}: {value} at ({at})", mono=True, color=MUTED, room=2 * cell + 4)


def _cut(picture: Picture, box: Box) -> Picture:
    """The part of a picture in a box; what of the box lies outside the picture is light gray."""
    cut = pictures.blank(box.bottom - box.top, box.right - box.left, LINE)
    top, left = max(0, box.top), max(0, box.left)
    bottom, right = min(picture.shape[0], box.bottom), min(picture.shape[1], box.right)
    cut[top - box.top : bottom - box.top, left - box.left : right - box.left] = picture[top:bottom, left:right]
    return cut
