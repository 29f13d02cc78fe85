// Below the ranking: the distribution of all regions, and which land cover became which.

import { h, replace, s } from "./dom.js";
import { commonDecimals, decimalsFor, number, periodTitle, tickDecimals, ticks, withUnit } from "./format.js";
import { t } from "./words.js";
import { MARKS } from "./chart.js";
import { facts, regions } from "./data.js";

/** Draw all regions as dots over an axis, those with near values above each other; the chosen ones are marked. */
export function drawSpread(slice, chosen, { width = 640 } = {}) {
  const known = slice.figures.filter((f) => f.value !== null);
  const values = ticks(Math.min(...known.map((f) => f.value)), Math.max(...known.map((f) => f.value)), width > 400 ? 6 : 4),
    decimals = tickDecimals(values);
  const low = values[0], high = values[values.length - 1], left = 24, right = 24;
  const x = (v) => left + ((width - left - right) * (v - low)) / (high - low);
  const bin = Math.max(5, Math.min(10, 2400 / known.length)), columns = new Map();
  for (const f of known) {
    const at = Math.round(x(f.value) / bin);
    if (!columns.has(at)) columns.set(at, []);
    columns.get(at).push(f);
  }
  const tallest = Math.max(...[...columns.values()].map((c) => c.length)), step = Math.min(bin, 110 / tallest), r = Math.max(1,
    Math.min(bin, step * 1.4) / 2 - 0.4);
  const height = Math.max(46, tallest * step + 44), base = height - 26;
  const dots = [], marks = [];
  for (const [at, column] of columns) {
    column.sort((a, b) => chosen.includes(b.geo) - chosen.includes(a.geo)).forEach((f, i) => {
      const slot = chosen.indexOf(f.geo), cx = at * bin, cy = base - 6 - i * step;
      if (slot < 0) dots.push(`M${cx} ${cy.toFixed(1)}h0`);
      else marks.push(s("path", { d: MARKS[slot], transform: `translate(${cx} ${cy.toFixed(1)}) scale(1.5)`, class: `mark s${slot}` }));
    });
  }
  const axis = [s("line", { x1: left, x2: width - right, y1: base, y2: base, class: "zero" }), values.map((v) => [
    s("line", { x1: x(v).toFixed(1), x2: x(v).toFixed(1), y1: base, y2: base + 4, class: "zero" }),
    s("text", { x: x(v).toFixed(1), y: base + 18, "text-anchor": "middle" }, number(v, decimals))])];
  const said = chosen.filter((geo) => slice.byGeo.has(geo) && slice.byGeo.get(geo).value !== null).map((geo) => {
    const own = slice.byGeo.get(geo).value, below = known.filter((f) => f.value < own).length;
    const value = withUnit(own, decimalsFor(slice.byGeo.get(geo)), slice.unit, slice.signed);
    return t("{name}: {value}, more than {below} of the {others} others.",
      { name: regions.get(geo).name, value, below, others: known.length - 1 });
  });
  return { drawing: s("svg", { class: "chart spread", viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${t("Distribution of {count} regions.", { count: known.length })} ${said.join(" ")}` }, axis,
    // One path for all dots: a thousand elements would take as long as the map.
    s("path", { d: dots.join(""), "stroke-width": (2 * r).toFixed(1), class: "swarm" }), marks), said };
}

export function showSpread(box, slice, level, chosen, title, narrow) {
  if (!slice.figures.some((f) => f.value !== null)) return replace(box);
  const { drawing, said } = drawSpread(slice, chosen, { width: narrow ? 380 : 640 });
  return replace(box, h("h2", {}, t("All {level} regions", { level: facts.levels[level][0] })), h("p", { class: "note" }, `${title}. ${t("Each dot is a region.")}`),
    drawing, h("p", { class: "note" }, said.join(" ")));
}

/** Show the transitions of a region in a period as bars, in km². */
export function showChanges(box, region, measure, period) {
  if (!region) return replace(box, h("h2", {}, t("Land cover changes")), h("p", { class: "empty" }, t("Choose a region first.")));
  const { name } = regions.get(region.geo);
  const flow = period[0] === period[1] ? [period[1] - 1, period[1]] : period;
  const rows = region.moves(measure.m, flow), heading = h("h2", {}, t("Land cover changes in {name}, km², {period}", { name, period: periodTitle(flow) }));
  if (!rows.length) return replace(box, heading, h("p", { class: "empty" },
    t("The table has no land cover changes for this region, method and period.")));
  const known = rows.filter((row) => row[4] !== null).sort((a, b) => b[4] - a[4]);
  if (!known.length) return replace(box, heading, h("p", { class: "empty" }, t("Too little of the region was seen in both years.")));
  const most = Math.max(...known.map((row) => row[4])) || 1, decimals = commonDecimals(known.map((row) => ({ value: row[4], low: null,
    high: null })));
  return replace(box, heading, h("table", { class: "changes" },
    h("caption", { class: "hidden" }, t("Area that changed from one land cover to another")),
    h("thead", { class: "hidden" }, h("tr", {}, [t("Before"), t("After"), "km²", t("Bar")].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, known.map(([before, after, , , km2]) => h("tr", {}, h("th", { scope: "row" }, facts.coverNames[before]), h("td", {},
      h("span", { class: "arrow", "aria-hidden": "true" }, "→ "), facts.coverNames[after]),
      h("td", { class: "num" }, number(km2, decimals)), h("td", { class: "bar", "aria-hidden": "true" },
        s("svg", { viewBox: "0 0 200 12", preserveAspectRatio: "none" },
        s("rect", { x: 0, y: 0, width: ((200 * km2) / most).toFixed(1), height: 12,
          class: after === "IMP" ? "seal" : before === "IMP" ? "unseal" : "other" }))))))));
}
