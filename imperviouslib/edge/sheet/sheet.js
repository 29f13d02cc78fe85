// The labelling sheet: pictures of each unit, answers by key, pointer or touch, saved in this browser after every action.
// All words are in the catalogue TEXT (texts.json). All text is set as textContent, never as HTML.
"use strict";

const byId = (id) => document.getElementById(id);
const TEXT = JSON.parse(byId("texts").textContent);
const DESIGN = JSON.parse(byId("design").textContent);
const { years, units, layers, side, context } = DESIGN;
const CERTAINTIES = ["sure", "likely", "guess"];
const ANSWER_MS = 3000; // how long to wait until the browser tells another frame what was saved; a very busy machine took half a second
const OPENINGS = 3; // how often the page is opened at most, until what it saves is kept
const IDLE_S = 120; // after this time without an action the clock of a unit stops
const PREFIX = "r.impervious/" + DESIGN.digest + "/";
const PROBE = PREFIX + "probe";
const GAIN = "gain", LOSS = "loss";
const MARK = { gain: "#ff8c1a", loss: "#29a3ff", other: "#e84bd8" };

let reader = "", reading = 1;
let records = new Map(); // number of a unit -> its record, see emptyRecord()
let order = []; // numbers of the units shown, in the reader's own order
let unit = 0; // number of the unit shown
let undone = [], done = []; // steps: lists of {unit, before, after}
let layer = 0, year = 0; // the picture and the year chosen
let brush = GAIN; // what marks mean, together with the year
let cursor = Math.floor(side / 2) * (side + 1); // cell of the window that the keys work on
let zoom = 1, hand = false;
let drag = null; // marks being drawn: {erase, last, before}
let clock = null; // time of the last action, in seconds; null while the page is hidden
const unsaved = new Set(); // units that the browser did not save
let since = 0; // actions since the last CSV file
let disputed = new Map(); // third reading: unit -> cells on which the first two differ
let why = ""; // why the browser does not save
let cutOff = false; // what is saved does not reach the browser, see prepareStorage()
let notice = ""; // what the reader must know until the page is closed
const strips = new Map(); // "unit/layer" -> promise of an image with all years

function fill(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

function make(tag, text, className, parent) {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (className) node.className = className;
  if (parent) parent.append(node);
  return node;
}

function say(text) {
  const line = byId("say");
  line.textContent = "";
  requestAnimationFrame(() => { line.textContent = text; });
}

// ---- records: s states of a point; cells of a window, each with its states as a text of 0 and 1; c certainty; n note; t seconds

const isPoint = (number) => units[number].kind === "point";
const emptyRecord = () => ({ s: null, cells: {}, done: false, c: "", n: "", t: 0 });

function record(number) {
  if (!records.has(number)) records.set(number, emptyRecord());
  return records.get(number);
}

function isRead(number) {
  const one = records.get(number);
  return Boolean(one) && one.done;
}

const isBegun = (number) => !isRead(number) && Object.keys(records.get(number)?.cells || {}).length > 0;

function answerOf(number) {
  const { s, cells, done: ended, c, n } = record(number);
  return JSON.stringify({ s, cells, done: ended, c, n });
}

function restore(number, answer) {
  records.set(number, { ...JSON.parse(answer), t: record(number).t });
}

/** Check a record that was read from storage, and return it, or null. */
function checked(number, value) {
  const one = { ...emptyRecord(), ...value };
  const isState = (state) => state === 0 || state === 1 || state === null;
  if (one.s !== null && !(Array.isArray(one.s) && one.s.length === years.length && one.s.every(isState))) return null;
  const cells = Object.entries(one.cells);
  const isCell = ([cell, states]) => Number(cell) < side * side && /^[0-9]+$/.test(cell) && /^[01]+$/.test(states) && states.length === years.length;
  if (!cells.every(isCell) || !(one.c === "" || CERTAINTIES.includes(one.c))) return null;
  if (isPoint(number) ? cells.length > 0 || one.done !== (one.s !== null) : one.s !== null) return null;
  return { s: one.s, cells: one.cells, done: Boolean(one.done), c: one.c, n: String(one.n), t: Number(one.t) || 0 };
}

// ---- histories: the states of all years as a text of 0 and 1

const changesOf = (states) => years.map((_, k) => k).filter((k) => k > 0 && states[k] !== states[k - 1]);
const step = (kind, k) => years.map((_, n) => ((n >= k) === (kind === GAIN) ? "1" : "0")).join("");

/** Add a change to the history of a cell. A second change the other way is kept beside the first; otherwise the new one replaces it. */
function marked(states, kind, k) {
  const changes = states ? changesOf(states) : [];
  const other = changes.length === 1 ? changes[0] : 0;
  const before = kind === GAIN ? "0" : "1";
  if (!other || other === k || states[other] !== before) return step(kind, k);
  const [first, second] = other < k ? [other, k] : [k, other];
  const middle = other < k ? before : kind === GAIN ? "1" : "0";
  return years.map((_, n) => (n >= first && n < second ? middle : middle === "1" ? "0" : "1")).join("");
}

function kindOf(states) {
  const changes = changesOf(states);
  if (changes.length !== 1) return { kind: "other", k: changes[0] };
  return { kind: states[changes[0]] === "1" ? GAIN : LOSS, k: changes[0] };
}

const hasMark = (states) => Boolean(states) && changesOf(states).some((k) => k === year && (states[k] === "1") === (brush === GAIN));

/** Take the change that the marks mean out of the history of a cell; an empty text where none is left. */
function unmarked(states) {
  const left = changesOf(states).filter((k) => k !== year);
  return left.length === 1 ? step(states[left[0]] === "1" ? GAIN : LOSS, left[0]) : "";
}

// ---- saving in the browser

// By id, because another sheet of the same sample may have fewer units.
const keyOf = (name) => PREFIX + encodeURIComponent(reader) + "/" + reading + "/" + name;
const unitKey = (number) => keyOf("unit/" + units[number].id);
const numberOf = (id) => units.findIndex((one) => one.id === id);

function store(key, value) {
  try {
    localStorage.setItem(key, value);
    if (cutOff) why = "no answer";
    return !cutOff;
  } catch (error) {
    why = error.name || "error";
    return false;
  }
}

function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch (error) {
    why = error.name || "error";
    return null;
  }
}

function drop(key) {
  try {
    localStorage.removeItem(key);
  } catch (error) {
    why = error.name || "error";
  }
}

function keep(number) {
  unsaved.add(number);
  for (const one of [...unsaved]) {
    if (!store(unitKey(one), JSON.stringify(record(one)))) break;
    unsaved.delete(one);
  }
  showWarning();
}

function showWarning() {
  const box = byId("warning");
  const text = unsaved.size ? fill(TEXT.warnStorage, { why }) : notice;
  if (box.textContent !== text) box.textContent = text;
}

function readBack() {
  let damaged = 0;
  records = new Map();
  units.forEach((_, number) => {
    const text = stored(unitKey(number));
    if (text === null) return;
    let one = null;
    try {
      one = checked(number, JSON.parse(text));
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    }
    if (one) records.set(number, one);
    else damaged += 1;
  });
  return damaged;
}

/** Save `token`; whether another frame hears of it. */
function isHeard(token) {
  const frame = make("iframe", null, null, document.body);
  frame.hidden = true;
  return new Promise((resolve) => {
    frame.contentWindow.addEventListener("storage", (event) => { if (event.newValue === token) resolve(true); });
    setTimeout(resolve, ANSWER_MS, false);
    // A browser that refuses to save says so when the reading begins.
    if (!store(PROBE, token)) resolve(true);
  }).finally(() => frame.remove());
}

/**
 * Open the page again where its storage is cut off from the browser, three times at most; then go on and warn.
 *
 * On a busy machine that happens to a few of a hundred pages of Chromium. Such a storage looks empty, takes everything and keeps nothing,
 * as long as the page is open; the next page has its own. Nothing in the storage tells, but what reaches the browser is told to all other
 * frames. A browser that tells frames nothing is known by what it kept of the opening before.
 */
async function prepareStorage() {
  const before = history.state || { opening: 1, token: "" };
  const isKept = stored(PROBE) === before.token;
  const token = String(Math.random());
  if (isKept || (await isHeard(token))) {
    drop(PROBE);
  } else if (before.opening < OPENINGS) {
    history.replaceState({ opening: before.opening + 1, token }, "");
    location.reload();
    await new Promise(() => null);
  } else {
    cutOff = true;
  }
  history.replaceState(null, "");
}

window.addEventListener("storage", (event) => {
  if (!reader || !event.key || !event.key.startsWith(keyOf("")) || event.newValue === null) return;
  notice = TEXT.warnOther;
  showWarning();
});
window.addEventListener("beforeunload", (event) => {
  spend();
  if (reader) keep(unit);
  if (unsaved.size && since) {
    event.preventDefault();
    event.returnValue = "";
  }
});

// ---- time spent

const now = () => performance.now() / 1000;

/** Add the time since the last action to the unit shown; a long pause counts as two minutes at most. */
function spend() {
  if (!reader || clock === null) return;
  const time = now();
  record(unit).t += Math.min(time - clock, IDLE_S);
  clock = time;
}

for (const name of ["keydown", "pointerdown", "pointermove", "wheel", "input"]) {
  document.addEventListener(name, spend, { capture: true, passive: true });
}
document.addEventListener("visibilitychange", () => {
  spend();
  if (reader) keep(unit);
  clock = document.hidden ? null : now();
});

// ---- actions

/** Change the answer of the unit shown, as one step that can be undone. */
function act(change) {
  const before = answerOf(unit);
  change(record(unit));
  finish([{ unit, before, after: answerOf(unit) }]);
}

function finish(steps) {
  const changed = steps.filter(({ before, after }) => before !== after);
  if (!changed.length) return show();
  done.push(changed);
  undone = [];
  since += 1;
  changed.forEach((one) => keep(one.unit));
  return show();
}

function replay(from, to, which) {
  const steps = from.pop();
  if (!steps) return say(which === "before" ? TEXT.noUndo : TEXT.noRedo);
  to.push(steps);
  since += 1;
  for (const one of steps) {
    restore(one.unit, one[which]);
    keep(one.unit);
  }
  if (steps[0].unit !== unit) open(steps[0].unit);
  show();
  return say(which === "before" ? TEXT.saidUndone : TEXT.saidRedone);
}

const undo = () => replay(done, undone, "before");
const redo = () => replay(undone, done, "after");

const nameOf = (state) => (state === null ? TEXT.unknown : state ? TEXT.sealed : TEXT.notSealed);

function answerPoint(states, said) {
  act((one) => {
    one.s = states;
    one.done = true;
    one.c = one.c || "sure";
  });
  say(fill(TEXT.saidPoint, { id: units[unit].id, what: said }));
}

function stepPoint(kind, k) {
  const states = [...step(kind, k)].map(Number);
  const name = kind === GAIN ? (k ? TEXT.cellGain : TEXT.always) : k ? TEXT.cellLoss : TEXT.never;
  answerPoint(states, fill(name, { year: years[k] }).toLowerCase());
}

function turnYear(k, state) {
  year = k;
  const states = record(unit).s ? [...record(unit).s] : years.map(() => 0);
  states[k] = state !== undefined ? state : { 0: 1, 1: null, null: 0 }[states[k]];
  answerPoint(states, fill(TEXT.saidYear, { year: years[k], what: nameOf(states[k]) }));
}

function chooseBrush(kind, k) {
  if (k === 0) return say(fill(TEXT.firstYear, { year: years[0] }));
  brush = kind;
  year = k;
  show();
  return say(fill(TEXT.saidBrush, { what: fill(kind === GAIN ? TEXT.cellGain : TEXT.cellLoss, { year: years[k] }) }));
}

function setCell(cell, erase) {
  const { cells } = record(unit);
  const states = erase ? cells[cell] && hasMark(cells[cell]) ? unmarked(cells[cell]) : cells[cell] : hasMark(cells[cell]) ? cells[cell] : marked(cells[cell], brush, year);
  if (states) cells[cell] = states;
  else delete cells[cell];
}

function markCell(cell) {
  act(() => setCell(cell, hasMark(record(unit).cells[cell])));
  sayCell();
}

function sayCell() {
  const states = record(unit).cells[cursor];
  const { kind, k } = states ? kindOf(states) : { kind: "same", k: 0 };
  const what = fill({ same: TEXT.cellSame, gain: TEXT.cellGain, loss: TEXT.cellLoss, other: TEXT.cellOther }[kind], { year: years[k] });
  say(fill(TEXT.cellAt, { row: Math.floor(cursor / side) + 1, column: (cursor % side) + 1, what }));
}

function moveCursor(rows, columns, paint) {
  const row = Math.min(side - 1, Math.max(0, Math.floor(cursor / side) + rows));
  const column = Math.min(side - 1, Math.max(0, (cursor % side) + columns));
  if (paint) act(() => setCell(cursor, false));
  cursor = row * side + column;
  if (paint) act(() => setCell(cursor, false));
  else drawPair();
  for (const id of ["before", "after"]) {
    const view = byId(id).parentElement;
    const at = (index) => (marginOf(unit) + index + 0.5) * pairPx;
    view.scrollTo(at(column) - view.clientWidth / 2, at(row) - view.clientHeight / 2);
  }
  sayCell();
}

function nothingChanged() {
  act((one) => {
    one.cells = {};
    one.done = true;
    one.c = one.c || "sure";
  });
  say(TEXT.nothingSaid);
}

function setCertainty(certainty) {
  act((one) => { one.c = certainty; });
  say(TEXT[certainty] + ".");
}

function finishUnit() {
  const one = record(unit);
  if (!isPoint(unit) && !one.done && Object.keys(one.cells).length) {
    act((changed) => {
      changed.done = true;
      changed.c = changed.c || "sure";
    });
  }
  if (!isRead(unit)) return say(isPoint(unit) ? TEXT.answerFirst : TEXT.markFirst);
  const start = order.indexOf(unit);
  const next = [...order.slice(start + 1), ...order.slice(0, start + 1)].find((number) => !isRead(number));
  if (next === undefined) return say(TEXT.allRead);
  return open(next);
}

function go(by) {
  const at = order.indexOf(unit);
  open(order[(at + by + order.length) % order.length]);
}

// ---- the order of units: points, then windows, each in an order of the reader and the reading

function shuffled(numbers, word) {
  let seed = 2166136261;
  for (const letter of word) seed = Math.imul(seed ^ letter.codePointAt(0), 16777619);
  const random = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const list = [...numbers];
  for (let n = list.length - 1; n > 0; n -= 1) {
    const other = Math.floor(random() * (n + 1));
    [list[n], list[other]] = [list[other], list[n]];
  }
  return list;
}

function arrange() {
  const wanted = byId("show").value;
  const word = [DESIGN.digest, reader, reading].join("/");
  const all = units.map((_, number) => number);
  order = [...shuffled(all.filter(isPoint), word), ...shuffled(all.filter((number) => !isPoint(number)), word)];
  if (wanted === "disputed") order = order.filter((number) => disputed.has(number));
  else if (wanted !== "all") order = order.filter((number) => units[number].kind === wanted);
}

// ---- pictures

const marginOf = (number) => context[units[number].kind];
const cellsOf = (number) => (isPoint(number) ? 1 : side) + 2 * marginOf(number);

function strip(number, which) {
  const key = number + "/" + which;
  if (!strips.has(key)) {
    const image = new Image();
    image.src = "data:image/png;base64," + byId("chips-" + number + "-" + which).textContent;
    strips.set(key, image.decode().then(() => image));
    if (strips.size > 12) strips.delete(strips.keys().next().value);
  }
  return strips.get(key);
}

/** Draw the picture of a year, px screen pixels a cell, with its frame; return the context and the size of a cell in the canvas. */
function drawChip(canvas, image, k, px) {
  const cells = cellsOf(unit), margin = marginOf(unit);
  const scale = Math.max(1, Math.ceil(px * (window.devicePixelRatio || 1)));
  canvas.width = canvas.height = cells * scale;
  canvas.style.width = canvas.style.height = cells * px + "px";
  const paint = canvas.getContext("2d");
  paint.imageSmoothingEnabled = false;
  paint.drawImage(image, k * cells, 0, cells, cells, 0, 0, canvas.width, canvas.height);
  const width = Math.max(1, Math.round(scale / (isPoint(unit) ? 6 : 10)));
  const size = (cells - 2 * margin) * scale;
  for (const [colour, out] of [["#000", 2 * width], ["#fff", width]]) {
    paint.strokeStyle = colour;
    paint.lineWidth = width;
    const start = margin * scale - out + width / 2;
    paint.strokeRect(start, start, size + 2 * out - width, size + 2 * out - width);
  }
  return { paint, scale };
}

function drawMarks(paint, scale, big) {
  const margin = marginOf(unit);
  const box = (cell) => [(margin + (cell % side)) * scale, (margin + Math.floor(cell / side)) * scale];
  paint.textAlign = "center";
  paint.textBaseline = "middle";
  for (const cell of disputed.get(unit) || []) {
    const [x, y] = box(cell);
    paint.strokeStyle = "#fff";
    paint.lineWidth = Math.max(1, scale / 10);
    paint.setLineDash([scale / 5, scale / 5]);
    paint.strokeRect(x + 0.5, y + 0.5, scale - 1, scale - 1);
    paint.setLineDash([]);
  }
  for (const [cell, states] of Object.entries(record(unit).cells)) {
    const { kind, k } = kindOf(states);
    const [x, y] = box(Number(cell));
    const line = Math.max(1, scale / 7);
    if (big) {
      paint.strokeStyle = "#000";
      paint.lineWidth = line * 1.8;
      paint.strokeRect(x + line, y + line, scale - 2 * line, scale - 2 * line);
    }
    paint.strokeStyle = MARK[kind];
    paint.lineWidth = line;
    paint.strokeRect(x + line, y + line, scale - 2 * line, scale - 2 * line);
    if (!big) continue;
    const number = scale >= 16 * (window.devicePixelRatio || 1) ? String(years[k] % 100).padStart(2, "0") : "";
    const sign = kind === "other" ? "±" : k === year ? (kind === GAIN ? "+" : "−") : number;
    paint.font = "700 " + Math.round(scale * (sign === number ? 0.45 : 0.62)) + "px system-ui, sans-serif";
    paint.lineWidth = Math.max(2, scale / 8);
    paint.strokeStyle = "#000";
    paint.strokeText(sign, x + scale / 2, y + scale / 2);
    paint.fillStyle = "#fff";
    paint.fillText(sign, x + scale / 2, y + scale / 2);
  }
}

/** The largest whole number of screen pixels a cell with which all pictures fit beside each other, in as many rows as needed. */
function fitting(cells, count, width, height) {
  let best = Math.min(5, Math.floor((width / 3 - 8) / cells));
  for (let columns = 1; columns <= count; columns += 1) {
    const px = Math.floor(Math.min((width / columns - 8) / cells, (height / Math.ceil(count / columns) - 40) / cells));
    best = Math.max(best, px);
  }
  return Math.max(best, 2);
}

async function drawYears() {
  const number = unit, which = layer;
  const image = await strip(number, which);
  if (number !== unit || which !== layer) return;
  const cells = cellsOf(unit);
  const width = byId("years").clientWidth;
  const room = window.innerHeight - byId("years").getBoundingClientRect().top - window.scrollY - 60;
  // A point's pictures are for reading; a window's are an overview, in one row, above the two that are marked.
  const px = isPoint(unit) ? fitting(cells, years.length, width, room) : Math.min(6, Math.max(2.6, (width / years.length - 8) / cells));
  [...byId("years").querySelectorAll("canvas")].forEach((canvas, k) => {
    const { paint, scale } = drawChip(canvas, image, k, px);
    if (!isPoint(unit)) drawMarks(paint, scale, false);
  });
  drawPair();
  document.documentElement.dataset.shown = units[number].id;
  const next = order[order.indexOf(unit) + 1];
  if (next !== undefined) strip(next, layer);
}

let pairPx = 10;
async function drawPair() {
  if (isPoint(unit)) return;
  const number = unit;
  const image = await strip(number, layer);
  if (number !== unit || isPoint(unit)) return;
  const cells = cellsOf(unit);
  const width = byId("pair").clientWidth;
  const top = byId("pair").getBoundingClientRect().top + window.scrollY;
  const beside = width > 640;
  const room = Math.max(cells * 9, window.innerHeight - top - 108);
  const fit = Math.floor(Math.min((beside ? (width - 12) / 2 : width) / cells, beside ? room / cells : 99));
  pairPx = Math.max(4, Math.min(26, fit)) * zoom;
  byId("cells").classList.toggle("beside", beside);
  const from = Math.max(0, year - 1);
  for (const [id, k] of [["before", from], ["after", year]]) {
    const { paint, scale } = drawChip(byId(id), image, k, pairPx);
    drawMarks(paint, scale, true);
    byId(id).parentElement.style.maxHeight = zoom > 1 ? Math.max(320, window.innerHeight - top - 110) + "px" : "";
    const margin = marginOf(unit);
    const line = Math.max(1, scale / 8);
    const x = (margin + (cursor % side)) * scale, y = (margin + Math.floor(cursor / side)) * scale;
    for (const [colour, out] of [["#000", line * 1.5], ["#ffee58", line / 2]]) {
      paint.strokeStyle = colour;
      paint.lineWidth = line;
      paint.strokeRect(x - out, y - out, scale + 2 * out, scale + 2 * out);
    }
  }
}

// ---- the page

function show() {
  const one = record(unit), point = isPoint(unit);
  byId("point").hidden = !point;
  byId("window").hidden = point;
  byId("pair").hidden = point;
  byId("work").className = point ? "work" : "work window";
  [...byId("years").children].forEach((item, k) => {
    item.classList.toggle("here", k === year);
    const button = item.querySelector("button");
    const state = one.s ? one.s[k] : undefined;
    item.querySelector(".state").textContent = point ? (state === undefined ? TEXT.noAnswer : nameOf(state)) : "";
    button.className = point && one.s && state !== null ? "s" + state : "";
    if (point) button.removeAttribute("aria-pressed");
    else button.setAttribute("aria-pressed", String(k === year));
    button.disabled = !point && k === 0;
    if (k > 0) item.querySelector("kbd").hidden = point;
  });
  const text = one.s ? one.s.join("") : "";
  const press = (button, is) => button.setAttribute("aria-pressed", String(is));
  press(byId("never"), text === step(LOSS, 0));
  press(byId("always"), text === step(GAIN, 0));
  press(byId("untold"), Boolean(one.s) && one.s.every((state) => state === null));
  for (const [id, kind] of [["since", GAIN], ["until", LOSS]]) {
    [...byId(id).children].forEach((button, n) => press(button, text === step(kind, n + 1)));
  }
  for (const kind of [GAIN, LOSS]) {
    press(byId(kind), brush === kind);
    byId(kind + "-text").textContent = fill(kind === GAIN ? TEXT.gainIn : TEXT.lossIn, { year: years[year] });
  }
  press(byId("nothing"), one.done && !Object.keys(one.cells).length);
  byId("marks").textContent = marksText(one);
  [...byId("certainty").children].forEach((button, n) => press(button, one.c === CERTAINTIES[n]));
  if (document.activeElement !== byId("note")) byId("note").value = one.n;
  byId("undo").disabled = !done.length;
  byId("redo").disabled = !undone.length;
  const status = isRead(unit) ? "read" : isBegun(unit) ? "begun" : "unread";
  byId("status").className = "badge " + status;
  byId("status").textContent = TEXT["status" + status[0].toUpperCase() + status.slice(1)];
  if (!point) {
    byId("before-year").textContent = fill(TEXT.beforeYear, { year: years[Math.max(0, year - 1)] });
    byId("after-year").textContent = fill(TEXT.afterYear, { year: years[year] });
  }
  showProgress();
  drawYears();
}

function marksText(one) {
  const counts = new Map();
  for (const states of Object.values(one.cells)) {
    const { kind, k } = kindOf(states);
    const key = kind === "other" ? "other" : kind + k;
    counts.set(key, { kind, k, count: (counts.get(key)?.count || 0) + 1 });
  }
  if (!counts.size) return TEXT.noMarks;
  const words = { gain: TEXT.marksGain, loss: TEXT.marksLoss, other: TEXT.marksOther };
  const list = [...counts.values()].sort((a, b) => a.k - b.k).map(({ kind, k, count }) => fill(words[kind], { count, year: years[k] }));
  return fill(TEXT.marks, { list: list.join(", ") });
}

function showProgress() {
  const all = byId("show").value === "disputed" ? order : units.map((_, number) => number);
  const open = all.filter((number) => !isRead(number));
  byId("progress").max = all.length;
  byId("progress").value = all.length - open.length;
  const points = open.filter(isPoint).length;
  let text = fill(TEXT.left, { read: all.length - open.length, all: all.length, points, windows: open.length - points });
  const paces = [];
  for (const [name, is] of [[TEXT.pacePoint, true], [TEXT.paceWindow, false]]) {
    const times = all.filter((number) => isRead(number) && isPoint(number) === is).map((number) => record(number).t);
    if (times.length) paces.push(fill(name, { seconds: Math.round(times.reduce((a, b) => a + b, 0) / times.length) }));
  }
  if (paces.length) text += fill(TEXT.pace, { list: paces.join(", ") });
  byId("left").textContent = text;
}

function open(number) {
  spend();
  if (number !== unit && records.has(unit)) keep(unit);
  unit = number;
  year = isPoint(unit) ? 0 : 1;
  brush = GAIN;
  zoom = 1;
  showZoom();
  cursor = Math.floor(side / 2) * (side + 1);
  store(keyOf("last"), units[unit].id);
  const one = units[unit];
  byId("unit").textContent = fill(isPoint(unit) ? TEXT.point : TEXT.window, { id: one.id });
  byId("place").textContent = fill(TEXT.place, { lat: one.lat.toFixed(5), lon: one.lon.toFixed(5) });
  byId("note").value = record(unit).n;
  byId("say").textContent = "";
  showMaps();
  show();
  if (!byId("sheet").contains(document.activeElement) || document.activeElement.id !== "cells") byId("unit").focus({ preventScroll: true });
}

// ---- web map services, only where the sample names them and only while the reader has them switched on

function mapAddress(service, width, height, one) {
  const lat = height / 2 / 111320, lon = width / 2 / (111320 * Math.cos((one.lat * Math.PI) / 180));
  const address = new URL(service.address.replaceAll("{year}", String(years[year])));
  const asked = {
    SERVICE: "WMS", VERSION: "1.1.1", REQUEST: "GetMap", SRS: "EPSG:4326", FORMAT: "image/jpeg", STYLES: "", WIDTH: "512", HEIGHT: "512",
    BBOX: [one.lon - lon, one.lat - lat, one.lon + lon, one.lat + lat].map((value) => value.toFixed(7)).join(","),
  };
  const given = new Set([...address.searchParams.keys()].map((name) => name.toUpperCase()));
  for (const [name, value] of Object.entries(asked)) if (!given.has(name) || name === "BBOX") address.searchParams.set(name, value);
  return address.href;
}

function showMaps() {
  for (const box of byId("maps").children) {
    const service = DESIGN.wms[Number(box.dataset.number)];
    const figure = box.querySelector(".map");
    figure.hidden = !box.querySelector("input").checked;
    if (figure.hidden) continue;
    const ground = cellsOf(unit) * DESIGN.cell_m;
    const image = figure.querySelector("img");
    const address = mapAddress(service, ground, ground, units[unit]);
    if (image.getAttribute("src") !== address) {
      box.querySelector(".soft").textContent = fill(TEXT.wmsPicture, { name: service.name });
      image.src = address;
    }
    const frame = figure.querySelector(".frame");
    const margin = (100 * marginOf(unit)) / cellsOf(unit);
    for (const edge of ["left", "top", "right", "bottom"]) frame.style[edge] = margin + "%";
  }
}

function prepareMaps() {
  DESIGN.wms.forEach((service, number) => {
    const box = make("div", null, "", byId("maps"));
    box.dataset.number = String(number);
    const label = make("label", null, "choice", box);
    const input = make("input", null, "", label);
    input.type = "checkbox";
    make("span", fill(TEXT.wms, { name: service.name, host: new URL(service.address.replaceAll("{year}", "0")).host }), "", label);
    const figure = make("figure", null, "map", box);
    figure.hidden = true;
    const image = make("img", null, "", figure);
    image.alt = fill(TEXT.wmsPicture, { name: service.name });
    image.referrerPolicy = "no-referrer";
    make("span", null, "frame", figure);
    const caption = make("p", "", "soft", box);
    image.addEventListener("error", () => { caption.textContent = fill(TEXT.wmsFailed, { name: service.name }); });
    input.addEventListener("change", () => {
      if (!input.checked) caption.textContent = "";
      showMaps();
    });
  });
}

// ---- CSV files, in the format of imperviouslib/core/readings.py

const HEADER = ["id", "cell", ...years.map(String), "certainty", "interpreter", "reading", "seconds", "note"];
const FORMULA = /^'*[=+\-@]/;
const safe = (text) => (FORMULA.test(text) ? "'" + text : text);
const plain = (text) => (/^'+[=+\-@]/.test(text) ? text.slice(1) : text);
const oneLine = (text) => text.split(/\s+/).filter(Boolean).join(" ");
const quoted = (value) => (/[",\r\n]/.test(value) ? '"' + value.replaceAll('"', '""') + '"' : value);

function csvText() {
  const lines = [HEADER];
  units.forEach(({ id }, number) => {
    if (!isRead(number)) return;
    const one = record(number);
    const end = [one.c, safe(reader), String(reading), String(Math.round(one.t)), safe(oneLine(one.n))];
    const first = one.s ? one.s.map((state) => (state === null ? "" : String(state))) : years.map(() => "");
    lines.push([safe(id), "", ...first, ...end]);
    for (const cell of Object.keys(one.cells).map(Number).sort((a, b) => a - b)) {
      const states = [...one.cells[cell]];
      lines.push([safe(id), String(cell), ...states, ...end]);
    }
  });
  return lines.map((cells) => cells.map(quoted).join(",") + "\n").join("");
}

function saveCsv() {
  spend();
  keep(unit);
  const name = ["readings", DESIGN.digest.slice(0, 8), reader.replace(/[^\p{L}\p{N}]+/gu, "-"), reading].join("_") + ".csv";
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([csvText()], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  since = 0;
  const all = units.map((_, number) => number);
  const begun = all.filter(isBegun), count = all.filter(isRead).length;
  const list = begun.map((number) => units[number].id).slice(0, 5).join(", ");
  say(fill(begun.length ? TEXT.savedBegun : TEXT.savedCsv, { count, file: name, begun: begun.length, list }));
}

class FileError extends Error {}
const wrong = (text, values) => new FileError(fill(text, values));

/** Split CSV text into rows {line, cells}; quotation marks may hold separators and line breaks. */
function splitCsv(text, mark, firstLine) {
  const rows = [];
  let cells = [], cell = "", inside = false, line = firstLine, start = firstLine;
  for (let n = 0; n < text.length; n += 1) {
    const letter = text[n];
    if (inside) {
      if (letter === '"' && text[n + 1] === '"') { cell += '"'; n += 1; }
      else if (letter === '"') inside = false;
      else { cell += letter; if (letter === "\n") line += 1; }
    } else if (letter === '"' && cell === "") inside = true;
    else if (letter === mark) { cells.push(cell); cell = ""; }
    else if (letter === "\n") {
      rows.push({ line: start, cells: [...cells, cell] });
      cells = []; cell = ""; line += 1; start = line;
    } else cell += letter;
  }
  if (inside) throw wrong(TEXT.fileQuote, { line: start });
  if (cell !== "" || cells.length) rows.push({ line: start, cells: [...cells, cell] });
  return rows;
}

function markOf(line) {
  return [",", ";", "\t"].find((mark) => {
    const cells = line.split(mark).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
    while (cells.length && !cells.at(-1)) cells.pop();
    return cells.join("\n") === HEADER.join("\n");
  });
}

function parseFile(text) {
  const lines = text.split(/\r\n|\n|\r/).map((line) => line.replace(/^\ufeff/, ""));
  const first = lines.findIndex((line) => line.trim());
  if (first < 0) throw wrong(TEXT.fileEmpty);
  if (!markOf(lines[first])) throw wrong(TEXT.fileHeader, { line: first + 1, expected: HEADER.join(",") });
  const starts = lines.flatMap((line, n) => (n >= first && markOf(line) ? [n] : []));
  const rows = starts.flatMap((start, n) => {
    const end = n + 1 < starts.length ? starts[n + 1] : lines.length;
    return splitCsv(lines.slice(start + 1, end).join("\n"), markOf(lines[start]), start + 2);
  });
  const numbers = new Map(units.map(({ id }, number) => [id, number]));
  const seen = new Set(), found = [];
  for (const { line, cells } of rows) {
    const values = cells.map(oneLine);
    if (!values.some(Boolean)) continue;
    if (values.length < HEADER.length || values.slice(HEADER.length).some(Boolean)) {
      throw wrong(TEXT.fileCells, { line, found: values.length, expected: HEADER.length });
    }
    const one = parseRow(Object.fromEntries(HEADER.map((name, k) => [name, plain(values[k])])), line, numbers);
    if (!one) continue;
    const key = JSON.stringify([one.unit, one.cell, one.reading, one.interpreter]);
    if (seen.has(key)) throw wrong(TEXT.fileTwice, { line, found: units[one.unit].id });
    seen.add(key);
    found.push({ ...one, line });
  }
  for (const one of found) {
    if (one.cell !== null && !seen.has(JSON.stringify([one.unit, null, one.reading, one.interpreter]))) {
      throw wrong(TEXT.fileWindow, { line: one.line, found: units[one.unit].id });
    }
  }
  return found;
}

function parseRow(row, line, numbers) {
  const number = numbers.get(row.id);
  if (number === undefined) throw wrong(TEXT.fileUnit, { line, found: row.id });
  const value = (column, text, is) => {
    const match = /^0*([0-9]{1,9})(?:[.,]0+)?$/.exec(text);
    const whole = match ? match[1] : text;
    if (!is(whole)) throw wrong(TEXT.fileValue, { line, column, found: text || "-" });
    return whole;
  };
  const states = years.map((name) => value(name, row[name], (text) => ["", "0", "1"].includes(text)));
  const blank = states.every((state) => state === "");
  if (blank && !row.cell && !row.certainty) return null;
  const isCell = (text) => text === "" || (!isPoint(number) && /^[0-9]+$/.test(text) && Number(text) < side * side);
  const cell = value("cell", row.cell, isCell);
  const fine = cell === "" ? isPoint(number) || blank : !states.includes("") && changesOf(states.join("")).length > 0;
  if (!fine) throw wrong(TEXT.fileValue, { line, column: years.join(" "), found: states.map((state) => state || "-").join(" ") });
  if (!row.interpreter) throw wrong(TEXT.fileValue, { line, column: "interpreter", found: "-" });
  const seconds = row.seconds.replace(",", ".");
  return {
    unit: number, cell: cell === "" ? null : Number(cell), states,
    certainty: value("certainty", row.certainty.toLowerCase(), (text) => CERTAINTIES.includes(text)),
    interpreter: row.interpreter,
    reading: Number(value("reading", row.reading, (text) => ["1", "2", "3"].includes(text))),
    seconds: value("seconds", seconds, (text) => /^([0-9]{1,9}(\.[0-9]+)?)?$/.test(text)), note: row.note,
  };
}

/** Join the rows of each unit to its record. */
function recordsOf(rows) {
  const found = new Map();
  for (const row of rows) {
    if (!found.has(row.unit)) found.set(row.unit, emptyRecord());
    const one = found.get(row.unit);
    if (row.cell !== null) {
      one.cells[row.cell] = row.states.join("");
      continue;
    }
    Object.assign(one, { done: true, c: row.certainty, n: row.note, t: Number(row.seconds) || 0 });
    if (isPoint(row.unit)) one.s = row.states.map((state) => (state === "" ? null : Number(state)));
  }
  return found;
}

/** The units on which the first and the second reading differ, with the cells on which they differ. */
function differing(rows) {
  const [one, two] = [1, 2].map((number) => recordsOf(rows.filter((row) => row.reading === number)));
  const found = new Map();
  for (const [number, first] of one) {
    const second = two.get(number);
    if (!second) continue;
    const cells = [...new Set([...Object.keys(first.cells), ...Object.keys(second.cells)])].filter((cell) => first.cells[cell] !== second.cells[cell]);
    if (cells.length || JSON.stringify(first.s) !== JSON.stringify(second.s)) found.set(number, cells.map(Number));
  }
  return found;
}

function loadCsv(text) {
  let rows;
  try {
    rows = parseFile(text);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    return say(fill(TEXT.loadFailed, { why: error.message }));
  }
  const own = rows.filter((row) => row.interpreter === reader && row.reading === reading);
  const others = rows.length - own.length;
  const steps = [];
  for (const [number, one] of recordsOf(own)) {
    const before = answerOf(number);
    records.set(number, { ...one, t: Math.max(one.t, record(number).t) });
    steps.push({ unit: number, before, after: answerOf(number) });
  }
  finish(steps);
  let said = fill(TEXT.loaded, { count: steps.length, reader, reading: TEXT["who" + reading] });
  if (reading === 3 && rows.some((row) => row.reading !== 3)) {
    const differ = differing(rows);
    if (!differ.size) return say(TEXT.loadedAgree);
    disputed = differ;
    store(keyOf("disputed"), JSON.stringify([...disputed].map(([number, cells]) => [units[number].id, cells])));
    showDisputed();
    said = fill(TEXT.loadedDisputed, { count: disputed.size });
  } else if (others) said += fill(TEXT.loadedOthers, { count: others });
  return say(said);
}

function showDisputed() {
  const choice = [...byId("show").options].find(({ value }) => value === "disputed") || make("option", TEXT.showDisputed, "", byId("show"));
  choice.value = "disputed";
  byId("show").value = "disputed";
  arrange();
  open(order.find((number) => !isRead(number)) ?? order[0]);
}

// ---- pointer on the cells of a window

function cellAt(event) {
  const box = event.currentTarget.getBoundingClientRect();
  const margin = marginOf(unit);
  const column = Math.floor(((event.clientX - box.left) / box.width) * cellsOf(unit)) - margin;
  const row = Math.floor(((event.clientY - box.top) / box.height) * cellsOf(unit)) - margin;
  return { row, column, inside: row >= 0 && column >= 0 && row < side && column < side };
}

/** Mark all cells on the line between two positions, so that a quick drag leaves no gaps. */
function markLine(from, to) {
  const steps = Math.max(Math.abs(to.row - from.row), Math.abs(to.column - from.column), 1);
  for (let n = 0; n <= steps; n += 1) {
    const row = Math.round(from.row + ((to.row - from.row) * n) / steps);
    const column = Math.round(from.column + ((to.column - from.column) * n) / steps);
    if (row < 0 || column < 0 || row >= side || column >= side) continue;
    cursor = row * side + column;
    setCell(cursor, drag.erase);
  }
}

function prepareCells() {
  for (const canvas of [byId("before"), byId("after")]) {
    canvas.addEventListener("pointerdown", (event) => {
      const at = cellAt(event);
      if (hand || event.button !== 0 || !at.inside) return;
      event.preventDefault();
      byId("cells").focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      cursor = at.row * side + at.column;
      drag = { erase: hasMark(record(unit).cells[cursor]), last: at, before: answerOf(unit) };
      markLine(at, at);
      drawPair();
    });
    canvas.addEventListener("pointermove", (event) => {
      const at = cellAt(event);
      if (drag) {
        markLine(drag.last, at);
        drag.last = at;
      } else if (event.pointerType === "mouse" && at.inside) cursor = at.row * side + at.column;
      else return;
      drawPair();
    });
    const end = () => {
      if (!drag) return;
      const { before } = drag;
      drag = null;
      finish([{ unit, before, after: answerOf(unit) }]);
      sayCell();
    };
    // Without this the browser takes a quick stroke for a swipe, and drops the tap that follows.
    canvas.addEventListener("touchstart", (event) => { if (!hand) event.preventDefault(); }, { passive: false });
    canvas.addEventListener("pointerup", end);
    // Both pictures show the same ground when they are larger than their place.
    const [view, other] = [canvas.parentElement, byId(canvas.id === "before" ? "after" : "before").parentElement];
    view.addEventListener("scroll", () => other.scrollTo(view.scrollLeft, view.scrollTop));
    canvas.addEventListener("pointercancel", end);
  }
}

// ---- keys

const PLAIN_KEYS = {
  d: finishUnit, j: () => go(1), k: () => go(-1), z: undo, y: redo, v: nextLayer, "?": () => byId("help").showModal(),
  s: () => setCertainty("sure"), l: () => setCertainty("likely"), g: () => setCertainty("guess"),
  m: () => byId("note").focus(),
};
const POINT_KEYS = {
  n: () => stepPoint(LOSS, 0), a: () => stepPoint(GAIN, 0), u: untold, t: () => turnYear(year), Enter: finishUnit,
  ArrowLeft: () => chooseYear(year - 1), ArrowRight: () => chooseYear(year + 1),
};
const WINDOW_KEYS = { n: nothingChanged, x: clearMarks, Enter: () => markCell(cursor), " ": () => markCell(cursor) };
const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function untold() {
  answerPoint(years.map(() => null), TEXT.untold.toLowerCase());
}

function clearMarks() {
  act((one) => {
    one.cells = {};
    one.done = false;
  });
  say(TEXT.cleared);
}

function chooseYear(k) {
  year = Math.min(years.length - 1, Math.max(0, k));
  show();
  const { s } = record(unit);
  say(fill(TEXT.saidYear, { year: years[year], what: s ? nameOf(s[year]) : TEXT.noAnswer }));
}

function nextLayer() {
  chooseLayer((layer + 1) % layers.length);
}

function chooseLayer(number) {
  layer = number;
  [...byId("layers").querySelectorAll("input")].forEach((input, n) => { input.checked = n === layer; });
  show();
}

/** The number of the year that a digit key means, also on keyboards where digits need Shift; -1 for other keys. */
function digitOf(event) {
  const match = /^(?:Digit|Numpad)([0-9])$/.exec(event.code) || /^([0-9])$/.exec(event.key);
  return match ? (Number(match[1]) + 9) % 10 : -1;
}

function onKey(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const target = event.target;
  if (!reader || document.querySelector("dialog[open]") || event.altKey) return;
  if ((event.ctrlKey || event.metaKey) && ["z", "y"].includes(key) && target.id !== "note") {
    event.preventDefault();
    if (key === "y" || event.shiftKey) redo();
    else undo();
    return;
  }
  if (event.ctrlKey || event.metaKey || target.matches("input:not([type=checkbox]):not([type=radio]), select, textarea")) return;
  const onButton = target.matches("button, input, a");
  if (onButton && ["Enter", " ", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].includes(key) && !(target.matches("button") && key.startsWith("Arrow"))) return;
  const single = key.length === 1 && key !== " ";
  if (single && !byId("single").checked) return;
  const k = digitOf(event), point = isPoint(unit);
  let action = PLAIN_KEYS[key] || (point ? POINT_KEYS : WINDOW_KEYS)[key];
  if (k >= 0 && k < years.length) {
    const kind = event.shiftKey ? LOSS : GAIN;
    action = () => (point ? stepPoint(kind, k) : chooseBrush(kind, k));
  } else if (!point && MOVES[key]) action = () => moveCursor(...MOVES[key], event.shiftKey);
  if (!action) return;
  event.preventDefault();
  action();
}

// ---- beginning

function prepareWords() {
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = TEXT[node.dataset.t];
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", TEXT[node.dataset.label]);
  for (const node of document.querySelectorAll("[data-list]")) TEXT[node.dataset.list].forEach((text) => make("li", text, "", node));
  for (const node of document.querySelectorAll("[data-title]")) node.textContent = DESIGN.title;
  const kinds = new Set(units.map(({ kind }) => kind));
  for (const [kind, keys, meaning] of TEXT.keys) {
    if (kind !== "both" && !kinds.has(kind)) continue;
    const row = make("tr", null, "", byId("keys").tBodies[0]);
    make("th", keys, "", row).scope = "row";
    make("td", meaning, "", row);
  }
  const points = units.filter(({ kind }) => kind === "point").length;
  const values = { points, windows: units.length - points, first: years[0], last: years.at(-1), digest: DESIGN.digest.slice(0, 8) };
  byId("contents").textContent = fill(TEXT.contents, values);
  for (const [value, text] of [["all", TEXT.showAll], ["point", TEXT.showPoints], ["window", TEXT.showWindows]]) make("option", text, "", byId("show")).value = value;
}

const keyName = (k) => (k < 10 ? String((k + 1) % 10) : "");

function yearButton(parent, k, shift, action) {
  const button = make("button", years[k], "", parent);
  button.type = "button";
  if (k < 10) {
    button.append(" ");
    make("kbd", (shift ? "⇧" : "") + keyName(k), "", button);
  }
  button.addEventListener("click", action);
}

function prepareControls() {
  years.forEach((name, k) => {
    const item = make("li", null, "", byId("years"));
    const canvas = make("canvas", null, "", item);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", fill(TEXT.chip, { year: name }));
    const button = make("button", null, "", item);
    button.type = "button";
    make("span", name, "year", button);
    button.append(" ");
    make("span", "", "state", button);
    if (k > 0) make("kbd", keyName(k), "", button);
    const choose = () => (isPoint(unit) ? turnYear(k) : chooseBrush(brush, k));
    button.addEventListener("click", choose);
    canvas.addEventListener("click", choose);
    if (k === 0) return;
    yearButton(byId("since"), k, false, () => stepPoint(GAIN, k));
    yearButton(byId("until"), k, true, () => stepPoint(LOSS, k));
  });
  CERTAINTIES.forEach((name) => {
    const button = make("button", TEXT[name], "", byId("certainty"));
    button.type = "button";
    button.append(" ");
    make("kbd", name[0].toUpperCase(), "", button);
    button.addEventListener("click", () => setCertainty(name));
  });
  layers.forEach((name, number) => {
    const label = make("label", null, "choice", byId("layers"));
    const input = make("input", null, "", label);
    Object.assign(input, { type: "radio", name: "layer", checked: number === 0 });
    make("span", name, "", label);
    input.addEventListener("change", () => chooseLayer(number));
  });
  byId("layers").hidden = layers.length < 2;
}

function prepareActions() {
  const actions = {
    never: POINT_KEYS.n, always: POINT_KEYS.a, untold, nothing: nothingChanged, clear: clearMarks, done: finishUnit, back: () => go(-1),
    skip: () => go(1), undo, redo, save: saveCsv, load: () => byId("file").click(), "open-list": openList, "open-help": () => byId("help").showModal(),
    gain: () => chooseBrush(GAIN, year), loss: () => chooseBrush(LOSS, year), smaller: () => setZoom(zoom - 1), larger: () => setZoom(zoom + 1), hand: toggleHand, copy: copyPlace,
  };
  for (const [id, action] of Object.entries(actions)) byId(id).addEventListener("click", action);
  for (const node of document.querySelectorAll("[data-close]")) node.addEventListener("click", () => node.closest("dialog").close());
  // After a click the keys work on the unit again, not on the button.
  byId("sheet").addEventListener("click", (event) => {
    if (event.detail > 0 && event.target.closest(".work button, #years canvas")) byId("unit").focus({ preventScroll: true });
  });
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  // Each letter is saved; the whole note is one step of undo.
  let before = "";
  byId("note").addEventListener("focus", () => { before = answerOf(unit); });
  byId("note").addEventListener("input", () => {
    record(unit).n = oneLine(byId("note").value);
    since += 1;
    keep(unit);
  });
  byId("note").addEventListener("change", () => finish([{ unit, before, after: answerOf(unit) }]));
  byId("note").addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "Escape") byId("unit").focus({ preventScroll: true });
  });
  byId("show").addEventListener("change", () => {
    arrange();
    open(order.includes(unit) ? unit : order.find((number) => !isRead(number)) ?? order[0]);
  });
  byId("file").addEventListener("change", async () => {
    const [file] = byId("file").files;
    if (file) loadCsv(await file.text());
    byId("file").value = "";
  });
  document.addEventListener("keydown", onKey);
  window.addEventListener("resize", () => { if (reader) drawYears(); });
}

function setZoom(next) {
  zoom = Math.min(4, Math.max(1, next));
  showZoom();
  drawPair();
}

/** Pictures larger than their place scroll; then the keyboard must reach them. */
function showZoom() {
  for (const id of ["before", "after"]) {
    const view = byId(id).parentElement;
    view.tabIndex = zoom > 1 ? 0 : -1;
    view.setAttribute("role", "group");
    view.setAttribute("aria-labelledby", id + "-year");
  }
}

function toggleHand() {
  hand = !hand;
  byId("hand").setAttribute("aria-pressed", String(hand));
  byId("cells").classList.toggle("hand", hand);
}

async function copyPlace() {
  const text = units[unit].lat.toFixed(6) + ", " + units[unit].lon.toFixed(6);
  try {
    await navigator.clipboard.writeText(text);
  } catch (error) {
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    getSelection().selectAllChildren(byId("place"));
    return;
  }
  say(fill(TEXT.copied, { text }));
}

function openList() {
  const box = byId("units");
  box.textContent = "";
  for (const number of order) {
    const one = records.get(number);
    const sign = isRead(number) ? (one.c === "sure" ? "✓" : "?") : isBegun(number) ? "…" : "";
    const button = make("button", units[number].id + " " + sign, isRead(number) ? "read" : "", box);
    button.type = "button";
    if (number === unit) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => {
      byId("list").close();
      open(number);
    });
  }
  byId("list").showModal();
}

function begin() {
  done = [];
  undone = [];
  since = 0;
  const damaged = readBack();
  byId("start").hidden = true;
  byId("sheet").hidden = false;
  byId("who").textContent = fill(TEXT.who, { reader, reading: TEXT["who" + reading] });
  arrange();
  store(PREFIX + "reader", JSON.stringify([reader, reading]));
  clock = now();
  // The last unit that was open; without one, the first that is unread.
  const last = numberOf(stored(keyOf("last")));
  const unread = order.find((number) => !isRead(number)) ?? order[0];
  unit = last >= 0 ? last : unread;
  open(isRead(unit) ? unread : unit);
  if (damaged) notice = fill(TEXT.warnDamaged, { count: damaged });
  if (reading === 3) {
    try {
      const kept = JSON.parse(stored(keyOf("disputed")) || "[]");
      disputed = new Map(kept.map(([id, cells]) => [numberOf(id), cells]).filter(([number]) => number >= 0));
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    }
    if (disputed.size) showDisputed();
  }
  // A browser that cannot save says so before any work is done.
  keep(unit);
}

prepareWords();
prepareControls();
prepareActions();
prepareCells();
prepareMaps();
byId("start-form").addEventListener("submit", (event) => {
  event.preventDefault();
  reader = oneLine(byId("reader").value);
  if (!reader) return;
  reading = Number(document.querySelector('[name="reading"]:checked').value);
  begin();
});
prepareStorage().then(() => {
  try {
    const [name, number] = JSON.parse(stored(PREFIX + "reader") || "[]");
    if (typeof name === "string") byId("reader").value = name;
    if ([1, 2, 3].includes(number)) document.querySelector('[name="reading"][value="' + number + '"]').checked = true;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
  }
  byId("start").hidden = false;
  byId("reader").focus();
  document.documentElement.dataset.ready = "true";
});
