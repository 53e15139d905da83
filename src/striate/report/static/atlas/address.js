// The address of a state: #layer/unit/place?sort=…&find=… ; what is as it is by default is left out.

export const CHOICES = {
  sort: ["number", "selectivity", "maximum", "mean", "zeros"],
  order: ["", "reversed"],
  dead: ["all", "hidden", "only"],
  show: ["patches", "projections"],
  scale: ["own", "unit", "layer"],
  tab: ["", "layers", "units", "unit"],
};

const FREE = ["find", "class"];

/** The state that an address stands for; what it says that cannot be is passed over. */
export function stateOf(hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split("?", 2);
  const [layer, unit, place] = path.split("/").map(decoded);
  const asked = new URLSearchParams(query);
  const state = { layer: layer || null, unit: wholeNumber(unit), place: wholeNumber(place) };
  for (const [name, allowed] of Object.entries(CHOICES)) {
    state[name] = allowed.includes(asked.get(name)) ? asked.get(name) : allowed[0];
  }
  for (const name of FREE) state[name] = asked.get(name) ?? "";
  return state;
}

/** The address of a state: the inverse of `stateOf`. Places are counted from 1 in addresses, as people count. */
export function addressOf(state) {
  const path = [state.layer, state.unit, state.unit === null ? null : state.place];
  const asked = new URLSearchParams();
  for (const [name, allowed] of Object.entries(CHOICES)) if (state[name] !== allowed[0]) asked.set(name, state[name]);
  for (const name of FREE) if (state[name]) asked.set(name, state[name]);
  const query = asked.toString();
  return "#" + path.filter((part) => part !== null).map(encodeURIComponent).join("/") + (query ? `?${query}` : "");
}

function wholeNumber(text) {
  return /^\d{1,9}$/.test(text ?? "") ? Number(text) : null;
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}
