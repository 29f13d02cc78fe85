// The chosen regions: name, and stock, new, lost and net of the period; several regions as columns.

import { h, replace } from "./dom.js";
import { decimalsFor, interval, periodTitle, withUnit } from "./format.js";
import { reliability } from "./stats.js";
import { t } from "./words.js";
import { facts, regions, remarks } from "./data.js";

/** One figure: value and interval, then what it can tell. */
export function figureParts(figure, unit, signed) {
  const decimals = decimalsFor(figure), sign = facts.unitCodes[unit][1];
  const kind = reliability(figure, facts.coverageMin, signed);
  const words = figure.value === null ? remarks(figure) : [...(kind === "unclear" ? [t("no clear change")] : []), ...remarks(figure)];
  return { value: withUnit(figure.value, decimals, sign, signed), span: interval(figure, decimals), words, kind };
}

/** The area unit beside the per cent: the chosen one, or km². */
const areaUnit = (measure) => (measure.u === "ha" ? "ha" : "km2");

function cell(region, measure, flow, period) {
  const units = facts.units[flow], area = areaUnit(measure);
  const main = region.at(flow, measure.m, area, period), signed = flow === "net";
  const first = figureParts(main, area, signed);
  const lines = [h("dd", { class: `big ${first.kind}` }, first.value)];
  if (first.span) lines.push(h("dd", { class: "soft" }, t("95 %: {span}", { span: first.span })));
  const share = measure.u === "pa" && units.pa ? "pa" : "pc";
  if (main.value !== null) lines.push(h("dd", {},
    `${figureParts(region.at(flow, measure.m, share, period), share, signed).value.replace("\u00a0%", " ")}${units[share]}`));
  if (units.hab && flow === "stk" && main.value !== null) {
    const head = region.at(flow, measure.m, "hab", period);
    if (head.value !== null) lines.push(h("dd", {}, t("{value} per inhabitant", { value: figureParts(head, "hab", false).value })));
  }
  if (first.words.length) lines.push(h("dd", { class: "soft remark" }, first.words.join(", ")));
  return lines;
}

const stockYear = ([, to]) => [to, to];

/** Show one region as tiles, several as columns of a table. */
export function showTiles(box, data, measure, period, link) {
  if (!data.length) return replace(box, h("h2", {}, t("No region chosen")), h("p", { class: "empty" },
    t("Choose one on the map, in the ranking or by its name.")));
  const when = (flow) => periodTitle(flow === "stk" ? stockYear(period) : flowPeriod(period));
  const flows = Object.keys(facts.flows);
  if (data.length > 1) {
    const rows = flows.map((flow) => h("tr", {}, h("th", { scope: "row" }, facts.flows[flow][1], h("span", { class: "when" }, when(flow))),
      data.map((region) => h("td", {}, h("dl", { class: "cell" }, h("dt", { class: "hidden" }, facts.flows[flow][1]),
        cell(region, measure, flow, flow === "stk" ? period : flowPeriod(period)))))));
    const head = data.map((region, slot) => h("th", { scope: "col", class: `column s${slot}` }, regions.get(region.geo).name, h("span",
      { class: "code" }, ` ${region.geo}`)));
    return replace(box, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("Comparison") }, h("table",
      { class: "compare" },
      h("caption", { class: "hidden" }, t("Comparison of the chosen regions")), h("thead", {}, h("tr", {}, h("td", {}), head)), h("tbody", {},
        rows))));
  }
  const region = regions.get(data[0].geo), parent = regions.get(region.parent);
  const where = `${region.geo} · ${facts.levels[region.level][0]}${parent ? ` · ${t("part of {name}", { name: parent.name })}` : ""}`;
  const tiles = flows.map((flow) => h("div", { class: flow === measure.i ? "tile now" : "tile" },
    h("dt", {}, facts.flows[flow][1], h("span", { class: "when" }, when(flow))), cell(data[0], measure, flow,
      flow === "stk" ? period : flowPeriod(period))));
  return replace(box, h("h2", {}, region.name), h("p", { class: "note" }, where, " · ",
    h("a", { href: `${facts.base}region/${region.geo}?${link}`, id: "report-link" }, t("Report to print"))),
    h("dl", { class: "tiles" }, tiles));
}

/** The period of the flows: that of the map, or the year to it where the map shows a stock. */
const flowPeriod = ([from, to]) => (from === to ? [to - 1, to] : [from, to]);
