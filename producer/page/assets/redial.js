// SPDX-License-Identifier: Apache-2.0
// The redial queue: its switches, what is in it, and each record's pause, resume and removal.

import { get, mayOperate, post, request, seesAll, url } from "./api.js";
import { fill, h, refill } from "./dom.js";
import { away, moment, number, plural, zoneName } from "./format.js";
import { errorSummary, fields } from "./fields.js";
import { onFigures } from "./live.js";
import { actionButton, ask, card, empty, heading, noticeLine, pill, words } from "./parts.js";
import { setQuery } from "./router.js";
import { longTable } from "./table.js";

const BASE = "/api/admin/redial-queue";
const REFRESH_MS = 3000;
const COUNTS = [
  ["", "total_records", "All"],
  ["ready", "ready_to_dial", "Ready to dial"],
  ["pending", "pending", "Pending"],
  ["rescheduled", "rescheduled", "Callbacks"],
  ["paused", "paused", "Paused"],
  ["completed", "completed", "Completed"],
  ["max_attempts", "max_attempts", "Out of attempts"],
];
const CONFIG = [
  {
    name: "redial_interval_minutes",
    label: "Minutes between dials",
    type: "number",
    attributes: { min: 1, max: 10080 },
  },
  { name: "max_redial_attempts", label: "Dials in all", type: "number", attributes: { min: 1, max: 100 } },
  {
    name: "process_interval_minutes",
    label: "Minutes between looks",
    type: "number",
    attributes: { min: 1, max: 1440 },
  },
  { name: "retention_days", label: "Days kept when over", type: "number", attributes: { min: 1, max: 3650 } },
  { name: "success_outcomes", label: "Outcomes that are a success", hint: "Separated by commas." },
];

const name = (one) => [one.first_name, one.last_name].filter(Boolean).join(" ") || "No name";
// A lead's id is its tenant's: two tenants may have the same.
const lead = (one, verb) =>
  url(`${BASE}/lead/${encodeURIComponent(one.lead_id)}${verb}`, { phone: one.phone_number, tenant: one.tenant });

function rowButtons(one, changed) {
  const buttons = [];
  const act = (text, path, said, method = "POST") =>
    actionButton(
      text,
      async () => {
        await request(method, path);
        await changed(`${name(one)}: ${said}`);
      },
      { kind: "button-small", title: `${text} ${name(one)}` },
    );
  if (one.status === "paused") buttons.push(act("Resume", lead(one, "/resume"), "resumed."));
  else if (one.status === "pending" || one.status === "rescheduled")
    buttons.push(act("Pause", lead(one, "/pause"), "paused."));
  buttons.push(
    actionButton(
      "Remove",
      async () => {
        const note = await ask({
          title: `Remove ${name(one)} from the redial queue?`,
          text: "It is not redialed, and what was scheduled for it is called off. The history of its calls stays.",
          confirm: "Remove",
          act: () => request("DELETE", lead(one, "")),
        });
        if (note !== null) await changed(`${name(one)}: removed.`);
      },
      { kind: "button-small", title: `Remove ${name(one)}` },
    ),
  );
  return h("div", { class: "actions" }, buttons);
}

function nextDial(one) {
  if (
    one.status === "completed" ||
    one.status === "max_attempts" ||
    one.status === "paused" ||
    !one.next_redial_timestamp
  )
    return "\u2013";
  return one.is_ready ? "ready" : `${moment(one.next_redial_timestamp)}, ${away(one.next_redial_timestamp)}`;
}

function configCard(config, saved) {
  const form = fields(CONFIG, { ...config, success_outcomes: config.success_outcomes.join(", ") });
  const said = h("div");
  const save = h("button", { type: "submit", class: "button" }, "Save");
  const element = h(
    "form",
    { class: "form", novalidate: true },
    said,
    h("div", { class: "fields" }, form.elements),
    h("div", { class: "actions" }, save),
  );
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    fill(said);
    const given = form.values();
    given.success_outcomes = (given.success_outcomes ?? "")
      .split(",")
      .map((one) => one.trim().toUpperCase())
      .filter(Boolean);
    try {
      await request("PUT", `${BASE}/config`, {
        json: Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null)),
      });
      form.refuse([]);
      saved();
    } catch (error) {
      errorSummary(said, error, form.refuse(error.errors ?? []));
    }
  });
  return element;
}

export default async function redial({ root, query, signal }) {
  const filter = { show: query.show ?? "" };
  const notice = noticeLine();
  const board = h("div", { class: "board" });
  const switches = h("div", { class: "actions" });
  const sentence = h("p", { class: "lead-sentence" });
  const changed = async (said) => {
    notice.say(said);
    await Promise.all([list.reset(), status()]);
    notice.catchFocus();
  };
  const columns = [
    {
      title: "Lead",
      header: true,
      cell: (one) => [name(one), h("div", { class: "muted small" }, `id ${one.lead_id}`)],
    },
    { title: "Number", class: "nowrap", cell: (one) => one.phone_number },
    { title: "Status", cell: (one) => pill(one.status) },
    { title: "Dials", class: "number", cell: (one) => number(one.attempts) },
    { title: "Outcomes", cell: (one) => one.outcomes.map(words).join(", ") || "\u2013" },
    { title: `Next dial (${zoneName()})`, cell: nextDial },
  ];
  if (mayOperate()) columns.push({ title: "Actions", mute: true, cell: (one) => rowButtons(one, changed) });
  const list = longTable({
    columns,
    caption: "Records of the redial queue, the oldest first",
    noun: "record",
    signal,
    read: async ({ after, limit, signal: reading }) => {
      const asked = filter.show === "ready" ? { ready: "true" } : { status: filter.show };
      const answer = await get(`${BASE}/records`, { query: { ...asked, after, limit }, signal: reading });
      return { rows: answer.records, next: answer.next };
    },
    nothing: () =>
      empty(
        filter.show ? "No such record." : "The redial queue is empty.",
        "A call that does not succeed puts its lead here.",
      ),
  });

  const run = (text, verb, said) =>
    actionButton(
      text,
      async () => {
        await post(`${BASE}/${verb}`);
        await changed(said);
      },
      { kind: "button-small" },
    );

  const counts = new Map();
  for (const [show, figure, text] of COUNTS) {
    const count = h("strong", null, "\u2013");
    counts.set(figure, count);
    const choose = (event) => {
      event.preventDefault();
      filter.show = show;
      setQuery(filter);
      for (const link of board.children) link.removeAttribute("aria-current");
      event.currentTarget.setAttribute("aria-current", "true");
      list.reset();
    };
    const current = filter.show === show ? "true" : null;
    board.append(h("a", { href: "#/redial", "aria-current": current, onclick: choose }, h("span", null, text), count));
  }

  const switchesOf = (now) => [
    now.enabled
      ? run("Disable the queue", "disable", "The queue is disabled: nothing of it is dialed.")
      : run("Enable the queue", "enable", "The queue is enabled."),
    now.running
      ? run("Stop its processor", "stop", "The processor is stopped.")
      : now.enabled
        ? run("Start its processor", "start", "The processor runs.")
        : null,
    run("Look now", "process", "The queue is being looked at."),
  ];

  // Of itself a button does not become another under somebody's fingers; pressed, it does.
  let switched = null;
  async function status({ pressed = true } = {}) {
    const { status: now, stats } = await get(`${BASE}/status`, { signal });
    sentence.textContent = `${now.enabled ? (now.running ? "The queue runs" : "The queue is enabled, but its processor is stopped") : "The queue is disabled"}: a lead is dialed again after ${plural(now.redial_interval_minutes, "minute")}, ${plural(now.max_attempts, "time")} in all.`;
    for (const [figure, count] of counts) count.textContent = number(stats[figure]);
    const shown = `${now.enabled} ${now.running}`;
    if (!mayOperate() || !seesAll() || shown === switched) return;
    if (!pressed && switches.contains(document.activeElement)) return;
    switched = shown;
    refill(switches, switchesOf(now));
  }

  root.append(heading("Redial queue", switches), notice.element, sentence, board, list.element);
  await Promise.all([status(), list.reset()]);
  if (mayOperate() && seesAll()) {
    const { config } = await get(`${BASE}/config`, { signal });
    root.append(
      card(
        "Settings of the queue",
        configCard(config, () => changed("Saved.")),
      ),
    );
  }
  let last = Date.now();
  onFigures(() => {
    if (Date.now() - last < REFRESH_MS || document.querySelector("dialog[open]")) return;
    last = Date.now();
    status({ pressed: false }).catch(() => {});
    list.refresh();
  }, signal);
}
