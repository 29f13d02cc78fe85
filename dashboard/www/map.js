// The map: shapes of a level, painted by the figures of a period. Zoom, drag, pinch, keys.

import { h, replace, s } from "./dom.js";
import { decimalsFor, interval, number, ticks, withUnit } from "./format.js";
import { classOf, reliability } from "./stats.js";
import { digits, t, within } from "./words.js";
import { codesOf, facts, regions, remarks } from "./data.js";

const CLASSES = 8, MAX_ZOOM = 30, LABEL_PX = 11;
const LAYERS = ["land", "inset", "regions", "borders", "circles", "outline", "names"];

/** What the map shows of a figure: the value, a limit of its interval, or the width of the interval. */
function shownValue(figure, shown) {
  if (shown === "v" || figure.value === null) return figure.value;
  if (figure.low === null) return null;
  return { lo: figure.low, hi: figure.high, wi: figure.high - figure.low }[shown];
}

/** Limits and colours of the classes for what is shown; those of a width are even, for it has no limits of its own. */
function classesOf(slice, shown) {
  if (shown !== "wi") return { limits: slice.limits, colours: slice.colours, palette: slice.palette };
  const widths = slice.figures.map((f) => shownValue(f, "wi")).filter((w) => w !== null);
  const limits = widths.length ? ticks(0, Math.max(...widths), 4).slice(1, -1) : [];
  return { limits, colours: limits.map((_, i) => i).concat(limits.length), palette: "width" };
}

/** A sentence about one region: value, interval, what it can tell. */
export function readout(slice, geo) {
  const figure = slice.byGeo.get(geo);
  const decimals = figure ? decimalsFor(figure) : 0;
  const parts = [withUnit(figure ? figure.value : null, decimals, slice.unit, slice.signed)];
  if (figure && figure.low !== null) parts.push(t("95 % interval {span}", { span: interval(figure, decimals) }));
  else if (figure && figure.value !== null) parts.push(t("no 95 % interval"));
  const kind = figure ? reliability(figure, facts.coverageMin, slice.signed) : "missing";
  if (kind === "unclear") parts.push(t("no clear change"));
  if (figure) parts.push(...remarks(figure).map(within));
  if (figure && figure.coverage !== null) parts.push(t("{share} % of the area seen", { share: figure.coverage }));
  return parts.join("; ");
}

function pattern(id, className, lines) {
  return s("pattern", { id, width: 7, height: 7, patternUnits: "userSpaceOnUse" }, s("rect", { width: 7, height: 7, class: className }),
    lines());
}

const hatch = () => s("line", { x1: 0, y1: 0, x2: 0, y2: 7, class: "hatch-line" });
const crossed = () => [hatch(), s("line", { x1: 0, y1: 0, x2: 7, y2: 0, class: "hatch-line" })];
const dots = () => [s("circle", { cx: 1.8, cy: 1.8, r: 1.1, class: "dot" }), s("circle", { cx: 5.3, cy: 5.3, r: 1.1, class: "dot" })];

/** The patterns: figures missing, unreliable (u) and unclear (n) of each colour. */
function patterns() {
  const names = [...Array(CLASSES).keys()].map((i) => `c${i}`).concat("plus", "minus");
  return s("defs", {}, pattern("p-none", "none-back", crossed),
    names.flatMap((name) => [pattern(`u-${name}`, name, hatch), pattern(`n-${name}`, name, dots)]));
}

export class MapView {
  constructor(svg, { onChoose, onPoint }) {
    Object.assign(this, { svg, onChoose, onPoint, shapes: new Map(), cursor: null, slice: null, shown: "v", chosen: [], pointers: new Map(),
      moved: false });
    svg.addEventListener("pointerdown", (event) => this.press(event));
    svg.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) addEventListener(name, (event) => this.release(event));
    svg.addEventListener("pointerleave", () => this.onPoint(null));
    svg.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    svg.addEventListener("keydown", (event) => this.key(event));
    svg.addEventListener("click", (event) => {
      const target = event.target.closest("[data-geo]");
      if (!target || this.moved) return;
      if (event.pointerType !== "mouse") this.onPoint(target.dataset.geo); // a finger cannot point without choosing
      this.onChoose(target.dataset.geo, event.ctrlKey || event.metaKey || event.shiftKey);
    });
    new ResizeObserver(() => {
      const { width, height } = this.svg.getBoundingClientRect();
      if (!this.whole || !width || (width === this.size.width && height === this.size.height)) return;
      const isWhole = this.view.w >= this.home().w * 0.999;
      this.fit();
      this.setView(isWhole ? this.home() : this.view);
    }).observe(svg);
  }

  draw(drawing, level) {
    const layers = Object.fromEntries(LAYERS.map((name) => [name, s("g", { class: name })]));
    this.layers = layers;
    this.shapes = new Map();
    for (const region of drawing.regions) {
      const path = s("path", { d: region.d, "data-geo": region.geo });
      layers.regions.append(path);
      this.shapes.set(region.geo, { ...region, path });
    }
    for (const d of drawing.ground) layers.land.append(s("path", { d }));
    for (const d of drawing.borders) layers.borders.append(s("path", { d }));
    for (const box of drawing.insets) {
      layers.inset.append(s("rect", { x: box.x, y: box.y, width: box.w, height: box.h }), s("text", { x: box.x + 8, y: box.y + 26 },
        box.short, s("title", {}, box.name)));
    }
    this.svg.replaceChildren(patterns(), ...LAYERS.map((name) => layers[name]));
    this.svg.classList.toggle("dense", this.shapes.size > 300);
    this.svg.dataset.level = level;
    this.circles = [];
    const first = !this.whole;
    this.whole = { w: drawing.width, h: drawing.height };
    this.cursor = null;
    this.fit();
    this.setView(first ? this.home() : this.view);
  }

  /** Give the panel the height of the drawing, within the limits of the style sheet: wide countries need no sea above and below. */
  fit() {
    const { width } = this.svg.getBoundingClientRect();
    if (width) this.svg.style.height = `${Math.round(((width * this.whole.h) / this.whole.w) * 1.04)}px`;
    // Measured here alone: after a repaint the browser would have to lay out all shapes first.
    this.size = this.svg.getBoundingClientRect();
  }

  // ---- painting

  paint(slice, shown) {
    Object.assign(this, { slice, shown });
    const { limits, colours, palette } = classesOf(slice, shown);
    this.svg.dataset.palette = palette;
    const circles = slice.kind === "circles" && shown !== "wi";
    const drawn = [];
    for (const [geo, shape] of this.shapes) {
      const figure = slice.byGeo.get(geo);
      const value = figure ? shownValue(figure, shown) : null;
      let name = "none";
      if (value !== null) {
        const kind = reliability(figure, facts.coverageMin, slice.signed);
        const mark = kind === "unreliable" ? " u" : kind === "unclear" ? " n" : "";
        if (circles) {
          name = "ground";
          drawn.push({ geo, value, mark, shape });
        } else name = `c${colours[classOf(value, limits)]}${mark}`;
      }
      if (shape.name !== name) shape.path.setAttribute("class", name);
      shape.name = name;
    }
    drawn.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
    this.circles = drawn;
    for (const { shape, value, mark, geo } of drawn) {
      shape.circle ||= s("circle", { cx: shape.x, cy: shape.y, "data-geo": geo });
      const name = `${value < 0 ? "minus" : "plus"}${mark}`;
      if (shape.circleName !== name) shape.circle.setAttribute("class", name);
      shape.circleName = name;
    }
    const layer = this.layers.circles, now = new Set(layer.children);
    if (now.size !== drawn.length || drawn.some(({ shape }) => !now.has(shape.circle))) {
      layer.replaceChildren(...drawn.map(({ shape }) => shape.circle));
    } else this.orderSoon();
    this.sizeCircles();
    // The names depend on the view, and on whether circles cover them; not on the figures.
    if (this.isNamed !== circles) this.nameSoon();
    this.isNamed = circles;
  }

  /** Put small circles above large ones in the next frame: moving a thousand elements takes as long as all the rest of a repaint. */
  orderSoon() {
    cancelAnimationFrame(this.ordering);
    this.ordering = requestAnimationFrame(() => {
      const layer = this.layers.circles, wanted = this.circles.map(({ shape }) => shape.circle);
      if (wanted.length === layer.childElementCount && wanted.some((one, i) => layer.children[i] !== one)) layer.replaceChildren(...wanted);
    });
  }

  largestCircle() {
    const box = this.size;
    return Math.min(26, Math.max(7, Math.sqrt((box.width * box.height) / Math.max(this.shapes.size, 1)) * 0.4));
  }

  sizeCircles() {
    if (!this.circles || !this.circles.length) return;
    const scale = this.unitsPerPixel(), top = this.largestCircle() / Math.sqrt((this.slice && this.slice.top) || 1);
    for (const { shape, value } of this.circles) {
      shape.circle.setAttribute("r", (Math.max(top * Math.sqrt(Math.abs(value)), 0.8) * scale).toFixed(1));
    }
  }

  mark(chosen) {
    this.chosen = chosen;
    const ring = (geo, name) => (this.shapes.has(geo) ? s("path", { d: this.shapes.get(geo).d, class: name }) : null);
    const rings = chosen.flatMap((geo, slot) => [ring(geo, "halo"), ring(geo, `ring s${slot}`)]);
    this.layers.outline.replaceChildren(...[...rings, this.cursor && ring(this.cursor, "cursor")].filter(Boolean));
  }

  // ---- view

  /** The whole drawing, widened to the form of the panel. */
  home() {
    const box = this.size, ratio = box.height ? box.width / box.height : 1;
    const w = Math.max(this.whole.w, this.whole.h * ratio), height = w / ratio;
    return { x: (this.whole.w - w) / 2, y: (this.whole.h - height) / 2, w, h: height };
  }

  unitsPerPixel() {
    const { width } = this.size;
    return width ? this.view.w / width : 1;
  }

  setView(view) {
    const home = this.home(), ratio = home.w / home.h;
    const w = Math.min(home.w, Math.max(home.w / MAX_ZOOM, view.w)), height = w / ratio;
    const x = Math.min(Math.max(view.x, home.x), home.x + home.w - w), y = Math.min(Math.max(view.y, home.y), home.y + home.h - height);
    this.view = { x, y, w, h: height };
    this.svg.setAttribute("viewBox", `${x} ${y} ${w} ${height}`);
    const isZoomed = w < home.w * 0.999;
    this.svg.classList.toggle("zoomed", isZoomed);
    this.svg.dispatchEvent(new CustomEvent("viewchange", { detail: { isZoomed, isClosest: w <= (home.w / MAX_ZOOM) * 1.001 } }));
    const scale = this.unitsPerPixel();
    for (const one of this.svg.querySelectorAll("pattern")) one.setAttribute("patternTransform", `rotate(45) scale(${scale})`);
    this.sizeCircles();
    this.nameSoon();
  }

  /** Write the names in the next frame: measuring the room for them makes the browser lay out the page. */
  nameSoon() {
    cancelAnimationFrame(this.naming);
    this.naming = requestAnimationFrame(() => this.nameRegions());
  }

  zoom(factor, cx = this.view.x + this.view.w / 2, cy = this.view.y + this.view.h / 2) {
    const { x, y, w, h: height } = this.view;
    this.setView({ x: cx - (cx - x) * factor, y: cy - (cy - y) * factor, w: w * factor, h: height * factor });
  }

  showAll() {
    this.setView(this.home());
  }

  /** Write the names of the regions that are wide enough for them. */
  nameRegions() {
    const scale = this.unitsPerPixel(), { x, y, w, h: height } = this.view;
    const names = [], taken = [];
    // Circles lie in the middle of their regions, where the names would cover them.
    const isCovered = this.layers.circles.childElementCount > 0 && !this.svg.classList.contains("zoomed");
    for (const [geo, shape] of isCovered ? [] : this.shapes) {
      if (shape.x < x || shape.x > x + w || shape.y < y || shape.y > y + height) continue;
      shape.box ||= shape.path.getBBox();
      const { name } = regions.get(geo);
      const half = (name.length * LABEL_PX * 0.62 * scale) / 2;
      const isFree = taken.every((one) => Math.abs(one.x - shape.x) > half + one.half || Math.abs(one.y - shape.y) > LABEL_PX * 1.2 * scale);
      if (isFree && shape.box.width > half * 1.8 && shape.box.height / scale > LABEL_PX * 2) {
        taken.push({ x: shape.x, y: shape.y, half });
        names.push(s("text", { x: shape.x, y: shape.y + 4 * scale, "font-size": LABEL_PX * scale, "stroke-width": 3 * scale }, name));
      }
    }
    this.layers.names.replaceChildren(...names);
  }

  // ---- pointer

  press(event) {
    if (!this.pointers.size) this.moved = false;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.start = { view: this.view, pointers: new Map(this.pointers) };
  }

  move(event) {
    if (this.pointers.has(event.pointerId)) {
      this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      this.drag();
    }
    const target = event.target.closest("[data-geo]");
    if (event.pointerType === "mouse") this.onPoint(target && !this.moved ? target.dataset.geo : null, event);
  }

  drag() {
    const scale = this.start.view.w / (this.size.width || 1);
    const before = [...this.start.pointers.values()], now = [...this.pointers.values()];
    const middle = (points) => ({ x: points.reduce((t, p) => t + p.x, 0) / points.length, y: points.reduce((t, p) => t + p.y,
      0) / points.length });
    const spread = (points) => (points.length > 1 ? Math.hypot(points[0].x - points[1].x, points[0].y - points[1].y) : 1);
    const a = middle(before), b = middle(now), factor = spread(before) / Math.max(spread(now), 1);
    if (Math.hypot(b.x - a.x, b.y - a.y) > 4 || Math.abs(factor - 1) > 0.02) this.moved = true;
    const isZoomed = this.svg.classList.contains("zoomed");
    if (!this.moved || (now.length < 2 && !isZoomed)) return;
    const box = this.svg.getBoundingClientRect(), { x, y, w, h: height } = this.start.view;
    const fx = x + (a.x - box.left) * scale, fy = y + (a.y - box.top) * scale; // the point of the drawing under the fingers
    this.setView({ x: fx - (b.x - box.left) * scale * factor, y: fy - (b.y - box.top) * scale * factor, w: w * factor,
      h: height * factor });
  }

  release(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    this.start = { view: this.view, pointers: new Map(this.pointers) };
    if (!this.pointers.size && this.moved) setTimeout(() => (this.moved = false)); // the click at the end of a drag chooses nothing
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return; // without these keys the wheel scrolls the page
    event.preventDefault();
    const box = this.svg.getBoundingClientRect(), scale = this.unitsPerPixel();
    this.zoom(event.deltaY < 0 ? 0.8 : 1.25, this.view.x + (event.clientX - box.left) * scale,
      this.view.y + (event.clientY - box.top) * scale);
  }

  // ---- keys

  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) this.step(way);
    else if (event.key === "PageDown") this.turn(1);
    else if (event.key === "PageUp") this.turn(-1);
    else if (event.key === "+" || event.key === "=") this.zoom(0.6);
    else if (event.key === "-") this.zoom(1 / 0.6);
    else if (event.key === "0") this.showAll();
    else if ((event.key === "Enter" || event.key === " ") && this.cursor) this.onChoose(this.cursor,
      event.ctrlKey || event.metaKey || event.shiftKey);
    else if (event.key === "Escape" && this.cursor) this.setCursor(null);
    else return;
    event.preventDefault();
  }

  /** Go to the nearest region in a direction. */
  step([dx, dy]) {
    const here = this.shapes.get(this.cursor) || this.shapes.get(this.chosen[0]);
    if (!here) return this.turn(1);
    let best = null;
    for (const one of this.shapes.values()) {
      const along = (one.x - here.x) * dx + (one.y - here.y) * dy,
        across = Math.abs((one.x - here.x) * dy) + Math.abs((one.y - here.y) * dx);
      if (one === here || along <= 0) continue;
      const cost = along + 2 * across;
      if (!best || cost < best.cost) best = { cost, geo: one.geo };
    }
    return best && this.setCursor(best.geo);
  }

  /** Go to the next or the previous region by code, so that every region can be reached. */
  turn(by) {
    const codes = [...this.shapes.keys()], at = codes.indexOf(this.cursor);
    if (codes.length) this.setCursor(codes[at < 0 ? 0 : (at + by + codes.length) % codes.length]);
  }

  setCursor(geo) {
    this.cursor = geo;
    this.mark(this.chosen);
    this.onPoint(geo);
    const shape = this.shapes.get(geo), { x, y, w, h: height } = this.view;
    if (shape && (shape.x < x || shape.x > x + w || shape.y < y || shape.y > y + height)) this.setView({ ...this.view, x: shape.x - w / 2,
      y: shape.y - height / 2 });
  }
}

// ---- legend

const SIGNS = {
  u: () => s("path", { d: "M1 8L8 1M2 15L15 1M9 15L22 1M16 15l9-9", class: "hatch-line" }),
  n: () => [4, 10, 16, 22].flatMap((x, i) => [s("circle", { cx: x, cy: i % 2 ? 5 : 11, r: 1.3, class: "dot" })]),
  none: () => s("path", { d: "M1 8L8 1M2 15L15 1M9 15L22 1M16 15l9-9M1 8l7 7M2 1l14 14M9 1l14 14M16 1l9 9", class: "hatch-line pale" }),
};

/** An entry of the legend; sign: u, n or none, drawn as on the map. */
function swatch(name, text, sign) {
  return h("span", { class: "entry" }, s("svg", { class: "swatch", viewBox: "0 0 26 16", "aria-hidden": "true" },
    s("rect", { x: 0.5, y: 0.5, width: 25, height: 15, class: name }), sign ? SIGNS[sign]() : null), h("span", {}, text));
}

/** The texts of the classes: under 1, 1 to 2, 2 and over. */
function classTexts(limits, signed) {
  if (!limits.length) return [t("all values")];
  const decimals = Math.max(...limits.map((l) => (String(l).split(".")[1] || "").length));
  const text = limits.map((l) => number(l, Math.min(decimals, 4), signed));
  return [t("under {limit}", { limit: text[0] }), ...limits.slice(1).map((_, i) => t("{low} to {high}", { low: text[i], high: text[i + 1] })),
    t("{limit} and over", { limit: text[text.length - 1] })];
}

/** Draw the legend: classes or circles, then what is missing, unreliable and unclear, then the value of all regions together. */
export function drawLegend(box, view, slice, shown) {
  const { limits, colours, palette } = classesOf(slice, shown);
  const entries = [];
  if (slice.kind === "circles" && shown !== "wi") {
    const top = view.largestCircle();
    for (const size of slice.circles) {
      const r = top * Math.sqrt(size / (slice.top || 1)), side = Math.ceil(2 * r + 2);
      entries.push(h("span", { class: "entry" }, s("svg", { class: "circle", width: side, height: side, viewBox: `0 0 ${side} ${side}`,
        "aria-hidden": "true" },
        s("circle", { cx: side / 2, cy: side / 2, r, class: "plus" })), digits(size, { maximumSignificantDigits: 3 })));
    }
    if (slice.signed) entries.push(swatch("plus", t("gain")), swatch("minus", t("loss")));
  } else classTexts(limits, slice.signed && shown !== "wi").forEach((text, i) => entries.push(swatch(`c${colours[i]}`, text)));
  const kinds = new Set(slice.figures.map((f) => (shownValue(f, shown) === null ? "missing" : reliability(f, facts.coverageMin,
    slice.signed))));
  const middle = slice.kind === "circles" && shown !== "wi" ? "plus" : `c${colours[Math.floor(colours.length / 2)]}`;
  if (kinds.has("unreliable")) entries.push(swatch(middle, t("hatched: low reliability"), "u"));
  if (kinds.has("unclear")) entries.push(swatch(middle, t("dotted: no clear change, the interval holds 0"), "n"));
  if (kinds.has("missing")) entries.push(swatch("none-back", shown === "v" ? t("no figure") : t("no figure or no interval"), "none"));
  const title = shown === "v" ? slice.unitPhrase : `${facts.shown[shown][1]}, ${slice.unitPhrase}`;
  box.dataset.palette = palette;
  const whole = slice.overall === null || shown !== "v" ? null
    : h("span", { class: "overall" },
      t("All regions together: {value}", { value: withUnit(slice.overall, decimalsFor({ value: slice.overall, low: null, high: null }),
        slice.unit, slice.signed) }));
  replace(box, h("span", { class: "legend-title" }, title), entries, whole);
}

/** Describe the map in words, for those who do not see it. */
export function summary(slice, level, ranked) {
  const valued = (figure) => withUnit(figure.value, decimalsFor(figure), slice.unit, slice.signed);
  const named = (rows) => rows.map(({ figure }) => `${regions.get(figure.geo).name} (${valued(figure)})`).join(", ");
  const all = codesOf.get(level).length, text = [];
  if (ranked.length > 4) text.push(t("Highest: {highest}. Lowest: {lowest}.", { highest: named(ranked.slice(0, 2)),
    lowest: named(ranked.slice(-2).reverse()) }));
  else if (ranked.length) text.push(t("From high to low: {names}.", { names: named(ranked) }));
  if (all > ranked.length) text.push(t("{some} of {all} without a figure.", { some: all - ranked.length, all }));
  const poor = slice.figures.filter((f) => reliability(f, facts.coverageMin, slice.signed) === "unreliable").length;
  if (poor) text.push(t("{count} of low reliability.", { count: poor }));
  const unclear = slice.figures.filter((f) => reliability(f, facts.coverageMin, slice.signed) === "unclear").length;
  if (unclear) text.push(t("{count} without a clear change.", { count: unclear }));
  return text.join(" ");
}
