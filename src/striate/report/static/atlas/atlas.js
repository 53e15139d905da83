// What the atlas holds. Its outline stands in the page; each layer comes as a script when it is first looked at.
//
// A layer's script calls window.striateAtlas(name, {images, units, classes, places}):
//   images    [index, source, class number or -1, file] of every image that a place refers to
//   units     columns over all units: dead, maximum, mean, zeros, selectivity (null: says nothing), favours (class or -1)
//   classes   of each unit [class, mean activation] of the classes that drive it most
//   places    of each unit its places: [image (in `images`), value, row, column, top, left, bottom, right of its
//             receptive field, top, left of its patch, what its projection is drawn to in full, and on the sheet]; row
//             is null for vectors

import { byId } from "./elements.js";

export const outline = JSON.parse(byId("outline").textContent);

export const FULL = 10; // where a place holds the limit of its projection in full
export const ON_SHEET = 11; // and on the sheet

const waiting = new Map();
const loaded = new Map();

window.striateAtlas = (name, contents) => {
  loaded.set(name, { ...contents, ...extremes(contents.places) });
};

/** What the outline says of a layer, or undefined. */
export function layerOf(name) {
  return outline.layers.find((layer) => layer.name === name);
}

/** The contents of a layer if they are here already. */
export function contentsOf(name) {
  return loaded.get(name);
}

/** The contents of a layer, once they are here. */
export function load(layer) {
  if (!waiting.has(layer.name)) waiting.set(layer.name, fetched(layer));
  return waiting.get(layer.name);
}

/** A place with names in place of numbers. */
export function placeOf(contents, unit, number) {
  const place = contents.places[unit]?.[number];
  if (!place) return null;
  const [image, value, row, column, top, left, bottom, right, shownTop, shownLeft] = place;
  const [index, source, label, file] = contents.images[image];
  return {
    value, index, source, file,
    class: label < 0 ? null : className(label),
    position: row === null ? null : [row, column],
    box: { top, left, bottom, right },
    shown: { top: shownTop, left: shownLeft },
  };
}

/** Whether the atlas carries its images smaller than they were. */
export function isReduced() {
  return outline.kept[0] < outline.image[1] || outline.kept[1] < outline.image[2];
}

/** The name of a class. */
export function className(number) {
  return outline.classes[number] ?? String(number);
}

/** What the projection of a place would be drawn to under a scale: its own limit, or the largest of its unit or layer. */
export function limitOf(contents, unit, place, scale, kind = FULL) {
  if (scale === "own") return contents.places[unit][place][kind];
  return scale === "unit" ? contents.limits[kind][unit] : contents.limit[kind];
}

/** How strong a projection, drawn to its own limit, is under a scale: 1 as it is, less where the scale is wider. */
export function strengthOf(contents, unit, place, scale, kind) {
  const limit = limitOf(contents, unit, place, scale, kind);
  return limit > 0 ? limitOf(contents, unit, place, "own", kind) / limit : 1;
}

function fetched(layer) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = layer.script;
    script.onload = () => (loaded.has(layer.name) ? resolve(loaded.get(layer.name)) : script.onerror());
    script.onerror = () => {
      waiting.delete(layer.name);
      reject(new Error(`${layer.script} cannot be read`));
    };
    document.head.append(script);
  });
}

/** Over all places of a layer: the largest limits of its projections, and how far receptive fields reach outside. */
function extremes(places) {
  const most = (unit, kind) => unit.reduce((limit, place) => Math.max(limit, place[kind]), 0);
  const limits = { [FULL]: places.map((unit) => most(unit, FULL)), [ON_SHEET]: places.map((unit) => most(unit, ON_SHEET)) };
  const limit = { [FULL]: limits[FULL].reduce((a, b) => Math.max(a, b), 0), [ON_SHEET]: limits[ON_SHEET].reduce((a, b) => Math.max(a, b), 0) };
  return { limits, limit, outside: beyond(places) };
}

function beyond(places) {
  const [, rows, columns] = outline.image;
  const outside = { top: 0, left: 0, bottom: 0, right: 0 };
  for (const unit of places) {
    for (const place of unit) {
      outside.top = Math.max(outside.top, -place[4]);
      outside.left = Math.max(outside.left, -place[5]);
      outside.bottom = Math.max(outside.bottom, place[6] - rows);
      outside.right = Math.max(outside.right, place[7] - columns);
    }
  }
  return outside;
}
