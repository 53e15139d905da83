// Which units are shown, and in which order.

import { className, outline } from "./atlas.js";

/** The numbers of the units that a state shows, in its order; equal ones by number. */
export function shownUnits(contents, state) {
  const numbers = contents.places.keys();
  return [...numbers].filter((unit) => isShown(contents, unit, state)).sort(comparison(contents, state));
}

function isShown(contents, unit, state) {
  const dead = contents.units.dead[unit] === 1;
  if (state.dead === "only" ? !dead : state.dead === "hidden" && dead) return false;
  if (state.class && ![...classesOf(contents, unit)].some((name) => isMeant(name, state.class))) return false;
  return !state.find || isFound(contents, unit, state.find.trim().toLowerCase());
}

/** A class is meant by its name, or, while that is still being typed, by a part of it. */
function isMeant(name, words) {
  return outline.classes.includes(words) ? name === words : name.toLowerCase().includes(words.toLowerCase());
}

/** The class that a unit favours and those of its images. */
function classesOf(contents, unit) {
  const labels = contents.places[unit].map((place) => contents.images[place[0]][2]);
  const favoured = contents.units.favours[unit];
  return new Set([favoured, ...labels].filter((label) => label >= 0).map(className));
}

/** A number finds the unit of that number; words find classes and sources. */
function isFound(contents, unit, words) {
  if (/^\d+$/.test(words)) return String(unit) === words;
  const sources = contents.places[unit].map((place) => contents.images[place[0]][1] ?? "");
  return [...classesOf(contents, unit), ...sources].some((name) => name.toLowerCase().includes(words));
}

/** Numbers go up, all else goes down, unless reversed; units without a value come last either way. */
function comparison(contents, state) {
  const turned = state.order === "reversed" ? -1 : 1;
  if (state.sort === "number") return (a, b) => turned * (a - b);
  const values = contents.units[state.sort];
  return (a, b) => {
    if (values[a] === null || values[b] === null) return (values[a] === null) - (values[b] === null) || a - b;
    return turned * (values[b] - values[a]) || a - b;
  };
}
