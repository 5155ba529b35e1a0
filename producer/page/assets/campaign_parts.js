// SPDX-License-Identifier: Apache-2.0
// What the list and the page of a campaign share: its progress, start, stop and clone.

import { get, mayOperate, post } from "./api.js";
import { fill, h } from "./dom.js";
import { away, number, plural, time } from "./format.js";
import { actionButton, ask, words } from "./parts.js";
import { go } from "./router.js";

const SHARES = [
  ["completed", "good", ["completed"]],
  ["failed", "bad", ["failed", "undetermined"]],
  ["under way", "info", ["calling", "inProgress"]],
  ["called off", "muted", ["cancelled"]],
];

const sum = (counts) => Object.values(counts ?? {}).reduce((total, one) => total + one, 0);

function draw(progress) {
  const over =
    progress.completed + progress.failed + progress.cancelled + progress.undetermined + sum(progress.skipped);
  const all = over + progress.scheduled + progress.calling + progress.inProgress;
  const bar = h(
    "div",
    { class: "bar", "aria-hidden": "true" },
    SHARES.map(([, tone, names]) => {
      const part = h("span", { class: `bar-${tone}` });
      part.style.width = `${all ? (100 * names.reduce((total, name) => total + progress[name], 0)) / all : 0}%`;
      return part;
    }),
  );
  const skipped = Object.entries(progress.skipped ?? {})
    .map(([reason, count]) => `${number(count)} ${words(reason)}`)
    .join(", ");
  const counts = [
    ["completed", progress.completed],
    ["failed", progress.failed],
    ["under way", progress.calling + progress.inProgress],
    ["scheduled", progress.scheduled],
    ["cancelled", progress.cancelled],
    ["undetermined", progress.undetermined],
  ].filter(([name, count]) => count > 0 || name === "completed" || name === "scheduled");
  return [
    bar,
    h(
      "p",
      { class: "small" },
      counts.map(([name, count]) => `${number(count)} ${name}`).join(", "),
      skipped ? `, skipped: ${skipped}` : "",
    ),
    h(
      "p",
      { class: "small muted" },
      `${plural(progress.contacts, "contact")}, ${number(progress.callsPerMinute)} calls a minute`,
      progress.eta
        ? [", done about ", time(progress.eta), ` (${away(progress.eta)})`]
        : progress.scheduled === 0 && all > 0
          ? ", nothing is scheduled any more"
          : "",
    ),
  ];
}

// Reads a campaign's progress into its own element. It moves as long as it may change by itself: a start's calls are scheduled
// one after the other, and an active campaign gets more.
export function progressBar({ id, isActive }, signal) {
  const element = h("div", { class: "progress" }, h("p", { class: "small muted" }, "\u2026"));
  const bar = {
    element,
    visible: false,
    read: false,
    moves: false,
    progress: null,
    async refresh() {
      bar.read = true;
      try {
        const next = await get(`/api/campaigns/${id}/progress`, { signal });
        bar.moves = isActive || next.scheduled + next.calling + next.inProgress > 0;
        if (JSON.stringify({ ...next, eta: null }) !== JSON.stringify({ ...bar.progress, eta: null }))
          fill(element, draw(next));
        bar.progress = next;
      } catch (error) {
        bar.read = false;
        if (error.name !== "AbortError") fill(element, h("p", { class: "small muted" }, error.message));
      }
    },
  };
  return bar;
}

async function startCampaign(campaign) {
  const done = await post(`/api/campaigns/${campaign.id}/start`);
  return done.resumed ? `Started: ${plural(done.resumed, "call is", "calls are")} scheduled.` : "Started.";
}

async function stopCampaign(campaign) {
  let done = null;
  const note = await ask({
    title: `Stop \u201c${campaign.name}\u201d?`,
    confirm: "Stop campaign",
    text: "Nothing more of it is dialed, and what is scheduled becomes cancelled. A start takes up exactly that again.",
    act: async () => {
      done = await post(`/api/campaigns/${campaign.id}/stop`);
    },
  });
  return note === null ? null : `Stopped: ${plural(done.cancelled, "call was", "calls were")} cancelled.`;
}

// Answers what was done in words to `changed`.
export function switchButtons(campaign, changed) {
  if (!mayOperate()) return null;
  const run = (action) => async () => {
    const said = await action(campaign);
    if (said !== null) await changed(said);
    return null;
  };
  return campaign.isActive
    ? actionButton("Stop", run(stopCampaign), { kind: "button-small", title: `Stop ${campaign.name}` })
    : actionButton("Start", run(startCampaign), { kind: "button-small", title: `Start ${campaign.name}` });
}

export const cloneButton = (campaign) =>
  actionButton(
    "Clone",
    async () => {
      const made = await post(`/api/campaigns/${campaign.id}/clone`);
      go(`campaigns/${made.id}/edit`);
    },
    { kind: "button-small" },
  );
