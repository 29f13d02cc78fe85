// The period: one handle for a stock, two for a flow. Only periods of the table can be shown; intervals are never added up.

import { byId, h, replace } from "./dom.js";
import { periodTitle } from "./format.js";
import { t } from "./words.js";
import { movePeriod } from "./stats.js";

const STEP_MS = 900;

export class PeriodControl {
  constructor(onChange) {
    Object.assign(this, { onChange, periods: [], current: null, timer: null });
    for (const name of ["from", "to"]) byId(name).addEventListener("input", () => this.move(name));
    byId("play").addEventListener("click", () => (this.timer ? this.stop() : this.play()));
    addEventListener("resize", () => {
      byId("year-labels").removeAttribute("data-years");
      if (this.years) this.label();
    });
    byId("spans").addEventListener("click", (event) => {
      const button = event.target.closest("[data-period]");
      if (button) this.choose(button.dataset.period.split("-").map(Number));
    });
  }

  /** Show the periods of a measure and the one that is drawn. */
  set(periods, current) {
    this.periods = periods;
    this.current = current;
    const isFlow = periods.some(([from, to]) => from !== to);
    this.years = [...new Set(periods.flat())].sort((a, b) => a - b);
    const series = this.alike();
    byId("play").disabled = series.length < 2;
    byId("from").parentElement.hidden = !isFlow;
    byId("to-label").textContent = isFlow ? t("To") : t("Year");
    for (const [name, end] of [["from", 0], ["to", 1]]) {
      const handle = byId(name);
      handle.disabled = periods.length < 2;
      handle.max = this.years.length - 1;
      if (current) {
        handle.value = this.years.indexOf(current[end]);
        handle.setAttribute("aria-valuetext", isFlow
          ? t("{year}, period {period}", { year: current[end], period: periodTitle(current) }) : t("{year}, year shown", { year: current[end] }));
      }
    }
    this.label();
    const groups = new Map();
    for (const p of periods) if (p[0] !== p[1]) groups.set(p[1] - p[0], p);
    const whole = Math.max(0, ...groups.keys());
    const name = (length, from) => (length === 1 ? t("1 year") : length === whole ? t("since {year}", { year: from })
      : t("{count} years", { count: length }));
    replace(byId("spans"), isFlow && groups.size > 1 && current ? [...groups.keys()].sort((a, b) => a - b).map((length) => {
      const to = movePeriod(periods.filter((p) => p[1] - p[0] === length), [current[1] - length, current[1]], "to", current[1]);
      return h("button", { type: "button", "data-period": to.join("-"), "data-key": `span-${length}`,
        "aria-pressed": String(current[1] - current[0] === length) }, name(length, to[0]));
    }) : null);
  }

  /** Write the years below the handles. They are measured when they change, not at each repaint, because the browser would lay out the page. */
  label() {
    const box = byId("year-labels"), years = this.years.join();
    if (box.dataset.years !== years) {
      const every = Math.ceil((this.years.length * 44) / (box.getBoundingClientRect().width || 400)), last = this.years.length - 1;
      replace(box, this.years.map((year, i) => h("span", {}, (last - i) % every ? "" : String(year))));
      box.dataset.years = years;
    }
    [...box.children].forEach((one, i) => one.classList.toggle("now", Boolean(this.current) && this.current.includes(this.years[i])));
  }

  /** Periods as long as the one shown, ascending. */
  alike() {
    const { current } = this;
    return current ? this.periods.filter((p) => p[1] - p[0] === current[1] - current[0]) : [];
  }

  move(name) {
    this.stop();
    this.choose(movePeriod(this.periods, this.current, name, this.years[Number(byId(name).value)]));
  }

  choose(period) {
    this.current = period;
    this.onChange(period);
    this.set(this.periods, period);
  }

  play() {
    const series = this.alike();
    const at = () => series.findIndex((p) => p[1] === this.current[1]);
    if (at() === series.length - 1) this.choose(series[0]);
    byId("play").textContent = t("Pause");
    byId("play").setAttribute("aria-pressed", "true");
    this.timer = setInterval(() => (at() < series.length - 1 ? this.choose(series[at() + 1]) : this.stop()), STEP_MS);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    byId("play").textContent = t("Play");
    byId("play").setAttribute("aria-pressed", "false");
  }
}

