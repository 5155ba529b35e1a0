// SPDX-License-Identifier: Apache-2.0
// One call with all that is known of it: its life in order, what its provider reported, and what can be done about it.

import { get, mayOperate, post } from "./api.js";
import { fill, foreignLink, h } from "./dom.js";
import { duration, moment, number, time } from "./format.js";
import { onFigures } from "./live.js";
import { decisionCard } from "./decision.js";
import { actionButton, ask, card, facts, heading, loading, noticeLine, pill, timelineCard, words } from "./parts.js";
import { address, setTitle } from "./router.js";
import { table } from "./table.js";

const REFRESH_MS = 2000;
const OVER = new Set(["completed", "failed", "cancelled"]);
const LIVE = new Set(["calling", "ringing", "in_progress"]);

function report(call) {
  if (!call.report) {
    return card(
      "Report",
      h(
        "p",
        { class: "muted" },
        OVER.has(call.status)
          ? "The provider sent no summary, transcript or recording of this call."
          : "Comes from the provider when the call is over.",
      ),
    );
  }
  const { summary, transcript, recordingUrl, cost, successEvaluation } = call.report;
  return card(
    "Report",
    h("p", null, summary ?? "No summary."),
    recordingUrl ? h("p", null, foreignLink(recordingUrl, "Recording")) : null,
    facts([
      cost === null ? null : ["Cost", number(cost)],
      successEvaluation === null ? null : ["The provider's own verdict", successEvaluation],
    ]),
    transcript
      ? [
          h("h3", null, "Transcript"),
          h(
            "pre",
            { class: "transcript", tabindex: "0", "aria-label": "Transcript" },
            transcript.replace(/<br\s*\/?>/gi, "\n"),
          ),
        ]
      : h("p", { class: "muted" }, "No transcript."),
  );
}

function known(call) {
  return card(
    "Facts",
    facts([
      ["Contact", h("a", { href: address(`leads/${call.contactId}`) }, call.contactName || `lead ${call.contactId}`)],
      ["Number", call.phone ?? "none"],
      [
        "Campaign",
        call.campaignId
          ? h("a", { href: address(`campaigns/${call.campaignId}`) }, call.campaignName)
          : words(call.kind),
      ],
      ["Attempt", number(call.attempt)],
      ["Scheduled for", time(call.scheduledTime)],
      call.nextLookAt ? ["Looked at again", time(call.nextLookAt, { relative: true })] : null,
      call.gate ? ["Held by", words(call.gate)] : null,
      ["Dialed", time(call.dialedAt)],
      ["Ended", time(call.endedAt)],
      ["Lasted", duration(call.durationSeconds)],
      ["Outcome", call.outcome ? words(call.outcome) : "\u2013"],
      call.endedReason ? ["Ended because", words(call.endedReason)] : null,
      call.callbackAt ? ["Wants a call back", time(call.callbackAt, { relative: true })] : null,
      ["Account", call.account ? `${call.account} (${call.provider})` : "\u2013"],
      ["Provider's call id", h("code", null, call.providerCallId ?? "\u2013")],
      ["Call id", h("code", null, call.id)],
      call.error ? ["Error", call.error] : null,
      call.refusal ? ["Refused", words(call.refusal)] : null,
      call.worker ? ["Dialed by", call.worker] : null,
      call.resolution
        ? ["An operator decided", call.resolution === "close" ? "it was dialed" : "nothing was dialed"]
        : null,
    ]),
  );
}

function tries(call) {
  if (call.tries.length < 2) return null;
  return card(
    "All tries of it",
    table(
      [
        {
          title: "Time",
          header: true,
          cell: (one) =>
            one.id === call.id
              ? time(one.timestamp)
              : h("a", { href: address(`calls/${one.id}`) }, time(one.timestamp)),
        },
        { title: "Status", cell: (one) => pill(one.status) },
        { title: "What happened", class: "wide", cell: (one) => one.message },
      ],
      "All tries",
      call.tries,
    ),
  );
}

function events(call) {
  if (!call.events.length) return null;
  return card(
    "Events",
    table(
      [
        { title: "Event", header: true, cell: (one) => words(one.type ?? one.message) },
        { title: "State", cell: (one) => pill(one.state) },
        { title: "Outcome", cell: (one) => words(one.outcome ?? one.endedReason ?? "\u2013") },
        { title: "Happened", cell: (one) => time(one.occurredAt) },
        { title: "Recorded", cell: (one) => time(one.recordedAt) },
        { title: "Event id", cell: (one) => h("code", null, one.eventId) },
      ],
      "Events of this call",
      call.events,
    ),
  );
}

function operate(call, changed) {
  if (!mayOperate()) return null;
  if (call.status === "scheduled") {
    return actionButton("Cancel this call", async () => {
      const note = await ask({
        title: "Cancel this call?",
        text: "It is not dialed, even if it was already handed out.",
        confirm: "Cancel the call",
        act: () => post(`/api/calls/${call.id}/cancel`),
      });
      if (note !== null) await changed("The call was cancelled.");
    });
  }
  if (LIVE.has(call.ledgerStatus) && !call.hangUp) {
    return actionButton("Hang up", async () => {
      const note = await ask({
        title: "End this call now?",
        text: "Its provider is told to hang up, even in the middle of a sentence.",
        confirm: "Hang up",
        act: () => post(`/api/calls/${call.id}/hangup`),
      });
      if (note !== null) await changed("The provider is being told to end the call.");
    });
  }
  return call.hangUp ? h("span", { class: "muted" }, `Hanging up since ${moment(call.hangUp.askedAt)}`) : null;
}

export default async function callView({ root, params, signal }) {
  const notice = noticeLine();
  let shown = null;
  let over = false;
  async function read(said) {
    const call = await get(`/api/calls/${encodeURIComponent(params.id)}`, { signal });
    over = OVER.has(call.status);
    if (said !== undefined) notice.say(said);
    const next = JSON.stringify(call);
    if (next === shown) return;
    shown = next;
    const name = call.contactName || call.phone || `lead ${call.contactId}`;
    setTitle(`Call to ${name}`);
    const focused = root.contains(document.activeElement) && document.activeElement.tagName === "H1";
    fill(
      root,
      heading(`Call to ${name}`, pill(call.status), operate(call, read)),
      notice.element,
      h("p", { class: "lead-sentence" }, call.message),
      call.status === "undetermined" ? decisionCard(call, (_, text) => read(text)) : null,
      h(
        "div",
        { class: "columns" },
        h(
          "div",
          null,
          timelineCard("Timeline", (call.timeline ?? []).map((step) => ({ ...step, said: step.detail ? ` ${step.detail}` : null }))),
          events(call),
        ),
        h("div", null, report(call), known(call), tries(call)),
      ),
    );
    if (focused) root.querySelector("h1").focus();
  }
  fill(root, loading());
  await read();
  let last = Date.now();
  onFigures(() => {
    if (over || Date.now() - last < REFRESH_MS || document.querySelector("dialog[open]")) return;
    last = Date.now();
    read().catch(() => {});
  }, signal);
}
