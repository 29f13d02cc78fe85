// The chart: all periods of the chosen regions as lines, with a band where there are 95 % intervals, and its figures as a table.

import { h, replace, s } from "./dom.js";
import { commonDecimals, interval, listed, number, periodLabel, periodTitle, tickDecimals, ticks, withUnit } from "./format.js";
import { t } from "./words.js";
import { facts, label, regions, remarks } from "./data.js";

export const MARKS = ["M0-3.6a3.6 3.6 0 1 0 .01 0z", "M-3.4-3.4h6.8v6.8h-6.8z", "M0-4.4l4.2 7.4h-8.4z", "M0-4.8l4.2 4.8-4.2 4.8-4.2-4.8z",
  "M0 4.4l4.2-7.4h-8.4z"];

/** The marker of a region by its place among the chosen ones; each has its own form, so that no colour is needed. */
const marker = (slot, x, y, name = "") => s("path", { d: MARKS[slot], transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
  class: `mark s${slot} ${name}` });

/** The periods of a series that do not overlap: those as long as the one shown, or the shortest to each year where there is one only. */
function stepsOf(figures, [from, to]) {
  const alike = figures.filter((f) => f.to - f.from === to - from);
  if (alike.length > 1) return alike;
  const shortest = new Map();
  for (const f of figures) if (!shortest.has(f.to) || shortest.get(f.to).from < f.from) shortest.set(f.to, f);
  return [...shortest.values()];
}

/** The lines: one for each region, and a second method of the first region. */
export function linesOf(data, measure, period, second) {
  const lines = [];
  data.forEach((region, slot) => {
    for (const method of [measure.m, slot === 0 ? second : null]) {
      if (!method) continue;
      const figures = stepsOf(region.series(measure.i, method, measure.u), period);
      if (figures.some((f) => f.value !== null)) lines.push({ geo: region.geo, method, slot, figures, beside: method !== measure.m });
    }
  });
  return lines;
}

const valuesOf = (lines) => lines.flatMap((l) => l.figures.flatMap((f) => [f.value, f.low, f.high])).filter((v) => v !== null);

/** Value at which the axis starts: 0 or below for flows; near the least value for stocks that vary little. */
function axisStart(lines, isStock) {
  const low = Math.min(...valuesOf(lines)), high = Math.max(...valuesOf(lines));
  if (!isStock) return Math.min(low, 0);
  return low < (high - low) * 2 ? 0 : ticks(low, high)[0];
}

function runs(figures, field) {
  const found = [[]];
  for (const f of figures) {
    if (f[field] === null) found.push([]);
    else found[found.length - 1].push(f);
  }
  return found.filter((run) => run.length);
}

function spread(ends, gap, top, bottom) {
  const sorted = [...ends].sort((a, b) => a.y - b.y);
  let last = top - gap;
  for (const end of sorted) last = end.y = Math.max(end.y, last + gap);
  const over = Math.max(0, last - bottom);
  for (const end of sorted) end.y -= over;
  return sorted;
}

/** Tell whether the figures of a line stand alone: intervals of changes are so wide that a line from one to the next would show a trend
 * that nobody knows. */
const single = (line, isStock) => !isStock && !line.beside && line.figures.some((f) => f.low !== null);

/** Draw lines as SVG. */
export function drawLines(lines, { period, isStock, narrow, byRegion, describe }) {
  const width = narrow ? 360 : 640, height = narrow ? 250 : 270;
  const periods = [...new Map(lines.flatMap((l) => l.figures.map((f) => [f.to * 10000 + f.from, [f.from, f.to]]))).entries()].sort((a,
    b) => a[0] - b[0]).map((e) => e[1]);
  const values = ticks(axisStart(lines, isStock), Math.max(...valuesOf(lines), 0)), decimals = tickDecimals(values);
  const texts = values.map((v) => number(v, decimals));
  const left = 14 + 8 * Math.max(...texts.map((t) => t.length)), right = narrow ? 84 : 96, top = 14, bottom = 30;
  const at = ([from, to]) => periods.findIndex((p) => p[0] === from && p[1] === to);
  const x = (p) => (periods.length === 1 ? (left + width - right) / 2 : left + 8 + ((width - left - right - 16) * at(p)) / (periods.length - 1));
  const y = (v) => top + ((height - top - bottom) * (values[values.length - 1] - v)) / (values[values.length - 1] - values[0]);
  const px = (f) => x([f.from, f.to]).toFixed(1);
  const parts = values.map((v, i) => [
    s("line", { x1: left, x2: width - right, y1: y(v).toFixed(1), y2: y(v).toFixed(1), class: v === 0 ? "zero" : "grid" }),
    s("text", { x: left - 6, y: (y(v) + 4).toFixed(1), "text-anchor": "end" }, texts[i]),
  ]);
  const every = Math.max(1, Math.ceil((58 * periods.length) / (width - left - right)));
  periods.forEach((p, i) => {
    if ((periods.length - 1 - i) % every === 0) parts.push(s("text", { x: x(p).toFixed(1), y: height - 8, "text-anchor": "middle" },
      periodLabel(p)));
  });
  const now = periods.find((p) => p[1] === period[1] && (isStock || p[0] === period[0]));
  if (now) parts.push(s("line", { x1: x(now).toFixed(1), x2: x(now).toFixed(1), y1: top, y2: height - bottom, class: "now" }));
  const beside = (line) => (single(line, isStock) ? 7 * (line.slot - (lines.filter((l) => !l.beside).length - 1) / 2) : 0);
  for (const line of lines.filter((l) => !l.beside)) {
    for (const f of single(line, isStock) ? line.figures.filter((g) => g.low !== null) : []) {
      const middle = (x([f.from, f.to]) + beside(line)).toFixed(1);
      parts.push(s("path", { d: `M${middle} ${y(f.high).toFixed(1)}V${y(f.low).toFixed(1)}`, class: `interval s${line.slot}` }));
    }
    for (const run of single(line, isStock) ? [] : runs(line.figures, "low")) {
      const wide = run.length === 1 ? 4 : 0;
      const edge = (field, sign) => run.flatMap((f) => (wide ? [[-wide * sign, f], [wide * sign, f]] : [[0, f]])).map(([d,
        f]) => `${(x([f.from, f.to]) + d).toFixed(1)} ${y(f[field]).toFixed(1)}`);
      parts.push(s("path", { d: `M${[...edge("high", 1), ...(wide ? edge("low", -1) : edge("low", 1).reverse())].join("L")}z`,
        class: `ribbon s${line.slot}` }));
    }
  }
  for (const line of [...lines].sort((a, b) => b.beside - a.beside)) {
    for (const run of single(line, isStock) ? [] : runs(line.figures, "value")) {
      if (run.length > 1) parts.push(s("path", { d: `M${run.map((f) => `${px(f)} ${y(f.value).toFixed(1)}`).join("L")}`,
        class: `line s${line.slot}${line.beside ? " beside" : ""}` }));
    }
    if (!line.beside) {
      for (const f of line.figures) if (f.value !== null) parts.push(marker(line.slot, x([f.from, f.to]) + beside(line), y(f.value),
        f.flags.includes("u") ? "hollow" : ""));
    }
  }
  const ends = lines.filter((l) => !(byRegion && l.beside)).map((line) => {
    const known = line.figures.filter((f) => f.value !== null);
    return { y: y(known[known.length - 1].value), text: byRegion ? line.geo : facts.methods[line.method].short, line };
  });
  for (const end of spread(ends, 15, top + 6, height - bottom)) {
    parts.push(s("text", { x: width - right + 8, y: (end.y + 4).toFixed(1),
      class: `end s${end.line.slot}${end.line.beside ? " beside" : ""}` }, end.text.slice(0, 11)));
  }
  return s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": describe }, parts);
}

/** Title of the chart of some lines. */
function chartTitle(measure, lines) {
  const all = lines.flatMap((l) => l.figures), unit = facts.units[measure.i][measure.u];
  const from = Math.min(...all.map((f) => f.from)), to = Math.max(...all.map((f) => f.to));
  return `${facts.titles[measure.c][measure.i]}, ${unit}, ${periodTitle([from, to])}`;
}

/** Name first and last value of each line. */
function describe(title, lines, unit, signed) {
  const said = lines.filter((l) => !l.beside).map((line) => {
    const known = line.figures.filter((f) => f.value !== null), decimals = commonDecimals(known);
    const ends = [known[0], known[known.length - 1]].slice(0, known.length);
    return `${label(line.geo)}: ${listed(ends.map((f) => t("{value} in {period}",
      { value: withUnit(f.value, decimals, unit, signed), period: periodTitle([f.from, f.to]) })))}.`;
  });
  return `${t("Line chart.")} ${title}. ${said.join(" ")}`;
}

/** Explain the signs that occur in the chart. */
function notes(lines, measure, data) {
  const main = lines.filter((l) => !l.beside), method = facts.methods[measure.m], found = [];
  const alone = main.filter((l) => single(l, measure.i === "stk"));
  found.push(t(alone.length ? "Markers: {method}." : "Solid line: {method}.", { method: method.inSentence }));
  const beside = lines.find((l) => l.beside);
  if (beside) found.push(data.length > 1
    ? t("Dashed line: {method} of {name}, for comparison.", { method: facts.methods[beside.method].inSentence, name: label(beside.geo) })
    : t("Dashed line: {method}, for comparison.", { method: facts.methods[beside.method].inSentence }));
  const banded = main.filter((l) => l.figures.some((f) => f.low !== null));
  if (!banded.length) found.push(method.none);
  else if (alone.length) found.push(t("Bars: 95 % interval. No line joins the markers, because such intervals show no trend."));
  else found.push(t("Band: 95 % interval."), banded.length < main.length ? t("Where there is no band, no interval was estimated.") : "");
  const without = data.filter((r) => !main.some((l) => l.geo === r.geo)).map((r) => label(r.geo));
  if (without.length) found.push(t("No figures: {names}.", { names: without.join(", ") }));
  if (main.some((l) => l.figures.some((f) => f.value !== null && f.flags.includes("u")))) found.push(t("Hollow markers: low reliability."));
  if (main.some((l) => l.figures.some((f) => f.value === null))) found.push(t("Gaps in a line: no figure."));
  if (measure.i === "stk" && axisStart(lines, true) > 0) found.push(t("The axis does not start at 0."));
  return found.filter(Boolean).join(" ");
}

/** Show the chart of some regions, and its figures as a table. */
export function showChart(box, tableBox, data, measure, period, { second, narrow }) {
  if (!data.length) {
    replace(box);
    return replace(tableBox);
  }
  const lines = linesOf(data, measure, period, second);
  if (!lines.length) {
    replace(box, h("p", { class: "empty" }, t("No figures for the chosen regions and this measure.")));
    return replace(tableBox);
  }
  const title = chartTitle(measure, lines), unit = facts.unitCodes[measure.u][1], signed = measure.i === "net";
  const drawing = drawLines(lines, { period, isStock: measure.i === "stk", narrow, byRegion: data.length > 1,
    describe: describe(title, lines, unit, signed) });
  replace(box, h("h3", {}, title), drawing, h("p", { class: "note" }, notes(lines, measure, data)));
  if (tableBox) replace(tableBox, figuresTable(lines, title, measure, signed));
}

function figuresTable(lines, title, measure, signed) {
  const rows = lines.flatMap((line) => {
    const decimals = commonDecimals(line.figures);
    return line.figures.map((f) => h("tr", {},
      h("th", { scope: "row" }, regions.get(line.geo).name), h("td", {}, facts.methods[line.method].short), h("td", {},
        periodLabel([f.from, f.to])),
      h("td", { class: "num" }, number(f.value, decimals, signed)), h("td", { class: "num soft" }, interval(f, decimals) || t("none")),
      h("td", { class: "soft" }, remarks(f).join(", "))));
  });
  const heads = [t("Region"), t("Method"), t("Period"), facts.units[measure.i][measure.u], t("95 % interval"), t("Note")];
  return h("table", {}, h("caption", { class: "hidden" }, title), h("thead", {},
    h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows));
}
