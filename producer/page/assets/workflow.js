// SPDX-License-Identifier: Apache-2.0
// The workflow board: how many pending calls are in each state, which are stuck, and the list of a state.

import { get, mayOperate, post, seesAll } from "./api.js";
import { debounce, fill, h, refill } from "./dom.js";
import { duration, number, plural, time, zoneName } from "./format.js";
import { onFigures } from "./live.js";
import { actionButton, ask, card, empty, heading, noticeLine, pill, words } from "./parts.js";
import { address, setQuery } from "./router.js";
import { longTable, table } from "./table.js";

const STATES = [
  "new",
  "checking_classification",
  "needs_classification",
  "classifying",
  "classification_pending",
  "ready_to_call",
  "calling",
  "retry_pending",
  "classification_failed",
  "completed",
  "failed",
];
const RETRIES = new Set(["retry_pending", "failed", "classification_failed"]);
const OVER = new Set(["completed", "failed"]);
const REFRESH_MS = 3000;

export const whose = (one) => one.employee_name || one.clinic_name || one.exam_id || "No name";

// What can be done about a pending call in its state; `changed` hears what was.
export function pendingButtons(one, changed, kind = "button-small") {
  if (!mayOperate()) return null;
  const buttons = [];
  if (RETRIES.has(one.workflow_state)) {
    buttons.push(
      actionButton(
        one.workflow_state === "retry_pending" ? "Try now" : "Begin anew",
        async () => {
          await post(`/api/pending-calls/${one.id}/retry`);
          await changed(`${whose(one)}: tried again.`);
        },
        { kind, title: `Try ${whose(one)} again` },
      ),
    );
  }
  if (!OVER.has(one.workflow_state)) {
    buttons.push(
      actionButton(
        "Cancel",
        async () => {
          const note = await ask({
            title: `Cancel the call to ${whose(one)}?`,
            text: "It is not called any more. A call that is under way goes on, and nothing follows from it.",
            confirm: "Cancel the call",
            act: () => post(`/api/pending-calls/${one.id}/cancel`),
          });
          if (note !== null) await changed(`${whose(one)}: cancelled.`);
        },
        { kind, title: `Cancel ${whose(one)}` },
      ),
    );
  }
  return h("div", { class: "actions" }, buttons);
}

// A call that may still be live is looked up before anything else: a reset gives it up and begins it anew.
async function reset(one, changed) {
  const note = await ask({
    title: "Reset this stuck call?",
    confirm: "Reset",
    text: [
      `It has been ${words(one.workflow_state)} for ${plural(one.minutes_in_state, "minute")}. Its call is being looked up at the provider, and it goes on by itself when that is settled.`,
      "A reset gives this task up and begins it anew. Only if you are sure that nobody is on the line: the number is called again.",
    ],
    act: async () => {
      await post(`/api/pending-calls/${one.id}/cancel`);
      await post(`/api/pending-calls/${one.id}/retry`);
    },
  });
  if (note !== null) await changed("Reset: it begins anew.");
}

function stuckTable(stuck, changed) {
  const columns = [
    {
      title: "Pending call",
      header: true,
      cell: (one) => h("a", { href: address(`workflow/${one.id}`) }, one.id.slice(0, 8)),
    },
    { title: "State", cell: (one) => pill(one.workflow_state) },
    { title: "For", cell: (one) => duration(one.minutes_in_state * 60) },
    { title: "Last error", class: "wide", cell: (one) => one.last_error ?? "\u2013" },
  ];
  if (mayOperate())
    columns.push({
      title: "Actions",
      mute: true,
      cell: (one) =>
        actionButton("Reset", () => reset(one, changed), {
          kind: "button-small",
          title: `Reset ${one.id.slice(0, 8)}`,
        }),
    });
  return table(columns, "Stuck pending calls", stuck);
}

function runs(list) {
  if (!list.length) return empty("The scheduler has not run yet.");
  return table(
    [
      { title: "Began", header: true, cell: (one) => time(one.start) },
      { title: "Asked by", cell: (one) => one.source },
      {
        title: "Did",
        class: "wide",
        cell: (one) =>
          one.error ??
          (Object.entries(one.counts)
            .map(([name, count]) => `${words(name)} ${count}`)
            .join(", ") ||
            "nothing"),
      },
    ],
    "Runs, the youngest first",
    list,
  );
}

export default async function workflow({ root, query, signal }) {
  const filter = { state: query.state ?? "", q: query.q ?? "", phone: query.phone ?? "" };
  const notice = noticeLine();
  const board = h("div", { class: "board" });
  const stuck = h("div", { class: "long" });
  const last = h("div", { class: "long" });
  const changed = async (said) => {
    notice.say(said);
    await Promise.all([list.reset(), dashboard()]);
    notice.catchFocus();
  };
  const columns = [
    {
      title: "For",
      header: true,
      cell: (one) => [
        h("a", { href: address(`workflow/${one.id}`) }, whose(one)),
        one.clinic_name && one.employee_name ? h("div", { class: "muted small" }, one.clinic_name) : null,
      ],
    },
    { title: "Number", class: "nowrap", cell: (one) => one.phone_e164 ?? one.phone ?? "none" },
    {
      title: "State",
      cell: (one) => [
        pill(one.workflow_state),
        one.failure_reason ? h("div", { class: "small" }, words(one.failure_reason)) : null,
      ],
    },
    { title: "Since", cell: (one) => time(one.state_since) },
    {
      title: `Next action (${zoneName()})`,
      cell: (one) => (OVER.has(one.workflow_state) ? "\u2013" : time(one.next_action_at)),
    },
    { title: "Retries", class: "number", cell: (one) => `${number(one.retry_count)} of ${number(one.max_retries)}` },
    { title: "Last error", class: "wide", cell: (one) => one.last_error ?? "\u2013" },
  ];
  if (mayOperate()) columns.push({ title: "Actions", mute: true, cell: (one) => pendingButtons(one, changed) });
  const list = longTable({
    columns,
    caption: "Pending calls",
    noun: "pending call",
    signal,
    read: async ({ after, limit, signal: reading }) => {
      const answer = await get("/api/pending-calls", { query: { ...filter, after, limit }, signal: reading });
      return { rows: answer.pending_calls, next: answer.next };
    },
    nothing: () =>
      filter.state || filter.q
        ? empty("No pending call fits.", h("a", { href: "#/workflow" }, "Show all"), ".")
        : empty("No pending call yet.", "They come by POST /api/pending-calls, or an INSERT INTO pending_calls."),
  });

  const choose = (state) => (event) => {
    event.preventDefault();
    filter.state = filter.state === state ? "" : state;
    setQuery(filter);
    for (const link of board.children) link.toggleAttribute("aria-current", false);
    if (filter.state) event.currentTarget.setAttribute("aria-current", "true");
    list.reset();
  };

  // The dashboard is everybody's, not a tenant's: whose key is a tenant's has the list alone.
  const tiles = new Map();
  for (const state of STATES) {
    const tile = { count: h("strong"), hint: h("span", { class: "muted" }) };
    tiles.set(state, tile);
    const current = filter.state === state ? "true" : null;
    const link = { href: address("workflow", { state }), "aria-current": current, onclick: choose(state) };
    board.append(h("a", link, seesAll() ? [h("span", null, words(state)), tile.count, tile.hint] : words(state)));
  }

  function count(answer) {
    const counts = new Map(answer.states.map((one) => [one.workflow_state, one]));
    for (const [state, tile] of tiles) {
      const one = counts.get(state) ?? { count: OVER.has(state) ? answer.last_day[state] : 0 };
      tile.count.textContent = number(one.count);
      fill(tile.hint, OVER.has(state) ? "in a day" : one.next_action ? ["next ", time(one.next_action)] : "\u00a0");
    }
  }

  // Of itself nothing is taken from under somebody's fingers; what was pressed is done and makes way.
  async function dashboard({ pressed = true } = {}) {
    if (!seesAll()) return;
    const answer = await get("/api/scheduler/dashboard", { signal });
    count(answer);
    if (pressed || !stuck.contains(document.activeElement))
      refill(
        stuck,
        answer.stuck.length
          ? card(`${plural(answer.stuck.length, "call is", "calls are")} stuck`, stuckTable(answer.stuck, changed))
          : null,
      );
    if (!last.contains(document.activeElement)) fill(last, card("The scheduler's last runs", runs(answer.runs)));
  }

  const typed = debounce(() => {
    setQuery(filter, { step: false });
    list.reset();
  }, 300);
  const field = (name, label) =>
    h(
      "label",
      null,
      label,
      h("input", {
        type: "search",
        name,
        value: filter[name],
        oninput: (event) => {
          filter[name] = event.target.value.trim();
          typed();
        },
      }),
    );
  const replay = mayOperate()
    ? actionButton("Replay all that failed", async () => {
        let answer = null;
        const note = await ask({
          title: "Begin all failed pending calls anew?",
          text: "Each is classified and called again, within its hours and limits.",
          confirm: "Replay all",
          act: async () => {
            answer = await post("/api/pending-calls/replay", { all: true });
          },
        });
        if (note !== null)
          await changed(`${plural(answer.replayed, "pending call begins", "pending calls begin")} anew.`);
      })
    : null;
  root.append(
    heading("Workflow", replay),
    notice.element,
    board,
    stuck,
    h(
      "form",
      { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      field("q", "Name, clinic or exam"),
      field("phone", "Whole number"),
    ),
    list.element,
    last,
  );
  await Promise.all([dashboard(), list.reset()]);
  let at = Date.now();
  onFigures(() => {
    if (Date.now() - at < REFRESH_MS || document.querySelector("dialog[open]")) return;
    at = Date.now();
    dashboard({ pressed: false }).catch(() => {});
    list.refresh();
  }, signal);
}
