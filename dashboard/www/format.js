// Numbers and periods as texts. Pure functions; tests/js tests them under Node.

import { digits, t } from "./words.js";

/** Decimals that show two significant digits of the half width of the interval, or of a value without one (three from 10 on); 0 to 4. */
export function decimalsFor({ value, low, high }) {
  const half = low === null || high === null ? null : (high - low) / 2;
  const size = half || (value === null ? 0 : Math.abs(value));
  if (!size) return 1;
  const shown = half || size < 10 ? 2 : 3;
  return Math.min(4, Math.max(0, shown - 1 - Math.floor(Math.log10(size))));
}

/** One number of decimals for a column: the one that suits the middle of its figures. */
export function commonDecimals(figures) {
  const all = figures.filter((f) => f.value !== null).map(decimalsFor).sort((a, b) => a - b);
  return all.length ? all[Math.floor(all.length / 2)] : 1;
}

/** Write a number with the signs of the language and a minus sign (not a hyphen); an en dash where there is none. */
export function number(value, decimals, signed = false) {
  if (value === null || value === undefined) return "–";
  const text = digits(Math.abs(value), { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  if (!/[1-9]/.test(text)) return text;
  return (value < 0 ? "−" : signed ? "+" : "") + text;
}

/** Write a figure with its unit. */
export function withUnit(value, decimals, unit, signed = false) {
  const text = number(value, decimals, signed);
  return text === "–" ? text : `${text}\u00a0${unit}`;
}

/** Write a 95 % interval; empty where there is none. */
export function interval({ low, high }, decimals) {
  return low === null || high === null ? "" : t("{low} to {high}", { low: number(low, decimals), high: number(high, decimals) });
}

/** Short form of a period for axes: 2018, or 2017–18. */
export function periodLabel([from, to]) {
  if (from === to) return String(to);
  return Math.floor(from / 100) === Math.floor(to / 100) ? `${from}–${String(to % 100).padStart(2, "0")}` : `${from}–${to}`;
}

/** Long form of a period for titles: 2018, or 2017 to 2018. */
export const periodTitle = ([from, to]) => (from === to ? String(to) : t("{from} to {to}", { from, to }));

/** Round values that span low to high. */
export function ticks(low, high, count = 5) {
  if (high <= low) high = low + (Math.abs(low) || 1) * 0.1;
  const rough = (high - low) / count;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * size).find((one) => one >= rough * 0.999);
  const first = Math.floor(low / step + 1e-9), last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(10)));
}

/** Decimals that the values of an axis need. */
export const tickDecimals = (values) => Math.max(...values.map((v) => (String(Number(v.toPrecision(10))).split(".")[1] || "").length));

/** Join words as a sentence does: a, b and c. */
export const listed = (words) => (words.length < 2 ? words.join("") : t("{some} and {last}", { some: words.slice(0, -1).join(", "), last: words[words.length - 1] }));

/** Write a count with its noun; one and many are texts with {n}. */
export const counted = (count, one, many) => t(count === 1 ? one : many, { n: digits(count) });
