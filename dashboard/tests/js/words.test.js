import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { counted, interval, listed, number, periodTitle } from "../../www/format.js";
import { speak, t, within } from "../../www/words.js";

const catalogue = (code) => JSON.parse(readFileSync(new URL(`../../languages/${code}.json`, import.meta.url), "utf-8"));

test("a text without a translation stays English, and values are put in once", () => {
  speak({ locale: "en-GB", small: true, messages: {} });
  assert.equal(t("{a} of {b}", { a: "{b}", b: 2 }), "{b} of 2");
  assert.equal(t("{a} of {b}", { a: 1 }), "1 of {b}");
  assert.equal(within("Provisional"), "provisional");
});

test("numbers, periods and counts are written in the language", () => {
  speak(catalogue("de"));
  assert.equal(number(-1234.5, 1), "−1.234,5");
  assert.equal(interval({ low: 1000, high: 2000 }, 0), "1.000 bis 2.000");
  assert.equal(periodTitle([2017, 2023]), "2017 bis 2023");
  assert.equal(listed(["a", "b"]), "a und b");
  assert.equal(counted(1345, "{n} ranked region", "{n} ranked regions"), "1.345 Regionen mit Rang");
  assert.equal(within("Bruch in der Zeitreihe"), "Bruch in der Zeitreihe");
  speak(catalogue("en"));
  assert.equal(number(-1234.5, 1), "−1,234.5");
});
