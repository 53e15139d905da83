"""The page of an atlas: written into its folder, it opens from the disk, without a server and without a network.

Browsers refuse to load modules and data from `file://`, so the modules of `static/atlas/` stand in the page itself, and
each layer's data come as a script that is added when the layer is first looked at:

    index.html                  the page: styles, program, and the outline of the layers
    page/NAME.js                what the units of a layer do, and their places (described in `static/atlas/atlas.js`)
    page/NAME-patches-N.webp    the patches of up to 32 units, unit by unit; NAME-projections-N.webp likewise
    page/NAME/UNIT.webp         a unit's projections in full, where the sheets have them reduced
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from striate import files
from striate.inside.atlases.draft import drafted
from striate.inside.atlases.folder import Atlas
from striate.pictures import PERCENTILE
from striate.report.bundle import bundled
from striate.report.page import render
from striate.report.sprites import Sprites, draw

PROGRAM = Path(__file__).parent / "static" / "atlas"

CLASSES = 6
"""Classes whose mean activation is shown with a unit."""


def atlas_page(folder: Path | str) -> Path:
    """Writes the page of an atlas into the atlas's folder, in place of one that is there.

    Arguments:
        folder: an atlas, as `striate.inside.atlases.atlas` makes it; all that it needs is in there.

    Returns:
        The page, `index.html`.

    Raises:
        DataError: if there is no atlas, or a file of it cannot be read.
    """
    atlas = Atlas.open(folder)
    with drafted(atlas.path / "page") as draft:
        outlines = [_layer(atlas, layer, draft) for layer in atlas.contents["layers"]]
    files.write_text(atlas.path / "index.html", _page(atlas.contents, outlines))
    return atlas.path / "index.html"


def _page(contents: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> str:
    kept = ("model", "images", "image", "top", "rule", "classes")
    outline = {key: contents[key] for key in kept} | {
        "kept": contents.get("kept", contents["image"][1:]),  # older atlases do not say
        "percentile": PERCENTILE,
        "layers": layers,
    }
    return render(
        "atlas.html",
        model=_printable(contents["model"]),
        data=_printable(contents["data"]),
        images=contents["images"],
        layers=len(layers),
        units=sum(layer["units"] for layer in layers),
        outline=Markup(script_json(outline)),
        layout=Markup((PROGRAM / "atlas.css").read_text(encoding="utf-8")),
        program=Markup(bundled(PROGRAM, "main.js")),
    )


def _layer(atlas: Atlas, layer: Mapping[str, Any], draft: Path) -> dict[str, Any]:
    """Writes a layer's pictures and data, and returns its part of the outline."""
    stem = Path(layer["file"]).stem
    sprites, limits = draw(atlas, layer, draft, stem)
    data = layer_data(layer, limits, atlas.array(layer["name"], "class_means"))
    script = f"striateAtlas({script_json(layer['name'])}, {script_json(data)});\n"
    files.write_text(draft / f"{stem}.js", script)
    units, rows, columns = layer["shape"]
    return {
        "name": layer["name"],
        "script": f"page/{stem}.js",
        "units": units,
        "rows": rows,
        "columns": columns,
        "activation": layer["activation"],
        "field": layer["receptive_field"],
        "shown": layer["shown"],
        "dead": sum(unit["dead"] for unit in layer["units"]),
    } | _pictures(sprites)


def _pictures(sprites: Sprites) -> dict[str, Any]:
    return {
        "cell": {"rows": sprites.cell[0], "columns": sprites.cell[1], "reduced": sprites.reduced},
        "sheets": {
            "units": sprites.units,
            "columns": sprites.columns,
            "patches": [f"page/{name}" for name in sprites.patches],
            "projections": [f"page/{name}" for name in sprites.projections],
        },
        "large": None if sprites.large is None else f"page/{sprites.large}/",
    }


def layer_data(layer: Mapping[str, Any], limits: np.ndarray, class_means: np.ndarray) -> dict[str, Any]:
    """What a layer's script holds.

    Arguments:
        layer: of atlas.json.
        limits: (unit, top, 2) what each projection is drawn to, in full and on the sheet.
        class_means: (class, unit), NaN where a class has no images.
    """
    units = layer["units"]
    images = {place["image"]: place for unit in units for place in unit["top"]}
    rank = {image: number for number, image in enumerate(sorted(images))}
    return {
        "images": [_image(images[image]) for image in rank],
        "units": {
            "dead": [int(unit["dead"]) for unit in units],
            **{key: [_short(unit[key]) for unit in units] for key in ("maximum", "mean", "zeros")},
            "selectivity": [unit["selectivity"] and _short(unit["selectivity"]["index"]) for unit in units],
            "favours": [-1 if unit["selectivity"] is None else unit["selectivity"]["class"] for unit in units],
        },
        "classes": [[] if unit["dead"] else _strongest(class_means[:, u]) for u, unit in enumerate(units)],
        "places": [
            [_place(place, rank, limits[u, k].tolist()) for k, place in enumerate(unit["top"])]
            for u, unit in enumerate(units)
        ],
    }  # fmt: skip


def _image(place: Mapping[str, Any]) -> list[Any]:
    label = -1 if place["label"] is None else place["label"]
    return [place["image"], place["source"], label, place["picture"]]


def _place(place: Mapping[str, Any], rank: Mapping[int, int], limits: Sequence[float]) -> list[Any]:
    position = place["position"] or [None, None]
    value = _short(place["value"])
    return [rank[place["image"]], value, *position, *place["box"], *place["shown"], *map(_short, limits)]


def _strongest(means: np.ndarray) -> list[list[Any]]:
    """The classes with the highest mean activations, as [class, mean], highest first."""
    seen = np.flatnonzero(~np.isnan(means))
    order = seen[np.argsort(-means[seen], kind="stable")][:CLASSES]
    return [[int(label), _short(float(means[label]))] for label in order]


def _short(value: float) -> float:
    """Seven significant figures: all that float32 carries, in half the characters."""
    return float(f"{value:.7g}")


def script_json(value: object) -> str:
    """JSON that can stand in a script of a page: no character in it can end the script.

    Example:
        >>> script_json("</script>")
        '"\\\\u003c/script>"'
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _printable(name: str) -> str:
    """The name, with bytes of file names that are no characters as �."""
    return name.encode("utf-8", "replace").decode("utf-8")
