import assert from "node:assert/strict";
import test from "node:test";
import { EXONYMS, find, fold, searchIndex } from "../../www/search.js";

const INDEX = searchIndex([
  ["DE21H", "München, Landkreis", 3], ["DE212", "München, Kreisfreie Stadt", 3], ["DE21", "Oberbayern", 2], ["DEA23", "Köln, Kreisfreie Stadt", 3], ["DEA2", "Köln", 2],
  ["PT1A0", "Grande Lisboa", 3], ["PL", "Polska", 0], ["PL213", "Miasto Kraków", 3], ["DK0", "Færøerne Øst", 1], ["XA111", "Under München", 3],
]);
const codes = (text, level = 3) => find(INDEX, text, level).map((one) => one.geo);

test("accents and letters of other alphabets do not matter", () => {
  assert.equal(fold("  Łódź-Süd, Færøerne "), "lodz sud faeroerne");
  assert.ok(codes("munchen").includes("DE212"));
  assert.ok(codes("ost").includes("DK0"));
});

test("any part of a name is found, starts first", () => {
  assert.deepEqual(codes("munch"), ["DE212", "DE21H", "XA111"]);
  assert.deepEqual(codes("isboa"), ["PT1A0"]);
});

test("a code is found first, whatever the level", () => {
  assert.equal(codes("dea2", 3)[0], "DEA2");
  assert.equal(codes("PL", 3)[0], "PL");
});

test("the level shown comes first", () => {
  assert.equal(codes("köln", 2)[0], "DEA2");
  assert.equal(codes("köln", 3)[0], "DEA23");
});

test("English and German names find regions by their own names", () => {
  for (const [english, geo] of [["Munich", "DE212"], ["Cologne", "DEA23"], ["Lisbon", "PT1A0"], ["Cracow", "PL213"], ["poland", "PL"], ["Lissabon", "PT1A0"], ["Krakau", "PL213"], ["Polen", "PL"]]) assert.ok(codes(english).includes(geo), english);
  for (const [english, own] of Object.entries(EXONYMS)) assert.deepEqual([fold(english), fold(own)], [english, own]);
});

test("nothing is found for nothing or nonsense", () => {
  assert.deepEqual(codes(""), []);
  assert.deepEqual(codes("  "), []);
  assert.deepEqual(codes("nowhere"), []);
});
