// SPDX-License-Identifier: Apache-2.0
// One campaign: its schedule and next windows, how far it is, its contacts' file, start and stop.

import { get, mayOperate, request } from "./api.js";
import { fill, h } from "./dom.js";
import { number, time, windowTimes, zone, zoneName } from "./format.js";
import { onFigures } from "./live.js";
import { cloneButton, progressBar, switchButtons } from "./campaign_parts.js";
import { actionButton, ask, card, facts, heading, loading, noticeLine, pill, problemPanel } from "./parts.js";
import { address, go, setTitle } from "./router.js";
import { scheduleInWords, zonePlace } from "./schedule.js";
import { uploadCard } from "./upload.js";

const REFRESH_MS = 2000;

function windowLine(one, campaignZone) {
  const open = new Date(one.start).getTime() <= Date.now();
  const elsewhere = campaignZone && campaignZone !== zone;
  return h(
    "li",
    null,
    h("strong", null, windowTimes(one, zone, open)),
    elsewhere
      ? h("div", { class: "muted small" }, `${windowTimes(one, campaignZone, open)} in ${zonePlace(campaignZone)}`)
      : null,
  );
}

async function readWindows(campaign, place, signal) {
  try {
    const answer = await get(`/api/campaigns/${campaign.id}/windows`, { signal });
    fill(
      place,
      answer.windows.length
        ? h(
            "ol",
            { class: "lines" },
            answer.windows.map((one) => windowLine(one, campaign.timeZone)),
          )
        : h(
            "p",
            null,
            "No window opens within the days that were looked at. Check its days, its hours and the holidays.",
          ),
      h("p", { class: "muted small" }, `Times are ${zoneName()}; holidays are left out.`),
    );
  } catch (error) {
    if (error.name !== "AbortError")
      fill(
        place,
        problemPanel(error, () => readWindows(campaign, place, signal)),
      );
  }
}

function settings(campaign) {
  return facts([
    ["Account", campaign.account ?? "none: nothing can be dialed"],
    ["Assistant", campaign.assistantId ?? "the account's"],
    ["Phone number id", campaign.phoneNumberId ?? "the account's"],
    ["Attempts a contact", number(campaign.retryAttempts)],
    ["At once", campaign.maxConcurrent || "no limit"],
    ["A pass", campaign.maxPerRun || "no limit"],
    ["A second", campaign.callsPerSecond ?? "no limit"],
    ["A number in 24 hours", campaign.maxPerNumber24h ?? "no limit"],
    ["A number in 7 days", campaign.maxPerNumber7d ?? "no limit"],
    ["Tenant", campaign.tenant],
    ["Created", time(campaign.createdAt)],
    ["Changed", time(campaign.updatedAt)],
  ]);
}

async function remove(campaign) {
  const note = await ask({
    title: `Delete \u201c${campaign.name}\u201d?`,
    confirm: "Delete campaign",
    text: "Nothing more of it is dialed, and it leaves the list. The history of its calls stays.",
    act: () => request("DELETE", `/api/campaigns/${campaign.id}`),
  });
  if (note !== null) go("campaigns");
}

export default async function campaignView({ root, params, signal }) {
  const notice = noticeLine();
  const bar = progressBar({ id: params.id }, signal);
  const body = h("div", { class: "view" });
  let upload = null; // one for as long as the view is shown: it may be at work, and its rejected rows are wanted

  async function read(said) {
    const campaign = await get(`/api/campaigns/${encodeURIComponent(params.id)}`, { signal });
    setTitle(campaign.name);
    if (mayOperate()) upload ??= uploadCard(campaign, { signal, done: () => bar.refresh() });
    const windows = h("div", null, loading());
    const changed = async (text) => {
      await read(text);
    };
    fill(
      body,
      heading(
        campaign.name,
        pill(campaign.isActive ? "active" : "stopped"),
        switchButtons(campaign, changed),
        mayOperate()
          ? [
              h("a", { class: "button button-small", href: address(`campaigns/${campaign.id}/edit`) }, "Edit"),
              cloneButton(campaign),
              actionButton("Delete", () => remove(campaign), { kind: "button-small" }),
            ]
          : null,
      ),
      notice.element,
      h("p", { class: "lead-sentence" }, scheduleInWords(campaign)),
      card(
        "Progress",
        bar.element,
        h("p", null, h("a", { href: address("calls", { campaign: campaign.id }) }, "Its calls")),
      ),
      h(
        "div",
        { class: "columns" },
        h(
          "div",
          null,
          upload,
          card("Settings", settings(campaign)),
        ),
        h("div", null, card("Next windows", windows)),
      ),
    );
    notice.say(said ?? "");
    bar.refresh();
    readWindows(campaign, windows, signal);
  }

  fill(root, body);
  fill(body, loading());
  await read();
  let last = 0;
  onFigures(() => {
    if (Date.now() - last < REFRESH_MS) return;
    last = Date.now();
    bar.refresh();
  }, signal);
}
