// The map and the controls. State is one short query: it stands in the address, asks for the cube, and goes to the server.
// All text is set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const MAX_REGIONS = 5;
const byId = (id) => document.getElementById(id);
const digest = document.querySelector('meta[name="table-digest"]').content;
const selects = [...document.querySelectorAll("select[data-query]")];
const svg = byId("map"), slider = byId("year"), tooltip = byId("tooltip"), keep = byId("keep"), beside = byId("beside");

const names = new Map(); // code -> {name, level}
const cubes = new Map(), maps = new Map(); // address -> promise
let cube = null; // what is painted now
let shapes = new Map(); // code -> path of the level shown
let at = 0; // period shown
let year = null; // the year the reader chose; kept where a measure lacks it
let chosen = []; // codes
let order = "desc";
let view = null, whole = null; // windows of the drawing: {x, y, w, h}
let timer = null;
let moved = false, drag = null; // a drag of the map, and whether it went anywhere
let told = null; // region of the tooltip

function make(name, attributes = {}, parent = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (parent) parent.append(node);
  return node;
}

function tell(tag, text, className, parent) {
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

function share() {
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

let asked = 0;
async function refresh() {
  const turn = ++asked;
  const level = selects.find((s) => s.dataset.query === "l").value;
  svg.parentElement.setAttribute("aria-busy", "true");
  share();
  try {
    const [shape, next] = await Promise.all([
      load(`api/v1/map/${level}.json?v=${digest}`, maps),
      load(`api/v1/cube.json?${measureQuery()}&v=${digest}`, cubes),
    ]);
    if (turn !== asked) return; // a later choice is under way
    if (svg.dataset.level !== level) drawShapes(shape, level);
    cube = next;
    setPeriods();
    if (!cube.periods.length) return showEmpty("No figures for this choice. Try another measure, unit or method.");
    drawLegend();
    paint();
  } catch (error) {
    if (turn === asked) showEmpty("The figures could not be loaded. Check the connection and choose again.");
    console.error(error);
  } finally {
    if (turn === asked) svg.parentElement.removeAttribute("aria-busy");
  }
}

// ---- drawing

function drawShapes(shape, level) {
  const first = !whole;
  svg.replaceChildren();
  const defs = make("defs", {}, svg);
  for (const [id, back] of [["hatch-none", true], ["hatch-low", false]]) {
    const pattern = make("pattern", { id, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, defs);
    if (back) make("rect", { width: 7, height: 7, class: "hatch-back" }, pattern);
    make("line", { x1: 0, y1: 0, x2: 0, y2: 7, class: "hatch-line" }, pattern);
  }
  for (const box of shape.insets) make("rect", { x: box.x, y: box.y, width: box.w, height: box.h, class: "inset" }, svg);
  const layers = ["regions", "low", "circles", "outline"].map((name) => make("g", { class: name, id: `layer-${name}` }, svg));
  shapes = new Map();
  for (const region of shape.regions) {
    const path = make("path", { d: region.d, "data-geo": region.geo }, layers[0]);
    shapes.set(region.geo, { ...region, path });
  }
  svg.classList.toggle("dense", shapes.size > 300);
  whole = { x: 0, y: 0, w: shape.width, h: shape.height };
  svg.dataset.level = level;
  svg.style.aspectRatio = `${shape.width} / ${shape.height}`;
  if (first || !view) look(whole);
  else look(view);
}

function look(window) {
  view = window;
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
  look(clamp({ x, y, w, h }));
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
  const period = cube.periods[at];
  const values = cube.value[at], coverage = cube.coverage[at];
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
    if (coverage[i] !== null && coverage[i] < cube.coverageMin) make("path", { d: shape.d, class: "low" }, low);
    if (cube.kind === "circles") drawn.push([geo, value, shape]);
  });
  for (const [geo, shape] of shapes) if (!seen.has(geo)) shape.path.setAttribute("class", "none");
  drawn.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  for (const [geo, value, shape] of drawn) {
    make("circle", { cx: shape.x, cy: shape.y, "data-geo": geo, "data-size": value, class: value < 0 ? "minus" : "plus" }, circles);
  }
  sizeCircles();
  markChosen();
  if (!tooltip.hidden) describe(told);
  byId("map-title").textContent = `${cube.title}, ${cube.unitPhrase}, ${period.title}`;
  byId("map-method").textContent = `Method: ${cube.method.toLowerCase()}`;
  slider.setAttribute("aria-valuetext", period.title);
  [...byId("year-labels").children].forEach((node, i) => node.classList.toggle("now", i === at));
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
      make("path", { d: shape.d, class: "halo" }, layer);
      make("path", { d: shape.d, class: `ring s${slot}` }, layer);
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
  at = cube.periods.reduce((best, p, i) => (Math.abs(p.year - year) <= Math.abs(cube.periods[best].year - year) ? i : best), 0);
  slider.max = cube.periods.length - 1;
  slider.value = at;
  // About 8 pixels a letter and some air; the last label always stands.
  const wanted = cube.periods.length * (cube.periods[0].label.length * 8 + 12);
  const every = Math.ceil(wanted / (slider.getBoundingClientRect().width || wanted));
  cube.periods.forEach((p, i) => tell("span", (cube.periods.length - 1 - i) % every ? "" : p.label, "", labels));
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
  tell("span", cube.unitPhrase, "legend-title", box);
  const item = (className, text, hatch) => {
    const entry = document.createElement("span");
    entry.className = "entry";
    const icon = make("svg", { class: `swatch ${className}`, viewBox: "0 0 22 14", "aria-hidden": "true" });
    make("rect", { x: 0.5, y: 0.5, width: 21, height: 13 }, icon);
    if (hatch) make("path", { d: "M1 8L8 1M3 13L15 1M10 13L21 2M17 13l4-4", class: "hatch-line" }, icon);
    entry.append(icon);
    tell("span", text, "", entry);
    box.append(entry);
  };
  if (cube.kind === "classes") cube.legend.forEach((text, i) => item(`c${cube.colours[i]}`, text));
  else {
    const top = largestCircle();
    for (const size of cube.circles) {
      const r = top * Math.sqrt(size / (cube.max || 1)), side = Math.ceil(2 * r + 2);
      const entry = document.createElement("span");
      entry.className = "entry";
      const icon = make("svg", { class: "circle", width: side, height: side, viewBox: `0 0 ${side} ${side}`, "aria-hidden": "true" });
      make("circle", { cx: side / 2, cy: side / 2, r, class: "plus" }, icon);
      entry.append(icon);
      tell("span", size.toLocaleString("en-GB", { maximumSignificantDigits: 3 }), "", entry);
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
    else return say(`Five regions are chosen already. Remove one before adding ${names.get(geo).name}.`);
  } else chosen = [geo];
  say(`${names.get(geo).name} ${add && before ? "removed" : "chosen"}.`);
  showChosen();
  markChosen();
  share();
}

function say(text) {
  byId("said").textContent = text;
}

const MARKS = ["M7 3.4a3.6 3.6 0 1 0 .01 0z", "M3.6 3.6h6.8v6.8h-6.8z", "M7 2.6l4.2 7.4h-8.4z", "M7 2.2l4.2 4.8-4.2 4.8-4.2-4.8z", "M7 11.4l4.2-7.4h-8.4z"];

function showChosen() {
  const list = byId("chosen");
  list.replaceChildren();
  list.hidden = !chosen.length;
  chosen.forEach((geo, slot) => {
    const entry = document.createElement("li");
    const icon = make("svg", { viewBox: "0 0 14 14", class: `key s${slot}`, "aria-hidden": "true" });
    make("path", { d: MARKS[slot] }, icon);
    entry.append(icon);
    tell("span", names.get(geo).name, "", entry);
    tell("span", geo, "code", entry);
    const button = tell("button", "×", "", entry);
    button.type = "button";
    button.dataset.remove = geo;
    button.setAttribute("aria-label", `Remove ${names.get(geo).name} (${geo})`);
    list.append(entry);
  });
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-geo], [data-remove], [data-order]");
  if (!target || moved) return;
  if (target.dataset.remove) {
    choose(target.dataset.remove, true);
    byId("search").focus();
  } else if (target.dataset.order) {
    order = target.dataset.order;
    share();
  } else choose(target.dataset.geo, keep.checked || event.ctrlKey || event.metaKey || event.shiftKey);
});

byId("search").addEventListener("change", (event) => {
  const text = event.target.value.trim().toLowerCase();
  if (!text) return;
  const found = [...names].find(([geo]) => geo.toLowerCase() === text || text.endsWith(`(${geo.toLowerCase()})`))
    || [...names].find(([, region]) => region.name.toLowerCase() === text)
    || [...names].find(([, region]) => region.name.toLowerCase().startsWith(text));
  if (!found) return say("No region has this name or code.");
  event.target.value = "";
  choose(found[0], keep.checked);
});

for (const control of selects) control.addEventListener("change", refresh);
beside.addEventListener("change", share);
keep.addEventListener("change", () => {
  if (!keep.checked && chosen.length > 1) {
    chosen = chosen.slice(0, 1);
    showChosen();
    markChosen();
    share();
  }
});

// ---- time

function go(index) {
  at = index;
  year = cube.periods[at].year;
  slider.value = at;
  paint();
  share();
}

slider.addEventListener("input", () => go(Number(slider.value)));

function stop() {
  clearInterval(timer);
  timer = null;
  byId("play").textContent = "Play";
  byId("play").setAttribute("aria-pressed", "false");
}

byId("play").addEventListener("click", () => {
  if (timer) return stop();
  if (at === cube.periods.length - 1) go(0);
  byId("play").textContent = "Pause";
  byId("play").setAttribute("aria-pressed", "true");
  timer = setInterval(() => (at < cube.periods.length - 1 ? go(at + 1) : stop()), 900);
});

// ---- tooltip, zoom and pan

function describe(geo) {
  const i = cube.geos.indexOf(geo), region = names.get(geo);
  tooltip.replaceChildren();
  tell("strong", region ? region.name : geo, "", tooltip);
  tell("span", geo, "code", tooltip);
  const value = i < 0 ? null : cube.value[at][i], coverage = i < 0 ? null : cube.coverage[at][i];
  tell("p", value === null ? "No figure" : `${number(value)} ${cube.unit}`, "value", tooltip);
  tell("p", `${cube.title}, ${cube.periods[at].title}`, "", tooltip);
  if (value !== null) {
    const low = cube.low && cube.low[at][i], high = cube.high && cube.high[at][i];
    const has = typeof low === "number" && typeof high === "number";
    tell("p", has ? `95 % interval: ${number(low)} to ${number(high)}` : "No 95 % interval", "", tooltip);
  }
  const poor = coverage !== null && coverage < cube.coverageMin ? ": too little to rely on" : "";
  tell("p", coverage === null ? "Not in the table" : `${Math.floor(coverage * 100)} % of the ground seen${poor}`, "", tooltip);
  const flag = i < 0 ? "" : cube.flagWords[cube.flag[at][i]];
  if (flag) tell("p", `Note: ${flag}`, "", tooltip);
}




svg.addEventListener("pointermove", (event) => {
  if (drag) {
    const scale = unitsPerPixel();
    if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 4) moved = true;
    if (moved) look(clamp({ ...drag.view, x: drag.view.x - (event.clientX - drag.x) * scale, y: drag.view.y - (event.clientY - drag.y) * scale }));
  }
  const target = event.target.closest("[data-geo]");
  if (!target || !cube || !cube.periods.length || moved) return hide();
  if (told !== target.dataset.geo || tooltip.hidden) {
    told = target.dataset.geo;
    describe(told);
    tooltip.hidden = false;
  }
  const box = tooltip.getBoundingClientRect();
  const left = event.clientX + 16 + box.width > innerWidth ? event.clientX - box.width - 12 : event.clientX + 16;
  tooltip.style.left = `${Math.max(left, 4)}px`;
  tooltip.style.top = `${Math.min(event.clientY + 14, innerHeight - box.height - 4)}px`;
});

function hide() {
  tooltip.hidden = true;
}

svg.addEventListener("pointerleave", hide);
addEventListener("scroll", hide, { passive: true });
addEventListener("keydown", (event) => event.key === "Escape" && hide());
svg.addEventListener("pointerdown", (event) => {
  moved = false;
  if (event.pointerType === "mouse" && view.w < whole.w) drag = { x: event.clientX, y: event.clientY, view };
});
addEventListener("pointerup", () => {
  drag = null;
  if (moved) setTimeout(() => (moved = false)); // the click that follows a drag chooses nothing
});
svg.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return; // the page keeps its own scrolling
  event.preventDefault();
  const box = svg.getBoundingClientRect(), scale = unitsPerPixel();
  zoom(event.deltaY < 0 ? 0.8 : 1.25, view.x + (event.clientX - box.left) * scale, view.y + (event.clientY - box.top) * scale);
}, { passive: false });
byId("zoom-in").addEventListener("click", () => zoom(0.6));
byId("zoom-out").addEventListener("click", () => zoom(1 / 0.6));
byId("zoom-all").addEventListener("click", () => look(whole));

const narrow = matchMedia("(max-width: 640px)");
function tellWidth() {
  window.Shiny.setInputValue("narrow", narrow.matches);
}
narrow.addEventListener("change", tellWidth);
addEventListener("resize", () => {
  if (!cube || !cube.periods.length) return;
  look(view);
  drawLegend();
});

// A table that the server renders anew loses the focus; give it back to the same button.
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
  tellWidth();
  showChosen();
  await refresh();
}

start();
