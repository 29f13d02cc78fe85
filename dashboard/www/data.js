// Figures from the server: kept once loaded, so that they can be shown again without a connection.

import { byId } from "./dom.js";
import { speak, t } from "./words.js";

export const facts = JSON.parse(byId("facts").textContent);
speak(facts.language);

/** The server has another table than this page. */
export class ChangedTableError extends Error {}

const store = new Map();

async function load(path) {
  if (!store.has(path)) {
    const answer = fetch(`${facts.base}api/v1/${path}${path.includes("?") ? "&" : "?"}v=${facts.digest}`).then((r) => {
      if (r.status === 409) throw new ChangedTableError();
      if (!r.ok) throw new Error(`${path}: ${r.status}`);
      return r.json();
    });
    answer.catch(() => store.delete(path));
    store.set(path, answer);
  }
  return store.get(path);
}

/** Regions by code: {geo, name, level, parent, country, area}, and the codes of each level. */
export const regions = new Map();
export const codesOf = new Map();
export let nameRows = [];

export async function loadNames() {
  nameRows = await load("names.json");
  for (const [geo, name, level, parent, country, area] of nameRows) {
    regions.set(geo, { geo, name, level, parent, country, area });
    if (!codesOf.has(level)) codesOf.set(level, []);
    codesOf.get(level).push(geo);
  }
}

export const loadMap = (level) => load(`map/${level}.json`);

/** Load one period of a measure; [from, to] or null for the latest. */
export async function loadSlice(measure, level, period) {
  const time = period ? `&y=${period[1]}${period[0] === period[1] ? "" : `&f=${period[0]}`}` : "";
  const path = `slice.json?l=${level}&c=${measure.c}&i=${measure.i}&u=${measure.u}&d=${measure.d}&m=${measure.m}${time}`;
  return decode(await load(path), level);
}

const decoded = new WeakMap();
function decode(answer, level) {
  if (!decoded.has(answer)) {
    const scale = 10 ** -(answer.digits || 0);
    const tidy = (value) => Number((value * scale).toPrecision(12));
    const figures = !answer.period ? [] : codesOf.get(level).map((geo, i) => {
      const value = answer.value[i];
      const has = value !== null && answer.low && answer.low[i] !== null;
      return {
        geo, value: value === null ? null : tidy(value), low: has ? tidy(value - answer.low[i]) : null,
          high: has ? tidy(value + answer.high[i]) : null,
        coverage: answer.coverage[i], flags: answer.flags[answer.flag[i]], reason: answer.reasons[answer.reason[i]],
      };
    });
    // One answer serves readers of all languages, so its texts are English.
    const texts = { title: t(answer.title), unitPhrase: t(answer.unitPhrase), method: t(answer.method) };
    decoded.set(answer, { ...answer, ...texts, figures, byGeo: new Map(figures.map((f) => [f.geo, f])) });
  }
  return decoded.get(answer);
}

const figureOf = (geo, [from, to, value, low, high, coverage, flags, reason]) => ({ geo, from, to, value, low, high, coverage, flags,
  reason });

/** Load all figures of a region for a land cover and a definition. */
export async function loadRegion(geo, measure) {
  const { figures, moves } = await load(`region/${geo}.json?c=${measure.c}&d=${measure.d}`);
  const rows = (flow, method,
    unit) => (((figures[facts.flows[flow][0]] || {})[method] || {})[facts.unitCodes[unit][0]] || []).map((row) => figureOf(geo, row));
  return {
    geo,
    /** Figures of a flow, method and unit, all periods, ascending. */
    series: rows,
    /** One figure, or one that says the table has none. */
    at: (flow, method, unit, [from, to]) => rows(flow, method,
      unit).find((f) => f.from === (flow === "stk" ? to : from) && f.to === to) || NO_FIGURE,
    moves: (method, [from, to]) => (moves[method] || []).filter((row) => row[2] === from && row[3] === to),
  };
}

const NO_FIGURE = { geo: "", value: null, low: null, high: null, coverage: null, flags: "", reason: "" };

/** Words about a figure: why it is missing, or what its flags mean. */
export function remarks(figure) {
  if (figure.value === null) return [figure.reason ? facts.reasons[figure.reason] : figure.coverage === null ? t("Not in the table") : t("No figure")];
  const words = [...figure.flags].map((flag) => (facts.flags[flag] || [flag])[0]);
  if (figure.coverage !== null && figure.coverage < facts.coverageMin) words.push(t("too little seen"));
  return words;
}

/** Name of a region, with its code where another region has the same name. */
export function label(geo) {
  const { name } = regions.get(geo);
  return nameRows.filter((row) => row[1] === name).length > 1 ? `${name} ${geo}` : name;
}
