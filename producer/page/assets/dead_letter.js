// SPDX-License-Identifier: Apache-2.0
// One dead letter: why it is one, what it says, and its replay.

import { get, mayOperate } from "./api.js";
import { fill, h } from "./dom.js";
import { number, size, time } from "./format.js";
import { discard, tryReplay } from "./dead_letters.js";
import { actionButton, card, facts, heading, loading, noticeLine, pill, words } from "./parts.js";
import { address } from "./router.js";
import { table } from "./table.js";

const code = (text, label) => h("pre", { class: "transcript", tabindex: "0", "aria-label": label }, text);

export default async function deadLetter({ root, params, signal }) {
  const notice = noticeLine();
  const place = h("div", { class: "long" });
  async function read(said) {
    const one = await get(`/api/dead-letters/${encodeURIComponent(params.id)}`, { signal });
    notice.say(said ?? "");
    fill(
      root,
      heading(
        `Dead letter ${one.id}`,
        pill(one.resolution ?? "pending", one.resolution ?? "open"),
        mayOperate() && !one.resolution
          ? [
              one.replayable
                ? actionButton("Try a replay", () => tryReplay(place, { ids: [one.id] }, read), { kind: "button-main" })
                : null,
              discard(one.id, read),
            ]
          : null,
      ),
      notice.element,
      h("p", { class: "lead-sentence" }, one.reason),
      place,
      card(
        "Message",
        h(
          "p",
          null,
          one.decodes === null
            ? "It can't be told whether it can be read."
            : one.decodes
              ? "It can be read now."
              : `It still can't be read: ${one.problem ?? "unknown"}.`,
        ),
        one.message
          ? code(JSON.stringify(one.message, null, 2), "The message, as it is read now")
          : one.value_text !== null
            ? code(one.value_text, "The message's bytes as text")
            : code(one.value_base64 ?? "", "The message's bytes in base 64"),
      ),
      h(
        "div",
        { class: "columns" },
        card(
          "Headers",
          one.headers.length
            ? table(
                [
                  { title: "Name", header: true, cell: (row) => row[0] },
                  { title: "Value", class: "wide", cell: (row) => row[1] },
                ],
                "Headers of the message",
                one.headers,
              )
            : h("p", null, "None."),
        ),
        card(
          "Facts",
          facts([
            ["Topic", one.topic],
            ["Partition and offset", `${number(one.partition)}, ${number(one.offset)}`],
            ["Key", one.key ?? "none"],
            ["Size", size(one.bytes)],
            ["Account", one.account ?? "\u2013"],
            ["Came", time(one.created_at)],
            ["Replays", number(one.replays)],
            one.replay_of
              ? ["Replay of", h("a", { href: address(`dead-letters/${one.replay_of}`) }, String(one.replay_of))]
              : null,
            ["Resolved", one.resolved_at ? [words(one.resolution), " ", time(one.resolved_at)] : "no"],
            ...one.transitions.map((step) => [
              `${words(step.to)} by ${step.actor}`,
              time(step.at),
              step.note ? `: ${step.note}` : "",
            ]),
          ]),
        ),
      ),
    );
  }
  fill(root, loading());
  await read();
}
