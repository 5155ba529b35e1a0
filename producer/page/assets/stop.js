// SPDX-License-Identifier: Apache-2.0
// Stop everything: one button that is always there, one question. While stopped a banner says since when, why, and how long
// after the stop the last call was begun.

import { currentSession, get, mayOperate, post } from "./api.js";
import { byId, fill, h, tell } from "./dom.js";
import { duration, moment } from "./format.js";
import { onFigures } from "./live.js";
import { ask } from "./parts.js";

let stopped = null;
let details = null;
let lastStop = null;
let seen = null; // what the figures said last
let turns = 0;

const scope = () => (currentSession()?.tenant ? `everything of tenant ${currentSession().tenant}` : "everything");

// Of a tenant's session its own stop counts too.
function own(scheduler) {
  const tenant = currentSession()?.tenant;
  if (scheduler.stopped || !tenant) return scheduler;
  return scheduler.tenants.find((one) => one.tenant === tenant) ?? scheduler;
}

function become(scheduler) {
  const before = stopped;
  details = own(scheduler);
  stopped = details.stopped;
  if (before !== null && stopped !== before) tell(stopped ? "Everything was stopped" : "Everything was started again");
  draw();
}

// What was asked for before the last change is dropped.
async function readDetails() {
  const turn = ++turns;
  const scheduler = await get("/api/scheduler");
  if (turn === turns) become(scheduler);
}

async function switchTo(word, reason) {
  const answer = await post(`/api/scheduler/${word}`, reason ? { reason } : {});
  turns += 1;
  lastStop = null;
  become(answer);
}

// The button that was pressed may be gone when its question is answered.
async function asked(question) {
  await ask(question);
  if (document.activeElement === document.body) byId("stop").querySelector("button")?.focus();
}

function stop() {
  return asked({
    title: `Stop ${scope()}?`,
    confirm: "Stop everything",
    note: "Reason (shown to everybody)",
    text: [
      "No call begins later than a second after this, those already handed out included. Calls that people are on go on.",
      "What is due waits and is dialed after a start, if it still may be.",
    ],
    act: (reason) => switchTo("stop", reason),
  });
}

function start() {
  return asked({
    title: `Start ${scope()} again?`,
    confirm: "Start again",
    kind: "button-main",
    text: "What is due is dialed at once, within its windows and limits.",
    act: () => switchTo("start"),
  });
}

// Of a tenant's own stop nobody measures it; of another it is known when every process has told.
function lastPost() {
  if (currentSession()?.tenant) return "";
  if (lastStop === null || lastStop === undefined) return "Measuring when the last call began.";
  return lastStop === 0 ? "No call began after it." : `The last call began ${duration(lastStop)} after it.`;
}

// Made anew only when it becomes another, for it may have the focus.
function draw() {
  const place = byId("stop");
  const shows = `${mayOperate()} ${stopped}`;
  if (place.dataset.shows !== shows || !place.firstChild) {
    place.dataset.shows = shows;
    fill(place, control());
  }
  stopShown(stopped ? details : null);
}

function control() {
  if (!mayOperate())
    return stopped === null ? null : h("p", { class: "stop-state" }, stopped ? "Stopped" : "Running");
  return stopped
    ? h("button", { type: "button", class: "button button-main", onclick: start }, "Start again")
    : h("button", { type: "button", class: "button danger", onclick: stop }, "Stop everything");
}

export function stopShown(scheduler) {
  const banner = byId("stopped");
  if (!scheduler?.stopped) {
    banner.hidden = true;
    return;
  }
  const text = [
    `Everything is stopped${scheduler.since ? ` since ${moment(scheduler.since)}` : ""}`,
    scheduler.reason ? `: ${scheduler.reason}` : "",
    ". ",
    lastPost(),
  ].join("");
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = false;
}

// The figures say that something changed; what is true now, the scheduler is asked, once for each change.
function follow(figures) {
  if (figures.stopped === undefined) return; // PostgreSQL has not answered yet
  lastStop = figures.stopped ? figures.lastStopSeconds : null;
  if (figures.stopped === seen) {
    if (stopped) stopShown(details);
    return;
  }
  seen = figures.stopped;
  readDetails().catch(() => {
    seen = null; // the next figures ask again
  });
}

export function startStop() {
  stopped = null;
  details = null;
  seen = null;
  lastStop = null;
  draw();
  readDetails().catch(() => {});
}

onFigures(follow);
