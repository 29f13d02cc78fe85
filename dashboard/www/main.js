// The page: its state is one short query, which is in the address. Region and time are drawn here; the lists also go to the server.

import { byId, h, replace, s } from "./dom.js";
import { periodTitle } from "./format.js";
import { rank, similar } from "./stats.js";
import { ChangedTableError, facts, loadMap, loadNames, loadRegion, loadSlice, regions } from "./data.js";
import { MapView, drawLegend, readout, summary } from "./map.js";
import { MARKS, showChart } from "./chart.js";
import { showRanking } from "./ranking.js";
import { showTiles } from "./tiles.js";
import { showChanges, showSpread } from "./more.js";
import { PeriodControl } from "./period.js";
import { searchBox } from "./searchbox.js";
import { t } from "./words.js";
import { fileName, picture, savePicture, sourceLine } from "./take.js";

const LISTS = { l: "level", c: "landcover", i: "lc_flow", u: "unit", d: "definition", m: "method" };
const start = new URLSearchParams(facts.query);
const list = (key) => byId(LISTS[key]);
const state = {
  period: [Number(start.get("f") || start.get("y")), Number(start.get("y"))],
  isShortest: !start.has("f"), // without a choice, the shortest flow to the year
  chosen: (start.get("g") || "").split(",").filter(Boolean),
  order: start.get("o") || "desc",
  shown: start.get("s") || "v",
};
const narrow = matchMedia("(max-width: 640px)");
const tooltip = byId("tooltip");
let slice = null;

const measure = () => Object.fromEntries(Object.keys(LISTS).filter((key) => key !== "l").map((key) => [key, list(key).value]));
const level = () => Number(list("l").value);
const title = () => `${slice.title}, ${slice.unitPhrase}`;
const titleWithPeriod = () => `${title()}, ${periodTitle(slice.period)}`;

// ---- address

function query() {
  const parts = Object.keys(LISTS).map((key) => `${key}=${list(key).value}`);
  parts.push(`y=${state.period[1]}`);
  if (!state.isShortest && state.period[0] !== state.period[1]) parts.push(`f=${state.period[0]}`);
  parts.push(`g=${state.chosen.join(",")}`);
  if (byId("beside").checked) parts.push("r=1");
  if (state.order !== "desc") parts.push(`o=${state.order}`);
  if (state.shown !== "v") parts.push(`s=${state.shown}`);
  if (start.has("lang")) parts.push(`lang=${start.get("lang")}`);
  return parts.join("&");
}

/** Write the state into the address: a new entry for another region or measure, so that Back returns to it. */
function writeAddress(isStep) {
  const text = `?${query()}${document.body.classList.contains("embed") ? "&embed=1" : ""}`;
  if (text === location.search) return;
  history[isStep ? "pushState" : "replaceState"](null, "", text);
}

addEventListener("popstate", () => location.reload());

// The links to the other languages keep what the reader looks at.
byId("languages").addEventListener("click", ({ target }) => {
  if (target.hreflang) target.href = `?${query().replace(/&lang=.*$/, "")}&lang=${target.hreflang}`;
});

function notice(text, canReload) {
  const box = byId("notice");
  box.hidden = !text;
  const reload = h("button", { type: "button" }, t("Load again"));
  reload.addEventListener("click", () => location.reload());
  const close = h("button", { type: "button", "aria-label": t("Close this message") }, "×");
  close.addEventListener("click", () => (box.hidden = true));
  replace(box, h("span", {}, text), canReload ? reload : close);
}

function failed(error) {
  if (error instanceof ChangedTableError) return notice(t("The server has another table now. Load the page again to see its figures."), true);
  console.info(error.message);
  return notice(t("The figures could not be loaded. What is shown stays as it is. Check the connection and choose again."));
}

// ---- drawing

const view = new MapView(byId("map"), { onChoose: (geo, add) => choose(geo, add || byId("keep").checked), onPoint: point });
byId("map").addEventListener("viewchange", ({ detail }) => {
  byId("zoom-out").disabled = byId("zoom-all").disabled = !detail.isZoomed;
  byId("zoom-in").disabled = detail.isClosest;
});
const periods = new PeriodControl((period) => {
  state.period = period;
  state.isShortest = !slice || slice.steps.some((p) => p.join() === period.join());
  writeAddress(false);
  refresh();
});

let requests = 0;
/** Load what the state needs; draw the map at once, and the rest in the next frame. Answers that came too late are left. */
async function refresh() {
  const request = ++requests, now = { level: level(), measure: measure() };
  const box = byId("map").parentElement;
  box.setAttribute("aria-busy", "true");
  try {
    const regional = Promise.all(state.chosen.map((geo) => loadRegion(geo, now.measure)));
    regional.catch(() => null); // awaited below, after the map
    const [drawing, next] = await Promise.all([
      loadMap(now.level), loadSlice(now.measure, now.level, state.isShortest ? [state.period[1], state.period[1]] : state.period),
    ]);
    if (request !== requests) return;
    slice = next;
    if (byId("map").dataset.level !== String(now.level)) view.draw(drawing, now.level);
    if (slice.period) state.period = slice.period;
    drawMap();
    const data = await regional;
    await new Promise(requestAnimationFrame);
    if (request !== requests) return;
    drawRest(now, data);
    prefetch(now, request);
  } catch (error) {
    if (request === requests) failed(error);
  } finally {
    if (request === requests) box.removeAttribute("aria-busy");
  }
}

function drawMap() {
  const isEmpty = !slice.period;
  byId("map-empty").hidden = !isEmpty;
  byId("map-empty").textContent = isEmpty ? t("No figures for this choice. Try another measure, unit or method.") : "";
  byId("map").toggleAttribute("hidden", isEmpty);
  byId("legend").hidden = isEmpty;
  if (!isEmpty) {
    view.paint(slice, state.shown);
    view.mark(state.chosen);
  }
  byId("map-title").textContent = isEmpty ? title() : titleWithPeriod();
  byId("map-method").textContent = t("Method: {method}", { method: facts.methods[measure().m].inSentence });
  document.title = `${byId("map-title").textContent} · ${facts.title}`;
  periods.set(slice.periods, slice.period);
}

function drawRest(now, data) {
  if (slice.period) {
    drawLegend(byId("legend"), view, slice, state.shown);
    byId("summary").textContent = summary(slice, now.level, rank(slice.figures, "desc"));
    if (view.cursor) point(view.cursor);
    showRanking(byId("ranking"), slice, now.level, slice.period, { order: state.order, chosen: state.chosen, title: titleWithPeriod() });
    showSpread(byId("spread"), slice, now.level, state.chosen, titleWithPeriod(), narrow.matches);
  } else {
    replace(byId("ranking"), h("h2", {}, title()), h("p", { class: "empty" }, t("There are no figures to rank.")));
    replace(byId("spread"));
    byId("summary").textContent = "";
  }
  showChosen();
  showTiles(byId("tiles"), data, now.measure, state.period, query());
  showChart(byId("chart"), byId("figures"), data, now.measure, state.period,
    { second: byId("beside").checked ? secondMethod(now.measure.m) : null, narrow: narrow.matches });
  showChanges(byId("changes"), data[0], now.measure, state.period);
}

/** The method to draw beside: that of the cells seen, or the headline where that one is chosen. */
function secondMethod(method) {
  const seen = Object.keys(facts.methods).find((key) => facts.methods[key].seen);
  return [seen, facts.headline].find((key) => key && key !== method) || null;
}

/** Load the other periods of the series while nothing else is to do; then a change of the year needs no connection. */
async function prefetch(now, request) {
  const others = !slice.period ? [] : slice.periods.filter((p) => p[1] - p[0] === slice.period[1] - slice.period[0]);
  for (const period of others.sort((a, b) => Math.abs(a[1] - slice.period[1]) - Math.abs(b[1] - slice.period[1]))) {
    if (request !== requests) return;
    const isStep = slice.steps.some((p) => p.join() === period.join());
    try {
      await loadSlice(now.measure, now.level, isStep ? [period[1], period[1]] : period);
    } catch {
      return; // the reader has not asked for it
    }
  }
  document.body.dataset.ready = String(others.length);
}

// ---- regions

function announce(text) {
  byId("said").textContent = text;
}

function setChosen(chosen) {
  state.chosen = chosen;
  sendRegions();
  writeAddress(true);
  refresh();
}

function choose(geo, add) {
  if (!regions.has(geo)) return;
  const { name } = regions.get(geo), before = state.chosen.includes(geo);
  if (add && !before && state.chosen.length >= facts.maxRegions) {
    return announce(t("{count} regions are chosen already. Remove one before adding {name}.", { count: facts.maxRegions, name }));
  }
  announce(t(add && before ? "{name} removed." : "{name} chosen.", { name }));
  if (add) setChosen(before ? state.chosen.filter((one) => one !== geo) : [...state.chosen, geo]);
  else setChosen([geo]);
}

function showChosen() {
  const box = byId("chosen");
  box.hidden = !state.chosen.length;
  document.body.classList.toggle("no-region", !state.chosen.length);
  replace(box, state.chosen.map((geo, slot) => h("li", {}, s("svg", { viewBox: "-7 -7 14 14", class: "key", "aria-hidden": "true" },
    s("path", { d: MARKS[slot], class: `s${slot}` })),
    h("span", {}, regions.get(geo).name), h("span", { class: "code" }, geo),
    h("button", { type: "button", "data-remove": geo, "data-key": `remove-${geo}`,
      "aria-label": t("Remove {name} ({geo})", { name: regions.get(geo).name, geo }) }, "×"))));
  const first = regions.get(state.chosen[0]);
  const offers = [];
  if (first) {
    const parent = regions.get(first.parent), country = regions.get(first.country);
    if (parent) offers.push([parent.geo, parent.name]);
    if (country && country !== parent && country !== first) offers.push([country.geo, country.name]);
    if (slice.period) for (const geo of similar(slice.figures, first.geo, 3)) offers.push([geo, t("{name} (similar)", { name: regions.get(geo).name })]);
  }
  const open = offers.filter(([geo]) => !state.chosen.includes(geo));
  replace(byId("beside-regions"), open.length && state.chosen.length < facts.maxRegions ? [h("span", { class: "soft" }, `${t("Compare with:")} `),
    open.map(([geo, text]) => h("button", { type: "button", "data-add": geo, "data-key": `add-${geo}` }, text))] : null);
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("#ranking [data-geo], [data-remove], [data-order], [data-add]");
  if (!target) return;
  if (target.dataset.remove) {
    choose(target.dataset.remove, true);
    byId("search").focus();
  } else if (target.dataset.add) {
    byId("keep").checked = true;
    choose(target.dataset.add, true);
  } else if (target.dataset.order) {
    state.order = target.dataset.order;
    writeAddress(false);
    refresh();
  } else choose(target.dataset.geo, byId("keep").checked || event.ctrlKey || event.metaKey || event.shiftKey);
});

byId("keep").addEventListener("change", () => {
  if (!byId("keep").checked && state.chosen.length > 1) setChosen(state.chosen.slice(0, 1));
});
byId("beside").addEventListener("change", () => {
  writeAddress(false);
  refresh();
});

// ---- readout and tooltip

function point(geo, event) {
  tooltip.hidden = !geo || !slice || !slice.period;
  if (tooltip.hidden) {
    if (!geo && !view.cursor) byId("readout").textContent = "";
    return;
  }
  const { name } = regions.get(geo), text = readout(slice, geo);
  byId("readout").textContent = event ? "" : `${name}: ${text}.`;
  tooltip.hidden = !event;
  if (!event) return;
  replace(tooltip, h("strong", {}, name), h("span", { class: "code" }, ` ${geo}`), h("p", {}, titleWithPeriod()),
    text.split("; ").map((part, i) => h("p", { class: i ? null : "value" }, part)));
  const box = tooltip.getBoundingClientRect();
  tooltip.style.left = `${Math.max(4, event.clientX + 16 + box.width > innerWidth ? event.clientX - box.width - 12 : event.clientX + 16)}px`;
  tooltip.style.top = `${Math.min(event.clientY + 14, innerHeight - box.height - 4)}px`;
}
addEventListener("scroll", () => (tooltip.hidden = true), { passive: true });
addEventListener("keydown", (event) => event.key === "Escape" && (tooltip.hidden = true));

// ---- lists

/** Offer the units that the measure has; where the chosen one is not among them, per cent. */
function offerUnits() {
  const units = facts.units[list("i").value];
  for (const option of list("u").options) {
    option.hidden = option.disabled = !(option.value in units) || (option.value === "hab" && list("c").value !== "imp");
    if (units[option.value]) option.textContent = units[option.value];
  }
  if (list("u").selectedOptions[0].disabled) list("u").value = "pc";
}

function sendRegions() {
  if (window.Shiny && window.Shiny.setInputValue) window.Shiny.setInputValue("regions", state.chosen.join(","));
}

for (const key of Object.keys(LISTS)) {
  list(key).addEventListener("change", () => {
    offerUnits();
    if (key === "i" || key === "m") state.isShortest = state.isShortest || list("i").value === "stk";
    writeAddress(true);
    refresh();
  });
}
byId("shown").addEventListener("change", () => {
  state.shown = byId("shown").value;
  writeAddress(false);
  refresh();
});
byId("filters").addEventListener("click", () => {
  const isOpen = byId("filters").getAttribute("aria-expanded") !== "true";
  byId("filters").setAttribute("aria-expanded", String(isOpen));
  byId("lists").classList.toggle("open", isOpen);
});

// ---- take away

for (const kind of ["png", "svg"]) {
  byId(`map-${kind}`).addEventListener("click", () => savePicture(picture(titleWithPeriod(), byId("map"), byId("legend"), sourceLine()),
    fileName(t("map"), titleWithPeriod()), kind));
  byId(`chart-${kind}`).addEventListener("click", () => {
    const drawing = byId("chart").querySelector("svg");
    if (!drawing) return;
    const names = state.chosen.map((geo) => regions.get(geo).name).join(", ");
    const heading = `${byId("chart").querySelector("h3").textContent}: ${names}`;
    savePicture(picture(heading, drawing, null, sourceLine()), fileName(t("chart"), title(), ...state.chosen), kind);
  });
}
byId("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(location.href);
  announce(t("The link is copied."));
  byId("copy").textContent = t("Link copied");
});

// ---- start

byId("zoom-in").addEventListener("click", () => view.zoom(0.6));
byId("zoom-out").addEventListener("click", () => view.zoom(1 / 0.6));
byId("zoom-all").addEventListener("click", () => view.showAll());
narrow.addEventListener("change", refresh);
addEventListener("resize", () => slice && slice.period && drawLegend(byId("legend"), view, slice, state.shown));

async function begin() {
  try {
    await loadNames();
  } catch (error) {
    return failed(error);
  }
  offerUnits();
  searchBox({ level, onChoose: (geo) => choose(geo, byId("keep").checked) });
  if (facts.unknown.length) notice(t("A part of this link is not in the table and was left out: {parts}.", { parts: facts.unknown.join(", ") }));
  await refresh();
  writeAddress(false); // a link without all parts would show something else when the table is newer
  if (window.Shiny) {
    await window.Shiny.initializedPromise;
    window.Shiny.setInputValue("language", document.documentElement.lang);
    sendRegions();
    window.jQuery(document).on("shiny:disconnected",
      () => notice(t("The connection to the server is lost. Figures that are loaded can still be shown."), true));
  }
}

begin();
