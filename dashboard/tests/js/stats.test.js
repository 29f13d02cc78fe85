import assert from "node:assert/strict";
import test from "node:test";
import { classOf, movePeriod, rank, reliability, similar, sureSentence } from "../../www/stats.js";

const figure = (geo, value, low = null, high = null, flags = "", coverage = 90) => ({ geo, value, low, high, flags, coverage, reason: "" });
const A = figure("A", 10, 9, 11), B = figure("B", 6, 4, 8), C = figure("C", 5, 3, 7), D = figure("D", 1, 0.5, 1.5), NONE = figure("N", null);

test("a figure is missing, unreliable, unclear or clear", () => {
  for (const [f, isNet, kind] of [
    [NONE, true, "missing"], [figure("x", 1, 0.5, 2, "u"), true, "unreliable"], [figure("x", 1, 0.5, 2, "", 49), false, "unreliable"],
    [figure("x", 1, -0.5, 2), true, "unclear"], [figure("x", 1, 0, 2), true, "unclear"], [figure("x", 1, 0, 2), false, "clear"],
    [figure("x", 1, 0.1, 2), true, "clear"], [figure("x", 1), true, "clear"], [figure("x", 1, -1, 2, "pu"), true, "unreliable"],
  ]) assert.equal(reliability(f, 50, isNet), kind, JSON.stringify(f));
});

test("ranks have the interval that the intervals of all figures allow", () => {
  const rows = rank([D, C, NONE, B, A], "desc");
  assert.deepEqual(rows.map((r) => [r.figure.geo, r.place, r.best, r.worst, r.tied]), [["A", 1, 1, 1, 0], ["B", 2, 2, 3, 1], ["C", 3, 2, 3, 1], ["D", 4, 4, 4, 0]]);
});

test("ascending ranks turn the intervals round", () => {
  const rows = rank([A, B, C, D], "asc");
  assert.deepEqual(rows.map((r) => [r.figure.geo, r.place, r.best, r.worst]), [["D", 1, 1, 1], ["C", 2, 2, 3], ["B", 3, 2, 3], ["A", 4, 4, 4]]);
});

test("equal values share a rank, and a figure without interval has no interval of the rank", () => {
  const rows = rank([figure("X", 5), figure("Y", 5), figure("Z", 5), figure("W", 1)], "desc");
  assert.deepEqual(rows.map((r) => [r.place, r.best]), [[1, null], [1, null], [1, null], [4, null]]);
});

test("the sentence counts who is surely above the rest", () => {
  const rows = rank([A, B, C, D], "desc");
  assert.equal(sureSentence(rows, 1, "desc"), "The first is surely above the rest.");
  assert.equal(sureSentence(rows, 2, "desc"), "Only 1 of the first 2 is surely above the rest.");
  assert.equal(sureSentence(rows, 3, "desc"), "All of the first 3 are surely above the rest.");
  assert.equal(sureSentence(rows, 4, "desc"), "");
  assert.equal(sureSentence(rank([B, C, D], "desc"), 1, "desc"), "The first is not surely above the rest.");
  assert.equal(sureSentence(rank([A, B, C, D], "asc"), 2, "asc"), "Only 1 of the first 2 is surely below the rest.");
  assert.equal(sureSentence(rank([figure("X", 5), figure("Y", 4)], "desc"), 1, "desc"), "These figures have no intervals, so their order is not sure.");
});

test("a value on a limit belongs to the class above it", () => {
  assert.deepEqual([-1, 0, 0.5, 1, 7].map((v) => classOf(v, [0, 1])), [0, 1, 1, 2, 2]);
});

test("similar regions have the nearest figures", () => {
  assert.deepEqual(similar([A, B, C, D, NONE], "B", 2), ["C", "A"]);
  assert.deepEqual(similar([A, NONE], "N", 2), []);
});

test("a moved handle finds a period of the table: same length, else same other end, else the nearest", () => {
  const table = [[2017, 2018], [2018, 2019], [2019, 2020], [2017, 2020]];
  assert.deepEqual(movePeriod(table, [2018, 2019], "to", 2020), [2019, 2020]);
  assert.deepEqual(movePeriod(table, [2019, 2020], "from", 2017), [2017, 2018]);
  assert.deepEqual(movePeriod(table, [2017, 2020], "to", 2019), [2018, 2019]);
  assert.deepEqual(movePeriod(table, [2017, 2020], "from", 2019), [2019, 2020]);
  assert.deepEqual(movePeriod(table, [2018, 2019], "to", 2017), [2017, 2018]);
});
