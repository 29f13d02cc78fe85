// The report of one region, for two A4 pages: what happened, with intervals, in hectares, beside parent and country.

import { byId, h, replace, s } from "./dom.js";
import { counted, decimalsFor, interval, number, periodLabel, periodTitle } from "./format.js";
import { rank, reliability } from "./stats.js";
import { digits, t } from "./words.js";
import { facts, label, loadMap, loadNames, loadRegion, loadSlice, regions } from "./data.js";
import { drawLines, linesOf } from "./chart.js";
import { drawSpread, showChanges } from "./more.js";
import { figureParts } from "./tiles.js";

const start = new URLSearchParams(facts.query);
const measure = { c: start.get("c"), i: "net", u: "pc", d: start.get("d"), m: start.get("m") };
const geo = start.get("g"), COVER = facts.coversInSentence[measure.c];

/** Periods of the report: the longest flow to the last year, and the shortest one to it. */
function reportPeriods(region) {
  const flows = region.series("net", measure.m, "km2").filter((f) => f.from < f.to), known = flows.filter((f) => f.value !== null);
  const use = known.length ? known : flows;
  if (!use.length) return null;
  const last = Math.max(...use.map((f) => f.to)), ending = use.filter((f) => f.to === last).sort((a, b) => a.from - b.from);
  const pair = (f) => [f.from, f.to];
  return { whole: pair(ending[0]), last: pair(ending[ending.length - 1]) };
}

const text = (figure, unit, signed) => figureParts(figure, unit, signed).value;
const span = (figure) => (figure.low === null ? "" : ` (${t("95 % interval {span}", { span: interval(figure, decimalsFor(figure)) })})`);
const withInterval = (figure, unit, signed) => text(figure, unit, signed) + span(figure);

/** The sentence that says it. */
function sentence(region, { whole }) {
  const { name } = regions.get(geo), [from, to] = whole, known = { cover: COVER, name, from, to };
  const net = region.at("net", measure.m, "ha", whole), rate = region.at("net", measure.m, "pc", whole);
  if (net.value === null) {
    return t("The table has no net change of {cover} in {name} between {from} and {to}.", known);
  }
  const kind = reliability({ ...net, flags: "" }, 0, true);
  if (kind === "unclear") {
    return t("Between {from} and {to}, no clear change of {cover} was found in {name}: {figure}.", { ...known, figure: withInterval(net, "ha", true) });
  }
  const size = { ...net, value: Math.abs(net.value), low: net.low === null ? null : Math.min(Math.abs(net.low), Math.abs(net.high)),
    high: net.high === null ? null : Math.max(Math.abs(net.low), Math.abs(net.high)) };
  const sure = net.low === null ? ` ${t("No interval was estimated, so it is not known how sure this is.")}` : "";
  const share = text({ ...rate, value: Math.abs(rate.value) }, "pc", false);
  const said = t(net.value >= 0 ? "Between {from} and {to}, {cover} in {name} grew by {figure}, that is {share} of the stock of {from}."
    : "Between {from} and {to}, {cover} in {name} shrank by {figure}, that is {share} of the stock of {from}.",
  { ...known, share, figure: withInterval(size, "ha", false) });
  return `${said}${sure}`;
}

/** Main figures: stock at both ends, and the flows of the whole time and of the last year, beside parent and country. */
function mainTable(region, others, { whole, last }, used) {
  const rows = [["stk", [whole[0], whole[0]]], ["stk", [whole[1], whole[1]]]];
  const flows = ["new", "lost", "net"].filter((flow) => facts.flows[flow]);
  for (const period of whole.join() === last.join() ? [whole] : [whole, last]) rows.push(...flows.map((flow) => [flow, period]));
  const line = ([flow, period]) => {
    const signed = flow === "net", share = "pc";
    const [ha, km2, part] = ["ha", "km2", share].map((unit) => region.at(flow, measure.m, unit, period));
    [...ha.flags].forEach((flag) => used.flags.add(flag));
    if (ha.reason) used.reasons.add(ha.reason);
    const kind = reliability(ha, facts.coverageMin, signed);
    const note = ha.value === null ? t("no figure") : [kind === "unclear" ? t("no clear change") : "", ha.flags].filter(Boolean).join(", ");
    return h("tr", {}, h("th", { scope: "row" }, facts.flows[flow][1]), h("td", {}, periodLabel(period)), h("td", { class: "num" },
      number(ha.value, decimalsFor(ha), signed)),
      h("td", { class: "num soft" }, interval(ha, decimalsFor(ha)) || t("none")), h("td", { class: "num" },
        number(km2.value, decimalsFor(km2), signed)),
      h("td", { class: "num" }, number(part.value, decimalsFor(part), signed)), others.map((other) => {
        const beside = other.at(flow, measure.m, share, period);
        return h("td", { class: "num soft" }, number(beside.value, decimalsFor(beside), signed));
      }), h("td", { class: "soft" }, note));
  };
  const heads = [t("Figure"), t("Period"), "ha", t("95 % interval, ha"), "km²", "% *",
    ...others.map((o) => `${regions.get(o.geo).name}, %`), t("Note")];
  return [h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("Main figures") }, h("table", { class: "report-table" },
    h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: i > 1 && i < heads.length - 1 ? "num" : null },
    head)))), h("tbody", {}, rows.map(line)))),
    h("p", { class: "note" }, t("* Stock: per cent of the area. New, lost, net: per cent of the stock at the start."))];
}

/** All steps of the series in hectares. */
function allYears(region, used) {
  const years = [...new Set(region.series("stk", measure.m, "ha").map((f) => f.to))];
  const flows = Object.keys(facts.flows);
  const cell = (flow, year) => {
    const rows = region.series(flow, measure.m, "ha").filter((f) => f.to === year).sort((a, b) => b.from - a.from);
    const f = rows[0];
    if (!f) return h("td", { class: "num" }, "–");
    [...f.flags].forEach((flag) => used.flags.add(flag));
    if (f.reason) used.reasons.add(f.reason);
    const decimals = decimalsFor(f), span = interval(f, decimals);
    return h("td", { class: "num" }, number(f.value, decimals, flow === "net"), f.value !== null && f.flags ? h("sup", {}, f.flags) : null,
      span ? h("span", { class: "soft" }, ` (${span})`) : null);
  };
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("All years") }, h("table", { class: "report-table" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("Year")),
      flows.map((flow) => h("th", { scope: "col", class: "num" }, `${facts.flows[flow][1]}, ha`)))),
    h("tbody", {}, years.map((year) => h("tr", {}, h("th", { scope: "row" }, String(year)), flows.map((flow) => cell(flow, year)))))));
}

function locator(drawing) {
  const box = drawing.regions.find((r) => r.geo === geo);
  return s("svg", { class: "locator", viewBox: `0 0 ${drawing.width} ${drawing.height}`, role: "img",
    "aria-label": t("{name} on the map of all regions of its level", { name: regions.get(geo).name }) },
    s("g", { class: "land" }, drawing.ground.map((d) => s("path", { d }))),
    drawing.regions.map((r) => s("path", { d: r.d, class: r.geo === geo ? "here" : null })), s("g", { class: "borders" },
      drawing.borders.map((d) => s("path", { d }))),
    box ? s("circle", { cx: box.x, cy: box.y, r: drawing.width / 28, class: "ring", "stroke-width": drawing.width / 200 }) : null);
}

function chartOf(region, flow, unit, period) {
  const lines = linesOf([region], { ...measure, i: flow, u: unit }, period, null);
  if (!lines.length) return null;
  const title = `${facts.titles[measure.c][flow]}, ${facts.units[flow][unit]}`;
  return h("section", {}, h("h3", {}, title), drawLines(lines,
    { period, isStock: flow === "stk", narrow: true, byRegion: false, describe: `${t("Line chart.")} ${title}.` }));
}

/** Where the region stands among those of its level. */
function place(slice, level) {
  const rows = rank(slice.figures, "desc"), row = rows.find((r) => r.figure.geo === geo);
  if (!row) return "";
  const between = row.best === null || row.best === row.worst ? "" : ` ${t("Its interval allows places {best} to {worst}.", { best: row.best, worst: row.worst })}`;
  const tied = row.tied ? ` ${counted(row.tied, "Its interval overlaps with that of {n} other region.", "Its interval overlaps with those of {n} other regions.")}` : "";
  const said = t("Place {place} of {count} regions of {level} by net change, % of the stock at the start.",
    { place: row.place, count: digits(rows.length), level: facts.levels[level][0] });
  return `${said}${between}${tied}`;
}

function notes(used, address) {
  const flags = [...used.flags].sort().map((flag) => h("li", {}, h("b", {}, flag), h("span", {}, facts.flags[flag][1])));
  const reasons = [...used.reasons].sort().map((reason) => h("li", {}, h("b", {}, "–"), h("span", {}, facts.reasons[reason])));
  return [flags.length || reasons.length ? [h("h3", {}, t("Notes of this page")), h("ul", { class: "flags" }, flags, reasons)] : null,
    h("h3", {}, t("How to cite")), h("p", {}, `${facts.source}. ${regions.get(geo).name} (${geo}), NUTS ${facts.nutsVersion}.`), h("p",
      { class: "note" }, address)];
}

async function begin() {
  await loadNames();
  const own = regions.get(geo), parent = regions.get(own.parent), country = regions.get(own.country);
  const beside = [...new Set([parent, country].filter((r) => r && r.geo !== geo).map((r) => r.geo))];
  const [region, drawing, ...others] = await Promise.all([loadRegion(geo, measure), loadMap(own.level),
    ...beside.map((one) => loadRegion(one, measure))]);
  const periods = reportPeriods(region), used = { flags: new Set(), reasons: new Set() };
  const where = [`${geo} · ${facts.levels[own.level][0]} · ${digits(own.area)} km²`, parent ? t("part of {name}", { name: parent.name }) : "",
    country && country !== own && country !== parent ? country.name : ""].filter(Boolean).join(" · ");
  const head = h("div", { class: "report-head" }, h("div", {}, h("p", { class: "note" }, where),
    h("p", { class: "note" }, `${t("Method: {method}", { method: facts.methods[measure.m].inSentence })}. ${facts.definitions[measure.d]}.`),
    periods ? h("p", { class: "said" }, sentence(region, periods)) : h("p", { class: "said" },
      t("The table has no changes of {cover} in {name}.", { cover: COVER, name: own.name }))), locator(drawing));
  const parts = [head];
  if (periods) {
    const slice = await loadSlice(measure, own.level, periods.whole), changes = h("section");
    showChanges(changes, region, measure, periods.whole);
    parts.push(h("h2", {}, t("Main figures")), mainTable(region, others, periods, used),
      h("h2", {}, t("Place among the regions, {period}", { period: periodTitle(periods.whole) })), slice.byGeo.size > 1 ? drawSpread(slice, [geo], { width: innerWidth > 640 ? 640 : 380 }).drawing : null,
        h("p", { class: "note" }, place(slice, own.level)),
      h("div", { class: "second" }, h("h2", {}, t("Year by year"))), h("div", { class: "report-charts" },
        chartOf(region, "stk", "ha", periods.last), chartOf(region, "net", "ha", periods.last)), changes);
  }
  parts.push(h("h2", {}, t("All years")), allYears(region, used));
  replace(byId("report"), parts);
  replace(byId("report-notes"), notes(used, location.href));
  document.title = `${label(geo)} (${geo}) · ${facts.title}`;
  document.body.dataset.ready = "1";
}

byId("print").addEventListener("click", () => print());
begin().catch((error) => {
  console.info(error.message);
  replace(byId("report"), h("p", { class: "empty" }, t("The figures could not be loaded. Check the connection and load the page again.")));
});
