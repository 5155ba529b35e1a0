// SPDX-License-Identifier: Apache-2.0
// All campaigns: their schedules in words, how far they are, start and stop.

import { get, mayOperate } from "./api.js";
import { debounce, h } from "./dom.js";
import { onFigures } from "./live.js";
import { progressBar, switchButtons } from "./campaign_parts.js";
import { empty, heading, noticeLine, pill } from "./parts.js";
import { address, setQuery } from "./router.js";
import { scheduleInWords } from "./schedule.js";
import { longTable } from "./table.js";

const REFRESH_MS = 3000;

export default function campaigns({ root, query, signal }) {
  const filter = { q: query.q ?? "", active: query.active ?? "" };
  let bars = new Map();
  let list = null;
  const notice = noticeLine();

  // A bar is read when it is first seen, and again when the figures move while it is in sight.
  const sight = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const bar = bars.get(entry.target);
      if (!bar) continue;
      bar.visible = entry.isIntersecting;
      if (entry.isIntersecting && !bar.read) bar.refresh();
    }
  });
  signal.addEventListener("abort", () => sight.disconnect());

  const columns = [
    {
      title: "Campaign",
      header: true,
      cell: (one) => [
        h("a", { href: address(`campaigns/${one.id}`) }, one.name),
        h("div", { class: "muted small" }, one.account ?? "no account"),
      ],
    },
    { title: "State", cell: (one) => pill(one.isActive ? "active" : "stopped", one.isActive ? "active" : "stopped") },
    { title: "Schedule", class: "wide", cell: (one) => scheduleInWords(one) },
    {
      title: "Progress",
      class: "wide",
      cell: (one) => {
        const bar = progressBar(one, signal);
        bars.set(bar.element, bar);
        sight.observe(bar.element);
        return bar.element;
      },
    },
  ];
  if (mayOperate())
    columns.push({
      title: "Actions",
      mute: true,
      cell: (one) =>
        switchButtons(one, (said) => {
          notice.say(`${one.name}: ${said}`);
          return list.reset();
        }),
    });

  list = longTable({
    columns,
    caption: "Campaigns",
    noun: "campaign",
    signal,
    read: async ({ after, limit, signal: reading }) => {
      const answer = await get("/api/campaigns", { query: { ...filter, after, limit }, signal: reading });
      return { rows: answer.campaigns, next: answer.next };
    },
    nothing: () =>
      filter.q || filter.active
        ? empty("No campaign fits.", "Change the filters above.")
        : empty(
            "No campaign yet.",
            mayOperate()
              ? [
                  "A campaign calls a list of people in hours that you choose. ",
                  h("a", { href: "#/campaigns/new" }, "Create the first"),
                  ".",
                ]
              : "An operator can create one.",
          ),
  });

  const search = debounce(() => {
    setQuery(filter, { step: false });
    list.reset();
  }, 250);
  root.append(
    heading(
      "Campaigns",
      mayOperate() ? h("a", { class: "button button-main", href: "#/campaigns/new" }, "Create campaign") : null,
    ),
    notice.element,
    h(
      "form",
      { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      h(
        "label",
        null,
        "Name",
        h("input", {
          type: "search",
          value: filter.q,
          oninput: (event) => {
            filter.q = event.target.value.trim();
            search();
          },
        }),
      ),
      h(
        "label",
        null,
        "State",
        h(
          "select",
          {
            onchange: (event) => {
              filter.active = event.target.value;
              setQuery(filter);
              list.reset();
            },
          },
          [
            ["", "All"],
            ["true", "Active"],
            ["false", "Stopped"],
          ].map(([value, text]) => h("option", { value, selected: value === filter.active }, text)),
        ),
      ),
    ),
    list.element,
  );

  let last = 0;
  onFigures(() => {
    if (Date.now() - last < REFRESH_MS) return;
    last = Date.now();
    bars = new Map([...bars].filter(([element]) => element.isConnected));
    for (const bar of bars.values()) if (bar.visible && (bar.moves || !bar.read)) bar.refresh();
  }, signal);
  return list.reset();
}
