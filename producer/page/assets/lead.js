// SPDX-License-Identifier: Apache-2.0
// One lead: why it is not called now, gate by gate, and what can be done: pause, resume, do not call, call now.

import { get, mayOperate, post, request } from "./api.js";
import { fill, h } from "./dom.js";
import { moment, number, time } from "./format.js";
import { gateList, sentence } from "./gates.js";
import { leadName } from "./leads.js";
import { actionButton, ask, card, empty, facts, heading, loading, noticeLine, pill, words } from "./parts.js";
import { address, setTitle } from "./router.js";
import { table } from "./table.js";

const OPEN = new Set(["pending", "queued", "dialing"]);

// What is done about a lead is done in its tenant, whoever does it.
const inTenant = (lead) => ({ query: { tenant: lead.tenant } });

async function callNow(lead) {
  const open = lead.follow_ups.filter((one) => OPEN.has(one.status));
  const waiting = open.find((one) => one.status === "pending");
  const text = [
    "It is dialed within seconds, before what waits in bulk, if every gate is open; otherwise as soon as they are.",
  ];
  if (waiting) text.push(`The call that waits (${words(waiting.kind)}, due ${moment(waiting.due_at)}) is made now.`);
  else if (open.length) text.push("A call is on its way already.");
  return ask({
    title: `Call ${leadName(lead)} now?`,
    text,
    confirm: "Call now",
    kind: "button-main",
    act: async () => {
      if (waiting) await post(`/api/follow-ups/${waiting.id}/now`, {}, inTenant(lead));
      else await post("/api/follow-ups", { lead_id: lead.id, priority: 2 }, inTenant(lead));
    },
  });
}

const suppress = (lead) =>
  ask({
    title: `Never call ${lead.phone_e164} again?`,
    confirm: "Do not call",
    note: "Reason",
    text: "The number goes on the do-not-call list: nobody calls it, in any campaign, until it is taken off.",
    act: (reason) => post("/api/suppressions", { phone: lead.phone_e164, reason: reason || null }, inTenant(lead)),
  });

const unsuppress = (lead) =>
  ask({
    title: `Take ${lead.phone_e164} off the do-not-call list?`,
    confirm: "Take it off",
    text: "Only if the person asked to be called again.",
    act: () => request("DELETE", `/api/suppressions/${encodeURIComponent(lead.phone_e164)}`, inTenant(lead)),
  });

function buttons(lead, suppressed, changed) {
  if (!mayOperate()) return null;
  const act = (text, question, said, kind = "") =>
    actionButton(
      text,
      async () => {
        if ((await question()) !== null) await changed(said);
      },
      { kind },
    );
  return [
    act("Call now", () => callNow(lead), "A call by hand waits for the gates.", "button-main"),
    actionButton(lead.paused ? "Resume" : "Pause", async () => {
      await request("PATCH", `/api/leads/${lead.id}`, { json: { paused: !lead.paused }, ...inTenant(lead) });
      await changed(
        lead.paused
          ? "Resumed: it is called again when the gates are open."
          : "Paused: it is not called until it is resumed.",
      );
    }),
    !lead.phone_e164
      ? null
      : suppressed
        ? act("Allow calls", () => unsuppress(lead), "Taken off the do-not-call list.")
        : act("Do not call", () => suppress(lead), "On the do-not-call list."),
  ];
}

function followUps(lead) {
  if (!lead.follow_ups.length) return empty("No call was ever scheduled for it.");
  return table(
    [
      { title: "Due", header: true, cell: (one) => h("a", { href: address(`calls/s${one.id}`) }, time(one.due_at)) },
      { title: "Kind", cell: (one) => words(one.kind) },
      { title: "Lane", cell: (one) => one.lane },
      {
        title: "Status",
        cell: (one) => [
          pill(one.status),
          one.reason || one.gate
            ? h("div", { class: "small" }, words(one.reason ?? `held by ${words(one.gate)}`))
            : null,
        ],
      },
      { title: "Tries", class: "number", cell: (one) => number(one.attempts) },
      { title: "Looked at again", cell: (one) => (OPEN.has(one.status) ? time(one.next_look_at) : "\u2013") },
    ],
    "Calls that were scheduled, the youngest first",
    lead.follow_ups,
  );
}

export default async function leadView({ root, params, signal }) {
  const notice = noticeLine();
  async function read(said) {
    const id = encodeURIComponent(params.id);
    const [lead, explained] = await Promise.all([
      get(`/api/leads/${id}`, { signal }),
      get(`/api/leads/${id}/explain`, { signal }),
    ]);
    const zone = lead.zones[0];
    const suppressed = explained.gates.some((gate) => gate.gate === "suppressed" && gate.verdict === "hold");
    setTitle(leadName(lead));
    notice.say(said ?? "");
    fill(
      root,
      heading(
        leadName(lead),
        pill(lead.stage),
        lead.paused ? pill("paused") : null,
        suppressed ? pill("failed", "do not call") : null,
        buttons(lead, suppressed, read),
      ),
      notice.element,
      sentence(explained, zone),
      h(
        "div",
        { class: "columns" },
        h(
          "div",
          null,
          card("Gates", gateList(explained, zone)),
          card(
            "Scheduled calls",
            followUps(lead),
            h("p", null, h("a", { href: address("calls", { lead_id: lead.id }) }, "Its history of calls")),
          ),
        ),
        h(
          "div",
          null,
          card(
            "Lead",
            facts([
              ["Number", lead.phone_e164 ?? (lead.phone ? `${lead.phone}, can't be dialed` : "none")],
              ["Zones", lead.zones.join(", ").replaceAll("_", " ") || "not known"],
              ["State", lead.state ?? "\u2013"],
              ["Dialer's id", lead.external_id ?? "\u2013"],
              ["List", lead.list_id ?? "\u2013"],
              ["First called", time(lead.call_date)],
              ["Called by itself", lead.auto_follow_up ? "yes" : "no"],
              ["Tenant", lead.tenant],
              ["Created", time(lead.created_at)],
              ["Changed", time(lead.updated_at)],
              lead.last_call
                ? [
                    "Last call",
                    h("a", { href: address(`calls/${lead.last_call.job_id}`) }, time(lead.last_call.claimed_at)),
                    " ",
                    pill(lead.last_call.status),
                  ]
                : ["Last call", "none"],
            ]),
          ),
          Object.keys(lead.variables ?? {}).length
            ? card(
                "Variables of its calls",
                facts(
                  Object.entries(lead.variables).map(([name, value]) => [
                    name,
                    typeof value === "string" ? value : JSON.stringify(value),
                  ]),
                ),
              )
            : null,
        ),
      ),
    );
  }
  fill(root, loading());
  await read();
}
