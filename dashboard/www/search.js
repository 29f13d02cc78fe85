// Finding a region by a part of its name, its code, or its English or German name. Pure functions.

const LETTERS = { ß: "ss", ø: "o", ł: "l", đ: "d", ð: "d", þ: "th", æ: "ae", œ: "oe", ı: "i" };

/** Lower case, without accents and signs. */
export function fold(text) {
  return text.toLowerCase().normalize("NFD").replace(/\p{M}/gu, "").replace(/[ßøłđðþæœı]/g, (letter) => LETTERS[letter])
    .replace(/[^\p{L}\p{N}]+/gu, " ").trim();
}

/** English and German names of regions whose own name is different -> a part of the own name, folded. */
export const EXONYMS = {
  munich: "munchen", cologne: "koln", nuremberg: "nurnberg", hanover: "hannover", bavaria: "bayern", saxony: "sachsen", hesse: "hessen",
  lisbon: "lisboa", vienna: "wien", carinthia: "karnten", styria: "steiermark", tyrol: "tirol", prague: "praha", warsaw: "warsz",
  cracow: "krakow", silesia: "slask", rome: "roma", milan: "milano", turin: "torino", naples: "napoli", florence: "firenze",
    venice: "venezia",
  genoa: "genova", lombardy: "lombardia", tuscany: "toscana", sicily: "sicilia", sardinia: "sardegna", apulia: "puglia", seville: "sevilla",
  andalusia: "andalucia", catalonia: "cataluna", saragossa: "zaragoza", brittany: "bretagne", normandy: "normandie", burgundy: "bourgogne",
  corsica: "corse", antwerp: "antwerpen", ghent: "gent", brussels: "bruxelles", bruges: "brugge", "the hague": "gravenhage",
  copenhagen: "kobenhavn", zealand: "sjaelland", gothenburg: "vastra gotaland", scania: "skane", helsinki: "helsinki", athens: "attiki",
  crete: "kriti", bucharest: "bucuresti", sofia: "sofia", belgrade: "beograd", "lower austria": "niederosterreich",
  "upper austria": "oberosterreich", germany: "deutschland", austria: "osterreich", spain: "espana", italy: "italia", sweden: "sverige",
  finland: "suomi", denmark: "danmark", greece: "ellada", hungary: "magyarorszag", poland: "polska", czechia: "cesko", croatia: "hrvatska",
  belgium: "belgique", netherlands: "nederland", switzerland: "schweiz", slovakia: "slovensko", estonia: "eesti", latvia: "latvija",
  lithuania: "lietuva", albania: "shqiperia", ireland: "eire",
  mailand: "milano", rom: "roma", neapel: "napoli", venedig: "venezia", florenz: "firenze", genua: "genova", lissabon: "lisboa",
  kopenhagen: "kobenhavn", prag: "praha", warschau: "warsz", krakau: "krakow", breslau: "wroclaw", danzig: "gdansk", stettin: "szczecin",
  bukarest: "bucuresti", athen: "attiki", brussel: "bruxelles", elsass: "alsace", lothringen: "lorraine", burgund: "bourgogne",
  korsika: "corse", sizilien: "sicilia", sardinien: "sardegna", toskana: "toscana", lombardei: "lombardia", apulien: "puglia",
  katalonien: "cataluna", andalusien: "andalucia", bohmen: "cechy", mahren: "morav", schlesien: "slask", ungarn: "magyarorszag",
  tschechien: "cesko", polen: "polska", italien: "italia", spanien: "espana", frankreich: "france", belgien: "belgique",
  niederlande: "nederland", schweden: "sverige", danemark: "danmark", finnland: "suomi", norwegen: "norge", griechenland: "ellada",
  turkei: "turkiye", rumanien: "romania", bulgarien: "bulgaria", kroatien: "hrvatska", slowakei: "slovensko", slowenien: "slovenija",
  estland: "eesti", lettland: "latvija", litauen: "lietuva", albanien: "shqiperia", irland: "eire",
};

/** Prepare the regions [[geo, name, level, ...], ...] for find(). */
export const searchIndex = (regions) => regions.map(([geo, name, level]) => ({ geo, name, level, text: fold(name),
  code: geo.toLowerCase() }));

/** Find regions: by code, name, start, word or part, in this order; regions of the level shown first among equals. */
export function find(index, text, level, count = 10) {
  const wanted = fold(text);
  if (!wanted) return [];
  const code = text.trim().toLowerCase();
  const own = Object.keys(EXONYMS).filter((name) => name.startsWith(wanted) && wanted.length > 2).map((name) => EXONYMS[name]);
  const score = (one) => {
    if (one.code === code) return 0;
    if (one.text === wanted) return 1;
    if (one.text.startsWith(wanted)) return 2;
    if (own.some((name) => one.text.includes(name))) return 3;
    if (` ${one.text}`.includes(` ${wanted}`)) return 4;
    if (one.text.includes(wanted)) return 5;
    return one.code.startsWith(code) ? 6 : null;
  };
  return index.map((one) => ({ one, at: score(one) })).filter(({ at }) => at !== null)
    .sort((a, b) => (a.at === 0) !== (b.at === 0) ? a.at - b.at
      : (b.one.level === level) - (a.one.level === level) || a.at - b.at || a.one.level - b.one.level || (a.one.geo < b.one.geo ? -1 : 1))
    .slice(0, count).map(({ one }) => one);
}
