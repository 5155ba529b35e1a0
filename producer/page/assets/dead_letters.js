// SPDX-License-Identifier: Apache-2.0
// Dead letters: messages that could not be used. A replay is tried out first; only then can it be made.

import { get, mayOperate, post, seesAll } from "./api.js";
import { fill, h } from "./dom.js";
import { number, plural, size, time, zoneName } from "./format.js";
import { actionButton, ask, empty, heading, noticeLine, pill } from "./parts.js";
import { address, setQuery } from "./router.js";
import { longTable, table } from "./table.js";

const shortTopic = (topic) => topic.split(".").slice(-4).join(".");

function trial(answer) {
  const good = answer.letters.filter((one) => one.decodes !== false).length;
  return [
    h(
      "p",
      null,
      `${plural(answer.letters.length, "letter")} would be sent again: ${number(good)} can be read now, ${number(answer.letters.length - good)} can't and would come back.`,
      answer.resolved ? ` ${number(answer.resolved)} were resolved before.` : "",
      answer.unreplayable
        ? ` ${number(answer.unreplayable)} never were messages: discard them, or have the provider send them again.`
        : "",
      answer.remaining ? ` ${number(answer.remaining)} more wait for the next replay.` : "",
    ),
    answer.letters.length
      ? table(
          [
            {
              title: "Letter",
              header: true,
              class: "number",
              cell: (one) => h("a", { href: address(`dead-letters/${one.id}`) }, String(one.id)),
            },
            { title: "Topic", cell: (one) => shortTopic(one.topic) },
            {
              title: "Reads now",
              cell: (one) =>
                pill(
                  one.decodes === false ? "failed" : one.decodes ? "good" : "pending",
                  one.decodes === false ? "no" : one.decodes ? "yes" : "can't tell",
                ),
            },
            { title: "Problem", class: "wide", cell: (one) => one.problem ?? "\u2013" },
          ],
          "What a replay would do",
          answer.letters,
        )
      : null,
  ];
}

const said = (answer) =>
  `${plural(answer.replayed ?? 0, "letter was", "letters were")} replayed${answer.failed ? `, ${number(answer.failed)} failed: ${answer.failures[0]?.error ?? ""}` : ""}.`;

// What the trial says, and under it the real thing. `what` is the body of the request.
export async function tryReplay(place, what, replayed) {
  const answer = await post("/api/dead-letters/replay", { ...what, dry_run: true });
  const region = h(
    "section",
    { class: "card", tabindex: "-1", "aria-label": "Trial of a replay" },
    h("h2", null, "Trial: nothing was sent"),
    trial(answer),
  );
  if (answer.letters.length) {
    region.append(
      actionButton(
        `Replay ${plural(answer.letters.length, "letter")} now`,
        async () => {
          const done = await post("/api/dead-letters/replay", what);
          fill(place);
          await replayed(said(done));
        },
        { kind: "button-main" },
      ),
    );
  }
  fill(place, region);
  region.focus();
}

export const discard = (id, discarded) =>
  actionButton(
    "Discard",
    async () => {
      const note = await ask({
        title: `Discard letter ${id}?`,
        text: "It is of no use any more. It stays listed as discarded, with your note.",
        confirm: "Discard",
        note: "Note for those who ask later",
        act: (given) => post(`/api/dead-letters/${id}/discard`, given ? { note: given } : {}),
      });
      if (note !== null) await discarded(`Letter ${id} was discarded.`);
    },
    { kind: "button-small", title: `Discard letter ${id}` },
  );

export default async function deadLetters({ root, query, signal }) {
  if (!seesAll()) {
    fill(
      root,
      heading("Dead letters"),
      empty("Dead letters belong to all tenants.", "Sign in with a key to all tenants to see them."),
    );
    return null;
  }
  const filter = { resolved: query.resolved ?? "false", topic: query.topic ?? "" };
  const chosen = new Set();
  const notice = noticeLine();
  const place = h("div", { class: "long" });
  const buttons = h("div", { class: "actions" });
  const changed = async (text) => {
    chosen.clear();
    drawButtons();
    notice.say(text);
    await list.reset();
  };

  function drawButtons() {
    if (!mayOperate()) return;
    fill(
      buttons,
      chosen.size
        ? actionButton(
            `Try a replay of ${plural(chosen.size, "letter")}`,
            () => tryReplay(place, { ids: [...chosen] }, changed),
            { kind: "button-main" },
          )
        : actionButton(filter.topic ? "Try a replay of this topic" : "Try a replay of all", () =>
            tryReplay(place, { all: true, ...(filter.topic ? { topic: filter.topic } : {}) }, changed),
          ),
    );
  }

  const columns = [
    {
      title: "Letter",
      header: true,
      class: "number",
      cell: (one) => h("a", { href: address(`dead-letters/${one.id}`) }, String(one.id)),
    },
    { title: `Came (${zoneName()})`, class: "nowrap", cell: (one) => time(one.created_at) },
    {
      title: "Topic",
      cell: (one) =>
        h(
          "button",
          {
            type: "button",
            class: "button button-small",
            title: `Only ${one.topic}`,
            onclick: () => {
              filter.topic = filter.topic ? "" : one.topic;
              setQuery(filter);
              drawTopic();
              drawButtons();
              list.reset();
            },
          },
          shortTopic(one.topic),
        ),
    },
    { title: "Reason", class: "wide", cell: (one) => one.reason },
    { title: "Size", class: "number", cell: (one) => size(one.bytes) },
    {
      title: "State",
      cell: (one) => [
        pill(one.resolution ?? "pending", one.resolution ?? "open"),
        one.replayable ? null : h("div", { class: "small" }, "no message: can't be replayed"),
      ],
    },
  ];
  if (mayOperate()) {
    columns.unshift({
      title: "Choose",
      mute: true,
      cell: (one) =>
        one.replayable && !one.resolution
          ? h("input", {
              type: "checkbox",
              checked: chosen.has(one.id),
              "aria-label": `Choose letter ${one.id}`,
              onchange: (event) => {
                if (event.target.checked) chosen.add(one.id);
                else chosen.delete(one.id);
                drawButtons();
              },
            })
          : null,
    });
    columns.push({ title: "Actions", mute: true, cell: (one) => (one.resolution ? null : discard(one.id, changed)) });
  }
  const list = longTable({
    columns,
    caption: "Dead letters",
    noun: "letter",
    signal,
    read: async ({ after, limit, signal: reading }) => {
      const answer = await get("/api/dead-letters", { query: { ...filter, after, limit }, signal: reading });
      return { rows: answer.dead_letters, next: answer.next };
    },
    nothing: () =>
      filter.resolved === "false"
        ? empty("No dead letter is open.", "Every message could be used.")
        : empty("No dead letter fits."),
  });

  const topic = h("p", { class: "notice", hidden: true });
  function drawTopic() {
    topic.hidden = !filter.topic;
    fill(topic, `Only of ${filter.topic}. `, h("a", { href: "#/dead-letters" }, "All topics"));
  }
  drawTopic();
  drawButtons();
  root.append(
    heading("Dead letters", buttons),
    notice.element,
    place,
    h(
      "form",
      { class: "filters", onsubmit: (event) => event.preventDefault() },
      h(
        "label",
        null,
        "State",
        h(
          "select",
          {
            name: "resolved",
            onchange: (event) => {
              filter.resolved = event.target.value;
              setQuery(filter);
              list.reset();
            },
          },
          [
            ["false", "Open"],
            ["true", "Resolved"],
            ["", "All"],
          ].map(([value, text]) => h("option", { value, selected: value === filter.resolved }, text)),
        ),
      ),
    ),
    topic,
    list.element,
  );
  return list.reset();
}
