// SPDX-License-Identifier: Apache-2.0
// Calls whose fate could not be proved: each with the evidence, to be decided by a person.

import { get } from "./api.js";
import { fill, h } from "./dom.js";
import { time } from "./format.js";
import { decisions, evidence } from "./decision.js";
import { actionButton, empty, heading, loading, noticeLine, pill, problemPanel } from "./parts.js";
import { address } from "./router.js";

const PAGE = 20;

function entry(call, decided, signal) {
  const proof = h("div", { class: "long" });
  const element = h("article", { class: "card", "aria-label": `Call to ${call.contactName ?? call.phone}` });
  const details = h("details", null, h("summary", null, "Evidence"), proof);
  details.addEventListener("toggle", async () => {
    if (!details.open || proof.firstChild) return;
    fill(proof, loading());
    try {
      fill(proof, evidence(await get(`/api/calls/${call.id}`, { signal })));
    } catch (error) {
      if (error.name !== "AbortError") fill(proof, problemPanel(error));
    }
  });
  fill(
    element,
    h(
      "div",
      { class: "heading" },
      h(
        "h2",
        null,
        h("a", { href: address(`calls/${call.id}`) }, call.contactName || "No name"),
        `, ${call.phone ?? "no number"}`,
      ),
      pill(call.status),
    ),
    h("p", null, call.message, " ", h("span", { class: "muted" }, time(call.timestamp, { relative: true }))),
    details,
    decisions(call, (_, text) => {
      element.remove();
      decided(`${call.contactName || call.phone}: ${text}`);
    }),
  );
  return element;
}

export default async function undetermined({ root, signal }) {
  const notice = noticeLine();
  const list = h("div", { class: "long" });
  let next = null;
  const more = actionButton("Show more", () => read(next));
  fill(
    root,
    heading("Undetermined calls"),
    h(
      "p",
      { class: "muted" },
      "It could not be proved whether these people were rung. Nobody is called again by itself: look at the provider, then decide.",
    ),
    notice.element,
    list,
    more,
  );
  const nothing = () => empty("Nothing to decide.", "Every call's fate is known.");
  // When all that is shown is decided, more may wait.
  const decided = async (text) => {
    notice.say(text);
    if (list.firstChild) return;
    if (next) await first();
    else fill(list, nothing());
  };
  async function first() {
    fill(list, loading());
    more.hidden = true;
    try {
      await read(null);
    } catch (error) {
      if (error.name !== "AbortError") fill(list, problemPanel(error, first));
    }
  }
  async function read(after) {
    const answer = await get("/api/calls", { query: { status: "undetermined", limit: PAGE, after }, signal });
    const entries = answer.calls.map((call) => entry(call, decided, signal));
    const focused = more.contains(document.activeElement);
    if (!after) fill(list);
    list.append(...entries);
    if (!list.firstChild) fill(list, nothing());
    next = answer.next;
    more.hidden = !next;
    if (focused && !next) entries[0]?.querySelector("a").focus();
  }
  more.hidden = true;
  await read(null);
}
