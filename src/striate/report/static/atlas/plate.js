// A unit's plate: its places in a square of cells, patch and projection in the same cells.

import { FULL, ON_SHEET, outline, placeOf, strengthOf } from "./atlas.js";
import { make } from "./elements.js";

export const GUTTER = 2;

/** Cells side by side on a plate. */
export function plateColumns() {
  return Math.ceil(Math.sqrt(outline.top));
}

/** How many times a picture of a layer's sheets can be enlarged to fit into so many CSS pixels: whole times, at least once. */
export function fitting(layer, room) {
  return Math.max(1, Math.floor(room / Math.max(layer.cell.rows, layer.cell.columns)));
}

/** The size of a cell whose picture is enlarged so many times, in CSS pixels. */
export function cellSize(layer, factor) {
  return { factor, width: layer.cell.columns * factor, height: layer.cell.rows * factor };
}

/** Width and height of a plate of such cells. */
export function plateSize(size) {
  const columns = plateColumns();
  const rows = Math.ceil(outline.top / columns);
  return {
    width: columns * size.width + (columns - 1) * GUTTER,
    height: rows * size.height + (rows - 1) * GUTTER,
  };
}

/** The plate of a unit; `cellOf(place)` makes the element of a cell, in which the pictures are put. */
export function plateOf(layer, contents, unit, state, size, cellOf, picturesOf = sprites) {
  const whole = plateSize(size);
  const style = `width:${whole.width}px;height:${whole.height}px;grid-template-columns:repeat(${plateColumns()},${size.width}px);grid-auto-rows:${size.height}px`;
  const count = contents.places[unit].length;
  if (count === 0) return make("span", "plate none", { style }, contents.units.dead[unit] ? "dead" : "nothing above 0");
  const plate = make("span", "plate", { style });
  for (let place = 0; place < count; place++) {
    const cell = cellOf(place);
    cell.append(...pictured(layer, contents, unit, place, state, size, picturesOf));
    plate.append(cell);
  }
  for (let place = count; place < outline.top; place++) plate.append(make("i", "cell none"));
  return plate;
}

/** Patch and projection of a place, what lies outside the image cut off: behind it the cell is hatched. */
function pictured(layer, contents, unit, place, state, size, picturesOf) {
  const full = picturesOf === enlarged;
  const inset = outside(layer, placeOf(contents, unit, place).shown, full ? 1 : layer.cell.reduced);
  const veil = 1 - strengthOf(contents, unit, place, state.scale, full ? FULL : ON_SHEET);
  return picturesOf(layer, contents, unit, place, size).map(([kind, style]) => {
    const gray = `rgb(128 128 128 / ${veil.toFixed(4)})`;
    const over = kind === "projection" && veil > 0 ? `linear-gradient(${gray},${gray}),` : "";
    return make("b", kind + (style.hard ? " hard" : ""), {
      style: `background:${over}${style.image} ${style.at} / ${style.size} no-repeat;${inset}`,
    });
  });
}

/** The two pictures of a place, out of the sheets. */
export function sprites(layer, contents, unit, place, size) {
  const { units, columns, patches, projections } = layer.sheets;
  const number = (unit % units) * outline.top + place;
  const at = `${-(number % columns) * size.width}px ${-Math.floor(number / columns) * size.height}px`;
  const sheet = Math.floor(unit / units);
  const common = { at, size: `${columns * size.width}px auto`, hard: layer.cell.reduced === 1 };
  return [
    ["patch", { image: `url("${patches[sheet]}")`, ...common }],
    ["projection", { image: `url("${projections[sheet]}")`, ...common }],
  ];
}

/** The two pictures of a place in full: the patch out of the image itself, the projection out of the unit's own sheet. */
export function enlarged(layer, contents, unit, place, size) {
  const [rows, columns] = layer.shown;
  const [, height, width] = outline.image;
  const { file, shown } = placeOf(contents, unit, place);
  const [x, y] = [size.width / columns, size.height / rows];
  const across = plateColumns();
  return [
    ["patch", {
      image: `url("${file}")`, size: `${width * x}px ${height * y}px`,
      at: `${-shown.left * x}px ${-shown.top * y}px`, hard: false,
    }],
    ["projection", {
      image: `url("${layer.large}${unit}.webp")`, size: `${across * size.width}px auto`,
      at: `${-(place % across) * size.width}px ${-Math.floor(place / across) * size.height}px`, hard: false,
    }],
  ];
}

/** What of a cell to cut off: of a reduced picture also the pixels in which image and outside are mixed. */
function outside(layer, shown, reduced) {
  const [, height, width] = outline.image;
  const [top, bottom] = cutOff(shown.top, layer.shown[0], height, reduced);
  const [left, right] = cutOff(shown.left, layer.shown[1], width, reduced);
  if (!(top || bottom || left || right)) return "";
  return `clip-path:inset(${[top, right, bottom, left].map((part) => `${(100 * part).toFixed(3)}%`).join(" ")})`;
}

function cutOff(start, count, size, reduced) {
  const pixels = Math.ceil(count / reduced);
  const before = Math.ceil(Math.max(0, -start) / reduced);
  const end = size - start;
  const after = end >= count ? 0 : pixels - Math.floor(end / reduced);
  return [before / pixels, after / pixels];
}
