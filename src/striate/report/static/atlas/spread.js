// How the units of a layer are spread over a share from 0 to 1.

import { figure, make } from "./elements.js";
import { counted } from "./numbers.js";

const BINS = 20;

/** A histogram; nothing where no unit has a value. */
export function spread(title, words, values) {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return "";
  const bins = new Array(BINS).fill(0);
  for (const value of known) bins[Math.min(BINS - 1, Math.max(0, Math.floor(value * BINS)))] += 1;
  const most = Math.max(...bins);
  const bars = bins.map((count, bin) => make("i", "", {
    style: `height:${(100 * count) / most}%`, title: `${(bin / BINS).toFixed(2)} to ${((bin + 1) / BINS).toFixed(2)}: ${counted(count)}`,
  }));
  return make("section", "spread", { "aria-label": `${title}: ${words}` },
    make("h3", "", {}, title),
    make("div", "columns", {}, ...bars),
    make("div", "ends", {}, figure("0"), make("span", "", {}, words), figure("1")));
}
