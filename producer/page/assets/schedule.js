// SPDX-License-Identifier: Apache-2.0
// A campaign's schedule in words, and its coming windows while it is still being written, on the clock of its own zone.

const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY_MS = 24 * 60 * 60 * 1000;
const LONG_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

export const dayNames = DAYS;
export const longDayNames = LONG_DAYS;

export const zonePlace = (zone) => (zone ? zone.split("/").at(-1).replaceAll("_", " ") : "");

export const isoDay = (day) => (day === 0 ? 7 : day);

// 1,2,3,5 is "Mon-Wed, Fri".
export function daysInWords(days) {
  const wanted = [...new Set(days.map(isoDay))].sort((a, b) => a - b);
  const runs = [];
  for (const day of wanted) {
    const last = runs.at(-1);
    if (last && last[1] === day - 1) last[1] = day;
    else runs.push([day, day]);
  }
  return runs
    .map(([from, to]) =>
      to - from > 1
        ? `${DAYS[from - 1]}\u2013${DAYS[to - 1]}`
        : to > from
          ? `${DAYS[from - 1]}, ${DAYS[to - 1]}`
          : DAYS[from - 1],
    )
    .join(", ");
}

const bindsDays = (frequency) => frequency === "weekly" || frequency === "custom";

export function scheduleInWords(campaign) {
  const days =
    bindsDays(campaign.scheduleFrequency) &&
    campaign.scheduleDays?.length &&
    new Set(campaign.scheduleDays.map(isoDay)).size < 7
      ? daysInWords(campaign.scheduleDays)
      : "Every day";
  const hours =
    campaign.startTime && campaign.endTime
      ? ` ${campaign.startTime}\u2013${campaign.endTime}${campaign.startTime > campaign.endTime ? " (over midnight)" : ""}`
      : " at any hour";
  const zone = campaign.timeZone ? ` ${zonePlace(campaign.timeZone)}` : "";
  const often = {
    daily: "each contact at most once a day",
    weekly: "each contact at most once a week",
    custom: "each contact at most once on such a day",
    none: `each contact until it succeeds, at most ${campaign.retryAttempts ?? 3} times`,
  }[campaign.scheduleFrequency ?? "none"];
  const limits = [
    campaign.maxConcurrent > 0 ? `at most ${campaign.maxConcurrent} at once` : "as many at once as the account takes",
    campaign.callsPerSecond ? `${campaign.callsPerSecond} a second` : null,
  ]
    .filter(Boolean)
    .join(", ");
  return `${days}${hours}${zone}, ${limits}; ${often}${campaign.useLeadWindow === false ? "" : ", within the hours allowed where the contact lives"}`;
}

// The next windows by the calendar of the zone: [{day, text}]. Holidays are not known here.
export function nextWindows(campaign, count = 5, now = new Date()) {
  let parts;
  try {
    parts = Object.fromEntries(
      new Intl.DateTimeFormat("en-CA", {
        timeZone: campaign.timeZone || "UTC",
        year: "numeric",
        month: "2-digit",
        day: "2-digit",
        hour: "2-digit",
        minute: "2-digit",
        hourCycle: "h23",
      })
        .formatToParts(now)
        .map((part) => [part.type, part.value]),
    );
  } catch {
    return null;
  }
  const wall = `${parts.hour}:${parts.minute}`;
  const today = Date.UTC(Number(parts.year), Number(parts.month) - 1, Number(parts.day));
  const wanted =
    bindsDays(campaign.scheduleFrequency) && campaign.scheduleDays?.length
      ? new Set(campaign.scheduleDays.map(isoDay))
      : null;
  const date = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", weekday: "short", day: "numeric", month: "short" });
  const { startTime: from, endTime: to } = campaign;
  const over = from && to && from > to;
  const hours = from && to ? `${from}\u2013${to}${over ? " the next day" : ""}` : "all day";
  const found = [];
  // Yesterday's may still be open where it runs over midnight.
  for (let ahead = over && wall < to ? -1 : 0; ahead < 15 && found.length < count; ahead += 1) {
    const day = new Date(today + ahead * DAY_MS);
    if (wanted && !wanted.has(isoDay(day.getUTCDay()))) continue;
    if (ahead === 0 && to && !over && wall >= to) continue;
    const open = ahead < 0 || (ahead === 0 && (!from || wall >= from));
    found.push(`${date.format(day)}, ${hours}${open ? " (open now)" : ""}`);
  }
  return found;
}
