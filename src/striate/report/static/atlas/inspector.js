// The right column: a unit's plate, the whole image behind a place, and what the unit does over the data set.

import { className, contentsOf, isReduced, limitOf, outline, placeOf } from "./atlas.js";
import { figure, make, refill } from "./elements.js";
import { fieldOf } from "./field.js";
import { counted, measured, percentage, shortened } from "./numbers.js";
import { cellSize, enlarged, fitting, GUTTER, plateColumns, plateOf, sprites } from "./plate.js";
import { spread } from "./spread.js";

const SCALES = [
  ["own", "each", "Each projection on its own scale", (limit) => `its ${limit}`],
  ["unit", "unit", "One scale for each unit's projections", (limit) => `the largest of their ${limit}s`],
  ["layer", "layer", "One scale for the projections of the layer", (limit) => `the largest of their ${limit}s`],
];

/** Fills `panel` with a unit; `go(change)` changes the state. */
export function showUnit(panel, layer, state, go, neighbours) {
  const contents = contentsOf(layer.name);
  const number = Math.min(state.place ?? 1, contents.places[state.unit].length) - 1;
  const { paddingLeft, paddingRight } = getComputedStyle(panel);
  const room = panel.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
  const place = placeOf(contents, state.unit, number);
  refill(panel,
    heading(layer, contents, state, neighbours),
    plate(layer, contents, state, number, room, go),
    ...(place ? [scales(contents, state, number, go), aboutPlace(layer, contents, state, place, number, room)] : []),
    statistics(layer, contents, state.unit),
  );
}

/** Fills `panel` with what is said of a whole layer, while no unit is chosen. */
export function showLayer(panel, layer) {
  const contents = contentsOf(layer.name);
  refill(panel,
    make("p", "empty", {}, `Choose a unit of ${layer.name}: its ${outline.top} strongest images, where it looks, and what it does over the data set stand here.`),
    make("dl", "facts", {}, ...rows([
      ["units", figure(counted(layer.units))],
      ["map", isMap(layer) && figure(`${layer.rows}×${layer.columns}`)],
      ["receptive field", figure(fieldSize(layer))],
      ["dead", figure(counted(layer.dead))],
      ["read", make("span", "", {}, layer.activation)],
      ["images", figure(counted(outline.images))],
      ["rule", make("span", "", {}, outline.rule)],
    ])),
    spread("Share of zeros", "units by the share of their activations that are 0", contents.units.zeros),
    spread("Selectivity", "units by class: 0 driven by all alike, 1 by one only", contents.units.selectivity),
  );
}

/** Whether a layer's units are maps; else they are single values. */
export function isMap(layer) {
  return layer.rows * layer.columns > 1;
}

/** The size of a layer's receptive field in words. */
export function fieldSize(layer) {
  return layer.field ? `${layer.field.size.join("×")} px` : "whole image";
}

function heading(layer, contents, state, { before, after }) {
  const step = (address, name, sign) => make("a", "step", { href: address, "aria-label": name, "aria-disabled": address === null && "true", "data-key": name }, sign);
  return make("header", "heading", {},
    make("h2", "", {}, make("span", "num", {}, `${layer.name}/${state.unit}`)),
    contents.units.dead[state.unit] ? make("span", "verdict", {}, "dead") : null,
    make("span", "steps", {}, step(before, "Previous unit", "‹"), step(after, "Next unit", "›")));
}

function plate(layer, contents, state, number, room, go) {
  const size = largeSize(layer, room);
  const cell = (place) => {
    const button = make("button", "cell", {
      type: "button", "data-key": `place ${place}`, "aria-pressed": String(place === number), "aria-label": cellWords(contents, state.unit, place),
    });
    button.addEventListener("click", () => go({ place: place + 1 }));
    return button;
  };
  return make("div", "large", {}, plateOf(layer, contents, state.unit, state, size, cell, layer.large ? enlarged : sprites));
}

/** Cells as large as the column allows: whole multiples of small ones; of large ones whatever fits, and never more than they are. */
function largeSize(layer, room) {
  const each = Math.floor((room - (plateColumns() - 1) * GUTTER) / plateColumns());
  if (!layer.large) return cellSize(layer, fitting(layer, each));
  const [rows, columns] = layer.shown;
  const share = Math.min(1, each / columns);
  return { factor: 1, width: Math.floor(columns * share), height: Math.floor(rows * share) };
}

function cellWords(contents, unit, place) {
  const { class: name, source, value } = placeOf(contents, unit, place);
  return `Place ${place + 1}: ${name ?? source ?? "image"}, ${measured(value)}`;
}

function scales(contents, state, number, go) {
  const chosen = SCALES.find(([name]) => name === state.scale);
  const buttons = SCALES.map(([name, label, title]) => {
    const button = make("button", "", { type: "button", title, "data-key": `scale ${name}`, "aria-pressed": String(name === state.scale) }, label);
    button.addEventListener("click", () => go({ scale: name }));
    return button;
  });
  const limit = limitOf(contents, state.unit, number, state.scale);
  return make("div", "scales", {},
    make("div", "ramp", {}, figure(measured(-limit), -limit), make("i"), figure(measured(limit), limit)),
    make("div", "choice", { role: "group", "aria-label": "Scale of the projections" }, ...buttons),
    make("p", "note", {}, `${chosen[2]}: gray is 0, black and white ${chosen[3](`${outline.percentile}th percentile`)}.`));
}

function aboutPlace(layer, contents, state, place, number, room) {
  const { figure: whole, scale } = fieldOf(place, contents.outside, room - 2);
  const { top, left, bottom, right } = place.box;
  const source = place.source ?? `image ${place.index}`;
  return make("section", "", { "aria-label": "The whole image" },
    make("h3", "", {}, `Place ${number + 1} of ${contents.places[state.unit].length}`),
    make("div", "mat", {}, whole),
    make("dl", "facts", {}, ...rows([
      ["activation", figure(measured(place.value), place.value)],
      ["class", place.class === null ? null : make("span", "", {}, place.class)],
      ["source", make("span", "source", { title: source }, shortened(source, 36))],
      ["position", place.position && figure(`row ${place.position[0]}, column ${place.position[1]}`)],
      ["field", figure(`rows ${span(top, bottom)}, columns ${span(left, right)}`)],
      ["shown at", figure(`${Number.isInteger(scale) ? scale : measured(scale)}×`, scale)],
      ["kept at", isReduced() && figure(`${outline.kept.join("×")} of ${outline.image.slice(1).join("×")} px`)],
    ])));
}

function span(first, end) {
  return `${counted(first)}…${counted(end - 1)}`;
}

function statistics(layer, contents, unit) {
  const { maximum, mean, zeros, selectivity, favours } = contents.units;
  const driven = contents.classes[unit];
  return make("section", "", { "aria-label": "Statistics" },
    make("h3", "", {}, "Over the data set"),
    make("p", "note", {}, `${counted(outline.images)} images${isMap(layer) ? `, ${layer.rows}×${layer.columns} positions each` : ""}; activations ${layer.activation}`),
    make("dl", "facts", {}, ...rows([
      ["maximum", figure(measured(maximum[unit]), maximum[unit])],
      ["mean", figure(measured(mean[unit]), mean[unit])],
      ["zeros", figure(`${percentage(zeros[unit])} of activations`, zeros[unit])],
      ["selectivity", selectivity[unit] === null ? null : figure(`${measured(selectivity[unit])} of 1`, selectivity[unit])],
      ["favours", favours[unit] < 0 ? null : make("span", "", {}, className(favours[unit]))],
    ])),
    driven.length ? classBars(driven) : "");
}

/** Mean activation over the images of each class, the strongest first. */
function classBars(driven) {
  const most = Math.max(...driven.map(([, mean]) => Math.abs(mean))) || 1;
  return make("table", "bars", {},
    make("caption", "", {}, "Mean activation by class"),
    make("tbody", "", {}, ...driven.map(([label, mean]) => make("tr", "", {},
      make("th", "", { scope: "row", title: className(label) }, shortened(className(label), 22)),
      make("td", "bar", {}, make("i", "", { style: `width:${(100 * Math.max(0, mean)) / most}%` })),
      make("td", "", {}, figure(measured(mean), mean))))));
}

function rows(facts) {
  return facts.filter(([, value]) => value).map(([term, value]) => make("div", "", {}, make("dt", "", {}, term), make("dd", "", {}, value)));
}
