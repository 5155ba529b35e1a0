// SPDX-License-Identifier: Apache-2.0
// The gates in words: what each asks, why it holds, and the one sentence that answers "why not now".

import { h } from "./dom.js";
import { away, moment, number, time, wallTime, zoneName } from "./format.js";
import { pill, words } from "./parts.js";
import { daysInWords, zonePlace } from "./schedule.js";

const hours = (facts) => `${String(facts.start ?? "").slice(0, 5)}\u2013${String(facts.end ?? "").slice(0, 5)}`;
const zones = (facts) => (facts.zones?.length ? facts.zones.map(zonePlace).join(", ") : "an unknown zone");

// gate: [what it asks, what is said when it holds, what ends that]
const GATES = {
  follow_up: [
    "A call waits",
    (f) =>
      f.status === "dialing"
        ? "the call is being dialed right now"
        : `no call waits, and none is made: ${(f.why_not ?? []).join("; ") || "unknown"}`,
    (f) => (f.status === "dialing" ? "wait for its end" : "call now makes one by hand"),
  ],
  due: [
    "Its time has come",
    (f) =>
      `it is due ${moment(f.next_look_at ?? f.due_at)}${f.attempts ? ` after ${number(f.attempts)} tries` : ""}${f.last_error ? ` (${f.last_error})` : ""}${f.held_by ? `, held by ${words(f.held_by)}` : ""}`,
  ],
  no_phone: ["It has a number", () => "the lead has no phone number", () => "give the lead a number"],
  number: [
    "The number can be dialed",
    () => "the number can't be dialed: it is malformed, an emergency number, a short code or a premium number",
    () => "correct the lead's number",
  ],
  stage: [
    "The lead's stage is open",
    (f) => `the lead is ${words(f.stage)}`,
    () => "change its stage to call it again",
  ],
  suppressed: [
    "Not on the do-not-call list",
    () => "the number is on the do-not-call list",
    () => "take it off the list only if the person asked for that",
  ],
  stopped: [
    "Nothing is stopped",
    () => "everything, or this tenant, is stopped",
    () => "use Start again in the header",
  ],
  lane: [
    "Its lane is active",
    (f) => (f.queue_runs === false ? "the redial queue is not running" : `the lane ${f.lane} is not active`),
    () => "start the campaign, or the redial queue",
  ],
  paused: ["The lead is not paused", () => "the lead is paused", () => "resume it"],
  credentials: [
    "There is a provider account",
    (f) => (f.account ? `the account ${f.account} is not active` : "its lane has no provider account"),
    () => "give it one",
  ],
  breaker: ["The account is in order", () => "the provider refuses the account, which rests"],
  day: [
    "It is a day to call",
    (f) => `its days are ${f.days ? daysInWords(f.days) : "all"}${f.time_zone ? ` in ${zonePlace(f.time_zone)}` : ""}`,
  ],
  holiday: ["It is no holiday", () => "today is a holiday"],
  window: ["Within its hours", (f) => `its hours are ${hours(f)}${f.time_zone ? ` in ${zonePlace(f.time_zone)}` : ""}`],
  zone: [
    "The lead's time zone is known",
    () => "the time zone of the number is not known",
    () => "fill in the lead's time zone",
  ],
  lead_window: ["Within the hours where the lead lives", (f) => `people in ${zones(f)} are called ${hours(f)} only`],
  no_common_window: [
    "Both hours ever meet",
    (f) => `its hours and those where the lead lives do not meet within ${f.days_searched ?? 14} days`,
    () => "change the hours or the lead's time zone",
  ],
  live: [
    "No other call to the number",
    () => "another call to this number is under way, or undetermined",
    () => "wait for its end, or decide about it",
  ],
  retry_limit: [
    "Attempts are left",
    (f) =>
      `the campaign has called it ${f.retry_attempts ? `${number(f.retry_attempts)} times` : "as often as it may"}, or with success`,
    () => "give the campaign more attempts",
  ],
  frequency: [
    "Not called yet in this cycle",
    (f) => `the campaign has called it already: it does so ${f.frequency ?? "once"}`,
  ],
  cap: [
    "The number may be called again",
    (f) =>
      `the number had its calls: ${[f.cap_24h ? `${f.cap_24h} in 24 hours` : null, f.cap_7d ? `${f.cap_7d} in 7 days` : null].filter(Boolean).join(", ")} at most`,
  ],
  concurrency: [
    "A slot is free",
    (f) =>
      f.lane_free === 0
        ? `all ${number(f.lane_limit)} slots of the lane are taken`
        : `all ${number(f.account_limit)} slots of the account are taken`,
    () => "the next end of a call frees one",
  ],
  rate: ["The rate permits it", (f) => `the lane makes ${f.per_second} calls a second`],
};

const FINAL = new Set(["no_phone", "number", "stage", "suppressed"]);

function factInWords([name, value]) {
  if (Array.isArray(value)) return `${words(name)} ${value.join(", ") || "none"}`;
  if (typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value)) return `${words(name)} ${moment(value)}`;
  if (typeof value === "string" && /^\d\d:\d\d:\d\d$/.test(value)) return `${words(name)} ${value.slice(0, 5)}`;
  return `${words(name)} ${words(value)}`;
}

// Of an open gate only what says more than that it is open.
function factsInWords({ start, end, ...others }) {
  const told = Object.entries(others)
    .filter(([, value]) => value !== null && value !== "" && typeof value !== "boolean")
    .map(factInWords);
  return [start && end ? hours({ start, end }) : null, ...told].filter(Boolean).join(", ");
}

export const asks = (gate) => GATES[gate]?.[0] ?? words(gate);
export const reason = (gate) => GATES[gate.gate]?.[1](gate.facts ?? {}) ?? factsInWords(gate.facts ?? {});

export function opens(at, zone) {
  const there = zone ? wallTime(at, zone) : null;
  return [time(at), ` ${zoneName(new Date(at))}, ${away(at)}`, there ? ` (${there} in ${zonePlace(zone)})` : ""];
}

// Why not now, and when.
export function sentence(explained, zone) {
  const holds = explained.gates.filter((gate) => gate.verdict === "hold");
  if (explained.allowed)
    return h("p", { class: "lead-sentence notice notice-good", id: "why" }, "Would be called now: nothing holds it.");
  const why = holds.map(reason);
  const said = why.length > 1 ? `${why.slice(0, -1).join("; ")}; and ${why.at(-1)}` : (why[0] ?? "unknown");
  const ends = holds.some((gate) => FINAL.has(gate.gate)) ? holds.filter((gate) => FINAL.has(gate.gate)) : holds;
  const remedies = ends.map((gate) => GATES[gate.gate]?.[2]?.(gate.facts ?? {})).filter(Boolean);
  return h(
    "p",
    { class: "lead-sentence notice notice-warn", id: "why" },
    `Not called now: ${said}. `,
    explained.next_allowed_at
      ? ["It opens ", opens(explained.next_allowed_at, zone), "."]
      : `Time alone does not open it${remedies.length ? `: ${[...new Set(remedies)].join("; ")}` : ""}.`,
  );
}

export function gateList(explained, zone) {
  const order = [...explained.gates].sort((a, b) => (a.verdict === b.verdict ? 0 : a.verdict === "hold" ? -1 : 1));
  return h(
    "ul",
    { class: "gates" },
    order.map((gate) =>
      h(
        "li",
        { "data-gate": gate.gate },
        pill(gate.verdict, gate.verdict === "hold" ? "holds" : "open"),
        h(
          "div",
          null,
          h("strong", null, asks(gate.gate)),
          gate.verdict === "hold" ? h("div", null, reason(gate)) : null,
          gate.verdict === "hold" && gate.opens_at
            ? h("div", { class: "small" }, "opens ", opens(gate.opens_at, zone))
            : null,
          gate.verdict === "hold" ? null : h("div", { class: "muted small" }, factsInWords(gate.facts ?? {})),
        ),
      ),
    ),
  );
}
