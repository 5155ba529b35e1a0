// SPDX-License-Identifier: Apache-2.0
// Now: what is happening, by the stream of figures alone; the chart's series are read again when a new minute of them is there.

import { get } from "./api.js";
import { chart } from "./chart.js";
import { fill, h } from "./dom.js";
import { duration, few, moment, percent, plural, zoneName } from "./format.js";
import { onFigures } from "./live.js";
import { card, empty, heading, pill, words } from "./parts.js";
import { address } from "./router.js";

const FIGURES = [
  [
    "waiting",
    "Waiting",
    "calls that are scheduled",
    address("calls", { status: "scheduled" }),
    (count) => (count >= COUNTED ? `about ${few(count)}` : few(count)),
  ],
  ["due", "Due now", "their time has come"],
  ["dialing", "Dialing", "being placed or ringing", address("calls", { status: "calling" })],
  ["live", "On the line", "conversations going on", address("calls", { status: "in_progress" })],
  ["doneToday", "Done today", "calls that are over", address("calls", { status: "completed" })],
  ["successRateToday", "Success today", "of calls that are over", null, percent],
  ["oldestDueSeconds", "Oldest due", "how long it has waited", null, duration],
  ["undetermined", "Undetermined", "to be decided by you", address("undetermined")],
  ["deadLetters", "Dead letters", "messages to look at", address("dead-letters")],
];

const COUNTED = 100000; // more are estimated
const ALARMS = new Set(["undetermined", "deadLetters"]);
const LATE_S = 300;
const LAG = 1000;

function tiles() {
  const values = new Map();
  const list = h(
    "dl",
    { class: "tiles" },
    FIGURES.map(([name, title, hint, link]) => {
      const value = h("span", { class: "tile-value" }, "\u2013");
      values.set(name, value);
      return h(
        "div",
        { class: "tile", "data-figure": name },
        h("dt", null, link ? h("a", { href: link }, title) : title),
        h("dd", null, value, h("span", { class: "tile-hint" }, hint)),
      );
    }),
  );
  return {
    list,
    show(figures) {
      for (const [name, , , , format = few] of FIGURES) {
        const value = values.get(name);
        const text = format(figures[name]);
        if (value.textContent !== text) value.textContent = text;
        const alarm =
          (ALARMS.has(name) && figures[name] > 0) || (name === "oldestDueSeconds" && figures[name] > LATE_S);
        value.closest(".tile").classList.toggle("tile-alarm", alarm);
      }
    },
  };
}

function healthRow(name, good, text) {
  return h(
    "li",
    null,
    pill(good ? "good" : "failed", good ? "ok" : "trouble"),
    h("span", { class: "health-name" }, name),
    h("span", { class: "muted" }, text),
  );
}

const MISSING = {
  consumer: "none runs: nobody is dialed and nothing is recorded",
  producer: "none runs: nothing is scheduled",
  webhook: "none runs: providers keep their events until one does",
};

function health(figures) {
  const lag = Object.entries(figures.kafka?.lag ?? {});
  const behind = lag.filter(([, messages]) => messages > LAG);
  return h(
    "ul",
    { class: "health" },
    healthRow(
      "PostgreSQL",
      figures.postgres?.ok,
      figures.postgres?.ok
        ? `answers in ${duration((figures.postgres.latencyMs ?? 0) / 1000)}`
        : "does not answer: nothing is scheduled until it does",
    ),
    healthRow(
      "Kafka",
      figures.kafka?.ok && !behind.length,
      figures.kafka?.ok
        ? lag
            .map(([group, messages]) => `${group}: ${messages === null ? "unknown" : `${few(messages)} behind`}`)
            .join(", ") || "answers; how much is behind nobody knows"
        : "does not answer: jobs and events wait",
    ),
    (figures.missing ?? []).map((kind) => healthRow(kind, false, MISSING[kind] ?? "none runs")),
    (figures.processes ?? []).map((one) =>
      healthRow(
        `${one.name} ${one.instance}`,
        one.seenSecondsAgo < 15,
        one.seenSecondsAgo < 15
          ? "running"
          : `not heard of for ${duration(one.seenSecondsAgo)}: start it, or look at its log`,
      ),
    ),
  );
}

function breakers(figures) {
  const all = figures.breakers ?? [];
  if (!all.length)
    return empty(
      "No provider account yet.",
      "Give the producer a provider's key, or make an account under /api/accounts.",
    );
  return h(
    "ul",
    { class: "health" },
    all.map((one) =>
      h(
        "li",
        null,
        pill(
          one.state,
          { closed: "calls go through", open: "refused: resting", half_open: "trying again" }[one.state] ??
            words(one.state),
        ),
        h("span", { class: "health-name" }, one.account),
        one.until ? h("span", { class: "muted" }, `until ${moment(one.until)}`) : null,
      ),
    ),
  );
}

// Redraws a part only if what it shows has changed, so that nothing flickers under a reader.
function part(draw) {
  const place = h("div");
  return {
    place,
    show(figures) {
      const next = draw(figures);
      if (!next.isEqualNode(place.firstChild)) fill(place, next);
    },
  };
}

function total(series, name) {
  return (series[name] ?? []).reduce((sum, one) => sum + (one ?? 0), 0);
}

function chartCard(signal) {
  const place = h("div", { class: "chart", role: "img", "aria-label": "Calls over time" });
  const sum = h("p", { class: "muted" });
  let range = "hour";
  let drawing = null;
  let minute = null;
  let turns = 0;
  const drawn = () => {
    drawing ??= chart(place, signal).catch((error) => {
      drawing = null;
      throw error;
    });
    return drawing;
  };
  // An answer that came after another was asked for is not shown.
  const read = async () => {
    const turn = ++turns;
    const asked = range;
    try {
      const series = await get("/api/live/series", { query: { range: asked }, signal });
      const draw = await drawn();
      if (turn !== turns) return;
      const words_ = `${plural(total(series, "dispatched"), "dispatch", "dispatches")}, ${plural(total(series, "answered"), "answer")} and ${plural(total(series, "succeeded"), "success", "successes")} in the last ${asked}`;
      sum.textContent = `${words_}. Times are ${zoneName()}.`;
      place.setAttribute("aria-label", `Chart: ${words_}`);
      draw(series);
    } catch (error) {
      if (error.name !== "AbortError" && turn === turns) sum.textContent = error.message;
    }
  };
  const choose = (name, text) =>
    h(
      "label",
      { class: "choice" },
      h("input", {
        type: "radio",
        name: "range",
        value: name,
        checked: name === range,
        onchange: () => {
          range = name;
          read();
        },
      }),
      h("span", null, text),
    );
  return {
    element: card(
      "Calls over time",
      h(
        "fieldset",
        { class: "choices" },
        h("legend", { class: "visually-hidden" }, "Range"),
        choose("hour", "Hour"),
        choose("day", "Day"),
      ),
      place,
      sum,
    ),
    follow(figures) {
      const now = Math.floor(new Date(figures.at).getTime() / 60000);
      if (now !== minute) read();
      minute = now;
    },
  };
}

export default function now({ root, signal }) {
  const figures = tiles();
  const line = chartCard(signal);
  const parts = [part(health), part(breakers)];
  const at = h("p", { class: "muted" }, "Waiting for the first figures\u2026");
  fill(
    root,
    heading("Now"),
    at,
    figures.list,
    h(
      "div",
      { class: "columns" },
      h("div", { class: "column-wide" }, line.element),
      h("div", null, card("Health", parts[0].place), card("Provider accounts", parts[1].place)),
    ),
  );
  onFigures((latest) => {
    const underWay = latest.live === undefined ? "" : `, ${plural(latest.live + latest.dialing, "call")} under way`;
    at.textContent = `As of ${moment(latest.at)} ${zoneName()}${underWay}`;
    figures.show(latest);
    line.follow(latest);
    for (const one of parts) one.show(latest);
  }, signal);
}
