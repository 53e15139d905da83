// The whole image of a place with the receptive field drawn on it: a box around it, its part outside the image hatched.

import { isReduced, outline } from "./atlas.js";
import { make } from "./elements.js";

const EDGE = 3; // room for the box's line, outside of the field

/** The figure for a place, at most `room` CSS pixels wide. Every place of a layer gets the same figure size: nothing jumps. */
export function fieldOf(place, outside, room) {
  const [, rows, columns] = outline.image;
  const extent = { width: columns + outside.left + outside.right, height: rows + outside.top + outside.bottom };
  const scale = scaleFor(extent, room - 2 * EDGE);
  const at = (top, left, bottom, right) => ({
    left: `${EDGE + (left + outside.left) * scale}px`, top: `${EDGE + (top + outside.top) * scale}px`,
    width: `${(right - left) * scale}px`, height: `${(bottom - top) * scale}px`,
  });
  const { top, left, bottom, right } = place.box;
  const image = make("img", scale > 1 && !isReduced() ? "hard" : "", { src: place.file, alt: described(place), decoding: "async" });
  const hatched = make("div", "beyond");
  const box = make("div", "field", { "aria-hidden": "true" });
  Object.assign(hatched.style, at(top, left, bottom, right));
  Object.assign(image.style, at(0, 0, rows, columns));
  Object.assign(box.style, at(top, left, bottom, right));
  const figure = make("div", "whole", {}, hatched, image, box);
  figure.style.width = `${extent.width * scale + 2 * EDGE}px`;
  figure.style.height = `${extent.height * scale + 2 * EDGE}px`;
  return { figure, scale };
}

/** A whole multiple where the image is small; else what fits. */
function scaleFor(extent, room) {
  const fitting = Math.min(room / extent.width, 1.2 * room / extent.height);
  return fitting >= 1 ? Math.floor(fitting) : fitting;
}

function described(place) {
  const name = place.class ?? place.source ?? `image ${place.index}`;
  const { top, left, bottom, right } = place.box;
  return `The whole image: ${name}. Receptive field: rows ${top} to ${bottom - 1}, columns ${left} to ${right - 1}`;
}
