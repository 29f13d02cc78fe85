// What the figures can and cannot tell: reliability, ranks with their intervals, and what is sure. Pure functions.
// A figure is {geo, value, low, high, coverage, flags, reason}; null where the table has nothing.

import { t } from "./words.js";

/** Kind of a figure: missing, unreliable (flag u, or too little seen), unclear (a net change that may be 0) or clear. */
export function reliability(figure, coverageMin, isNet) {
  if (figure.value === null) return "missing";
  if (figure.flags.includes("u") || (figure.coverage !== null && figure.coverage < coverageMin)) return "unreliable";
  if (isNet && figure.low !== null && figure.low <= 0 && figure.high >= 0) return "unclear";
  return "clear";
}

const countBelow = (sorted, value) => {
  let a = 0, b = sorted.length;
  while (a < b) {
    const middle = (a + b) >> 1;
    if (sorted[middle] < value) a = middle + 1;
    else b = middle;
  }
  return a;
};

/**
 * Rank the figures with a value, the first one at rank 1; equal values have equal ranks.
 * best, worst: between which ranks a figure lies if only intervals that do not touch are in a sure order; null without an interval.
 * tied: how many others its interval touches.
 * order: "desc" (highest first) or "asc"
 */
export function rank(figures, order) {
  const sign = order === "asc" ? 1 : -1;
  const known = figures.filter((f) => f.value !== null);
  known.sort((a, b) => sign * (a.value - b.value) || (a.geo < b.geo ? -1 : 1));
  const ends = known.map((f) => (f.low === null ? [f.value, f.value] : [f.low, f.high]));
  const lows = Float64Array.from(ends, (e) => e[0]).sort(), highs = Float64Array.from(ends, (e) => e[1]).sort();
  const total = known.length;
  return known.map((figure, i) => {
    const place = i && known[i - 1].value === figure.value ? null : i + 1;
    const has = figure.low !== null;
    const below = has ? countBelow(highs, figure.low) : 0; // surely lower
    const above = has ? total - countBelow(lows, figure.high + Number.EPSILON * Math.abs(figure.high)) : 0; // surely higher
    const [before, after] = order === "asc" ? [below, above] : [above, below];
    return { figure, place, best: has ? before + 1 : null, worst: has ? total - after : null,
      tied: has ? total - below - above - 1 : null };
  }).map((row, i, rows) => {
    // The rank of equal values is that of the first of them.
    if (row.place === null) row.place = rows[i - 1].place;
    return row;
  });
}

const SENTENCES = {
  above: { yes: "The first is surely above the rest.", no: "The first is not surely above the rest.",
    all: "All of the first {count} are surely above the rest.", none: "None of the first {count} is surely above the rest.",
    one: "Only 1 of the first {count} is surely above the rest.", some: "Only {sure} of the first {count} are surely above the rest." },
  below: { yes: "The first is surely below the rest.", no: "The first is not surely below the rest.",
    all: "All of the first {count} are surely below the rest.", none: "None of the first {count} is surely below the rest.",
    one: "Only 1 of the first {count} is surely below the rest.", some: "Only {sure} of the first {count} are surely below the rest." },
};

/** Which sentence fits where `sure` of `count` are sure. */
function sureOf(count, sure) {
  if (count === 1) return sure ? "yes" : "no";
  if (!sure) return "none";
  if (sure === count) return "all";
  return sure === 1 ? "one" : "some";
}

/** Say how many of the first rows are surely beyond all others; empty where intervals or others are missing. */
export function sureSentence(rows, count, order) {
  const first = rows.slice(0, count), rest = rows.slice(count);
  if (!rest.length || !first.length) return "";
  if (first.every((row) => row.figure.low === null)) return t("These figures have no intervals, so their order is not sure.");
  const end = (row, outer) => (row.figure.low === null ? row.figure.value : outer ? row.figure.high : row.figure.low);
  const isAbove = order !== "asc";
  const limit = isAbove ? Math.max(...rest.map((row) => end(row, true))) : Math.min(...rest.map((row) => end(row, false)));
  const sure = first.filter((row) => row.figure.low !== null && (isAbove ? row.figure.low > limit : row.figure.high < limit)).length;
  return t(SENTENCES[isAbove ? "above" : "below"][sureOf(first.length, sure)], { sure, count: first.length });
}

/** Regions most like one region: those of the same level whose figure is nearest, at most `count`. */
export function similar(figures, geo, count) {
  const own = figures.find((f) => f.geo === geo);
  if (!own || own.value === null) return [];
  const others = figures.filter((f) => f.geo !== geo && f.value !== null);
  others.sort((a, b) => Math.abs(a.value - own.value) - Math.abs(b.value - own.value) || (a.geo < b.geo ? -1 : 1));
  return others.slice(0, count).map((f) => f.geo);
}

/** Index of the class of a value: how many limits are not above it. */
export const classOf = (value, limits) => limits.filter((limit) => value >= limit).length;

/** The period of the table to show after one handle moved: the other end stays if it can, else the length, else what is nearest. */
export function movePeriod(periods, current, handle, year) {
  const [from, to] = current;
  const end = handle === "to" ? 1 : 0;
  const fitting = periods.filter((p) => p[end] === year);
  if (!fitting.length) {
    return [...periods].sort((a,
      b) => Math.abs(a[end] - year) - Math.abs(b[end] - year) || Math.abs(a[1] - a[0] - to + from) - Math.abs(b[1] - b[0] - to + from))[0];
  }
  // Steps of the same length come first, so that the handles walk through a series together.
  const length = to - from;
  const cost = (p) => (p[1] - p[0] === length ? 0 : p[1 - end] === current[1 - end] ? 1 : 2 + Math.abs(p[1] - p[0] - length));
  return fitting.sort((a, b) => cost(a) - cost(b))[0];
}
