// SPDX-License-Identifier: Apache-2.0
// The history: filters that are part of the address, pages that are read as they come into sight, and all that fits as CSV.

import { get, open } from "./api.js";
import { debounce, fill, h } from "./dom.js";
import { dayStart, duration, localDay, size, time, zoneName } from "./format.js";
import { onFigures } from "./live.js";
import { empty, heading, pill, problemPanel, words } from "./parts.js";
import { address, setQuery } from "./router.js";
import { longTable } from "./table.js";

const STATUSES = [
  "scheduled",
  "calling",
  "in_progress",
  "completed",
  "failed",
  "cancelled",
  "unknown",
  "undetermined",
  "dialing",
  "ringing",
  "rejected",
  "not_dialed",
];
const REFRESH_MS = 3000;
const PART_BYTES = 4 * 1024 * 1024;

export const callColumns = [
  {
    title: `Time (${zoneName()})`,
    header: true,
    class: "nowrap",
    cell: (one) => h("a", { href: address(`calls/${one.id}`) }, time(one.timestamp)),
  },
  {
    title: "Contact",
    cell: (one) => [
      one.contactName
        ? h("a", { href: address(`leads/${one.contactId}`) }, one.contactName)
        : h("a", { href: address(`leads/${one.contactId}`) }, "no name"),
      h("div", { class: "muted small" }, one.phone ?? "no number"),
    ],
  },
  {
    title: "Campaign",
    cell: (one) =>
      one.campaignId
        ? h("a", { href: address(`campaigns/${one.campaignId}`) }, one.campaignName ?? one.campaignId)
        : h("span", { class: "muted" }, words(one.kind)),
  },
  {
    title: "Status",
    cell: (one) => [pill(one.status), one.outcome ? h("div", { class: "small" }, words(one.outcome)) : null],
  },
  { title: "What happened", class: "wide", cell: (one) => one.message },
  { title: "Lasted", class: "number", cell: (one) => duration(one.durationSeconds) },
];

// The API's filter: days are those of this browser's zone.
const asked = (filter) => ({
  campaign: filter.campaign,
  status: filter.status,
  q: filter.q,
  lead_id: filter.lead_id,
  from: filter.from ? dayStart(filter.from) : "",
  to: filter.to ? dayStart(filter.to, 1) : "",
});

function save(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// The export is read as it comes and put away in parts, so that millions of rows do not fill the page's memory.
function exporter(filter, signal) {
  const said = h("span", { role: "status", class: "muted" });
  const cancel = h("button", { type: "button", class: "button button-small", hidden: true }, "Cancel");
  const button = h("button", { type: "button", class: "button" }, "Export CSV");
  const said_ = (text) => {
    said.textContent = text;
  };
  button.addEventListener("click", async () => {
    if (!cancel.hidden) return;
    const controller = new AbortController();
    const off = () => controller.abort();
    signal.addEventListener("abort", off);
    cancel.onclick = off;
    cancel.hidden = false;
    try {
      const answer = await open("GET", "/api/calls", {
        query: asked(filter),
        accept: "text/csv",
        signal: controller.signal,
      });
      const parts = [];
      let chunks = [];
      let held = 0;
      let total = 0;
      const reader = answer.body.getReader();
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        chunks.push(next.value);
        held += next.value.length;
        total += next.value.length;
        if (held > PART_BYTES) {
          parts.push(new Blob(chunks));
          chunks = [];
          held = 0;
        }
        said_(`${size(total)} so far`);
      }
      save(new Blob([...parts, ...chunks], { type: "text/csv" }), `calls-${localDay()}.csv`);
      said_(`Exported ${size(total)}`);
    } catch (error) {
      said_(error.name === "AbortError" ? "Export cancelled" : error.message);
    } finally {
      cancel.hidden = true;
      signal.removeEventListener("abort", off);
    }
  });
  return [said, cancel, button];
}

function filters(filter, apply, campaigns) {
  const typed = debounce(() => apply(false), 300);
  const field = (label, input) => h("label", null, label, input);
  const choose = (name) => (event) => {
    filter[name] = event.target.value;
    apply(true);
  };
  return h(
    "form",
    { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
    field(
      "Name or number",
      h("input", {
        type: "search",
        name: "q",
        value: filter.q,
        oninput: (event) => {
          filter.q = event.target.value.trim();
          typed();
        },
      }),
    ),
    field(
      "Status",
      h(
        "select",
        { name: "status", onchange: choose("status") },
        h("option", { value: "" }, "All"),
        STATUSES.map((one) => h("option", { value: one, selected: one === filter.status }, words(one))),
      ),
    ),
    field("Campaign", campaigns),
    field("From", h("input", { type: "date", name: "from", value: filter.from, onchange: choose("from") })),
    field("To", h("input", { type: "date", name: "to", value: filter.to, onchange: choose("to") })),
  );
}

async function fillCampaigns(select, filter, signal) {
  try {
    const { campaigns } = await get("/api/campaigns", { query: { limit: 500 }, signal });
    const known = campaigns.some((one) => String(one.id) === filter.campaign);
    fill(
      select,
      h("option", { value: "" }, "All"),
      known || !filter.campaign
        ? null
        : h("option", { value: filter.campaign, selected: true }, `Campaign ${filter.campaign}`),
      campaigns.map((one) => h("option", { value: one.id, selected: String(one.id) === filter.campaign }, one.name)),
    );
  } catch (error) {
    if (error.name !== "AbortError")
      fill(
        select,
        h("option", { value: filter.campaign ?? "" }, filter.campaign ? `Campaign ${filter.campaign}` : "All"),
      );
  }
}

export default function calls({ root, query, signal }) {
  const filter = {
    q: query.q ?? "",
    status: query.status ?? "",
    campaign: query.campaign ?? "",
    from: query.from ?? "",
    to: query.to ?? "",
    lead_id: query.lead_id ?? "",
  };
  const list = longTable({
    columns: callColumns,
    caption: `Calls, the youngest first, times in ${zoneName()}`,
    noun: "call",
    signal,
    read: async ({ after, limit, signal: reading }) => {
      const answer = await get("/api/calls", { query: { ...asked(filter), after, limit }, signal: reading });
      return { rows: answer.calls, next: answer.next };
    },
    nothing: () =>
      Object.values(filter).some(Boolean)
        ? empty("No call fits these filters.", h("a", { href: "#/calls" }, "Show all calls"), ".")
        : empty(
            "No call yet.",
            "Calls appear here as soon as they are scheduled: ",
            h("a", { href: "#/campaigns" }, "start a campaign"),
            " or ",
            h("a", { href: "#/leads" }, "find a lead"),
            ".",
          ),
  });
  const problem = h("div", { class: "long" });
  const apply = (step) => {
    setQuery(filter, { step });
    fill(problem);
    list.reset();
  };
  const campaigns = h(
    "select",
    {
      name: "campaign",
      onchange: (event) => {
        filter.campaign = event.target.value;
        apply(true);
      },
    },
    h("option", { value: filter.campaign }, filter.campaign ? `Campaign ${filter.campaign}` : "All"),
  );
  root.append(heading("Calls", exporter(filter, signal)), filters(filter, apply, campaigns), problem);
  if (filter.lead_id) {
    root.append(
      h(
        "p",
        { class: "notice" },
        "Only calls of one lead. ",
        h("a", { href: address(`leads/${filter.lead_id}`) }, "The lead"),
        ", or ",
        h("a", { href: "#/calls" }, "all calls"),
        ".",
      ),
    );
  }
  root.append(list.element);
  if ([filter.from, filter.to].some((text) => text && !dayStart(text)))
    fill(problem, problemPanel(new Error("A date in the address can't be read: choose it anew.")));
  let last = Date.now();
  onFigures(() => {
    if (Date.now() - last < REFRESH_MS) return;
    last = Date.now();
    list.refresh();
  }, signal);
  fillCampaigns(campaigns, filter, signal);
  return list.reset();
}
