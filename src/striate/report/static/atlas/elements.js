// Making elements. Text is always set as text, so that no name can break the page.

/** An element with a class, attributes (`false` and `null` leave one out), and children: elements or texts. */
export function make(tag, className = "", attributes = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** A number in tabular figures; hover shows it whole. */
export function figure(text, whole = null) {
  return make("span", "num", { title: whole === null ? null : String(whole) }, text);
}

/** Puts other children into `parent`; the focus stays on what has the same `data-key`. */
export function refill(parent, ...children) {
  const key = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  parent.replaceChildren(...children);
  if (key) parent.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

/** The element of this id. */
export function byId(id) {
  return document.getElementById(id);
}
