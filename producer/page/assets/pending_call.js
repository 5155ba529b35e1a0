// SPDX-License-Identifier: Apache-2.0
// One pending call: its state, who answers its number, its history and its calls.

import { get } from "./api.js";
import { fill, h } from "./dom.js";
import { number, percent, time } from "./format.js";
import { card, empty, facts, heading, loading, noticeLine, pill, timelineCard, words } from "./parts.js";
import { address, setTitle } from "./router.js";
import { callColumns } from "./calls.js";
import { table } from "./table.js";
import { pendingButtons, whose } from "./workflow.js";

function classification(one) {
  if (!one) return empty("Nobody knows yet who answers this number.", "A classification call finds out.");
  return facts([
    ["Answered by", words(one.classification_type)],
    ["Confidence", percent(one.confidence)],
    ["Menu", Array.isArray(one.menu_path) ? one.menu_path.join(", ") : (one.menu_path ?? "\u2013")],
    ["Said by", one.source],
    ["Holds until", time(one.classification_expires_at)],
    ["In force", one.is_active ? "yes" : "no"],
  ]);
}

const step = (one) => ({
  at: one.at,
  what: one.to,
  said: [one.reason ? ` ${words(one.reason)}` : null, one.note ? `: ${one.note}` : null],
  actor: one.actor,
});

export default async function pendingCall({ root, params, signal }) {
  const notice = noticeLine();
  async function read(said) {
    const one = await get(`/api/pending-calls/${encodeURIComponent(params.id)}`, { signal });
    setTitle(whose(one));
    notice.say(said ?? "");
    fill(
      root,
      heading(whose(one), pill(one.workflow_state), pendingButtons(one, read, "")),
      notice.element,
      one.last_error ? h("p", { class: "notice notice-warn" }, `Last error: ${one.last_error}`) : null,
      h(
        "div",
        { class: "columns" },
        h(
          "div",
          null,
          timelineCard("History", one.history.map(step)),
          card("Calls", one.calls.length ? table(callColumns, "Its calls", one.calls) : empty("No call yet.")),
        ),
        h(
          "div",
          null,
          card("Who answers", classification(one.classification)),
          card(
            "Pending call",
            facts([
              ["Number", one.phone_e164 ?? one.phone ?? "none"],
              ["Exam", one.exam_id ?? "\u2013"],
              ["Clinic", one.clinic_name ?? "\u2013"],
              ["Date of birth", one.employee_dob ?? "\u2013"],
              ["Appointment", time(one.appointment_time)],
              ["State since", time(one.state_since)],
              ["Next action", time(one.next_action_at)],
              ["Retries", `${number(one.retry_count)} of ${number(one.max_retries)}`],
              ["Failed because", one.failure_reason ? words(one.failure_reason) : "\u2013"],
              one.lead_id ? ["Lead", h("a", { href: address(`leads/${one.lead_id}`) }, `lead ${one.lead_id}`)] : null,
              ["Id", h("code", null, one.id)],
            ]),
          ),
        ),
      ),
    );
  }
  fill(root, loading());
  await read();
}
