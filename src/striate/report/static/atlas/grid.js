// The units of a layer as a grid of plates. Only those near the window are in the page, so thousands cost no more than dozens.

import { className } from "./atlas.js";
import { make } from "./elements.js";
import { measured, percentage, shortened } from "./numbers.js";
import { cellSize, plateOf, plateSize } from "./plate.js";

const CELL = 52; // what the side of a cell comes close to, in CSS pixels
const NARROWEST = 80; // of a plate with its caption
const CAPTION = 24;
const GAP = { x: 16, y: 20 };
const WIDEST_GAP = 40;
const RIM = 8; // room for the mark around a chosen plate

/** A grid inside `scroller`, in the element `list`, partly under `lid`; `addressFor(unit)` is where a plate leads. */
export function makeGrid(scroller, list, lid, addressFor) {
  let view = null;
  let items = new Map();
  let waiting = false;

  function draw() {
    waiting = false;
    if (!view) return;
    const { columns, pitch, units } = view;
    const top = scroller.scrollTop - list.offsetTop;
    const first = Math.max(0, Math.floor((top - scroller.clientHeight / 2) / pitch.y));
    const last = Math.ceil((top + 1.5 * scroller.clientHeight) / pitch.y);
    const kept = new Map();
    const added = [];
    for (let place = first * columns; place < Math.min(last * columns, units.length); place++) {
      const unit = units[place];
      const item = items.get(unit) ?? itemOf(view, unit, addressFor(unit));
      item.style.transform = `translate(${(place % columns) * pitch.x}px, ${Math.floor(place / columns) * pitch.y}px)`;
      item.setAttribute("aria-posinset", place + 1);
      item.setAttribute("aria-setsize", units.length);
      mark(item, unit === view.state.unit);
      if (!items.has(unit)) added.push(item);
      kept.set(unit, item);
    }
    for (const [unit, item] of items) if (!kept.has(unit)) item.remove();
    list.append(...added);
    items = kept;
  }

  function drawSoon() {
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  }

  scroller.addEventListener("scroll", drawSoon, { passive: true });

  return {
    /** Shows these units of a layer. */
    show(layer, contents, units, state) {
      const next = { layer, contents, units, state, ...arranged(layer, list.clientWidth) };
      const same = view && view.layer === layer && view.size.factor === next.size.factor && view.state.scale === state.scale && view.state.sort === state.sort;
      const anew = !view || view.layer !== layer || !alike(view.units, units);
      if (!same) empty();
      view = next;
      list.style.height = `${Math.ceil(units.length / view.columns) * view.pitch.y}px`;
      if (anew) scroller.scrollTop = 0;
      for (const [unit, item] of items) item.firstChild.href = addressFor(unit);
      draw();
    },
    /** Brings a unit into the window, if it is among those shown. */
    reveal(unit) {
      const place = view ? view.units.indexOf(unit) : -1;
      if (place < 0) return;
      const top = list.offsetTop + Math.floor(place / view.columns) * view.pitch.y;
      const covered = getComputedStyle(lid).position === "sticky" ? lid.offsetHeight + RIM : 0;
      const above = top - scroller.scrollTop - covered;
      const free = scroller.clientHeight - covered;
      if (above < 0 || above + view.pitch.y > free) scroller.scrollTop = top - covered - Math.max(0, (free - view.pitch.y) / 2);
      draw();
    },
    /** Units in a row. */
    columns: () => view?.columns ?? 1,
    /** How many times the pictures are enlarged. */
    factor: () => view?.size.factor ?? 1,
    clear() {
      empty();
      view = null;
      list.style.height = "0";
    },
  };

  function empty() {
    for (const item of items.values()) item.remove();
    items = new Map();
  }
}

function arranged(layer, width) {
  const size = sizeFor(layer, width);
  const plate = plateSize(size);
  const each = Math.max(plate.width, NARROWEST);
  const columns = Math.max(1, Math.floor((width + GAP.x) / (each + GAP.x)));
  const spare = columns > 1 ? (width - columns * each) / (columns - 1) : 0;
  return { size, columns, pitch: { x: each + Math.min(spare, WIDEST_GAP), y: plate.height + CAPTION + GAP.y }, each };
}

/** Whole multiples of a picture's pixels, and two plates side by side even on a phone. */
function sizeFor(layer, width) {
  let factor = Math.max(1, Math.round(CELL / Math.max(layer.cell.rows, layer.cell.columns)));
  while (factor > 1 && 2 * plateSize(cellSize(layer, factor)).width + GAP.x > width) factor -= 1;
  return cellSize(layer, factor);
}

function itemOf(view, unit, address) {
  const { layer, contents, state, size, each } = view;
  const cell = (place) => make("i", "cell", { "data-place": place });
  const link = make(
    "a", "unit", { href: address, "data-unit": unit, "aria-label": words(layer, contents, unit), style: `width:${each}px`, draggable: "false" },
    plateOf(layer, contents, unit, state, size, cell), caption(contents, unit, state, each),
  );
  return make("li", "", {}, link);
}

function mark(item, chosen) {
  if (chosen) item.firstChild.setAttribute("aria-current", "true");
  else item.firstChild.removeAttribute("aria-current");
}

/** One line: the number, and what the units are sorted by. */
function caption(contents, unit, state, width) {
  const room = Math.floor(width / 8) - String(unit).length - 1;
  return make("span", "caption", {}, make("span", "number", {}, String(unit)), make("span", "", {}, sortValue(contents, unit, state.sort, room)));
}

function sortValue(contents, unit, sort, room) {
  const { maximum, mean, zeros, selectivity, favours } = contents.units;
  if (sort === "zeros") return percentage(zeros[unit]);
  if (sort === "mean") return measured(mean[unit]);
  if (sort !== "selectivity") return contents.units.dead[unit] ? "" : measured(maximum[unit]);
  if (selectivity[unit] === null) return "–";
  const index = `${measured(selectivity[unit])} · `;
  return index + shortened(className(favours[unit]), room - index.length);
}

function words(layer, contents, unit) {
  const { dead, maximum, favours } = contents.units;
  if (dead[unit]) return `${layer.name} unit ${unit}, dead`;
  const favoured = favours[unit] < 0 ? "" : `, favours ${className(favours[unit])}`;
  return `${layer.name} unit ${unit}, maximum ${measured(maximum[unit])}${favoured}`;
}

function alike(a, b) {
  return a.length === b.length && a.every((unit, place) => unit === b[place]);
}
