// SPDX-License-Identifier: Apache-2.0
// A call whose fate could not be proved: what is known of it, and the two decisions that an operator can make.

import { mayOperate, post } from "./api.js";
import { h } from "./dom.js";
import { number, plural, time } from "./format.js";
import { actionButton, ask, card, facts, words } from "./parts.js";
import { table } from "./table.js";

function story(call) {
  const told = [];
  if (!call.dialedAt) told.push("The request to dial was prepared, and nothing tells whether it was sent.");
  else if (call.httpStatus)
    told.push(
      `The provider answered the request with HTTP ${call.httpStatus}, which proves neither that it dialed nor that it did not.`,
    );
  else told.push("The request was sent, and no answer came back that says whether a call was made.");
  const made = call.lookUps?.made ?? 0;
  if (made) told.push(`Its provider was asked ${plural(made, "time")} and could not settle it.`);
  const possible = call.possibleEvents?.length ?? 0;
  told.push(
    possible
      ? `${plural(possible, "event")} for its number came that belong to no known call: they may be of this one.`
      : "No event came for its number since.",
  );
  return told.join(" ");
}

export function evidence(call) {
  const events = [...(call.events ?? []), ...(call.possibleEvents ?? [])];
  return [
    h("p", null, story(call)),
    facts([
      ["Request sent", time(call.dialedAt)],
      ["Answer", call.httpStatus ? `HTTP ${call.httpStatus}` : "none"],
      ["Error", call.error ?? "\u2013"],
      ["Account", call.account ?? "\u2013"],
      ["Provider's call id", call.providerCallId ?? "not known"],
      ["Looked up", number(call.lookUps?.made ?? 0)],
      ["First not found", time(call.lookUps?.firstAbsentAt)],
      ["Number to look for", call.phone ?? "\u2013"],
    ]),
    events.length
      ? table(
          [
            { title: "Event", header: true, cell: (one) => words(one.type ?? one.message) },
            { title: "When", cell: (one) => time(one.occurredAt ?? one.recordedAt) },
            { title: "Provider's call id", cell: (one) => one.providerCallId ?? "\u2013" },
            { title: "Belongs", cell: (one) => (one.state === "orphan" ? "to no known call" : words(one.state)) },
          ],
          "Events that may be of this call",
          events,
        )
      : null,
  ];
}

const CHOICES = {
  close: {
    button: "It was dialed: close",
    title: "Close this call as dialed?",
    text: "It counts as dialed and over, and nothing follows from it. The person is not called again for it.",
    confirm: "Close it",
    kind: "button-main",
  },
  redial: {
    button: "Nothing was dialed: redial",
    title: "Redial?",
    text: "Only if you are sure that nobody was rung: the person is called again as soon as the gates allow it. If the provider shows the call after all, what is dialed in its place is called off.",
    confirm: "Redial",
    kind: "danger",
  },
};

export function decisions(call, decided) {
  if (!mayOperate()) return h("p", { class: "muted" }, "An operator decides what becomes of it.");
  return h(
    "div",
    { class: "actions" },
    Object.entries(CHOICES).map(([decision, choice]) =>
      actionButton(choice.button, async () => {
        let answer = null;
        const note = await ask({
          ...choice,
          note: "Note for those who ask later",
          act: async (given) => {
            answer = await post(`/api/calls/${call.id}/resolve`, { decision, note: given || null });
          },
        });
        if (note !== null) await decided(answer, decision === "close" ? "Closed as dialed." : "To be redialed.");
      }),
    ),
  );
}

export const decisionCard = (call, decided) =>
  card("What became of this call is not known", evidence(call), decisions(call, decided));
