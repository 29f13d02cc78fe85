// The ranking: the regions of the map in order of their figure, with dot and whisker, the interval of the rank, and what is sure.

import { h, replace, s } from "./dom.js";
import { commonDecimals, counted, interval, number, tickDecimals, ticks } from "./format.js";
import { rank, reliability, sureSentence } from "./stats.js";
import { t } from "./words.js";
import { codesOf, facts, regions, remarks } from "./data.js";

const TOP = 25, SURE_OF = 10, WIDTH = 200;

/** Scale of the dots: it holds all values and intervals shown, and 0. */
function scaleOf(rows) {
  const all = rows.flatMap(({ figure: f }) => [f.value, f.low, f.high]).filter((v) => v !== null);
  const values = ticks(Math.min(0, ...all), Math.max(0, ...all), 4);
  const low = values[0], high = values[values.length - 1];
  return { values, x: (v) => 6 + ((WIDTH - 12) * (v - low)) / (high - low) };
}

function dot(figure, scale, kind) {
  const x = (v) => scale.x(v).toFixed(1);
  return s("svg", { viewBox: `0 0 ${WIDTH} 18`, class: "dots", "aria-hidden": "true" },
    scale.values.map((v) => s("line", { x1: x(v), x2: x(v), y1: 0, y2: 18, class: v === 0 ? "zero" : "grid" })),
    figure.low === null ? null : s("line", { x1: x(figure.low), x2: x(figure.high), y1: 9, y2: 9, class: "whisker" }),
    figure.value === null ? null : s("circle", { cx: x(figure.value), cy: 9, r: 4, class: `dot ${kind}` }));
}

function axis(scale) {
  const decimals = tickDecimals(scale.values);
  return s("svg", { viewBox: `0 0 ${WIDTH} 14`, class: "dots axis", "aria-hidden": "true" },
    [scale.values[0], scale.values[scale.values.length - 1],
      ...(scale.values[0] < 0 && scale.x(0) > 36 && scale.x(0) < WIDTH - 36 ? [0] : [])].map((v) => s("text", {
      x: scale.x(v).toFixed(1), y: 11, "text-anchor": v === scale.values[0] ? "start" : v === 0 ? "middle" : "end",
    }, number(v, decimals))));
}

function rankText(row) {
  if (row.best === null || row.best === row.worst) return "";
  return `${row.best}–${row.worst}`;
}

/** Show the first regions, then the other chosen ones with their rank. */
export function showRanking(box, slice, level, period, { order, chosen, title }) {
  const total = codesOf.get(level).length;
  const rows = rank(slice.figures, order);
  if (!rows.length) return replace(box, h("h2", {}, title), h("p", { class: "empty" },
    t("No region of this level has a figure for this choice.")));
  const shown = rows.slice(0, TOP);
  const others = chosen.filter((geo) => slice.byGeo.has(geo) && !shown.some((r) => r.figure.geo === geo))
    .map((geo) => rows.find((r) => r.figure.geo === geo) || { figure: slice.byGeo.get(geo), place: null, best: null, worst: null,
      tied: null });
  const drawn = [...shown, ...others], scale = scaleOf(drawn), decimals = commonDecimals(shown.map((r) => r.figure));
  const common = [..."bdefimnpu"].filter((flag) => rows.every((r) => r.figure.flags.includes(flag)));
  const hasIntervals = drawn.some((r) => r.figure.low !== null);
  const hasRanks = drawn.some((r) => rankText(r));
  const line = (row) => {
    const { figure } = row, kind = reliability(figure, facts.coverageMin, slice.signed);
    const words = remarks({ ...figure, flags: [...figure.flags].filter((flag) => !common.includes(flag)).join("") });
    if (kind === "unclear") words.unshift(t("no clear change"));
    if (row.tied) words.push(t("tied with {count}", { count: row.tied }));
    return h("tr", { role: "row", class: chosen.includes(figure.geo) ? "chosen" : null },
      h("td", { role: "cell", class: "num place" }, row.place === null ? "–" : row.place),
      h("th", { role: "rowheader", scope: "row" }, h("button",
        { type: "button", "data-geo": figure.geo, "data-key": `rank-${figure.geo}`, "aria-pressed": String(chosen.includes(figure.geo)) },
        h("span", { class: "name" }, regions.get(figure.geo).name), " ", h("span", { class: "code" }, figure.geo))),
      h("td", { role: "cell", class: "num figure" }, number(figure.value, decimals, slice.signed)),
      h("td", { role: "cell", class: "drawing" }, dot(figure, scale, kind)),
      hasIntervals ? h("td", { role: "cell", class: "num soft span" }, interval(figure, decimals) || t("none")) : null,
      hasRanks ? h("td", { role: "cell", class: "num soft between", "data-label": t("rank") }, rankText(row)) : null,
      h("td", { role: "cell", class: "soft remark" }, words.join(", ")));
  };
  const head = (text, name) => h("th", { role: "columnheader", scope: "col", class: name }, text);
  const isDown = order !== "asc";
  const sort = h("th", { role: "columnheader", scope: "col", class: "num figure", "aria-sort": isDown ? "descending" : "ascending" },
    h("button", { type: "button", "data-order": isDown ? "asc" : "desc", "data-key": "order",
      "aria-label": t("{unit}, reverse the order", { unit: slice.unitPhrase }) }, slice.unit, h("span", { "aria-hidden": "true" }, isDown ? " ▾" : " ▴")));
  const columns = 5 + hasIntervals + hasRanks;
  const words = [t("{some} of {all}", { some: Math.min(TOP, rows.length), all: counted(rows.length, "{n} ranked region", "{n} ranked regions") })];
  if (total > rows.length) words.push(t("{count} without a figure", { count: total - rows.length }));
  const sharedFlags = common.length ? ` ${t("All figures: {flags}.", { flags: common.map((flag) => facts.flags[flag][0]).join(", ") })}` : "";
  const sure = sureSentence(rows, Math.min(SURE_OF, shown.length), order);
  const table = h("table", { role: "table", class: "ranking" },
    h("caption", { class: "hidden" }, t("Ranking of {level} regions", { level: facts.levels[level][0] })),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head(t("Rank"), "num place"), head(t("Region")), sort,
      h("td", { role: "cell", class: "drawing" }, axis(scale)), hasIntervals ? head(t("95 % interval"), "num span") : null,
      hasRanks ? head(t("Rank between"), "num between") : null, head(t("Note"), "remark"))),
    h("tbody", { role: "rowgroup" }, shown.map(line), others.length ? h("tr", { role: "row", class: "divider" },
      h("td", { role: "cell", colspan: columns }, t("Your other chosen regions"))) : null, others.map(line)));
  replace(box, h("h2", {}, title), h("p", { class: "note" }, `${words.join("; ")}.${sharedFlags}`),
    sure ? h("p", { class: "sure" }, sure) : null, table,
    hasRanks ? h("p", { class: "note" },
      t("Dot: figure. Line: 95 % interval. Hollow: low reliability or no clear change. Rank between: the places that its interval allows. Tied: intervals overlap.")) : null);
}
