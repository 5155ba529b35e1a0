// SPDX-License-Identifier: Apache-2.0
// The stream of figures. It is one connection for all views; when it breaks it is made again by itself, with pauses that grow
// to RETRY_MOST_MS, and everybody who listens hears of both.

import { currentSession, resume } from "./api.js";

const RETRY_LEAST_MS = 1000;
const RETRY_MOST_MS = 15000;
const SILENCE_MS = 20000; // the stream has something to say well before
const HIDDEN_MS = 60000; // a tab that nobody sees gives its connection back

const listeners = new Set();
const watchers = new Set();
let source = null;
let timer = 0;
let silence = 0;
let hidden = 0;
let pause = RETRY_LEAST_MS;
let attempt = new AbortController();
let latest = null;
let state = { name: "off", retryAt: null };

export const figures = () => latest;
export const connection = () => state;

// Until the signal is aborted; at once with what is known.
export function onFigures(action, signal) {
  listeners.add(action);
  signal?.addEventListener("abort", () => listeners.delete(action));
  if (latest) action(latest);
}

export function onConnection(action) {
  watchers.add(action);
  action(state);
}

function become(name, retryAt = null) {
  const before = state.name;
  state = {
    name,
    before,
    retryAt,
    lostAt: name === "lost" ? (state.lostAt ?? new Date()) : null,
    since: name === "on" ? (state.lostAt ?? null) : null,
  };
  for (const action of watchers) action(state);
}

function closeSource() {
  clearTimeout(timer);
  clearTimeout(silence);
  source?.close();
  source = null;
}

function heard(event) {
  clearTimeout(silence);
  silence = setTimeout(lose, SILENCE_MS);
  pause = RETRY_LEAST_MS;
  if (state.name !== "on") become("on");
  latest = JSON.parse(event.data);
  for (const action of listeners) action(latest);
}

function lose() {
  closeSource();
  const wait = pause * (0.75 + Math.random() / 2);
  pause = Math.min(pause * 2, RETRY_MOST_MS);
  become("lost", Date.now() + wait);
  timer = setTimeout(tryAgain, wait);
}

// A stream that was refused can't say why: the session can.
export async function tryAgain() {
  clearTimeout(timer);
  if (state.name === "off") return;
  attempt.abort();
  attempt = new AbortController();
  try {
    if (await resume(attempt.signal)) connect();
  } catch (error) {
    if (error.name !== "AbortError") lose();
  }
}

function connect() {
  closeSource();
  source = new EventSource("/api/live");
  source.addEventListener("figures", heard);
  source.addEventListener("error", lose);
  silence = setTimeout(lose, SILENCE_MS);
}

export function startLive() {
  if (source || !currentSession()) return;
  pause = RETRY_LEAST_MS;
  become("connecting");
  connect();
}

export function stopLive() {
  closeSource();
  attempt.abort();
  latest = null;
  become("off");
}

window.addEventListener("online", () => {
  if (state.name === "lost") tryAgain();
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) {
    hidden = setTimeout(() => {
      if (state.name === "on") {
        closeSource();
        become("resting");
      }
    }, HIDDEN_MS);
  } else if (state.name === "resting") {
    become("connecting");
    connect();
  }
});
