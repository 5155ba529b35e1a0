// SPDX-License-Identifier: Apache-2.0
// Leads: found by a part of their name, by number, or by what the dialer calls them.

import { get } from "./api.js";
import { debounce, h } from "./dom.js";
import { time, zoneName } from "./format.js";
import { empty, heading, pill } from "./parts.js";
import { address, setQuery } from "./router.js";
import { longTable } from "./table.js";

export const leadName = (lead) => [lead.first_name, lead.last_name].filter(Boolean).join(" ") || "No name";

// One field for both: what has no letters is a number.
const isNumber = (text) => /\d/.test(text) && !/[^\d\s()+.-]/.test(text);

export function asked(filter) {
  const text = filter.q.trim();
  return {
    ...(isNumber(text) ? { phone: text } : { q: text }),
    stage: filter.stage,
    paused: filter.paused,
    external_id: filter.external_id,
    list_id: filter.list_id,
  };
}

const COLUMNS = [
  { title: "Lead", header: true, cell: (one) => h("a", { href: address(`leads/${one.id}`) }, leadName(one)) },
  {
    title: "Number",
    class: "nowrap",
    cell: (one) => [
      one.phone_e164 ?? one.phone ?? "none",
      one.phone && !one.phone_e164 ? h("div", { class: "small muted" }, "can't be dialed") : null,
    ],
  },
  { title: "Stage", cell: (one) => [pill(one.stage), one.paused ? [" ", pill("paused")] : null] },
  {
    title: "Zone",
    cell: (one) =>
      one.zones.length
        ? one.zones.slice(0, 2).join(", ").replaceAll("_", " ") +
          (one.zones.length > 2 ? ` and ${one.zones.length - 2} more` : "")
        : "not known",
  },
  { title: "Dialer's id", cell: (one) => one.external_id ?? "\u2013" },
  { title: "List", cell: (one) => one.list_id ?? "\u2013" },
  { title: `First called (${zoneName()})`, class: "nowrap", cell: (one) => time(one.call_date) },
];

export default function leads({ root, query, signal }) {
  const filter = {
    q: query.q ?? "",
    stage: query.stage ?? "",
    paused: query.paused ?? "",
    external_id: query.external_id ?? "",
    list_id: query.list_id ?? "",
  };
  const list = longTable({
    columns: COLUMNS,
    caption: "Leads, the oldest first",
    noun: "lead",
    signal,
    read: async ({ after, limit, signal: reading }) => {
      const answer = await get("/api/leads", { query: { ...asked(filter), after, limit }, signal: reading });
      return { rows: answer.leads, next: answer.next };
    },
    nothing: () =>
      Object.values(filter).some(Boolean)
        ? empty(
            "No lead fits.",
            "A number is found whole, in any way of writing; a name by any part of it. ",
            h("a", { href: "#/leads" }, "Show all leads"),
            ".",
          )
        : empty(
            "No lead yet.",
            "They come by a ",
            h("a", { href: "#/campaigns" }, "campaign's CSV file"),
            ", or by POST /api/leads/bulk.",
          ),
  });
  const apply = (step) => {
    setQuery(filter, { step });
    list.reset();
  };
  const typed = debounce(() => apply(false), 300);
  const field = (name, label, type = "search") =>
    h(
      "label",
      null,
      label,
      h("input", {
        type,
        name,
        value: filter[name],
        oninput: (event) => {
          filter[name] = event.target.value.trim();
          typed();
        },
      }),
    );
  root.append(
    heading("Leads"),
    h(
      "form",
      { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      field("q", "Name or whole number"),
      field("stage", "Stage"),
      h(
        "label",
        null,
        "Paused",
        h(
          "select",
          {
            name: "paused",
            onchange: (event) => {
              filter.paused = event.target.value;
              apply(true);
            },
          },
          [
            ["", "All"],
            ["true", "Paused"],
            ["false", "Not paused"],
          ].map(([value, text]) => h("option", { value, selected: value === filter.paused }, text)),
        ),
      ),
      field("external_id", "Dialer's id"),
      field("list_id", "List"),
    ),
    list.element,
  );
  return list.reset();
}
