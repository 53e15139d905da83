// Numbers as every page writes them: three significant figures, a true minus, thin spaces between thousands.

const THIN = "\u202f";

/** A measured number to three significant figures. */
export function measured(value) {
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(2).split("e");
  const power = Number(exponent);
  if (power < -4 || power >= 6) return signed(`${mantissa}×10${raised(power)}`);
  return signed(spaced(Number(value.toPrecision(3)).toFixed(Math.max(0, 2 - power))));
}

/** A counted number, with all its figures. */
export function counted(value) {
  return signed(spaced(String(value)));
}

/** A share from 0 to 1 as a percentage; what is not quite all or nothing is not written as if it were. */
export function percentage(share) {
  const text = (100 * share).toFixed(1);
  if (share < 1 && text === "100.0") return "99.9%";
  if (share > 0 && text === "0.0") return "<0.1%";
  return share === 0 || share === 1 ? `${100 * share}%` : `${text}%`;
}

/** The text, or, where it is longer than `room` characters, its beginning and end with … between them. */
export function shortened(text, room) {
  if (text.length <= room) return text;
  const end = Math.floor((room - 1) / 2);
  return `${text.slice(0, room - 1 - end)}…${text.slice(text.length - end)}`;
}

function spaced(text) {
  const [whole, part] = text.split(".");
  const groups = whole.replace(/\B(?=(\d{3})+$)/g, THIN);
  return part === undefined ? groups : `${groups}.${part}`;
}

function signed(text) {
  return text.replace("-", "−");
}

function raised(power) {
  return [...String(power)].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
}
