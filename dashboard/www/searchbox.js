// The field to find a region: a combobox with a list, as the ARIA practices describe it.

import { byId, h, replace } from "./dom.js";
import { find, searchIndex } from "./search.js";
import { t } from "./words.js";
import { facts, nameRows } from "./data.js";

export function searchBox({ level, onChoose }) {
  const field = byId("search"), list = byId("found"), none = byId("not-found"), index = searchIndex(nameRows);
  let results = [], active = -1;

  function show() {
    results = find(index, field.value, level());
    active = results.length ? 0 : -1;
    const isEmpty = !field.value.trim();
    none.hidden = isEmpty || results.length > 0;
    none.textContent = none.hidden ? "" : t("No region has this name or code.");
    list.hidden = !results.length;
    field.setAttribute("aria-expanded", String(results.length > 0));
    replace(list, results.map((one, i) => h("li", { role: "option", id: `found-${i}`, "data-at": i }, h("span", {}, one.name), h("span",
      { class: "code" }, ` ${one.geo} · ${facts.levels[one.level][0]}`))));
    mark();
  }

  function mark() {
    [...list.children].forEach((node, i) => node.setAttribute("aria-selected", String(i === active)));
    if (active < 0) field.removeAttribute("aria-activedescendant");
    else {
      field.setAttribute("aria-activedescendant", `found-${active}`);
      list.children[active].scrollIntoView({ block: "nearest" });
    }
  }

  function close() {
    list.hidden = true;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  }

  function take(at) {
    if (!results[at]) return;
    field.value = "";
    close();
    onChoose(results[at].geo);
  }

  field.addEventListener("input", show);
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && results.length) {
      if (list.hidden) show();
      else active = (active + step + results.length) % results.length;
      mark();
    } else if (event.key === "Enter") take(active);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  });
  // The field keeps the focus while an option is pressed, because it closes the list when it loses it.
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[data-at]");
    if (option) take(Number(option.dataset.at));
  });
  field.addEventListener("blur", close);
}
