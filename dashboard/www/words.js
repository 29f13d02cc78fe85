// Texts and numbers in the language of the page. Texts are written in English here; the catalogue gives those of other languages.

let language = { locale: "en-GB", small: true, messages: {} };

/** Use a catalogue: {locale, small, messages}. */
export function speak(catalogue) {
  language = catalogue;
}

/** Return a text in the language of the page, with its {names} replaced by values. */
export function t(text, values = {}) {
  return (language.messages[text] || text).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Write a text for the middle of a sentence: in English it begins with a small letter; German nouns keep theirs. */
export const within = (text) => (language.small ? text.charAt(0).toLowerCase() + text.slice(1) : text);

/** Write a positive number with the signs of the language. */
export const digits = (value, options) => value.toLocaleString(language.locale, options);
