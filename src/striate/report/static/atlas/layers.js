// The left column: the layers, first to last.

import { outline } from "./atlas.js";
import { make, refill } from "./elements.js";
import { fieldSize, isMap } from "./inspector.js";
import { counted } from "./numbers.js";

/** Fills `list` with the layers; `addressFor(name)` is where a layer leads. */
export function showLayers(list, chosen, addressFor) {
  refill(list, ...outline.layers.map((layer) => make("li", "", {},
    make("a", "layer", { href: addressFor(layer.name), "aria-current": layer.name === chosen && "true", "data-key": layer.name },
      make("span", "name num", {}, layer.name),
      make("span", "num", {}, `${counted(layer.units)} ${isMap(layer) ? `× ${layer.rows}×${layer.columns}` : "units"}`),
      make("span", "", {}, `sees ${fieldSize(layer)}`),
      layer.dead ? make("span", "", {}, `${counted(layer.dead)} dead`) : null))));
}
