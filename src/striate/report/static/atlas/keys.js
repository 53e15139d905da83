// The keys, and the panel that names them.

import { make } from "./elements.js";

/** Listens for keys: `actions` is a list of [keys, what they do in words, function of the event]. */
export function listen(actions) {
  const byKey = new Map(actions.flatMap(([keys, , act]) => keys.map((key) => [key, act])));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const act = byKey.get(event.key);
    if (!act) return;
    event.preventDefault();
    act(event);
  });
}

/** Fills the panel of keys. */
export function nameKeys(panel, actions) {
  const names = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };
  const written = (keys) => (keys[0] === "1" ? [keys[0], "…", keys.at(-1)] : keys).map((key) => (key === "…" ? key : make("kbd", "", {}, names[key] ?? key)));
  panel.replaceChildren(
    make("h2", "", {}, "Keys"),
    make("dl", "", {}, ...actions.map(([keys, words]) => make("div", "", {}, make("dt", "", {}, ...written(keys)), make("dd", "", {}, words)))));
}
