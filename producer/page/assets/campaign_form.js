// SPDX-License-Identifier: Apache-2.0
// A campaign is made or changed: every field with what it means, the schedule in words, and the windows that come of it.

import { get, isAdmin, post, request } from "./api.js";
import { fill, h } from "./dom.js";
import { errorSummary, fields } from "./fields.js";
import { heading, loading } from "./parts.js";
import { address, go, setTitle } from "./router.js";
import { dayNames, isoDay, longDayNames, nextWindows, scheduleInWords, zonePlace } from "./schedule.js";

const NEW = {
  scheduleFrequency: "daily",
  startTime: "09:00",
  endTime: "17:00",
  retryAttempts: 3,
  maxConcurrent: 10,
  maxPerRun: 50,
  useLeadWindow: true,
  isActive: false,
  timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
};

const WHAT = [
  { name: "name", label: "Name", attributes: { maxlength: 200, required: true } },
  {
    name: "account",
    label: "Provider account",
    list: "accounts",
    hint: "Whose number is called from; without one nothing can be dialed.",
  },
  { name: "assistantId", label: "Assistant id", hint: "Empty: the account's own." },
  { name: "phoneNumberId", label: "Phone number id", hint: "Empty: the account's own." },
];
const WHEN = [
  {
    name: "scheduleFrequency",
    label: "Frequency",
    type: "select",
    options: [
      ["daily", "Daily: each contact at most once a day"],
      ["weekly", "Weekly: at most once a week"],
      ["custom", "Custom: on chosen days"],
      ["none", "None: until it succeeds"],
    ],
  },
  { name: "startTime", label: "From", type: "time", hint: "Empty, both: at any hour." },
  { name: "endTime", label: "To", type: "time", hint: "Earlier than From: over midnight." },
  { name: "timeZone", label: "Time zone", list: "zones", hint: "By its IANA name, such as America/New_York." },
  { name: "useLeadWindow", label: "Only in the hours allowed where the contact lives", type: "check" },
];
const HOW = [
  { name: "retryAttempts", label: "Attempts a contact", type: "number", attributes: { min: 1, max: 100 } },
  { name: "maxConcurrent", label: "Calls at once", type: "number", attributes: { min: 0 }, hint: "0: no limit." },
  { name: "maxPerRun", label: "Calls a pass", type: "number", attributes: { min: 0 }, hint: "0: no limit." },
  {
    name: "callsPerSecond",
    label: "Calls a second",
    type: "number",
    attributes: { min: 0, step: "any" },
    hint: "Empty: no limit.",
  },
  {
    name: "maxPerNumber24h",
    label: "A number in 24 hours",
    type: "number",
    attributes: { min: 1 },
    hint: "Empty: no limit.",
  },
  {
    name: "maxPerNumber7d",
    label: "A number in 7 days",
    type: "number",
    attributes: { min: 1 },
    hint: "Empty: no limit.",
  },
];
// Of a new one only: what runs is started and stopped by buttons that say what they do.
const ACTIVE = { name: "isActive", label: "Active: calls begin as soon as there are contacts", type: "check" };
const NOT_NULL = new Set(["retryAttempts", "maxConcurrent", "maxPerRun"]);

function dayBoxes(chosen, onChange) {
  const boxes = dayNames.map((name, n) =>
    h("input", {
      type: "checkbox",
      value: n + 1,
      checked: chosen.has(n + 1),
      "aria-label": longDayNames[n],
      onchange: onChange,
    }),
  );
  const said = h("p", { class: "said" });
  return {
    element: h(
      "fieldset",
      { class: "field" },
      h("legend", null, "Days"),
      h(
        "div",
        { class: "days" },
        boxes.map((box, n) => h("label", null, box, dayNames[n])),
      ),
      h("p", { class: "hint" }, "Count for weekly and custom campaigns. None: every day."),
      said,
    ),
    said,
    boxes,
    values: () => boxes.filter((box) => box.checked).map((box) => Number(box.value)),
  };
}

async function accountNames(signal) {
  try {
    if (isAdmin())
      return (await get("/api/accounts", { query: { limit: 1000 }, signal })).accounts.map((one) => one.name);
    return [
      ...new Set(
        (await get("/api/campaigns", { query: { limit: 200 }, signal })).campaigns
          .map((one) => one.account)
          .filter(Boolean),
      ),
    ];
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return []; // the field takes any name
  }
}

export default async function campaignForm({ root, params, signal }) {
  fill(root, loading());
  const [campaign, accounts] = await Promise.all([
    params.id ? get(`/api/campaigns/${encodeURIComponent(params.id)}`, { signal }) : NEW,
    accountNames(signal),
  ]);
  const title = params.id ? `Edit \u201c${campaign.name}\u201d` : "New campaign";
  setTitle(title);
  const preview = h("div", { class: "long", "aria-live": "polite" });
  const how = params.id ? HOW : [...HOW, ACTIVE];
  const groups = [WHAT, WHEN, how].map((group) => fields(group, campaign, { onChange: () => draw() }));
  const days = dayBoxes(new Set((campaign.scheduleDays ?? []).map(isoDay)), () => draw());
  const summary = h("div");

  const values = () => {
    const given = Object.assign({}, ...groups.map((group) => group.values()));
    const chosen = days.values();
    given.scheduleDays = chosen.length ? chosen : null;
    for (const name of NOT_NULL) if (given[name] === null) delete given[name];
    return given;
  };

  // Others may have changed the rest since it was read.
  const loaded = values();
  const changes = () =>
    Object.fromEntries(
      Object.entries(values()).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(loaded[name])),
    );

  function draw() {
    const given = values();
    const windows = nextWindows(given);
    const place = given.timeZone ? ` (${zonePlace(given.timeZone)} time)` : " (UTC)";
    fill(
      preview,
      h("p", { class: "lead-sentence" }, scheduleInWords(given)),
      windows === null
        ? h("p", null, "The time zone is not known here: check its name.")
        : windows.length
          ? [
              h("h3", null, `Next windows${place}`),
              h(
                "ol",
                { class: "lines" },
                windows.map((one) => h("li", null, one)),
              ),
            ]
          : h("p", null, "No window within the next two weeks."),
    );
  }

  const save = h("button", { type: "submit", class: "button button-main" }, params.id ? "Save" : "Create campaign");
  const form = h(
    "form",
    { class: "form", novalidate: true },
    summary,
    h("section", { class: "card" }, h("h2", null, "What"), h("div", { class: "fields" }, groups[0].elements)),
    h(
      "section",
      { class: "card" },
      h("h2", null, "When"),
      h("div", { class: "fields" }, groups[1].elements, days.element),
      preview,
    ),
    h("section", { class: "card" }, h("h2", null, "How"), h("div", { class: "fields" }, groups[2].elements)),
    h(
      "datalist",
      { id: "accounts" },
      accounts.map((name) => h("option", { value: name })),
    ),
    h(
      "datalist",
      { id: "zones" },
      Intl.supportedValuesOf("timeZone").map((name) => h("option", { value: name })),
    ),
    h(
      "div",
      { class: "actions" },
      save,
      h("a", { class: "button", href: params.id ? address(`campaigns/${params.id}`) : "#/campaigns" }, "Cancel"),
    ),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (save.getAttribute("aria-busy") === "true") return;
    save.setAttribute("aria-busy", "true");
    fill(summary);
    days.said.textContent = "";
    try {
      const saved = params.id
        ? await request("PATCH", `/api/campaigns/${params.id}`, { json: changes(), signal })
        : await post("/api/campaigns", values(), { signal });
      go(`campaigns/${saved.id}`);
    } catch (error) {
      if (error.name === "AbortError") return;
      let others = error.errors ?? [];
      for (const group of [...groups].reverse()) others = group.refuse(others);
      for (const one of others.filter((other) => other.field.startsWith("scheduleDays")))
        days.said.textContent = one.detail;
      errorSummary(
        summary,
        error,
        others.filter((one) => !one.field.startsWith("scheduleDays")),
      );
    } finally {
      save.removeAttribute("aria-busy");
    }
  });
  fill(root, heading(title), form);
  draw();
}
