import assert from "node:assert/strict";
import test from "node:test";
import { commonDecimals, counted, decimalsFor, interval, listed, number, periodLabel, periodTitle, tickDecimals, ticks, withUnit } from "../../www/format.js";

const figure = (value, low = null, high = null) => ({ value, low, high });

test("digits follow the interval: two significant digits of its half width", () => {
  for (const [f, decimals] of [
    [figure(12.345, 11, 13.7), 1], [figure(12.345, 12.33, 12.36), 3], [figure(1234, 1100, 1400), 0], [figure(0.5, 0.5, 0.5), 2],
    [figure(0.01234), 3], [figure(123.4), 0], [figure(12.3), 1], [figure(0), 1], [figure(null), 1], [figure(9.96), 1], [figure(-0.0171, -0.02, -0.01), 4],
  ]) assert.equal(decimalsFor(f), decimals, JSON.stringify(f));
});

test("a column has the decimals of its middle figure", () => {
  assert.equal(commonDecimals([figure(1), figure(100), figure(0.01), figure(null)]), 1);
  assert.equal(commonDecimals([figure(null)]), 1);
});

test("numbers have commas, a true minus, no sign at zero, and a dash where there is none", () => {
  assert.equal(number(-1234.56, 1), "−1,234.6");
  assert.equal(number(0.25, 2, true), "+0.25");
  assert.equal(number(-0.001, 1, true), "0.0");
  assert.equal(number(null, 1), "–");
  assert.equal(withUnit(3, 1, "ha"), "3.0\u00a0ha");
  assert.equal(withUnit(null, 1, "ha"), "–");
  assert.equal(interval(figure(2, -1, 5), 0), "−1 to 5");
  assert.equal(interval(figure(2), 0), "");
});

test("periods have a short and a long form", () => {
  assert.deepEqual([[2018, 2018], [2017, 2018], [1999, 2000]].map(periodLabel), ["2018", "2017–18", "1999–2000"]);
  assert.deepEqual([[2018, 2018], [2017, 2023]].map(periodTitle), ["2018", "2017 to 2023"]);
});

test("axes span their values with round steps", () => {
  for (const [low, high] of [[0, 0], [0.3, 9.1], [-5, 2], [99, 99.5], [1e-5, 3e-5]]) {
    const all = ticks(low, high);
    assert.ok(all[0] <= low && all[all.length - 1] >= high && all.length >= 2 && all.length <= 9, `${low} ${high} ${all}`);
  }
  assert.deepEqual(ticks(0.3, 9.1), [0, 2, 4, 6, 8, 10]);
  assert.equal(tickDecimals([0, 0.25, 0.5]), 2);
});

test("words", () => {
  assert.equal(listed(["a", "b", "c"]), "a, b and c");
  assert.equal(counted(1, "{n} region", "{n} regions"), "1 region");
  assert.equal(counted(1345, "{n} region", "{n} regions"), "1,345 regions");
});
