// The state, which is the address, and what follows from it.

import { addressOf, CHOICES, stateOf } from "./address.js";
import { className, contentsOf, layerOf, load, outline } from "./atlas.js";
import { byId, make } from "./elements.js";
import { makeGrid } from "./grid.js";
import { showLayer, showUnit } from "./inspector.js";
import { listen, nameKeys } from "./keys.js";
import { showLayers } from "./layers.js";
import { counted } from "./numbers.js";
import { shownUnits } from "./order.js";

const FILTERS = { find: "", class: "", dead: "all" };

let state = null;
let units = [];
const grid = makeGrid(byId("stage"), byId("units"), byId("tools"), (unit) => addressOf({ ...state, unit, place: null, tab: "" }));

/** Changes the state: a new entry of the history, or, for what is typed or held down, the same one again. */
function go(change, replace = false) {
  const address = addressOf({ ...state, ...change });
  if (address === addressOf(state)) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  show();
}

/** Shows what the address says. */
async function show() {
  state = stateOf(location.hash);
  state.layer ??= outline.layers[0].name;
  const layer = layerOf(state.layer);
  document.body.dataset.show = state.show;
  document.body.dataset.tab = state.tab || (state.unit === null ? "units" : "unit");
  document.title = `${state.layer}${state.unit === null ? "" : `/${state.unit}`} · ${outline.model}`;
  showLayers(byId("layers"), state.layer, (name) => addressOf({ ...state, layer: name, unit: null, place: null, tab: "" }));
  showControls();
  if (!layer) return complain(`This atlas has no layer ${state.layer}.`, "Show the first layer", { layer: null, unit: null, place: null });
  if (!contentsOf(layer.name) && !(await arrived(layer))) return undefined;
  return showUnits(layer);
}

/** Loads a layer, with a hairline of progress after 100 ms; says whether it is still the one wanted. */
async function arrived(layer) {
  const asked = state;
  const late = setTimeout(() => { byId("progress").hidden = false; }, 100);
  try {
    await load(layer);
  } catch (fault) {
    if (asked === state) complain(`${fault.message}: the atlas's folder is not complete. Make its page again.`, "Try again", {});
    return false;
  } finally {
    clearTimeout(late);
    byId("progress").hidden = true;
  }
  return asked === state;
}

function showUnits(layer) {
  const contents = contentsOf(layer.name);
  units = shownUnits(contents, state);
  byId("count").textContent = units.length === layer.units ? `${counted(layer.units)} units` : `${counted(units.length)} of ${counted(layer.units)} units`;
  byId("nothing").replaceChildren(...(units.length ? [] : emptied()));
  grid.show(layer, contents, units, state);
  byId("about").textContent = `${layer.activation}; ${sizeWords(layer)}`;
  const panel = byId("inspector");
  if (state.unit === null) showLayer(panel, layer);
  else if (state.unit >= layer.units) panel.replaceChildren(make("p", "empty", {}, `${layer.name} has the units 0 to ${layer.units - 1}: there is no ${state.unit}.`));
  else showUnit(panel, layer, state, go, neighbours());
  if (state.unit !== null) grid.reveal(state.unit);
  announce(layer, contents);
}

function sizeWords(layer) {
  const size = `${layer.field ? "patches" : "images"} of ${layer.shown.join("×")} px`;
  if (layer.cell.reduced > 1) return `${size}, reduced ${layer.cell.reduced} times`;
  const factor = grid.factor();
  return factor > 1 ? `${size}, enlarged ${factor} times` : size;
}

function emptied() {
  const button = make("button", "switch", { type: "button" }, "Show all units");
  button.addEventListener("click", () => go(FILTERS));
  return [make("p", "", {}, state.dead === "only" && !state.find && !state.class ? "No unit of this layer is dead." : "No unit of this layer is like that."), button];
}

function complain(words, label, change) {
  units = [];
  grid.clear();
  byId("count").textContent = "";
  byId("about").textContent = "";
  const button = make("button", "switch", { type: "button" }, label);
  button.addEventListener("click", () => ("layer" in change ? go(change) : show()));
  byId("nothing").replaceChildren(make("p", "", {}, words), button);
  byId("inspector").replaceChildren();
}

function announce(layer, contents) {
  if (state.unit === null || state.unit >= layer.units) return;
  const dead = contents.units.dead[state.unit] ? ", dead" : "";
  byId("said").textContent = `${layer.name} unit ${state.unit}${dead}`;
}

function showControls() {
  byId("title").textContent = state.layer;
  for (const name of ["find", "class"]) if (document.activeElement !== byId(name)) byId(name).value = state[name];
  byId("sort").value = state.sort;
  byId("order").setAttribute("aria-pressed", String(state.order === "reversed"));
  for (const button of document.querySelectorAll("[data-set]")) {
    button.setAttribute("aria-pressed", String(state[button.dataset.set] === button.value));
  }
  for (const link of document.querySelectorAll("#tabs a")) {
    link.href = addressOf({ ...state, tab: link.dataset.tab });
    link.toggleAttribute("aria-current", link.dataset.tab === document.body.dataset.tab);
  }
}

function neighbours() {
  const at = units.indexOf(state.unit);
  const address = (unit) => (unit === undefined ? null : addressOf({ ...state, unit, place: null }));
  return { before: address(units[at - 1]), after: address(at < 0 ? units[0] : units[at + 1]) };
}

/** Along the units as they are shown; held keys make one entry of the history. */
function step(by, event) {
  if (!units.length) return;
  const at = units.indexOf(state.unit);
  const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), units.length - 1);
  go({ unit: units[next], place: null }, event.repeat);
  follow();
}

/** The keyboard's focus goes where the choice went, if it was in the grid. */
function follow() {
  if (byId("units").contains(document.activeElement) || document.activeElement === document.body) {
    document.querySelector(`[data-unit="${state.unit}"]`)?.focus({ preventScroll: true });
  }
}

function stepLayer(by, event) {
  const names = outline.layers.map((layer) => layer.name);
  const next = names[Math.min(Math.max(names.indexOf(state.layer) + by, 0), names.length - 1)];
  if (next === state.layer) return;
  const fits = state.unit !== null && state.unit < layerOf(next).units;
  const along = byId("layers").contains(document.activeElement);
  go({ layer: next, unit: fits ? state.unit : null, place: null }, event.repeat);
  if (along) document.querySelector("#layers [aria-current]")?.focus();
}

function cycle(name) {
  const allowed = CHOICES[name];
  go({ [name]: allowed[(allowed.indexOf(state[name]) + 1) % allowed.length] });
}

function up() {
  if (!byId("keys").hidden) showKeys();
  else if (state.place !== null) go({ place: null });
  else if (state.unit !== null) go({ unit: null, tab: "" });
  else go(FILTERS);
}

function showKeys() {
  byId("keys").hidden = !byId("keys").hidden;
  byId("help").setAttribute("aria-expanded", String(!byId("keys").hidden));
}

const places = Array.from({ length: Math.min(outline.top, 9) }, (_, place) => String(place + 1));
const ACTIONS = [
  [["ArrowLeft", "ArrowRight"], "previous and next unit", (event) => step(event.key === "ArrowLeft" ? -1 : 1, event)],
  [["ArrowUp", "ArrowDown"], "previous and next layer", (event) => stepLayer(event.key === "ArrowUp" ? -1 : 1, event)],
  [["k", "j"], "one row of units up and down", (event) => step(event.key === "k" ? -grid.columns() : grid.columns(), event)],
  [places, "the whole image of a place", (event) => state.unit !== null && go({ place: Number(event.key) })],
  [["p"], "patches or projections", () => cycle("show")],
  [["g"], "scale of the projections", () => cycle("scale")],
  [["s"], "sort by the next measure", () => cycle("sort")],
  [["r"], "reverse the order", () => cycle("order")],
  [["d"], "dead units: all, hidden, only", () => cycle("dead")],
  [["c"], "class", () => byId("class").focus()],
  [["/"], "search", () => byId("find").focus()],
  [["t"], "light or dark", () => byId("theme").click()],
  [["Escape"], "one step out", up],
  [["?"], "these keys", showKeys],
];

/** Enter in the search goes to layer/unit, or to the first unit found. */
function enter() {
  const [name, number] = byId("find").value.trim().split("/");
  if (layerOf(name)) go({ layer: name, unit: /^\d+$/.test(number ?? "") ? Number(number) : null, place: null, find: "" });
  else if (units.length) go({ unit: units[0], place: null });
  byId("find").blur();
  byId("find").value = state.find;
}

/** A cell of the grid leads to its place; the rest of a plate to the unit. */
function click(event) {
  const cell = event.target.closest("[data-place]");
  const link = event.target.closest("[data-unit]");
  if (!cell || !link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go({ unit: Number(link.dataset.unit), place: Number(cell.dataset.place) + 1, tab: "" });
}

function begin() {
  byId("classes").append(...[...new Set(outline.classes.map((_, number) => className(number)))].map((name) => make("option", "", { value: name })));
  byId("by-class").hidden = outline.classes.length === 0;
  for (const name of ["find", "class"]) byId(name).addEventListener("input", (event) => go({ [name]: event.target.value }, true));
  byId("find").addEventListener("keydown", (event) => event.key === "Enter" && enter());
  byId("sort").addEventListener("change", (event) => go({ sort: event.target.value }));
  byId("order").addEventListener("click", () => cycle("order"));
  byId("help").addEventListener("click", showKeys);
  byId("units").addEventListener("click", click);
  for (const button of document.querySelectorAll("[data-set]")) {
    button.addEventListener("click", () => go({ [button.dataset.set]: button.value }));
  }
  nameKeys(byId("keys"), ACTIONS);
  listen(ACTIONS);
  addEventListener("popstate", show);
  let width = 0;
  new ResizeObserver(() => {
    if (width && width !== innerWidth) show();
    width = innerWidth;
  }).observe(document.body);
  show();
}

begin();
