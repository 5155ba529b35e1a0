// SPDX-License-Identifier: Apache-2.0
// Pieces that views share: what went wrong, what is missing, states, buttons that do something, facts, and questions.

import { append, h, newId, tell } from "./dom.js";
import { time, zoneName } from "./format.js";

export const heading = (text, ...more) =>
  h(
    "div",
    { class: "heading" },
    h("h1", { tabindex: "-1" }, text),
    more.length ? h("div", { class: "actions" }, more) : null,
  );

export function problemPanel(error, again) {
  return h(
    "div",
    { class: "problem", role: "alert" },
    h("p", { class: "problem-title" }, error.status === 0 ? "Not connected" : "That did not work"),
    h("p", null, error.message || String(error)),
    error.errors?.length
      ? h(
          "ul",
          null,
          error.errors.map((one) => h("li", null, h("strong", null, one.field), `: ${one.detail}`)),
        )
      : null,
    again ? h("button", { type: "button", class: "button", onclick: again }, "Try again") : null,
  );
}

export const empty = (text, ...next) =>
  h("div", { class: "empty" }, h("p", { class: "empty-title" }, text), next.length ? h("p", null, next) : null);

export const loading = (text = "Loading\u2026") => h("p", { class: "loading" }, text);

const TONES = {
  good: "good",
  completed: "good",
  succeeded: "good",
  pass: "good",
  on: "good",
  closed: "good",
  active: "good",
  ready_to_call: "info",
  failed: "bad",
  rejected: "bad",
  undetermined: "bad",
  classification_failed: "bad",
  max_attempts: "bad",
  open: "bad",
  hold: "warn",
  unknown: "warn",
  not_dialed: "warn",
  retry_pending: "warn",
  rescheduled: "warn",
  paused: "warn",
  half_open: "warn",
  receiving: "info",
  calling: "info",
  ringing: "info",
  in_progress: "info",
  dialing: "info",
  classifying: "info",
  queued: "info",
  applying: "info",
  done: "good",
  replayed: "good",
  discarded: "muted",
  stopped: "muted",
  cancelled: "muted",
  skipped: "muted",
  scheduled: "muted",
  pending: "muted",
};

export const words = (state) => String(state ?? "").replaceAll("_", " ");

export const pill = (state, text = words(state)) => h("span", { class: `pill pill-${TONES[state] ?? "muted"}` }, text);

export const facts = (rows) =>
  h(
    "dl",
    { class: "facts" },
    rows.filter(Boolean).map(([name, ...value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
  );

export const card = (title, ...children) => {
  const id = newId("card");
  return h("section", { class: "card", "aria-labelledby": id }, h("h2", { id }, title), children);
};

// A button whose action is a promise: busy meanwhile, and its refusal is shown beside it.
// What happened, step by step: when, what, what was said of it, and by whom.
export const timelineCard = (title, steps) =>
  card(
    title,
    h("p", { class: "muted small" }, `Times are ${zoneName()}`),
    h(
      "ol",
      { class: "timeline" },
      steps.map(({ at, what, said, actor }) =>
        h(
          "li",
          null,
          h("span", { class: "muted" }, time(at)),
          h(
            "div",
            null,
            h("span", { class: "timeline-what" }, words(what)),
            said,
            actor ? h("span", { class: "muted small" }, ` by ${actor}`) : null,
          ),
        ),
      ),
    ),
  );

export function actionButton(text, action, { kind = "", title = null } = {}) {
  const said = h("span", { class: "said", role: "alert" });
  const button = h("button", { type: "button", class: `button ${kind}`, title }, text);
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    said.textContent = "";
    try {
      const done = await action();
      if (typeof done === "string") tell(done);
    } catch (error) {
      if (error.name !== "AbortError")
        said.textContent = [error.message, ...(error.errors ?? []).map((one) => `${one.field}: ${one.detail}`)].join(
          " \u2013 ",
        );
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
  return h("span", { class: "act" }, button, said);
}

// One question with an answer: resolves with the note (or "") when it is confirmed, with null when it is not. `act` may refuse; then
// the dialog stays open and says why.
export function ask({ title, text = [], confirm, kind = "danger", note = null, act = null }) {
  return new Promise((resolve) => {
    const id = newId("ask");
    const said = h("p", { class: "said", role: "alert" });
    const input = note ? h("input", { id: `${id}-note`, type: "text", maxlength: "500", autocomplete: "off" }) : null;
    const yes = h("button", { type: "submit", class: `button ${kind}` }, confirm);
    let answer = null;
    const form = h(
      "form",
      null,
      h("h2", { id }, title),
      [text].flat().map((one) => (typeof one === "string" ? h("p", null, one) : one)),
      input ? h("div", { class: "field" }, h("label", { for: `${id}-note` }, note), input) : null,
      said,
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", class: "button", onclick: () => dialog.close() }, "Cancel"),
        yes,
      ),
    );
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": id }, form);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (yes.getAttribute("aria-busy") === "true") return;
      yes.setAttribute("aria-busy", "true");
      said.textContent = "";
      try {
        const given = input?.value.trim() ?? "";
        if (act) await act(given);
        answer = given;
        dialog.close();
      } catch (error) {
        said.textContent = [error.message, ...(error.errors ?? []).map((one) => `${one.field}: ${one.detail}`)].join(
          " \u2013 ",
        );
      } finally {
        yes.removeAttribute("aria-busy");
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    append(document.body, dialog);
    dialog.showModal();
    (input ?? yes).focus();
  });
}

// A line at the top of a view for what was just done.
export function noticeLine() {
  const element = h("p", { class: "notice notice-good", tabindex: "-1", hidden: true });
  // What had the focus may be gone with what was done.
  const catchFocus = () => {
    if (document.activeElement === document.body && element.isConnected) element.focus({ preventScroll: true });
  };
  return {
    element,
    say(text, tone = "good") {
      element.className = `notice notice-${tone}`;
      element.textContent = text;
      element.hidden = !text;
      if (!text) return;
      tell(text); // it was not there until now, and is said only by what was
      requestAnimationFrame(catchFocus);
    },
    catchFocus,
  };
}
