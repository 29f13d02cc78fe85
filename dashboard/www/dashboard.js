// The map and the lists. The state of the page is one short query: it is in the address, requests the figures of the map,
// and goes to the server. All text is set as textContent, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const MAX_REGIONS = 5; // the same number as in state.py
const byId = (id) => document.getElementById(id);
const digest = document.querySelector('meta[name="table-digest"]').content;
const selects = [...document.querySelectorAll("select[data-query]")];
const svg = byId("map"), slider = byId("year"), tooltip = byId("tooltip"), keep = byId("keep"), beside = byId("beside");

const names = new Map(); // code -> {name, level}
const cubes = new Map(), maps = new Map(); // address -> promise
let cube = null; // the figures of the map
let shapes = new Map(); // code -> outline, of the level shown
let periodIndex = 0; // index of the period shown
let year = null; // year that the user chose; kept where a measure does not have it
let chosen = []; // codes of the chosen regions
let order = "desc";
let view = null, whole = null; // visible part and whole of the drawing: {x, y, w, h}
let timer = null;
let dragged = false, drag = null; // a drag of the map, and whether it moved the map
let hovered = null; // code of the region in the tooltip

function makeSvg(name, attributes = {}, parent = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (parent) parent.append(node);
  return node;
}

function addText(tag, text, className, parent) {
  const node = document.createElement(tag);
  node.textContent = text;
  if (className) node.className = className;
  if (parent) parent.append(node);
  return node;
}

// ---- state

function measureQuery() {
  return selects.map((s) => `${s.dataset.query}=${s.value}`).join("&");
}

function query() {
  const parts = [measureQuery(), `y=${year}`, `g=${chosen.join(",")}`];
  if (!beside.checked) parts.push("r=0");
  if (order !== "desc") parts.push(`o=${order}`);
  return parts.join("&");
}

function sendState() {
  const text = query();
  history.replaceState(null, "", `?${text}`);
  window.Shiny.setInputValue("query", text);
}

async function load(address, store) {
  if (!store.has(address)) {
    const answer = fetch(address).then((r) => (r.ok ? r.json() : Promise.reject(new Error(`${address}: ${r.status}`))));
    answer.catch(() => store.delete(address));
    store.set(address, answer);
  }
  return store.get(address);
}

let requests = 0;
async function refresh() {
  const request = ++requests;
  const level = selects.find((s) => s.dataset.query === "l").value;
  svg.parentElement.setAttribute("aria-busy", "true");
  sendState();
  try {
    const [shape, next] = await Promise.all([
      load(`api/v1/map/${level}.json?v=${digest}`, maps),
      load(`api/v1/cube.json?${measureQuery()}&v=${digest}`, cubes),
    ]);
    if (request !== requests) return; // the user has chosen something else since
    if (svg.dataset.level !== level) drawShapes(shape, level);
    cube = next;
    setPeriods();
    if (!cube.periods.length) return showEmpty("No figures for this choice. Try another measure, unit or method.");
    drawLegend();
    paint();
  } catch (error) {
    if (request === requests) showEmpty("The figures could not be loaded. Check the connection and choose again.");
    console.error(error);
  } finally {
    if (request === requests) svg.parentElement.removeAttribute("aria-busy");
  }
}

// ---- drawing

function drawShapes(shape, level) {
  const first = !whole;
  svg.replaceChildren();
  const defs = makeSvg("defs", {}, svg);
  for (const [id, back] of [["hatch-none", true], ["hatch-low", false]]) {
    const pattern = makeSvg("pattern", { id, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, defs);
    if (back) makeSvg("rect", { width: 7, height: 7, class: "hatch-back" }, pattern);
    makeSvg("line", { x1: 0, y1: 0, x2: 0, y2: 7, class: "hatch-line" }, pattern);
  }
  for (const box of shape.insets) makeSvg("rect", { x: box.x, y: box.y, width: box.w, height: box.h, class: "inset" }, svg);
  const layers = ["regions", "low", "circles", "outline"].map((name) => makeSvg("g", { class: name, id: `layer-${name}` }, svg));
  shapes = new Map();
  for (const region of shape.regions) {
    const path = makeSvg("path", { d: region.d, "data-geo": region.geo }, layers[0]);
    shapes.set(region.geo, { ...region, path });
  }
  svg.classList.toggle("dense", shapes.size > 300);
  whole = { x: 0, y: 0, w: shape.width, h: shape.height };
  svg.dataset.level = level;
  svg.style.aspectRatio = `${shape.width} / ${shape.height}`;
  if (first || !view) setView(whole);
  else setView(view);
}

function setView(part) {
  view = part;
  svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${view.h}`);
  byId("zoom-out").disabled = byId("zoom-all").disabled = view.w >= whole.w;
  byId("zoom-in").disabled = view.w <= whole.w / 30;
  const scale = unitsPerPixel();
  for (const pattern of svg.querySelectorAll("pattern")) pattern.setAttribute("patternTransform", `rotate(45) scale(${scale})`);
  sizeCircles();
}

function zoom(factor, cx = view.x + view.w / 2, cy = view.y + view.h / 2) {
  const w = Math.min(whole.w, Math.max(whole.w / 30, view.w * factor)), h = (w * whole.h) / whole.w;
  const x = cx - ((cx - view.x) * w) / view.w, y = cy - ((cy - view.y) * h) / view.h;
  setView(clamp({ x, y, w, h }));
}

function clamp({ x, y, w, h }) {
  return { x: Math.min(Math.max(x, 0), whole.w - w), y: Math.min(Math.max(y, 0), whole.h - h), w, h };
}

function unitsPerPixel() {
  const width = svg.getBoundingClientRect().width;
  return width ? view.w / width : 1;
}

function classOf(value) {
  let i = 0;
  while (i < cube.breaks.length && value >= cube.breaks[i]) i += 1;
  return cube.colours[i];
}

function paint() {
  const period = cube.periods[periodIndex];
  const values = cube.value[periodIndex], coverage = cube.coverage[periodIndex];
  const low = byId("layer-low"), circles = byId("layer-circles");
  low.replaceChildren();
  circles.replaceChildren();
  svg.dataset.palette = cube.palette;
  const seen = new Set();
  const drawn = [];
  cube.geos.forEach((geo, i) => {
    const shape = shapes.get(geo);
    if (!shape) return;
    seen.add(geo);
    const value = values[i];
    if (value === null) {
      shape.path.setAttribute("class", "none");
      return;
    }
    shape.path.setAttribute("class", cube.kind === "classes" ? `c${classOf(value)}` : "ground");
    if (coverage[i] !== null && coverage[i] < cube.coverageMin) makeSvg("path", { d: shape.d, class: "low" }, low);
    if (cube.kind === "circles") drawn.push([geo, value, shape]);
  });
  for (const [geo, shape] of shapes) if (!seen.has(geo)) shape.path.setAttribute("class", "none");
  drawn.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  for (const [geo, value, shape] of drawn) {
    makeSvg("circle", { cx: shape.x, cy: shape.y, "data-geo": geo, "data-size": value, class: value < 0 ? "minus" : "plus" }, circles);
  }
  sizeCircles();
  markChosen();
  if (!tooltip.hidden) fillTooltip(hovered);
  byId("map-title").textContent = `${cube.title}, ${cube.unitPhrase}, ${period.title}`;
  byId("map-method").textContent = `Method: ${cube.method.charAt(0).toLowerCase()}${cube.method.slice(1)}`;
  slider.setAttribute("aria-valuetext", period.title);
  [...byId("year-labels").children].forEach((node, i) => node.classList.toggle("now", i === periodIndex));
}

function largestCircle() {
  const box = svg.getBoundingClientRect();
  const room = Math.sqrt((box.width * box.height) / Math.max(shapes.size, 1));
  return Math.min(26, Math.max(7, room * 0.4));
}

function sizeCircles() {
  if (!cube || cube.kind !== "circles") return;
  const scale = unitsPerPixel(), top = largestCircle();
  for (const circle of svg.querySelectorAll("circle[data-size]")) {
    circle.setAttribute("r", Math.max(top * Math.sqrt(Math.abs(circle.dataset.size) / (cube.max || 1)), 0.8) * scale);
  }
}

function markChosen() {
  const layer = byId("layer-outline");
  layer.replaceChildren();
  chosen.forEach((geo, slot) => {
    const shape = shapes.get(geo);
    if (shape) {
      makeSvg("path", { d: shape.d, class: "halo" }, layer);
      makeSvg("path", { d: shape.d, class: `ring s${slot}` }, layer);
    }
  });
}

function setPeriods() {
  const labels = byId("year-labels");
  labels.replaceChildren();
  slider.disabled = byId("play").disabled = cube.periods.length < 2;
  if (!cube.periods.length) return;
  byId("map-empty").hidden = true;
  svg.removeAttribute("hidden");
  periodIndex = cube.periods.reduce((best, p, i) => (Math.abs(p.year - year) <= Math.abs(cube.periods[best].year - year) ? i : best), 0);
  slider.max = cube.periods.length - 1;
  slider.value = periodIndex;
  // A label needs about 8 pixels for each letter and some space. Counted from the end, so that the last period has one.
  const wanted = cube.periods.length * (cube.periods[0].label.length * 8 + 12);
  const every = Math.ceil(wanted / (slider.getBoundingClientRect().width || wanted));
  cube.periods.forEach((p, i) => addText("span", (cube.periods.length - 1 - i) % every ? "" : p.label, "", labels));
}

function showEmpty(text) {
  byId("map-title").textContent = cube ? `${cube.title}, ${cube.unitPhrase}` : "Map";
  byId("map-empty").textContent = text;
  byId("map-empty").hidden = false;
  byId("legend").replaceChildren();
  svg.setAttribute("hidden", "");
}

function number(value) {
  const text = new Intl.NumberFormat("en-GB", { minimumFractionDigits: cube.decimals, maximumFractionDigits: cube.decimals })
    .format(Math.abs(value));
  const sign = /[1-9]/.test(text) ? (value < 0 ? "−" : cube.signed ? "+" : "") : "";
  return sign + text;
}

function drawLegend() {
  const box = byId("legend");
  box.replaceChildren();
  box.dataset.palette = cube.palette;
  addText("span", cube.unitPhrase, "legend-title", box);
  const item = (className, text, hatch) => {
    const entry = document.createElement("span");
    entry.className = "entry";
    const icon = makeSvg("svg", { class: `swatch ${className}`, viewBox: "0 0 22 14", "aria-hidden": "true" });
    makeSvg("rect", { x: 0.5, y: 0.5, width: 21, height: 13 }, icon);
    if (hatch) makeSvg("path", { d: "M1 8L8 1M3 13L15 1M10 13L21 2M17 13l4-4", class: "hatch-line" }, icon);
    entry.append(icon);
    addText("span", text, "", entry);
    box.append(entry);
  };
  if (cube.kind === "classes") cube.legend.forEach((text, i) => item(`c${cube.colours[i]}`, text));
  else {
    const top = largestCircle();
    for (const size of cube.circles) {
      const r = top * Math.sqrt(size / (cube.max || 1)), side = Math.ceil(2 * r + 2);
      const entry = document.createElement("span");
      entry.className = "entry";
      const icon = makeSvg("svg", { class: "circle", width: side, height: side, viewBox: `0 0 ${side} ${side}`, "aria-hidden": "true" });
      makeSvg("circle", { cx: side / 2, cy: side / 2, r, class: "plus" }, icon);
      entry.append(icon);
      addText("span", size.toLocaleString("en-GB", { maximumSignificantDigits: 3 }), "", entry);
      box.append(entry);
    }
    if (cube.signed) for (const [kind, text] of [["plus", "gain"], ["minus", "loss"]]) item(`solid ${kind}`, text);
  }
  const flat = (list) => list.some((column) => column.some((v) => v === null));
  if (flat(cube.value)) item("none", "no figure", true);
  const poor = cube.coverage.some((column, p) => column.some((v, i) => v !== null && v < cube.coverageMin && cube.value[p][i] !== null));
  if (poor) item("poor", `under ${Math.round(cube.coverageMin * 100)} % seen`, true);
}

// ---- choosing

function choose(geo, add) {
  if (!names.has(geo)) return;
  const before = chosen.includes(geo);
  if (add) {
    if (before) chosen = chosen.filter((g) => g !== geo);
    else if (chosen.length < MAX_REGIONS) chosen = [...chosen, geo];
    else return announce(`${MAX_REGIONS} regions are chosen already. Remove one before adding ${names.get(geo).name}.`);
  } else chosen = [geo];
  announce(`${names.get(geo).name} ${add && before ? "removed" : "chosen"}.`);
  showChosen();
  markChosen();
  sendState();
}

function announce(text) {
  byId("said").textContent = text;
}

const MARKS = ["M7 3.4a3.6 3.6 0 1 0 .01 0z", "M3.6 3.6h6.8v6.8h-6.8z", "M7 2.6l4.2 7.4h-8.4z", "M7 2.2l4.2 4.8-4.2 4.8-4.2-4.8z", "M7 11.4l4.2-7.4h-8.4z"];

function showChosen() {
  const list = byId("chosen");
  list.replaceChildren();
  list.hidden = !chosen.length;
  chosen.forEach((geo, slot) => {
    const entry = document.createElement("li");
    const icon = makeSvg("svg", { viewBox: "0 0 14 14", class: `key s${slot}`, "aria-hidden": "true" });
    makeSvg("path", { d: MARKS[slot] }, icon);
    entry.append(icon);
    addText("span", names.get(geo).name, "", entry);
    addText("span", geo, "code", entry);
    const button = addText("button", "×", "", entry);
    button.type = "button";
    button.dataset.remove = geo;
    button.setAttribute("aria-label", `Remove ${names.get(geo).name} (${geo})`);
    list.append(entry);
  });
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-geo], [data-remove], [data-order]");
  if (!target || dragged) return;
  if (target.dataset.remove) {
    choose(target.dataset.remove, true);
    byId("search").focus();
  } else if (target.dataset.order) {
    order = target.dataset.order;
    sendState();
  } else choose(target.dataset.geo, keep.checked || event.ctrlKey || event.metaKey || event.shiftKey);
});

byId("search").addEventListener("change", (event) => {
  const text = event.target.value.trim().toLowerCase();
  if (!text) return;
  const found = [...names].find(([geo]) => geo.toLowerCase() === text || text.endsWith(`(${geo.toLowerCase()})`))
    || [...names].find(([, region]) => region.name.toLowerCase() === text)
    || [...names].find(([, region]) => region.name.toLowerCase().startsWith(text));
  if (!found) return announce("No region has this name or code.");
  event.target.value = "";
  choose(found[0], keep.checked);
});

for (const control of selects) control.addEventListener("change", refresh);
beside.addEventListener("change", sendState);
keep.addEventListener("change", () => {
  if (!keep.checked && chosen.length > 1) {
    chosen = chosen.slice(0, 1);
    showChosen();
    markChosen();
    sendState();
  }
});

// ---- time

function showPeriod(index) {
  periodIndex = index;
  year = cube.periods[periodIndex].year;
  slider.value = periodIndex;
  paint();
  sendState();
}

slider.addEventListener("input", () => showPeriod(Number(slider.value)));

function stopPlaying() {
  clearInterval(timer);
  timer = null;
  byId("play").textContent = "Play";
  byId("play").setAttribute("aria-pressed", "false");
}

byId("play").addEventListener("click", () => {
  if (timer) return stopPlaying();
  if (periodIndex === cube.periods.length - 1) showPeriod(0);
  byId("play").textContent = "Pause";
  byId("play").setAttribute("aria-pressed", "true");
  timer = setInterval(() => (periodIndex < cube.periods.length - 1 ? showPeriod(periodIndex + 1) : stopPlaying()), 900);
});

// ---- tooltip, zoom and pan

function fillTooltip(geo) {
  const i = cube.geos.indexOf(geo), region = names.get(geo);
  tooltip.replaceChildren();
  addText("strong", region ? region.name : geo, "", tooltip);
  addText("span", geo, "code", tooltip);
  const value = i < 0 ? null : cube.value[periodIndex][i], coverage = i < 0 ? null : cube.coverage[periodIndex][i];
  addText("p", value === null ? "No figure" : `${number(value)} ${cube.unit}`, "value", tooltip);
  addText("p", `${cube.title}, ${cube.periods[periodIndex].title}`, "", tooltip);
  if (value !== null) {
    const low = cube.low && cube.low[periodIndex][i], high = cube.high && cube.high[periodIndex][i];
    const has = typeof low === "number" && typeof high === "number";
    addText("p", has ? `95 % interval: ${number(low)} to ${number(high)}` : "No 95 % interval", "", tooltip);
  }
  const poor = coverage !== null && coverage < cube.coverageMin ? ": not reliable" : "";
  addText("p", coverage === null ? "Not in the table" : `${Math.floor(coverage * 100)} % of the area seen${poor}`, "", tooltip);
  const flag = i < 0 ? "" : cube.flagWords[cube.flag[periodIndex][i]];
  if (flag) addText("p", `Note: ${flag}`, "", tooltip);
}

svg.addEventListener("pointermove", (event) => {
  if (drag) {
    const scale = unitsPerPixel();
    if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 4) dragged = true;
    if (dragged) setView(clamp({ ...drag.view, x: drag.view.x - (event.clientX - drag.x) * scale, y: drag.view.y - (event.clientY - drag.y) * scale }));
  }
  const target = event.target.closest("[data-geo]");
  if (!target || !cube || !cube.periods.length || dragged) return hideTooltip();
  if (hovered !== target.dataset.geo || tooltip.hidden) {
    hovered = target.dataset.geo;
    fillTooltip(hovered);
    tooltip.hidden = false;
  }
  const box = tooltip.getBoundingClientRect();
  const left = event.clientX + 16 + box.width > innerWidth ? event.clientX - box.width - 12 : event.clientX + 16;
  tooltip.style.left = `${Math.max(left, 4)}px`;
  tooltip.style.top = `${Math.min(event.clientY + 14, innerHeight - box.height - 4)}px`;
});

function hideTooltip() {
  tooltip.hidden = true;
}

svg.addEventListener("pointerleave", hideTooltip);
addEventListener("scroll", hideTooltip, { passive: true });
addEventListener("keydown", (event) => event.key === "Escape" && hideTooltip());
svg.addEventListener("pointerdown", (event) => {
  dragged = false;
  if (event.pointerType === "mouse" && view.w < whole.w) drag = { x: event.clientX, y: event.clientY, view };
});
addEventListener("pointerup", () => {
  drag = null;
  if (dragged) setTimeout(() => (dragged = false)); // the click at the end of a drag must not choose a region
});
svg.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return; // without these keys the wheel scrolls the page
  event.preventDefault();
  const box = svg.getBoundingClientRect(), scale = unitsPerPixel();
  zoom(event.deltaY < 0 ? 0.8 : 1.25, view.x + (event.clientX - box.left) * scale, view.y + (event.clientY - box.top) * scale);
}, { passive: false });
byId("zoom-in").addEventListener("click", () => zoom(0.6));
byId("zoom-out").addEventListener("click", () => zoom(1 / 0.6));
byId("zoom-all").addEventListener("click", () => setView(whole));

const narrow = matchMedia("(max-width: 640px)");
function sendWidth() {
  window.Shiny.setInputValue("narrow", narrow.matches);
}
narrow.addEventListener("change", sendWidth);
addEventListener("resize", () => {
  if (!cube || !cube.periods.length) return;
  setView(view);
  drawLegend();
});

// When the server renders a table again, its button loses the focus; give the focus to the new button.
let lastKey = null;
document.addEventListener("focusin", (event) => (lastKey = event.target.dataset ? event.target.dataset.key || null : null));
new MutationObserver(() => {
  if (!lastKey || document.activeElement !== document.body) return;
  const again = document.querySelector(`[data-key="${CSS.escape(lastKey)}"]`);
  if (again) again.focus({ preventScroll: true });
}).observe(document.querySelector("main"), { childList: true, subtree: true });

// ---- start

async function start() {
  const [list] = await Promise.all([load(`api/v1/names.json?v=${digest}`, maps), window.Shiny.initializedPromise]);
  const options = byId("regions");
  for (const [geo, name, level] of list) {
    names.set(geo, { name, level });
    const option = document.createElement("option");
    option.value = `${name} (${geo})`;
    options.append(option);
  }
  const state = JSON.parse(byId("state").textContent);
  ({ year, chosen, order } = state);
  sendWidth();
  showChosen();
  await refresh();
}

start();
