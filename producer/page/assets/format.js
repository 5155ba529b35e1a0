// SPDX-License-Identifier: Apache-2.0
// Numbers, times and durations as people read them. Times are those of the browser's zone, which is always named.

import { h } from "./dom.js";

const LOCALE = navigator.language || "en";
const whole = new Intl.NumberFormat(LOCALE);
const compact = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumFractionDigits: 1 });
const share = new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(LOCALE, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const day = new Intl.DateTimeFormat(LOCALE, { month: "short", day: "numeric" });
const year = new Intl.DateTimeFormat(LOCALE, { year: "numeric", month: "short", day: "numeric" });
const full = new Intl.DateTimeFormat(LOCALE, { dateStyle: "full", timeStyle: "long" });

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

export function zoneName(at = new Date()) {
  const parts = new Intl.DateTimeFormat(LOCALE, { timeZoneName: "short" }).formatToParts(at);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? zone;
}

export const none = "\u2013";
export const number = (value) => (value === null || value === undefined ? none : whole.format(value));
export const few = (value) =>
  value === null || value === undefined ? none : value < 10000 ? whole.format(value) : compact.format(value);
export const percent = (value) => (value === null || value === undefined ? none : share.format(value));
export const plural = (count, one, many = `${one}s`) => `${whole.format(count)} ${count === 1 ? one : many}`;

export function moment(at, now = new Date()) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return none;
  if (date.toDateString() === now.toDateString()) return clock.format(date);
  return `${(date.getFullYear() === now.getFullYear() ? day : year).format(date)}, ${clock.format(date).slice(0, 5)}`;
}

// A <time> with everything in its title.
export function time(at, { relative = false } = {}) {
  if (at === null || at === undefined) return none;
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return none;
  return h(
    "time",
    { datetime: date.toISOString(), title: full.format(date) },
    relative ? `${moment(at)} (${away(at)})` : moment(at),
  );
}

// As a clock on the wall of another zone shows it.
export function wallTime(at, timeZone) {
  try {
    return new Intl.DateTimeFormat(LOCALE, {
      weekday: "short",
      month: "short",
      day: "numeric",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
      timeZone,
    }).format(new Date(at));
  } catch {
    return none;
  }
}

// From when to when, on the clock of a zone; the day once, if it is one.
export function windowTimes({ start, end }, timeZone, open) {
  const to = end ? wallTime(end, timeZone) : null;
  if (open) return to ? `Open now, until ${to}` : "Open now, and does not close";
  const from = wallTime(start, timeZone);
  if (!to) return `${from}, and does not close`;
  const sameDay = from.slice(0, -5) === to.slice(0, -5);
  return `${from}\u2013${sameDay ? to.slice(-5) : to}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return none;
  const s = Math.max(0, seconds);
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 3600)
    return `${Math.floor(s / 60)} min ${String(Math.round(s % 60)).padStart(2, "0")} s`.replace("60 s", "59 s");
  if (s < 86400) return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function away(at, now = Date.now()) {
  const seconds = (new Date(at).getTime() - now) / 1000;
  return seconds >= 0 ? `in ${duration(seconds)}` : `${duration(-seconds)} ago`;
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} kB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

export function localDay(date = new Date()) {
  return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;
}

// The instant at which a day begins here; with `days` later.
export function dayStart(text, days = 0) {
  const [y, m, d] = text.split("-").map(Number);
  const date = new Date(y, m - 1, d + days);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}
